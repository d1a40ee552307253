/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where visitors come from. Invariants: a network is there exactly while one of its sources has
 * visitors; a source without visitors is in the idle list or gone; the rings hold exactly those
 * with somebody waiting; a source is ranked within its network, a network among all.
 */
#include "policy/admission_internal.h"

#include <string.h>
#include <utlist.h>

#include "base/mem.h"

enum {
	SWEEP = 2, /* idle ones looked at for each that becomes idle */
	NETWORK_BYTES = 6,
	SOURCE_BYTES = 8,
};

/* An IPv4 address whole, of an IPv6 address as many bytes. */
static void make_key(const unsigned char address[ADMISSION_SOURCE], size_t bytes,
		     unsigned char key_out[ADMISSION_SOURCE])
{
	static const unsigned char MAPPED[12] = {[10] = 0xff, [11] = 0xff};

	memcpy(key_out, address, ADMISSION_SOURCE);
	if (memcmp(address, MAPPED, sizeof(MAPPED)) != 0)
		memset(key_out + bytes, 0, ADMISSION_SOURCE - bytes);
}

uint32_t source_visitors(const struct source *source)
{
	return ranked_count(&source->waiting) + ranked_count(&source->strangers) +
	       source->logged_in;
}

/* ---- networks -------------------------------------------------------------------------------- */

static struct network *join_network(struct admission *admission, const struct source *source)
{
	unsigned char key[ADMISSION_SOURCE];
	struct network *network;

	make_key(source->key, NETWORK_BYTES, key);
	HASH_FIND(hh, admission->networks, key, sizeof(key), network);
	if (network == NULL) {
		network = mem_alloc(sizeof(*network));
		memcpy(network->key, key, sizeof(key));
		network->strangers.who = network;
		network->waiting.who = network;
		HASH_ADD(hh, admission->networks, key, sizeof(network->key), network);
	}
	network->sources++;
	return network;
}

static void leave_network(struct admission *admission, struct network *network)
{
	if (--network->sources > 0)
		return;
	HASH_DEL(admission->networks, network);
	mem_free(network);
}

/* ---- sources --------------------------------------------------------------------------------- */

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
	       source->rest_at <= admission->now * ADMISSION_US_PER_MS;
}

void source_retire(struct admission *admission, struct source *source)
{
	if (source_visitors(source) > 0)
		return;
	leave_network(admission, source->network);
	source->network = NULL;
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

struct source *source_get(struct admission *admission,
			  const unsigned char address[ADMISSION_SOURCE])
{
	unsigned char key[ADMISSION_SOURCE];
	struct source *source;

	make_key(address, SOURCE_BYTES, key);
	HASH_FIND(hh, admission->sources, key, sizeof(key), source);
	if (source == NULL) {
		source = mem_alloc(sizeof(*source));
		memcpy(source->key, key, sizeof(key));
		source->strangers.who = source;
		source->waiting.who = source;
		HASH_ADD(hh, admission->sources, key, sizeof(source->key), source);
	} else if (source->idle) {
		DL_DELETE(admission->idle, source);
		admission->idle_count--;
		source->idle = false;
	}
	if (source->network == NULL)
		source->network = join_network(admission, source);
	return source;
}

void sources_forget_idle(struct admission *admission)
{
	while (admission->idle != NULL)
		forget(admission, admission->idle);
}

void sources_release(struct admission *admission)
{
	struct source *source, *next;

	HASH_ITER (hh, admission->sources, source, next) {
		if (source->network != NULL)
			leave_network(admission, source->network);
		HASH_DEL(admission->sources, source);
		mem_free(source);
	}
}

/* ---- counts ---------------------------------------------------------------------------------- */

void source_add_stranger(struct admission *admission, struct source *source)
{
	struct network *network = source->network;

	ranking_up(&network->by_strangers, &source->strangers);
	ranking_up(&admission->by_strangers, &network->strangers);
	admission->strangers++;
}

void source_remove_stranger(struct admission *admission, struct source *source)
{
	struct network *network = source->network;

	ranking_down(&network->by_strangers, &source->strangers);
	ranking_down(&admission->by_strangers, &network->strangers);
	admission->strangers--;
}

void source_add_waiting(struct admission *admission, struct source *source)
{
	struct network *network = source->network;

	if (network->ring == NULL)
		DL_APPEND(admission->ring, network);
	if (ranked_count(&source->waiting) == 0)
		DL_APPEND(network->ring, source);
	ranking_up(&network->by_waiting, &source->waiting);
	ranking_up(&admission->by_waiting, &network->waiting);
	admission->waiting++;
}

void source_remove_waiting(struct admission *admission, struct source *source)
{
	struct network *network = source->network;

	ranking_down(&network->by_waiting, &source->waiting);
	ranking_down(&admission->by_waiting, &network->waiting);
	admission->waiting--;
	if (ranked_count(&source->waiting) == 0)
		DL_DELETE(network->ring, source);
	if (network->ring == NULL)
		DL_DELETE(admission->ring, network);
}
