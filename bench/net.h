/* SPDX-License-Identifier: Apache-2.0 */
/* What the load generator and the sink share: time, addresses, sockets, a checksum. */
#ifndef POSTERN_BENCH_NET_H
#define POSTERN_BENCH_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Prints the message after the program's name to standard error and exits with status 2. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

uint64_t now_ns(void); /* monotonic */

/* "127.0.0.1:2525", "[::1]:2525"; dies when it is neither. Length of the address is returned. */
socklen_t net_address(const char *text, struct sockaddr_storage *address_out);
/*
 * Starts to connect without blocking; -1 with errno when that fails at once. source: number of
 * the address to come from, 127.0.0.(1 + source), so that one destination can be reached by
 * more connections than there are ports; negative: the kernel's choice.
 */
int net_connect(const struct sockaddr_storage *address, socklen_t len, int source);
int net_listen(const struct sockaddr_storage *address, socklen_t len, int backlog);
void net_want_files(void); /* raises the limit of open files as far as it goes */
uint64_t number_option(const char *name, const char *text, uint64_t max); /* dies unless a number */

#define CHECKSUM_START 0xcbf29ce484222325u
/* FNV-1a, 64 bits: finds any change that is not made on purpose. */
uint64_t checksum(uint64_t sum, const char *data, size_t len);

#endif
