/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/source.h"

#include <string.h>

enum { BITS = 128, V4_WIDE = 96 + 24, V6_NARROW = 64, V6_WIDE = 48 };

bool source_read(struct slice client, unsigned char address_out[SOURCE_BYTES])
{
	struct network network;

	if (network_read(slice_head(client, slice_find(client, '%')), &network) != ERR_OK)
		return false;
	memcpy(address_out, network.bytes, SOURCE_BYTES);
	return true;
}

bool source_is_loopback(const unsigned char address[SOURCE_BYTES])
{
	static const unsigned char V4[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
	static const unsigned char V6[SOURCE_BYTES] = {[15] = 1};

	return memcmp(address, V4, sizeof(V4)) == 0 || memcmp(address, V6, sizeof(V6)) == 0;
}

void source_network(const unsigned char address[SOURCE_BYTES], enum source_width width,
		    struct network *network_out)
{
	struct network network = {.bits = BITS};
	bool ipv4;

	memcpy(network.bytes, address, SOURCE_BYTES);
	(void)network_bits(&network, &ipv4);
	if (ipv4)
		network.bits = width == SOURCE_WIDE ? V4_WIDE : BITS;
	else
		network.bits = width == SOURCE_WIDE ? V6_WIDE : V6_NARROW;
	network_cut(&network);
	*network_out = network;
}
