/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of named values, as OP_ROW carries them. */
#ifndef POSTERN_QUEUE_ROWS_H
#define POSTERN_QUEUE_ROWS_H

#include "ipc/message.h"

struct rows_row {
	struct ipc_list_builder fields;
};
struct rows {
	struct rows_row *rows;
	size_t count, size;
};

/* Valid until the next row is added. */
struct rows_row *rows_add(struct rows *rows);
/* What does not fit is left out or cut: these are for people. */
void rows_text(struct rows_row *row, const char *key, struct slice value);
void rows_number(struct rows_row *row, const char *key, int64_t value);
void rows_time(struct rows_row *row, const char *key, int64_t wall);
void rows_bool(struct rows_row *row, const char *key, bool value);
void rows_clear(struct rows *rows);

#endif
