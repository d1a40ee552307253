/* SPDX-License-Identifier: Apache-2.0 */
#include "sasldb.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sasl/sasl.h>

#include "base/buf.h"
#include "os/os.h"

enum {
	HEAD_BYTES = 16, /* up to the magic number of Berkeley DB's first page */
	MAGIC_AT = 12,
};
#define MAGIC_HASH  UINT32_C(0x061561)
#define MAGIC_BTREE UINT32_C(0x053162)

static bool is_magic(const unsigned char *at, uint32_t magic)
{
	uint32_t little = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
			  (uint32_t)at[3] << 24;
	uint32_t big = (uint32_t)at[3] | (uint32_t)at[2] << 8 | (uint32_t)at[1] << 16 |
		       (uint32_t)at[0] << 24;

	return little == magic || big == magic;
}

static void refuse_format(const char *file, const char *what, struct backend_answer *answer)
{
	backend_say(
		answer, IPC_CHECK_UNAVAILABLE,
		"%.200s is %s, and not the Berkeley DB hash that this machine's Cyrus SASL reads; "
		"it comes from another system or version: move it away, and add its users anew "
		"with saslpasswd2 -c",
		file, what);
}

/* What libsasl2 would tell in its log, if at all, is told here; true: it may be asked. */
static bool may_be_asked(const char *file, struct backend_answer *answer)
{
	char why[BACKEND_WHY - 100];
	const unsigned char *head;
	struct buf bytes;
	enum err err;
	size_t len;

	buf_init(&bytes, HEAD_BYTES);
	err = os_read_head(file, HEAD_BYTES, &bytes);
	head = (const unsigned char *)buf_data(&bytes).ptr;
	len = buf_len(&bytes);
	if (err == ERR_NOT_FOUND) {
		backend_say(
			answer, IPC_CHECK_UNAVAILABLE,
			"there is no %.200s; saslpasswd2 -c NAME makes it with its first user (no "
			"dummy user is needed), or set file",
			file);
	} else if (err == ERR_SYNTAX) {
		backend_say(answer, IPC_CHECK_UNAVAILABLE, "%.200s is not a regular file", file);
	} else if (err != ERR_OK) {
		os_explain_file(file, errno, why, sizeof(why));
		backend_say(answer, IPC_CHECK_UNAVAILABLE, "%s%s", why,
			    err == ERR_DENIED
				    ? "; Debian's is root:sasl 0640: chgrp sasl, chmod 640"
				    : "");
	} else if (len == 0) {
		backend_say(
			answer, IPC_CHECK_UNKNOWN,
			"%.200s is empty: nobody was added yet; saslpasswd2 -c NAME does it (no "
			"dummy user is needed)",
			file);
		err = ERR_NOT_FOUND;
	} else if (len == HEAD_BYTES && is_magic(head + MAGIC_AT, MAGIC_BTREE)) {
		refuse_format(file, "a Berkeley DB B-tree", answer);
		err = ERR_CORRUPT;
	} else if (len < HEAD_BYTES || !is_magic(head + MAGIC_AT, MAGIC_HASH)) {
		refuse_format(file, "no Berkeley DB", answer);
		err = ERR_CORRUPT;
	}
	buf_release(&bytes);
	return err == ERR_OK;
}

static bool exists(sasl_conn_t *conn, const char *user, const char *realm)
{
	char name[1024];

	(void)snprintf(name, sizeof(name), "%s@%s", user, realm);
	return sasl_user_exists(conn, "smtp", NULL, name) == SASL_OK;
}

/* saslpasswd2 takes the machine's name for the realm: after a move, or a renaming, nobody is known.
 */
static void explain_unknown(const struct sasldb *sasldb, sasl_conn_t *conn, const char *user,
			    struct backend_answer *answer)
{
	if (strchr(user, '@') == NULL)
		for (size_t i = 0; sasldb->realms[i] != NULL; i++) {
			const char *realm = sasldb->realms[i];

			if (strcmp(realm, sasldb->realm) == 0 || !exists(conn, user, realm))
				continue;
			backend_say(answer, IPC_CHECK_UNKNOWN,
				    "%.150s has this name in the realm \"%.80s\", and not in "
				    "\"%.80s\": set realm = \"%.80s\" in the backend section",
				    sasldb->file, realm, sasldb->realm, realm);
			return;
		}
	backend_say(
		answer, IPC_CHECK_UNKNOWN,
		"%.150s has no such name in the realm \"%.100s\"; sasldblistusers2 shows who is in "
		"it, as name@realm",
		sasldb->file, strchr(user, '@') != NULL ? strchr(user, '@') + 1 : sasldb->realm);
}

static void judge(const struct sasldb *sasldb, sasl_conn_t *conn, int result,
		  const struct backend_question *question, struct backend_answer *answer)
{
	if (result == SASL_OK)
		backend_say(answer, IPC_CHECK_YES, "sasldb: password correct");
	else if (sasldb->said()[0] != '\0')
		backend_say(answer, IPC_CHECK_UNAVAILABLE, "Cyrus SASL says: %.300s",
			    sasldb->said());
	else if (result == SASL_NOUSER)
		explain_unknown(sasldb, conn, question->name, answer);
	else if (result == SASL_BADAUTH)
		backend_say(answer, IPC_CHECK_NO, "sasldb: password wrong");
	else
		backend_say(answer, IPC_CHECK_UNAVAILABLE, "Cyrus SASL fails: %.300s",
			    sasl_errstring(result, NULL, NULL));
}

void sasldb_check(const struct sasldb *sasldb, const struct backend_question *question,
		  struct backend_answer *answer)
{
	sasl_conn_t *conn = NULL;
	int result;

	if (!may_be_asked(sasldb->file, answer))
		return;
	sasldb->forget();
	result = sasl_server_new("smtp", sasldb->hostname, sasldb->realm, NULL, NULL, NULL, 0,
				 &conn);
	if (result == SASL_OK)
		result = sasl_checkpass(conn, question->name, (unsigned)strlen(question->name),
					question->password, (unsigned)strlen(question->password));
	judge(sasldb, conn, result, question, answer);
	sasl_dispose(&conn);
}
