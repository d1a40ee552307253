/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "config/config.h"
#include "policy/route.h"

static char name_ours[] = "ours", name_boss[] = "boss", name_rest[] = "rest";
static char to_ours[] = "*@example.org", to_below[] = "*@*.example.org";
static char to_boss[] = "boss@example.com";
static char *ours_items[] = {to_ours, to_below};
static char *boss_items[] = {to_boss};

static const char *found(const struct config *config, const char *recipient)
{
	const struct config_route *route = route_find(config, slice_str(recipient));

	return route ? route->name : "mx";
}

static void first_match_wins(void **state)
{
	struct config_route routes[] = {
		{.name = name_ours, .to = {ours_items, 2}, .kind = ROUTE_LMTP},
		{.name = name_boss, .to = {boss_items, 1}, .kind = ROUTE_RELAY},
		{.name = name_rest, .kind = ROUTE_MX},
	};
	struct config config = {.routes = routes, .route_count = 2};

	(void)state;
	assert_string_equal(found(&config, "a@example.org"), "ours");
	assert_string_equal(found(&config, "a@EXAMPLE.org"), "ours");
	assert_string_equal(found(&config, "a@lists.example.org"), "ours");
	assert_string_equal(found(&config, "boss@example.com"), "boss");
	assert_string_equal(found(&config, "a@example.com"), "mx");
	assert_string_equal(found(&config, "a@notexample.org"), "mx");
	assert_string_equal(found(&config, "example.org@example.net"), "mx");
	config.route_count = 3;
	assert_string_equal(found(&config, "a@example.com"), "rest");
	assert_string_equal(found(&config, "a@example.org"), "ours");
	routes[0].to.count = 0; /* all: shadows what follows */
	assert_string_equal(found(&config, "boss@example.com"), "ours");
}

static void without_routes_by_mx(void **state)
{
	const struct config config = {.route_count = 0};

	(void)state;
	assert_null(route_find(&config, SLICE_LIT("a@example.org")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_match_wins),
		cmocka_unit_test(without_routes_by_mx),
	};

	return cmocka_run_group_tests_name("policy-route", tests, NULL, NULL);
}
