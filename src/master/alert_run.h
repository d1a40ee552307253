/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The administrator's program that tells alerts on: runs of it, one at a time, and those in line.
 * Or his webhook, to which agent posts them in the same way.
 */
#ifndef POSTERN_MASTER_ALERT_RUN_H
#define POSTERN_MASTER_ALERT_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/alerts.h"

struct alert_runner;
struct config;
struct loop;

enum { ALERT_RUN_TEXT = 700 };

struct alert_run { /* what one run tells */
	char kind[ALERT_KIND_MAX + 1];
	char subject[ALERT_SUBJECT_MAX + 1];
	char text[ALERT_TEXT_MAX + 1];
	const char *state; /* "new", "again", "over", "test" */
	char *json;        /* on the heap; goes with the run */
	uint64_t op;       /* the operator who waits for its end; 0: none */
};

/* It ended well or not; text says how, with what it said. */
typedef void alert_run_fn(void *arg, const struct alert_run *run, bool ok, const char *text);

/* Hands the JSON to whoever posts it; the answer comes with alert_runner_posted. false: nobody. */
typedef bool alert_post_fn(void *arg, uint64_t id, struct slice json);

struct alert_runner *alert_runner_new(struct loop *loop, alert_run_fn *done, alert_post_fn *post,
				      void *arg);
/* What runs is killed, what waits is forgotten. */
void alert_runner_free(struct alert_runner **runner);
/* config: kept until the next call; its alert.command or alert.webhook must be set while anything
 * is run. */
void alert_runner_configure(struct alert_runner *runner, const struct config *config);
/* Copies run but for its json, which is the runner's then. false: the line is full. */
bool alert_runner_add(struct alert_runner *runner, const struct alert_run *run);
/* What was posted under this number was taken by alert.webhook, or not. */
void alert_runner_posted(struct alert_runner *runner, uint64_t id, bool ok, struct slice text);
void alert_runner_reap(struct alert_runner *runner);
size_t alert_runner_waiting(const struct alert_runner *runner);

#endif
