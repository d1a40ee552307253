/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

struct row {
	UT_hash_handle hh; /* in order of use, the oldest first */
	struct account account;
	char name[];
};

struct rows {
	struct row *table;
	size_t max;
};

struct rows *rows_new(size_t max)
{
	struct rows *rows = mem_alloc(sizeof(*rows));

	rows->max = max;
	return rows;
}

static void remove_row(struct rows *rows, struct row *row)
{
	HASH_DEL(rows->table, row);
	account_release(&row->account);
	mem_free(row);
}

void rows_clear(struct rows *rows)
{
	while (rows->table != NULL)
		remove_row(rows, rows->table);
}

void rows_free(struct rows **rows)
{
	if (*rows == NULL)
		return;
	rows_clear(*rows);
	MEM_FREE(*rows);
}

static struct row *find(struct rows *rows, const char *name)
{
	struct row *row = NULL;

	HASH_FIND(hh, rows->table, name, strlen(name), row);
	return row;
}

const struct account *rows_find(struct rows *rows, const char *name)
{
	struct row *row = find(rows, name);

	if (row == NULL)
		return NULL;
	HASH_DEL(rows->table, row); /* to the end of the order */
	HASH_ADD(hh, rows->table, name, strlen(row->name), row);
	return &row->account;
}

void rows_put(struct rows *rows, const char *name, const struct account *account)
{
	size_t len = strlen(name);
	struct row *row = find(rows, name);

	if (row != NULL)
		remove_row(rows, row);
	while (rows->table != NULL && HASH_COUNT(rows->table) >= rows->max)
		remove_row(rows, rows->table);
	row = mem_alloc(sizeof(*row) + len + 1);
	memcpy(row->name, name, len);
	account_copy(account, &row->account);
	HASH_ADD(hh, rows->table, name, len, row);
}

void rows_drop(struct rows *rows, int64_t id)
{
	struct row *row, *next;

	HASH_ITER (hh, rows->table, row, next)
		if (row->account.id == id)
			remove_row(rows, row);
}

size_t rows_count(const struct rows *rows)
{
	return HASH_COUNT(rows->table);
}
