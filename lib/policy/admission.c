/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariants: a source's counts are the lengths of its lists plus those who are logged in; the list
 * of the oldest holds exactly the strangers. Sources and networks are admission_sources.c's.
 */
#include "policy/admission.h"

#include <string.h>
#include <utlist.h>

#include "base/mem.h"
#include "policy/admission_internal.h"

/* ---- rates: GCRA, a token bucket that is one number ------------------------------------------ */

static int64_t interval(uint32_t rate)
{
	return ADMISSION_US_PER_S / rate > 0 ? ADMISSION_US_PER_S / rate : 1;
}

/* When the next one may come, in us; any time in the past if now. */
static int64_t rate_due(uint32_t rate, int64_t rest_at)
{
	return rate == 0 ? INT64_MIN
			 : rest_at - (ADMISSION_BURST_MS * ADMISSION_US_PER_MS - interval(rate));
}

static void rate_take(uint32_t rate, int64_t *rest_at, int64_t now_us)
{
	if (rate == 0)
		return;
	*rest_at = (*rest_at > now_us ? *rest_at : now_us) + interval(rate);
}

/* ---- visitors -------------------------------------------------------------------------------- */

static struct visitor *visitor_new(struct admission *admission, struct source *source, void *data)
{
	struct visitor *visitor = mem_alloc(sizeof(*visitor));

	visitor->admission = admission;
	visitor->source = source;
	visitor->data = data;
	visitor->state = VISITOR_OUT;
	return visitor;
}

static void begin_waiting(struct visitor *visitor)
{
	visitor->state = VISITOR_WAITING;
	DL_APPEND(visitor->source->waiting_list, visitor);
	source_add_waiting(visitor->admission, visitor->source);
}

static void stop_waiting(struct visitor *visitor)
{
	DL_DELETE(visitor->source->waiting_list, visitor);
	source_remove_waiting(visitor->admission, visitor->source);
}

static void become_stranger(struct visitor *visitor)
{
	struct admission *admission = visitor->admission;

	visitor->state = VISITOR_STRANGER;
	visitor->since = admission->now;
	DL_APPEND(visitor->source->stranger_list, visitor);
	DL_APPEND2(admission->oldest, visitor, older, newer);
	source_add_stranger(admission, visitor->source);
	admission->sessions++;
}

static void stop_being_stranger(struct visitor *visitor)
{
	DL_DELETE(visitor->source->stranger_list, visitor);
	DL_DELETE2(visitor->admission->oldest, visitor, older, newer);
	source_remove_stranger(visitor->admission, visitor->source);
}

/* It holds nothing any more. */
static void leave(struct visitor *visitor)
{
	struct source *source = visitor->source;

	switch (visitor->state) {
	case VISITOR_WAITING:
		stop_waiting(visitor);
		break;
	case VISITOR_STRANGER:
		stop_being_stranger(visitor);
		visitor->admission->sessions--;
		break;
	case VISITOR_LOGGED_IN:
		source->logged_in--;
		visitor->admission->sessions--;
		break;
	case VISITOR_OUT:
		return;
	}
	visitor->state = VISITOR_OUT;
	visitor->source = NULL;
	source_retire(visitor->admission, source);
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
	return visitor->state == VISITOR_WAITING;
}

void visitor_logged_in(struct visitor *visitor)
{
	if (visitor->state != VISITOR_STRANGER)
		return;
	stop_being_stranger(visitor);
	visitor->source->logged_in++;
	visitor->state = VISITOR_LOGGED_IN;
}

/* ---- places ---------------------------------------------------------------------------------- */

static uint32_t strangers_max(const struct admission_limits *limits)
{
	return limits->sessions > limits->reserve ? limits->sessions - limits->reserve : 1;
}

static struct admission_verdict away(struct admission *admission, enum admission_limit why)
{
	admission->struck[why]++;
	return (struct admission_verdict){.answer = ADMISSION_AWAY, .why = why};
}

static bool had_time(const struct visitor *visitor)
{
	return visitor->admission->now - visitor->since >= ADMISSION_TIME_MS;
}

static bool is_crowd(const struct admission *admission, const struct network *network)
{
	uint32_t share = strangers_max(&admission->limits) / ADMISSION_CROWD;

	return ranked_count(&network->strangers) > (share > 1 ? share : 1);
}

/*
 * The oldest of who has most, if it had its time to log in. If it had not, it goes all the same
 * where a crowd keeps others out, and stays where many have few each: then the oldest of all goes,
 * or nobody (NULL). There is at least one stranger.
 */
static struct visitor *who_makes_room(const struct admission *admission,
				      const struct source *newcomer)
{
	const struct network *network = ranking_top(&admission->by_strangers);
	const struct source *source = ranking_top(&network->by_strangers);
	struct visitor *first = source->stranger_list;

	if (had_time(first))
		return first;
	if (is_crowd(admission, network))
		return newcomer->network != network ? first : NULL;
	return had_time(admission->oldest) ? admission->oldest : NULL;
}

/* Lets in the visitor, who is in no list; or says that there is no room. */
static struct admission_verdict enter(struct visitor *visitor)
{
	struct admission *admission = visitor->admission;
	const struct admission_limits *limits = &admission->limits;
	struct admission_verdict verdict = {.answer = ADMISSION_ENTER};

	if (admission->sessions >= limits->sessions ||
	    admission->strangers >= strangers_max(limits)) {
		/* Fewer are wanted than there were: newcomers wait until that is so. */
		if (admission->strangers == 0 || admission->sessions > limits->sessions)
			return away(admission, ADMISSION_SESSIONS);
		verdict.out = who_makes_room(admission, visitor->source);
		if (verdict.out == NULL)
			return away(admission, ADMISSION_RESERVE);
		admission->struck[ADMISSION_RESERVE]++;
		verdict.why_out = ADMISSION_RESERVE;
	}
	become_stranger(visitor);
	if (verdict.out != NULL)
		leave(verdict.out);
	return verdict;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/*
 * When all may wait that can, the newest of who has most waiting makes room: the visitor himself if
 * nobody has more than he.
 */
static struct admission_verdict wait_for_turn(struct visitor *visitor)
{
	struct admission *admission = visitor->admission;
	const struct admission_limits *limits = &admission->limits;
	struct admission_verdict verdict = {.answer = ADMISSION_WAIT};
	const struct source *source = visitor->source;

	if (limits->waiting_per_source != 0 &&
	    ranked_count(&source->waiting) >= limits->waiting_per_source)
		return away(admission, ADMISSION_SOURCE_WAITING);
	if (limits->waiting != 0 && admission->waiting >= limits->waiting) {
		const struct network *network = ranking_top(&admission->by_waiting);

		if (ranked_count(&network->waiting) <= ranked_count(&source->network->waiting) + 1)
			return away(admission, ADMISSION_WAITING);
		source = ranking_top(&network->by_waiting);
		verdict.out = source->waiting_list->prev; /* the tail */
		verdict.why_out = ADMISSION_WAITING;
		admission->struck[ADMISSION_WAITING]++;
	}
	begin_waiting(visitor);
	if (verdict.out != NULL)
		leave(verdict.out);
	return verdict;
}

/* Whether the visitor of the source must wait; counts what makes it wait. */
static bool must_wait(struct admission *admission, const struct source *source, int64_t now_us)
{
	const struct admission_limits *limits = &admission->limits;

	if (ranked_count(&source->waiting) > 0 ||
	    rate_due(limits->rate_per_source, source->rest_at) > now_us) {
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

/* ---- the door -------------------------------------------------------------------------------- */

struct admission_verdict admission_knock(struct admission *admission,
					 const unsigned char address[ADMISSION_SOURCE], int64_t now,
					 void *data, struct visitor **visitor_out)
{
	const struct admission_limits *limits = &admission->limits;
	struct source *source = source_get(admission, address);
	struct admission_verdict verdict;
	struct visitor *visitor;

	admission->now = now;
	*visitor_out = NULL;
	if (limits->sessions_per_source != 0 &&
	    source_visitors(source) >= limits->sessions_per_source) {
		source_retire(admission, source);
		return away(admission, ADMISSION_PER_SOURCE);
	}
	visitor = visitor_new(admission, source, data);
	if (must_wait(admission, source, now * ADMISSION_US_PER_MS)) {
		verdict = wait_for_turn(visitor);
	} else {
		take_turn(admission, source, now * ADMISSION_US_PER_MS);
		verdict = enter(visitor);
	}
	if (verdict.answer == ADMISSION_AWAY) {
		mem_free(visitor);
		source_retire(admission, source);
		return verdict;
	}
	*visitor_out = visitor;
	return verdict;
}

struct visitor *admission_present(struct admission *admission,
				  const unsigned char address[ADMISSION_SOURCE], int64_t now,
				  void *data)
{
	struct visitor *visitor;

	if (admission->sessions >= admission->limits.sessions)
		return NULL;
	visitor = visitor_new(admission, source_get(admission, address), data);
	admission->now = now;
	become_stranger(visitor);
	return visitor;
}

/*
 * The first source whose own rate lets one in, networks and their sources in turn; else NULL and
 * when one will.
 */
static struct source *whose_turn(const struct admission *admission, int64_t now_us,
				 int64_t *due_out)
{
	struct network *network;
	struct source *source;

	*due_out = INT64_MAX;
	DL_FOREACH (admission->ring, network) {
		DL_FOREACH (network->ring, source) {
			int64_t due = rate_due(admission->limits.rate_per_source, source->rest_at);

			if (due <= now_us)
				return source;
			if (due < *due_out)
				*due_out = due;
		}
	}
	return NULL;
}

/* It had its turn: the next source of the network, and the next network, have theirs. */
static void turn_rings(struct admission *admission, struct source *source)
{
	struct network *network = source->network;

	if (ranked_count(&source->waiting) > 0) {
		DL_DELETE(network->ring, source);
		DL_APPEND(network->ring, source);
	}
	if (network->ring != NULL) {
		DL_DELETE(admission->ring, network);
		DL_APPEND(admission->ring, network);
	}
}

static int64_t ms_after(int64_t us)
{
	return us == INT64_MAX ? INT64_MAX : us / ADMISSION_US_PER_MS + 1;
}

bool admission_next(struct admission *admission, int64_t now, struct admission_verdict *verdict_out,
		    struct visitor **visitor_out, int64_t *wake_out)
{
	int64_t now_us = now * ADMISSION_US_PER_MS;
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
	turn_rings(admission, source);
	take_turn(admission, source, now_us);
	visitor->state = VISITOR_OUT;
	*verdict_out = enter(visitor);
	if (verdict_out->answer == ADMISSION_AWAY) {
		visitor->source = NULL;
		source_retire(admission, source);
	}
	*visitor_out = visitor;
	return true;
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
	if (*admission == NULL)
		return;
	sources_release(*admission);
	accounts_release(*admission);
	MEM_FREE(*admission);
}

void admission_set_limits(struct admission *admission, const struct admission_limits *limits)
{
	admission->limits = *limits;
	if (admission->limits.sessions == 0)
		admission->limits.sessions = 1;
	if (limits->rate_per_source == 0)
		sources_forget_idle(admission);
}

void admission_use(const struct admission *admission, struct admission_use *use_out)
{
	*use_out = (struct admission_use){
		.sessions = admission->sessions,
		.strangers = admission->strangers,
		.waiting = admission->waiting,
		.highest_account = accounts_highest(admission),
		.sources = HASH_COUNT(admission->sources),
	};
	for (const struct source *source = admission->sources; source != NULL;
	     source = source->hh.next) {
		if (source_visitors(source) > use_out->highest_source)
			use_out->highest_source = source_visitors(source);
		if (ranked_count(&source->waiting) > use_out->highest_waiting)
			use_out->highest_waiting = ranked_count(&source->waiting);
	}
	memcpy(use_out->struck, admission->struck, sizeof(use_out->struck));
}
