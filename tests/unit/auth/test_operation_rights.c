/* SPDX-License-Identifier: Apache-2.0 */
/* What operators ask about keys, groups, ends and freezing, and the words they get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "operation_fixture.h"

static void expect_with(uint16_t op, const char *subject, const char *const *args, bool works,
			const char *words)
{
	struct operation *operation = run(op, subject, "", args);

	if (operation->failed == works || strstr(operation->text, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, operation->text);
	operation_free(&operation);
}

#define ARGS(...)                                                                                  \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

static void test_keys(void **state)
{
	struct operation *operation;
	char *secret, wrong[64];

	(void)state;
	expect(IPC_OP_USER_ADD, "alice", GOOD, true, "");
	operation = run(IPC_OP_KEY_ADD, "Alice@example.org", "",
			ARGS("key", "Scanner", "send_as", "scanner@example.org", "expires", "2h"));
	assert_false(operation->failed);
	expect_field(operation, "login", "alice#scanner");
	expect_field(operation, "send_as", "scanner@example.org");
	assert_true(operation->changed != 0 && !operation->end_sessions);
	assert_non_null(secret = field(operation, 0, "password"));
	operation_free(&operation);
	expect(IPC_OP_USER_TEST, "alice", secret, true,
	       "alice (key scanner): password correct; account enabled; may send as "
	       "scanner@example.org");
	expect(IPC_OP_USER_TEST, "alice#scanner", secret, true, "password correct");
	expect(IPC_OP_USER_TEST, "alice#scanner", GOOD, false, "password wrong");
	expect(IPC_OP_USER_TEST, "alice#printer", secret, false, "alice has no key printer");
	expect(IPC_OP_USER_TEST, "alice", GOOD, true, "alice: password correct");
	(void)snprintf(wrong, sizeof(wrong), "%s", secret);
	expect(IPC_OP_USER_PASSWORD, "alice", wrong, false, "form of an application's key");
	expect_with(IPC_OP_KEY_ADD, "alice", ARGS("key", "scanner"), false, "remove it first");
	expect_with(IPC_OP_KEY_ADD, "alice", ARGS("key", "a b"), false, "not a name of a key");
	expect_with(IPC_OP_KEY_ADD, "alice", ARGS("key", "x", "network", "here"), false,
		    "not a network");
	expect_with(IPC_OP_KEY_ADD, "bob", ARGS("key", "x"), false, "there is no account bob");
	operation = run(IPC_OP_KEY_LIST, "alice", "", NULL);
	expect_field(operation, "key", "scanner");
	expect_field(operation, "networks", "any");
	expect_field(operation, "expires", "7201000"); /* two hours after 1000 */
	operation_free(&operation);
	operation = run(IPC_OP_KEY_REMOVE, "alice", "", ARGS("key", "scanner"));
	assert_true(operation->changed != 0 && operation->end_sessions && operation->key != 0);
	assert_string_equal(operation->end_reason, "key-removed");
	operation_free(&operation);
	expect_with(IPC_OP_KEY_REMOVE, "alice", ARGS("key", "scanner"), false, "postern key list");
	expect(IPC_OP_USER_TEST, "alice", secret, false, "alice: password wrong");
	mem_free(secret);
}

static void c14_ends_and_bars(void **state)
{
	struct operation *operation;

	(void)state;
	expect(IPC_OP_USER_ADD, "alice", GOOD, true, "");
	operation = run(IPC_OP_USER_SET, "alice", "", ARGS("expires", "2099-12-31"));
	assert_true(operation->end_sessions);
	assert_non_null(strstr(operation->text, "until 2100-01-01 00:00 UTC"));
	expect_field(operation, "send_as", "alice@example.org");
	operation_free(&operation);
	expect_with(IPC_OP_USER_SET, "alice", ARGS("expires", "1970-01-01x"), false, "expected");
	expect_with(IPC_OP_USER_SET, "alice", ARGS("expires", "0d"), false, "over already");
	expect_with(IPC_OP_USER_SET, "alice", ARGS("expires", "2099-13-01"), false, "expected");
	expect_with(IPC_OP_USER_SET, "alice", ARGS("expires", "never"), true, "alice: may send");
	expect_with(IPC_OP_USER_SET, "alice", ARGS("main_password", "off"), true, "keys only");
	expect(IPC_OP_USER_TEST, "alice", GOOD, false, "closed to its main password");
	expect_with(IPC_OP_USER_SET, "alice", ARGS("main_password", "no"), false, "on or off");
	expect_with(IPC_OP_USER_SET, "alice", ARGS("main_password", "on"), true, "");
	expect(IPC_OP_USER_TEST, "alice", GOOD, true, "account enabled");
}

static void c19_freeze_and_thaw(void **state)
{
	struct operation *operation;

	(void)state;
	expect(IPC_OP_USER_ADD, "alice", GOOD, true, "");
	expect(IPC_OP_USER_THAW, "alice", "", true, "is not frozen");
	operation = run(IPC_OP_USER_FREEZE, "alice", "", ARGS("reason", "too much"));
	assert_true(!operation->failed && operation->end_sessions && operation->has_frozen);
	assert_int_equal(operation->frozen_count, 1);
	assert_string_equal(operation->frozen[0], "alice");
	assert_string_equal(operation->end_reason, "frozen");
	operation_free(&operation);
	expect(IPC_OP_USER_FREEZE, "alice", "", true, "frozen already");
	expect(IPC_OP_USER_TEST, "alice", GOOD, false, "account frozen: too much");
	expect(IPC_OP_USER_DELETE, "alice", "", false, "its mail is held");
	operation = run(IPC_OP_USER_SHOW, "alice", "", NULL);
	expect_field(operation, "frozen", "true");
	expect_field(operation, "frozen_because", "too much");
	operation_free(&operation);
	operation = run(IPC_OP_USER_THAW, "alice", "", NULL);
	assert_true(operation->has_frozen && operation->frozen_count == 0);
	operation_free(&operation);
	expect(IPC_OP_USER_TEST, "alice", GOOD, true, "account enabled");
	expect(IPC_OP_USER_DELETE, "alice", "", true, "deleted");
}

static void test_groups(void **state)
{
	struct operation *operation;
	char *name;

	(void)state;
	expect(IPC_OP_USER_ADD, "alice", GOOD, true, "");
	expect(IPC_OP_USER_ADD, "bob", GOOD, true, "");
	expect_with(IPC_OP_GROUP_ADD, "alice", ARGS("pattern", "office"), false, "not an address");
	expect_with(IPC_OP_GROUP_ADD, "carol", ARGS("pattern", "o@example.org"), false, "carol");
	expect_with(IPC_OP_GROUP_ADD, "bob", ARGS("pattern", "Office@example.org"), true,
		    "bob: may send as office@example.org");
	expect_with(IPC_OP_GROUP_ADD, "alice", ARGS("pattern", "office@example.org"), true, "");
	expect_with(IPC_OP_GROUP_ADD, "alice", ARGS("pattern", "office@example.org"), true,
		    "already");
	operation = run(IPC_OP_GROUP_LIST, "office@example.org", "", NULL);
	assert_int_equal(operation->row_count, 2);
	assert_non_null(name = field(operation, 1, "name"));
	assert_string_equal(name, "bob");
	mem_free(name);
	operation_free(&operation);
	operation = run(IPC_OP_USER_SHOW, "alice", "", NULL);
	expect_field(operation, "send_as", "alice@example.org, office@example.org");
	expect_field(operation, "groups", "office@example.org");
	operation_free(&operation);
	expect_with(IPC_OP_GROUP_REMOVE, "alice", ARGS("pattern", "office@example.org"), true, "");
	expect_with(IPC_OP_GROUP_REMOVE, "alice", ARGS("pattern", "office@example.org"), false,
		    "postern group list");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_keys),
		STORE_TEST(c14_ends_and_bars),
		STORE_TEST(c19_freeze_and_thaw),
		STORE_TEST(test_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
