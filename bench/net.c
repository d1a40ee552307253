/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/slice.h"

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(2);
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t number_option(const char *name, const char *text, uint64_t max)
{
	uint64_t value = 0;

	if (slice_number(slice_str(text), max, &value) != ERR_OK)
		die("--%s: \"%s\" is not a number from 0 to %llu", name, text,
		    (unsigned long long)max);
	return value;
}

socklen_t net_address(const char *text, struct sockaddr_storage *address_out)
{
	struct slice all = slice_str(text);
	size_t colon = slice_find_last(all, ':');
	struct slice host = slice_head(all, colon);
	struct slice port_text = slice_skip(all, colon + 1);
	uint64_t port = 0;
	char name[64];
	struct sockaddr_in *four = (struct sockaddr_in *)address_out;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)address_out;

	if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		host = slice_of(host.ptr + 1, host.len - 2);
	if (slice_number(port_text, 65535, &port) != ERR_OK ||
	    slice_copy(host, name, sizeof(name)) != ERR_OK)
		die("\"%s\" is not ADDRESS:PORT", text);
	memset(address_out, 0, sizeof(*address_out));
	if (inet_pton(AF_INET, name, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons((uint16_t)port);
		return sizeof(*four);
	}
	if (inet_pton(AF_INET6, name, &six->sin6_addr) == 1) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons((uint16_t)port);
		return sizeof(*six);
	}
	die("\"%s\" is not an IPv4 or IPv6 address", name);
}

static void set_option(int fd, int level, int name)
{
	int on = 1;

	setsockopt(fd, level, name, &on, sizeof(on));
}

int net_connect(const struct sockaddr_storage *address, socklen_t len, int source)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	set_option(fd, IPPROTO_TCP, TCP_NODELAY);
	if (source >= 0 && address->ss_family == AF_INET) {
		struct sockaddr_in from = {.sin_family = AF_INET};

		from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)source);
		set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
		if (bind(fd, (const struct sockaddr *)&from, sizeof(from)) < 0) {
			close(fd);
			return -1;
		}
	}
	if (connect(fd, (const struct sockaddr *)address, len) < 0 && errno != EINPROGRESS) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

int net_listen(const struct sockaddr_storage *address, socklen_t len, int backlog)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	set_option(fd, SOL_SOCKET, SO_REUSEADDR);
	if (bind(fd, (const struct sockaddr *)address, len) < 0 || listen(fd, backlog) < 0)
		die("cannot listen: %s", strerror(errno));
	return fd;
}

void net_want_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

uint64_t checksum(uint64_t sum, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum = (sum ^ (unsigned char)data[i]) * 0x100000001b3u;
	return sum;
}
