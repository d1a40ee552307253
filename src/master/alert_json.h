/* SPDX-License-Identifier: Apache-2.0 */
/* An alert as JSON, for programs of administrators. */
#ifndef POSTERN_MASTER_ALERT_JSON_H
#define POSTERN_MASTER_ALERT_JSON_H

#include "ipc/message.h"
#include "policy/alerts.h"

/* The evidence of an ALERT as a JSON object; what is not UTF-8 in it is replaced. On the heap. */
char *alert_json_evidence(struct ipc_list evidence);
/*
 * One line: {"host":...,"time":...,"kind":...,"subject":...,"state":...,"since":...,"text":...,
 * "evidence":{...}}. Times are as in the log. On the heap.
 */
char *alert_json(const struct alert *alert, const char *state, const char *host, int64_t now);

#endif
