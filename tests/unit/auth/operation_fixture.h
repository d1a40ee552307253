/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on a store of their own, for each test a new one. */
#ifndef POSTERN_TESTS_OPERATION_FIXTURE_H
#define POSTERN_TESTS_OPERATION_FIXTURE_H

#include "base/mem.h"
#include "operation.h"

static char folder[64], path[128];
static struct accounts *accounts;

static int set_up(void **state)
{
	char why[ACCOUNT_WHY];

	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/postern-operation-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/accounts.db", folder);
	return accounts_open(path, &accounts, why) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const SUFFIXES[] = {"", "-wal", "-shm"};
	char name[160];

	(void)state;
	accounts_close(&accounts);
	for (int i = 0; i < 3; i++) {
		(void)snprintf(name, sizeof(name), "%s%s", path, SUFFIXES[i]);
		(void)unlink(name);
	}
	return rmdir(folder);
}

/* args: key, value, ..., NULL */
__attribute__((unused)) static struct operation *run(uint16_t op, const char *subject,
						     const char *secret, const char *const *args)
{
	struct msg_op msg = {
		.id = 5, .op = op, .subject = slice_str(subject), .secret = slice_str(secret)};
	struct ipc_list_builder list;
	struct operation *operation;

	ipc_list_begin(&list, 65536);
	for (; args != NULL && args[0] != NULL; args += 2)
		assert_int_equal(
			ipc_list_add(&list, IPC_REC_field,
				     &(struct rec_field){slice_str(args[0]), IPC_FIELD_TEXT,
							 slice_str(args[1])}),
			ERR_OK);
	msg.args = ipc_list_view(&list);
	operation = operation_new(&msg);
	ipc_list_release(&list);
	operation->iterations = VERIFIER_ITERATIONS_MIN;
	(void)snprintf(operation->domain, sizeof(operation->domain), "example.org");
	operation_run(operation, accounts, 1000);
	return operation;
}

__attribute__((unused)) static void expect(uint16_t op, const char *subject, const char *secret,
					   bool works, const char *words)
{
	struct operation *operation = run(op, subject, secret, NULL);

	assert_int_equal(operation->failed, !works);
	if (words[0] != '\0' && strstr(operation->text, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, operation->text);
	operation_free(&operation);
}

__attribute__((unused)) static char *field(const struct operation *operation, size_t row,
					   const char *key)
{
	struct ipc_list fields;
	struct rec_field found;

	if (row >= operation->row_count)
		return NULL;
	fields = ipc_list_view(&operation->rows[row]);
	while (ipc_list_next(&fields, IPC_REC_field, &found))
		if (slice_is(found.key, key))
			return mem_strndup(found.value.ptr, found.value.len);
	return NULL;
}

__attribute__((unused)) static void expect_field(const struct operation *operation, const char *key,
						 const char *value)
{
	char *got = field(operation, 0, key);

	assert_non_null(got);
	assert_string_equal(got, value);
	mem_free(got);
}

#define GOOD "correct horse battery"

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
