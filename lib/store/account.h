/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An account as it is in memory: who may log in, how that is proven, and what it may send as. And
 * what login names mean. No call here waits for anything.
 */
#ifndef POSTERN_STORE_ACCOUNT_H
#define POSTERN_STORE_ACCOUNT_H

#include "store/verifier.h"

enum {
	/* RFC 5321 4.5.3.1: local part 64, domain 255, and the at sign. */
	ACCOUNT_NAME_MAX = 320,
	ACCOUNT_PATTERN_MAX = 320,
	ACCOUNT_PATTERNS = 200,       /* of one account or key; and groups that one account is in */
	ACCOUNT_PATTERNS_TEXT = 4000, /* bytes of all of them, joined with ", " */
	ACCOUNT_KEYS = 100,           /* of one account */
	ACCOUNT_KEY_NAME_MAX = 32,
	ACCOUNT_KEY_TAG = 4,   /* characters of a key's secret that tell which key it is */
	ACCOUNT_NETWORKS = 50, /* of one key */
	ACCOUNT_NETWORK_MAX = 63,
	ACCOUNT_SOURCE_MAX = 64, /* name of a back end */
	ACCOUNT_HASH_MAX = 512,
	ACCOUNT_REASON_MAX = 500, /* why it is frozen */
	ACCOUNT_WHY = 512,
};
/*
 * A device that is known by its address has an account, too: of this and its name, which no login can
 * have, with no password and this source. What it may do stands in the configuration.
 */
#define ACCOUNT_DEVICE        "device:"
#define ACCOUNT_DEVICE_SOURCE "device"
bool account_is_device(const char *name);
#define ACCOUNT_MESSAGE_MAX (UINT64_C(4) << 30) /* as of limits.message_size */

/* How many recipients. 0: as limits { } says; ACCOUNT_NO_LIMIT: any number. */
#define ACCOUNT_NO_LIMIT (-1)
struct account_limits {
	int64_t message, hour, day, strangers;
};

/* An application's own password, with rights of its own. */
struct account_key {
	int64_t id;
	char name[ACCOUNT_KEY_NAME_MAX + 1];
	char tag[ACCOUNT_KEY_TAG + 1];
	bool damaged;
	struct verifier verifier; /* all zero if damaged */
	char **send_as;           /* instead of the account's; none: the account's */
	size_t send_as_count;
	char **networks; /* where it may be used from; none: anywhere */
	size_t network_count;
	uint64_t message_size; /* 0: the account's */
	/* If any is set, what is sent with the key is counted by itself. */
	struct account_limits limits;
	int64_t created;
	int64_t expires; /* 0: never */
};

struct account {
	int64_t id;
	char *name;   /* canonical */
	char *source; /* the back end that proves its password; "": this store does */
	char *hash; /* an imported one, from which the verifier is made at the first good login; ""
		     */
	bool enabled;
	bool main_password; /* false: only keys log in */
	bool damaged;       /* the stored verifier cannot be read: no password fits */
	uint64_t generation;
	struct verifier verifier; /* all zero if damaged, or if there is none (source, hash) */
	struct account_key *key;  /* that the login names; NULL: the main password */
	char **send_as;           /* patterns of policy/rights.h; none: the account's own address */
	size_t send_as_count;
	char **groups; /* patterns that it shares with others, besides */
	size_t group_count;
	uint64_t message_size; /* bytes of its largest message; 0: limits.message_size */
	struct account_limits limits;
	int64_t created; /* ms since 1970, as all that follow */
	int64_t changed;
	int64_t password_changed;
	int64_t expires; /* no login from then on; 0: never */
	int64_t frozen;  /* since when; 0: it is not */
	char *frozen_why;
};

void account_release(struct account *account); /* verifiers wiped; may be zero */
void account_copy(const struct account *from, struct account *to_out);
void account_key_release(struct account_key *key);
void account_texts_free(char **texts, size_t count);
/* What proves the password that the login means: the key's or the account's; NULL: nothing. */
const struct verifier *account_verifier(const struct account *account);
/*
 * Why nobody may log in to it now, whatever the password, as a word for the log; NULL: one may.
 * client: numeric address. now: ms since 1970.
 */
const char *account_barred(const struct account *account, struct slice client, int64_t now);
/* Of the login: the key's, else the account's; 0: limits.message_size. */
uint64_t account_message_size(const struct account *account);
/*
 * The limits of what the login sends. Returns the key that it is counted for; 0: the account and
 * all its keys that have no limits of their own.
 */
int64_t account_limits(const struct account *account, struct account_limits *limits_out);
/* When the login ends by itself: the earlier of account and key; 0: never. */
int64_t account_expires(const struct account *account);

/*
 * A login name as people write it to its canonical form: lower case; in the domain that bare
 * names are completed with, the bare name. Local parts are letters, digits and . _ - ' (not + or
 * *, which mean something in sender patterns), domains are LDH labels. ERR_SYNTAX with a
 * sentence in why.
 */
enum err account_name_read(struct slice text, const char *domain,
			   char name_out[ACCOUNT_NAME_MAX + 1], char why[ACCOUNT_WHY]);
/*
 * What a client calls itself: a login name, or that of a key, as alice#scanner, or where programs
 * want an address alice#scanner@example.org or alice@example.org#scanner. ERR_SYNTAX.
 */
struct account_login {
	char name[ACCOUNT_NAME_MAX + 1];
	char key[ACCOUNT_KEY_NAME_MAX + 1]; /* "": none is named */
	char tag[ACCOUNT_KEY_TAG + 1];      /* of the password, if it looks like a key's; "" */
};
enum err account_login_read(struct slice text, struct slice password, const char *domain,
			    struct account_login *login_out, char why[ACCOUNT_WHY]);
/* Which credential that is, in one text: for caches and for the salt of one that is not there. */
enum { ACCOUNT_CREDENTIAL_MAX = ACCOUNT_NAME_MAX + ACCOUNT_KEY_NAME_MAX + ACCOUNT_KEY_TAG + 3 };
void account_login_print(const struct account_login *login,
			 char text_out[ACCOUNT_CREDENTIAL_MAX + 1]);
/* Lower case letters, digits and . _ -, at most ACCOUNT_KEY_NAME_MAX. ERR_SYNTAX. */
enum err account_key_name_read(struct slice text, char name_out[ACCOUNT_KEY_NAME_MAX + 1],
			       char why[ACCOUNT_WHY]);
/* The mail address of a canonical name: name@domain, or the name if it has a domain. ERR_RANGE. */
enum err account_address(const char *name, const char *domain,
			 char address_out[ACCOUNT_NAME_MAX + 1]);

#endif
