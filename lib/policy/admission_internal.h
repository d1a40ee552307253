/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of admission share: where visitors come from, and who they are. */
#ifndef POSTERN_POLICY_ADMISSION_INTERNAL_H
#define POSTERN_POLICY_ADMISSION_INTERNAL_H

#include "base/hash.h"
#include "policy/admission.h"
#include "policy/ranking.h"

enum { ADMISSION_US_PER_MS = 1000, ADMISSION_US_PER_S = 1000000 };

enum visitor_state { VISITOR_WAITING, VISITOR_STRANGER, VISITOR_LOGGED_IN, VISITOR_OUT };

struct visitor {
	struct admission *admission;
	struct source *source; /* NULL when OUT */
	void *data;
	enum visitor_state state;
	int64_t since;                 /* ms: when it came in */
	struct visitor *prev, *next;   /* those of its source in the same state, oldest first */
	struct visitor *older, *newer; /* all strangers */
};

/* An IPv4 address or an IPv6 /64. */
struct source {
	UT_hash_handle hh;
	unsigned char key[ADMISSION_SOURCE];
	struct network *network; /* NULL: it has no visitors */
	uint32_t logged_in;
	struct ranked strangers, waiting; /* among those of its network */
	struct visitor *waiting_list, *stranger_list;
	int64_t rest_at;            /* us: when its bucket is full again */
	struct source *prev, *next; /* of the ring of its network, or the idle list */
	bool idle;
};

/* An IPv4 address or an IPv6 /48, while it has visitors. */
struct network {
	UT_hash_handle hh;
	unsigned char key[ADMISSION_SOURCE];
	uint32_t sources;                 /* with visitors */
	struct ranked strangers, waiting; /* among all networks */
	struct ranking by_strangers, by_waiting;
	struct source *ring; /* with somebody waiting; whose turn it is first */
	struct network *prev, *next;
};

struct account_logins {
	UT_hash_handle hh;
	int64_t id;
	uint32_t logins;
};

struct admission {
	struct admission_limits limits;
	struct source *sources;   /* by key */
	struct network *networks; /* by key */
	struct source *idle;      /* longest idle first */
	uint32_t idle_count;
	struct network *ring; /* with somebody waiting; whose turn it is first */
	struct ranking by_strangers, by_waiting;
	struct visitor *oldest; /* list of all strangers */
	struct account_logins *accounts;
	uint32_t sessions, strangers, waiting;
	int64_t rest_at; /* us, of the whole */
	int64_t now;     /* as last told */
	uint64_t struck[ADMISSION_LIMITS];
};

/* ---- admission_sources.c ---- */

/* The source of an address, which is about to have a visitor; retire it if that comes to nothing.
 */
struct source *source_get(struct admission *admission,
			  const unsigned char address[ADMISSION_SOURCE]);
/* It may have no visitors any more: then it is remembered only for its rate. */
void source_retire(struct admission *admission, struct source *source);
/* Forgets those that are remembered for their rate only. */
void sources_forget_idle(struct admission *admission);
void sources_release(struct admission *admission);
uint32_t source_visitors(const struct source *source);

/* These keep the counts of the source, of its network and of all. */
void source_add_stranger(struct admission *admission, struct source *source);
void source_remove_stranger(struct admission *admission, struct source *source);
void source_add_waiting(struct admission *admission, struct source *source);
void source_remove_waiting(struct admission *admission, struct source *source);

/* ---- admission_accounts.c ---- */

void accounts_release(struct admission *admission);
uint32_t accounts_highest(const struct admission *admission);

#endif
