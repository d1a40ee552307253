/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of os/net.h: reading, printing, judging. */
#include "os/net.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

enum { WHY = 256 };

static bool is_mapped(const struct net_address *address)
{
	return address->u.any.sa_family == AF_INET6 &&
	       IN6_IS_ADDR_V4MAPPED(&address->u.v6.sin6_addr);
}

void net_print(const struct net_address *address, char text_out[NET_TEXT_MAX])
{
	const unsigned char *bytes = address->u.v6.sin6_addr.s6_addr;
	const char *done = NULL;

	if (is_mapped(address))
		done = inet_ntop(AF_INET, bytes + 12, text_out, NET_TEXT_MAX);
	else if (address->u.any.sa_family == AF_INET6)
		done = inet_ntop(AF_INET6, bytes, text_out, NET_TEXT_MAX);
	else if (address->u.any.sa_family == AF_INET)
		done = inet_ntop(AF_INET, &address->u.v4.sin_addr, text_out, NET_TEXT_MAX);
	else if (address->u.any.sa_family == AF_UNIX)
		done = memcpy(text_out, "local", sizeof("local"));
	if (done == NULL)
		snprintf(text_out, NET_TEXT_MAX, "?");
}

void net_print_port(const struct net_address *address, char text_out[NET_TEXT_MAX])
{
	char host[NET_TEXT_MAX];
	bool v6 = address->u.any.sa_family == AF_INET6 && !is_mapped(address);

	if (address->u.any.sa_family == AF_UNIX) {
		size_t head = offsetof(struct sockaddr_un, sun_path);
		size_t len = address->len > head ? address->len - head : 0;

		snprintf(text_out, NET_TEXT_MAX, "%.*s", (int)len, address->u.local.sun_path);
		return;
	}
	net_print(address, host);
	snprintf(text_out, NET_TEXT_MAX, v6 ? "[%.*s]:%u" : "%.*s:%u", NET_TEXT_MAX - 16, host,
		 net_port(address));
}

uint16_t net_port(const struct net_address *address)
{
	if (address->u.any.sa_family == AF_INET)
		return ntohs(address->u.v4.sin_port);
	return address->u.any.sa_family == AF_INET6 ? ntohs(address->u.v6.sin6_port) : 0;
}

void net_set_port(struct net_address *address, uint16_t port)
{
	if (address->u.any.sa_family == AF_INET)
		address->u.v4.sin_port = htons(port);
	else if (address->u.any.sa_family == AF_INET6)
		address->u.v6.sin6_port = htons(port);
}

enum err net_read(struct slice text, uint16_t port, struct net_address *address_out)
{
	struct net_address address = {0};
	char copy[NET_TEXT_MAX];

	if (slice_copy(text, copy, sizeof(copy)) != ERR_OK)
		return ERR_SYNTAX;
	if (inet_pton(AF_INET, copy, &address.u.v4.sin_addr) == 1) {
		address.u.v4.sin_family = AF_INET;
		address.len = sizeof(address.u.v4);
	} else if (inet_pton(AF_INET6, copy, &address.u.v6.sin6_addr) == 1) {
		address.u.v6.sin6_family = AF_INET6;
		address.len = sizeof(address.u.v6);
	} else {
		return ERR_SYNTAX;
	}
	net_set_port(&address, port);
	*address_out = address;
	return ERR_OK;
}

enum err net_read_local(const char *path, struct net_address *address_out)
{
	struct net_address address = {.u.local.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.u.local.sun_path))
		return ERR_RANGE;
	memcpy(address.u.local.sun_path, path, strlen(path) + 1);
	address.len = sizeof(address.u.local);
	*address_out = address;
	return ERR_OK;
}

static bool v4_is_private(uint32_t ip)
{
	static const struct {
		uint32_t net;
		int bits;
	} table[] = {
		{0x00000000, 8},  /* this network */
		{0x0a000000, 8},  /* private */
		{0x64400000, 10}, /* shared, carrier NAT */
		{0x7f000000, 8},  /* loopback */
		{0xa9fe0000, 16}, /* link-local, cloud metadata */
		{0xac100000, 12}, /* private */
		{0xc0000000, 24}, /* protocol assignments */
		{0xc0a80000, 16}, /* private */
		{0xc6120000, 15}, /* benchmarks */
		{0xe0000000, 3},  /* multicast, reserved, broadcast */
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if ((ip ^ table[i].net) >> (32 - table[i].bits) == 0)
			return true;
	return false;
}

static uint32_t v4_at(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static bool v6_is_private(const unsigned char *a)
{
	static const unsigned char zero[12];
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	static const unsigned char nat64_local[6] = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01};
	static const unsigned char teredo[4] = {0x20, 0x01};
	static const unsigned char discard[8] = {0x01};

	if (memcmp(a, zero, 12) == 0) /* unspecified, loopback, and the old compatible form */
		return v4_at(a + 12) <= 1 || v4_is_private(v4_at(a + 12));
	if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
		return v4_is_private(v4_at(a + 12));
	if (a[0] == 0x20 && a[1] == 0x02) /* 6to4 */
		return v4_is_private(v4_at(a + 2));
	if (memcmp(a, teredo, 4) == 0)
		return v4_is_private(v4_at(a + 4)) || v4_is_private(~v4_at(a + 12));
	/* ISATAP: the interface part ends in a written-out IPv4 address. */
	if ((a[8] & 0xfc) == 0 && a[9] == 0 && a[10] == 0x5e && a[11] == 0xfe &&
	    v4_is_private(v4_at(a + 12)))
		return true;
	return memcmp(a, nat64_local, 6) == 0 || memcmp(a, discard, 8) == 0 ||
	       (a[0] & 0xfe) == 0xfc ||                   /* unique local */
	       (a[0] == 0xfe && (a[1] & 0x80) == 0x80) || /* link-local, site-local */
	       a[0] == 0xff;                              /* multicast */
}

bool net_is_private(const struct net_address *address)
{
	if (address->u.any.sa_family == AF_INET)
		return v4_is_private(ntohl(address->u.v4.sin_addr.s_addr));
	if (address->u.any.sa_family == AF_INET6)
		return v6_is_private(address->u.v6.sin6_addr.s6_addr);
	return true;
}

bool net_is_loopback(const struct net_address *address)
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	const unsigned char *bytes = address->u.v6.sin6_addr.s6_addr;

	if (address->u.any.sa_family == AF_INET)
		return ntohl(address->u.v4.sin_addr.s_addr) >> 24 == 127;
	if (address->u.any.sa_family != AF_INET6)
		return address->u.any.sa_family == AF_UNIX;
	return IN6_IS_ADDR_LOOPBACK(&address->u.v6.sin6_addr) ||
	       (memcmp(bytes, mapped, sizeof(mapped)) == 0 && bytes[12] == 127);
}

static enum err read_port(struct slice text, uint16_t *port_out, char *why)
{
	struct servent *service;
	char name[64];
	uint64_t number;

	if (text.len != 0 && ascii_is_digit(text.ptr[0])) {
		if (slice_number(text, 65535, &number) != ERR_OK || number == 0) {
			snprintf(why, WHY, "\"%.*s\" is not a port: 1 to 65535", SLICE_ARG(text));
			return ERR_SYNTAX;
		}
		*port_out = (uint16_t)number;
		return ERR_OK;
	}
	service =
		slice_copy(text, name, sizeof(name)) == ERR_OK ? getservbyname(name, "tcp") : NULL;
	if (service == NULL) {
		snprintf(why, WHY,
			 "no service \"%.*s\" is known (/etc/services); use the port's number",
			 (int)(text.len < 64 ? text.len : 64), text.ptr);
		return ERR_NOT_FOUND;
	}
	*port_out = ntohs((uint16_t)service->s_port);
	return ERR_OK;
}

/* All addresses of a host name. */
static enum err look_up(struct slice host, uint16_t port, struct net_address *addresses_out,
			size_t max, size_t *count_out, char *why)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
	struct addrinfo *list;
	char name[256];
	size_t count = 0;
	int status;

	if (slice_copy(host, name, sizeof(name)) != ERR_OK) {
		snprintf(why, WHY, "the host name is too long");
		return ERR_SYNTAX;
	}
	status = getaddrinfo(name, NULL, &hints, &list);
	if (status != 0) {
		snprintf(why, WHY, "host \"%.120s\": %s", name, gai_strerror(status));
		return ERR_NOT_FOUND;
	}
	for (struct addrinfo *info = list; info != NULL && count < max; info = info->ai_next) {
		struct net_address address = {.len = info->ai_addrlen};
		bool seen = false;

		if (info->ai_addrlen > sizeof(address.u))
			continue;
		memcpy(&address.u, info->ai_addr, info->ai_addrlen);
		net_set_port(&address, port);
		for (size_t i = 0; i < count; i++)
			seen |= addresses_out[i].len == address.len &&
				memcmp(&addresses_out[i].u, &address.u, address.len) == 0;
		if (!seen)
			addresses_out[count++] = address;
	}
	freeaddrinfo(list);
	*count_out = count;
	return ERR_OK;
}

enum err net_listen_addresses(const char *text, struct net_address *addresses_out, size_t max,
			      size_t *count_out, char *why)
{
	struct slice all = slice_str(text);
	size_t colon = slice_find_last(all, ':');
	struct slice host = slice_head(all, colon);
	uint16_t port;
	enum err err;

	if (colon == all.len) {
		snprintf(why, WHY, "\"%.100s\" has no port: write for example \"*:587\"", text);
		return ERR_SYNTAX;
	}
	err = read_port(slice_skip(all, colon + 1), &port, why);
	if (err != ERR_OK)
		return err;
	if (max < 2)
		return ERR_RANGE;
	if (slice_is(host, "*")) {
		(void)net_read(SLICE_LIT("0.0.0.0"), port, &addresses_out[0]);
		(void)net_read(SLICE_LIT("::"), port, &addresses_out[1]);
		*count_out = 2;
		return ERR_OK;
	}
	if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		host = slice_of(host.ptr + 1, host.len - 2);
	else if (slice_has_byte(host, ':')) {
		snprintf(why, WHY, "write an IPv6 address in brackets: \"[%.*s]:%u\"",
			 (int)(host.len < 100 ? host.len : 100), host.ptr, port);
		return ERR_SYNTAX;
	}
	if (host.len == 0) {
		snprintf(why, WHY, "\"%.100s\" has no address: \"*:%u\" means all", text, port);
		return ERR_SYNTAX;
	}
	if (net_read(host, port, &addresses_out[0]) == ERR_OK) {
		*count_out = 1;
		return ERR_OK;
	}
	return look_up(host, port, addresses_out, max, count_out, why);
}
