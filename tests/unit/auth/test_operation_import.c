/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts of other programs: which are taken, and what is told of the others. */
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

#define BCRYPT "$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS" /* of GOOD */
#define OTHER  "$2b$04$abcdefghijklmnopqrstuuXK9YgGLMroYrAHNTC358XbHdTJd6mY6"
#define SCRAM                                                                                      \
	"{SCRAM-SHA-256}4096,8LGyGpMbKTEQJmtxmXinCw==,UC7+zQ8PJXcR/"                               \
	"8iKRbp1pTCvXQ9UrYPvjTg1vch5enc=,"                                                         \
	"J0WLEwEhiYz3dyC9rs6hQbw0tgVIdZ43fRwVZ3To3kk="

struct credential {
	const char *name, *secret;
	int64_t expires;
};

static struct operation *import(const struct credential *credentials, size_t count,
				const char *option)
{
	struct msg_op msg = {.id = 5, .op = IPC_OP_USER_IMPORT};
	struct rec_field field = {slice_str(option), IPC_FIELD_BOOL, SLICE_LIT("true")};
	struct ipc_list_builder list, args;
	struct operation *operation;

	ipc_list_begin(&list, 65536);
	ipc_list_begin(&args, 65536);
	if (option != NULL)
		assert_int_equal(ipc_list_add(&args, IPC_REC_field, &field), ERR_OK);
	for (size_t i = 0; i < count; i++) {
		struct rec_credential record = {(uint32_t)i + 1, slice_str(credentials[i].name),
						slice_str(credentials[i].secret),
						credentials[i].expires};

		assert_int_equal(ipc_list_add(&list, IPC_REC_credential, &record), ERR_OK);
	}
	msg.args = ipc_list_view(&args);
	msg.credentials = ipc_list_view(&list);
	operation = operation_new(&msg);
	ipc_list_release(&list);
	ipc_list_release(&args);
	operation->iterations = VERIFIER_ITERATIONS_MIN;
	(void)snprintf(operation->domain, sizeof(operation->domain), "example.org");
	operation_run(operation, accounts, 1000);
	return operation;
}

static void expect_row(const struct operation *operation, size_t row, const char *name,
		       const char *result, const char *words)
{
	char *got_name = field(operation, row, "name"), *got = field(operation, row, "result");
	char *note = field(operation, row, "note");

	assert_string_equal(got_name, name);
	if (strcmp(got, result) != 0 || strstr(note, words) == NULL)
		fail_msg("%s: %s: %s", name, got, note);
	mem_free(got_name);
	mem_free(got);
	mem_free(note);
}

static void expect_verifier(const char *name, const char *words)
{
	struct operation *operation = run(IPC_OP_USER_SHOW, name, "", NULL);
	char *verifier = field(operation, 0, "verifier");

	assert_non_null(verifier);
	if (strstr(verifier, words) == NULL)
		fail_msg("%s: %s", name, verifier);
	mem_free(verifier);
	operation_free(&operation);
}

static void test_each_is_judged(void **state)
{
	static const struct credential FILE[] = {
		{"alice@example.org", BCRYPT, 0},
		{"bob", "{PLAIN}" GOOD, 0},
		{"carol", SCRAM, 0},
		{"dave", "!" BCRYPT, 0},
		{"no+name", BCRYPT, 0},
		{"erin", "$1$abc$OjV.pZyPkj1rdFoTIdfbY0", 0},
		{"Alice", OTHER, 0},
		{"frank", BCRYPT, 999},
		{"grace@other.example", BCRYPT, 0},
		{"henry", BCRYPT, 5000},
	};
	struct operation *operation = import(FILE, 10, NULL);

	(void)state;
	assert_false(operation->failed);
	assert_int_equal(operation->row_count, 10);
	expect_row(operation, 0, "alice", "imported", "");
	expect_row(operation, 1, "bob", "imported", "");
	expect_row(operation, 2, "carol", "imported", "");
	expect_row(operation, 3, "dave", "left out", "locked");
	expect_row(operation, 4, "no+name", "left out", "sub-address");
	expect_row(operation, 5, "erin", "left out", "too weak");
	expect_row(operation, 6, "alice", "left out", "came before");
	expect_row(operation, 7, "frank", "left out", "expired");
	expect_row(operation, 8, "grace@other.example", "imported", "");
	expect_row(operation, 9, "henry", "imported", "");
	assert_true(operation->changed != 0 && operation->has_largest);
	assert_int_equal(operation->without_scram, 3); /* alice, grace, henry */
	assert_int_equal(operation->replaced_count, 0);
	operation_free(&operation);
	expect_verifier("alice", "imported hash (bcrypt), becomes SCRAM-SHA-256");
	expect_verifier("bob", "SCRAM-SHA-256, 4096 iterations");
	expect_verifier("carol", "SCRAM-SHA-256, 4096 iterations");
	for (size_t i = 0; i < 3; i++)
		expect(IPC_OP_USER_TEST, (const char *[]){"alice", "bob", "carol"}[i], GOOD, true,
		       "password correct");
	expect(IPC_OP_USER_TEST, "alice", "wrong", false, "password wrong");
	expect(IPC_OP_USER_TEST, "frank", GOOD, false, "there is no account");
	expect(IPC_OP_USER_TEST, "grace@other.example", GOOD, true, "password correct");
	operation = run(IPC_OP_USER_SHOW, "henry", "", NULL);
	expect_field(operation, "expires", "5000");
	operation_free(&operation);
}

static void test_again(void **state)
{
	static const struct credential FIRST[] = {{"alice", BCRYPT, 0}, {"bob", "{PLAIN}" GOOD, 0}};
	static const struct credential THEN[] = {
		{"alice", OTHER, 0}, {"bob", "{PLAIN}another horse", 0}, {"carol", BCRYPT, 0}};
	struct operation *operation = import(FIRST, 2, NULL);

	(void)state;
	operation_free(&operation);
	for (int i = 0; i < 2; i++) {
		operation = import(FIRST, 2, i == 0 ? NULL : "replace");
		expect_row(operation, 0, "alice", "kept", "already");
		expect_row(operation, 1, "bob", "kept", "already");
		assert_int_equal(operation->changed, 0);
		operation_free(&operation);
	}
	operation = import(THEN, 3, "dry_run");
	expect_row(operation, 2, "carol", "imported", "");
	assert_int_equal(operation->changed, 0);
	operation_free(&operation);
	expect(IPC_OP_USER_TEST, "carol", GOOD, false, "there is no account");
	operation = import(THEN, 3, NULL);
	expect_row(operation, 0, "alice", "kept", "--replace");
	expect_row(operation, 1, "bob", "kept", "--replace");
	expect_row(operation, 2, "carol", "imported", "");
	operation_free(&operation);
	expect(IPC_OP_USER_TEST, "bob", GOOD, true, "password correct");
	operation = import(THEN, 3, "replace");
	expect_row(operation, 0, "alice", "replaced", "");
	expect_row(operation, 1, "bob", "replaced", "");
	expect_row(operation, 2, "carol", "kept", "");
	assert_int_equal(operation->replaced_count, 2); /* their sessions end */
	operation_free(&operation);
	expect(IPC_OP_USER_TEST, "bob", GOOD, false, "password wrong");
	expect(IPC_OP_USER_TEST, "alice", "éééééééééé", true, "password correct");
	expect(IPC_OP_USER_PASSWORD, "alice", "a new password", true, "");
	expect_verifier("alice", "SCRAM-SHA-256, 4096");
}

/* A hash that nobody can check any more lets nobody in, and is told. */
static void c6_damaged_in_the_store(void **state)
{
	static const char *const HASHES[] = {
		"*0", "x", "$6$", "$1$abc$OjV.pZyPkj1rdFoTIdfbY0", "{PLAIN}", "{SSHA}AAAA"};
	char name[16];
	int64_t id;

	(void)state;
	for (size_t i = 0; i < sizeof(HASHES) / sizeof(HASHES[0]); i++) {
		(void)snprintf(name, sizeof(name), "user%zu", i);
		assert_int_equal(
			accounts_add(accounts,
				     &(struct account_new){.name = name, .hash = HASHES[i]}, 1,
				     &id),
			ERR_OK);
		expect(IPC_OP_USER_TEST, name, "*0", false, "");
		expect(IPC_OP_USER_TEST, name, GOOD, false, "");
		expect_verifier(name, "of no use");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_each_is_judged),
		STORE_TEST(test_again),
		STORE_TEST(c6_damaged_in_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
