/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "policy/rights.h"

static void patterns_valid(void **state)
{
	static const char *const good[] = {"alice@example.org",
					   "*@example.org",
					   "@example.org",
					   "*@*.example.org",
					   "*",
					   "alice+tag@example.org",
					   "\"a b\"@example.org",
					   "@localhost"};
	static const char *const bad[] = {"",
					  "alice",
					  "@",
					  "alice@",
					  "al*ce@example.org",
					  "*@*",
					  "**@example.org",
					  "alice@example..org",
					  "a b@example.org",
					  "alice@.example.org",
					  "alice@example.org.",
					  "*.example.org",
					  "a@b@example.org",
					  "alice@*.",
					  "alice@ex ample.org",
					  "alice\r\n@example.org"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(rights_pattern_valid(slice_str(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (rights_pattern_valid(slice_str(bad[i])))
			fail_msg("accepted: %s", bad[i]);
	}
}

static void matches(void **state)
{
	static const struct {
		const char *pattern, *address;
		bool match;
	} cases[] = {
		{"alice@example.org", "alice@example.org", true},
		{"alice@example.org", "ALICE@Example.ORG", true},
		{"alice@example.org", "alice+lists@example.org", true},
		{"alice@example.org", "alice+@example.org", true},
		{"alice@example.org", "alicex@example.org", false},
		{"alice@example.org", "alic@example.org", false},
		{"alice@example.org", "alice@example.org.evil.test", false},
		{"alice@example.org", "alice@sub.example.org", false},
		{"alice@example.org", "bob@example.org", false},
		{"alice@example.org", "", false},
		{"alice@example.org", "\"alice@example.org\"@evil.test", false},
		{"alice@example.org", "\"alice@evil.test\"@example.org", false},
		{"*@example.org", "anyone@example.org", true},
		{"@example.org", "anyone@example.org", true},
		{"@example.org", "@example.org", false},
		{"@example.org", "anyone@sub.example.org", false},
		{"*@*.example.org", "a@b.example.org", true},
		{"*@*.example.org", "a@c.b.example.org", true},
		{"*@*.example.org", "a@example.org", false},
		{"*@*.example.org", "a@.example.org", false},
		{"*@*.example.org", "a@evilexample.org", false},
		{"alice@*.example.org", "alice@b.example.org", true},
		{"alice@*.example.org", "bob@b.example.org", false},
		{"*", "anyone@anywhere.test", true},
		{"*", "", true},
		{"@example.org", "", false},
		{"@example.org", "postmaster", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (rights_match(slice_str(cases[i].pattern), slice_str(cases[i].address)) !=
		    cases[i].match)
			fail_msg("%s against %s", cases[i].pattern, cases[i].address);
	}
}

static void domains(void **state)
{
	(void)state;
	assert_true(rights_match_domain(SLICE_LIT("example.org"), SLICE_LIT("EXAMPLE.org")));
	assert_false(rights_match_domain(SLICE_LIT("example.org"), SLICE_LIT("a.example.org")));
	assert_true(rights_match_domain(SLICE_LIT("*.example.org"), SLICE_LIT("a.example.org")));
	assert_false(rights_match_domain(SLICE_LIT("*.example.org"), SLICE_LIT("example.org")));
	assert_false(rights_match_domain(SLICE_LIT("*"), SLICE_LIT("example.org")));
	assert_false(rights_match_domain(SLICE_LIT("example.org"), SLICE_LIT("")));
	assert_false(rights_match_domain(SLICE_LIT(""), SLICE_LIT("")));
	assert_false(rights_match_domain(SLICE_LIT("*."), SLICE_LIT("[192.0.2.1]")));
}

static void i1_local_parts_that_ask_to_be_sent_on(void **state)
{
	static const char *const routed[] = {
		"user%far.example@ours.example",
		"far.example!user@ours.example",
		"\"user@far.example\"@ours.example",
		"\"user%far.example\"@ours.example",
		"a%b!c@ours.example",
		"%@ours.example",
	};
	static const char *const plain[] = {
		"user@ours.example",
		"user+far.example@ours.example",
		"\"a b\"@ours.example",
		"user@[192.0.2.1]",
		"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(routed) / sizeof(routed[0]); i++)
		assert_true(rights_asks_routing(slice_str(routed[i])));
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		assert_false(rights_asks_routing(slice_str(plain[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_valid),
		cmocka_unit_test(matches),
		cmocka_unit_test(domains),
		cmocka_unit_test(i1_local_parts_that_ask_to_be_sent_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
