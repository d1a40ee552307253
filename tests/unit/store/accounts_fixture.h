/* SPDX-License-Identifier: Apache-2.0 */
/* An account store in a folder of its own, for each test a new one. */
#ifndef POSTERN_TESTS_ACCOUNTS_FIXTURE_H
#define POSTERN_TESTS_ACCOUNTS_FIXTURE_H

#include <sqlite3.h>

#include "store/accounts.h"

static const unsigned char SALT[VERIFIER_SALT] = "0123456789abcdef";
static const char DOMAIN[] = "example.org";

struct fixture {
	char folder[64];
	char path[128];
	struct accounts *accounts;
	struct verifier verifier;
};

static void reopen(struct fixture *f)
{
	char why[ACCOUNT_WHY];

	accounts_close(&f->accounts);
	assert_int_equal(accounts_open(f->path, &f->accounts, why), ERR_OK);
}

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){.folder = "/tmp/postern-accounts-XXXXXX"};
	assert_non_null(mkdtemp(f.folder));
	(void)snprintf(f.path, sizeof(f.path), "%s/accounts.db", f.folder);
	assert_int_equal(verifier_make(SLICE_LIT("pencil"), SALT, 4096, &f.verifier), ERR_OK);
	reopen(&f);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const SUFFIXES[] = {"", "-wal", "-shm"};
	struct fixture *f = *state;
	char path[160];

	accounts_close(&f->accounts);
	for (int i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s%s", f->path, SUFFIXES[i]);
		(void)unlink(path);
	}
	return rmdir(f->folder);
}

__attribute__((unused)) static int64_t add(struct fixture *f, const char *name)
{
	int64_t id = 0;

	assert_int_equal(accounts_add(f->accounts,
				      &(struct account_new){.name = name, .verifier = &f->verifier},
				      1000, &id),
			 ERR_OK);
	assert_true(id > 0);
	return id;
}

__attribute__((unused)) static void find(struct fixture *f, const char *name,
					 struct account *account_out)
{
	assert_int_equal(accounts_find(f->accounts, name, DOMAIN, account_out), ERR_OK);
}

__attribute__((unused)) static void run_sql(struct fixture *f, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
