/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens that are good, and the forgeries that others fell for (C15). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include "base/mem.h"
#include "forge.h"
#include "token/token.h"

#define NOW INT64_C(1800000000000) /* ms */
#define CLAIMS                                                                                     \
	"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1800000300,"                 \
	"\"email\":\"alice@example.org\"}"

static EVP_PKEY *pkeys[3], *stranger;
static struct token_keys *keys;
static const char *const headers[] = {"{\"alg\":\"RS256\",\"kid\":\"k0\"}",
				      "{\"alg\":\"ES256\",\"kid\":\"k1\"}",
				      "{\"alg\":\"EdDSA\",\"kid\":\"k2\",\"typ\":\"at+jwt\"}"};
static char *audience[] = {(char[]){"other"}, (char[]){"postern"}};
static const struct token_rules rules = {
	.issuer = "https://idp.example",
	.audience = audience,
	.audience_count = 2,
	.user_claim = "email",
};

static int set_up(void **state)
{
	char why[TOKEN_WHY], *members[3], *text;

	(void)state;
	token_seed(7);
	for (int i = 0; i < 3; i++) {
		pkeys[i] = forge_key((enum forge_algorithm)i);
		members[i] = forge_members(pkeys[i]);
	}
	stranger = forge_key(FORGE_RS256);
	text = forge_printf(
		"{\"keys\":[{%s,\"kid\":\"k0\"},{%s,\"kid\":\"k1\"},{%s,\"kid\":\"k2\"}]}",
		members[0], members[1], members[2]);
	assert_int_equal(token_keys_read(slice_str(text), &keys, why), ERR_OK);
	assert_string_equal(why, "");
	for (int i = 0; i < 3; i++)
		mem_free(members[i]);
	mem_free(text);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		EVP_PKEY_free(pkeys[i]);
	EVP_PKEY_free(stranger);
	token_keys_free(&keys);
	return 0;
}

/* The reason, or "" for a good token; frees it. */
static const char *judge_by(const struct token_rules *by, char *token)
{
	struct token_who who = {.user = "untouched"};
	const char *why = "";
	enum token_verdict verdict = token_verify(by, keys, slice_str(token), NOW, &who, &why);

	mem_free(token);
	if (verdict == TOKEN_GOOD) {
		assert_string_equal(who.user, "alice@example.org");
		assert_string_equal(why, "");
	} else {
		assert_string_equal(who.user, "untouched");
		assert_true(why[0] != '\0');
		assert_int_equal(verdict == TOKEN_UNKNOWN_KEY,
				 strcmp(why, "token-unknown-key") == 0);
	}
	return why;
}

static const char *judge(char *token)
{
	return judge_by(&rules, token);
}

static void good_ones(void **state)
{
	struct token_who who;
	const char *why;

	(void)state;
	for (int i = 0; i < 3; i++) {
		char *token = forge_token(headers[i], CLAIMS, pkeys[i]);

		assert_int_equal(token_verify(&rules, keys, slice_str(token), NOW, &who, &why),
				 TOKEN_GOOD);
		assert_string_equal(who.user, "alice@example.org");
		assert_int_equal(who.expires, INT64_C(1800000300000));
		mem_free(token);
	}
	/* Without a name of the key, if there is but one of its kind. */
	assert_string_equal(judge(forge_token("{\"alg\":\"ES256\"}", CLAIMS, pkeys[1])), "");
	/* Among several audiences. */
	assert_string_equal(
		judge(forge_token(headers[1],
				  "{\"iss\":\"https://idp.example\",\"aud\":[\"x\",\"postern\"],"
				  "\"exp\":1800000300.5,\"nbf\":1800000050,\"iat\":1799999999,"
				  "\"email\":\"alice@example.org\",\"email_verified\":true}",
				  pkeys[1])),
		"");
}

/* CVE-2015-9235: no signature at all, in each spelling. */
static void c15_alg_none(void **state)
{
	static const char *const spellings[] = {"none", "None", "NONE", "nOnE", ""};

	(void)state;
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		char *header = forge_printf("{\"alg\":\"%s\",\"kid\":\"k0\"}", spellings[i]);

		assert_string_equal(judge(forge_signed(header, CLAIMS, "", 0)), "token-algorithm");
		assert_string_equal(judge(forge_token(header, CLAIMS, pkeys[0])),
				    "token-algorithm");
		mem_free(header);
	}
	assert_string_equal(judge(forge_signed("{\"kid\":\"k0\"}", CLAIMS, "", 0)),
			    "token-algorithm");
	assert_string_equal(judge(forge_signed("{\"alg\":null}", CLAIMS, "", 0)),
			    "token-algorithm");
	for (int i = 0; i < 3; i++)
		assert_string_equal(judge(forge_signed(headers[i], CLAIMS, "", 0)),
				    "token-signature");
}

/* CVE-2016-10555: the public key, which all know, as the secret of an HMAC. */
static void c15_hmac_with_public_key(void **state)
{
	static const char *const names[] = {"HS256", "HS384", "HS512"};
	unsigned char mac[64];
	unsigned len = sizeof(mac);
	BIO *pem = BIO_new(BIO_s_mem());
	char *secret, *text;
	long size;

	(void)state;
	assert_int_equal(PEM_write_bio_PUBKEY(pem, pkeys[0]), 1);
	size = BIO_get_mem_data(pem, &secret);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *header = forge_printf("{\"alg\":\"%s\",\"kid\":\"k0\"}", names[i]);

		text = forge_signed(header, CLAIMS, "", 0);
		assert_non_null(HMAC(EVP_sha256(), secret, (int)size, (unsigned char *)text,
				     strlen(text) - 1, mac, &len));
		assert_string_equal(judge(forge_signed(header, CLAIMS, mac, len)),
				    "token-algorithm");
		mem_free(text);
		mem_free(header);
	}
	/* And while the header names the right algorithm. */
	text = forge_signed(headers[0], CLAIMS, "", 0);
	assert_non_null(HMAC(EVP_sha256(), secret, (int)size, (unsigned char *)text,
			     strlen(text) - 1, mac, &len));
	assert_string_equal(judge(forge_signed(headers[0], CLAIMS, mac, len)), "token-signature");
	mem_free(text);
	BIO_free(pem);
}

/* The key decides the algorithm, whatever the token says. */
static void c15_algorithm_of_another_key(void **state)
{
	static const char *const others[] = {"RS384",  "RS512", "PS256", "ES384",   "ES512",
					     "ES256K", "rs256", "EDDSA", "Ed25519", "RSA1_5"};

	(void)state;
	for (int i = 0; i < 3; i++)
		for (int n = 0; n < 3; n++) {
			char *header =
				forge_printf("{\"alg\":\"%s\",\"kid\":\"k%d\"}",
					     (const char *[]){"RS256", "ES256", "EdDSA"}[n], i);

			/* Signed by the named key: only its own algorithm will do. */
			assert_string_equal(judge(forge_token(header, CLAIMS, pkeys[i])),
					    i == n ? "" : "token-unknown-key");
			mem_free(header);
		}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		char *header = forge_printf("{\"alg\":\"%s\",\"kid\":\"k0\"}", others[i]);

		assert_string_equal(judge(forge_token(header, CLAIMS, pkeys[0])),
				    "token-algorithm");
		mem_free(header);
	}
}

/* CVE-2018-0114: the forger's own key comes with the token, or an address where it lies. */
static void c15_key_in_the_token(void **state)
{
	char *members = forge_members(stranger), *header;

	(void)state;
	header = forge_printf("{\"alg\":\"RS256\",\"jwk\":{%s}}", members);
	assert_string_equal(judge(forge_token(header, CLAIMS, stranger)), "token-signature");
	mem_free(header);
	header = forge_printf("{\"alg\":\"RS256\",\"kid\":\"k0\",\"jwk\":{%s,\"kid\":\"k0\"}}",
			      members);
	assert_string_equal(judge(forge_token(header, CLAIMS, stranger)), "token-signature");
	/* With one in it that is signed by ours, it is ignored: the token is good. */
	assert_string_equal(judge(forge_token(header, CLAIMS, pkeys[0])), "");
	mem_free(header);
	mem_free(members);
	assert_string_equal(judge(forge_token("{\"alg\":\"RS256\",\"kid\":\"k0\",\"jku\":"
					      "\"https://evil.example/jwks\"}",
					      CLAIMS, stranger)),
			    "token-signature");
	assert_string_equal(judge(forge_token("{\"alg\":\"RS256\",\"kid\":\"k0\",\"x5u\":"
					      "\"https://evil.example/c\",\"x5c\":[\"MIIB\"]}",
					      CLAIMS, stranger)),
			    "token-signature");
}

/* CVE-2021-29157: the name of the key is a place in a table, never a path or a query. */
static void c15_kid_is_only_a_name(void **state)
{
	static const char *const kids[] = {"../../dev/null",
					   "/dev/null",
					   "file:///dev/null",
					   "k0' OR '1'='1",
					   "k0/",
					   "K0",
					   "k",
					   "k00",
					   "",
					   "%6b0"};

	(void)state;
	for (size_t i = 0; i < sizeof(kids) / sizeof(kids[0]); i++) {
		char *header = forge_printf("{\"alg\":\"RS256\",\"kid\":\"%s\"}", kids[i]);

		assert_string_equal(judge(forge_token(header, CLAIMS, pkeys[0])),
				    "token-unknown-key");
		mem_free(header);
	}
	assert_string_equal(judge(forge_token("{\"alg\":\"RS256\",\"kid\":0}", CLAIMS, pkeys[0])),
			    "token-malformed");
	assert_string_equal(
		judge(forge_token("{\"alg\":\"RS256\",\"kid\":[\"k0\"]}", CLAIMS, pkeys[0])),
		"token-malformed");
	assert_string_equal(
		judge(forge_token("{\"alg\":\"RS256\",\"kid\":\"k0\\u0000\"}", CLAIMS, pkeys[0])),
		"token-malformed");
}

/* CVE-2022-21449: r and s of nothing fit every text. */
static void c15_empty_ecdsa_numbers(void **state)
{
	static const unsigned char order[32] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00,
						0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
						0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
						0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
	unsigned char raw[65] = {0};
	char *good = forge_token(headers[1], CLAIMS, pkeys[1]);

	(void)state;
	assert_string_equal(judge(forge_signed(headers[1], CLAIMS, raw, 64)), "token-signature");
	memcpy(raw, order, 32);
	assert_string_equal(judge(forge_signed(headers[1], CLAIMS, raw, 64)), "token-signature");
	memcpy(raw + 32, order, 32);
	assert_string_equal(judge(forge_signed(headers[1], CLAIMS, raw, 64)), "token-signature");
	for (size_t len = 0; len <= sizeof(raw); len++)
		assert_string_equal(judge(forge_signed(headers[1], CLAIMS, raw, len)),
				    "token-signature");
	mem_free(good);
}

/* Encrypted tokens (CVE-2023-50967: p2c) are none. */
static void c15_no_encryption(void **state)
{
	(void)state;
	assert_string_equal(judge(forge_printf("eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1cifQ.a.b.c.d")),
			    "token-malformed");
	assert_string_equal(judge(forge_token("{\"alg\":\"PBES2-HS256+A128KW\",\"p2c\":2147483647,"
					      "\"p2s\":\"AAAA\",\"enc\":\"A128GCM\"}",
					      CLAIMS, pkeys[0])),
			    "token-encrypted");
	assert_string_equal(judge(forge_token("{\"alg\":\"RS256\",\"kid\":\"k0\",\"zip\":\"DEF\"}",
					      CLAIMS, pkeys[0])),
			    "token-encrypted");
}

static void c15_critical_extensions(void **state)
{
	static const char *const crits[] = {"[\"exp\"]", "[\"bork\"]", "[]",
					    "[\"b64\"]", "\"bork\"",   "null",
					    "{}",        "[\"alg\"]",  "[\"bork\",\"bork\"]"};

	(void)state;
	for (size_t i = 0; i < sizeof(crits) / sizeof(crits[0]); i++) {
		char *header = forge_printf("{\"alg\":\"RS256\",\"kid\":\"k0\",\"bork\":1,"
					    "\"crit\":%s}",
					    crits[i]);

		assert_string_equal(judge(forge_token(header, CLAIMS, pkeys[0])),
				    "token-critical-extension");
		mem_free(header);
	}
	assert_string_equal(judge(forge_token("{\"alg\":\"RS256\",\"kid\":\"k0\",\"b64\":false}",
					      CLAIMS, pkeys[0])),
			    "token-critical-extension");
}

/* What another service was meant to get, or another purpose. */
static void c8_c15_claims_of_others(void **state)
{
	static const struct {
		const char *claims, *why;
	} cases[] = {
		{"{\"aud\":\"postern\",\"exp\":1800000300,\"email\":\"alice@example.org\"}",
		 "token-issuer"},
		{"{\"iss\":\"https://idp.example/\",\"aud\":\"postern\",\"exp\":1800000300}",
		 "token-issuer"},
		{"{\"iss\":[\"https://idp.example\"],\"aud\":\"postern\",\"exp\":1800000300}",
		 "token-issuer"},
		{"{\"iss\":\"https://idp.example\",\"exp\":1800000300,\"email\":\"a\"}",
		 "token-audience"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"imap\",\"exp\":1800000300}",
		 "token-audience"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"poster\",\"exp\":1800000300}",
		 "token-audience"},
		{"{\"iss\":\"https://idp.example\",\"aud\":[],\"exp\":1800000300}",
		 "token-audience"},
		{"{\"iss\":\"https://idp.example\",\"aud\":[[\"postern\"]],\"exp\":1800000300}",
		 "token-audience"},
		{"{\"iss\":\"https://idp.example\",\"aud\":{\"postern\":1},\"exp\":1800000300}",
		 "token-audience"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"email\":\"a\"}",
		 "token-without-end"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":\"1800000300\"}",
		 "token-malformed"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1e300}",
		 "token-malformed"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":-1}",
		 "token-malformed"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":null}",
		 "token-malformed"},
		/* A minute of skew, and no more. */
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1799999940}",
		 "token-expired"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1799999941,"
		 "\"email\":\"alice@example.org\"}",
		 ""},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1800000300,"
		 "\"nbf\":1800000061}",
		 "token-not-yet-valid"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1800000300,"
		 "\"nbf\":1800000060,\"email\":\"alice@example.org\"}",
		 ""},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1800000300,"
		 "\"nbf\":\"0\"}",
		 "token-malformed"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1800000300,"
		 "\"iat\":1800000061}",
		 "token-not-yet-valid"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1800000300}",
		 "token-without-user"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1800000300,"
		 "\"email\":\"\"}",
		 "token-without-user"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1800000300,"
		 "\"email\":[\"alice@example.org\"]}",
		 "token-without-user"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1800000300,"
		 "\"email\":\"alice\\n@example.org\"}",
		 "token-without-user"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1800000300,"
		 "\"email\":\"alice@example.org\",\"email_verified\":false}",
		 "token-email-not-verified"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1800000300,"
		 "\"email\":\"alice@example.org\",\"email_verified\":\"true\"}",
		 "token-email-not-verified"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *why = judge(forge_token(headers[2], cases[i].claims, pkeys[2]));

		if (strcmp(why, cases[i].why) != 0)
			fail_msg("%s: %s instead of %s", cases[i].claims, why, cases[i].why);
	}
	assert_string_equal(judge(forge_token("{\"alg\":\"RS256\",\"kid\":\"k0\",\"typ\":"
					      "\"logout+jwt\"}",
					      CLAIMS, pkeys[0])),
			    "token-type");
}

static void scopes(void **state)
{
	static const struct {
		const char *member, *why;
	} cases[] = {
		{"\"scope\":\"mail.send\"", ""},
		{"\"scope\":\"openid mail.send x\"", ""},
		{"\"scp\":[\"a\",\"mail.send\"]", ""},
		{"\"scp\":\"mail.send\"", ""},
		{"\"scope\":\"mail.sender\"", "token-scope"},
		{"\"scope\":\"\"", "token-scope"},
		{"\"scope\":\"mail\"", "token-scope"},
		{"\"x\":1", "token-scope"},
		{"\"scope\":{\"mail.send\":1}", "token-scope"},
	};
	struct token_rules with_scope = rules;

	(void)state;
	with_scope.scope = "mail.send";
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *claims =
			forge_printf("{\"iss\":\"https://idp.example\",\"aud\":\"postern\","
				     "\"exp\":1800000300,\"email\":\"alice@example.org\",%s}",
				     cases[i].member);

		assert_string_equal(
			judge_by(&with_scope, forge_token(headers[1], claims, pkeys[1])),
			cases[i].why);
		mem_free(claims);
	}
}

static void c15_json_within_bounds(void **state)
{
	static const char *const bad[] = {
		/* A name twice: which one counts differs between readers. */
		"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1800000300,"
		"\"email\":\"bob@example.org\",\"email\":\"alice@example.org\"}",
		"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1800000300,"
		"\"email\":\"alice@example.org\",\"x\":{\"a\":1,\"a\":1}}",
		/* Nine levels. */
		"{\"iss\":\"https://idp.example\",\"aud\":\"postern\",\"exp\":1800000300,"
		"\"email\":\"alice@example.org\",\"x\":[[[[[[[[1]]]]]]]]}",
		"{\"iss\":\"https://idp.example\"",
		"{} {}",
		"[]",
		"\"alice\"",
		"null",
		"",
		"{\"iss\":\"\xff\"}",
	};
	char *token, *claims, *padding;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_string_equal(judge(forge_token(headers[0], bad[i], pkeys[0])),
				    "token-malformed");
	/* Eight are well, and brackets in texts are none. */
	assert_string_equal(
		judge(forge_token(headers[0],
				  "{\"iss\":\"https://idp.example\",\"aud\":\"postern\","
				  "\"exp\":1800000300,\"email\":\"alice@example.org\","
				  "\"x\":[[[[[[[\"[[[[{{{\\\"[[\"]]]]]]]}",
				  pkeys[0])),
		"");
	assert_string_equal(
		judge(forge_token("{\"alg\":\"RS256\",\"alg\":\"RS256\"}", CLAIMS, pkeys[0])),
		"token-malformed");
	padding = forge_printf("%0*d", TOKEN_MAX, 0);
	claims = forge_printf("{\"iss\":\"https://idp.example\",\"aud\":\"postern\","
			      "\"exp\":1800000300,\"email\":\"alice@example.org\",\"x\":\"%s\"}",
			      padding);
	token = forge_token(headers[0], claims, pkeys[0]);
	assert_true(strlen(token) > TOKEN_MAX);
	assert_string_equal(judge(token), "token-malformed");
	mem_free(claims);
	mem_free(padding);
}

/* One token has one form: what is changed in it, even where it says the same, does not fit. */
static void c15_each_byte_counts(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		char *good = forge_token(headers[i], CLAIMS, pkeys[i]);
		size_t len = strlen(good);

		for (size_t at = 0; at < len; at++) {
			char *forged = mem_strdup(good);

			forged[at] = forged[at] == 'A' ? 'B' : 'A';
			if (strcmp(forged, good) == 0)
				mem_free(forged);
			else
				assert_true(judge(forged)[0] != '\0');
		}
		assert_true(judge(forge_printf("%s=", good))[0] != '\0');
		assert_true(judge(forge_printf("%s.", good))[0] != '\0');
		assert_true(judge(forge_printf(" %s", good))[0] != '\0');
		assert_true(judge(forge_printf("%.*s", (int)len - 1, good))[0] != '\0');
		mem_free(good);
	}
	assert_string_equal(judge(forge_printf("%s", "")), "token-malformed");
	assert_string_equal(judge(forge_printf("..")), "token-malformed");
	assert_string_equal(judge(forge_printf("a.b")), "token-malformed");
}

static void no_keys_yet(void **state)
{
	struct token_who who;
	const char *why = "";
	char *token = forge_token(headers[0], CLAIMS, pkeys[0]);

	(void)state;
	assert_int_equal(token_verify(&rules, NULL, slice_str(token), NOW, &who, &why),
			 TOKEN_UNKNOWN_KEY);
	mem_free(token);
}

static void claimed_issuer(void **state)
{
	char issuer[TOKEN_ISSUER_MAX + 1];
	char *token = forge_signed("{}", CLAIMS, "x", 1);

	(void)state;
	assert_true(token_claimed_issuer(slice_str(token), issuer));
	assert_string_equal(issuer, "https://idp.example");
	mem_free(token);
	token = forge_signed("{}", "{\"iss\":7}", "x", 1);
	assert_false(token_claimed_issuer(slice_str(token), issuer));
	mem_free(token);
	assert_false(token_claimed_issuer(SLICE_LIT("ya29.opaque"), issuer));
	assert_true(token_is_jwt(SLICE_LIT("a.b.c")));
	assert_false(token_is_jwt(SLICE_LIT("ya29.opaque")));
}

static void c8_c15_answers(void **state)
{
	static const struct {
		const char *answer, *why;
	} cases[] = {
		{"{\"active\":true,\"aud\":\"postern\",\"email\":\"alice@example.org\"}", ""},
		{"{\"active\":true,\"aud\":[\"postern\"],\"email\":\"alice@example.org\","
		 "\"exp\":1800000300,\"iss\":\"https://idp.example\"}",
		 ""},
		{"{\"active\":false}", "token-not-active"},
		{"{\"active\":false,\"aud\":\"postern\",\"email\":\"alice@example.org\"}",
		 "token-not-active"},
		{"{\"active\":\"true\",\"aud\":\"postern\",\"email\":\"alice@example.org\"}",
		 "token-answer-malformed"},
		{"{\"active\":1,\"aud\":\"postern\",\"email\":\"alice@example.org\"}",
		 "token-answer-malformed"},
		{"{\"aud\":\"postern\",\"email\":\"alice@example.org\"}", "token-answer-malformed"},
		{"{\"active\":false,\"active\":true,\"aud\":\"postern\",\"email\":\"a@b\"}",
		 "token-answer-malformed"},
		{"<html>", "token-answer-malformed"},
		{"", "token-answer-malformed"},
		{"{\"active\":true,\"email\":\"alice@example.org\"}", "token-audience"},
		{"{\"active\":true,\"aud\":\"imap\",\"email\":\"alice@example.org\"}",
		 "token-audience"},
		{"{\"active\":true,\"aud\":\"postern\",\"iss\":\"https://evil.example\","
		 "\"email\":\"alice@example.org\"}",
		 "token-issuer"},
		{"{\"active\":true,\"aud\":\"postern\",\"exp\":1799999900,"
		 "\"email\":\"alice@example.org\"}",
		 "token-expired"},
		{"{\"active\":true,\"aud\":\"postern\",\"username\":\"alice\"}",
		 "token-without-user"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct token_who who = {.user = "untouched"};
		const char *why = "";
		enum token_verdict verdict =
			token_verify_answer(&rules, slice_str(cases[i].answer), NOW, &who, &why);

		assert_int_equal(verdict, cases[i].why[0] == '\0' ? TOKEN_GOOD : TOKEN_BAD);
		assert_string_equal(why, cases[i].why);
		assert_string_equal(who.user,
				    verdict == TOKEN_GOOD ? "alice@example.org" : "untouched");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),
		cmocka_unit_test(c15_alg_none),
		cmocka_unit_test(c15_hmac_with_public_key),
		cmocka_unit_test(c15_algorithm_of_another_key),
		cmocka_unit_test(c15_key_in_the_token),
		cmocka_unit_test(c15_kid_is_only_a_name),
		cmocka_unit_test(c15_empty_ecdsa_numbers),
		cmocka_unit_test(c15_no_encryption),
		cmocka_unit_test(c15_critical_extensions),
		cmocka_unit_test(c8_c15_claims_of_others),
		cmocka_unit_test(scopes),
		cmocka_unit_test(c15_json_within_bounds),
		cmocka_unit_test(c15_each_byte_counts),
		cmocka_unit_test(no_keys_yet),
		cmocka_unit_test(claimed_issuer),
		cmocka_unit_test(c8_c15_answers),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
