/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operator asks: channels from control (or from the CLI when the server is down), and
 * operations on the queue. An operation reads in short steps on a thread of its own and sends a
 * bounded number of rows at a time, so a queue of a million does not hold up mail.
 */
#ifndef POSTERN_QUEUE_OPERATOR_H
#define POSTERN_QUEUE_OPERATOR_H

#include <stdbool.h>

struct operators;
struct queue;

struct operators *operators_new(struct queue *queue);
void operators_free(struct operators **operators);
void operators_connect(struct operators *operators, int fd); /* takes fd */
bool operators_idle(const struct operators *operators);

#endif
