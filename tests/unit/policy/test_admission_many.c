/* SPDX-License-Identifier: Apache-2.0 */
/* Admission under ten million sources; built without sanitizers, which would take minutes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy/admission.h"

static struct admission *door;
static int64_t now = 1000000;

static void come_and_go(uint32_t number)
{
	unsigned char source[ADMISSION_SOURCE] = {[10] = 0xff, [11] = 0xff};
	struct admission_verdict verdict;
	struct visitor *visitor;

	for (int i = 0; i < 4; i++)
		source[12 + i] = (unsigned char)(number >> (24 - 8 * i));
	verdict = admission_knock(door, source, now, NULL, &visitor);
	assert_true(verdict.answer == ADMISSION_ENTER && verdict.out == NULL);
	visitor_free(&visitor);
}

static uint32_t sources(void)
{
	struct admission_use use;

	admission_use(door, &use);
	return use.sources;
}

/* Ten million sources, each of which is remembered for a while for its rate (M7). */
static void m7_ten_million_sources_in_bounded_memory(void **state)
{
	uint32_t most = 0;

	(void)state;
	door = admission_new();
	admission_set_limits(door,
			     &(struct admission_limits){.sessions = 10, .rate_per_source = 1});
	for (uint32_t i = 0; i < 10000000; i++) {
		come_and_go(i);
		now += i % 100 == 0;
		if (i % 500000 == 499999 && sources() > most)
			most = sources();
	}
	assert_in_range(most, 1000, ADMISSION_IDLE_MAX);
	/* At rest again, they are forgotten as others come. */
	now += 10000;
	for (uint32_t i = 0; i < ADMISSION_IDLE_MAX; i++) {
		come_and_go(i % 100);
		now += 10000;
	}
	assert_true(sources() < 200);
	admission_free(&door);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(m7_ten_million_sources_in_bounded_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
