/* SPDX-License-Identifier: Apache-2.0 */
/* Mail to people who do not exist tells of a stolen password (C19). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/hash.h"
#include "policy/unknowns.h"

enum { SHARE = 30, MINUTE = 60000 };
#define START INT64_C(500000000)

static struct unknowns *unknowns;
static char why[UNKNOWNS_WHY];

static int set_up(void **state)
{
	(void)state;
	unknowns = unknowns_new();
	unknowns_set_share(unknowns, SHARE);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unknowns_free(&unknowns);
	return 0;
}

static bool count(const char *account, uint32_t ended, uint32_t refused, int64_t now)
{
	return unknowns_count(unknowns, slice_str(account), ended, refused, now, why);
}

static void c19_more_than_the_share(void **state)
{
	(void)state;
	assert_false(count("alice", 70, 0, START));
	assert_false(count("alice", 30, 30, START + MINUTE));  /* 30 of 100 */
	assert_false(count("bob", 19, 19, START));             /* too few to tell */
	assert_true(count("alice", 1, 1, START + 2 * MINUTE)); /* 31 of 101 */
	assert_string_equal(
		why, "31 of 101 recipients within an hour (30 percent) were refused as unknown");
	assert_true(count("bob", 1, 1, START));
	/* It begins anew after that. */
	assert_false(count("bob", 1, 1, START));
}

static void c19_only_the_last_hour(void **state)
{
	(void)state;
	assert_false(count("alice", 19, 19, START));
	assert_false(count("alice", 19, 19, START + 60 * MINUTE));
	assert_false(count("bob", 1000, 0, START));
	assert_false(count("bob", 19, 19, START + 30 * MINUTE));
	/* What was well is forgotten, too; and what is well never freezes. */
	assert_false(count("bob", 1, 0, START + 61 * MINUTE));
	assert_true(count("bob", 1, 1, START + 61 * MINUTE));
}

static void what_makes_no_sense_counts_nothing(void **state)
{
	(void)state;
	assert_false(count("", 100, 100, START));
	assert_false(count("alice", 50, 51, START));
	assert_false(count("alice", 0, 0, START));
	assert_false(count("alice", 19, 19, START));
	unknowns_set_share(unknowns, 0);
	assert_false(count("alice", 100, 100, START));
	/* All of them unknown is no more than 100 percent. */
	unknowns_set_share(unknowns, 100);
	assert_false(count("alice", 100, 100, START));
}

static void c19_no_more_accounts_than_fit(void **state)
{
	char name[32];

	(void)state;
	assert_false(count("first", 19, 19, START));
	assert_false(count("second", 19, 19, START));
	for (int i = 0; i < UNKNOWNS_MAX - 2; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		assert_false(count(name, 1, 1, START));
	}
	assert_false(count("first", 0, 0, START));
	assert_false(count("other", 1, 1, START)); /* the oldest goes */
	assert_false(count("first", 1, 1, START));
	assert_false(count("second", 1, 1, START)); /* gone since "first" came back */
	assert_true(count("first", 19, 19, START));
}

int main(void)
{
	static const unsigned char key[16] = "0123456789abcde";
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(c19_more_than_the_share, set_up, tear_down),
		cmocka_unit_test_setup_teardown(c19_only_the_last_hour, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_makes_no_sense_counts_nothing, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(c19_no_more_accounts_than_fit, set_up, tear_down),
	};

	hash_set_key(key);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
