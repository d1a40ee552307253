/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"

enum { ROW_MAX = 65536, VALUE_MAX = 4096 };

struct rows_row *rows_add(struct rows *rows)
{
	if (rows->count == rows->size) {
		rows->size = rows->size == 0 ? 16 : rows->size * 2;
		rows->rows = mem_resize(rows->rows, rows->size * sizeof(*rows->rows));
	}
	ipc_list_begin(&rows->rows[rows->count].fields, ROW_MAX);
	return &rows->rows[rows->count++];
}

static void add(struct rows_row *row, const char *key, enum ipc_field_kind kind, struct slice value)
{
	const struct rec_field field = {.key = slice_str(key),
					.kind = (uint8_t)kind,
					.value = slice_head(value, VALUE_MAX)};

	(void)ipc_list_add(&row->fields, IPC_REC_field, &field);
}

void rows_text(struct rows_row *row, const char *key, struct slice value)
{
	add(row, key, IPC_FIELD_TEXT, value);
}

static void add_number(struct rows_row *row, const char *key, enum ipc_field_kind kind,
		       int64_t value)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%" PRId64, value);

	add(row, key, kind, slice_of(text, (size_t)len));
}

void rows_number(struct rows_row *row, const char *key, int64_t value)
{
	add_number(row, key, IPC_FIELD_NUMBER, value);
}

void rows_time(struct rows_row *row, const char *key, int64_t wall)
{
	add_number(row, key, IPC_FIELD_TIME, wall);
}

void rows_bool(struct rows_row *row, const char *key, bool value)
{
	add(row, key, IPC_FIELD_BOOL, value ? SLICE_LIT("true") : SLICE_LIT("false"));
}

void rows_clear(struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		ipc_list_release(&rows->rows[i].fields);
	MEM_FREE(rows->rows);
	rows->count = rows->size = 0;
}
