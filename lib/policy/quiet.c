/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets in thousandths of a line, so that a millisecond counts. */
#include "policy/quiet.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/network.h"

enum { LINE = 1000, SOURCE_BYTES = 16, V6_SOURCE = 8, V4_IN_V6 = 12 };

struct bucket {
	int64_t at; /* when level was right */
	int64_t level;
};

struct source {
	unsigned char key[SOURCE_BYTES];
	bool used;
	struct bucket bucket;
	uint64_t left_out;
	char client[QUIET_CLIENT_MAX];
};

struct quiet {
	struct source sources[QUIET_SETS][QUIET_WAYS];
	struct bucket all;
	uint64_t left_out; /* of sources that are not remembered */
	uint32_t pending;  /* sources with something left out */
};

struct quiet *quiet_new(void)
{
	struct quiet *quiet = mem_alloc(sizeof(*quiet));

	quiet->all.level = (int64_t)QUIET_ALL_BURST * LINE;
	return quiet;
}

void quiet_free(struct quiet **quiet)
{
	mem_free(*quiet);
	*quiet = NULL;
}

static void fill(struct bucket *bucket, int64_t burst, int64_t rate, int64_t now)
{
	int64_t passed = now > bucket->at ? now - bucket->at : 0;
	int64_t room = burst * LINE - bucket->level;

	/* Not multiplied before it is known to be small. */
	bucket->level += passed >= room / rate + 1 ? room : passed * rate;
	bucket->at = now;
}

/* rate lines a second are rate thousandths a millisecond. */
static void fill_source(struct source *source, int64_t now)
{
	fill(&source->bucket, QUIET_BURST, QUIET_RATE, now);
}

static void key_of(struct slice client, unsigned char key[SOURCE_BYTES])
{
	static const unsigned char mapped[V4_IN_V6] = {[10] = 0xff, [11] = 0xff};
	struct network network;

	memset(key, 0, SOURCE_BYTES);
	if (network_read(client, &network) != ERR_OK)
		return; /* all that have no address are one */
	memcpy(key, network.bytes,
	       memcmp(network.bytes, mapped, V4_IN_V6) == 0 ? SOURCE_BYTES : V6_SOURCE);
}

static void forget(struct quiet *quiet, struct source *source)
{
	if (source->left_out != 0)
		quiet->pending--;
	quiet->left_out += source->left_out;
	*source = (struct source){.used = false};
}

/* The source, remembered from now on. */
static struct source *find(struct quiet *quiet, struct slice client, int64_t now)
{
	unsigned char key[SOURCE_BYTES];
	struct source *set;
	struct source *oldest;

	key_of(client, key);
	set = quiet->sources[hash_bytes(key, sizeof(key)) % QUIET_SETS];
	oldest = &set[0];
	for (size_t i = 0; i < QUIET_WAYS; i++) {
		if (set[i].used && memcmp(set[i].key, key, sizeof(key)) == 0)
			return &set[i];
		if (!set[i].used || (oldest->used && set[i].bucket.at < oldest->bucket.at))
			oldest = &set[i];
	}
	forget(quiet, oldest);
	memcpy(oldest->key, key, sizeof(key));
	oldest->used = true;
	oldest->bucket = (struct bucket){now, (int64_t)QUIET_BURST * LINE};
	return oldest;
}

bool quiet_allows(struct quiet *quiet, struct slice client, int64_t now)
{
	struct source *source = find(quiet, client, now);

	fill_source(source, now);
	fill(&quiet->all, QUIET_ALL_BURST, QUIET_ALL_RATE, now);
	if (source->bucket.level >= LINE && quiet->all.level >= LINE) {
		source->bucket.level -= LINE;
		quiet->all.level -= LINE;
		return true;
	}
	if (source->left_out++ == 0)
		quiet->pending++;
	if (slice_copy(slice_head(client, QUIET_CLIENT_MAX - 1), source->client,
		       sizeof(source->client)) != ERR_OK)
		source->client[0] = '\0';
	return false;
}

bool quiet_take(struct quiet *quiet, int64_t now, bool all, char client_out[QUIET_CLIENT_MAX],
		uint64_t *lines_out)
{
	for (size_t i = 0; quiet->pending > 0 && i < (size_t)QUIET_SETS * QUIET_WAYS; i++) {
		struct source *source = &quiet->sources[i / QUIET_WAYS][i % QUIET_WAYS];

		if (source->left_out == 0)
			continue;
		fill_source(source, now);
		/* A quarter of its lines is back: it has been still for a while. */
		if (!all && source->bucket.level < (int64_t)QUIET_BURST / 4 * LINE)
			continue;
		memcpy(client_out, source->client, QUIET_CLIENT_MAX);
		*lines_out = source->left_out;
		source->left_out = 0;
		quiet->pending--;
		return true;
	}
	if (quiet->left_out == 0)
		return false;
	client_out[0] = '\0';
	*lines_out = quiet->left_out;
	quiet->left_out = 0;
	return true;
}

bool quiet_pending(const struct quiet *quiet)
{
	return quiet->pending > 0 || quiet->left_out > 0;
}
