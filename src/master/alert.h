/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an administrator must know now: told in the log, in "postern status", and to the program
 * that the configuration names (alert.command), one run at a time, others wait in line. Processes
 * raise alerts with the message ALERT, master some of its own; policy/alerts.h says which are news.
 */
#ifndef POSTERN_MASTER_ALERT_H
#define POSTERN_MASTER_ALERT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct alert_desk;
struct channel;
struct master;
struct process;

enum { ALERT_LINE_MAX = 64 /* alerts that wait for the program */ };

struct alert_desk *alert_desk_new(struct master *master);
/* A program that runs is killed. */
void alert_desk_free(struct alert_desk **desk);
/* After master->current has changed: what it says holds, and certificates are looked at. */
void alert_configured(struct alert_desk *desk);
/* Looks whether certificates end soon. */
void alert_look(struct alert_desk *desk);
/* ALERT from a process. */
enum err alert_message(struct process *process, struct slice payload);
/* POSTED from agent. */
enum err alert_posted(struct process *process, struct slice payload);
/* A process died that was not told to end. how: in words. */
void alert_died(struct alert_desk *desk, const struct process *process, const char *how);
/* A process is gone: what it said lasts is known by nobody. */
void alert_lost(struct alert_desk *desk, const struct process *process);
/* Looks whether the program has ended. */
void alert_reap(struct alert_desk *desk);
/* Runs the program for the operator's request, which is answered when it has ended. */
void alert_test(struct alert_desk *desk, uint64_t op);
struct alert_counts { /* of the program's runs since the start, but for those of alert_test */
	uint64_t told, failed, lost;
	size_t waiting;
};
void alert_count(const struct alert_desk *desk, struct alert_counts *counts_out);
/* A row for "postern status" of each alert that lasts or was told a short while ago. */
void alert_rows(struct alert_desk *desk, struct channel *channel, uint64_t id);

#endif
