/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may come in: how many sessions at a time, in total, from one source and of one account, how
 * fast new ones are let in, and what is kept for those who log in. Pure: no I/O, the time is
 * passed in, so that one process can decide for all that accept.
 *
 * A visitor knocks, waits for its turn if connections come faster than the rate, and is then let
 * in or turned away. A rate delays; only when too many wait already, of the source or of all, is
 * one of them turned away.
 *
 * Those who are not logged in may hold all places but the reserve; when none of theirs is left, the
 * oldest of them, of whoever has most of them, makes room for the new one. So whoever opens
 * connections and keeps them without logging in loses his own ones. Each has ADMISSION_TIME_MS to
 * log in before it must make room, unless it is one of a crowd (ADMISSION_CROWD) that keeps others
 * out: else a flood from many places would wash away each person before he can log in.
 *
 * A source is an IPv4 address or the /64 of an IPv6 address (what one subscriber has at least:
 * RFC 6177 2), found by a keyed hash. It is remembered while it has visitors, and beyond that only
 * until its rate is back at rest; at most ADMISSION_IDLE_MAX of these, the longest idle go first.
 * So memory is bounded by the visitors and that number, whatever comes from wherever. Who has most,
 * and whose turn it is, goes by networks first, and by their sources then: a network is an IPv4
 * address or an IPv6 /48, in which a site has 65 536 /64s to come from.
 */
#ifndef POSTERN_POLICY_ADMISSION_H
#define POSTERN_POLICY_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct admission;
struct visitor;

enum {
	ADMISSION_SOURCE = 16,      /* bytes of an address: IPv6, or IPv4 mapped into it */
	ADMISSION_IDLE_MAX = 65536, /* sources without visitors that are remembered */
	ADMISSION_BURST_MS = 1000,  /* as many as the rate allows in this time come at once */
	ADMISSION_TIME_MS = 1000,   /* in which anybody can log in, but for a slow hash or line */
	ADMISSION_CROWD = 16, /* a network with more than this part of the strangers' places */
};

/* 0: no such limit, but for sessions. */
struct admission_limits {
	uint32_t sessions;            /* at a time, in total; at least 1 */
	uint32_t reserve;             /* of them only for those who are logged in */
	uint32_t sessions_per_source; /* waiting ones count, too */
	uint32_t sessions_per_account;
	uint32_t rate;            /* new sessions per second, in total */
	uint32_t rate_per_source; /* per second */
	uint32_t waiting;         /* for their turn, in total */
	uint32_t waiting_per_source;
};

/* The limits that admission enforces, for counting how often each struck. */
enum admission_limit {
	ADMISSION_SESSIONS,       /* turned away, since all places are taken by those logged in */
	ADMISSION_RESERVE,        /* one not logged in made room, or the new one was turned away */
	ADMISSION_PER_SOURCE,     /* turned away */
	ADMISSION_PER_ACCOUNT,    /* a login was refused */
	ADMISSION_RATE,           /* had to wait */
	ADMISSION_SOURCE_RATE,    /* had to wait */
	ADMISSION_WAITING,        /* turned away, the new one or one that waited */
	ADMISSION_SOURCE_WAITING, /* turned away */
	ADMISSION_LIMITS,
};

enum admission_answer {
	ADMISSION_ENTER, /* it is in */
	ADMISSION_WAIT,  /* its turn comes: admission_next */
	ADMISSION_AWAY,  /* it is not in, and its visitor is gone */
};

struct admission_verdict {
	enum admission_answer answer;
	enum admission_limit why; /* with AWAY */
	/* Not NULL: this one was in (RESERVE) or waited (WAITING) and made room; the caller turns
	 * it away and frees it. */
	struct visitor *out;
	enum admission_limit why_out;
};

struct admission *admission_new(void);
void admission_free(struct admission **admission); /* its visitors must have been freed */
/* Those that are in stay. */
void admission_set_limits(struct admission *admission, const struct admission_limits *limits);

/*
 * Somebody at the door, at now (monotonic ms). data is the caller's and comes back from
 * visitor_data. *visitor_out is NULL if the answer is AWAY.
 */
struct admission_verdict admission_knock(struct admission *admission,
					 const unsigned char source[ADMISSION_SOURCE], int64_t now,
					 void *data, struct visitor **visitor_out);
/*
 * One that is in already, as the caller's predecessor knew; NULL if as many as limits.sessions are.
 * No other limit is looked at.
 */
struct visitor *admission_present(struct admission *admission,
				  const unsigned char source[ADMISSION_SOURCE], int64_t now,
				  void *data);
/*
 * The next of those who wait whose turn it is: ENTER or AWAY as in the verdict, and who. With AWAY
 * the caller frees the visitor, which is out. false: nobody's turn now; *wake_out is when it will
 * be somebody's (INT64_MAX: nobody waits).
 */
bool admission_next(struct admission *admission, int64_t now, struct admission_verdict *verdict_out,
		    struct visitor **visitor_out, int64_t *wake_out);

/* Gone, or given up while waiting, or out already: forgets it. NULL is none. */
void visitor_free(struct visitor **visitor);
void *visitor_data(const struct visitor *visitor);
bool visitor_waits(const struct visitor *visitor);
/* Now logged in: its place is no longer one of those who are not. */
void visitor_logged_in(struct visitor *visitor);

/*
 * A login of the account (its id, never 0) begins to hold a place, until account_leave. false:
 * the account has all that it may have, and nothing was counted.
 */
bool admission_account_enter(struct admission *admission, int64_t account);
void admission_account_leave(struct admission *admission, int64_t account);

/* What is used now, for the operator. */
struct admission_use {
	uint32_t sessions;  /* in */
	uint32_t strangers; /* of them not logged in */
	uint32_t waiting;
	uint32_t highest_source;  /* visitors of the source that has most */
	uint32_t highest_waiting; /* of them waiting, of the source that has most */
	uint32_t highest_account; /* logins of the account that has most */
	uint32_t sources;         /* remembered */
	uint64_t struck[ADMISSION_LIMITS];
};
void admission_use(const struct admission *admission, struct admission_use *use_out);

#endif
