/* SPDX-License-Identifier: Apache-2.0 */
/* What accounts do, as it is kept for the reports: added up, bounded, in pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "accounts_fixture.h"
#include "store/account_habits.h"

#define DAY INT64_C(86400000)
#define NOW (INT64_C(20000) * DAY)

enum { PAGE = 3 };

static void note(struct fixture *f, int64_t account, enum habit_kind kind, const char *value,
		 uint64_t count, int64_t at)
{
	const struct account_habit habit = {account, kind, value, count, at, at + 5};

	assert_int_equal(accounts_add_habits(f->accounts, &habit, 1, at), ERR_OK);
}

static size_t page(struct fixture *f, enum habit_kind kind, const char *name, const char *value,
		   struct account_habit_row rows_out[PAGE])
{
	size_t count = 99;

	assert_int_equal(accounts_habits(f->accounts, kind, name, value, PAGE, rows_out, &count),
			 ERR_OK);
	return count;
}

static void drop(struct account_habit_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		account_habit_row_release(&rows[i]);
}

static void test_adds_up(void **state)
{
	struct fixture *f = *state;
	struct account_habit_row rows[PAGE];
	int64_t alice = add(f, "alice");

	note(f, alice, HABIT_ENVELOPE, "x@example.org", 2, NOW);
	note(f, alice, HABIT_FROM, "x@example.org", 3, NOW + DAY);
	note(f, alice, HABIT_ENVELOPE, "x@example.org", 5, NOW + 2 * DAY);
	note(f, alice, HABIT_TLS, "PLAIN", 7, NOW);
	note(f, 99, HABIT_TLS, "PLAIN", 7, NOW); /* nobody */
	reopen(f);
	assert_int_equal(page(f, HABIT_ENVELOPE, "", "", rows), 1);
	assert_string_equal(rows[0].name, "alice");
	assert_string_equal(rows[0].value, "x@example.org");
	assert_int_equal(rows[0].counts[0], 7);
	assert_int_equal(rows[0].counts[1], 3);
	assert_int_equal(rows[0].first, NOW);
	assert_int_equal(rows[0].last, NOW + 2 * DAY + 5);
	drop(rows, 1);
	assert_int_equal(page(f, HABIT_TLS, "", "", rows), 1);
	assert_string_equal(rows[0].value, "PLAIN");
	assert_int_equal(rows[0].counts[0], 7);
	drop(rows, 1);
	assert_int_equal(accounts_delete(f->accounts, alice), ERR_OK);
	assert_int_equal(page(f, HABIT_ENVELOPE, "", "", rows), 0);
}

static void test_pages_are_in_order(void **state)
{
	static const char *const EXPECTED[] = {"alice a@x.org", "alice b@x.org", "bob a@x.org",
					       "bob c@x.org"};
	struct fixture *f = *state;
	struct account_habit_row rows[PAGE];
	int64_t bob = add(f, "bob"), alice = add(f, "alice");
	char name[64] = "", value[64] = "", text[160];
	size_t seen = 0, count;

	note(f, bob, HABIT_FROM, "c@x.org", 1, NOW);
	note(f, alice, HABIT_FROM, "b@x.org", 1, NOW);
	note(f, bob, HABIT_ENVELOPE, "a@x.org", 1, NOW);
	note(f, alice, HABIT_ENVELOPE, "a@x.org", 1, NOW);
	do {
		count = page(f, HABIT_ENVELOPE, name, value, rows);
		for (size_t i = 0; i < count; i++) {
			(void)snprintf(text, sizeof(text), "%s %s", rows[i].name, rows[i].value);
			assert_true(seen < 4);
			assert_string_equal(text, EXPECTED[seen++]);
			(void)snprintf(name, sizeof(name), "%s", rows[i].name);
			(void)snprintf(value, sizeof(value), "%s", rows[i].value);
		}
		drop(rows, count);
	} while (count == PAGE);
	assert_int_equal(seen, 4);
}

static void test_bounded(void **state)
{
	struct fixture *f = *state;
	struct account_habit list[HABITS_OF_ACCOUNT + 50];
	char values[HABITS_OF_ACCOUNT + 50][32];
	struct account_habit_row *rows = calloc(HABITS_OF_ACCOUNT + 50, sizeof(*rows));
	int64_t alice = add(f, "alice");
	size_t count;

	for (size_t i = 0; i < HABITS_OF_ACCOUNT + 50; i++) {
		(void)snprintf(values[i], sizeof(values[i]), "%zu@x.org", i);
		list[i] = (struct account_habit){alice, HABIT_FROM, values[i], 1, NOW, NOW};
	}
	assert_int_equal(accounts_add_habits(f->accounts, list, HABITS_OF_ACCOUNT + 50, NOW),
			 ERR_OK);
	note(f, alice, HABIT_FROM, "0@x.org", 1, NOW + 1); /* one that is there counts on */
	assert_int_equal(accounts_habits(f->accounts, HABIT_ENVELOPE, "", "",
					 HABITS_OF_ACCOUNT + 50, rows, &count),
			 ERR_OK);
	assert_int_equal(count, HABITS_OF_ACCOUNT);
	assert_int_equal(rows[0].counts[1], 2);
	drop(rows, count);
	note(f, alice, HABIT_FROM, "new@x.org", 1, NOW + 366 * DAY); /* the old ones have gone */
	assert_int_equal(accounts_habits(f->accounts, HABIT_ENVELOPE, "", "",
					 HABITS_OF_ACCOUNT + 50, rows, &count),
			 ERR_OK);
	assert_int_equal(count, 1);
	assert_string_equal(rows[0].value, "new@x.org");
	drop(rows, count);
	free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_adds_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pages_are_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bounded, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
