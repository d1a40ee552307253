/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long things took: counts in buckets that grow with the value, 32 to each doubling, so a
 * percentile is right to 3 %, whatever the number of samples.
 */
#ifndef POSTERN_BENCH_LATENCY_H
#define POSTERN_BENCH_LATENCY_H

#include <stdint.h>
#include <stdio.h>

#define LATENCY_BUCKETS 2048

struct latency {
	uint64_t counts[LATENCY_BUCKETS];
	uint64_t samples;
	uint64_t longest; /* microseconds */
};

void latency_add(struct latency *latency, uint64_t ns);
/* Upper end of the bucket that holds the share (0 to 1) of all samples, in microseconds. */
uint64_t latency_percentile(const struct latency *latency, double share);
/* {"p50": 1.2, ...} in milliseconds. */
void latency_print(const struct latency *latency, FILE *file);

#endif
