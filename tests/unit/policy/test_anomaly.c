/* SPDX-License-Identifier: Apache-2.0 */
/* A stolen password is noticed by how it is used (C19). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/hash.h"
#include "policy/anomaly.h"

enum { NETWORKS = 4, RECIPIENTS = 100, MINUTE = 60000 };

static struct anomaly *anomaly;
static char why[ANOMALY_WHY];

static int set_up(void **state)
{
	(void)state;
	anomaly = anomaly_new();
	anomaly_set_rules(anomaly, &(struct anomaly_rules){NETWORKS, RECIPIENTS});
	why[0] = '\0';
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	anomaly_free(&anomaly);
	return 0;
}

static bool login(int64_t account, const char *client, int64_t now)
{
	unsigned char source[SOURCE_BYTES];

	assert_true(source_read(slice_str(client), source));
	return anomaly_login(anomaly, account, source, now, why);
}

static void c19_many_new_networks_within_an_hour(void **state)
{
	(void)state;
	/* The same ones again, and neighbours, are no more networks. */
	for (int i = 0; i < 50; i++) {
		char client[32];

		(void)snprintf(client, sizeof(client), "192.0.%d.%d", i % NETWORKS, i);
		assert_false(login(1, client, 1000 + i));
	}
	assert_false(login(2, "198.51.100.1", 2000)); /* somebody else's */
	assert_true(login(1, "2001:db8::1", 2000));
	assert_string_equal(why, "logins within an hour from 5 networks that it never used before: "
				 "192.0.0.0/24, 192.0.1.0/24, 192.0.2.0/24, 192.0.3.0/24, "
				 "2001:db8::/48");
	assert_false(login(1, "2001:db8::1", 3000)); /* thawed, it begins anew */
}

static void c19_a_journey_is_no_theft(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		char client[32];

		(void)snprintf(client, sizeof(client), "10.0.%d.1", i);
		assert_false(login(1, client, (int64_t)i * 16 * MINUTE));
	}
}

static void c19_much_mail_from_new_networks(void **state)
{
	(void)state;
	assert_false(login(1, "192.0.2.1", 0));
	for (int i = 0; i < RECIPIENTS; i++)
		assert_false(anomaly_sent(anomaly, 1, 1, 0, why));
	assert_false(anomaly_sent(anomaly, 2, RECIPIENTS, 0, why));
	assert_true(anomaly_sent(anomaly, 1, 1, 0, why));
	assert_string_equal(why, "mail to 101 recipients within an hour from networks that it "
				 "never used before: 192.0.2.0/24");
	assert_true(anomaly_sent(anomaly, 3, 5000, 0, why)); /* a single message */
	/* One a minute, all day, is below it. */
	for (int64_t i = 0; i < 24 * 60; i++)
		assert_false(anomaly_sent(anomaly, 4, 1, i * MINUTE, why));
}

static void rules_can_be_off_and_memory_is_bounded(void **state)
{
	(void)state;
	for (int64_t i = 1; i < 2 * ANOMALY_MAX; i++)
		assert_false(anomaly_sent(anomaly, i, RECIPIENTS, 0, why));
	assert_false(anomaly_sent(anomaly, 1, 1, 0, why)); /* forgotten */
	assert_true(anomaly_sent(anomaly, 2 * ANOMALY_MAX - 1, 1, 0, why));
	anomaly_set_rules(anomaly, &(struct anomaly_rules){0, 0});
	assert_false(anomaly_sent(anomaly, 7, 1000000, 0, why));
	for (int i = 0; i < 200; i++) {
		char client[32];

		(void)snprintf(client, sizeof(client), "10.0.%d.1", i);
		assert_false(login(7, client, 0));
	}
	anomaly_set_rules(anomaly, &(struct anomaly_rules){NETWORKS, 0});
	assert_true(login(7, "10.0.201.1", 0));
	assert_non_null(strstr(why, ", ..."));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(c19_many_new_networks_within_an_hour),
		TEST(c19_a_journey_is_no_theft),
		TEST(c19_much_mail_from_new_networks),
		TEST(rules_can_be_off_and_memory_is_bounded),
	};

	hash_set_key((const unsigned char *)"0123456789abcdef");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
