/* SPDX-License-Identifier: Apache-2.0 */
/* The load generator's run, as the options describe it (load_options.c) and load.c drives it. */
#ifndef POSTERN_BENCH_LOAD_H
#define POSTERN_BENCH_LOAD_H

#include "client.h"

struct run {
	struct plan plan;
	struct tally tally;
	struct client *clients;
	uint64_t *wake; /* by client: when to go on; 0 is not waiting */
	bool *watched_write;
	unsigned count, running, waiting, held, next_new;
	int epoll;
	uint64_t start_ns, stop_ns; /* stop_ns 0: no end by time */
	uint64_t seconds, rate, starting;
	bool hold, expect_breaks;
	uint64_t next_slot; /* with a rate: when the next message may start */
};

/* Fills in the run from the command line; on an error says so and exits with status 2. */
void load_options(struct run *run, int argc, char **argv);

#endif
