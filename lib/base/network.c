/* SPDX-License-Identifier: Apache-2.0 */
#include "base/network.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { ALL_BITS = 128, MAPPED_BITS = 96 };

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static enum err read_address(struct slice text, uint8_t bytes_out[16], bool *ipv4_out)
{
	char copy[NETWORK_TEXT_MAX];
	uint8_t bytes[16];

	if (slice_copy(text, copy, sizeof(copy)) != ERR_OK)
		return ERR_SYNTAX;
	*ipv4_out = inet_pton(AF_INET, copy, bytes + 12) == 1;
	if (*ipv4_out)
		memcpy(bytes, mapped, sizeof(mapped));
	else if (inet_pton(AF_INET6, copy, bytes) != 1)
		return ERR_SYNTAX;
	memcpy(bytes_out, bytes, sizeof(bytes));
	return ERR_OK;
}

bool network_cut(struct network *network)
{
	bool any = false;

	for (unsigned i = 0; i < sizeof(network->bytes); i++) {
		unsigned keep = network->bits > 8 * i ? network->bits - 8 * i : 0;
		uint8_t mask = keep >= 8 ? 0xff : (uint8_t)(0xff00u >> keep);

		any |= (network->bytes[i] & ~mask) != 0;
		network->bytes[i] &= mask;
	}
	return any;
}

static enum err read_uncut(struct slice text, struct network *network_out)
{
	size_t slash = slice_find(text, '/');
	struct network network;
	uint64_t bits;
	bool ipv4;

	if (read_address(slice_head(text, slash), network.bytes, &ipv4) != ERR_OK)
		return ERR_SYNTAX;
	bits = ipv4 ? ALL_BITS - MAPPED_BITS : ALL_BITS;
	if (slash < text.len && slice_number(slice_skip(text, slash + 1), bits, &bits) != ERR_OK)
		return ERR_SYNTAX;
	network.bits = (uint8_t)(bits + (ipv4 ? MAPPED_BITS : 0));
	*network_out = network;
	return ERR_OK;
}

enum err network_read(struct slice text, struct network *network_out)
{
	struct network network;
	enum err err = read_uncut(text, &network);

	if (err != ERR_OK)
		return err;
	if (network_cut(&network))
		return ERR_RANGE;
	*network_out = network;
	return ERR_OK;
}

unsigned network_bits(const struct network *network, bool *ipv4_out)
{
	*ipv4_out =
		network->bits >= MAPPED_BITS && memcmp(network->bytes, mapped, sizeof(mapped)) == 0;
	return *ipv4_out ? network->bits - (unsigned)MAPPED_BITS : network->bits;
}

void network_print(const struct network *network, char text_out[NETWORK_TEXT_MAX])
{
	char address[INET6_ADDRSTRLEN] = "";
	bool ipv4;
	unsigned bits = network_bits(network, &ipv4);

	/* Cannot fail: the family is known and there is room. */
	(void)inet_ntop(ipv4 ? AF_INET : AF_INET6, network->bytes + (ipv4 ? 12 : 0), address,
			sizeof(address));
	if (network->bits == ALL_BITS)
		snprintf(text_out, NETWORK_TEXT_MAX, "%s", address);
	else
		snprintf(text_out, NETWORK_TEXT_MAX, "%s/%u", address, bits);
}

enum err network_correct(struct slice text, char text_out[NETWORK_TEXT_MAX])
{
	struct network network;
	enum err err = read_uncut(text, &network);

	if (err != ERR_OK)
		return err;
	(void)network_cut(&network);
	network_print(&network, text_out);
	return ERR_OK;
}

bool network_has(const struct network *network, struct slice address)
{
	struct network other = {.bits = ALL_BITS};
	bool ipv4, other_ipv4;

	if (read_address(slice_head(address, slice_find(address, '%')), other.bytes, &other_ipv4) !=
	    ERR_OK)
		return false;
	/* ::/0 is all of IPv6, and nothing of IPv4. */
	(void)network_bits(network, &ipv4);
	(void)network_bits(&other, &other_ipv4);
	if (ipv4 != other_ipv4)
		return false;
	other.bits = network->bits;
	(void)network_cut(&other);
	return memcmp(other.bytes, network->bytes, sizeof(other.bytes)) == 0;
}
