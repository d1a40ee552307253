/* SPDX-License-Identifier: Apache-2.0 */
/* The caches of the auth process: nobody's password is ever right for anybody else (C13). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proven.h"
#include "rows.h"

static struct account person(int64_t id, uint64_t generation, const char *name)
{
	static char names[8][ACCOUNT_NAME_MAX + 1];
	static unsigned next;
	char *copy = names[next++ % 8];

	(void)snprintf(copy, ACCOUNT_NAME_MAX + 1, "%s", name);
	return (struct account){.id = id, .generation = generation, .name = copy, .enabled = true};
}

static void test_proven(void **state)
{
	struct account alice = person(1, 1, "alice"), changed = person(1, 2, "alice");
	struct account renamed = person(1, 1, "alicf"), bob = person(2, 1, "alice");
	struct proven *proven = NULL;

	(void)state;
	assert_int_equal(proven_new(100, &proven), ERR_OK);
	assert_false(proven_knows(proven, &alice, SLICE_LIT("secret"), 0));
	proven_remember(proven, &alice, SLICE_LIT("secret"), 1000);
	assert_true(proven_knows(proven, &alice, SLICE_LIT("secret"), 0));
	assert_false(proven_knows(proven, &alice, SLICE_LIT("secre"), 0));
	assert_false(proven_knows(proven, &alice, SLICE_LIT("secrets"), 0));
	assert_false(proven_knows(proven, &changed, SLICE_LIT("secret"), 0));
	assert_false(proven_knows(proven, &renamed, SLICE_LIT("secret"), 0));
	assert_false(proven_knows(proven, &bob, SLICE_LIT("secret"), 0));
	assert_true(proven_knows(proven, &alice, SLICE_LIT("secret"), 999));
	assert_false(proven_knows(proven, &alice, SLICE_LIT("secret"), 1000)); /* short life */
	assert_int_equal(proven_count(proven), 0);
	proven_free(&proven);
	assert_null(proven);
}

/* Name and password never run together: "ab" + "c" is not "a" + "bc". */
static void test_proven_borders(void **state)
{
	struct account ab = person(1, 1, "ab"), a = person(1, 1, "a");
	struct proven *proven = NULL;

	(void)state;
	assert_int_equal(proven_new(100, &proven), ERR_OK);
	proven_remember(proven, &ab, SLICE_LIT("c"), 1000);
	assert_false(proven_knows(proven, &a, SLICE_LIT("bc"), 0));
	proven_free(&proven);
}

static void c13_interleaved_logins(void **state)
{
	struct account alice = person(1, 7, "alice"), bob = person(2, 7, "bob");
	struct proven *proven = NULL;

	(void)state;
	assert_int_equal(proven_new(100, &proven), ERR_OK);
	for (int round = 0; round < 100000; round++) {
		proven_remember(proven, &alice, SLICE_LIT("alice-password"), 1000);
		proven_remember(proven, &bob, SLICE_LIT("bob-password"), 1000);
		if (!proven_knows(proven, &alice, SLICE_LIT("alice-password"), 0) ||
		    !proven_knows(proven, &bob, SLICE_LIT("bob-password"), 0) ||
		    proven_knows(proven, &alice, SLICE_LIT("bob-password"), 0) ||
		    proven_knows(proven, &bob, SLICE_LIT("alice-password"), 0))
			fail();
	}
	assert_int_equal(proven_count(proven), 2);
	proven_free(&proven);
}

/* What a key proves is the key's, and never the account's or another key's. */
static void c13_keys_are_not_mixed_up(void **state)
{
	struct account alice = person(1, 1, "alice"), scanner = alice, laptop = alice;
	struct account_key first = {.id = 5}, second = {.id = 6};
	struct proven *proven = NULL;

	(void)state;
	scanner.key = &first;
	laptop.key = &second;
	assert_int_equal(proven_new(100, &proven), ERR_OK);
	proven_remember(proven, &scanner, SLICE_LIT("secret"), 1000);
	assert_true(proven_knows(proven, &scanner, SLICE_LIT("secret"), 0));
	assert_false(proven_knows(proven, &laptop, SLICE_LIT("secret"), 0));
	assert_false(proven_knows(proven, &alice, SLICE_LIT("secret"), 0));
	proven_forget(proven, 1);
	assert_false(proven_knows(proven, &scanner, SLICE_LIT("secret"), 0));
	proven_free(&proven);
}

static void test_proven_bounded(void **state)
{
	struct account alice = person(1, 1, "alice"), bob = person(2, 1, "bob");
	struct proven *proven = NULL;
	char password[16];

	(void)state;
	assert_int_equal(proven_new(10, &proven), ERR_OK);
	proven_remember(proven, &bob, SLICE_LIT("secret"), 1000);
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(password, sizeof(password), "p%d", i);
		proven_remember(proven, &alice, slice_str(password), 1000);
		assert_true(proven_count(proven) <= 10);
	}
	assert_false(proven_knows(proven, &bob, SLICE_LIT("secret"), 0));
	assert_false(proven_knows(proven, &alice, SLICE_LIT("p0"), 0));
	assert_true(proven_knows(proven, &alice, SLICE_LIT("p999"), 0));
	proven_remember(proven, &bob, SLICE_LIT("secret"), 1000);
	proven_forget(proven, 1);
	assert_int_equal(proven_count(proven), 1);
	assert_true(proven_knows(proven, &bob, SLICE_LIT("secret"), 0));
	proven_free(&proven);
}

static void test_rows(void **state)
{
	struct account alice = person(1, 1, "alice"), bob = person(2, 1, "bob"), other;
	struct rows *rows = rows_new(3);
	char name[16];

	(void)state;
	assert_null(rows_find(rows, "alice"));
	rows_put(rows, "alice", &alice);
	rows_put(rows, "bob", &bob);
	assert_int_equal(rows_find(rows, "alice")->id, 1);
	assert_int_equal(rows_find(rows, "bob")->id, 2);
	assert_null(rows_find(rows, "alic"));
	assert_null(rows_find(rows, "alicex"));
	alice.generation = 2;
	rows_put(rows, "alice", &alice); /* replaces */
	assert_int_equal(rows_find(rows, "alice")->generation, 2);
	assert_int_equal(rows_count(rows), 2);
	rows_drop(rows, 1);
	assert_null(rows_find(rows, "alice"));
	assert_non_null(rows_find(rows, "bob"));
	for (int i = 0; i < 10; i++) { /* what is used stays */
		(void)snprintf(name, sizeof(name), "user%d", i);
		other = person(10 + i, 1, name);
		rows_put(rows, name, &other);
		assert_non_null(rows_find(rows, "bob"));
		assert_true(rows_count(rows) <= 3);
	}
	assert_null(rows_find(rows, "user0"));
	rows_clear(rows);
	assert_int_equal(rows_count(rows), 0);
	rows_put(rows, "bob", &bob);
	rows_free(&rows);
	assert_null(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proven),
		cmocka_unit_test(test_proven_borders),
		cmocka_unit_test(c13_interleaved_logins),
		cmocka_unit_test(c13_keys_are_not_mixed_up),
		cmocka_unit_test(test_proven_bounded),
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
