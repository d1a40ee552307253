/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dovecot's authentication service, through its socket for clients: whatever its passdbs say. A
 * connection for each question, so that a Dovecot that was restarted is no matter.
 */
#include "backend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dovecot_lines.h"
#include "os/local.h"
#include "os/net.h"
#include "os/os.h"
#include "os/sandbox.h"

enum {
	NAME_MAX_BYTES = 320,
	REQUEST_MAX = 4096,
	ANSWER_MS = 150, /* before the deadline, so that the reason gets through */
};
#define USUAL_SOCKET "/run/dovecot/auth-client"

static const char *socket_of(const struct config_backend *section)
{
	return section->socket != NULL ? section->socket : USUAL_SOCKET;
}

static void explain_connect(const char *path, enum err err, struct backend_answer *answer)
{
	char why[BACKEND_WHY - 120];

	if (err == ERR_NOT_FOUND || (err == ERR_IO && errno == ECONNREFUSED))
		backend_say(answer, IPC_CHECK_UNAVAILABLE,
			    "Dovecot is not running, or has its socket elsewhere (%.200s: %s); "
			    "service auth { unix_listener auth-client { ... } } makes it",
			    path, err == ERR_NOT_FOUND ? "no such socket" : "nobody listens");
	else if (err == ERR_RANGE)
		backend_say(answer, IPC_CHECK_UNAVAILABLE,
			    "%.200s: the path is too long for a socket", path);
	else if (err == ERR_TIMEOUT)
		backend_say(answer, IPC_CHECK_UNAVAILABLE,
			    "Dovecot takes no further connection; it has too much to do");
	else {
		os_explain_file(path, errno, why, sizeof(why));
		backend_say(answer, IPC_CHECK_UNAVAILABLE, "%s%s", why,
			    err == ERR_DENIED ? "; mode and group of its unix_listener do it, too"
					      : "");
	}
}

/* Reads until there is an event; on an error the answer says which. */
static enum dovecot_event wait_for(int fd, struct dovecot_lines *lines, int64_t until,
				   struct backend_answer *answer)
{
	enum dovecot_event event;

	while ((event = dovecot_lines_next(lines)) == DOVECOT_MORE) {
		char bytes[DOVECOT_LINE_MAX];
		size_t len = 0;
		enum err err = local_receive_some(fd, bytes, buf_room(&lines->in), until, &len);

		if (err == ERR_OK)
			err = dovecot_lines_feed(lines, slice_of(bytes, len));
		if (err != ERR_OK) {
			backend_say(answer, IPC_CHECK_UNAVAILABLE,
				    err == ERR_TIMEOUT ? "Dovecot did not answer in time"
						       : "Dovecot broke off before it answered");
			return DOVECOT_MORE;
		}
	}
	if (event == DOVECOT_BROKEN)
		backend_say(answer, IPC_CHECK_UNAVAILABLE, "Dovecot is not understood: %s",
			    lines->words);
	return event;
}

static enum err send_line(int fd, struct buf *line, int64_t until, struct backend_answer *answer)
{
	enum err err = local_send(fd, buf_data(line), until);

	buf_clear(line);
	if (err != ERR_OK)
		backend_say(answer, IPC_CHECK_UNAVAILABLE, "Dovecot broke off before it was asked");
	return err;
}

/*
 * Dovecot may say yes to another user than was asked for: without the domain
 * (auth_username_format), with its own (auth_default_realm), or a master user's other self. The
 * first two are whom we mean only if the name did not say another domain.
 */
static bool is_whom_we_mean(const char *asked, const char *user, const char *domain)
{
	struct slice a = slice_str(asked), b = slice_str(user);
	size_t at_a = slice_find_last(a, '@'), at_b = slice_find_last(b, '@');

	if (slice_equal_nocase(a, b))
		return true;
	if (!slice_equal_nocase(slice_head(a, at_a), slice_head(b, at_b)))
		return false;
	return at_a == a.len ||
	       (at_b == b.len && slice_equal_nocase(slice_skip(a, at_a + 1), slice_str(domain)));
}

static void tell(enum dovecot_event event, const struct dovecot_lines *lines, const char *asked,
		 const char *domain, struct backend_answer *answer)
{
	char user[NAME_MAX_BYTES + 1], words[DOVECOT_WORDS_MAX];

	backend_words(slice_str(lines->user), user, sizeof(user));
	backend_words(slice_str(lines->words), words, sizeof(words));
	if (event == DOVECOT_YES && is_whom_we_mean(asked, lines->user, domain))
		backend_say(answer, IPC_CHECK_YES, "Dovecot: password correct, for %.300s", user);
	else if (event == DOVECOT_YES)
		backend_say(answer, IPC_CHECK_NO,
			    "Dovecot takes %.200s for %.200s, who is somebody else", asked, user);
	else if (event == DOVECOT_NO)
		backend_say(answer, IPC_CHECK_NO,
			    "Dovecot (as %.200s): no such user, or password wrong (it does not "
			    "tell which)%s%s",
			    asked, words[0] != '\0' ? ": " : "", words);
	else
		backend_say(answer, IPC_CHECK_UNAVAILABLE,
			    "Dovecot could not find out%s%s; its own log says more",
			    words[0] != '\0' ? ": " : "", words);
}

/* Greetings cross; the request waits for Dovecot's, which says whether it takes PLAIN. */
static void converse(int fd, const struct config_backend *section, const char *domain,
		     const char *name, const struct backend_question *question,
		     struct backend_answer *answer)
{
	const char *service = section->service != NULL ? section->service : "smtp";
	int64_t until = question->until - ANSWER_MS;
	enum dovecot_event event = DOVECOT_MORE;
	struct dovecot_lines lines;
	struct buf out;

	dovecot_lines_init(&lines);
	buf_init(&out, REQUEST_MAX);
	if (dovecot_greeting((uint32_t)getpid(), &out) == ERR_OK &&
	    send_line(fd, &out, until, answer) == ERR_OK)
		event = wait_for(fd, &lines, until, answer);
	if (event == DOVECOT_READY) {
		event = DOVECOT_MORE;
		if (dovecot_request(service, question->client, name, question->password, &out) !=
		    ERR_OK)
			backend_say(answer, IPC_CHECK_NO, "the name or password is too long");
		else if (send_line(fd, &out, until, answer) == ERR_OK)
			event = wait_for(fd, &lines, until, answer);
	}
	if (event == DOVECOT_YES || event == DOVECOT_NO || event == DOVECOT_TEMPORARY)
		tell(event, &lines, name, domain, answer);
	buf_wipe(&out);
	dovecot_lines_release(&lines);
}

/* ---- the process ---------------------------------------------------------------------------- */

static char own_domain[256];

static void check(const struct config_backend *section, const struct backend_question *question,
		  struct backend_answer *answer)
{
	bool bare = strchr(question->name, '@') == NULL;
	char name[2 * NAME_MAX_BYTES];
	int fd = -1;
	enum err err;

	if (bare && section->realm != NULL)
		(void)snprintf(name, sizeof(name), "%s@%.300s", question->name, section->realm);
	else
		(void)snprintf(name, sizeof(name), "%s", question->name);
	err = local_connect(socket_of(section), question->until - ANSWER_MS, &fd);
	if (err == ERR_OK)
		converse(fd, section,
			 bare ? (section->realm != NULL ? section->realm : "") : own_domain, name,
			 question, answer);
	else
		explain_connect(socket_of(section), err, answer);
	net_close(&fd);
}

static enum err start(const struct config *config, const struct config_backend *section, char *why)
{
	(void)section;
	if (slice_copy(slice_str(config_domain(config)), own_domain, sizeof(own_domain)) == ERR_OK)
		return ERR_OK;
	(void)snprintf(why, BACKEND_WHY, "the domain is too long");
	return ERR_RANGE;
}

static void set_sandbox(const struct config_backend *section, struct sandbox *sandbox_out)
{
	(void)section;
	*sandbox_out = (struct sandbox){.powers = SANDBOX_FILES | SANDBOX_CONNECT};
}

int main(int argc, char **argv)
{
	static const struct backend_driver DOVECOT = {
		.type = BACKEND_DOVECOT,
		.start = start,
		.sandbox = set_sandbox,
		.check = check,
	};
	static const struct backend_driver *const DRIVERS[] = {&DOVECOT, NULL};

	return backend_main(argc, argv, DRIVERS);
}
