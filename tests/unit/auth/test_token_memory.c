/* SPDX-License-Identifier: Apache-2.0 */
/* What issuers answered: how long it is good for, and for which token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "token_memory.h"

enum { NOW = 1000000000 };

static struct token_who until(int64_t expires)
{
	return (struct token_who){.user = "alice", .expires = expires};
}

static bool knows(struct token_memory *memory, const char *token, int64_t now)
{
	struct token_who who = {.user = "nobody"};
	size_t section = 99;
	bool found = token_memory_get(memory, slice_str(token), now, &section, &who);

	assert_string_equal(who.user, found ? "alice" : "nobody");
	assert_int_equal(section, found ? 3 : 99);
	return found;
}

static void put(struct token_memory *memory, const char *token, int64_t expires)
{
	struct token_who who = until(expires);

	token_memory_put(memory, slice_str(token), 3, &who, NOW);
}

static void a_minute_at_most(void **state)
{
	struct token_memory *memory = token_memory_new();

	(void)state;
	put(memory, "long", NOW + 10 * TOKEN_MEMORY_MS);
	put(memory, "short", NOW + 1000);
	put(memory, "past", NOW);
	put(memory, "endless", 0);
	assert_true(knows(memory, "long", NOW + TOKEN_MEMORY_MS - 1));
	assert_false(knows(memory, "long", NOW + TOKEN_MEMORY_MS));
	assert_true(knows(memory, "short", NOW + 999));
	assert_false(knows(memory, "short", NOW + 1000));
	assert_false(knows(memory, "past", NOW - 1));
	assert_false(knows(memory, "endless", NOW));
	assert_false(knows(memory, "never seen", NOW));
	/* Forgotten when it was out of date, also if the clock goes back. */
	assert_false(knows(memory, "long", NOW));
	put(memory, "again", NOW + 10 * TOKEN_MEMORY_MS);
	assert_false(knows(memory, "again", NOW - 1));
	put(memory, "cleared", NOW + TOKEN_MEMORY_MS);
	token_memory_clear(memory);
	assert_false(knows(memory, "cleared", NOW));
	token_memory_free(&memory);
	assert_null(memory);
}

static void the_oldest_go_first(void **state)
{
	struct token_memory *memory = token_memory_new();
	char token[32];

	(void)state;
	for (int i = 0; i < 4097; i++) {
		(void)snprintf(token, sizeof(token), "token %d", i);
		put(memory, token, NOW + TOKEN_MEMORY_MS);
	}
	assert_false(knows(memory, "token 0", NOW));
	assert_true(knows(memory, "token 1", NOW));
	assert_true(knows(memory, "token 4096", NOW));
	token_memory_free(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_minute_at_most),
		cmocka_unit_test(the_oldest_go_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
