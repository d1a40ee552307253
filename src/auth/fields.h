/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fields of the rows that answer operators. What goes into a row is bounded far below the maximum
 * that the row was begun with, so none of these fails.
 */
#ifndef POSTERN_AUTH_FIELDS_H
#define POSTERN_AUTH_FIELDS_H

#include "ipc/message.h"

enum { ROW_MAX = 64 * 1024 }; /* bytes, for ipc_list_begin */

void row_add(struct ipc_list_builder *row, const char *key, enum ipc_field_kind kind,
	     const char *value);
void row_text(struct ipc_list_builder *row, const char *key, const char *value);
void row_bool(struct ipc_list_builder *row, const char *key, bool value);
void row_time(struct ipc_list_builder *row, const char *key, int64_t value); /* ms since 1970 */
void row_number(struct ipc_list_builder *row, const char *key, uint64_t value);

#endif
