/* SPDX-License-Identifier: Apache-2.0 */
/* Client certificates that are registered for an account. */
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
#include "store/account_certificates.h"

static void test_fingerprints(void **state)
{
#define PAIRS                                                                                      \
	"01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:"  \
	"AB:CD:EF"
#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	static const char *const GOOD[] = {PAIRS,
					   DIGITS,
					   "SHA256:" PAIRS,
					   "sha256:" DIGITS,
					   "sha256 Fingerprint=" PAIRS,
					   "SHA256 Fingerprint=" DIGITS};
	static const char *const BAD[] = {
		"",
		"SHA256:",
		DIGITS "0",
		"0" PAIRS,
		":" PAIRS,
		"sha1 Fingerprint=" DIGITS,
		"g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
		"0:123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
	char read[ACCOUNT_FINGERPRINT + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
		assert_int_equal(account_fingerprint_read(slice_str(GOOD[i]), read), ERR_OK);
		assert_string_equal(read, DIGITS);
	}
	for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
		assert_int_equal(account_fingerprint_read(slice_str(BAD[i]), read), ERR_SYNTAX);
}

static void test_certificates(void **state)
{
	struct fixture *f = *state;
	int64_t alice = add(f, "alice"), bob = add(f, "bob");
	struct account account;
	char **texts, print[ACCOUNT_FINGERPRINT + 1];
	size_t count;

	assert_int_equal(accounts_add_certificate(f->accounts, alice, DIGITS, 5000), ERR_OK);
	find(f, "alice", &account);
	assert_int_equal(account.generation, 2); /* what was remembered of it is forgotten */
	account_release(&account);
	assert_int_equal(accounts_add_certificate(f->accounts, bob, DIGITS, 5000), ERR_EXISTS);
	assert_int_equal(accounts_remove_certificate(f->accounts, bob, DIGITS, 5000),
			 ERR_NOT_FOUND);
	assert_int_equal(accounts_add_certificate(f->accounts, 99, DIGITS, 5000), ERR_NOT_FOUND);
	for (int i = 0; i < ACCOUNT_CERTIFICATES; i++) {
		(void)snprintf(print, sizeof(print), "%064x", ACCOUNT_CERTIFICATES - i);
		assert_int_equal(accounts_add_certificate(f->accounts, bob, print, 5000), ERR_OK);
	}
	(void)snprintf(print, sizeof(print), "%064x", 255);
	assert_int_equal(accounts_add_certificate(f->accounts, bob, print, 5000), ERR_FULL);
	assert_int_equal(accounts_certificates(f->accounts, alice, &texts, &count), ERR_OK);
	assert_int_equal(count, 1);
	assert_string_equal(texts[0], DIGITS);
	account_texts_free(texts, count);
	assert_int_equal(accounts_all_certificates(f->accounts, &texts, &count), ERR_OK);
	assert_int_equal(count, ACCOUNT_CERTIFICATES + 1);
	for (size_t i = 1; i < count; i++)
		assert_true(strcmp(texts[i - 1], texts[i]) < 0);
	assert_string_equal(texts[count - 1], DIGITS " alice");
	account_texts_free(texts, count);
	/* They go with the account. */
	assert_int_equal(accounts_delete(f->accounts, bob), ERR_OK);
	assert_int_equal(accounts_remove_certificate(f->accounts, alice, DIGITS, 6000), ERR_OK);
	assert_int_equal(accounts_all_certificates(f->accounts, &texts, &count), ERR_OK);
	assert_int_equal(count, 0);
	account_texts_free(texts, count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fingerprints),
		cmocka_unit_test_setup_teardown(test_certificates, set_up, tear_down),
	};

	(void)umask(077); /* as os_harden does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
