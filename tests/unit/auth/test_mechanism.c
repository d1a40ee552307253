/* SPDX-License-Identifier: Apache-2.0 */
/* SASL exchanges: what devices send, and what attackers send (C1, C3, C4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/base64.h"
#include "mechanism.h"
#include "store/password.h"
#include "store/verifier.h"

static struct mechanisms *mechanisms;
static const struct exchange_terms TERMS = {.domain = "example.org"};

static int set_up(void **state)
{
	(void)state;
	return mechanisms_new(&mechanisms) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	mechanisms_free(&mechanisms);
	return 0;
}

static struct exchange *begin(const char *mechanism)
{
	struct exchange *exchange = NULL;

	assert_int_equal(exchange_new(mechanisms, slice_str(mechanism), &TERMS, &exchange), ERR_OK);
	return exchange;
}

/* The answer of who knows the password, for a challenge of our own. */
static void cram_answer(const char *name, struct slice password, struct slice challenge, char *out,
			size_t size)
{
	static const unsigned char NO_SALT[VERIFIER_SALT];
	unsigned char digest[VERIFIER_DIGEST];
	struct verifier verifier;
	size_t len = (size_t)snprintf(out, size, "%s ", name);

	assert_int_equal(verifier_make_hash(VERIFIER_CRAM_MD5, password, NO_SALT, 4096, &verifier),
			 ERR_OK);
	verifier_digest(&verifier, challenge, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		len += (size_t)snprintf(out + len, size - len, "%02x", digest[i]);
}

static void test_cram_md5(void **state)
{
	static const unsigned char NO_SALT[VERIFIER_SALT];
	char answer[200], before[200] = "";
	struct verifier verifier;

	(void)state;
	assert_int_equal(verifier_make_hash(VERIFIER_CRAM_MD5, SLICE_LIT("secret"), NO_SALT, 4096,
					    &verifier),
			 ERR_OK);
	for (int round = 0; round < 3; round++) {
		struct exchange *exchange = begin("CRAM-MD5");
		struct slice challenge, none;

		assert_int_equal(exchange_step(exchange, false, SLICE_LIT(""), &challenge),
				 EXCHANGE_CHALLENGE);
		assert_true(slice_starts(challenge, "<") && challenge.len > 20);
		/* No challenge comes twice, so what was heard before is of no use. */
		if (round == 2)
			(void)snprintf(answer, sizeof(answer), "%s", before);
		else
			cram_answer("alice", round == 0 ? SLICE_LIT("secret") : SLICE_LIT("guess"),
				    challenge, answer, sizeof(answer));
		if (round == 0)
			memcpy(before, answer, sizeof(before));
		assert_int_equal(exchange_step(exchange, true, slice_str(answer), &none),
				 EXCHANGE_VERIFIER);
		assert_true(slice_is(exchange_name(exchange), "alice"));
		assert_int_equal(exchange_hash(exchange), VERIFIER_CRAM_MD5);
		assert_int_equal(exchange_give_verifier(exchange, &verifier, &none),
				 round == 0 ? EXCHANGE_PROVEN : EXCHANGE_REFUSED);
		exchange_free(&exchange);
	}
}

static void test_c1_cram_md5_refused(void **state)
{
#define DIGEST "0123456789abcdef0123456789abcdef"
	const struct slice CASES[] = {
		SLICE_LIT(""),
		SLICE_LIT("alice"),
		SLICE_LIT(" " DIGEST),
		SLICE_LIT("alice " DIGEST "0"),
		SLICE_LIT("alice " DIGEST " "),
		SLICE_LIT("alice 0123456789abcdef0123456789abcde"),
		SLICE_LIT("alice 0123456789ABCDEF0123456789ABCDEF"),
		SLICE_LIT("alice 0123456789abcdef0123456789abcdeg"),
		SLICE_LIT("al\0ice " DIGEST),
		SLICE_LIT("al\nice " DIGEST),
		SLICE_LIT("al\xff"
			  "ice " DIGEST),
	};
	struct slice challenge;

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct exchange *exchange = begin("CRAM-MD5");

		assert_int_equal(exchange_step(exchange, false, SLICE_LIT(""), &challenge),
				 EXCHANGE_CHALLENGE);
		assert_int_equal(exchange_step(exchange, true, CASES[i], &challenge),
				 EXCHANGE_REFUSED);
		exchange_free(&exchange);
		/* Nothing may be said before the challenge. */
		exchange = begin("CRAM-MD5");
		assert_int_equal(exchange_step(exchange, true, CASES[i], &challenge),
				 EXCHANGE_REFUSED);
		exchange_free(&exchange);
	}
}

static void expect_done(struct exchange *exchange, const char *name, const char *password)
{
	assert_true(slice_is(exchange_name(exchange), name));
	assert_true(slice_is(exchange_password(exchange), password));
	exchange_free(&exchange);
}

static enum exchange_result plain(struct slice token, struct exchange **exchange_out)
{
	struct slice challenge;

	*exchange_out = begin("PLAIN");
	return exchange_step(*exchange_out, true, token, &challenge);
}

static void test_plain(void **state)
{
	struct exchange *exchange;
	struct slice challenge = SLICE_LIT("untouched");

	(void)state;
	assert_int_equal(plain(SLICE_LIT("\0alice\0secret"), &exchange), EXCHANGE_PASSWORD);
	assert_string_equal(exchange_mechanism(exchange), "PLAIN");
	expect_done(exchange, "alice", "secret");
	/* Without initial response: an empty challenge first. */
	exchange = begin("plain");
	assert_int_equal(exchange_step(exchange, false, SLICE_LIT(""), &challenge),
			 EXCHANGE_CHALLENGE);
	assert_int_equal(challenge.len, 0);
	assert_int_equal(exchange_step(exchange, true, SLICE_LIT("\0alice\0se cret"), &challenge),
			 EXCHANGE_PASSWORD);
	expect_done(exchange, "alice", "se cret");
	/* The authorization identity may repeat the name. */
	assert_int_equal(plain(SLICE_LIT("alice\0alice\0secret"), &exchange), EXCHANGE_PASSWORD);
	expect_done(exchange, "alice", "secret");
}

static void test_plain_refused(void **state)
{
	static const struct {
		struct slice token;
		const char *why;
	} CASES[] = {
		{{"", 0}, "malformed"},
		{{"\0", 1}, "malformed"},
		{{"\0\0", 2}, "malformed"},
		{{"alice", 5}, "malformed"},
		{{"\0alice", 6}, "malformed"},
		{{"\0alice\0", 7}, "malformed"},
		{{"\0\0secret", 8}, "malformed"},
		{{"\0alice\0secret\0", 14}, "malformed"},
		{{"\0alice\0sec\0ret", 14}, "malformed"},
		{{"\0alice\0\0secret", 14}, "malformed"},
		{{"\0a\nb\0secret", 11}, "malformed"},
		{{"\0alice\r\0secret", 14}, "malformed"},
		{{"\0alice\0sec\nret", 14}, "malformed"},
		{{"\0alice\0sec\x7fret", 14}, "malformed"},
		{{"\0al\xffice\0secret", 14}, "malformed"},
		{{"\0alice\0sec\xc0\xaf", 12}, "malformed"},
		{{"victim\0mallory\0secret", 21}, "authorization-identity"},
		{{"ALICE\0alice\0secret", 18}, "authorization-identity"},
	};
	struct exchange *exchange;

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		assert_int_equal(plain(CASES[i].token, &exchange), EXCHANGE_REFUSED);
		assert_memory_equal(exchange_why(exchange), CASES[i].why, strlen(CASES[i].why));
		assert_int_equal(exchange_password(exchange).len, 0);
		exchange_free(&exchange);
		assert_null(exchange);
	}
}

/* Byte for byte what a Xerox wants to read after "334 ". */
static void expect_prompt(struct slice challenge, const char *base64)
{
	struct buf text;

	buf_init(&text, 64);
	assert_int_equal(base64_encode(challenge, &text), ERR_OK);
	assert_true(slice_is(buf_data(&text), base64));
	buf_release(&text);
}

static void test_login(void **state)
{
	struct exchange *exchange = begin("LOGIN");
	struct slice challenge;

	(void)state;
	assert_int_equal(exchange_step(exchange, false, SLICE_LIT(""), &challenge),
			 EXCHANGE_CHALLENGE);
	expect_prompt(challenge, "VXNlcm5hbWU6");
	assert_int_equal(exchange_step(exchange, true, SLICE_LIT("alice@example.org"), &challenge),
			 EXCHANGE_CHALLENGE);
	expect_prompt(challenge, "UGFzc3dvcmQ6");
	assert_int_equal(exchange_step(exchange, true, SLICE_LIT("secret"), &challenge),
			 EXCHANGE_PASSWORD);
	assert_string_equal(exchange_mechanism(exchange), "LOGIN");
	expect_done(exchange, "alice@example.org", "secret");
}

static void test_login_inline_name(void **state)
{
	struct exchange *exchange = begin("login");
	struct slice challenge;

	(void)state;
	assert_int_equal(exchange_step(exchange, true, SLICE_LIT("alice"), &challenge),
			 EXCHANGE_CHALLENGE);
	expect_prompt(challenge, "UGFzc3dvcmQ6");
	assert_int_equal(exchange_step(exchange, true, SLICE_LIT("secret"), &challenge),
			 EXCHANGE_PASSWORD);
	expect_done(exchange, "alice", "secret");
	/* "AUTH LOGIN =": nothing was said, so it is asked. */
	exchange = begin("LOGIN");
	assert_int_equal(exchange_step(exchange, true, SLICE_LIT(""), &challenge),
			 EXCHANGE_CHALLENGE);
	expect_prompt(challenge, "VXNlcm5hbWU6");
	assert_int_equal(exchange_step(exchange, true, SLICE_LIT(""), &challenge),
			 EXCHANGE_REFUSED); /* but not for ever */
	exchange_free(&exchange);
}

static void test_login_refused(void **state)
{
	static const struct slice NAMES[] = {
		{"a\nb", 3}, {"a\r", 2}, {"alice\0", 6}, {"\xff", 1}, {"", 0},
	};
	static const struct slice PASSWORDS[] = {
		{"", 0}, {"a\0b", 3}, {"secret\0", 7}, {"a\n", 2}, {"\xc3", 1},
	};
	struct exchange *exchange;
	struct slice challenge;

	(void)state;
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
		exchange = begin("LOGIN");
		(void)exchange_step(exchange, false, SLICE_LIT(""), &challenge);
		assert_int_equal(exchange_step(exchange, true, NAMES[i], &challenge),
				 EXCHANGE_REFUSED);
		exchange_free(&exchange);
	}
	for (size_t i = 0; i < sizeof(PASSWORDS) / sizeof(PASSWORDS[0]); i++) {
		exchange = begin("LOGIN");
		(void)exchange_step(exchange, true, SLICE_LIT("alice"), &challenge);
		assert_int_equal(exchange_step(exchange, true, PASSWORDS[i], &challenge),
				 EXCHANGE_REFUSED);
		assert_true(slice_is(exchange_name(exchange), "alice")); /* for the log */
		exchange_free(&exchange);
	}
}

static void test_lengths(void **state)
{
	static char longest[CREDENTIAL_NAME_MAX + PASSWORD_MAX + 8];
	struct exchange *exchange;
	struct slice challenge;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[0] = '\0';
	longest[1 + CREDENTIAL_NAME_MAX] = '\0';
	assert_int_equal(
		plain(slice_of(longest, 2 + CREDENTIAL_NAME_MAX + PASSWORD_MAX), &exchange),
		EXCHANGE_PASSWORD);
	exchange_free(&exchange);
	assert_int_equal(
		plain(slice_of(longest, 3 + CREDENTIAL_NAME_MAX + PASSWORD_MAX), &exchange),
		EXCHANGE_REFUSED);
	exchange_free(&exchange);
	exchange = begin("LOGIN");
	assert_int_equal(
		exchange_step(exchange, true,
			      slice_of(longest + 2 + CREDENTIAL_NAME_MAX, CREDENTIAL_NAME_MAX + 1),
			      &challenge),
		EXCHANGE_REFUSED);
	exchange_free(&exchange);
}

static void test_offered(void **state)
{
	static const char *const NEVER[] = {
		"",       "NTLM",   "ANONYMOUS",     "DIGEST-MD5",  "OTP",
		"GSSAPI", "PLAINX", "SCRAM-SHA-512", "PLAIN LOGIN", "PLAI"};
	struct exchange *exchange = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(NEVER) / sizeof(NEVER[0]); i++)
		assert_int_equal(exchange_new(mechanisms, slice_str(NEVER[i]), &TERMS, &exchange),
				 ERR_NOT_FOUND);
	assert_null(exchange);
}

static void test_prepare(void **state)
{
	struct secret secret = {0};

	(void)state;
	/* a with diaeresis, composed or not, and a no-break space: one password. */
	assert_int_equal(password_prepare(SLICE_LIT("p\x61\xcc\x88ss\xc2\xa0wort"), &secret),
			 ERR_OK);
	assert_true(slice_is(secret_value(&secret), "p\xc3\xa4ss wort"));
	assert_int_equal(password_prepare(SLICE_LIT("plain ascii"), &secret), ERR_OK);
	assert_true(slice_is(secret_value(&secret), "plain ascii"));
	assert_int_equal(password_prepare(SLICE_LIT("x\xe2\x80\xaey"), &secret), ERR_SYNTAX);
	secret_clear(&secret);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cram_md5),      cmocka_unit_test(test_c1_cram_md5_refused),
		cmocka_unit_test(test_plain),         cmocka_unit_test(test_plain_refused),
		cmocka_unit_test(test_login),         cmocka_unit_test(test_login_inline_name),
		cmocka_unit_test(test_login_refused), cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_offered),       cmocka_unit_test(test_prepare),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
