/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator asks, over channels from control: status, and which way a recipient goes. */
#ifndef POSTERN_RELAY_OPERATOR_H
#define POSTERN_RELAY_OPERATOR_H

#include <stdbool.h>
#include <stdint.h>

struct operator_rows;
struct operators;
struct relay;

struct operators *operators_new(struct relay *relay);
void operators_free(struct operators **operators);
void operators_connect(struct operators *operators, int fd); /* takes fd */

/* A row is begun, filled and ended; then it is on its way. */
void operator_row_begin(struct operator_rows *rows);
void operator_text(struct operator_rows *rows, const char *key, const char *value);
void operator_number(struct operator_rows *rows, const char *key, int64_t value);
void operator_bool(struct operator_rows *rows, const char *key, bool value);
void operator_row_end(struct operator_rows *rows);

#endif
