/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spoken here, and not by libsasl2, as that takes whatever does not begin with OK for a no, waits
 * for ever, and keeps the socket open after a broken answer (doc/decisions/backends.md).
 */
#include "saslauthd.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "os/local.h"
#include "os/net.h"
#include "os/os.h"

enum { STRING_MAX = 1024, ANSWER_MAX = 1024 };

static enum err put(struct buf *request, const char *text)
{
	size_t len = strlen(text);
	const unsigned char count[2] = {(unsigned char)(len >> 8), (unsigned char)len};
	enum err err;

	if (len > STRING_MAX)
		return ERR_RANGE;
	err = buf_append(request, count, sizeof(count));
	return err == ERR_OK ? buf_append(request, text, len) : err;
}

/* The realm of the name goes its own way, as with libsasl2. */
static enum err make_request(const struct backend_question *question, const char *service,
			     const char *realm, struct buf *request)
{
	const char *at = strrchr(question->name, '@');
	char user[STRING_MAX + 1];
	enum err err;

	if (slice_copy(slice_head(slice_str(question->name),
				  at != NULL ? (size_t)(at - question->name) : SIZE_MAX),
		       user, sizeof(user)) != ERR_OK)
		return ERR_RANGE;
	err = put(request, user);
	if (err == ERR_OK)
		err = put(request, question->password);
	if (err == ERR_OK)
		err = put(request, service);
	return err == ERR_OK ? put(request, at != NULL ? at + 1 : realm) : err;
}

static void explain_connect(const char *socket, enum err err, struct backend_answer *answer)
{
	char why[BACKEND_WHY - 64];

	if (err == ERR_NOT_FOUND || (err == ERR_IO && errno == ECONNREFUSED))
		backend_say(
			answer, IPC_CHECK_UNAVAILABLE,
			"saslauthd is not running (%.200s: %s); start it: systemctl enable --now "
			"saslauthd, with START=yes in /etc/default/saslauthd",
			socket, err == ERR_NOT_FOUND ? "no such socket" : "nobody listens");
	else if (err == ERR_RANGE)
		backend_say(answer, IPC_CHECK_UNAVAILABLE,
			    "%.200s: the path is too long for a socket", socket);
	else if (err == ERR_TIMEOUT)
		backend_say(answer, IPC_CHECK_UNAVAILABLE,
			    "saslauthd takes no further connection; more processes (saslauthd -n) "
			    "may help");
	else {
		os_explain_file(socket, errno, why, sizeof(why));
		backend_say(answer, IPC_CHECK_UNAVAILABLE, "%s%s", why,
			    err == ERR_DENIED
				    ? "; group = \"sasl\" in the backend section does it, too"
				    : "");
	}
}

/* OK or NO, alone or before a blank and words, which are the rest. */
static bool says(struct slice answer, const char *word, struct slice *words_out)
{
	struct slice rest = slice_skip(answer, 2);

	*words_out = slice_skip(rest, 1);
	return slice_is(slice_head(answer, 2), word) &&
	       (rest.len == 0 || slice_has_byte(SLICE_LIT(" \0\n"), rest.ptr[0]));
}

/* It says no to everybody when it cannot ask those whom it would have to ask. */
static bool is_its_own_fault(struct slice words)
{
	static const char *const faults[] = {
		"PAM start error",
		"saslauthd internal error",
		"internal mechanism failure",
		"Username lookup failure",
		"Username shadow lookup failure",
		"Insufficient permission",
		"[ALERT]",
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (slice_starts(words, faults[i]))
			return true;
	return false;
}

static void judge(struct slice text, struct backend_answer *answer)
{
	struct slice words;
	char said[128];

	if (says(text, "OK", &words)) {
		backend_say(answer, IPC_CHECK_YES, "saslauthd: password correct");
	} else if (!says(text, "NO", &words)) {
		backend_say(answer, IPC_CHECK_UNAVAILABLE,
			    "saslauthd gave an answer that is neither OK nor NO; is something else "
			    "behind that socket?");
	} else if (words.len == 0) {
		backend_say(answer, IPC_CHECK_NO,
			    "saslauthd: no such user, or password wrong (it does not tell which)");
	} else {
		words = slice_head(words, sizeof(said) - 1);
		for (size_t i = 0; i < words.len; i++)
			said[i] = ascii_is_print(words.ptr[i]) ? words.ptr[i] : '?';
		said[words.len] = '\0';
		backend_say(answer, is_its_own_fault(words) ? IPC_CHECK_UNAVAILABLE : IPC_CHECK_NO,
			    is_its_own_fault(words)
				    ? "saslauthd cannot tell: \"%s\"; its own log says more"
				    : "saslauthd says no: \"%s\"",
			    said);
	}
}

static enum err exchange(int fd, struct slice request, int64_t until, char answer[ANSWER_MAX],
			 size_t *len_out)
{
	unsigned char count[2];
	size_t len;
	enum err err = local_send(fd, request, until);

	if (err == ERR_OK)
		err = local_receive(fd, count, sizeof(count), until);
	if (err != ERR_OK)
		return err;
	len = (size_t)count[0] << 8 | count[1];
	if (len > ANSWER_MAX)
		return ERR_RANGE;
	err = local_receive(fd, answer, len, until);
	if (err == ERR_OK)
		*len_out = len;
	return err;
}

void saslauthd_check(const char *socket, const char *service, const char *realm,
		     const struct backend_question *question, struct backend_answer *answer)
{
	char text[ANSWER_MAX];
	struct buf request;
	size_t len = 0;
	int fd = -1;
	enum err err;

	buf_init(&request, (size_t)4 * (STRING_MAX + 2));
	err = make_request(question, service, realm, &request);
	if (err != ERR_OK) {
		backend_say(answer, IPC_CHECK_NO, "name, password, service or realm is too long");
	} else if ((err = local_connect(socket, question->until, &fd)) != ERR_OK) {
		explain_connect(socket, err, answer);
	} else {
		err = exchange(fd, buf_data(&request), question->until, text, &len);
		if (err == ERR_OK)
			judge(slice_of(text, len), answer);
		else
			backend_say(answer, IPC_CHECK_UNAVAILABLE,
				    err == ERR_TIMEOUT
					    ? "saslauthd did not answer in time"
					    : "saslauthd broke off in the middle of its answer");
	}
	net_close(&fd);
	buf_wipe(&request);
}
