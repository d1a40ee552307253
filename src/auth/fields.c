/* SPDX-License-Identifier: Apache-2.0 */
#include "fields.h"

#include <inttypes.h>
#include <stdio.h>

void row_add(struct ipc_list_builder *row, const char *key, enum ipc_field_kind kind,
	     const char *value)
{
	(void)ipc_list_add(row, IPC_REC_field,
			   &(struct rec_field){slice_str(key), (uint8_t)kind, slice_str(value)});
}

void row_text(struct ipc_list_builder *row, const char *key, const char *value)
{
	row_add(row, key, IPC_FIELD_TEXT, value);
}

void row_bool(struct ipc_list_builder *row, const char *key, bool value)
{
	row_add(row, key, IPC_FIELD_BOOL, value ? "true" : "false");
}

void row_time(struct ipc_list_builder *row, const char *key, int64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, value);
	row_add(row, key, IPC_FIELD_TIME, text);
}

void row_number(struct ipc_list_builder *row, const char *key, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	row_add(row, key, IPC_FIELD_NUMBER, text);
}
