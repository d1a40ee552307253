/* SPDX-License-Identifier: Apache-2.0 */
/* The account store on a real file: what is kept, what is refused, what is said when it cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "accounts_fixture.h"
#include "base/buf.h"
#include "os/os.h"

static void test_add_and_find(void **state)
{
	static const char *const SEND_AS[] = {"alice@example.org", "*@lab.example.org"};
	struct fixture *f = *state;
	struct account account = {0};
	int64_t id = 0;

	assert_int_equal(accounts_find(f->accounts, "alice", DOMAIN, &account), ERR_NOT_FOUND);
	assert_int_equal(accounts_add(f->accounts,
				      &(struct account_new){.name = "alice",
							    .verifier = &f->verifier,
							    .send_as = SEND_AS,
							    .send_as_count = 2},
				      1234567890123, &id),
			 ERR_OK);
	reopen(f); /* what counts is the file */
	find(f, "alice", &account);
	assert_int_equal(account.id, id);
	assert_string_equal(account.name, "alice");
	assert_true(account.enabled);
	assert_false(account.damaged);
	assert_int_equal(account.created, 1234567890123);
	assert_int_equal(account.password_changed, 1234567890123);
	assert_int_equal(account.send_as_count, 2);
	assert_string_equal(account.send_as[0], "alice@example.org");
	assert_string_equal(account.send_as[1], "*@lab.example.org");
	assert_true(verifier_check(&account.verifier, SLICE_LIT("pencil")));
	account_release(&account);
}

static void test_exists(void **state)
{
	struct fixture *f = *state;
	int64_t id = 77;

	add(f, "alice");
	assert_int_equal(
		accounts_add(f->accounts,
			     &(struct account_new){.name = "alice", .verifier = &f->verifier}, 1,
			     &id),
		ERR_EXISTS);
	assert_int_equal(id, 77);
	assert_non_null(strstr(accounts_why(f->accounts), "alice"));
	add(f, "bob"); /* the failed one left no transaction behind */
}

static void test_hostile_names(void **state)
{
	static const char *const NAMES[] = {"a'--", "*)(uid=*", "' OR 1=1 --", "%", "_lice", "?1"};
	struct fixture *f = *state;
	struct account account = {0};

	add(f, "alice");
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
		assert_int_equal(accounts_find(f->accounts, NAMES[i], DOMAIN, &account),
				 ERR_NOT_FOUND);
	find(f, "alice", &account);
	account_release(&account);
}

/* Added as bob@example.org before example.org became the domain of bare names. */
static void test_domain_changed(void **state)
{
	struct fixture *f = *state;
	struct account account = {0};

	add(f, "bob@example.org");
	find(f, "bob", &account);
	assert_string_equal(account.name, "bob@example.org");
	account_release(&account);
	add(f, "bob");
	find(f, "bob", &account);
	assert_string_equal(account.name, "bob");
	account_release(&account);
}

static void test_generation(void **state)
{
	static const char *const SEND_AS[] = {"*"};
	struct fixture *f = *state;
	struct account account = {0};
	struct verifier other;
	int64_t id = add(f, "alice");
	uint64_t last = 0;

	assert_int_equal(verifier_make(SLICE_LIT("crayon"), SALT, 4096, &other), ERR_OK);
	for (int change = 0; change < 5; change++) {
		find(f, "alice", &account);
		assert_true(account.generation > last);
		last = account.generation;
		account_release(&account);
		assert_int_equal(change == 0 ? accounts_set_verifier(f->accounts, id, &other, 2000)
				 : change == 1 ? accounts_set_enabled(f->accounts, id, false, 3000)
				 : change == 2 ? accounts_set_enabled(f->accounts, id, true, 4000)
				 : change == 3
					 ? accounts_set_send_as(f->accounts, id, SEND_AS, 1, 5000)
					 : accounts_set_send_as(f->accounts, id, NULL, 0, 6000),
				 ERR_OK);
	}
	find(f, "alice", &account);
	assert_int_equal(account.created, 1000);
	assert_int_equal(account.password_changed, 2000);
	assert_int_equal(account.changed, 6000);
	assert_true(account.enabled);
	assert_int_equal(account.send_as_count, 0);
	assert_false(verifier_check(&account.verifier, SLICE_LIT("pencil")));
	assert_true(verifier_check(&account.verifier, SLICE_LIT("crayon")));
	account_release(&account);
}

static void test_delete(void **state)
{
	struct fixture *f = *state;
	struct account account = {0};
	int64_t id = add(f, "alice");

	assert_int_equal(accounts_delete(f->accounts, id), ERR_OK);
	assert_int_equal(accounts_delete(f->accounts, id), ERR_NOT_FOUND);
	assert_int_equal(accounts_set_enabled(f->accounts, id, true, 1), ERR_NOT_FOUND);
	assert_int_equal(accounts_set_send_as(f->accounts, id, NULL, 0, 1), ERR_NOT_FOUND);
	assert_int_equal(accounts_find(f->accounts, "alice", DOMAIN, &account), ERR_NOT_FOUND);
	assert_true(add(f, "alice") > id); /* an id is never used again */
}

static void test_list(void **state)
{
	struct fixture *f = *state;
	struct account rows[3];
	uint64_t count = 0, enabled = 0;
	size_t got = 0, total = 0;
	char name[16], after[16] = "";

	for (int i = 0; i < 7; i++) {
		(void)snprintf(name, sizeof(name), "user%d", (i * 3) % 7);
		add(f, name);
	}
	assert_int_equal(accounts_set_enabled(f->accounts, 1, false, 1), ERR_OK);
	assert_int_equal(accounts_count(f->accounts, &count, &enabled), ERR_OK);
	assert_int_equal(count, 7);
	assert_int_equal(enabled, 6);
	do {
		assert_int_equal(accounts_list(f->accounts, after, 3, rows, &got), ERR_OK);
		for (size_t i = 0; i < got; i++) {
			(void)snprintf(name, sizeof(name), "user%zu", total++);
			assert_string_equal(rows[i].name, name);
			(void)snprintf(after, sizeof(after), "%s", rows[i].name);
			account_release(&rows[i]);
		}
	} while (got == 3);
	assert_int_equal(total, 7);
}

static void test_largest_of_those_enabled(void **state)
{
	struct fixture *f = *state;
	uint64_t largest = 7;

	add(f, "alice");
	add(f, "bob");
	assert_int_equal(accounts_largest(f->accounts, &largest), ERR_OK);
	assert_int_equal(largest, 0);
	assert_int_equal(accounts_set_message_size(f->accounts, 1, 5000, 1), ERR_OK);
	assert_int_equal(accounts_set_message_size(f->accounts, 2, 3000, 1), ERR_OK);
	assert_int_equal(accounts_largest(f->accounts, &largest), ERR_OK);
	assert_int_equal(largest, 5000);
	assert_int_equal(accounts_set_enabled(f->accounts, 1, false, 2), ERR_OK);
	assert_int_equal(accounts_largest(f->accounts, &largest), ERR_OK);
	assert_int_equal(largest, 3000);
}

static void test_key_is_kept(void **state)
{
	struct fixture *f = *state;
	unsigned char key[VERIFIER_KEY];
	static const unsigned char ZERO[VERIFIER_KEY];

	memcpy(key, accounts_key(f->accounts), sizeof(key));
	assert_memory_not_equal(key, ZERO, sizeof(key));
	reopen(f);
	assert_memory_equal(key, accounts_key(f->accounts), sizeof(key));
}

/* A hash that nobody can read opens nothing (C6). */
static void test_damaged_verifier(void **state)
{
	static const char *const BROKEN[] = {"", "*", "!", "$2y$05$abc",
					     "SCRAM-SHA-256$1:QQ==$Q:Q"};
	struct fixture *f = *state;
	struct account account = {0};
	char sql[128];

	add(f, "alice");
	for (size_t i = 0; i < sizeof(BROKEN) / sizeof(BROKEN[0]); i++) {
		(void)snprintf(sql, sizeof(sql), "UPDATE account SET verifier = '%s'", BROKEN[i]);
		run_sql(f, sql);
		find(f, "alice", &account);
		assert_true(account.damaged);
		assert_false(verifier_check(&account.verifier, SLICE_LIT("")));
		assert_false(verifier_check(&account.verifier, SLICE_LIT("pencil")));
		account_release(&account);
	}
}

static void test_open_fails(struct fixture *f, enum err err, const char *word)
{
	struct accounts *accounts = NULL;
	char why[ACCOUNT_WHY] = "";

	assert_int_equal(accounts_open(f->path, &accounts, why), err);
	assert_null(accounts);
	assert_non_null(strstr(why, f->path));
	assert_non_null(strstr(why, word));
}

static void test_not_a_store(void **state)
{
	struct fixture *f = *state;
	FILE *file;

	accounts_close(&f->accounts);
	run_sql(f, "PRAGMA user_version = 99");
	test_open_fails(f, ERR_CORRUPT, "version 99");
	run_sql(f, "PRAGMA user_version = 2; PRAGMA application_id = 5");
	test_open_fails(f, ERR_CORRUPT, "not an account store");
	assert_int_equal(unlink(f->path), 0);
	assert_non_null(file = fopen(f->path, "w"));
	for (int i = 0; i < 200; i++)
		(void)fputs("this is a text file, and a long one at that\n", file);
	(void)fclose(file);
	test_open_fails(f, ERR_CORRUPT, "damaged");
}

/* Stores as earlier versions wrote them, text for text. */
static const char TABLES_1[] =
	"CREATE TABLE account (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
	" enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)), verifier TEXT NOT NULL,"
	" generation INTEGER NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL,"
	" password_changed INTEGER NOT NULL%s) STRICT;"
	"CREATE TABLE send_as (account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,"
	" position INTEGER NOT NULL, pattern TEXT NOT NULL, PRIMARY KEY (account, position))"
	" STRICT, WITHOUT ROWID;"
	"CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;"
	"INSERT INTO secret VALUES ('unknown-user', zeroblob(32));"
	"INSERT INTO account (name, enabled, verifier, generation, created, changed,"
	" password_changed) VALUES ('alice', 1, '%s', 7, 1000, 2000, 1500);"
	"INSERT INTO send_as VALUES (1, 0, 'alice@example.org'), (1, 1, '*@lab.example.org');"
	"PRAGMA application_id = 1886352225; PRAGMA user_version = %d;";

static void write_old_store(struct fixture *f, int version)
{
	char verifier[VERIFIER_TEXT_MAX + 1], sql[4096];

	accounts_close(&f->accounts);
	assert_int_equal(unlink(f->path), 0);
	verifier_print(&f->verifier, verifier);
	(void)snprintf(sql, sizeof(sql), TABLES_1,
		       version < 2 ? "" : ", message_size INTEGER NOT NULL DEFAULT 0", verifier,
		       version);
	run_sql(f, sql);
	if (version >= 2)
		run_sql(f, "UPDATE account SET message_size = 5000");
}

/* It keeps what is in it, and is as a new one from then on. */
static void test_a_store_of_an_earlier_version_is_taken_over(void **state)
{
	struct fixture *f = *state;
	struct account account;

	for (int version = 1; version <= 2; version++) {
		write_old_store(f, version);
		for (int again = 0; again < 2; again++) {
			reopen(f);
			find(f, "alice", &account);
			assert_int_equal(account.id, 1);
			assert_int_equal(account.generation, 7);
			assert_int_equal(account.created, 1000);
			assert_int_equal(account.changed, 2000);
			assert_int_equal(account.password_changed, 1500);
			assert_int_equal(account.message_size, version < 2 ? 0 : 5000);
			assert_true(account.enabled && account.main_password && !account.damaged);
			assert_int_equal(account.expires, 0);
			assert_int_equal(account.frozen, 0);
			assert_string_equal(account.source, "");
			assert_string_equal(account.hash, "");
			assert_int_equal(account.send_as_count, 2);
			assert_string_equal(account.send_as[1], "*@lab.example.org");
			assert_true(verifier_check(&account.verifier, SLICE_LIT("pencil")));
			account_release(&account);
		}
		assert_int_equal(accounts_set_frozen(f->accounts, 1, 9000, "too much", 9000),
				 ERR_OK);
		assert_true(add(f, "bob") > 1);
	}
}

static void test_message_size(void **state)
{
	struct fixture *f = *state;
	struct account account;
	int64_t id = add(f, "alice");

	assert_int_equal(accounts_set_message_size(f->accounts, id, 104857600, 7000), ERR_OK);
	find(f, "alice", &account);
	assert_int_equal(account.message_size, 104857600);
	assert_int_equal(account.generation, 2);
	account_release(&account);
	assert_int_equal(accounts_set_message_size(f->accounts, id, UINT64_MAX, 1), ERR_RANGE);
	assert_int_equal(accounts_set_message_size(f->accounts, 99, 1024, 1), ERR_NOT_FOUND);
}

static void test_unreadable(void **state)
{
	struct fixture *f = *state;
	char good[sizeof(f->path)];

	accounts_close(&f->accounts);
	memcpy(good, f->path, sizeof(good));
	(void)snprintf(f->path, sizeof(f->path), "%s/none/accounts.db", f->folder);
	test_open_fails(f, ERR_NOT_FOUND, "none");
	memcpy(f->path, good, sizeof(good));
	assert_int_equal(chmod(f->path, 0), 0);
	if (geteuid() == 0) { /* root may read everything: become somebody who may not */
		assert_int_equal(chmod(f->folder, 0755), 0);
		assert_int_equal(seteuid(65534), 0);
	}
	test_open_fails(f, ERR_DENIED, "mend it with: ch");
	if (getuid() == 0) {
		assert_int_equal(seteuid(0), 0);
		/* Readable is not enough, and SQLite would not say so. */
		assert_int_equal(chmod(f->path, 0644), 0);
		assert_int_equal(seteuid(65534), 0);
		test_open_fails(f, ERR_DENIED, "chmod 0664");
		/* In a folder of ours it should be ours. */
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(chown(f->folder, 65534, 65534), 0);
		assert_int_equal(seteuid(65534), 0);
		test_open_fails(f, ERR_DENIED, "mend it with: chown ");
		assert_int_equal(seteuid(0), 0);
	}
	assert_int_equal(chmod(f->path, 0600), 0);
}

static void test_file_is_private(void **state)
{
	struct fixture *f = *state;
	struct buf bytes;
	struct stat st;

	add(f, "alice");
	accounts_close(&f->accounts);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0077, 0);
	buf_init(&bytes, 1 << 24); /* the password is nowhere in it */
	assert_int_equal(os_read_file(f->path, 1 << 24, &bytes), ERR_OK);
	assert_int_equal(buf_len(&bytes), st.st_size);
	assert_int_equal(slice_search(buf_data(&bytes), SLICE_LIT("pencil")), buf_len(&bytes));
	assert_true(slice_search(buf_data(&bytes), SLICE_LIT("SCRAM-SHA-256$4096:")) <
		    buf_len(&bytes));
	buf_release(&bytes);
}

static void test_names(void **state)
{
	static const struct {
		const char *text, *name; /* NULL: refused */
	} CASES[] = {
		{"alice", "alice"},
		{"Alice", "alice"},
		{"alice@example.org", "alice"},
		{"ALICE@EXAMPLE.ORG", "alice"},
		{"alice@lab.example.org", "alice@lab.example.org"},
		{"alice@Other.Example", "alice@other.example"},
		{"o'brien", "o'brien"},
		{"j.r_t-9", "j.r_t-9"},
		{"", NULL},
		{"@example.org", NULL},
		{"alice@", NULL},
		{"alice@@example.org", NULL},
		{"a b", NULL},
		{"alice+x", NULL},
		{"*", NULL},
		{"*@example.org", NULL},
		{".alice", NULL},
		{"alice.", NULL},
		{"a..b", NULL},
		{"-alice", NULL},
		{"alice@-x.org", NULL},
		{"alice@x..org", NULL},
		{"alice@x.org.", NULL},
		{"alice@x_y.org", NULL},
		{"al\nice", NULL},
		{"al\xc3\xad"
		 "ce",
		 NULL},
	};
	char name[ACCOUNT_NAME_MAX + 1], why[ACCOUNT_WHY], longest[66];

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		enum err err = account_name_read(slice_str(CASES[i].text), DOMAIN, name, why);

		assert_int_equal(err, CASES[i].name != NULL ? ERR_OK : ERR_SYNTAX);
		if (CASES[i].name != NULL)
			assert_string_equal(name, CASES[i].name);
		else
			assert_true(strlen(why) > 20);
	}
	assert_int_equal(account_name_read(SLICE_LIT("al\0ice"), DOMAIN, name, why), ERR_SYNTAX);
	memset(longest, 'a', sizeof(longest));
	assert_int_equal(account_name_read(slice_of(longest, 64), DOMAIN, name, why), ERR_OK);
	assert_int_equal(account_name_read(slice_of(longest, 65), DOMAIN, name, why), ERR_SYNTAX);
	assert_int_equal(account_address("alice", "Example.org", name), ERR_OK);
	assert_string_equal(name, "alice@example.org");
	assert_int_equal(account_address("bob@x.example", DOMAIN, name), ERR_OK);
	assert_string_equal(name, "bob@x.example");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_add_and_find),
		STORE_TEST(test_exists),
		STORE_TEST(test_hostile_names),
		STORE_TEST(test_domain_changed),
		STORE_TEST(test_generation),
		STORE_TEST(test_delete),
		STORE_TEST(test_list),
		STORE_TEST(test_largest_of_those_enabled),
		STORE_TEST(test_message_size),
		STORE_TEST(test_key_is_kept),
		STORE_TEST(test_damaged_verifier),
		STORE_TEST(test_not_a_store),
		STORE_TEST(test_a_store_of_an_earlier_version_is_taken_over),
		STORE_TEST(test_unreadable),
		STORE_TEST(test_file_is_private),
		cmocka_unit_test(test_names),
	};

	(void)umask(077); /* as os_harden does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
