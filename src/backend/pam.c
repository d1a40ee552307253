/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PAM: whatever the modules of a service say of name and password, and of the account. Modules of
 * others run in this process, so it has no sandbox but its user; which one they need is in
 * doc/authentication.md.
 */
#include "backend.h"

#include <stdio.h>
#include <string.h>

#include <security/pam_appl.h>

#include "base/mem.h"
#include "os/os.h"
#include "os/sandbox.h"

enum { MESSAGES_MAX = 32 };

struct conversation {
	const char *password;
	bool given;
};

/*
 * Gives the password to the first question that is not to be seen on a screen, and nothing to
 * any other: nobody is there to answer. PAM frees the answers.
 */
static int converse(int count, const struct pam_message **messages, struct pam_response **out,
		    void *arg)
{
	struct conversation *conversation = arg;
	struct pam_response *answers;

	if (count < 1 || count > MESSAGES_MAX)
		return PAM_CONV_ERR;
	answers = mem_array((size_t)count, sizeof(*answers));
	for (int i = 0; i < count; i++) {
		switch (messages[i]->msg_style) {
		case PAM_TEXT_INFO:
		case PAM_ERROR_MSG:
			continue;
		case PAM_PROMPT_ECHO_OFF:
			if (!conversation->given) {
				conversation->given = true;
				answers[i].resp = mem_strdup(conversation->password);
				continue;
			}
			break;
		default:
			break;
		}
		for (int k = 0; k < i; k++) {
			if (answers[k].resp != NULL)
				explicit_bzero(answers[k].resp, strlen(answers[k].resp));
			mem_free(answers[k].resp);
		}
		mem_free(answers);
		return PAM_CONV_ERR;
	}
	*out = answers;
	return PAM_SUCCESS;
}

/* Guessing is slowed down where all back ends are looked at; a thread that sleeps helps nobody. */
static void no_delay(int result, unsigned microseconds, void *arg)
{
	(void)result;
	(void)microseconds;
	(void)arg;
}

/* Without the service's file PAM takes that of "other", which says no to all. */
static bool service_is_there(const char *service, const char *folder, struct backend_answer *answer)
{
	const char *const folders[] = {folder != NULL ? folder : "/etc/pam.d",
				       folder != NULL ? NULL : "/usr/lib/pam.d", NULL};
	char path[OS_PATH_MAX];

	for (size_t i = 0; folders[i] != NULL; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folders[i], service);
		if (os_file_stamp(path).inode != 0)
			return true;
	}
	backend_say(answer, IPC_CHECK_UNAVAILABLE,
		    "PAM has no service %.60s: write %.150s/%.60s, with the lines \"@include "
		    "common-auth\" and \"@include common-account\" for the users of this machine",
		    service, folders[0], service);
	return false;
}

static void judge(pam_handle_t *pam, const char *step, int result, struct backend_answer *answer)
{
	const char *words = pam_strerror(pam, result);

	switch (result) {
	case PAM_SUCCESS:
		backend_say(answer, IPC_CHECK_YES, "PAM: password correct, account valid");
		break;
	case PAM_USER_UNKNOWN:
		backend_say(answer, IPC_CHECK_UNKNOWN, "PAM: no such user");
		break;
	case PAM_AUTH_ERR:
	case PAM_MAXTRIES:
	case PAM_PERM_DENIED:
	case PAM_ACCT_EXPIRED:
	case PAM_CRED_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
	case PAM_AUTHTOK_EXPIRED:
		backend_say(answer, IPC_CHECK_NO, "PAM (%s): %.300s", step, words);
		break;
	case PAM_AUTHINFO_UNAVAIL:
	case PAM_CRED_INSUFFICIENT:
		backend_say(
			answer, IPC_CHECK_UNAVAILABLE,
			"PAM (%s): %.200s; pam_unix says so if it may not read /etc/shadow: set "
			"group = \"shadow\" in the backend section",
			step, words);
		break;
	default: /* a module that is missing or broken, or asks for what is not there */
		backend_say(answer, IPC_CHECK_UNAVAILABLE,
			    "PAM (%s): %.200s; the journal says which module (journalctl -t "
			    "postern-backend-pam)",
			    step, words);
	}
}

static void check(const struct config_backend *section, const struct backend_question *question,
		  struct backend_answer *answer)
{
	const char *service = section->service != NULL ? section->service : "postern";
	struct conversation conversation = {.password = question->password};
	const struct pam_conv conv = {converse, &conversation};
	/* PAM takes the function as an item, which are pointers to data. */
	const union {
		void (*function)(int, unsigned, void *);
		const void *item;
	} delay = {no_delay};
	const char *step = "start";
	pam_handle_t *pam = NULL;
	int result;

	if (!service_is_there(service, section->config_path, answer))
		return;
	result = section->config_path != NULL ? pam_start_confdir(service, question->name, &conv,
								  section->config_path, &pam)
					      : pam_start(service, question->name, &conv, &pam);
	if (result != PAM_SUCCESS) {
		judge(NULL, step, result, answer);
		return;
	}
	(void)pam_set_item(pam, PAM_FAIL_DELAY, delay.item);
	if (question->client[0] != '\0')
		(void)pam_set_item(pam, PAM_RHOST, question->client);
	step = "auth";
	result = pam_authenticate(pam, PAM_DISALLOW_NULL_AUTHTOK);
	if (result == PAM_SUCCESS) {
		step = "account";
		result = pam_acct_mgmt(pam, PAM_DISALLOW_NULL_AUTHTOK);
	}
	judge(pam, step, result, answer);
	(void)pam_end(pam, result);
}

static void set_sandbox(const struct config_backend *section, struct sandbox *sandbox_out)
{
	(void)section;
	*sandbox_out = (struct sandbox){.powers = SANDBOX_OPEN};
}

int main(int argc, char **argv)
{
	static const struct backend_driver PAM = {
		.type = BACKEND_PAM,
		.may_be_root = true,
		.sandbox = set_sandbox,
		.check = check,
	};
	static const struct backend_driver *const DRIVERS[] = {&PAM, NULL};

	return backend_main(argc, argv, DRIVERS);
}
