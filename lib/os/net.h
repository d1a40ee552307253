/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets: plain non-blocking descriptors, close-on-exec always. */
#ifndef POSTERN_OS_NET_H
#define POSTERN_OS_NET_H

#include <sys/socket.h>
#include <sys/types.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "base/buf.h"

struct net_address {
	socklen_t len;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un local;
	} u;
};

enum { NET_TEXT_MAX = 128 };

/* "192.0.2.1", "2001:db8::1" (a mapped IPv4 address as IPv4), "local"; without the port. */
void net_print(const struct net_address *address, char text_out[NET_TEXT_MAX]);
/* "192.0.2.1:25", "[2001:db8::1]:25", "/run/lmtp". */
void net_print_port(const struct net_address *address, char text_out[NET_TEXT_MAX]);
uint16_t net_port(const struct net_address *address);
void net_set_port(struct net_address *address, uint16_t port);
/* A numeric address, without port. ERR_SYNTAX. */
enum err net_read(struct slice text, uint16_t port, struct net_address *address_out);
/* "/path/of/socket". ERR_RANGE if too long. */
enum err net_read_local(const char *path, struct net_address *address_out);
/* Loopback, private, link-local, shared, mapped and embedded forms of them, unspecified, multicast. */
bool net_is_private(const struct net_address *address);
/* 127.0.0.0/8, ::1, the former mapped, a local socket: what is sent there stays on this machine. */
bool net_is_loopback(const struct net_address *address);

/*
 * A listen address of the configuration: "*:587" (both families), "0.0.0.0:25", "[::1]:2525",
 * "localhost:smtp"; at most max addresses into addresses_out. ERR_SYNTAX, ERR_NOT_FOUND (unknown
 * service or name): why (256 bytes) says what.
 */
enum err net_listen_addresses(const char *text, struct net_address *addresses_out, size_t max,
			      size_t *count_out, char *why);
/*
 * Bound and listening, a local one for its owner only (0600). ERR_BUSY port taken, ERR_DENIED
 * privileged port, ERR_IO: errno is kept.
 */
enum err net_listen(const struct net_address *address, int backlog, int *fd_out);
/* ERR_AGAIN nobody waits; ERR_FULL no descriptors left; ERR_IO. */
enum err net_accept(int listener, int *fd_out, struct net_address *peer_out);
/* Starts a connection; completion shows as writable, then net_connect_result. ERR_IO: errno. */
enum err net_connect(const struct net_address *address, int *fd_out);
/* ERR_OK connected, ERR_AGAIN not yet, ERR_IO: errno is set to why it failed. */
enum err net_connect_result(int fd);
/* ERR_OK with *len_out >= 1, ERR_AGAIN, ERR_EOF, ERR_IO. */
enum err net_recv(int fd, void *data, size_t size, size_t *len_out);
/* The same, but what it gives stays in the socket. */
enum err net_look(int fd, void *data, size_t size, size_t *len_out);
enum err net_send(int fd, const void *data, size_t len, size_t *len_out); /* ERR_AGAIN, ERR_EOF, ERR_IO */
/*
 * For channels: several parts in one call, with a descriptor (or -1) passed along at the first
 * byte. At most NET_PARTS_MAX parts, one byte at least.
 */
enum { NET_PARTS_MAX = 8, NET_FDS_MAX = 16 };
enum err net_send_parts(int fd, const struct slice *parts, size_t count, int pass, size_t *len_out);
/* fds_out holds up to NET_FDS_MAX; close-on-exec. ERR_RANGE: more came; none is kept. */
enum err net_recv_fds(int fd, void *data, size_t size, size_t *len_out, int *fds_out,
		      size_t *fd_count_out);
enum err net_pair(int fds_out[2]); /* a stream socket pair, both ends non-blocking, close-on-exec */
/* Asks for socket buffers of this size, both ways; only root gets more than the system's limit. */
void net_buffers(int fd, int bytes);
enum err net_local_name(int fd, struct net_address *address_out);
/* Who is at the other end of a local socket (SO_PEERCRED). */
enum err net_peer_user(int fd, uid_t *uid_out, pid_t *pid_out);
void net_no_delay(int fd);
enum err net_dup(int fd, int *fd_out); /* close-on-exec; ERR_FULL */
void net_close(int *fd); /* closes if it is not -1 and sets it to -1 */

#endif
