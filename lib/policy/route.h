/* SPDX-License-Identifier: Apache-2.0 */
/* Which way a recipient goes: routes in order, the first match wins; none: by MX. */
#ifndef POSTERN_POLICY_ROUTE_H
#define POSTERN_POLICY_ROUTE_H

#include "base/slice.h"

struct config;
struct config_route;

/* The route for a recipient; NULL: no route matches, mail goes by MX. Lives as long as config. */
const struct config_route *route_find(const struct config *config, struct slice recipient);

#endif
