/* SPDX-License-Identifier: Apache-2.0 */
#include "latency.h"

#define STEPS 32 /* buckets to each doubling */

static unsigned bucket_of(uint64_t us)
{
	unsigned shift = 0;

	while (us >> shift >= 2 * STEPS)
		shift++;
	return shift * STEPS + (unsigned)(us >> shift);
}

static uint64_t bucket_end(unsigned bucket)
{
	unsigned shift = bucket < 2 * STEPS ? 0 : bucket / STEPS - 1;

	return ((uint64_t)(bucket - shift * STEPS + 1) << shift) - 1;
}

void latency_add(struct latency *latency, uint64_t ns)
{
	uint64_t us = ns / 1000;
	unsigned bucket = bucket_of(us);

	if (bucket >= LATENCY_BUCKETS)
		bucket = LATENCY_BUCKETS - 1;
	latency->counts[bucket]++;
	latency->samples++;
	if (us > latency->longest)
		latency->longest = us;
}

uint64_t latency_percentile(const struct latency *latency, double share)
{
	uint64_t wanted = (uint64_t)((double)latency->samples * share);
	uint64_t seen = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		seen += latency->counts[i];
		if (seen > wanted)
			return bucket_end(i) < latency->longest ? bucket_end(i) : latency->longest;
	}
	return latency->longest;
}

void latency_print(const struct latency *latency, FILE *file)
{
	fprintf(file,
		"{\"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f}",
		(double)latency_percentile(latency, 0.50) / 1000,
		(double)latency_percentile(latency, 0.90) / 1000,
		(double)latency_percentile(latency, 0.99) / 1000,
		(double)latency_percentile(latency, 0.999) / 1000, (double)latency->longest / 1000);
}
