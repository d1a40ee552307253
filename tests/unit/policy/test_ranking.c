/* SPDX-License-Identifier: Apache-2.0 */
/* The ranking against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "policy/ranking.h"

enum { ITEMS = 12, STEPS = 20000 };

struct item {
	struct ranked ranked;
	uint32_t count;
	uint64_t came; /* to this number: the step */
};

static struct item items[ITEMS];

static struct item *expected_top(void)
{
	struct item *top = NULL;

	for (int i = 0; i < ITEMS; i++) {
		struct item *item = &items[i];

		if (item->count > 0 && (top == NULL || item->count > top->count ||
					(item->count == top->count && item->came < top->came)))
			top = item;
	}
	return top;
}

static void the_top_is_who_came_first_to_most(void **state)
{
	struct ranking ranking = {0};
	unsigned seed = 3;

	(void)state;
	for (int i = 0; i < ITEMS; i++)
		items[i].ranked.who = &items[i];
	for (uint64_t step = 1; step <= STEPS; step++) {
		struct item *item = &items[(unsigned)rand_r(&seed) % ITEMS];

		if (rand_r(&seed) % 2 == 0) {
			ranking_up(&ranking, &item->ranked);
			item->count++;
			item->came = step;
		} else if (item->count > 0) {
			ranking_down(&ranking, &item->ranked);
			item->count--;
			item->came = step;
		}
		assert_int_equal(ranked_count(&item->ranked), item->count);
		assert_ptr_equal(ranking_top(&ranking), expected_top());
	}
	for (int i = 0; i < ITEMS; i++) {
		while (items[i].count-- > 0)
			ranking_down(&ranking, &items[i].ranked);
		ranking_down(&ranking, &items[i].ranked); /* has none: stays so */
		assert_int_equal(ranked_count(&items[i].ranked), 0);
	}
	assert_null(ranking.ranks);
	assert_null(ranking_top(&ranking));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_top_is_who_came_first_to_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
