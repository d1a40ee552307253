/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator can ask of the accounts. Runs on a thread of its own (SQLite, and a slow hash
 * where a password is set or tested); knows nothing of channels and sessions.
 *
 *	op              args                                rows
 *	USER_ADD        send_as, message_size, expires,     name, address, [password], send_as
 *	                generate
 *	USER_LIST                                           one per account
 *	USER_SHOW                                           the account; then one per key
 *	USER_PASSWORD   generate                            name, address, [password]
 *	USER_DISABLE, USER_ENABLE, USER_DELETE, USER_THAW   none
 *	USER_FREEZE     reason                              none
 *	USER_TEST                                           name, address, exists, [key],
 *	                                                    [password_correct], enabled, send_as
 *	USER_SET        send_as (any number; none or an     name, address, send_as, message_size,
 *	                empty one: the default),            expires, main_password
 *	                message_size, expires,
 *	                main_password; what is not given
 *	                stays, but for send_as if nothing is
 *	KEY_ADD         key, send_as, network, expires,     name, key, login, password, send_as
 *	                message_size
 *	KEY_LIST                                            one per key
 *	KEY_REMOVE      key                                 none
 *	USER_IMPORT     replace, dry_run, source            line, name, result, password, note:
 *	                                                    one per credential
 *	GROUP_ADD, GROUP_REMOVE  pattern                    none
 *	GROUP_LIST                                          pattern, name: one per member
 *	REPORT_SENDERS, REPORT_MECHS                        as in ipc/message.h
 *
 * The subject is the login name (of GROUP_LIST a pattern, or "" for all), the secret the password;
 * generate "true" has one made, which the row "password" then tells. Booleans are "true" and
 * "false".
 */
#ifndef POSTERN_AUTH_OPERATION_H
#define POSTERN_AUTH_OPERATION_H

#include "base/secret.h"
#include "ipc/message.h"
#include "store/accounts.h"

enum {
	OPERATION_TEXT = 2048, /* of the one line that ends it */
	OPERATION_PAGE = 256,  /* accounts listed at a time */
};

/* The arguments, as they were given. */
struct operation_args {
	bool generate;
	bool has_message_size, bad_message_size;
	uint64_t message_size; /* 0: default */
	bool has_expires, has_main_password, bad_main_password, main_password;
	char expires[32];
	char sending_limit[256]; /* "hour=5000 day=none" */
	bool has_sending_limit;
	char key[64];
	char pattern[ACCOUNT_PATTERN_MAX + 1];
	char reason[ACCOUNT_REASON_MAX + 1];
	char source[ACCOUNT_SOURCE_MAX + 1];
	bool replace, dry_run;
	char certificate[160], no_certificate[160]; /* fingerprints to add, to take away */
	const char *too_long;                       /* an argument that is; NULL: none */
	char *send_as[ACCOUNT_PATTERNS];
	size_t send_as_count;
	bool too_many_send_as;
	char *networks[ACCOUNT_NETWORKS];
	size_t network_count;
	bool too_many_networks;
};

/* As the message has it. */
struct operation_credential {
	uint32_t line;
	char *name;
	struct secret secret;
	int64_t expires;
};

struct operation {
	/* What is asked. */
	uint64_t id;
	uint16_t op;
	char subject[ACCOUNT_NAME_MAX + 1];
	bool subject_too_long;
	struct operation_args args;
	struct secret secret;
	struct operation_credential *credentials; /* of USER_IMPORT */
	size_t credential_count;
	char domain[ACCOUNT_NAME_MAX + 1];
	uint32_t iterations;
	/* Passwords get a verifier for SCRAM-SHA-1, for CRAM-MD5, too. */
	bool sha_1, cram_md5;
	/* What was done. */
	struct ipc_list_builder *rows;
	size_t row_count;
	bool failed;
	char text[OPERATION_TEXT];
	int64_t changed; /* id of the account that was changed, 0 for none */
	bool end_sessions;
	int64_t key;       /* only those of this key end; 0: all */
	int64_t *replaced; /* further accounts whose sessions end */
	size_t replaced_count;
	const char *end_reason;     /* for the log */
	uint64_t accounts, enabled; /* of STATUS; of a list, how many rows so far */
	bool has_largest;           /* something was changed, and */
	uint64_t largest;           /* this is what accounts_largest says now */
	uint64_t without_scram;     /* as accounts_without_scram, with has_largest */
	uint64_t without_sha_1;     /* of STATUS, if sha_1 */
	uint64_t without_cram_md5;  /* so, too */
	uint64_t hashes;            /* of STATUS: accounts with an imported hash */
	bool has_frozen;            /* an account was frozen or thawed, and */
	char **frozen;              /* these are, now */
	size_t frozen_count;
	bool has_certificates; /* some changed, and */
	char **certificates;   /* these are all, now (account_certificates.h) */
	size_t certificate_count;
	/*
	 * USER_TEST of a name that back ends decide; admin asks them (elsewhere.h). secret is the
	 * password as they get it.
	 */
	bool may_ask; /* set by who asks: there are back ends, and they can be asked here */
	bool elsewhere;
	char elsewhere_name[ACCOUNT_NAME_MAX + 1];
	char elsewhere_source[ACCOUNT_SOURCE_MAX + 1]; /* of its account; "": all are asked */
	bool elsewhere_open;                           /* it is not kept out all the same */
	char elsewhere_state[512];                     /* that, in words */
	/* A list that goes on: run again for the next page. */
	bool more;
	char after[ACCOUNT_NAME_MAX + 1];
	char after_pattern[ACCOUNT_PATTERN_MAX + 1];
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
