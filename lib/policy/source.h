/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a client comes from, as far as decisions go by it: not its address but what one subscriber
 * has at least, an IPv4 address or the /64 of an IPv6 address (RFC 6177 2); and, more weakly, the
 * network around it, the /24 or the /48 that one organisation has.
 */
#ifndef POSTERN_POLICY_SOURCE_H
#define POSTERN_POLICY_SOURCE_H

#include <stdbool.h>

#include "base/network.h"
#include "base/slice.h"

enum { SOURCE_BYTES = 16 }; /* of an address: IPv6, or IPv4 mapped into it */

enum source_width { SOURCE_NARROW, SOURCE_WIDE };

/* client: a numeric address, a zone behind it is left out. false: it is none ("local"). */
bool source_read(struct slice client, unsigned char address_out[SOURCE_BYTES]);
/* Of this machine itself: 127.0.0.0/8 or ::1. */
bool source_is_loopback(const unsigned char address[SOURCE_BYTES]);
/* The network of that width in which the address lies. */
void source_network(const unsigned char address[SOURCE_BYTES], enum source_width width,
		    struct network *network_out);

#endif
