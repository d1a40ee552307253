/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of lib/os/loop.h with a clock that only the harness moves, and what else must be
 * the same each time an input is run: the wall clock and chance. Descriptors are real, so that
 * sockets, TLS and channels behave as they do; they are polled without waiting.
 */
#ifndef POSTERN_TESTS_FUZZ_SESSION_SIM_H
#define POSTERN_TESTS_FUZZ_SESSION_SIM_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* Starts chance anew. */
void sim_seed(uint32_t seed);
/* Iterates until nothing happens any more; ends the program if that never comes. */
void sim_settle(struct loop *loop);
/*
 * Lets this many ms pass; each timer fires at its time, and after_each runs when it settled. The
 * loop's clock stands still once it was stopped.
 */
void sim_pass(struct loop *loop, int64_t ms, void (*after_each)(void));

#endif
