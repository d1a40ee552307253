/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of keys: which are taken, and what is said of those that are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "forge.h"
#include "token/token.h"

static char *members[3];

static int set_up(void **state)
{
	(void)state;
	token_seed(7);
	for (int i = 0; i < 3; i++) {
		EVP_PKEY *key = forge_key((enum forge_algorithm)i);

		members[i] = forge_members(key);
		EVP_PKEY_free(key);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		mem_free(members[i]);
	return 0;
}

/* Reads a set of one key and frees the text. */
static size_t read_one(char *key, const char *expected)
{
	char why[TOKEN_WHY] = "", *text = forge_printf("{\"keys\":[{%s}]}", key);
	struct token_keys *keys = NULL;
	enum err err = token_keys_read(slice_str(text), &keys, why);
	size_t count = token_keys_count(keys);

	assert_int_equal(err, count > 0 ? ERR_OK : ERR_NOT_FOUND);
	if (strstr(why, expected) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why, expected);
	token_keys_free(&keys);
	mem_free(text);
	mem_free(key);
	return count;
}

static void good_ones(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(read_one(forge_printf("%s", members[i]), ""), 1);
		assert_int_equal(
			read_one(forge_printf("%s,\"alg\":\"%s\",\"use\":\"sig\","
					      "\"key_ops\":[\"verify\"],\"kid\":\"x\"",
					      members[i],
					      (const char *[]){"RS256", "ES256", "EdDSA"}[i]),
				 ""),
			1);
	}
}

static void c15_unfit_keys(void **state)
{
	char *key;

	(void)state;
	assert_int_equal(read_one(forge_printf("\"kty\":\"oct\",\"k\":\"c2VjcmV0\",\"kid\":\"x\""),
				  "private"),
			 0);
	assert_int_equal(read_one(forge_printf("%s,\"d\":\"AQ\"", members[0]), "private"), 0);
	assert_int_equal(read_one(forge_printf("%s,\"alg\":\"HS256\"", members[0]), "algorithm"),
			 0);
	assert_int_equal(read_one(forge_printf("%s,\"alg\":\"RS512\"", members[0]), "algorithm"),
			 0);
	assert_int_equal(read_one(forge_printf("%s,\"alg\":null", members[0]), "algorithm"), 0);
	assert_int_equal(read_one(forge_printf("%s,\"alg\":\"ES256\"", members[2]), "algorithm"),
			 0);
	assert_int_equal(read_one(forge_printf("%s,\"use\":\"enc\"", members[0]), "signatures"), 0);
	assert_int_equal(
		read_one(forge_printf("%s,\"key_ops\":[\"sign\"]", members[0]), "signatures"), 0);
	assert_int_equal(
		read_one(forge_printf("%s,\"key_ops\":\"verify\"", members[0]), "signatures"), 0);
	assert_int_equal(read_one(forge_printf("%s,\"kid\":5", members[0]), "kid"), 0);
	assert_int_equal(
		read_one(forge_printf("\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\""), "2048"), 0);
	assert_int_equal(read_one(forge_printf("\"kty\":\"RSA\""), "cannot be read"), 0);
	assert_int_equal(read_one(forge_printf("\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\","
					       "\"y\":\"AA\""),
				  "P-256"),
			 0);
	/* A point beside the curve. */
	key = mem_strdup(members[1]);
	strstr(key, "\"x\":\"")[7] ^= 1;
	assert_int_equal(read_one(key, "curve"), 0);
	assert_int_equal(read_one(forge_printf("\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\""),
				  "Ed25519"),
			 0);
	assert_int_equal(read_one(forge_printf("\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\""),
				  "cannot be read"),
			 0);
	assert_int_equal(read_one(forge_printf("\"kty\":\"PQC\""), "kind"), 0);
}

/* One that cannot be used does not take the others with it. */
static void the_others_stay(void **state)
{
	char why[TOKEN_WHY];
	struct token_keys *keys = NULL;
	char *text = forge_printf("{\"keys\":[{%s},{\"kty\":\"oct\",\"k\":\"AAAA\"},7,{%s}]}",
				  members[0], members[2]);

	(void)state;
	assert_int_equal(token_keys_read(slice_str(text), &keys, why), ERR_OK);
	assert_int_equal(token_keys_count(keys), 2);
	assert_non_null(strstr(why, "key 2 of 4 is left out"));
	token_keys_free(&keys);
	mem_free(text);
}

static void c15_no_sets(void **state)
{
	static const char *const bad[] = {"",
					  "[]",
					  "{}",
					  "{\"keys\":{}}",
					  "{\"keys\":[]} x",
					  "<html>",
					  "{\"keys\":[],\"keys\":[]}",
					  "\"keys\"",
					  "{\"keys\":[[[[[[[[[1]]]]]]]]]}"};
	char why[TOKEN_WHY], *big;
	struct token_keys *keys = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(token_keys_read(slice_str(bad[i]), &keys, why), ERR_SYNTAX);
		assert_non_null(strstr(why, "no set of keys"));
	}
	assert_int_equal(token_keys_read(SLICE_LIT("{\"keys\":[]}"), &keys, why), ERR_NOT_FOUND);
	assert_non_null(strstr(why, "no key in it"));
	big = forge_printf("{\"keys\":[]%*s}", TOKEN_KEYS_MAX, "");
	assert_int_equal(token_keys_read(slice_str(big), &keys, why), ERR_RANGE);
	mem_free(big);
	assert_null(keys);
}

static void c15_too_many(void **state)
{
	char why[TOKEN_WHY], *list = mem_strdup("{}"), *next;
	struct token_keys *keys = NULL;

	(void)state;
	for (int i = 0; i < TOKEN_KEY_COUNT; i++) {
		next = forge_printf("%s,{}", list);
		mem_free(list);
		list = next;
	}
	next = forge_printf("{\"keys\":[%s]}", list);
	assert_int_equal(token_keys_read(slice_str(next), &keys, why), ERR_RANGE);
	assert_non_null(strstr(why, "more than 100"));
	mem_free(next);
	mem_free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),       cmocka_unit_test(c15_unfit_keys),
		cmocka_unit_test(the_others_stay), cmocka_unit_test(c15_no_sets),
		cmocka_unit_test(c15_too_many),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
