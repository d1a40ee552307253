/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator can ask of the accounts. Runs on a thread of its own (SQLite, and a slow hash
 * where a password is set or tested); knows nothing of channels and sessions.
 *
 *	op             args                              rows
 *	USER_ADD       send_as, message_size, generate   name, address, [password], send_as
 *	USER_LIST                                        one per account, as USER_SHOW without
 *verifier USER_SHOW                                        name, address, enabled, send_as,
 *created, changed, password_changed, verifier USER_PASSWORD  generate name, address, [password]
 *	USER_DISABLE, USER_ENABLE, USER_DELETE           none
 *	USER_TEST                                        name, address, exists, [password_correct],
 *	                                                 enabled, send_as
 *	USER_SET       send_as (any number; none or an   name, address, send_as,
 *	               empty one: the default),          message_size
 *	               or message_size (then send_as
 *	               stays unless given)
 *
 * The subject is the login name, the secret the password; generate "true" has one made, which the
 * row "password" then tells. Booleans are "true" and "false".
 */
#ifndef POSTERN_AUTH_OPERATION_H
#define POSTERN_AUTH_OPERATION_H

#include "base/secret.h"
#include "ipc/message.h"
#include "store/accounts.h"

enum {
	OPERATION_TEXT = 2048, /* of the one line that ends it */
	OPERATION_PAGE = 256,  /* accounts listed at a time */
	OPERATION_ROW_MAX = 64 * 1024,
};

struct operation {
	/* What is asked. */
	uint64_t id;
	uint16_t op;
	char subject[ACCOUNT_NAME_MAX + 1];
	bool subject_too_long;
	bool generate;
	bool has_message_size, bad_message_size;
	uint64_t message_size; /* 0: default */
	char *send_as[ACCOUNT_PATTERNS];
	size_t send_as_count;
	bool too_many_send_as;
	struct secret secret;
	char domain[ACCOUNT_NAME_MAX + 1];
	uint32_t iterations;
	/* What was done. */
	struct ipc_list_builder *rows;
	size_t row_count;
	bool failed;
	char text[OPERATION_TEXT];
	int64_t changed; /* id of the account that was changed, 0 for none */
	bool end_sessions;
	uint64_t accounts, enabled; /* of USER_STATUS */
	bool has_largest;           /* something was changed, and */
	uint64_t largest;           /* this is what accounts_largest says now */
	/* A list that goes on: run again for the next page. */
	bool more;
	char after[ACCOUNT_NAME_MAX + 1];
	/* Admin's own. */
	void *owner;
	uint64_t serial;
};

struct operation *operation_new(const struct msg_op *msg);
void operation_free(struct operation **operation); /* wipes */
void operation_drop_rows(struct operation *operation);
/* On a thread. now: ms since 1970. */
void operation_run(struct operation *operation, struct accounts *accounts, int64_t now);

#endif
