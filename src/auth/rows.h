/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts as they were last read from the store, so that a login with a proven password asks
 * no disk. They stay true because this process alone changes the store, and drops the row of
 * what it changed. Bounded: the one that was unused for longest goes first.
 */
#ifndef POSTERN_AUTH_ROWS_H
#define POSTERN_AUTH_ROWS_H

#include "store/accounts.h"

struct rows;

struct rows *rows_new(size_t max);
void rows_free(struct rows **rows);
/*
 * By what account_login_print makes of the login, so with the key that it means; valid until the
 * next call. NULL: not here, ask the store.
 */
const struct account *rows_find(struct rows *rows, const char *name);
void rows_put(struct rows *rows, const char *name, const struct account *account); /* copies */
void rows_drop(struct rows *rows, int64_t id);
void rows_clear(struct rows *rows);
size_t rows_count(const struct rows *rows);

#endif
