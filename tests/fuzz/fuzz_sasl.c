/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exchange of one AUTH command, and the names and passwords that come out of it. Input: a byte
 * that chooses the mechanism, then records, each a token; a first record of "-" alone stands for
 * no initial response. What comes out is what a plain reading of the tokens gives (threats C1, C3).
 * Nobody proves anything against a verifier of zeros (threats C7, C8).
 */
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "store/accounts.h"
#include "store/password.h"

#include "mechanism.h"

#include "fuzz.h"

static const char *const names[] = {"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
				    "CRAM-MD5"};
static const struct exchange_terms terms = {
	.plus_offered = true,
	.exporter = {"0123456789abcdef0123456789abcdef", 32},
};
static const struct verifier verifier = {.iterations = VERIFIER_ITERATIONS_MIN, .salt_len = 16};

static bool is_clean(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
			return false;
	return utf8_valid(text);
}

/* ASCII stays as it is; all else has one form, which stays too. */
static void check_prepared(struct slice password, struct slice prepared)
{
	struct secret again = {.len = 0};

	HOLDS(password_well_formed(prepared));
	HOLDS(!utf8_is_ascii(password) || slice_equal(password, prepared));
	if (password_prepare(prepared, &again) == ERR_OK)
		HOLDS(slice_equal(secret_value(&again), prepared));
	secret_clear(&again);
}

/* A name that is taken has one form, which is taken as it is; so has its address. */
static void check_name(struct slice text)
{
	char name[ACCOUNT_NAME_MAX + 1], again[ACCOUNT_NAME_MAX + 1];
	char address[ACCOUNT_NAME_MAX + 1], why[ACCOUNT_WHY] = "";

	if (account_name_read(text, "example.org", name, why) != ERR_OK) {
		HOLDS(why[0] != '\0' && utf8_valid(slice_str(why)));
		return;
	}
	HOLDS(name[0] != '\0' && is_clean(slice_str(name)));
	HOLDS(account_name_read(slice_str(name), "example.org", again, why) == ERR_OK);
	HOLDS(strcmp(name, again) == 0);
	if (account_address(name, "example.org", address) != ERR_OK)
		return;
	HOLDS(strchr(address, '@') != NULL);
	HOLDS(account_name_read(slice_str(address), "example.org", again, why) == ERR_OK);
	HOLDS(strcmp(name, again) == 0);
}

/* [authzid] NUL authcid NUL passwd (RFC 4616 2), names as SASLprep has them. */
static void check_plain(const struct exchange *exchange, struct slice token)
{
	struct slice authzid, authcid, password;

	HOLDS(slice_split(&token, '\0', &authzid) && slice_split(&token, '\0', &authcid));
	password = token;
	if (utf8_is_ascii(authcid)) {
		HOLDS(slice_equal(exchange_name(exchange), authcid));
		HOLDS(authzid.len == 0 || !utf8_is_ascii(authzid) || slice_equal(authzid, authcid));
	}
	check_prepared(password, exchange_password(exchange));
}

static void check_end(const struct exchange *exchange, enum exchange_result result)
{
	struct slice name = exchange_name(exchange);

	HOLDS(name.len <= CREDENTIAL_NAME_MAX && is_clean(name));
	if (result == EXCHANGE_PASSWORD) {
		HOLDS(name.len != 0 && exchange_password(exchange).len != 0);
	} else {
		HOLDS(exchange_password(exchange).len == 0);
		HOLDS(result != EXCHANGE_REFUSED || exchange_why(exchange)[0] != '\0');
	}
}

static enum exchange_result step(struct exchange *exchange, bool has_token, struct slice token)
{
	struct slice challenge = SLICE_LIT("");
	char *copy = fuzz_copy(token);
	enum exchange_result result;

	result = exchange_step(exchange, has_token, slice_of(copy, token.len), &challenge);
	mem_free(copy);
	if (result == EXCHANGE_VERIFIER)
		result = exchange_give_verifier(exchange, &verifier, &challenge);
	HOLDS(result != EXCHANGE_VERIFIER && result != EXCHANGE_PROVEN);
	if (result == EXCHANGE_CHALLENGE)
		HOLDS(challenge.len == 0 || is_clean(challenge));
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mechanisms *mechanisms;
	struct slice rest = slice_of(data, size), token = SLICE_LIT(""), before = token;
	unsigned which = fuzz_byte(&rest) % (sizeof(names) / sizeof(names[0]));
	enum exchange_result result = EXCHANGE_CHALLENGE;
	struct exchange *exchange;
	bool first = true;

	if (mechanisms == NULL)
		HOLDS(mechanisms_new(&mechanisms) == ERR_OK);
	check_name(rest);
	HOLDS(exchange_new(mechanisms, slice_str(names[which]), &terms, &exchange) == ERR_OK);
	HOLDS(strcmp(exchange_mechanism(exchange), names[which]) == 0);
	while (result == EXCHANGE_CHALLENGE && slice_split(&rest, FUZZ_RECORD_END, &token)) {
		result = step(exchange, !first || !slice_is(token, "-"), token);
		if (result == EXCHANGE_PASSWORD && which == 0)
			check_plain(exchange, token);
		if (result == EXCHANGE_PASSWORD && which == 1) {
			HOLDS(slice_equal(exchange_name(exchange), before));
			check_prepared(token, exchange_password(exchange));
		}
		before = token;
		first = false;
	}
	check_end(exchange, result);
	exchange_free(&exchange);
	return 0;
}
