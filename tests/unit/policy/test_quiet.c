/* SPDX-License-Identifier: Apache-2.0 */
/* The log of refusals stays small (M8), and says what it left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "policy/crowd.h"
#include "policy/quiet.h"

static unsigned lines_of(struct quiet *quiet, const char *client, unsigned tries, int64_t now)
{
	unsigned lines = 0;

	for (unsigned i = 0; i < tries; i++)
		lines += quiet_allows(quiet, slice_str(client), now);
	return lines;
}

static void m8_one_source_has_so_many_lines(void **state)
{
	struct quiet *quiet = quiet_new();
	char client[QUIET_CLIENT_MAX];
	uint64_t lines = 0;

	(void)state;
	assert_int_equal(lines_of(quiet, "192.0.2.1", 5000, 1000), QUIET_BURST);
	assert_int_equal(lines_of(quiet, "192.0.2.1", 5000, 3000), 2 * QUIET_RATE);
	/* Its neighbour has its own; so has one whose name it could be in IPv6. */
	assert_int_equal(lines_of(quiet, "192.0.2.2", 10, 3000), 10);
	assert_int_equal(lines_of(quiet, "2001:db8::192.0.2.1", 10, 3000), 10);
	/* It is told when it is still. */
	assert_true(quiet_pending(quiet));
	assert_false(quiet_take(quiet, 3000, false, client, &lines));
	assert_true(quiet_take(quiet, 3000 + 60000, false, client, &lines));
	assert_string_equal(client, "192.0.2.1");
	assert_int_equal(lines, 10000 - QUIET_BURST - 2 * QUIET_RATE);
	assert_false(quiet_take(quiet, 3000 + 60000, false, client, &lines));
	assert_false(quiet_pending(quiet));
	/* A day later it is as if nothing had been. */
	assert_int_equal(lines_of(quiet, "192.0.2.1", 5000, 86400000), QUIET_BURST);
	assert_true(quiet_take(quiet, 86400000, true, client, &lines));
	assert_int_equal(lines, 5000 - QUIET_BURST);
	quiet_free(&quiet);
}

static void m8_a_subscriber_of_ipv6_is_one_source(void **state)
{
	struct quiet *quiet = quiet_new();
	unsigned lines = 0;
	char client[64];

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(client, sizeof(client), "2001:db8:1:2::%x", i);
		lines += quiet_allows(quiet, slice_str(client), 1000);
	}
	assert_int_equal(lines, QUIET_BURST);
	assert_true(quiet_allows(quiet, SLICE_LIT("2001:db8:1:3::1"), 1000));
	/* The same IPv4 address, mapped. */
	assert_int_equal(lines_of(quiet, "192.0.2.1", QUIET_BURST, 1000), QUIET_BURST);
	assert_false(quiet_allows(quiet, SLICE_LIT("::ffff:192.0.2.1"), 1000));
	quiet_free(&quiet);
}

static void m8_many_sources_have_so_many_together(void **state)
{
	struct quiet *quiet = quiet_new();
	uint64_t lines = 0, told = 0, part;
	char client[64];

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		snprintf(client, sizeof(client), "198.%u.%u.%u", 18 + (i >> 16), i >> 8 & 255,
			 i & 255);
		lines += quiet_allows(quiet, slice_str(client), 1000 + i / 100);
	}
	/* In two seconds. */
	assert_in_range(lines, QUIET_ALL_BURST, QUIET_ALL_BURST + 3 * QUIET_ALL_RATE);
	/* Each line that was left out is told of, once. */
	while (quiet_take(quiet, 4000, true, client, &part))
		told += part;
	assert_int_equal(lines + told, 200000);
	assert_false(quiet_pending(quiet));
	quiet_free(&quiet);
}

static void m8_time_that_jumps_does_no_harm(void **state)
{
	struct quiet *quiet = quiet_new();

	(void)state;
	assert_true(quiet_allows(quiet, SLICE_LIT("192.0.2.1"), INT64_MAX / 2));
	assert_true(quiet_allows(quiet, SLICE_LIT("192.0.2.1"), 0));
	assert_int_equal(lines_of(quiet, "192.0.2.1", 5000, INT64_MAX / 2), QUIET_BURST);
	assert_true(quiet_allows(quiet, SLICE_LIT("no address"), 1));
	quiet_free(&quiet);
}

/* So many connections, every nth of them from elsewhere; how often that was worth saying. */
static unsigned found(struct crowd *crowd, unsigned count, unsigned nth, int64_t now)
{
	unsigned times = 0;

	for (unsigned i = 1; i <= count; i++) {
		char client[32];

		snprintf(client, sizeof(client), "203.0.113.%u", i % 200);
		if (crowd_count(crowd,
				nth != 0 && i % nth == 0 ? slice_str(client)
							 : SLICE_LIT("172.17.0.1"),
				now)) {
			times++;
			crowd_told(crowd, now);
		}
	}
	return times;
}

static void nearly_all_from_one_address(void **state)
{
	struct crowd crowd;

	(void)state;
	crowd_init(&crowd);
	assert_int_equal(found(&crowd, CROWD_ROUND - 1, 0, 0), 0);
	assert_int_equal(found(&crowd, 10 * CROWD_ROUND, 0, 0), 1); /* once a day */
	assert_string_equal(crowd.client, "172.17.0.1");
	assert_int_equal(found(&crowd, 10 * CROWD_ROUND, 0, CROWD_PAUSE - 1), 0);
	assert_int_equal(found(&crowd, 10 * CROWD_ROUND, 0, CROWD_PAUSE), 1);
	/* One in twelve from elsewhere is few, one in eight is not. */
	crowd_init(&crowd);
	assert_int_equal(found(&crowd, 20 * CROWD_ROUND, 8, 0), 0);
	assert_int_equal(found(&crowd, 20 * CROWD_ROUND, 12, 0), 1);
	assert_string_equal(crowd.client, "172.17.0.1");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(m8_one_source_has_so_many_lines),
		cmocka_unit_test(m8_a_subscriber_of_ipv6_is_one_source),
		cmocka_unit_test(m8_many_sources_have_so_many_together),
		cmocka_unit_test(m8_time_that_jumps_does_no_harm),
		cmocka_unit_test(nearly_all_from_one_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
