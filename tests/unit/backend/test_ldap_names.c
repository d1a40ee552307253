/* SPDX-License-Identifier: Apache-2.0 */
/* Names in filters and distinguished names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "ldap_names.h"

static enum err fill_in(const char *template, const char *name, char text[256])
{
	memset(text, 'x', 256);
	return ldap_fill_in(template, name, "example.org", text, 256);
}

static void expect(const char *template, const char *name, const char *expected)
{
	char text[256];

	assert_int_equal(fill_in(template, name, text), ERR_OK);
	assert_string_equal(text, expected);
}

static void test_what_is_filled_in(void **state)
{
	(void)state;
	expect("(uid=%u)", "alice", "(uid=alice)");
	expect("(uid=%u)", "alice@Example.ORG", "(uid=alice)");
	expect("(|(uid=%u)(mail=%s))", "alice", "(|(uid=alice)(mail=alice\\40example.org))");
	expect("(&(uid=%u)(o=%d))", "alice@other.example", "(&(uid=alice)(o=other.example))");
	expect("uid=%u,ou=people,o=100%%", "a.b-c_d", "uid=a.b-c_d,ou=people,o=100%");
	expect("%u@corp.example", "alice", "alice@corp.example");
	expect("%s", "alice@other.example", "alice@other.example");
	expect("%u%", "alice", "alice%");
}

/* One value stays one value, whatever it is made of. */
static void test_c6_names_that_would_be_more(void **state)
{
	char text[256];

	(void)state;
	expect("(uid=%u)", "*)(uid=*", "(uid=\\2a\\29\\28uid\\3d\\2a)");
	expect("(uid=%u)", "\\2a", "(uid=\\5c2a)");
	expect("(uid=%u)", "m\xc3\xbcller", "(uid=m\\c3\\bcller)");
	expect("(mail=%s)", "a@b)(uid=*@example.org",
	       "(mail=a\\40b\\29\\28uid\\3d\\2a\\40example.org)");
	expect("(o=%d)", "a@*", "(o=\\2a)");
	expect("uid=%u,o=x", "a,ou=admins", "uid=a\\2cou\\3dadmins,o=x");
	expect("uid=%u,o=x", " #\"+;<>", "uid=\\20\\23\\22\\2b\\3b\\3c\\3e,o=x");
	expect("uid=%u,o=x", "%d", "uid=\\25d,o=x"); /* filled in once */
	/* Where nothing can be escaped. */
	assert_int_equal(fill_in("%u@corp.example", "a,b", text), ERR_SYNTAX);
	assert_int_equal(fill_in("%u@corp.example", "a@b@example.org", text), ERR_SYNTAX);
	assert_int_equal(fill_in("CORP\\%u", "a\\b", text), ERR_SYNTAX);
}

/* alice of another domain is not our alice. */
static void test_c6_names_of_other_domains(void **state)
{
	char text[256];

	(void)state;
	assert_int_equal(fill_in("(uid=%u)", "alice@other.example", text), ERR_NOT_FOUND);
	assert_int_equal(fill_in("(uid=%%d%u)", "alice@other.example", text), ERR_NOT_FOUND);
	assert_int_equal(fill_in("uid=%u,o=x", "alice@", text), ERR_NOT_FOUND);
}

static void test_names_that_are_too_long(void **state)
{
	char name[320], text[256];

	(void)state;
	memset(name, '*', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(fill_in("(uid=%u)", name, text), ERR_FULL);
	name[83] = '\0';
	assert_int_equal(fill_in("(uid=%u)", name, text), ERR_OK);
	assert_int_equal(strlen(text), 255);
	name[83] = '*';
	name[84] = '\0';
	assert_int_equal(fill_in("(uid=%u)", name, text), ERR_FULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_filled_in),
		cmocka_unit_test(test_c6_names_that_would_be_more),
		cmocka_unit_test(test_c6_names_of_other_domains),
		cmocka_unit_test(test_names_that_are_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
