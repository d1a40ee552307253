/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/route.h"

#include "config/config.h"
#include "policy/rights.h"

static bool route_matches(const struct config_route *route, struct slice recipient)
{
	if (route->to.count == 0)
		return true;
	for (size_t i = 0; i < route->to.count; i++)
		if (rights_match(slice_str(route->to.items[i]), recipient))
			return true;
	return false;
}

const struct config_route *route_find(const struct config *config, struct slice recipient)
{
	for (size_t i = 0; i < config->route_count; i++)
		if (route_matches(&config->routes[i], recipient))
			return &config->routes[i];
	return NULL;
}
