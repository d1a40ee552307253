/* SPDX-License-Identifier: Apache-2.0 */
/* What accounts have sent, as it is kept; and the limits of their own. */
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
#include "store/account_volume.h"

#define HOUR INT64_C(3600000)
#define NOW  (INT64_C(480000) * HOUR)

struct seen {
	size_t hours, known;
	struct volume_hour hour[64];
	struct volume_known first;
};

static void on_hour(void *arg, const struct volume_hour *hour)
{
	struct seen *seen = arg;

	assert_true(seen->hours < 64);
	seen->hour[seen->hours++] = *hour;
}

static void on_known(void *arg, const struct volume_known *known)
{
	struct seen *seen = arg;

	if (seen->known++ == 0)
		seen->first = *known;
}

static void load(struct fixture *f, int64_t account, int64_t key, int64_t since, struct seen *seen)
{
	*seen = (struct seen){0};
	assert_int_equal(
		accounts_load_volume(f->accounts, account, key, since,
				     &(struct accounts_volume_reader){on_hour, on_known, seen}),
		ERR_OK);
}

static struct account_volume of(int64_t account, int64_t key, int64_t hour, uint32_t recipients,
				const struct volume_known *known, size_t known_count)
{
	return (struct account_volume){
		.account = account,
		.key = key,
		.hours = {{.hour = hour, .recipients = recipients, .strangers = 1},
			  {.hour = hour - HOUR}},
		.known = known,
		.known_count = known_count,
	};
}

static void c19_what_was_sent_is_there_after_a_restart(void **state)
{
	static const struct volume_known KNOWN[] = {{UINT64_MAX, 7}, {5, 8}};
	struct fixture *f = *state;
	int64_t alice = add(f, "alice"), bob = add(f, "bob");
	struct account_volume both[] = {of(alice, 0, NOW, 12, KNOWN, 2),
					of(alice, 3, NOW, 4, NULL, 0),
					of(bob, 0, NOW, 1, KNOWN, 1)};
	struct seen seen;

	assert_int_equal(accounts_save_volumes(f->accounts, both, 3), ERR_OK);
	both[0].hours[0].recipients = 15; /* the same hour went on */
	assert_int_equal(accounts_save_volumes(f->accounts, both, 1), ERR_OK);
	reopen(f);
	load(f, alice, 0, NOW - HOUR, &seen);
	assert_int_equal(seen.hours, 1); /* an hour without mail takes no room */
	assert_int_equal(seen.hour[0].hour, NOW);
	assert_int_equal(seen.hour[0].recipients, 15);
	assert_int_equal(seen.hour[0].strangers, 1);
	assert_int_equal(seen.known, 2);
	assert_int_equal(seen.first.recipient, 5); /* the latest first */
	load(f, alice, 3, NOW - HOUR, &seen);      /* a key's is its own */
	assert_int_equal(seen.hour[0].recipients, 4);
	assert_int_equal(seen.known, 0);
	load(f, bob, 0, NOW - HOUR, &seen);
	assert_int_equal(seen.known, 1);
	assert_int_equal(seen.first.recipient, UINT64_MAX);
}

static void test_old_hours_go(void **state)
{
	struct fixture *f = *state;
	int64_t alice = add(f, "alice");
	struct seen seen;

	for (int i = 0; i < 60; i++) {
		struct account_volume hour = of(alice, 0, NOW + i * HOUR, 1, NULL, 0);

		assert_int_equal(accounts_save_volumes(f->accounts, &hour, 1), ERR_OK);
	}
	load(f, alice, 0, NOW + 59 * HOUR - 24 * HOUR, &seen);
	assert_in_range(seen.hours, 25, 26); /* the day before, and the hour that it cuts */
	load(f, alice, 0, 0, &seen);
	assert_int_equal(seen.hours, 49); /* two days are kept */
}

static void test_the_oldest_correspondents_go(void **state)
{
	struct fixture *f = *state;
	struct volume_known *known = calloc(VOLUME_KNOWN_MAX + 10, sizeof(*known));
	int64_t alice = add(f, "alice");
	struct account_volume volume = of(alice, 0, NOW, 1, known, VOLUME_KNOWN_MAX + 10);
	struct seen seen;
	sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;

	for (uint64_t i = 0; i < VOLUME_KNOWN_MAX + 10; i++)
		known[i] = (struct volume_known){i, (uint32_t)(i < 10 ? 1 : 2)};
	assert_int_equal(accounts_save_volumes(f->accounts, &volume, 1), ERR_OK);
	load(f, alice, 0, 0, &seen);
	assert_int_equal(seen.known, VOLUME_KNOWN_MAX);
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db,
					    "SELECT count(*), min(recipient) FROM correspondent",
					    -1, &stmt, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(stmt, 0), VOLUME_KNOWN_MAX);
	assert_int_equal(sqlite3_column_int(stmt, 1), 10);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	free(known);
}

/* An account that was deleted meanwhile is nobody's fault, and holds up no other. */
static void test_one_that_is_gone_gets_nothing(void **state)
{
	static const struct volume_known KNOWN = {5, 8};
	struct fixture *f = *state;
	int64_t alice = add(f, "alice"), bob = add(f, "bob");
	struct account_volume both[] = {of(alice, 0, NOW, 12, &KNOWN, 1),
					of(bob, 0, NOW, 7, NULL, 0)};
	struct seen seen;

	assert_int_equal(accounts_delete(f->accounts, alice), ERR_OK);
	assert_int_equal(accounts_save_volumes(f->accounts, both, 2), ERR_OK);
	load(f, alice, 0, 0, &seen);
	assert_int_equal(seen.hours + seen.known, 0);
	load(f, bob, 0, 0, &seen);
	assert_int_equal(seen.hour[0].recipients, 7);
	assert_int_equal(accounts_save_volumes(f->accounts, &both[0], 1), ERR_OK);
}

static void test_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	int64_t alice = add(f, "alice"), bob = add(f, "bob");
	struct account_volume both[] = {of(alice, 0, NOW, 12, NULL, 0),
					of(bob, 0, NOW, 7, NULL, 0)};
	char sql[160];
	struct seen seen;

	(void)snprintf(sql, sizeof(sql),
		       "CREATE TRIGGER no BEFORE INSERT ON volume WHEN new.account = %lld "
		       "BEGIN SELECT RAISE(ABORT, 'no'); END",
		       (long long)bob);
	run_sql(f, sql);
	assert_int_not_equal(accounts_save_volumes(f->accounts, both, 2), ERR_OK);
	run_sql(f, "DROP TRIGGER no");
	load(f, alice, 0, 0, &seen);
	assert_int_equal(seen.hours, 0);
	assert_int_equal(accounts_save_volumes(f->accounts, both, 2), ERR_OK);
	load(f, alice, 0, 0, &seen);
	assert_int_equal(seen.hours, 1);
}

static void test_limits_of_its_own(void **state)
{
	static const struct account_limits OWN = {.message = 5, .hour = ACCOUNT_NO_LIMIT, .day = 9};
	struct fixture *f = *state;
	int64_t alice = add(f, "alice");
	struct account account;
	uint64_t before;

	find(f, "alice", &account);
	assert_int_equal(account.limits.hour, 0); /* as configured */
	before = account.generation;
	account_release(&account);
	assert_int_equal(accounts_set_limits(f->accounts, alice, &OWN, 5), ERR_OK);
	reopen(f);
	find(f, "alice", &account);
	assert_memory_equal(&account.limits, &OWN, sizeof(OWN));
	assert_int_equal(account.generation, before + 1);
	account_release(&account);
	assert_int_equal(accounts_set_limits(f->accounts, alice + 1, &OWN, 5), ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(c19_what_was_sent_is_there_after_a_restart),
		STORE_TEST(test_old_hours_go),
		STORE_TEST(test_the_oldest_correspondents_go),
		STORE_TEST(test_one_that_is_gone_gets_nothing),
		STORE_TEST(test_all_or_nothing),
		STORE_TEST(test_limits_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
