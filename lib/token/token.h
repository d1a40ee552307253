/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bearer tokens (RFC 6750): JWT (RFC 7519) checked offline against a set of keys, and what an
 * issuer answers about a token (RFC 7662). No I/O; the time is passed in.
 *
 * What comes in was written by strangers, so everything is decided by what we hold, never by what
 * the token says of itself (RFC 8725): the key decides the algorithm (RS256, ES256, EdDSA and no
 * other), the kid only chooses among our keys, addresses and keys within the header are not
 * looked at, what is marked critical is refused, and so is all that is encrypted. Issuer, audience
 * and end of validity must be there.
 */
#ifndef POSTERN_TOKEN_TOKEN_H
#define POSTERN_TOKEN_TOKEN_H

#include "base/slice.h"

enum {
	TOKEN_MAX = 16384,         /* bytes of a token */
	TOKEN_KEYS_MAX = 262144,   /* of a set of keys */
	TOKEN_ANSWER_MAX = 65536,  /* of what an issuer says about a token */
	TOKEN_KEY_COUNT = 100,     /* in a set */
	TOKEN_DEPTH_MAX = 8,       /* levels of JSON */
	TOKEN_USER_MAX = 512,      /* bytes of a name in a claim */
	TOKEN_ISSUER_MAX = 1024,   /* bytes of an issuer's name */
	TOKEN_SKEW_MS = 60 * 1000, /* by which clocks may differ */
	TOKEN_FRESH_MAX = 365 * 24 * 3600,
	TOKEN_WHY = 256,
};

struct token_keys;

/*
 * The tables of the JSON reader are hashed under this seed, which must not be 0: once, before the
 * first token, from something that strangers cannot guess.
 */
void token_seed(uint32_t seed);

/*
 * A set of keys as issuers publish it (RFC 7517 section 5). Keys of other kinds, for other uses, or
 * too weak are left out; ERR_NOT_FOUND: none is left. ERR_SYNTAX, ERR_RANGE: it is no such set.
 * why then says so in words, and on ERR_OK why one was left out ("": none was).
 */
enum err token_keys_read(struct slice text, struct token_keys **keys_out, char why[TOKEN_WHY]);
void token_keys_free(struct token_keys **keys);
size_t token_keys_count(const struct token_keys *keys);

/* What a token must say. All of it is borrowed. */
struct token_rules {
	const char *issuer;
	char *const *audience; /* it must be meant for one of these */
	size_t audience_count;
	const char *scope;      /* NULL: any */
	const char *user_claim; /* the claim that names the account */
};

struct token_who {
	char user[TOKEN_USER_MAX + 1];
	int64_t expires; /* ms since 1970; 0: not said (answers only) */
};

enum token_verdict {
	TOKEN_GOOD,
	TOKEN_BAD,
	TOKEN_UNKNOWN_KEY, /* perhaps the issuer has new keys: ask for them, then try again */
};

/*
 * Who the token is for. now: ms since 1970. *who_out is written with TOKEN_GOOD only, *why_out
 * else: a word for the log, without anything of the token in it.
 */
enum token_verdict token_verify(const struct token_rules *rules, const struct token_keys *keys,
				struct slice token, int64_t now, struct token_who *who_out,
				const char **why_out);

/*
 * Who a token is for by what its issuer answered (RFC 7662 section 2.2): TOKEN_GOOD or TOKEN_BAD.
 * Audience must be there as in a token; issuer and times are checked if they are.
 */
enum token_verdict token_verify_answer(const struct token_rules *rules, struct slice answer,
				       int64_t now, struct token_who *who_out,
				       const char **why_out);

/* Whether it is an answer at all, good or bad: an object that says whether the token is active. */
bool token_answer_sound(struct slice answer);

/*
 * For how many seconds the answer with this Cache-Control (RFC 9111 section 5.2; several with
 * commas between) may be used, at most TOKEN_FRESH_MAX. false: it does not say, and *seconds_out
 * stays.
 */
bool token_fresh_for(struct slice cache_control, uint64_t *seconds_out);

/*
 * The issuer that a token claims to be of, unverified, to choose whose keys to look at. false: it
 * is no JWT with an issuer.
 */
bool token_claimed_issuer(struct slice token, char issuer_out[TOKEN_ISSUER_MAX + 1]);
/* Whether it has the form of one: three parts with dots between. */
bool token_is_jwt(struct slice token);

#endif
