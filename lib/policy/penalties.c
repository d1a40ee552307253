/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An entry's points are one number, as in GCRA: when it will be at rest. Full entries of sources,
 * networks and pairs are blocked, and at rest when the block ends; the number of blocks in a row is
 * remembered for a day after that.
 */
#include "policy/penalties.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum kind { SOURCE, NETWORK, PAIR, STRANGERS, KINDS };

enum {
	TAGS = 4,          /* wrong passwords that are remembered of a pair */
	SWEEP = 2,         /* entries that are looked at for being of no use, for each new one */
	UNSEEN = 3,        /* failures without password that a pair adds to its source */
	PAIR_SLOWNESS = 3, /* a pair's points drain so much slower than a source's */
	REPEAT_MS = 60000 / PENALTIES_REPEATS,
	MEMORY = 24 * 3600000, /* ms that blocks are remembered */
};

struct key {
	unsigned char source[SOURCE_BYTES];
	uint64_t account; /* keyed hash of the name */
};

struct entry {
	UT_hash_handle hh; /* in order of use, the oldest first */
	struct key key;
	char *account; /* NULL: of no account */
	int64_t rest_at;
	int64_t since, until; /* of the last block */
	uint32_t blocks;      /* in a row */
	uint32_t failures;
	uint32_t under_way;
	int64_t repeats_rest_at;
	uint64_t tags[TAGS];
	unsigned next_tag;
	const char *reason; /* NULL: nothing failed yet */
};

struct penalties {
	struct penalties_rules rules;
	penalties_fn *on_block;
	void *arg;
	struct entry *tables[KINDS];
};

struct penalties *penalties_new(penalties_fn *on_block, void *arg)
{
	struct penalties *penalties = mem_alloc(sizeof(*penalties));

	penalties->on_block = on_block;
	penalties->arg = arg;
	return penalties;
}

static void forget(struct penalties *penalties, enum kind kind, struct entry *entry)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): whoever is known is in it */
	HASH_DEL(penalties->tables[kind], entry);
	mem_free(entry->account);
	explicit_bzero(entry->tags, sizeof(entry->tags));
	mem_free(entry);
}

static void forget_all(struct penalties *penalties)
{
	for (int kind = 0; kind < KINDS; kind++)
		while (penalties->tables[kind] != NULL)
			forget(penalties, (enum kind)kind, penalties->tables[kind]);
}

void penalties_free(struct penalties **penalties)
{
	if (*penalties == NULL)
		return;
	forget_all(*penalties);
	MEM_FREE(*penalties);
}

void penalties_set_rules(struct penalties *penalties, const struct penalties_rules *rules)
{
	bool same = penalties->rules.failures == rules->failures &&
		    penalties->rules.block == rules->block;

	if (same)
		return;
	forget_all(penalties); /* points mean something else now */
	penalties->rules = *rules;
}

/* ---- points ---------------------------------------------------------------------------------- */

static uint32_t limit_of(const struct penalties *penalties, enum kind kind)
{
	switch (kind) {
	case NETWORK:
		return penalties->rules.failures * PENALTIES_NETWORK;
	case STRANGERS:
		return PENALTIES_STRANGERS;
	default:
		return penalties->rules.failures;
	}
}

/* ms in which one point drains away. */
static int64_t drain_of(const struct penalties *penalties, enum kind kind)
{
	int64_t drain = penalties->rules.block / limit_of(penalties, kind);

	if (kind == STRANGERS)
		return PENALTIES_STRANGER_MS;
	if (kind == PAIR)
		drain *= PAIR_SLOWNESS;
	return drain > 0 ? drain : 1;
}

static uint32_t points(const struct penalties *penalties, enum kind kind, const struct entry *entry,
		       int64_t now)
{
	int64_t drain = drain_of(penalties, kind);

	return entry->rest_at <= now ? 0 : (uint32_t)((entry->rest_at - now + drain - 1) / drain);
}

static bool is_useless(const struct entry *entry, int64_t now)
{
	return entry->under_way == 0 && entry->rest_at <= now &&
	       (entry->blocks == 0 || entry->until + MEMORY <= now) &&
	       entry->repeats_rest_at <= now;
}

/* ---- entries --------------------------------------------------------------------------------- */

static void make_key(const struct penalties_attempt *attempt, enum kind kind, struct key *key_out)
{
	struct network network;

	memset(key_out, 0, sizeof(*key_out));
	if (kind != STRANGERS) {
		source_network(attempt->source, kind == NETWORK ? SOURCE_WIDE : SOURCE_NARROW,
			       &network);
		memcpy(key_out->source, network.bytes, SOURCE_BYTES);
	}
	if (kind == PAIR || kind == STRANGERS)
		key_out->account = hash_bytes(attempt->account, strlen(attempt->account));
}

/* NULL: not there. It is the one that was used last from now on. */
static struct entry *find(struct penalties *penalties, enum kind kind,
			  const struct penalties_attempt *attempt)
{
	struct entry *entry = NULL;
	struct key key;

	make_key(attempt, kind, &key);
	HASH_FIND(hh, penalties->tables[kind], &key, sizeof(key), entry);
	if (entry != NULL && entry->hh.next != NULL) {
		HASH_DEL(penalties->tables[kind], entry);
		HASH_ADD(hh, penalties->tables[kind], key, sizeof(entry->key), entry);
	}
	return entry;
}

static struct entry *find_or_add(struct penalties *penalties, enum kind kind,
				 const struct penalties_attempt *attempt, int64_t now)
{
	struct entry **table = &penalties->tables[kind];
	struct entry *entry = find(penalties, kind, attempt);

	if (entry != NULL)
		return entry;
	for (int i = 0; i < SWEEP && *table != NULL && is_useless(*table, now); i++)
		forget(penalties, kind, *table);
	if (*table != NULL && HASH_COUNT(*table) >= PENALTIES_MAX)
		forget(penalties, kind, *table);
	entry = mem_alloc(sizeof(*entry));
	make_key(attempt, kind, &entry->key);
	if (kind == PAIR || kind == STRANGERS)
		entry->account = mem_strdup(attempt->account);
	HASH_ADD(hh, *table, key, sizeof(entry->key), entry);
	return entry;
}

/* ---- before ---------------------------------------------------------------------------------- */

static bool has(unsigned kinds, enum kind kind)
{
	return (kinds & 1u << kind) != 0;
}

/* What it is judged by. */
static unsigned kinds_of(const struct penalties_attempt *attempt)
{
	if (attempt->exempt)
		return 0;
	switch (attempt->degree) {
	case KNOWN_HERE:
		return 1u << PAIR;
	case KNOWN_NEAR:
		return 1u << PAIR | 1u << SOURCE;
	default:
		return 1u << PAIR | 1u << SOURCE | 1u << NETWORK | 1u << STRANGERS;
	}
}

/* What its failure is counted in: of somebody known, too, it tells of the source. */
static unsigned failure_kinds(const struct penalties_attempt *attempt)
{
	if (attempt->exempt)
		return 1u << PAIR;
	return kinds_of(attempt) | 1u << SOURCE;
}

static enum penalties_answer judge(struct penalties *penalties, enum kind kind,
				   const struct penalties_attempt *attempt, int64_t now)
{
	const struct entry *entry = find(penalties, kind, attempt);
	uint32_t have, limit = limit_of(penalties, kind);

	if (entry == NULL)
		return PENALTIES_GO;
	if (entry->until > now)
		return PENALTIES_BLOCKED;
	have = points(penalties, kind, entry, now);
	if (have >= limit)
		return PENALTIES_LATER; /* strangers only: others are blocked when full */
	return have + entry->under_way >= limit ? PENALTIES_WAIT : PENALTIES_GO;
}

enum penalties_answer penalties_begin(struct penalties *penalties,
				      struct penalties_attempt *attempt, int64_t now)
{
	unsigned kinds = kinds_of(attempt);
	enum penalties_answer answer = PENALTIES_GO;

	attempt->under_way = false;
	if (penalties->rules.failures == 0)
		return PENALTIES_GO;
	for (int kind = 0; kind < KINDS; kind++) {
		enum penalties_answer one;

		if (!has(kinds, (enum kind)kind))
			continue;
		one = judge(penalties, (enum kind)kind, attempt, now);
		if (one > answer)
			answer = one;
	}
	if (answer != PENALTIES_GO)
		return answer;
	for (int kind = 0; kind < KINDS; kind++)
		if (has(kinds, (enum kind)kind))
			find_or_add(penalties, (enum kind)kind, attempt, now)->under_way++;
	attempt->kinds = kinds;
	attempt->under_way = true;
	return PENALTIES_GO;
}

/* ---- after ----------------------------------------------------------------------------------- */

enum guess { NEW, AGAIN, HAMMERED };

/* The same wrong password again is no guess; but hardly any program tries it so often. */
static enum guess guess_of(struct entry *pair, uint64_t password, int64_t now)
{
	bool seen = false;

	if (password == 0)
		return NEW;
	for (int i = 0; i < TAGS; i++)
		seen |= pair->tags[i] == password;
	if (!seen) {
		pair->tags[pair->next_tag] = password;
		pair->next_tag = (pair->next_tag + 1) % TAGS;
		return NEW;
	}
	if (pair->repeats_rest_at < now)
		pair->repeats_rest_at = now;
	if (pair->repeats_rest_at - now >= (int64_t)PENALTIES_REPEATS * REPEAT_MS)
		return HAMMERED;
	pair->repeats_rest_at += REPEAT_MS;
	return AGAIN;
}

static void network_of(enum kind kind, const struct entry *entry, struct network *network_out)
{
	source_network(entry->key.source, kind == NETWORK ? SOURCE_WIDE : SOURCE_NARROW,
		       network_out);
}

/* until: of its block, or of the time in which strangers have to wait. */
static void make_row(enum kind kind, const struct entry *entry, int64_t since, int64_t until,
		     struct network *network, struct penalties_row *row_out)
{
	network_of(kind, entry, network);
	*row_out = (struct penalties_row){
		.network = kind == STRANGERS ? NULL : network,
		.account = entry->account != NULL ? entry->account : "",
		.since = since,
		.until = until,
		.failures = entry->failures,
		.reason = entry->reason != NULL ? entry->reason : "",
	};
}

static void block(struct penalties *penalties, enum kind kind, struct entry *entry, int64_t now)
{
	struct penalties_row row;
	struct network network;

	if (entry->until + MEMORY <= now)
		entry->blocks = 0;
	entry->since = now;
	entry->until = now + (penalties->rules.block << entry->blocks);
	entry->rest_at = entry->until;
	if (entry->blocks < PENALTIES_DOUBLINGS)
		entry->blocks++;
	make_row(kind, entry, entry->since, entry->until, &network, &row);
	penalties->on_block(penalties->arg, &row);
}

static void add_point(struct penalties *penalties, enum kind kind, struct entry *entry,
		      bool may_block, int64_t now)
{
	int64_t drain = drain_of(penalties, kind);
	uint32_t limit = limit_of(penalties, kind);

	if (entry->rest_at < now)
		entry->rest_at = now;
	entry->rest_at += drain;
	if (points(penalties, kind, entry, now) < limit || kind == STRANGERS || entry->until > now)
		return;
	if (may_block)
		block(penalties, kind, entry, now);
	else /* it stays full and no more, so that it drains in time */
		entry->rest_at = now + drain * limit;
}

/* By how many points it has. */
static uint32_t delay_of(uint32_t have)
{
	uint32_t delay = PENALTIES_DELAY_FIRST;

	if (have < 2)
		return 0;
	for (uint32_t i = 2; i < have && delay < PENALTIES_DELAY_MAX; i++)
		delay *= 2;
	return delay < PENALTIES_DELAY_MAX ? delay : PENALTIES_DELAY_MAX;
}

static uint32_t failed(struct penalties *penalties, const struct penalties_attempt *attempt,
		       const char *reason, int64_t now)
{
	struct entry *pair = find_or_add(penalties, PAIR, attempt, now);
	uint32_t before = points(penalties, PAIR, pair, now), highest = 0;
	enum guess guess = guess_of(pair, attempt->password, now);
	/*
	 * What a program with an old password does fills its pair at most, and nothing that others
	 * share; where no password can be told from another, anything may be that.
	 */
	bool pair_only = guess == HAMMERED || (attempt->password == 0 && before >= UNSEEN);
	unsigned kinds = failure_kinds(attempt);

	for (int i = 0; i < KINDS; i++) {
		enum kind kind = (enum kind)i;
		struct entry *entry;
		uint32_t have;

		if (!has(kinds, kind))
			continue;
		entry = kind == PAIR ? pair : find_or_add(penalties, kind, attempt, now);
		entry->failures++;
		entry->reason = reason;
		if (guess != AGAIN && (kind == PAIR || !pair_only))
			add_point(penalties, kind, entry, !attempt->exempt, now);
		have = points(penalties, kind, entry, now);
		if ((kind == PAIR || kind == SOURCE) && have > highest)
			highest = have;
	}
	return delay_of(highest);
}

uint32_t penalties_end(struct penalties *penalties, struct penalties_attempt *attempt,
		       enum penalties_outcome outcome, const char *reason, int64_t now)
{
	struct entry *entry;

	if (!attempt->under_way)
		return 0;
	attempt->under_way = false;
	if (penalties->rules.failures == 0)
		return 0;
	if (outcome == PENALTIES_SUCCEEDED && (entry = find(penalties, PAIR, attempt)) != NULL)
		entry->rest_at = entry->repeats_rest_at = now;
	for (int i = 0; i < KINDS; i++) {
		if (!has(attempt->kinds, (enum kind)i) ||
		    (entry = find(penalties, (enum kind)i, attempt)) == NULL)
			continue;
		if (entry->under_way > 0) /* else it was forgotten meanwhile, and is another */
			entry->under_way--;
		if (outcome != PENALTIES_FAILED && is_useless(entry, now))
			forget(penalties, (enum kind)i, entry);
	}
	return outcome == PENALTIES_FAILED ? failed(penalties, attempt, reason, now) : 0;
}

/* ---- for the operator ------------------------------------------------------------------------ */

/* Until when; 0: it is not blocked. */
static int64_t blocked_until(const struct penalties *penalties, enum kind kind,
			     const struct entry *entry, int64_t now)
{
	uint32_t limit = limit_of(penalties, kind);

	if (kind != STRANGERS)
		return entry->until > now ? entry->until : 0;
	if (points(penalties, kind, entry, now) < limit)
		return 0;
	return entry->rest_at - drain_of(penalties, kind) * (limit - 1);
}

void penalties_each(const struct penalties *penalties, int64_t now, penalties_fn *fn, void *arg)
{
	for (int i = 0; i < KINDS; i++) {
		struct entry *entry, *next;

		HASH_ITER (hh, penalties->tables[i], entry, next) {
			int64_t until = blocked_until(penalties, (enum kind)i, entry, now);
			struct penalties_row row;
			struct network network;

			if (until == 0)
				continue;
			make_row((enum kind)i, entry, i == STRANGERS ? now : entry->since, until,
				 &network, &row);
			fn(arg, &row);
		}
	}
}

static void count_row(void *arg, const struct penalties_row *row)
{
	(void)row;
	++*(size_t *)arg;
}

size_t penalties_blocked(const struct penalties *penalties, int64_t now)
{
	size_t count = 0;

	penalties_each(penalties, now, count_row, &count);
	return count;
}

/* Whether one of the two lies in the other. */
static bool overlap(const struct network *a, const struct network *b)
{
	struct network x = *a, y = *b;

	x.bits = y.bits = a->bits < b->bits ? a->bits : b->bits;
	(void)network_cut(&x);
	(void)network_cut(&y);
	return memcmp(x.bytes, y.bytes, sizeof(x.bytes)) == 0;
}

size_t penalties_forgive_network(struct penalties *penalties, const struct network *network,
				 int64_t now)
{
	size_t count = 0;

	for (int i = 0; i < STRANGERS; i++) {
		struct entry *entry, *next;

		HASH_ITER (hh, penalties->tables[i], entry, next) {
			struct network own;

			network_of((enum kind)i, entry, &own);
			if (!overlap(&own, network))
				continue;
			count += blocked_until(penalties, (enum kind)i, entry, now) != 0;
			forget(penalties, (enum kind)i, entry);
		}
	}
	return count;
}

size_t penalties_forgive_account(struct penalties *penalties, const char *account, int64_t now)
{
	uint64_t hash = hash_bytes(account, strlen(account));
	size_t count = 0;

	for (int i = PAIR; i <= STRANGERS; i++) {
		struct entry *entry, *next;

		HASH_ITER (hh, penalties->tables[i], entry, next) {
			if (entry->key.account != hash)
				continue;
			count += blocked_until(penalties, (enum kind)i, entry, now) != 0;
			forget(penalties, (enum kind)i, entry);
		}
	}
	return count;
}
