/* SPDX-License-Identifier: Apache-2.0 */
/* A door with a clock of its own, for the tests of admission. */
#ifndef POSTERN_TESTS_UNIT_POLICY_ADMISSION_DOOR_H
#define POSTERN_TESTS_UNIT_POLICY_ADMISSION_DOOR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "policy/admission.h"

enum { MANY = 1000 };

static struct admission *door;
static int64_t now;

static inline int set_up(void **state)
{
	(void)state;
	door = admission_new();
	now = 1000000;
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	admission_free(&door);
	return 0;
}

static inline void limits(struct admission_limits limits)
{
	admission_set_limits(door, &limits);
}

static inline void ipv4(uint32_t number, unsigned char source_out[ADMISSION_SOURCE])
{
	memset(source_out, 0, ADMISSION_SOURCE);
	source_out[10] = source_out[11] = 0xff;
	for (int i = 0; i < 4; i++)
		source_out[12 + i] = (unsigned char)(number >> (24 - 8 * i));
}

static inline struct admission_verdict knock(uint32_t source, struct visitor **visitor_out)
{
	unsigned char address[ADMISSION_SOURCE];

	ipv4(source, address);
	return admission_knock(door, address, now, visitor_out, visitor_out);
}

static inline void enters(uint32_t source, struct visitor **visitor_out)
{
	struct admission_verdict verdict = knock(source, visitor_out);

	assert_int_equal(verdict.answer, ADMISSION_ENTER);
	assert_null(verdict.out);
}

static inline void goes_away(uint32_t source, enum admission_limit why)
{
	struct visitor *visitor;
	struct admission_verdict verdict = knock(source, &visitor);

	assert_int_equal(verdict.answer, ADMISSION_AWAY);
	assert_int_equal(verdict.why, why);
	assert_null(visitor);
}

static inline struct admission_use use(void)
{
	struct admission_use use;

	admission_use(door, &use);
	return use;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
