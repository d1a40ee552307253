/* SPDX-License-Identifier: Apache-2.0 */
/* Verifiers against the example of RFC 7677, and what may be a password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/base64.h"
#include "store/password.h"
#include "store/verifier.h"

static const unsigned char SALT[VERIFIER_SALT] = "0123456789abcdef";

static void unbase64(const char *text, unsigned char *out, size_t len)
{
	struct buf bytes;

	buf_init(&bytes, len);
	assert_int_equal(base64_decode(slice_str(text), &bytes), ERR_OK);
	assert_int_equal(buf_len(&bytes), len);
	memcpy(out, buf_data(&bytes).ptr, len);
	buf_release(&bytes);
}

/* RFC 7677 section 3: user "user", password "pencil". */
static void test_rfc7677(void **state)
{
	static const char MESSAGE[] =
		"n=user,r=rOprNGfwEbeRWgbNEkqO,"
		"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,"
		"i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
	unsigned char salt[16], proof[32], want[32], got[32], client[32];
	struct verifier verifier;
	unsigned len = 0;

	(void)state;
	unbase64("W22ZaJ0SNY7soEsUEjb6gQ==", salt, sizeof(salt));
	unbase64("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", proof, sizeof(proof));
	unbase64("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", want, sizeof(want));
	assert_int_equal(verifier_make(SLICE_LIT("pencil"), salt, 4096, &verifier), ERR_OK);
	HMAC(EVP_sha256(), verifier.server_key, 32, (const unsigned char *)MESSAGE, strlen(MESSAGE),
	     got, &len);
	assert_memory_equal(got, want, 32);
	HMAC(EVP_sha256(), verifier.stored_key, 32, (const unsigned char *)MESSAGE, strlen(MESSAGE),
	     got, &len);
	for (int i = 0; i < 32; i++)
		client[i] = proof[i] ^ got[i];
	EVP_Digest(client, 32, got, &len, EVP_sha256(), NULL);
	assert_memory_equal(got, verifier.stored_key, 32);
}

static void test_check(void **state)
{
	struct verifier verifier;

	(void)state;
	assert_int_equal(verifier_make(SLICE_LIT("correct horse"), SALT, 4096, &verifier), ERR_OK);
	assert_true(verifier_check(&verifier, SLICE_LIT("correct horse")));
	assert_false(verifier_check(&verifier, SLICE_LIT("correct hors")));
	assert_false(verifier_check(&verifier, SLICE_LIT("correct horse ")));
	assert_false(verifier_check(&verifier, SLICE_LIT("correct horse\0")));
	assert_false(verifier_check(&verifier, SLICE_LIT("")));
	verifier.iterations++;
	assert_false(verifier_check(&verifier, SLICE_LIT("correct horse")));
}

static void test_bounds(void **state)
{
	struct verifier verifier = {.iterations = 7};

	(void)state;
	assert_int_equal(verifier_make(SLICE_LIT("x"), SALT, 4095, &verifier), ERR_RANGE);
	assert_int_equal(
		verifier_make(SLICE_LIT("x"), SALT, VERIFIER_ITERATIONS_MAX + 1, &verifier),
		ERR_RANGE);
	assert_int_equal(verifier.iterations, 7);
	/* What never was a verifier fits no password. */
	verifier = (struct verifier){0};
	assert_false(verifier_check(&verifier, SLICE_LIT("")));
}

static void test_text(void **state)
{
	char text[VERIFIER_TEXT_MAX + 1], again[VERIFIER_TEXT_MAX + 1];
	struct verifier verifier, read;

	(void)state;
	assert_int_equal(verifier_make(SLICE_LIT("pencil"), SALT, 15000, &verifier), ERR_OK);
	verifier_print(&verifier, text);
	assert_memory_equal(text, "SCRAM-SHA-256$15000:MDEyMzQ1Njc4OWFiY2RlZg==$", 45);
	assert_int_equal(verifier_read(slice_str(text), &read), ERR_OK);
	verifier_print(&read, again);
	assert_string_equal(text, again);
	assert_true(verifier_check(&read, SLICE_LIT("pencil")));
	for (size_t len = 0; len < strlen(text); len++) /* each prefix is refused */
		if (text[len] != '=')                   /* missing padding is no harm */
			assert_int_not_equal(verifier_read(slice_of(text, len), &read), ERR_OK);
}

/* RFC 2195 section 2: its own example; and a key longer than a block of MD5. */
static void test_cram_md5(void **state)
{
	static const struct {
		const char *password, *challenge, *digest;
	} CASES[] = {
		{"tanstaaftanstaaf", "<1896.697170952@postoffice.reston.mci.net>",
		 "b913a602c7eda7a495b4e6e7334d3890"},
		{"a password of more than the sixty-four bytes that a block of MD5 takes, and more",
		 "<1.2@mail.example.org>", "ed414c9b62a388ee3414c35956209324"},
	};
	static const unsigned char SALT_OF_NONE[VERIFIER_SALT];

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct slice password = slice_str(CASES[i].password);
		struct verifier made, read;
		unsigned char digest[VERIFIER_DIGEST];
		char text[VERIFIER_TEXT_MAX + 1], hex[2 * VERIFIER_DIGEST + 1];

		assert_int_equal(
			verifier_make_hash(VERIFIER_CRAM_MD5, password, SALT_OF_NONE, 4096, &made),
			ERR_OK);
		verifier_print(&made, text);
		assert_true(slice_starts(slice_str(text), "CRAM-MD5$"));
		assert_int_equal(verifier_read(slice_str(text), &read), ERR_OK);
		assert_int_equal(read.hash, VERIFIER_CRAM_MD5);
		verifier_digest(&read, slice_str(CASES[i].challenge), digest);
		for (size_t n = 0; n < sizeof(digest); n++)
			(void)snprintf(hex + 2 * n, 3, "%02x", digest[n]);
		assert_string_equal(hex, CASES[i].digest);
		assert_true(verifier_check(&read, password));
		assert_false(verifier_check(&read, SLICE_LIT("tanstaaftanstaaF")));
		assert_int_equal(
			verifier_read(slice_head(slice_str(text), strlen(text) - 4), &read),
			ERR_SYNTAX);
	}
	/* A NUL would make two passwords one, as HMAC pads with NULs. */
	struct verifier made;
	assert_int_not_equal(
		verifier_make_hash(VERIFIER_CRAM_MD5, SLICE_LIT("a\0"), SALT_OF_NONE, 4096, &made),
		ERR_OK);
}

static void test_text_refused(void **state)
{
#define KEY "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	static const struct {
		const char *text;
		enum err err;
	} CASES[] = {
		{"", ERR_SYNTAX},
		{"*", ERR_SYNTAX},
		{"!", ERR_SYNTAX},
		{"$6$abc$def", ERR_SYNTAX},
		{"SCRAM-SHA-1$15000:MDEy$" KEY ":" KEY, ERR_SYNTAX},
		{"SCRAM-SHA-256$4095:MDEy$" KEY ":" KEY, ERR_RANGE},
		{"SCRAM-SHA-256$99999999:MDEy$" KEY ":" KEY, ERR_RANGE},
		{"SCRAM-SHA-256$99999999999:MDEy$" KEY ":" KEY, ERR_RANGE},
		{"SCRAM-SHA-256$-5000:MDEy$" KEY ":" KEY, ERR_SYNTAX},
		{"SCRAM-SHA-256$5000:$" KEY ":" KEY, ERR_SYNTAX},
		{"SCRAM-SHA-256$5000:MD Ey$" KEY ":" KEY, ERR_SYNTAX},
		{"SCRAM-SHA-256$5000:MDEy$AAAA:" KEY, ERR_SYNTAX},
		{"SCRAM-SHA-256$5000:MDEy$" KEY ":AAAA", ERR_SYNTAX},
		{"SCRAM-SHA-256$5000:MDEy$" KEY ":" KEY "A", ERR_SYNTAX},
		{"SCRAM-SHA-256$5000:MDEy$" KEY, ERR_SYNTAX},
	};
	struct verifier verifier;

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
		assert_int_equal(verifier_read(slice_str(CASES[i].text), &verifier), CASES[i].err);
	assert_int_equal(
		verifier_read(slice_str("SCRAM-SHA-256$4096:MDEy$" KEY ":" KEY), &verifier),
		ERR_OK);
#undef KEY
}

static void test_fake(void **state)
{
	unsigned char key[VERIFIER_KEY] = "key", other[VERIFIER_KEY] = "other";
	struct verifier a, b;

	(void)state;
	assert_int_equal(verifier_fake(key, SLICE_LIT("nobody"), 15000, &a), ERR_OK);
	assert_int_equal(verifier_fake(key, SLICE_LIT("nobody"), 15000, &b), ERR_OK);
	assert_memory_equal(a.salt, b.salt, VERIFIER_SALT); /* the same on each try */
	assert_int_equal(a.iterations, 15000);
	assert_int_equal(a.salt_len, VERIFIER_SALT);
	assert_false(verifier_check(&a, SLICE_LIT("")));
	assert_int_equal(verifier_fake(key, SLICE_LIT("nobodx"), 15000, &b), ERR_OK);
	assert_memory_not_equal(a.salt, b.salt, VERIFIER_SALT);
	assert_int_equal(verifier_fake(other, SLICE_LIT("nobody"), 15000, &b), ERR_OK);
	assert_memory_not_equal(a.salt, b.salt, VERIFIER_SALT);
	assert_int_equal(verifier_fake(key, SLICE_LIT("nobody"), 1, &b), ERR_RANGE);
}

static void test_password_form(void **state)
{
	char longest[PASSWORD_MAX + 1];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	assert_true(password_well_formed(slice_of(longest, PASSWORD_MAX)));
	assert_false(password_well_formed(slice_of(longest, PASSWORD_MAX + 1)));
	assert_true(password_well_formed(SLICE_LIT("p\xc3\xa4ss w")));
	assert_false(password_well_formed(SLICE_LIT("")));
	assert_false(password_well_formed(SLICE_LIT("a\0b")));
	assert_false(password_well_formed(SLICE_LIT("a\n")));
	assert_false(password_well_formed(SLICE_LIT("a\x7f")));
	assert_false(password_well_formed(SLICE_LIT("a\xff")));
}

static void test_password_acceptable(void **state)
{
	static const char *const REFUSED[] = {
		"",         "short",        "Alice1234",      "alice@example.org", "ALICE2026!",
		"password", "Password123!", "12345678",       "20260101",          "aaaaaaaaaaaa",
		"changeme", "qwertyuiop",   "tab\tinside it", "summer2026",
	};
	static const char *const TAKEN[] = {
		"correct horse battery",    "vGr7-kk2m-pq9x",   "f0rty-two ducks",
		"p\xc3\xa4ssw\xc3\xb6rter", "90210 13 77 4101", "alice in chains",
	};
	char why[PASSWORD_WHY];

	(void)state;
	for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++) {
		why[0] = '\0';
		assert_int_not_equal(password_acceptable(slice_str(REFUSED[i]),
							 SLICE_LIT("alice@example.org"), why),
				     ERR_OK);
		assert_true(strlen(why) > 10);
	}
	for (size_t i = 0; i < sizeof(TAKEN) / sizeof(TAKEN[0]); i++)
		assert_int_equal(password_acceptable(slice_str(TAKEN[i]), SLICE_LIT("alice"), why),
				 ERR_OK);
}

static void test_password_generate(void **state)
{
	char first[PASSWORD_GENERATED + 1], text[PASSWORD_GENERATED + 1], why[PASSWORD_WHY];
	unsigned seen[256] = {0};

	(void)state;
	password_generate(first);
	for (int round = 0; round < 2000; round++) {
		password_generate(text);
		assert_int_equal(strlen(text), PASSWORD_GENERATED);
		assert_string_not_equal(text, first);
		for (int i = 0; i < PASSWORD_GENERATED; i++)
			seen[(unsigned char)text[i]]++;
	}
	assert_int_equal(password_acceptable(slice_str(text), SLICE_LIT("alice"), why), ERR_OK);
	assert_int_equal(seen['-'], 2000 * 4);
	for (const char *c = "0o1ilO"; *c != '\0'; c++)
		assert_int_equal(seen[(unsigned char)*c], 0);
	for (const char *c = "abcdefghjkmnpqrstuvwxyz23456789"; *c != '\0'; c++) {
		assert_true(seen[(unsigned char)*c] > 1290 - 250); /* 2000 * 20 / 31, 7 sigma */
		assert_true(seen[(unsigned char)*c] < 1290 + 250);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc7677),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_refused),
		cmocka_unit_test(test_fake),
		cmocka_unit_test(test_password_form),
		cmocka_unit_test(test_cram_md5),
		cmocka_unit_test(test_password_acceptable),
		cmocka_unit_test(test_password_generate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
