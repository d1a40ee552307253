/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of operation.h share; nobody else includes this. */
#ifndef POSTERN_AUTH_OPERATION_INTERNAL_H
#define POSTERN_AUTH_OPERATION_INTERNAL_H

#include "fields.h"
#include "operation.h"
#include "store/account_use.h"
#include "store/password.h"

struct account_key;

/* ---- operation_rows.c: answers --------------------------------------------------------------- */

void operation_say(struct operation *operation, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same, for what was not done. */
void operation_refuse(struct operation *operation, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
struct ipc_list_builder *operation_row(struct operation *operation);
void row_size(struct ipc_list_builder *row, const char *key, uint64_t bytes); /* 0: default */
void row_limits(struct ipc_list_builder *row, const struct account_limits *limits);
/* "message default, hour 5000, day none, new default", or "default" */
enum { OPERATION_LIMITS = 160 };
void operation_limits(const struct account_limits *limits, char text_out[OPERATION_LIMITS]);
/* Joined with ", ", and cut at ACCOUNT_PATTERNS_TEXT. */
void row_texts(struct ipc_list_builder *row, const char *key, char *const *texts, size_t count,
	       const char *none);
/* name and address. */
void row_name(struct operation *operation, struct ipc_list_builder *row, const char *name);
void row_use(struct ipc_list_builder *row, const struct account_use *use);
void row_key(struct ipc_list_builder *row, const struct account *account,
	     const struct account_key *key);
/* "alice@example.org, *@lab.example.org": what a login may send as, by its key if it has one. */
void operation_senders(struct operation *operation, const struct account *account,
		       char text_out[ACCOUNT_PATTERNS_TEXT + 1]);

/* ---- operation_args.c: what was given; each refuses what cannot be -----------------------------
 */

bool operation_read_name(struct operation *operation, char name[ACCOUNT_NAME_MAX + 1]);
/* The account that the subject names. */
bool operation_find(struct operation *operation, struct accounts *accounts,
		    struct account *account_out);
bool operation_sizes_ok(struct operation *operation);
/* Changes those limits that were given. */
bool operation_sending_limits(struct operation *operation, struct account_limits *limits);
bool operation_senders_ok(struct operation *operation);
bool operation_networks_ok(struct operation *operation);
/* 0: never. */
bool operation_expires(struct operation *operation, int64_t now, int64_t *expires_out);
bool operation_key_name(struct operation *operation, char name[ACCOUNT_KEY_NAME_MAX + 1]);
/* In lower case. */
bool operation_pattern(struct operation *operation, const char *text,
		       char pattern[ACCOUNT_PATTERN_MAX + 1]);
/* The password that was given, or one that is made here and told in text_out. */
bool operation_password(struct operation *operation, const char *name,
			char text_out[PASSWORD_GENERATED + 1], struct verifier *verifier_out);
/* Of a secret that is no mere guess: name is for complaints. */
bool operation_verifier(struct operation *operation, const char *name, struct slice secret,
			struct verifier *verifier_out);
/* The further verifiers that the configuration asks for; key 0: of the main password. */
void operation_extras(struct operation *operation, struct accounts *accounts, int64_t account,
		      int64_t key, struct slice secret);

/* ---- the operations -------------------------------------------------------------------------- */

void operation_user_add(struct operation *operation, struct accounts *accounts, int64_t now);
void operation_user_password(struct operation *operation, struct accounts *accounts, int64_t now);
void operation_user_enable(struct operation *operation, struct accounts *accounts, int64_t now,
			   bool enable);
void operation_user_delete(struct operation *operation, struct accounts *accounts);
void operation_user_set(struct operation *operation, struct accounts *accounts, int64_t now);
void operation_user_freeze(struct operation *operation, struct accounts *accounts, int64_t now);
void operation_user_thaw(struct operation *operation, struct accounts *accounts, int64_t now);
void operation_user_show(struct operation *operation, struct accounts *accounts, int64_t now);
void operation_user_list(struct operation *operation, struct accounts *accounts);
void operation_user_test(struct operation *operation, struct accounts *accounts, int64_t now);
void operation_user_import(struct operation *operation, struct accounts *accounts, int64_t now);
void operation_key_add(struct operation *operation, struct accounts *accounts, int64_t now);
void operation_key_list(struct operation *operation, struct accounts *accounts);
void operation_key_remove(struct operation *operation, struct accounts *accounts, int64_t now);
void operation_group_add(struct operation *operation, struct accounts *accounts, int64_t now);
void operation_group_remove(struct operation *operation, struct accounts *accounts, int64_t now);
void operation_report(struct operation *operation, struct accounts *accounts);
void operation_group_list(struct operation *operation, struct accounts *accounts);

#endif
