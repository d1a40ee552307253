/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The accounts: who may log in, with which verifier, and what they may send as. An SQLite file
 * (WAL, synchronous=FULL) of which one process at a time is the writer: auth, or, when the
 * server is down, the auth process that the CLI started under the lock.
 *
 * Invariants: names are unique and canonical (account_name_read); an id is never used again; each
 * change of password, rights or state raises the generation, so (id, generation) stands for
 * exactly one password, one set of rights and one state.
 *
 * Each call may wait for the disk: worker threads only. A struct accounts is used by one thread
 * at a time; several may be open on the same file.
 */
#ifndef POSTERN_STORE_ACCOUNTS_H
#define POSTERN_STORE_ACCOUNTS_H

#include "store/verifier.h"

struct accounts;

enum {
	/* RFC 5321 4.5.3.1: local part 64, domain 255, and the at sign. */
	ACCOUNT_NAME_MAX = 320,
	ACCOUNT_PATTERN_MAX = 320,
	ACCOUNT_PATTERNS = 200,       /* of one account */
	ACCOUNT_PATTERNS_TEXT = 4000, /* bytes of all of them, joined with ", " */
	ACCOUNT_WHY = 512,
};
#define ACCOUNT_MESSAGE_MAX (UINT64_C(4) << 30) /* as of limits.message_size */

struct account {
	int64_t id;
	char *name; /* canonical */
	bool enabled;
	bool damaged; /* the stored verifier cannot be read: no password fits */
	uint64_t generation;
	struct verifier verifier; /* all zero if damaged */
	char **send_as;           /* patterns of policy/rights.h; none: the account's own address */
	size_t send_as_count;
	uint64_t message_size; /* bytes of its largest message; 0: limits.message_size */
	int64_t created;       /* ms since 1970, as the next two */
	int64_t changed;
	int64_t password_changed;
};

void account_release(struct account *account); /* verifier wiped; may be zero */
void account_copy(const struct account *from, struct account *to_out);

/*
 * A login name as people write it to its canonical form: lower case; in the domain that bare
 * names are completed with, the bare name. Local parts are letters, digits and . _ - ' (not + or
 * *, which mean something in sender patterns), domains are LDH labels. ERR_SYNTAX with a
 * sentence in why.
 */
enum err account_name_read(struct slice text, const char *domain,
			   char name_out[ACCOUNT_NAME_MAX + 1], char why[ACCOUNT_WHY]);
/* The mail address of a canonical name: name@domain, or the name if it has a domain. ERR_RANGE. */
enum err account_address(const char *name, const char *domain,
			 char address_out[ACCOUNT_NAME_MAX + 1]);

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
 * name@domain before domain became the one that bare names are completed with.
 * ERR_NOT_FOUND, ERR_BUSY, ERR_NO_SPACE, ERR_CORRUPT, ERR_IO.
 */
enum err accounts_find(struct accounts *accounts, const char *name, const char *domain,
		       struct account *account_out);
/* The first max accounts, by name, after the given name ("" for the first); freed by the caller. */
enum err accounts_list(struct accounts *accounts, const char *after, size_t max,
		       struct account *accounts_out, size_t *count_out);
enum err accounts_count(struct accounts *accounts, uint64_t *count_out, uint64_t *enabled_out);
/* The largest message_size of those that are enabled; 0: none has one of its own. */
enum err accounts_largest(struct accounts *accounts, uint64_t *bytes_out);

/* On disk when they return ERR_OK. now: ms since 1970. ERR_EXISTS: the name is taken. */
enum err accounts_add(struct accounts *accounts, const char *name, const struct verifier *verifier,
		      const char *const *send_as, size_t send_as_count, int64_t now,
		      int64_t *id_out);
enum err accounts_set_verifier(struct accounts *accounts, int64_t id,
			       const struct verifier *verifier, int64_t now);
enum err accounts_set_enabled(struct accounts *accounts, int64_t id, bool enabled, int64_t now);
enum err accounts_set_send_as(struct accounts *accounts, int64_t id, const char *const *send_as,
			      size_t send_as_count, int64_t now);
/* bytes: 0 for limits.message_size. ERR_RANGE: more than ACCOUNT_MESSAGE_MAX. */
enum err accounts_set_message_size(struct accounts *accounts, int64_t id, uint64_t bytes,
				   int64_t now);
enum err accounts_delete(struct accounts *accounts, int64_t id);

#endif
