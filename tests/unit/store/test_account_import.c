/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts that come from elsewhere: all or none, and a hash that gives way to a verifier. */
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
#include "store/account_import.h"
#include "store/account_verifiers.h"

static void test_all_or_none(void **state)
{
	struct fixture *f = *state;
	struct account_import imports[] = {
		{.name = "bob", .hash = "$6$b", .source = ""},
		{.name = "carol", .has_verifier = true, .hash = "", .source = ""},
		{.name = "alice", .hash = "$6$a", .source = ""},
	};
	struct account account;
	uint64_t count, enabled;

	imports[1].verifier = f->verifier;
	add(f, "alice");
	assert_int_equal(accounts_import(f->accounts, imports, 3, 5000), ERR_EXISTS);
	assert_int_equal(accounts_count(f->accounts, &count, &enabled), ERR_OK);
	assert_int_equal(count, 1);
	assert_int_equal(imports[0].id, 0);
	imports[2].name = "dave";
	imports[2].expires = 9000;
	assert_int_equal(accounts_import(f->accounts, imports, 3, 5000), ERR_OK);
	reopen(f);
	find(f, "carol", &account);
	assert_int_equal(account.id, imports[1].id);
	assert_true(verifier_check(&account.verifier, SLICE_LIT("pencil")));
	account_release(&account);
	find(f, "dave", &account);
	assert_string_equal(account.hash, "$6$a");
	assert_int_equal(account.expires, 9000);
	assert_true(account_verifier(&account) == NULL && !account.damaged);
	account_release(&account);
	assert_int_equal(accounts_hashes(f->accounts, &count), ERR_OK);
	assert_int_equal(count, 2);
}

static void test_a_hash_in_place_of_a_verifier(void **state)
{
	struct fixture *f = *state;
	struct account_import import = {.id = add(f, "alice"), .hash = "$6$a", .source = ""};
	char text[ACCOUNT_VERIFIER_MAX + 1];
	struct account account;

	assert_int_equal(accounts_set_extra(f->accounts, import.id, 0, "SCRAM-SHA-1", "x"), ERR_OK);
	assert_int_equal(accounts_import(f->accounts, &import, 1, 5000), ERR_OK);
	find(f, "alice", &account);
	assert_string_equal(account.hash, "$6$a");
	assert_true(account_verifier(&account) == NULL);
	assert_int_equal(account.generation, 2); /* it is another password */
	assert_int_equal(account.password_changed, 5000);
	account_release(&account);
	assert_int_equal(accounts_extra(f->accounts, import.id, 0, "SCRAM-SHA-1", text),
			 ERR_NOT_FOUND);
	import.id = 99;
	assert_int_equal(accounts_import(f->accounts, &import, 1, 5000), ERR_NOT_FOUND);
}

static void test_a_verifier_in_place_of_its_hash(void **state)
{
	struct fixture *f = *state;
	struct account_import imports[] = {{.name = "alice", .hash = "$6$a", .source = ""},
					   {.name = "bob", .hash = "$6$b", .source = ""}};
	char hash[ACCOUNT_HASH_MAX + 1];
	struct account account;
	uint64_t without;

	assert_int_equal(accounts_some_hash(f->accounts, hash), ERR_NOT_FOUND);
	assert_int_equal(accounts_import(f->accounts, imports, 2, 5000), ERR_OK);
	assert_int_equal(accounts_some_hash(f->accounts, hash), ERR_OK);
	assert_string_equal(hash, "$6$a");
	assert_int_equal(accounts_replace_hash(f->accounts, imports[0].id, "$6$b", &f->verifier),
			 ERR_NOT_FOUND); /* another one was set meanwhile */
	assert_int_equal(accounts_replace_hash(f->accounts, imports[0].id, "$6$a", &f->verifier),
			 ERR_OK);
	assert_int_equal(accounts_replace_hash(f->accounts, imports[0].id, "$6$a", &f->verifier),
			 ERR_NOT_FOUND);
	find(f, "alice", &account);
	assert_string_equal(account.hash, "");
	assert_int_equal(account.generation, 1); /* it is the same password: sessions stay */
	assert_true(verifier_check(account_verifier(&account), SLICE_LIT("pencil")));
	account_release(&account);
	assert_int_equal(accounts_some_hash(f->accounts, hash), ERR_OK);
	assert_string_equal(hash, "$6$b");
	assert_int_equal(accounts_without_scram(f->accounts, &without), ERR_OK);
	assert_int_equal(without, 1);
	assert_int_equal(accounts_delete(f->accounts, imports[1].id), ERR_OK);
	assert_int_equal(accounts_some_hash(f->accounts, hash), ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_all_or_none),
		STORE_TEST(test_a_hash_in_place_of_a_verifier),
		STORE_TEST(test_a_verifier_in_place_of_its_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
