/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariants: a source's counts are the lengths of its lists plus those who are logged in; ranks[n]
 * holds exactly the sources with n strangers, the one that came to that number first at its head;
 * the ring holds exactly the sources with somebody waiting; a source without visitors is in the
 * idle list or gone.
 */
#include "policy/admission.h"

#include <string.h>
#include <utlist.h>

#include "base/hash.h"
#include "base/mem.h"

enum { SWEEP = 2, US_PER_MS = 1000, US_PER_S = 1000000 };

enum state { WAITING, STRANGER, LOGGED_IN, OUT };

struct visitor {
	struct admission *admission;
	struct source *source; /* NULL when OUT */
	void *data;
	enum state state;
	struct visitor *prev, *next; /* those of its source in the same state, oldest first */
};

struct source {
	UT_hash_handle hh;
	unsigned char key[ADMISSION_SOURCE];
	uint32_t waiting, strangers, logged_in;
	struct visitor *waiting_list, *stranger_list;
	int64_t rest_at;            /* us: when its bucket is full again */
	struct source *prev, *next; /* the ring, or the idle list */
	struct source *rank_prev, *rank_next;
	bool idle;
};

struct account {
	UT_hash_handle hh;
	int64_t id;
	uint32_t logins;
};

struct admission {
	struct admission_limits limits;
	struct source *sources; /* by key */
	struct source *ring;    /* whose turn it is first */
	struct source *idle;    /* longest idle first */
	uint32_t idle_count;
	struct source **ranks; /* lists by number of strangers */
	uint32_t ranks_size;
	uint32_t top; /* the highest rank with a source; 0: there are no strangers */
	struct account *accounts;
	uint32_t sessions, strangers, waiting;
	int64_t rest_at; /* us, of the whole */
	int64_t now;     /* as last told */
	uint64_t struck[ADMISSION_LIMITS];
};

/* ---- rates: GCRA, a token bucket that is one number ------------------------------------------ */

static int64_t interval(uint32_t rate)
{
	return US_PER_S / rate > 0 ? US_PER_S / rate : 1;
}

/* When the next one may come, in us; any time in the past if now. */
static int64_t rate_due(uint32_t rate, int64_t rest_at)
{
	return rate == 0 ? INT64_MIN : rest_at - (ADMISSION_BURST_MS * US_PER_MS - interval(rate));
}

static void rate_take(uint32_t rate, int64_t *rest_at, int64_t now_us)
{
	if (rate == 0)
		return;
	*rest_at = (*rest_at > now_us ? *rest_at : now_us) + interval(rate);
}

/* ---- sources --------------------------------------------------------------------------------- */

/* An IPv4 address whole, of an IPv6 address the first 64 bits. */
static void source_key(const unsigned char source[ADMISSION_SOURCE],
		       unsigned char key_out[ADMISSION_SOURCE])
{
	static const unsigned char MAPPED[12] = {[10] = 0xff, [11] = 0xff};

	memcpy(key_out, source, ADMISSION_SOURCE);
	if (memcmp(source, MAPPED, sizeof(MAPPED)) != 0)
		memset(key_out + 8, 0, 8);
}

static void forget(struct admission *admission, struct source *source)
{
	if (source->idle) {
		DL_DELETE(admission->idle, source);
		admission->idle_count--;
	}
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): whoever is known is in it */
	HASH_DEL(admission->sources, source);
	mem_free(source);
}

static bool at_rest(const struct admission *admission, const struct source *source)
{
	return admission->limits.rate_per_source == 0 ||
	       source->rest_at <= admission->now * US_PER_MS;
}

/* It may have no visitors any more: then it is remembered only for its rate. */
static void retire(struct admission *admission, struct source *source)
{
	if (source->waiting + source->strangers + source->logged_in > 0)
		return;
	if (at_rest(admission, source)) {
		forget(admission, source);
		return;
	}
	source->idle = true;
	DL_APPEND(admission->idle, source);
	admission->idle_count++;
	for (int i = 0; i < SWEEP && at_rest(admission, admission->idle); i++) {
		forget(admission, admission->idle);
		if (admission->idle == NULL)
			return;
	}
	if (admission->idle_count > ADMISSION_IDLE_MAX)
		forget(admission, admission->idle);
}

static struct source *find_or_add(struct admission *admission,
				  const unsigned char address[ADMISSION_SOURCE])
{
	unsigned char key[ADMISSION_SOURCE];
	struct source *source;

	source_key(address, key);
	HASH_FIND(hh, admission->sources, key, sizeof(key), source);
	if (source == NULL) {
		source = mem_alloc(sizeof(*source));
		memcpy(source->key, key, sizeof(key));
		HASH_ADD(hh, admission->sources, key, sizeof(source->key), source);
	} else if (source->idle) {
		DL_DELETE(admission->idle, source);
		admission->idle_count--;
		source->idle = false;
	}
	return source;
}

/* ---- ranks: which source has most strangers -------------------------------------------------- */

static void rank_leave(struct admission *admission, struct source *source)
{
	if (source->strangers == 0)
		return;
	DL_DELETE2(admission->ranks[source->strangers], source, rank_prev, rank_next);
	while (admission->top > 0 && admission->ranks[admission->top] == NULL)
		admission->top--;
}

static void rank_join(struct admission *admission, struct source *source)
{
	uint32_t rank = source->strangers;

	if (rank == 0)
		return;
	if (rank >= admission->ranks_size) {
		uint32_t size = rank * 2 + 64;

		admission->ranks = mem_resize(admission->ranks, size * sizeof(struct source *));
		memset(admission->ranks + admission->ranks_size, 0,
		       (size - admission->ranks_size) * sizeof(struct source *));
		admission->ranks_size = size;
	}
	DL_APPEND2(admission->ranks[rank], source, rank_prev, rank_next);
	if (rank > admission->top)
		admission->top = rank;
}

static void add_stranger(struct visitor *visitor)
{
	struct admission *admission = visitor->admission;
	struct source *source = visitor->source;

	visitor->state = STRANGER;
	DL_APPEND(source->stranger_list, visitor);
	rank_leave(admission, source);
	source->strangers++;
	rank_join(admission, source);
	admission->strangers++;
	admission->sessions++;
}

/* ---- visitors -------------------------------------------------------------------------------- */

static struct visitor *visitor_new(struct admission *admission, struct source *source, void *data)
{
	struct visitor *visitor = mem_alloc(sizeof(*visitor));

	visitor->admission = admission;
	visitor->source = source;
	visitor->data = data;
	visitor->state = OUT;
	return visitor;
}

static void stop_waiting(struct visitor *visitor)
{
	struct admission *admission = visitor->admission;
	struct source *source = visitor->source;

	DL_DELETE(source->waiting_list, visitor);
	admission->waiting--;
	if (--source->waiting == 0)
		DL_DELETE(admission->ring, source);
}

static void stop_being_stranger(struct visitor *visitor)
{
	struct admission *admission = visitor->admission;
	struct source *source = visitor->source;

	DL_DELETE(source->stranger_list, visitor);
	rank_leave(admission, source);
	source->strangers--;
	rank_join(admission, source);
	admission->strangers--;
}

/* It holds nothing any more. */
static void leave(struct visitor *visitor)
{
	struct source *source = visitor->source;

	switch (visitor->state) {
	case WAITING:
		stop_waiting(visitor);
		break;
	case STRANGER:
		stop_being_stranger(visitor);
		visitor->admission->sessions--;
		break;
	case LOGGED_IN:
		source->logged_in--;
		visitor->admission->sessions--;
		break;
	case OUT:
		return;
	}
	visitor->state = OUT;
	visitor->source = NULL;
	retire(visitor->admission, source);
}

void visitor_free(struct visitor **visitor)
{
	if (*visitor == NULL)
		return;
	leave(*visitor);
	MEM_FREE(*visitor);
}

void *visitor_data(const struct visitor *visitor)
{
	return visitor->data;
}

bool visitor_waits(const struct visitor *visitor)
{
	return visitor->state == WAITING;
}

void visitor_logged_in(struct visitor *visitor)
{
	if (visitor->state != STRANGER)
		return;
	stop_being_stranger(visitor);
	visitor->source->logged_in++;
	visitor->state = LOGGED_IN;
}

/* ---- the door -------------------------------------------------------------------------------- */

static uint32_t strangers_max(const struct admission_limits *limits)
{
	return limits->sessions > limits->reserve ? limits->sessions - limits->reserve : 1;
}

/* Lets in the visitor, who is in no list; or says that there is no room. */
static struct admission_verdict enter(struct visitor *visitor)
{
	struct admission *admission = visitor->admission;
	const struct admission_limits *limits = &admission->limits;
	struct admission_verdict verdict = {.answer = ADMISSION_ENTER};
	bool full = admission->sessions >= limits->sessions;

	if (full || admission->strangers >= strangers_max(limits)) {
		/* Fewer are wanted than there were: newcomers wait until that is so. */
		if (admission->strangers == 0 || admission->sessions > limits->sessions) {
			admission->struck[ADMISSION_SESSIONS]++;
			verdict.answer = ADMISSION_AWAY;
			verdict.why = ADMISSION_SESSIONS;
			return verdict;
		}
		admission->struck[ADMISSION_RESERVE]++;
		verdict.out = admission->ranks[admission->top]->stranger_list;
	}
	add_stranger(visitor);
	if (verdict.out != NULL)
		leave(verdict.out);
	return verdict;
}

static void wait_for_turn(struct visitor *visitor)
{
	struct admission *admission = visitor->admission;
	struct source *source = visitor->source;

	visitor->state = WAITING;
	DL_APPEND(source->waiting_list, visitor);
	admission->waiting++;
	if (source->waiting++ == 0)
		DL_APPEND(admission->ring, source);
}

/* Whether the visitor of the source must wait; counts what makes it wait. */
static bool must_wait(struct admission *admission, const struct source *source, int64_t now_us)
{
	const struct admission_limits *limits = &admission->limits;

	if (source->waiting > 0 || rate_due(limits->rate_per_source, source->rest_at) > now_us) {
		admission->struck[ADMISSION_SOURCE_RATE] += limits->rate_per_source != 0;
		return true;
	}
	/* Behind others who wait, too: admission_next keeps the order. */
	if (limits->rate != 0 &&
	    (admission->waiting > 0 || rate_due(limits->rate, admission->rest_at) > now_us)) {
		admission->struck[ADMISSION_RATE]++;
		return true;
	}
	return false;
}

static void take_turn(struct admission *admission, struct source *source, int64_t now_us)
{
	rate_take(admission->limits.rate, &admission->rest_at, now_us);
	rate_take(admission->limits.rate_per_source, &source->rest_at, now_us);
}

struct admission_verdict admission_knock(struct admission *admission,
					 const unsigned char address[ADMISSION_SOURCE], int64_t now,
					 void *data, struct visitor **visitor_out)
{
	const struct admission_limits *limits = &admission->limits;
	struct source *source = find_or_add(admission, address);
	struct admission_verdict verdict = {.answer = ADMISSION_WAIT};
	struct visitor *visitor;

	admission->now = now;
	*visitor_out = NULL;
	if (limits->sessions_per_source != 0 &&
	    source->waiting + source->strangers + source->logged_in >=
		    limits->sessions_per_source) {
		admission->struck[ADMISSION_PER_SOURCE]++;
		retire(admission, source);
		return (struct admission_verdict){.answer = ADMISSION_AWAY,
						  .why = ADMISSION_PER_SOURCE};
	}
	visitor = visitor_new(admission, source, data);
	if (must_wait(admission, source, now * US_PER_MS)) {
		wait_for_turn(visitor);
	} else {
		take_turn(admission, source, now * US_PER_MS);
		verdict = enter(visitor);
	}
	if (verdict.answer == ADMISSION_AWAY) {
		mem_free(visitor);
		retire(admission, source);
		return verdict;
	}
	*visitor_out = visitor;
	return verdict;
}

struct visitor *admission_present(struct admission *admission,
				  const unsigned char address[ADMISSION_SOURCE], int64_t now,
				  void *data)
{
	struct visitor *visitor = visitor_new(admission, find_or_add(admission, address), data);

	admission->now = now;
	add_stranger(visitor);
	return visitor;
}

/* The first source in the ring whose own rate lets one in; else NULL and when one will. */
static struct source *whose_turn(const struct admission *admission, int64_t now_us,
				 int64_t *due_out)
{
	struct source *source;

	*due_out = INT64_MAX;
	DL_FOREACH (admission->ring, source) {
		int64_t due = rate_due(admission->limits.rate_per_source, source->rest_at);

		if (due <= now_us)
			return source;
		if (due < *due_out)
			*due_out = due;
	}
	return NULL;
}

static int64_t ms_after(int64_t us)
{
	return us == INT64_MAX ? INT64_MAX : us / US_PER_MS + 1;
}

bool admission_next(struct admission *admission, int64_t now, struct admission_verdict *verdict_out,
		    struct visitor **visitor_out, int64_t *wake_out)
{
	int64_t now_us = now * US_PER_MS;
	int64_t due = rate_due(admission->limits.rate, admission->rest_at);
	struct source *source = NULL;
	struct visitor *visitor;

	admission->now = now;
	*wake_out = INT64_MAX;
	if (admission->ring == NULL)
		return false;
	if (due <= now_us)
		source = whose_turn(admission, now_us, &due);
	if (source == NULL) {
		*wake_out = ms_after(due);
		return false;
	}
	visitor = source->waiting_list;
	stop_waiting(visitor);
	if (source->waiting > 0) { /* then the next source has its turn */
		DL_DELETE(admission->ring, source);
		DL_APPEND(admission->ring, source);
	}
	take_turn(admission, source, now_us);
	visitor->state = OUT;
	*verdict_out = enter(visitor);
	if (verdict_out->answer == ADMISSION_AWAY) {
		visitor->source = NULL;
		retire(admission, source);
	}
	*visitor_out = visitor;
	return true;
}

/* ---- accounts -------------------------------------------------------------------------------- */

static struct account *find_account(const struct admission *admission, int64_t id)
{
	struct account *account;

	HASH_FIND(hh, admission->accounts, &id, sizeof(id), account);
	return account;
}

bool admission_account_enter(struct admission *admission, int64_t id)
{
	uint32_t max = admission->limits.sessions_per_account;
	struct account *account = find_account(admission, id);

	if (account == NULL) {
		account = mem_alloc(sizeof(*account));
		account->id = id;
		HASH_ADD(hh, admission->accounts, id, sizeof(account->id), account);
	} else if (max != 0 && account->logins >= max) {
		admission->struck[ADMISSION_PER_ACCOUNT]++;
		return false;
	}
	account->logins++;
	return true;
}

void admission_account_leave(struct admission *admission, int64_t id)
{
	struct account *account = find_account(admission, id);

	if (account == NULL || --account->logins > 0)
		return;
	HASH_DEL(admission->accounts, account);
	mem_free(account);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct admission *admission_new(void)
{
	struct admission *admission = mem_alloc(sizeof(*admission));

	admission->limits.sessions = 1;
	return admission;
}

void admission_free(struct admission **admission)
{
	struct admission *gone = *admission;
	struct source *source, *next_source;
	struct account *account, *next_account;

	*admission = NULL;
	if (gone == NULL)
		return;
	HASH_ITER (hh, gone->sources, source, next_source) {
		HASH_DEL(gone->sources, source);
		mem_free(source);
	}
	HASH_ITER (hh, gone->accounts, account, next_account) {
		HASH_DEL(gone->accounts, account);
		mem_free(account);
	}
	mem_free(gone->ranks);
	mem_free(gone);
}

void admission_set_limits(struct admission *admission, const struct admission_limits *limits)
{
	admission->limits = *limits;
	if (admission->limits.sessions == 0)
		admission->limits.sessions = 1;
	while (limits->rate_per_source == 0 && admission->idle != NULL)
		forget(admission, admission->idle);
}

void admission_use(const struct admission *admission, struct admission_use *use_out)
{
	*use_out = (struct admission_use){
		.sessions = admission->sessions,
		.strangers = admission->strangers,
		.waiting = admission->waiting,
		.sources = HASH_COUNT(admission->sources),
	};
	for (const struct source *source = admission->sources; source != NULL;
	     source = source->hh.next) {
		uint32_t visitors = source->waiting + source->strangers + source->logged_in;

		if (visitors > use_out->highest_source)
			use_out->highest_source = visitors;
	}
	for (const struct account *account = admission->accounts; account != NULL;
	     account = account->hh.next) {
		if (account->logins > use_out->highest_account)
			use_out->highest_account = account->logins;
	}
	memcpy(use_out->struck, admission->struck, sizeof(use_out->struck));
}
