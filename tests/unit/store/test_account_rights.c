/* SPDX-License-Identifier: Apache-2.0 */
/* What belongs to an account besides its password: keys, groups, what bars it, what it was used
 * for. */
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
#include "store/account_groups.h"
#include "store/account_keys.h"
#include "store/account_seen.h"
#include "store/account_use.h"
#include "store/account_verifiers.h"
#include "store/password.h"

/* A back end's account and one with a hash from elsewhere have no verifier, and are not damaged. */
static void test_other_ways_to_prove_a_password(void **state)
{
	struct fixture *f = *state;
	struct account account;
	int64_t campus = 0, old = 0;

	assert_int_equal(accounts_add(f->accounts,
				      &(struct account_new){.name = "carol", .source = "campus"}, 5,
				      &campus),
			 ERR_OK);
	assert_int_equal(
		accounts_add(f->accounts,
			     &(struct account_new){.name = "dave", .hash = "$y$j9T$salt$hash"}, 5,
			     &old),
		ERR_OK);
	find(f, "carol", &account);
	assert_string_equal(account.source, "campus");
	assert_false(account.damaged);
	assert_null(account_verifier(&account));
	account_release(&account);
	find(f, "dave", &account);
	assert_string_equal(account.hash, "$y$j9T$salt$hash");
	assert_null(account_verifier(&account));
	account_release(&account);
	/* A password of its own: the store alone decides from then on. */
	assert_int_equal(accounts_set_verifier(f->accounts, campus, &f->verifier, 6), ERR_OK);
	assert_int_equal(accounts_set_verifier(f->accounts, old, &f->verifier, 6), ERR_OK);
	for (int i = 0; i < 2; i++) {
		find(f, i == 0 ? "carol" : "dave", &account);
		assert_string_equal(account.source, "");
		assert_string_equal(account.hash, "");
		assert_true(verifier_check(account_verifier(&account), SLICE_LIT("pencil")));
		account_release(&account);
	}
}

/* What keeps a good password from being enough (C14). */
static void test_c14_what_bars_an_account(void **state)
{
	struct fixture *f = *state;
	struct account account;
	char **frozen = NULL;
	size_t count = 0;
	int64_t id = add(f, "alice");

	assert_int_equal(accounts_set_expires(f->accounts, id, 5000, 1), ERR_OK);
	find(f, "alice", &account);
	assert_null(account_barred(&account, SLICE_LIT("192.0.2.1"), 4999));
	assert_string_equal(account_barred(&account, SLICE_LIT("192.0.2.1"), 5000), "expired");
	assert_int_equal(account_expires(&account), 5000);
	account_release(&account);
	assert_int_equal(accounts_set_expires(f->accounts, id, 0, 1), ERR_OK);
	assert_int_equal(accounts_set_main_password(f->accounts, id, false, 1), ERR_OK);
	find(f, "alice", &account);
	assert_string_equal(account_barred(&account, SLICE_LIT("192.0.2.1"), INT64_MAX),
			    "main-password-barred");
	account_release(&account);
	assert_int_equal(accounts_set_main_password(f->accounts, id, true, 1), ERR_OK);
	assert_int_equal(accounts_set_frozen(f->accounts, id, 4711, "sent 5000 messages", 1),
			 ERR_OK);
	find(f, "alice", &account);
	assert_string_equal(account_barred(&account, SLICE_LIT("192.0.2.1"), 1), "frozen");
	assert_int_equal(account.frozen, 4711);
	assert_string_equal(account.frozen_why, "sent 5000 messages");
	account_release(&account);
	add(f, "bob");
	assert_int_equal(accounts_frozen(f->accounts, &frozen, &count), ERR_OK);
	assert_int_equal(count, 1);
	assert_string_equal(frozen[0], "alice");
	account_texts_free(frozen, count);
	assert_int_equal(accounts_set_frozen(f->accounts, id, 0, "", 1), ERR_OK);
	assert_int_equal(accounts_set_enabled(f->accounts, id, false, 1), ERR_OK);
	find(f, "alice", &account);
	assert_string_equal(account_barred(&account, SLICE_LIT("192.0.2.1"), 1), "disabled");
	assert_int_equal(account.frozen, 0);
	account_release(&account);
}

static int64_t add_key(struct fixture *f, int64_t account, const char *name, const char *tag)
{
	struct account_key key = {.verifier = f->verifier, .expires = 8000, .message_size = 3000};
	char sender[] = "scanner@example.org", near[] = "192.0.2.0/24", far[] = "2001:db8::/32";
	char *send_as[] = {sender}, *networks[] = {near, far};
	int64_t id = 0;

	(void)snprintf(key.name, sizeof(key.name), "%s", name);
	(void)snprintf(key.tag, sizeof(key.tag), "%s", tag);
	key.send_as = send_as;
	key.send_as_count = 1;
	key.networks = networks;
	key.network_count = 2;
	assert_int_equal(accounts_add_key(f->accounts, account, &key, 2000, &id), ERR_OK);
	return id;
}

static enum err find_login(struct fixture *f, const char *text, const char *password,
			   struct account *account_out)
{
	struct account_login login;
	char why[ACCOUNT_WHY];

	assert_int_equal(
		account_login_read(slice_str(text), slice_str(password), DOMAIN, &login, why),
		ERR_OK);
	return accounts_find_login(f->accounts, &login, DOMAIN, account_out);
}

static void test_keys(void **state)
{
	struct fixture *f = *state;
	struct account account;
	struct account_key *keys;
	size_t count = 0;
	int64_t alice = add(f, "alice"), bob = add(f, "bob");
	int64_t key = add_key(f, alice, "scanner", "abcd");

	add_key(f, alice, "laptop", "efgh");
	add_key(f, bob, "scanner", "abcd");
	reopen(f);
	assert_int_equal(find_login(f, "alice#scanner", "", &account), ERR_OK);
	assert_int_equal(account.id, alice);
	assert_int_equal(account.generation, 3); /* each key raises it */
	assert_non_null(account.key);
	assert_int_equal(account.key->id, key);
	assert_string_equal(account.key->send_as[0], "scanner@example.org");
	assert_int_equal(account.key->created, 2000);
	assert_int_equal(account_expires(&account), 8000);
	assert_int_equal(account_message_size(&account), 3000);
	assert_true(verifier_check(account_verifier(&account), SLICE_LIT("pencil")));
	assert_null(account_barred(&account, SLICE_LIT("192.0.2.9"), 7999));
	assert_null(account_barred(&account, SLICE_LIT("2001:db8::1"), 7999));
	assert_string_equal(account_barred(&account, SLICE_LIT("192.0.3.1"), 7999), "key-network");
	assert_string_equal(account_barred(&account, SLICE_LIT("192.0.2.9"), 8000), "key-expired");
	account_release(&account);
	assert_int_equal(accounts_keys(f->accounts, alice, &keys, &count), ERR_OK);
	assert_int_equal(count, 2);
	assert_string_equal(keys[0].name, "laptop");
	assert_int_equal(keys[1].network_count, 2);
	account_keys_free(keys, count);
	/* One is taken back; bob's of the same name stays. */
	assert_int_equal(accounts_remove_key(f->accounts, bob, key, 3000), ERR_NOT_FOUND);
	assert_int_equal(accounts_remove_key(f->accounts, alice, key, 3000), ERR_OK);
	assert_int_equal(find_login(f, "alice#scanner", "", &account), ERR_NOT_FOUND);
	assert_int_equal(find_login(f, "bob#scanner", "", &account), ERR_OK);
	account_release(&account);
	assert_int_equal(accounts_delete(f->accounts, bob), ERR_OK);
	assert_int_equal(accounts_keys(f->accounts, bob, &keys, &count), ERR_OK);
	assert_int_equal(count, 0);
	account_keys_free(keys, count);
}

/* A secret tells which key it is of; anything else means the main password. */
static void test_a_secret_names_its_key(void **state)
{
	struct fixture *f = *state;
	struct account account;
	char secret[PASSWORD_KEY + 1], tag[PASSWORD_KEY_TAG + 1];
	int64_t alice = add(f, "alice");

	password_generate_key(secret);
	assert_int_equal(strlen(secret), PASSWORD_KEY);
	assert_true(password_key_tag(slice_str(secret), tag));
	assert_memory_equal(secret, tag, PASSWORD_KEY_TAG);
	add_key(f, alice, "scanner", tag);
	assert_int_equal(find_login(f, "alice", secret, &account), ERR_OK);
	assert_string_equal(account.key->name, "scanner");
	account_release(&account);
	secret[0] = secret[0] == 'a' ? 'b' : 'a'; /* of no key */
	assert_int_equal(find_login(f, "alice", secret, &account), ERR_OK);
	assert_null(account.key);
	account_release(&account);
	secret[4] = 'x'; /* no secret at all */
	assert_false(password_key_tag(slice_str(secret), tag));
	assert_int_equal(find_login(f, "alice", secret, &account), ERR_OK);
	assert_null(account.key);
	account_release(&account);
}

static void test_keys_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct account_key key = {.verifier = f->verifier, .name = "scanner", .tag = "zzzz"};
	int64_t alice = add(f, "alice"), id = 0;
	char name[16], tag[PASSWORD_KEY_TAG + 1];

	add_key(f, alice, "scanner", "abcd");
	assert_int_equal(accounts_add_key(f->accounts, alice, &key, 1, &id), ERR_EXISTS);
	assert_non_null(strstr(accounts_why(f->accounts), "scanner"));
	key.send_as_count = ACCOUNT_PATTERNS + 1;
	assert_int_equal(accounts_add_key(f->accounts, alice, &key, 1, &id), ERR_RANGE);
	for (int i = 1; i < ACCOUNT_KEYS; i++) {
		(void)snprintf(name, sizeof(name), "key%d", i);
		(void)snprintf(tag, sizeof(tag), "%04d", i);
		add_key(f, alice, name, tag);
	}
	key = (struct account_key){.verifier = f->verifier, .name = "more", .tag = "zzzz"};
	assert_int_equal(accounts_add_key(f->accounts, alice, &key, 1, &id), ERR_FULL);
	assert_int_equal(accounts_add_key(f->accounts, 99, &key, 1, &id), ERR_NOT_FOUND);
}

static void test_login_names(void **state)
{
	static const struct {
		const char *text, *name, *key; /* NULL: refused */
	} CASES[] = {
		{"alice#scanner", "alice", "scanner"},
		{"Alice#Scanner@Example.Org", "alice", "scanner"},
		{"alice@example.org#scanner", "alice", "scanner"},
		{"alice#scanner@lab.example.org", "alice@lab.example.org", "scanner"},
		{"alice", "alice", ""},
		{"alice#", NULL, NULL},
		{"#scanner", NULL, NULL},
		{"alice##scanner", NULL, NULL},
		{"alice#a#b", NULL, NULL},
		{"alice#a b", NULL, NULL},
		{"alice#-x", NULL, NULL},
		{"alice#aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, NULL},
	};
	struct account_login login;
	char why[ACCOUNT_WHY];

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		enum err err = account_login_read(slice_str(CASES[i].text), SLICE_LIT(""), DOMAIN,
						  &login, why);

		if (CASES[i].name == NULL) {
			assert_int_equal(err, ERR_SYNTAX);
			continue;
		}
		assert_int_equal(err, ERR_OK);
		assert_string_equal(login.name, CASES[i].name);
		assert_string_equal(login.key, CASES[i].key);
	}
}

static void test_groups(void **state)
{
	struct fixture *f = *state;
	struct account account;
	struct account_member members[8];
	int64_t alice = add(f, "alice"), bob = add(f, "bob");
	size_t count = 0;

	assert_int_equal(accounts_join(f->accounts, "office@example.org", bob, 1), ERR_OK);
	assert_int_equal(accounts_join(f->accounts, "office@example.org", alice, 1), ERR_OK);
	assert_int_equal(accounts_join(f->accounts, "*@lists.example", alice, 1), ERR_OK);
	assert_int_equal(accounts_join(f->accounts, "office@example.org", alice, 1), ERR_EXISTS);
	assert_int_equal(accounts_join(f->accounts, "office@example.org", 99, 1), ERR_NOT_FOUND);
	find(f, "alice", &account);
	assert_int_equal(account.group_count, 2);
	assert_string_equal(account.groups[0], "*@lists.example");
	assert_string_equal(account.groups[1], "office@example.org");
	assert_int_equal(account.send_as_count, 0);
	assert_int_equal(account.generation, 3);
	account_release(&account);
	assert_int_equal(
		accounts_members(f->accounts, "office@example.org", "", "", 8, members, &count),
		ERR_OK);
	assert_int_equal(count, 2);
	assert_string_equal(members[0].name, "alice");
	assert_string_equal(members[1].name, "bob");
	account_member_release(&members[0]);
	account_member_release(&members[1]);
	assert_int_equal(
		accounts_members(f->accounts, "", "*@lists.example", "alice", 1, members, &count),
		ERR_OK);
	assert_int_equal(count, 1);
	assert_string_equal(members[0].pattern, "office@example.org");
	assert_string_equal(members[0].name, "alice");
	account_member_release(&members[0]);
	assert_int_equal(accounts_leave(f->accounts, "office@example.org", alice, 2), ERR_OK);
	assert_int_equal(accounts_leave(f->accounts, "office@example.org", alice, 2),
			 ERR_NOT_FOUND);
	assert_int_equal(accounts_delete(f->accounts, bob), ERR_OK);
	assert_int_equal(
		accounts_members(f->accounts, "office@example.org", "", "", 8, members, &count),
		ERR_OK);
	assert_int_equal(count, 0);
}

static void test_use(void **state)
{
	struct fixture *f = *state;
	int64_t alice = add(f, "alice"), key = add_key(f, alice, "scanner", "abcd");
	struct account_use use,
		uses[] = {
			{.account = alice,
			 .last = 500,
			 .client = "192.0.2.1",
			 .logins = 2,
			 .day = 7},
			{.account = alice,
			 .messages = 3,
			 .recipients = 9,
			 .day = 7,
			 .day_messages = 3,
			 .day_recipients = 9},
			{.account = alice,
			 .key = key,
			 .last = 400,
			 .client = "192.0.2.2",
			 .logins = 1},
			{.account = alice, .key = key + 1, .logins = 1}, /* is gone */
			{.account = 99, .logins = 1},
		};

	assert_int_equal(accounts_use(f->accounts, alice, 0, &use), ERR_OK);
	assert_int_equal(use.last, 0);
	assert_int_equal(accounts_add_use(f->accounts, uses, 5), ERR_OK);
	assert_int_equal(accounts_add_use(f->accounts, uses, 2), ERR_OK);
	assert_int_equal(accounts_use(f->accounts, alice, 0, &use), ERR_OK);
	assert_int_equal(use.last, 500);
	assert_string_equal(use.client, "192.0.2.1");
	assert_int_equal(use.logins, 4);
	assert_int_equal(use.messages, 6);
	assert_int_equal(use.day_recipients, 18);
	uses[1].day = 8; /* a day begins anew */
	assert_int_equal(accounts_add_use(f->accounts, &uses[1], 1), ERR_OK);
	assert_int_equal(accounts_use(f->accounts, alice, 0, &use), ERR_OK);
	assert_int_equal(use.recipients, 27);
	assert_int_equal(use.day_recipients, 9);
	assert_int_equal(use.day, 8);
	assert_string_equal(use.client, "192.0.2.1");
	assert_int_equal(accounts_use(f->accounts, alice, key, &use), ERR_OK);
	assert_int_equal(use.logins, 1);
	assert_int_equal(accounts_remove_key(f->accounts, alice, key, 3000), ERR_OK);
	assert_int_equal(accounts_use(f->accounts, alice, key, &use), ERR_OK);
	assert_int_equal(use.logins, 0);
	assert_int_equal(accounts_use(f->accounts, alice, key + 1, &use), ERR_OK);
	assert_int_equal(use.logins, 0);
}

static void test_verifiers_of_other_schemes(void **state)
{
	struct fixture *f = *state;
	int64_t alice = add(f, "alice"), key = add_key(f, alice, "scanner", "abcd");
	char text[ACCOUNT_VERIFIER_MAX + 1];
	uint64_t without = 0;

	assert_int_equal(accounts_without_extra(f->accounts, "SCRAM-SHA-1", &without), ERR_OK);
	assert_int_equal(without, 2);
	assert_int_equal(accounts_set_extra(f->accounts, alice, 0, "SCRAM-SHA-1", "one"), ERR_OK);
	assert_int_equal(accounts_set_extra(f->accounts, alice, 0, "SCRAM-SHA-1", "two"), ERR_OK);
	assert_int_equal(accounts_set_extra(f->accounts, alice, key, "SCRAM-SHA-1", "k"), ERR_OK);
	assert_int_equal(accounts_set_extra(f->accounts, 99, 0, "SCRAM-SHA-1", "x"), ERR_NOT_FOUND);
	assert_int_equal(accounts_without_extra(f->accounts, "SCRAM-SHA-1", &without), ERR_OK);
	assert_int_equal(without, 0);
	assert_int_equal(accounts_extra(f->accounts, alice, 0, "SCRAM-SHA-1", text), ERR_OK);
	assert_string_equal(text, "two");
	assert_int_equal(accounts_extra(f->accounts, alice, 0, "CRAM-MD5", text), ERR_NOT_FOUND);
	/* What was made of the old password opens nothing any more. */
	assert_int_equal(accounts_set_verifier(f->accounts, alice, &f->verifier, 6), ERR_OK);
	assert_int_equal(accounts_extra(f->accounts, alice, 0, "SCRAM-SHA-1", text), ERR_NOT_FOUND);
	assert_int_equal(accounts_extra(f->accounts, alice, key, "SCRAM-SHA-1", text), ERR_OK);
	assert_int_equal(accounts_remove_key(f->accounts, alice, key, 7), ERR_OK);
	assert_int_equal(accounts_extra(f->accounts, alice, key, "SCRAM-SHA-1", text),
			 ERR_NOT_FOUND);
}

struct seen {
	unsigned count;
	int64_t last;
	char names[256];
};

static void note_seen(void *arg, const char *name, const unsigned char *source, int64_t first,
		      int64_t last)
{
	struct seen *all = arg;

	all->count++;
	assert_true(last >= all->last && first <= last);
	all->last = last;
	(void)snprintf(all->names + strlen(all->names), sizeof(all->names) - strlen(all->names),
		       "%s:%u ", name, source[15]);
}

static void test_from_where_accounts_log_in(void **state)
{
	struct fixture *f = *state;
	int64_t alice = add(f, "alice"), bob = add(f, "bob");
	struct account_sighting sightings[] = {
		{alice, {[15] = 1}, 10}, {bob, {[15] = 2}, 20},   {alice, {[15] = 3}, 30},
		{99, {[15] = 4}, 40},    {alice, {[15] = 1}, 50},
	};
	struct seen all = {0};

	assert_int_equal(accounts_add_seen(f->accounts, sightings, 5), ERR_OK);
	reopen(f);
	assert_int_equal(accounts_each_seen(f->accounts, 20, note_seen, &all), ERR_OK);
	assert_string_equal(all.names, "bob:2 alice:3 alice:1 ");
	all = (struct seen){0};
	assert_int_equal(accounts_each_seen(f->accounts, 31, note_seen, &all), ERR_OK);
	assert_string_equal(all.names, "alice:1 ");
	/* The last ones are kept; with the account they are gone. */
	for (int i = 0; i < 2 * ACCOUNT_SEEN_MAX; i++) {
		struct account_sighting one = {bob, {[14] = 1, [15] = (unsigned char)i}, 100 + i};

		assert_int_equal(accounts_add_seen(f->accounts, &one, 1), ERR_OK);
	}
	all = (struct seen){0};
	assert_int_equal(accounts_each_seen(f->accounts, 100, note_seen, &all), ERR_OK);
	assert_int_equal(all.count, ACCOUNT_SEEN_MAX);
	assert_int_equal(accounts_delete(f->accounts, bob), ERR_OK);
	all = (struct seen){0};
	assert_int_equal(accounts_each_seen(f->accounts, 0, note_seen, &all), ERR_OK);
	assert_string_equal(all.names, "alice:3 alice:1 ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_other_ways_to_prove_a_password),
		STORE_TEST(test_c14_what_bars_an_account),
		STORE_TEST(test_keys),
		STORE_TEST(test_a_secret_names_its_key),
		STORE_TEST(test_keys_are_bounded),
		cmocka_unit_test(test_login_names),
		STORE_TEST(test_groups),
		STORE_TEST(test_use),
		STORE_TEST(test_from_where_accounts_log_in),
		STORE_TEST(test_verifiers_of_other_schemes),
	};

	(void)umask(077); /* as os_harden does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
