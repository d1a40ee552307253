/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The accounts: who may log in, with which verifier, and what they may send as. An SQLite file
 * (WAL, synchronous=FULL) of which one process at a time is the writer: auth, or, when the
 * server is down, the auth process that the CLI started under the lock.
 *
 * Invariants: names are unique and canonical (account_name_read); an id is never used again; each
 * change of password, keys, rights or state raises the generation, so (id, generation) stands for
 * exactly one password, one set of keys and rights and one state.
 *
 * Each call may wait for the disk: worker threads only. A struct accounts is used by one thread
 * at a time; several may be open on the same file.
 */
#ifndef POSTERN_STORE_ACCOUNTS_H
#define POSTERN_STORE_ACCOUNTS_H

#include "store/account.h"

struct accounts;

/*
 * Opens the store at path, and makes it if it is not there. The errors say in why what is wrong
 * and how to mend it: ERR_DENIED, ERR_NOT_FOUND (no folder), ERR_CORRUPT (no such database, or of
 * a newer version), ERR_BUSY, ERR_NO_SPACE, ERR_IO.
 */
enum err accounts_open(const char *path, struct accounts **accounts_out, char why[ACCOUNT_WHY]);
void accounts_close(struct accounts **accounts);
/* Why the last call failed, for logs and people; valid until the next call. */
const char *accounts_why(const struct accounts *accounts);

/* A random key made with the store and kept in it: for verifier_fake. */
const unsigned char *accounts_key(const struct accounts *accounts);

/*
 * All take the canonical name. A bare name also finds the account that was added under
 * name@domain before domain became the one that bare names are completed with. The account is
 * without keys. ERR_NOT_FOUND, ERR_BUSY, ERR_NO_SPACE, ERR_CORRUPT, ERR_IO.
 */
enum err accounts_find(struct accounts *accounts, const char *name, const char *domain,
		       struct account *account_out);
/*
 * The same, with the key that the login means: the one it names, else the one whose tag the
 * password has, else none. ERR_NOT_FOUND too if there is no key of that name; it takes as long as
 * if there were such an account.
 */
enum err accounts_find_login(struct accounts *accounts, const struct account_login *login,
			     const char *domain, struct account *account_out);
/* The first max accounts, by name, after the given name ("" for the first); freed by the caller. */
enum err accounts_list(struct accounts *accounts, const char *after, size_t max,
		       struct account *accounts_out, size_t *count_out);
enum err accounts_count(struct accounts *accounts, uint64_t *count_out, uint64_t *enabled_out);
/* The largest message_size of those that are enabled, and of their keys; 0: none has its own. */
enum err accounts_largest(struct accounts *accounts, uint64_t *bytes_out);
/* The names of those that are frozen, in order; freed by account_texts_free. */
enum err accounts_frozen(struct accounts *accounts, char ***names_out, size_t *count_out);

struct account_new {
	const char *name;
	const struct verifier *verifier; /* NULL: source or hash says how passwords are proven */
	const char *source, *hash;       /* NULL: "" */
	const char *const *send_as;
	size_t send_as_count;
	uint64_t message_size;
	struct account_limits limits;
	int64_t expires;
};

/* On disk when they return ERR_OK. now: ms since 1970. ERR_EXISTS: the name is taken. */
enum err accounts_add(struct accounts *accounts, const struct account_new *account, int64_t now,
		      int64_t *id_out);
/* From then on the store proves its password: source, hash and other verifiers of it are gone. */
enum err accounts_set_verifier(struct accounts *accounts, int64_t id,
			       const struct verifier *verifier, int64_t now);
enum err accounts_set_enabled(struct accounts *accounts, int64_t id, bool enabled, int64_t now);
enum err accounts_set_send_as(struct accounts *accounts, int64_t id, const char *const *send_as,
			      size_t send_as_count, int64_t now);
/* bytes: 0 for limits.message_size. ERR_RANGE: more than ACCOUNT_MESSAGE_MAX. */
enum err accounts_set_message_size(struct accounts *accounts, int64_t id, uint64_t bytes,
				   int64_t now);
enum err accounts_set_expires(struct accounts *accounts, int64_t id, int64_t expires, int64_t now);
enum err accounts_set_main_password(struct accounts *accounts, int64_t id, bool allowed,
				    int64_t now);
/* since: 0 thaws. why: at most ACCOUNT_REASON_MAX bytes are kept. */
enum err accounts_set_frozen(struct accounts *accounts, int64_t id, int64_t since, const char *why,
			     int64_t now);
enum err accounts_delete(struct accounts *accounts, int64_t id);

#endif
