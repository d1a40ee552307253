/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/network.h"

static bool has(const char *network_text, const char *address)
{
	struct network network;

	assert_int_equal(network_read(slice_str(network_text), &network), ERR_OK);
	return network_has(&network, slice_str(address));
}

static void a_network_has_its_addresses(void **state)
{
	(void)state;
	assert_true(has("192.0.2.0/24", "192.0.2.0"));
	assert_true(has("192.0.2.0/24", "192.0.2.255"));
	assert_false(has("192.0.2.0/24", "192.0.3.0"));
	assert_false(has("192.0.2.0/24", "192.0.1.255"));
	assert_true(has("192.0.2.128/25", "192.0.2.128"));
	assert_false(has("192.0.2.128/25", "192.0.2.127"));
	assert_true(has("192.0.2.7", "192.0.2.7"));
	assert_false(has("192.0.2.7", "192.0.2.6"));
	assert_true(has("192.0.2.6/31", "192.0.2.7"));
	assert_true(has("0.0.0.0/0", "203.0.113.9"));
	assert_true(has("2001:db8::/32", "2001:db8:ffff::1"));
	assert_false(has("2001:db8::/32", "2001:db9::1"));
	assert_true(has("2001:db8:0:8000::/49", "2001:db8:0:ffff::"));
	assert_false(has("2001:db8:0:8000::/49", "2001:db8:0:7fff::"));
	assert_true(has("fe80::/10", "fe80::1%eth0"));
	assert_true(has("2001:DB8::1", "2001:db8:0:0::1"));
}

static void a_mapped_address_is_the_ipv4_one(void **state)
{
	bool ipv4;
	struct network network;

	(void)state;
	assert_true(has("192.0.2.0/24", "::ffff:192.0.2.9"));
	assert_true(has("::ffff:192.0.2.0/120", "192.0.2.9"));
	assert_false(has("::ffff:192.0.2.0/120", "192.0.3.9"));
	/* All of one family is nothing of the other. */
	assert_false(has("::/0", "192.0.2.9"));
	assert_false(has("::/0", "::ffff:192.0.2.9"));
	assert_false(has("0.0.0.0/0", "2001:db8::1"));
	assert_true(has("::/0", "2001:db8::1"));
	assert_int_equal(network_read(SLICE_LIT("::ffff:192.0.2.0/120"), &network), ERR_OK);
	assert_int_equal(network_bits(&network, &ipv4), 24);
	assert_true(ipv4);
	assert_int_equal(network_read(SLICE_LIT("2001:db8::/32"), &network), ERR_OK);
	assert_int_equal(network_bits(&network, &ipv4), 32);
	assert_false(ipv4);
}

static void what_is_no_address_is_in_no_network(void **state)
{
	(void)state;
	assert_false(has("0.0.0.0/0", "local"));
	assert_false(has("0.0.0.0/0", ""));
	assert_false(has("0.0.0.0/0", "192.0.2.1:25"));
	assert_false(has("::/0", "?"));
}

static void bad_networks_are_refused(void **state)
{
	static const char *const bad[] = {"",
					  "/",
					  "/24",
					  "192.0.2.0/",
					  "192.0.2/24",
					  "192.0.2.0/33",
					  "192.0.2.0/-1",
					  "192.0.2.0/+8",
					  "192.0.2.0/24/8",
					  "1.2.3.4.5",
					  "example.org",
					  "2001:db8::/129",
					  "fe80::%eth0/64",
					  "*",
					  "0x7f.1",
					  "192.0.2.0/24 ",
					  "010.0.0.1"};
	struct network network = {.bits = 77};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(network_read(slice_str(bad[i]), &network), ERR_SYNTAX);
	assert_int_equal(network_read(slice_of("192.0.2.0\0/24", 13), &network), ERR_SYNTAX);
	assert_int_equal(network.bits, 77); /* untouched by failures */
}

static void an_address_within_is_corrected(void **state)
{
	static const struct {
		const char *written, *meant;
	} cases[] = {
		{"192.0.2.7/24", "192.0.2.0/24"},    {"10.1.2.3/9", "10.0.0.0/9"},
		{"2001:db8::1/64", "2001:db8::/64"}, {"::ffff:192.0.2.7/120", "192.0.2.0/24"},
		{"1.2.3.4/0", "0.0.0.0/0"},
	};
	char text[NETWORK_TEXT_MAX];
	struct network network;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(network_read(slice_str(cases[i].written), &network), ERR_RANGE);
		assert_int_equal(network_correct(slice_str(cases[i].written), text), ERR_OK);
		assert_string_equal(text, cases[i].meant);
		assert_int_equal(network_read(slice_str(text), &network), ERR_OK);
	}
	assert_int_equal(network_correct(SLICE_LIT("nonsense"), text), ERR_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_network_has_its_addresses),
		cmocka_unit_test(a_mapped_address_is_the_ipv4_one),
		cmocka_unit_test(what_is_no_address_is_in_no_network),
		cmocka_unit_test(bad_networks_are_refused),
		cmocka_unit_test(an_address_within_is_corrected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
