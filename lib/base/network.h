/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks of clients, as text (CIDR, RFC 4632 3.1 and RFC 4291 2.3) and as bits: 192.0.2.0/24,
 * 2001:db8::/32; without /bits a single address. An IPv4 address and the same one mapped into
 * IPv6 (::ffff:192.0.2.7, RFC 4291 2.5.5.2) are one and the same.
 */
#ifndef POSTERN_BASE_NETWORK_H
#define POSTERN_BASE_NETWORK_H

#include "base/slice.h"

enum { NETWORK_TEXT_MAX = 64 };

struct network {
	uint8_t bytes[16]; /* IPv4 in its mapped form */
	uint8_t bits;      /* of the 128 that count */
};

/* ERR_SYNTAX no address, or bits out of range; ERR_RANGE bits behind the network's are set. */
enum err network_read(struct slice text, struct network *network_out);
/* The network that an address with /bits lies in, for who wrote 192.0.2.7/24. ERR_SYNTAX as above.
 */
enum err network_correct(struct slice text, char text_out[NETWORK_TEXT_MAX]);
/* Clears what is behind the network's bits; false: nothing was set there. */
bool network_cut(struct network *network);
/* As it is read: without /bits if it is a single address. */
void network_print(const struct network *network, char text_out[NETWORK_TEXT_MAX]);
/* address: numeric, without port; a zone behind it (fe80::1%eth0) is not looked at. */
bool network_has(const struct network *network, struct slice address);
/* Bits of the network in its own family: 24 of 192.0.2.0/24; *ipv4_out says which family. */
unsigned network_bits(const struct network *network, bool *ipv4_out);

#endif
