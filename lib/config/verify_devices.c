/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices: who is one by nothing but an address must be the only one who can have it. A gateway's
 * address is that of everybody behind it, where it translates addresses; this machine's own are
 * those of all its users, and within a container of whatever comes through the container's bridge.
 */
#include "config/verifier.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/network.h"
#include "config/config.h"

enum {
	NAME_MAX_LEN = 32,
	IPV4_NARROW = 24, /* bits */
	IPV6_NARROW = 64,
	ADDRESSES_MAX = 1024, /* of this machine, and gateways */
	LINE_LEN = 512,
	MAPPED = 12, /* bytes before an IPv4 address in its mapped form */
};

struct address {
	uint8_t bytes[16];
	bool gateway;
};

struct machine {
	struct address *addresses;
	size_t count;
};

/* ---- this machine ------------------------------------------------------------------------- */

static void add(struct machine *machine, const void *bytes, size_t len, bool gateway)
{
	struct address *address = &machine->addresses[machine->count];

	if (machine->count == ADDRESSES_MAX)
		return;
	*address = (struct address){.gateway = gateway};
	if (len == 4)
		address->bytes[MAPPED - 1] = address->bytes[MAPPED - 2] = 0xff;
	memcpy(address->bytes + sizeof(address->bytes) - len, bytes, len);
	machine->count++;
}

static void add_own(struct machine *machine)
{
	struct ifaddrs *all = NULL;

	if (getifaddrs(&all) != 0)
		return;
	for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
		const void *address = i->ifa_addr;

		if (address == NULL)
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			add(machine, &((const struct sockaddr_in *)address)->sin_addr, 4, false);
		else if (i->ifa_addr->sa_family == AF_INET6)
			add(machine, &((const struct sockaddr_in6 *)address)->sin6_addr, 16, false);
	}
	freeifaddrs(all);
}

/* Field number n of a line, counted from 0, with its blanks gone. */
static struct slice field(const char *line, unsigned n)
{
	struct slice rest = slice_str(line), word = SLICE_LIT("");

	for (unsigned i = 0; i <= n; i++) {
		while (rest.len > 0 && strchr(" \t\n", rest.ptr[0]) != NULL)
			rest = slice_skip(rest, 1);
		word = slice_head(rest, strcspn(rest.ptr, " \t\n"));
		rest = slice_skip(rest, word.len);
	}
	return word;
}

static bool read_hex(struct slice text, uint8_t *bytes_out, size_t len)
{
	if (text.len != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		const char digits[3] = {text.ptr[2 * i], text.ptr[2 * i + 1], '\0'};
		char *end;

		bytes_out[i] = (uint8_t)strtoul(digits, &end, 16);
		if (end != digits + 2)
			return false;
	}
	return true;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
	while (len > 0 && bytes[len - 1] == 0)
		len--;
	return len == 0;
}

/* Iface Destination Gateway Flags RefCnt Use Metric Mask ...: numbers in the machine's order. */
static void take_route4(struct machine *machine, const char *line)
{
	uint8_t to[4], via[4], mask[4];
	uint32_t number;

	if (!read_hex(field(line, 1), to, 4) || !read_hex(field(line, 2), via, 4) ||
	    !read_hex(field(line, 7), mask, 4) || !is_zero(to, 4) || !is_zero(mask, 4) ||
	    is_zero(via, 4))
		return;
	number = (uint32_t)via[0] << 24 | (uint32_t)via[1] << 16 | (uint32_t)via[2] << 8 | via[3];
	add(machine, &number, 4, true);
}

/* destination length source length next-hop ...: bytes in the net's order. */
static void take_route6(struct machine *machine, const char *line)
{
	uint8_t to[16], via[16], bits;

	if (read_hex(field(line, 0), to, 16) && read_hex(field(line, 1), &bits, 1) &&
	    read_hex(field(line, 4), via, 16) && is_zero(to, 16) && bits == 0 && !is_zero(via, 16))
		add(machine, via, 16, true);
}

static void add_gateways(struct machine *machine, const char *path,
			 void take(struct machine *machine, const char *line))
{
	FILE *file = fopen(path, "re");
	char line[LINE_LEN];

	if (file == NULL) /* a system without that protocol */
		return;
	while (fgets(line, sizeof(line), file) != NULL)
		take(machine, line);
	fclose(file);
}

/* ---- networks ------------------------------------------------------------------------------- */

/* Is there an address that is in both? */
static bool overlap(struct network a, struct network b)
{
	a.bits = b.bits = a.bits < b.bits ? a.bits : b.bits;
	network_cut(&a);
	network_cut(&b);
	return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

/* The first network of the list that overlaps; NULL: none. */
static const char *overlaps(const struct strings *networks, const struct network *network)
{
	struct network other;

	for (size_t i = 0; i < networks->count; i++)
		if (network_read(slice_str(networks->items[i]), &other) == ERR_OK &&
		    overlap(other, *network))
			return networks->items[i];
	return NULL;
}

static struct network loopback(void)
{
	struct network network = {.bytes = {[10] = 0xff, [11] = 0xff, [12] = 127}, .bits = 104};

	return network;
}

#define ADVICE                                                                                     \
	"; name the device's own address, or set i_know_this_is_open = yes if all of these may "   \
	"send mail through this server"

/* Why others than the device have an address of the network, in words; false: nothing is known. */
static bool is_open(struct verifier *verifier, const struct machine *machine,
		    const struct network *network, char why[LINE_LEN])
{
	struct network single = {.bits = 128};
	char text[NETWORK_TEXT_MAX];
	bool ipv4;
	unsigned bits = network_bits(network, &ipv4);

	if (bits < (ipv4 ? IPV4_NARROW : IPV6_NARROW)) {
		snprintf(why, LINE_LEN, "is wider than a /%d", ipv4 ? IPV4_NARROW : IPV6_NARROW);
		return true;
	}
	if (overlap(loopback(), *network)) {
		snprintf(why, LINE_LEN, "is this machine itself: every user and program of it");
		return true;
	}
	for (size_t i = 0; i < machine->count; i++) {
		memcpy(single.bytes, machine->addresses[i].bytes, sizeof(single.bytes));
		if (!overlap(single, *network))
			continue;
		network_print(&single, text);
		snprintf(why, LINE_LEN,
			 machine->addresses[i].gateway
				 ? "has the default gateway %s in it: whoever comes through it may "
				   "bear its address"
				 : "has an address of this machine in it, %s: its users, and "
				   "containers behind it",
			 text);
		return true;
	}
	for (size_t i = 0; i < verifier->config->listen_count; i++) {
		const struct config_listen *listen = &verifier->config->listens[i];
		const char *balancer = overlaps(&listen->proxy_from, network);

		if (balancer == NULL)
			continue;
		snprintf(
			why, LINE_LEN,
			"has balancers of listen \"%.64s\" in it (proxy_from %.64s): clients whose "
			"address they do not tell",
			listen->name, balancer);
		return true;
	}
	return false;
}

/* ---- a section ------------------------------------------------------------------------------ */

static void verify_from(struct verifier *verifier, const struct machine *machine, size_t index)
{
	const struct config_device *device = &verifier->config->devices[index];
	struct network network;
	char why[LINE_LEN];

	for (size_t i = 0; i < device->from.count && !device->i_know_this_is_open; i++)
		if (network_read(slice_str(device->from.items[i]), &network) == ERR_OK &&
		    is_open(verifier, machine, &network, why))
			disagree(verifier, (struct spot){"device", index, "from"},
				 "device \"%s\": from = %s %s" ADVICE, device->name,
				 device->from.items[i], why);
}

/* One that both name; "": all listeners are of one of them; NULL: none is. */
static const char *common_listener(const struct config_device *a, const struct config_device *b)
{
	if (a->listeners.count == 0 || b->listeners.count == 0)
		return "";
	for (size_t i = 0; i < a->listeners.count; i++)
		for (size_t n = 0; n < b->listeners.count; n++)
			if (strcmp(a->listeners.items[i], b->listeners.items[n]) == 0)
				return a->listeners.items[i];
	return NULL;
}

/* Which of two devices it is must not hang on their order. */
static void verify_unique(struct verifier *verifier, size_t index)
{
	const struct config *config = verifier->config;
	const struct config_device *device = &config->devices[index];
	struct network network;

	for (size_t i = 0; i < index; i++) {
		const struct config_device *other = &config->devices[i];

		if (common_listener(device, other) == NULL)
			continue;
		for (size_t n = 0; n < device->from.count; n++)
			if (network_read(slice_str(device->from.items[n]), &network) == ERR_OK &&
			    overlaps(&other->from, &network) != NULL)
				disagree(verifier, (struct spot){"device", index, "from"},
					 "device \"%s\": from = %s is device \"%s\", too (%s); an "
					 "address can be one device only",
					 device->name, device->from.items[n], other->name,
					 overlaps(&other->from, &network));
	}
}

static bool listens(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->listen_count; i++)
		if (strcmp(config->listens[i].name, name) == 0)
			return true;
	return false;
}

static void verify_words(struct verifier *verifier, size_t index)
{
	const struct config_device *device = &verifier->config->devices[index];
	size_t len = strspn(device->name, "abcdefghijklmnopqrstuvwxyz0123456789._-");

	if (len == 0 || len > NAME_MAX_LEN || device->name[len] != '\0')
		disagree(verifier, (struct spot){"device", index, "from"},
			 "device \"%s\": its name is to be of a-z, 0-9 and . _ -, at most %d of "
			 "them: it is part of an account's",
			 device->name, NAME_MAX_LEN);
	if (strchr(device->send_as.items[0], '*') != NULL || device->send_as.items[0][0] == '@')
		disagree(verifier, (struct spot){"device", index, "send_as"},
			 "device \"%s\": send_as begins with %s; the first is to be a whole "
			 "address, such as scan@example.org: it gets what comes back, and is put "
			 "where From is missing",
			 device->name, device->send_as.items[0]);
	for (size_t i = 0; i < device->listeners.count; i++)
		if (!listens(verifier->config, device->listeners.items[i]))
			disagree(verifier, (struct spot){"device", index, "listeners"},
				 "device \"%s\": there is no listen \"%s\"", device->name,
				 device->listeners.items[i]);
}

void verify_devices(struct verifier *verifier)
{
	struct address addresses[ADDRESSES_MAX];
	struct machine machine = {.addresses = addresses};

	if (verifier->config->device_count == 0)
		return;
	add_own(&machine);
	add_gateways(&machine, "/proc/net/route", take_route4);
	add_gateways(&machine, "/proc/net/ipv6_route", take_route6);
	for (size_t i = 0; i < verifier->config->device_count; i++) {
		verify_words(verifier, i);
		verify_from(verifier, &machine, i);
		verify_unique(verifier, i);
	}
}
