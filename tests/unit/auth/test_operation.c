/* SPDX-License-Identifier: Apache-2.0 */
/* What operators ask of the accounts, and the words they get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "operation.h"
#include "operation_fixture.h"

static void test_life(void **state)
{
	(void)state;
	expect(IPC_OP_USER_TEST, "alice", GOOD, false, "there is no account alice");
	expect(IPC_OP_USER_ADD, "Alice", GOOD, true, "alice: added; may send as alice@example.org");
	expect(IPC_OP_USER_ADD, "alice@example.org", GOOD, false, "there is an account alice");
	expect(IPC_OP_USER_TEST, "alice", GOOD, true,
	       "alice: password correct; account enabled; may send as alice@example.org");
	expect(IPC_OP_USER_TEST, "alice@EXAMPLE.org", GOOD, true, "alice: password correct");
	expect(IPC_OP_USER_TEST, "alice", "wrong", false, "alice: password wrong; account enabled");
	expect(IPC_OP_USER_TEST, "alice", "", true, "none tested");
	expect(IPC_OP_USER_TEST, "alice@mail.example.org", GOOD, false,
	       "but there is alice; names without a domain belong to example.org");
	expect(IPC_OP_USER_DISABLE, "alice", "", true, "alice: disabled");
	expect(IPC_OP_USER_DISABLE, "alice", "", true, "already");
	expect(IPC_OP_USER_TEST, "alice", GOOD, false, "password correct; account disabled");
	expect(IPC_OP_USER_ENABLE, "alice", "", true, "alice: enabled");
	expect(IPC_OP_USER_PASSWORD, "alice", "another horse", true, "new password set");
	expect(IPC_OP_USER_TEST, "alice", GOOD, false, "password wrong");
	expect(IPC_OP_USER_TEST, "alice", "another horse", true, "password correct");
	expect(IPC_OP_USER_DELETE, "alice", "", true, "alice: deleted");
	expect(IPC_OP_USER_DELETE, "alice", "", false, "there is no account alice");
}

static void test_refused(void **state)
{
	(void)state;
	expect(IPC_OP_USER_ADD, "alice", "short", false, "shorter than");
	expect(IPC_OP_USER_ADD, "alice", "", false, "--generate");
	expect(IPC_OP_USER_ADD, "alice1234", "Alice1234", false, "is the login name");
	expect(IPC_OP_USER_ADD, "alice", "password123", false, "attackers");
	expect(IPC_OP_USER_ADD, "alice", "tab\there in it", false, "control");
	expect(IPC_OP_USER_ADD, "alice+x", GOOD, false, "sub-address");
	expect(IPC_OP_USER_ADD, "al ice", GOOD, false, "not a login name");
	expect(IPC_OP_USER_ADD, "", GOOD, false, "not a login name");
	expect(999, "alice", GOOD, false, "does not know");
	expect(IPC_OP_USER_SHOW, "alice", "", false, "there is no account alice");
}

static void test_changes_are_told(void **state)
{
	static const struct {
		uint16_t op;
		bool ends;
	} CASES[] = {
		{IPC_OP_USER_SHOW, false},   {IPC_OP_USER_PASSWORD, true},
		{IPC_OP_USER_DISABLE, true}, {IPC_OP_USER_ENABLE, false},
		{IPC_OP_USER_SET, true},     {IPC_OP_USER_TEST, false},
		{IPC_OP_USER_DELETE, true},
	};

	(void)state;
	expect(IPC_OP_USER_ADD, "alice", GOOD, true, "");
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct operation *operation = run(CASES[i].op, "alice", GOOD, NULL);

		assert_false(operation->failed);
		assert_int_equal(operation->end_sessions, CASES[i].ends);
		assert_int_equal(operation->changed != 0, CASES[i].op != IPC_OP_USER_SHOW &&
								  CASES[i].op != IPC_OP_USER_TEST);
		operation_free(&operation);
	}
}

static void test_generate(void **state)
{
	static const char *const ARGS[] = {"generate", "true", NULL};
	struct operation *operation;
	char *password;

	(void)state;
	operation = run(IPC_OP_USER_ADD, "alice", "", ARGS);
	assert_false(operation->failed);
	expect_field(operation, "name", "alice");
	expect_field(operation, "address", "alice@example.org");
	assert_non_null(password = field(operation, 0, "password"));
	assert_int_equal(strlen(password), 24);
	assert_null(strstr(operation->text, password));
	operation_free(&operation);
	expect(IPC_OP_USER_TEST, "alice", password, true, "password correct");
	mem_free(password);
}

static void test_send_as(void **state)
{
	static const char *const ARGS[] = {"send_as", "alice@example.org", "send_as",
					   "*@lab.example.org", NULL};
	static const char *const EMPTY[] = {"send_as", "", NULL};
	static const char *const BAD[] = {"send_as", "alice at example", NULL};
	struct operation *operation;

	(void)state;
	operation = run(IPC_OP_USER_ADD, "alice", GOOD, ARGS);
	assert_false(operation->failed);
	operation_free(&operation);
	operation = run(IPC_OP_USER_SHOW, "alice", "", NULL);
	expect_field(operation, "send_as", "alice@example.org, *@lab.example.org");
	expect_field(operation, "enabled", "true");
	expect_field(operation, "created", "1000");
	expect_field(operation, "verifier", "SCRAM-SHA-256, 4096 iterations");
	operation_free(&operation);
	operation = run(IPC_OP_USER_SET, "alice", "", BAD);
	assert_true(operation->failed);
	assert_non_null(strstr(operation->text, "alice at example: not a sender pattern"));
	operation_free(&operation);
	operation = run(IPC_OP_USER_SET, "alice", "", EMPTY); /* back to the default */
	expect_field(operation, "send_as", "alice@example.org");
	operation_free(&operation);
}

static void test_too_many_send_as(void **state)
{
	const char *args[2 * (ACCOUNT_PATTERNS + 1) + 1];
	struct operation *operation;

	(void)state;
	for (size_t i = 0; i <= ACCOUNT_PATTERNS; i++) {
		args[2 * i] = "send_as";
		args[2 * i + 1] = "a@b.example";
	}
	args[2 * (ACCOUNT_PATTERNS + 1)] = NULL;
	operation = run(IPC_OP_USER_ADD, "alice", GOOD, args);
	assert_true(operation->failed);
	assert_non_null(strstr(operation->text, "sender patterns"));
	operation_free(&operation);
}

/* More than a page: the operation is run again until it is through. */
static void test_list(void **state)
{
	struct operation *operation;
	struct verifier verifier;
	int64_t id = 0;
	char name[16], *got;
	size_t seen = 0;

	(void)state;
	assert_int_equal(verifier_make(SLICE_LIT("x"), (const unsigned char *)"0123456789abcdef",
				       4096, &verifier),
			 ERR_OK);
	for (int i = 0; i < 2 * OPERATION_PAGE + 3; i++) {
		(void)snprintf(name, sizeof(name), "user%04d", i);
		assert_int_equal(
			accounts_add(accounts,
				     &(struct account_new){.name = name, .verifier = &verifier}, 1,
				     &id),
			ERR_OK);
	}
	operation = run(IPC_OP_USER_LIST, "", "", NULL);
	for (;;) {
		for (size_t i = 0; i < operation->row_count; i++) {
			(void)snprintf(name, sizeof(name), "user%04zu", seen++);
			assert_non_null(got = field(operation, i, "name"));
			assert_string_equal(got, name);
			mem_free(got);
		}
		operation_drop_rows(operation);
		if (!operation->more)
			break;
		operation_run(operation, accounts, 1000);
	}
	assert_int_equal(seen, 2 * OPERATION_PAGE + 3);
	assert_string_equal(operation->text, "515 accounts");
	operation_free(&operation);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_life),
		STORE_TEST(test_refused),
		STORE_TEST(test_changes_are_told),
		STORE_TEST(test_generate),
		STORE_TEST(test_send_as),
		STORE_TEST(test_too_many_send_as),
		STORE_TEST(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
