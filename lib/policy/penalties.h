/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who guesses passwords, and what follows. Pure: no I/O, the time is passed in (monotonic ms).
 *
 * Only failures count. Each adds a point to its source, to the network around it (which may have
 * more of them), to the pair of source and account, and to what strangers did to the account;
 * points drain away with time. The same wrong password again for the same account from the same
 * source is a program with an old password and no guess: it adds nothing, unless it comes very
 * often.
 *
 *	source, network, pair	full: blocked for a time that doubles with each block
 *	strangers of an account	full: those who never logged in to it wait; nobody is blocked
 *
 * Strangers lock nobody out: for an account that has logged in from a source before
 * (policy/known.h) only the pair of the two is looked at, and nothing that others did. Attempts
 * under way are counted as if they failed, so that no number of them at once is more than one after
 * the other; who would be beyond the limit only if they all failed waits for them.
 *
 * Of bounded size: entries that have no points left go first, then those that were unused longest.
 */
#ifndef POSTERN_POLICY_PENALTIES_H
#define POSTERN_POLICY_PENALTIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/known.h"
#include "policy/source.h"

struct penalties;

enum {
	PENALTIES_MAX = 32768,    /* entries of each kind: at most 10 MB of each */
	PENALTIES_NETWORK = 5,    /* times as many failures as of one source: whole /24 or /48 */
	PENALTIES_DOUBLINGS = 4,  /* of the time of a block; sixteen times as long at most */
	PENALTIES_STRANGERS = 20, /* failures of strangers to one account at once */
	PENALTIES_STRANGER_MS = 6000, /* and then ten a minute */
	PENALTIES_REPEATS = 20, /* of the same wrong password at once, then as many a minute */
	PENALTIES_DELAY_FIRST =
		500, /* ms that the answer to the second failure waits; it doubles */
	PENALTIES_DELAY_MAX = 8000,
	PENALTIES_NAME_MAX = 320,
};

struct penalties_rules {
	uint32_t failures; /* of a source until it is blocked; 0: nothing of all this */
	int64_t block;     /* ms of its first block, in which its points drain away, too */
};

enum penalties_answer {
	PENALTIES_GO,      /* it is under way until penalties_end */
	PENALTIES_WAIT,    /* ask again when another one has ended */
	PENALTIES_LATER,   /* strangers have failed too often at this account */
	PENALTIES_BLOCKED, /* the source, the network around it, or this account for this source */
};

/* One attempt to log in. The caller fills in the first four and keeps it until it has ended. */
struct penalties_attempt {
	unsigned char source[SOURCE_BYTES];
	const char *account; /* canonical name; need not exist */
	enum known_degree degree;
	bool exempt;       /* never blocked: many people share this source */
	uint64_t password; /* keyed hash of what was tried; 0: the mechanism does not show it */
	unsigned kinds;    /* own: what it is counted in */
	bool under_way;
};

/* What is blocked, for logs and for the operator. */
struct penalties_row {
	const struct network *network; /* NULL: strangers, wherever they come from */
	const char *account;           /* "": all */
	int64_t since, until;
	uint32_t failures;
	const char *reason; /* of the last one */
};
typedef void penalties_fn(void *arg, const struct penalties_row *row);

enum penalties_outcome {
	PENALTIES_FAILED,
	PENALTIES_SUCCEEDED,
	PENALTIES_DROPPED, /* it was not found out: a fault of ours */
};

/* on_block is called at the beginning of each block, from within penalties_end. */
struct penalties *penalties_new(penalties_fn *on_block, void *arg);
void penalties_free(struct penalties **penalties);
void penalties_set_rules(struct penalties *penalties, const struct penalties_rules *rules);

/* Before anything that costs time is done for it. */
enum penalties_answer penalties_begin(struct penalties *penalties,
				      struct penalties_attempt *attempt, int64_t now);
/*
 * How it ended; nothing happens if it did not begin. reason lives as long as the program. Returns
 * the ms that the answer is to wait: 0 but for failures.
 */
uint32_t penalties_end(struct penalties *penalties, struct penalties_attempt *attempt,
		       enum penalties_outcome outcome, const char *reason, int64_t now);

/* ---- for the operator ---- */
/* All that is blocked now. */
void penalties_each(const struct penalties *penalties, int64_t now, penalties_fn *fn, void *arg);
size_t penalties_blocked(const struct penalties *penalties, int64_t now);
/* Forgets what lies in the network, and the networks that it lies in; returns how many blocks. */
size_t penalties_forgive_network(struct penalties *penalties, const struct network *network,
				 int64_t now);
size_t penalties_forgive_account(struct penalties *penalties, const char *account, int64_t now);

#endif
