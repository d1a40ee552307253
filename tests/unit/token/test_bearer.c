/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "forge.h"
#include "token/bearer.h"

static enum err read_text(enum bearer_kind kind, const char *text, struct bearer *bearer)
{
	const char *why = "";
	enum err err = bearer_read(kind, slice_str(text), bearer, &why);

	assert_int_equal(err == ERR_OK, why[0] == '\0');
	return err;
}

static void good_ones(void **state)
{
	static const struct {
		enum bearer_kind kind;
		const char *text, *user, *token;
	} cases[] = {
		/* RFC 7628 section 4.1 */
		{BEARER_OAUTHBEARER,
		 "n,a=user@example.com,\1host=server.example.com\1port=143\1auth=Bearer "
		 "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1",
		 "user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="},
		{BEARER_OAUTHBEARER, "n,,\1auth=Bearer a.b-c_d~e+f/g\1\1", "", "a.b-c_d~e+f/g"},
		{BEARER_OAUTHBEARER, "y,a=x=2Cy=3Dz,\1AUTH=bearer t\1\1", "x,y=z", "t"},
		/* It asks what would be right. */
		{BEARER_OAUTHBEARER, "n,,\1auth=\1\1", "", ""},
		{BEARER_OAUTHBEARER, "n,,\1user=bob\1auth=Bearer t\1\1", "", "t"},
		{BEARER_XOAUTH2, "user=someuser@example.com\1auth=Bearer ya29.vF9dft4qmTc\1\1",
		 "someuser@example.com", "ya29.vF9dft4qmTc"},
		{BEARER_XOAUTH2, "auth=Bearer t\1user=a=2Cb\1\1", "a=2Cb", "t"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bearer bearer;

		assert_int_equal(read_text(cases[i].kind, cases[i].text, &bearer), ERR_OK);
		assert_string_equal(bearer.user, cases[i].user);
		assert_true(slice_is(bearer.token, cases[i].token));
	}
}

static void c3_c15_bad_ones(void **state)
{
	static const char *const bearers[] = {
		"",
		"\1",
		"n,,",
		"n,,\1",
		"n,,\1\1",
		"n,,\1auth=Bearer t",
		"n,,\1auth=Bearer t\1",
		"n,,auth=Bearer t\1\1",
		"n,\1auth=Bearer t\1\1",
		"p=tls-exporter,,\1auth=Bearer t\1\1",
		"F,n,,\1auth=Bearer t\1\1",
		"N,,\1auth=Bearer t\1\1",
		"n,b=x,\1auth=Bearer t\1\1",
		"n,a=,\1auth=Bearer t\1\1",
		"n,a=x=2c,\1auth=Bearer t\1\1",
		"n,a=x=,\1auth=Bearer t\1\1",
		"n,a=x=41,\1auth=Bearer t\1\1",
		"n,a=x\ny,\1auth=Bearer t\1\1",
		"n,a=\xff,\1auth=Bearer t\1\1",
		"n,,\1auth=Basic t\1\1",
		"n,,\1auth=Bearer\1\1",
		"n,,\1auth=Bearer \1\1",
		"n,,\1auth=Bearer  t\1\1",
		"n,,\1auth=Bearer t t\1\1",
		"n,,\1auth=Bearer t\n\1\1",
		"n,,\1auth=Bearer =\1\1",
		"n,,\1auth=Bearer =t\1\1",
		"n,,\1auth=Bearer t\1auth=Bearer u\1\1",
		"n,,\1auth=Bearer t\1\1\1",
		"n,,\1\1auth=Bearer t\1\1",
		"n,,\1host\1auth=Bearer t\1\1",
		"n,,\1=x\1auth=Bearer t\1\1",
		"n,,\1ho-st=x\1auth=Bearer t\1\1",
		"n,,\1host=\x02\1auth=Bearer t\1\1",
		"n,,\1host=server.example.com\1\1",
	};
	static const char *const xoauths[] = {
		"",
		"\1",
		"\1\1",
		"user=a\1\1",
		"auth=Bearer t\1\1",
		"user=a\1auth=Bearer t\1",
		"user=\1auth=Bearer t\1\1",
		"user=a\nb\1auth=Bearer t\1\1",
		"user=a\1user=b\1auth=Bearer t\1\1",
		"n,a=a,\1auth=Bearer t\1\1",
		"user=a auth=Bearer t\1\1",
	};
	struct bearer bearer;

	(void)state;
	for (size_t i = 0; i < sizeof(bearers) / sizeof(bearers[0]); i++)
		if (read_text(BEARER_OAUTHBEARER, bearers[i], &bearer) == ERR_OK)
			fail_msg("accepted: %s", bearers[i]);
	for (size_t i = 0; i < sizeof(xoauths) / sizeof(xoauths[0]); i++)
		if (read_text(BEARER_XOAUTH2, xoauths[i], &bearer) == ERR_OK)
			fail_msg("accepted: %s", xoauths[i]);
}

static void c15_length(void **state)
{
	const char *why = "";
	struct bearer bearer;
	char *name = forge_printf("%0*d", TOKEN_USER_MAX + 1, 0), *text;

	(void)state;
	text = forge_printf("n,,\1auth=Bearer %0*d\1\1", TOKEN_MAX, 0);
	assert_int_equal(bearer_read(BEARER_OAUTHBEARER, slice_str(text), &bearer, &why), ERR_OK);
	assert_int_equal(bearer.token.len, TOKEN_MAX);
	mem_free(text);
	text = forge_printf("n,,\1auth=Bearer %0*d\1\1", TOKEN_MAX + 1, 0);
	assert_int_equal(bearer_read(BEARER_OAUTHBEARER, slice_str(text), &bearer, &why),
			 ERR_RANGE);
	mem_free(text);
	text = forge_printf("user=%s\1auth=Bearer t\1\1", name);
	assert_int_equal(bearer_read(BEARER_XOAUTH2, slice_str(text), &bearer, &why), ERR_SYNTAX);
	mem_free(text);
	mem_free(name);
}

static void refused(enum bearer_kind kind, bool scope_missing, const char *scope,
		    const char *issuer, const char *expected)
{
	struct buf out;

	buf_init(&out, BEARER_REFUSAL_MAX);
	assert_int_equal(bearer_refusal(kind, scope_missing, scope, issuer, &out), ERR_OK);
	if (!slice_is(buf_data(&out), expected))
		fail_msg("%.*s instead of %s", SLICE_ARG(buf_data(&out)), expected);
	buf_release(&out);
}

static void refusals(void **state)
{
	struct buf small;

	(void)state;
	refused(BEARER_OAUTHBEARER, false, NULL, NULL, "{\"status\":\"invalid_token\"}");
	refused(BEARER_OAUTHBEARER, true, "mail.send", "https://idp.example/r",
		"{\"status\":\"insufficient_scope\",\"scope\":\"mail.send\","
		"\"openid-configuration\":"
		"\"https://idp.example/r/.well-known/openid-configuration\"}");
	refused(BEARER_OAUTHBEARER, false, "a\"b", "https://idp.example/",
		"{\"status\":\"invalid_token\",\"scope\":\"a\\\"b\",\"openid-configuration\":"
		"\"https://idp.example/.well-known/openid-configuration\"}");
	refused(BEARER_XOAUTH2, false, NULL, "https://idp.example",
		"{\"status\":\"401\",\"schemes\":\"Bearer\",\"scope\":\"\"}");
	buf_init(&small, 10);
	assert_int_equal(bearer_refusal(BEARER_XOAUTH2, false, NULL, NULL, &small), ERR_FULL);
	assert_int_equal(buf_len(&small), 0);
	buf_release(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),
		cmocka_unit_test(c3_c15_bad_ones),
		cmocka_unit_test(c15_length),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
