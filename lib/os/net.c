/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets: making, accepting, connecting, moving bytes and descriptors. */
#include "os/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err from_errno(void)
{
	switch (errno) {
	case EAGAIN:
#if EAGAIN != EWOULDBLOCK
	case EWOULDBLOCK:
#endif
		return ERR_AGAIN;
	case EPIPE:
	case ECONNRESET:
		return ERR_EOF;
	default:
		return ERR_IO;
	}
}

void net_close(int *fd)
{
	int kept = errno;

	if (*fd != -1)
		close(*fd);
	*fd = -1;
	errno = kept;
}

enum err net_dup(int fd, int *fd_out)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy == -1)
		return errno == EMFILE ? ERR_FULL : ERR_IO;
	*fd_out = copy;
	return ERR_OK;
}

enum err net_listen(const struct net_address *address, int backlog, int *fd_out)
{
	const int on = 1;
	int fd;

	fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return ERR_IO;
	/* Before bind, so that there is no moment in which others may connect. */
	if (address->u.any.sa_family == AF_UNIX)
		(void)fchmod(fd, 0600);
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Each family is a socket of its own, so that one can be had without the other. */
	if (address->u.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, &address->u.any, address->len) != 0 || listen(fd, backlog) != 0) {
		net_close(&fd);
		if (errno == EADDRINUSE)
			return ERR_BUSY;
		return errno == EACCES || errno == EPERM ? ERR_DENIED : ERR_IO;
	}
	*fd_out = fd;
	return ERR_OK;
}

enum err net_accept(int listener, int *fd_out, struct net_address *peer_out)
{
	/* Connections that died while they waited are skipped, but not for ever. */
	for (int tries = 0; tries < 64; tries++) {
		struct net_address peer = {.len = sizeof(peer.u)};
		int fd = accept4(listener, &peer.u.any, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd != -1) {
			*fd_out = fd;
			*peer_out = peer;
			return ERR_OK;
		}
		switch (errno) {
		case EAGAIN:
			return ERR_AGAIN;
		case EMFILE:
		case ENFILE:
		case ENOBUFS:
		case ENOMEM:
			return ERR_FULL;
		case EBADF:
		case EINVAL:
		case ENOTSOCK:
		case EOPNOTSUPP:
		case EPERM:
			return ERR_IO;
		default: /* EINTR, ECONNABORTED and what accept(2) passes on from the network */
			break;
		}
	}
	return ERR_AGAIN;
}

enum err net_connect(const struct net_address *address, int *fd_out)
{
	int fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return ERR_IO;
	if (connect(fd, &address->u.any, address->len) != 0 && errno != EINPROGRESS &&
	    errno != EINTR) {
		net_close(&fd);
		return ERR_IO;
	}
	*fd_out = fd;
	return ERR_OK;
}

enum err net_connect_result(int fd)
{
	struct net_address peer = {.len = sizeof(peer.u)};
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		return ERR_IO;
	if (error != 0) {
		errno = error;
		return ERR_IO;
	}
	if (getpeername(fd, &peer.u.any, &peer.len) == 0)
		return ERR_OK;
	return errno == ENOTCONN ? ERR_AGAIN : ERR_IO;
}

static enum err receive(int fd, void *data, size_t size, int flags, size_t *len_out)
{
	ssize_t len;

	do
		len = recv(fd, data, size, flags);
	while (len == -1 && errno == EINTR);
	if (len == 0)
		return ERR_EOF;
	if (len == -1)
		return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_AGAIN : ERR_IO;
	*len_out = (size_t)len;
	return ERR_OK;
}

enum err net_recv(int fd, void *data, size_t size, size_t *len_out)
{
	return receive(fd, data, size, 0, len_out);
}

enum err net_look(int fd, void *data, size_t size, size_t *len_out)
{
	return receive(fd, data, size, MSG_PEEK, len_out);
}

enum err net_send(int fd, const void *data, size_t len, size_t *len_out)
{
	ssize_t sent;

	do
		sent = send(fd, data, len, MSG_NOSIGNAL);
	while (sent == -1 && errno == EINTR);
	if (sent == -1)
		return from_errno();
	*len_out = (size_t)sent;
	return ERR_OK;
}

union fd_room {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(NET_FDS_MAX * sizeof(int))];
};

enum err net_send_parts(int fd, const struct slice *parts, size_t count, int pass, size_t *len_out)
{
	union fd_room control = {0};
	struct iovec iov[NET_PARTS_MAX];
	struct msghdr msg = {.msg_iov = iov};
	ssize_t sent;

	for (size_t i = 0; i < count && i < NET_PARTS_MAX; i++) {
		if (parts[i].len == 0)
			continue;
		/* sendmsg does not write through it; the type is older than const. */
		iov[msg.msg_iovlen].iov_base = (void *)(uintptr_t)parts[i].ptr;
		iov[msg.msg_iovlen++].iov_len = parts[i].len;
	}
	if (pass != -1) {
		struct cmsghdr *head = &control.align;

		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &pass, sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int));
	}
	do
		sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (sent == -1 && errno == EINTR);
	if (sent == -1)
		return from_errno();
	*len_out = (size_t)sent;
	return ERR_OK;
}

/* Takes the descriptors of a message out of its control part. */
static size_t take_fds(struct msghdr *msg, int *fds, size_t max)
{
	size_t count = 0;

	for (struct cmsghdr *head = CMSG_FIRSTHDR(msg); head != NULL;
	     head = CMSG_NXTHDR(msg, head)) {
		size_t bytes = head->cmsg_len - CMSG_LEN(0);

		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= bytes && count < max; at += sizeof(int))
			memcpy(&fds[count++], CMSG_DATA(head) + at, sizeof(int));
	}
	return count;
}

enum err net_recv_fds(int fd, void *data, size_t size, size_t *len_out, int *fds_out,
		      size_t *fd_count_out)
{
	union fd_room control;
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	int fds[NET_FDS_MAX];
	size_t count;
	ssize_t len;

	do
		len = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (len == -1 && errno == EINTR);
	if (len == -1)
		return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_AGAIN : ERR_IO;
	count = take_fds(&msg, fds, NET_FDS_MAX);
	if (len == 0 || msg.msg_flags & MSG_CTRUNC) {
		for (size_t i = 0; i < count; i++)
			net_close(&fds[i]);
		return len == 0 ? ERR_EOF : ERR_RANGE;
	}
	if (count != 0)
		memcpy(fds_out, fds, count * sizeof(int));
	*fd_count_out = count;
	*len_out = (size_t)len;
	return ERR_OK;
}

enum err net_pair(int fds_out[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds_out) != 0)
		return errno == EMFILE || errno == ENFILE ? ERR_FULL : ERR_IO;
	return ERR_OK;
}

static void ask_buffer(int fd, int option, int force, int bytes)
{
	socklen_t len = sizeof(int);
	int now = 0;

	/* The kernel counts double, for its own needs. What root gave is not made smaller. */
	if (getsockopt(fd, SOL_SOCKET, option, &now, &len) == 0 && now / 2 >= bytes)
		return;
	if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)) != 0)
		setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof(bytes));
}

void net_buffers(int fd, int bytes)
{
	ask_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, bytes);
	ask_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, bytes);
}

enum err net_local_name(int fd, struct net_address *address_out)
{
	struct net_address address = {.len = sizeof(address.u)};

	if (getsockname(fd, &address.u.any, &address.len) != 0)
		return ERR_IO;
	*address_out = address;
	return ERR_OK;
}

enum err net_peer_user(int fd, uid_t *uid_out, pid_t *pid_out)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		return ERR_IO;
	*uid_out = cred.uid;
	*pid_out = cred.pid;
	return ERR_OK;
}

void net_no_delay(int fd)
{
	const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}
