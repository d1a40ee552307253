/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory (RFC 4511): somebody searches for the name, and then a bind as whom was found shows
 * whether the password is right; or that bind alone. The servers stand for each other: the one that
 * answered last is asked first. Two connections to it are kept, as a bind changes who is asking.
 */
#include "ldap_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ldap_names.h"
#include "os/os.h"
#include "os/sandbox.h"

enum {
	SERVER_MS = 3000, /* before the next one is asked */
	ANSWER_MS = 150,  /* before the deadline, so that the reason gets through */
	TEXT_MAX = 120,   /* of filter, DN or URL in a sentence */
};

/* The thread uses it, after the start. */
static struct {
	char *domain;
	size_t current; /* of settings->servers */
	struct ldap_server searcher, prover;
} directory;

/* One question to one server. */
struct asking {
	const struct config_ldap *settings;
	const struct backend_question *question;
	const char *url;
	char filter[LDAP_FILTER_MAX]; /* with a search */
	char dn[LDAP_DN_MAX];         /* as the template says, or as found */
	int found;
	char why[BACKEND_WHY];
};

/* ---- one server ----------------------------------------------------------------------------- */

static int log_in(struct asking *asking, int64_t until)
{
	struct ldap_server *server = &directory.searcher;
	char why[BACKEND_WHY];
	int result;

	if (server->bound || asking->settings->bind_dn == NULL)
		return LDAP_SUCCESS;
	result = ldap_server_bind(server, asking->settings->bind_dn, asking->question->secret,
				  until, why);
	server->bound = result == LDAP_SUCCESS;
	if (result == LDAP_SUCCESS || ldap_server_lost(result))
		return result;
	(void)snprintf(asking->why, sizeof(asking->why), "bind_dn cannot log in: %.300s", why);
	return LDAP_OTHER; /* nothing that is said about the name */
}

static int search_once(struct asking *asking, int64_t until, bool *kept_out)
{
	struct ldap_server *server = &directory.searcher;
	int result = ldap_server_open(server, asking->url, asking->settings, until, kept_out,
				      asking->why);

	if (result == LDAP_SUCCESS)
		result = log_in(asking, until);
	if (result == LDAP_SUCCESS)
		result = ldap_server_search(server, asking->settings, asking->filter, until,
					    &asking->found, asking->dn, asking->why);
	/* That is no word about a name. */
	if (result == LDAP_NO_SUCH_OBJECT) {
		(void)snprintf(
			asking->why, sizeof(asking->why),
			"search: No such object (32): %.120s is not there, or not shown to %.80s",
			asking->settings->base,
			asking->settings->bind_dn != NULL ? asking->settings->bind_dn
							  : "strangers (set bind_dn)");
		result = LDAP_OTHER;
	}
	if (result != LDAP_SUCCESS)
		ldap_server_close(server);
	return result;
}

static int bind_once(struct asking *asking, int64_t until, bool *kept_out)
{
	struct ldap_server *server = &directory.prover;
	int result = ldap_server_open(server, asking->url, asking->settings, until, kept_out,
				      asking->why);

	if (result == LDAP_SUCCESS)
		result = ldap_server_bind(server, asking->dn, asking->question->password, until,
					  asking->why);
	if (ldap_server_lost(result))
		ldap_server_close(server);
	return result;
}

/* A connection that was kept may have died since: that is no reason to give up the server. */
static int try(struct asking *asking, int64_t until,
	       int (*once)(struct asking *asking, int64_t until, bool *kept_out))
{
	int64_t half = until - (until - os_monotonic_ms()) / 2;
	bool kept = false;
	int result = once(asking, half, &kept);

	if (ldap_server_lost(result) && kept)
		result = once(asking, until, &kept);
	return result;
}

static int ask_server(struct asking *asking, int64_t until)
{
	int result = LDAP_SUCCESS;

	if (asking->settings->bind_template == NULL) {
		result = try(asking, until, search_once);
		if (result != LDAP_SUCCESS || asking->found != 1 || asking->dn[0] == '\0')
			return result;
	}
	return try(asking, until, bind_once);
}

/* ---- what it means -------------------------------------------------------------------------- */

static enum ipc_check judge(int result, const char *why)
{
	switch (result) {
	case LDAP_SUCCESS:
		return IPC_CHECK_YES;
	case LDAP_INVALID_CREDENTIALS:
	case LDAP_INAPPROPRIATE_AUTH:   /* an entry without a password */
	case LDAP_CONSTRAINT_VIOLATION: /* 389 Directory Server: too many tries */
		return IPC_CHECK_NO;
	case LDAP_NO_SUCH_OBJECT: /* of a template's DN */
		return IPC_CHECK_UNKNOWN;
	case LDAP_UNWILLING_TO_PERFORM: /* 389 Directory Server: "Account inactivated"; else no
					   simple bind for anybody */
		return strstr(why, "inactivated") != NULL ? IPC_CHECK_NO : IPC_CHECK_UNAVAILABLE;
	default:
		return IPC_CHECK_UNAVAILABLE;
	}
}

static void tell(struct asking *asking, int result, struct backend_answer *answer)
{
	bool searched = asking->settings->bind_template == NULL;
	char dn[TEXT_MAX + 1];

	if (searched && result == LDAP_SUCCESS && asking->found == 0) {
		backend_say(answer, IPC_CHECK_UNKNOWN, "%.*s: nobody is %.*s below %.*s%s",
			    TEXT_MAX, asking->url, TEXT_MAX, asking->filter, TEXT_MAX,
			    asking->settings->base,
			    asking->settings->bind_dn == NULL
				    ? ", or strangers are not shown who (bind_dn)"
				    : "");
	} else if (searched && result == LDAP_SUCCESS && asking->found > 1) {
		backend_say(answer, IPC_CHECK_NO,
			    "%.*s: more than one is %.*s below %.*s; make base or filter narrower",
			    TEXT_MAX, asking->url, TEXT_MAX, asking->filter, TEXT_MAX,
			    asking->settings->base);
	} else if (searched && asking->dn[0] == '\0') {
		backend_say(answer, IPC_CHECK_UNAVAILABLE, "%.*s: %.*s: %.250s", TEXT_MAX,
			    asking->url, TEXT_MAX, asking->filter,
			    result == LDAP_SUCCESS ? "found, but its name is empty or too long"
						   : asking->why);
	} else {
		backend_words(slice_str(asking->dn), dn, sizeof(dn));
		backend_say(answer, judge(result, asking->why), "%.*s: %.*s%s%s; %.150s", TEXT_MAX,
			    asking->url, TEXT_MAX, searched ? asking->filter : "bind as ",
			    searched ? " is " : "", dn,
			    result == LDAP_SUCCESS ? "bind: Success (0)" : asking->why);
	}
}

/* ---- all servers ---------------------------------------------------------------------------- */

static void go_to(size_t server)
{
	if (server == directory.current)
		return;
	ldap_server_close(&directory.searcher);
	ldap_server_close(&directory.prover);
	directory.current = server;
}

static void ask_all(struct asking *asking, struct backend_answer *answer)
{
	const struct strings *servers = &asking->settings->servers;
	size_t first = directory.current, told = 0;
	char whys[BACKEND_WHY] = "no time was left to ask";

	for (size_t i = 0; i < servers->count; i++) {
		int64_t now = os_monotonic_ms();
		int64_t left = asking->question->until - ANSWER_MS - now;
		int64_t share = left / (int64_t)(servers->count - i);
		int result;

		if (left <= 0)
			break;
		if (i + 1 < servers->count && share > SERVER_MS)
			share = SERVER_MS;
		go_to((first + i) % servers->count);
		asking->url = servers->items[directory.current];
		result = ask_server(asking, now + share);
		if (!ldap_server_lost(result)) {
			tell(asking, result, answer);
			return;
		}
		if (told < sizeof(whys))
			told += (size_t)snprintf(whys + told, sizeof(whys) - told,
						 "%s%.100s: %.150s", i == 0 ? "" : "; ",
						 asking->url, asking->why);
	}
	go_to(0); /* all are as good as the first */
	backend_say(answer, IPC_CHECK_UNAVAILABLE, "%.*s", BACKEND_WHY - 1, whys);
}

/* Whom to ask for, or bind as. false: nobody, and the answer says why. */
static bool prepare(struct asking *asking, struct backend_answer *answer)
{
	const struct config_ldap *settings = asking->settings;
	bool searches = settings->bind_template == NULL;
	const char *template = searches ? settings->filter : settings->bind_template;
	enum err err;

	if (template == NULL)
		template = "(uid=%u)";
	err = ldap_fill_in(template, asking->question->name, directory.domain,
			   searches ? asking->filter : asking->dn,
			   searches ? sizeof(asking->filter) : sizeof(asking->dn));
	if (err == ERR_NOT_FOUND)
		backend_say(answer, IPC_CHECK_UNKNOWN,
			    "not asked: the name is not of %.200s, and %.*s does not tell domains "
			    "apart (%%d, %%s)",
			    directory.domain, TEXT_MAX, template);
	else if (err != ERR_OK)
		backend_say(answer, IPC_CHECK_UNKNOWN,
			    "not asked: the name is too long, or cannot stand in %.*s", TEXT_MAX,
			    template);
	else if (asking->question->password[0] == '\0')
		backend_say(answer, IPC_CHECK_NO, "not asked: an empty password proves nothing");
	else
		return true;
	return false;
}

static void check(const struct config_backend *section, const struct backend_question *question,
		  struct backend_answer *answer)
{
	struct asking *asking = mem_alloc(sizeof(*asking));

	asking->settings = &section->ldap;
	asking->question = question;
	if (prepare(asking, answer))
		ask_all(asking, answer);
	mem_free(asking);
}

/* ---- the process ---------------------------------------------------------------------------- */

static enum err start(const struct config *config, const struct config_backend *section, char *why)
{
	int version;

	/*
	 * The machine's ldap.conf could say that certificates are not looked at. What libldap sets
	 * up once, the machine's own name for one, it does now: later the sandbox is closed.
	 */
	if (setenv("LDAPNOINIT", "1", 1) != 0 ||
	    ldap_get_option(NULL, LDAP_OPT_PROTOCOL_VERSION, &version) != LDAP_OPT_SUCCESS) {
		(void)snprintf(why, BACKEND_WHY, "backend \"%s\": libldap cannot be set up",
			       section->name);
		return ERR_INTERNAL;
	}
	directory.domain = mem_strdup(config_domain(config));
	return ERR_OK;
}

/* Whole folders: certificates and what says how names are found are replaced, not written to. */
static void set_sandbox(const struct config_backend *section, struct sandbox *sandbox_out)
{
	static const char *folders[] = {"/etc", NULL, NULL, NULL};
	static char folder[OS_PATH_MAX];
	const char *file = section->ldap.ca_file;
	const char *slash = file != NULL ? strrchr(file, '/') : NULL;
	size_t count = 1;

	if (slash != NULL) {
		(void)snprintf(folder, sizeof(folder), "%.*s",
			       slash == file ? 1 : (int)(slash - file), file);
		if (os_file_stamp(folder).inode != 0)
			folders[count++] = folder;
	}
	if (os_file_stamp("/run/systemd/resolve").inode != 0)
		folders[count] = "/run/systemd/resolve";
	*sandbox_out = (struct sandbox){.powers = SANDBOX_FILES | SANDBOX_CONNECT,
					.read_folders = folders};
}

int main(int argc, char **argv)
{
	static const struct backend_driver DIRECTORY = {
		.type = BACKEND_LDAP,
		.start = start,
		.sandbox = set_sandbox,
		.check = check,
	};
	static const struct backend_driver *const DRIVERS[] = {&DIRECTORY, NULL};
	int status = backend_main(argc, argv, DRIVERS);

	ldap_server_close(&directory.searcher);
	ldap_server_close(&directory.prover);
	MEM_FREE(directory.domain);
	return status;
}
