/* SPDX-License-Identifier: Apache-2.0 */
#include "os/local.h"

#include <errno.h>
#include <poll.h>

#include "os/net.h"
#include "os/os.h"

static enum err wait_for(int fd, short events, int64_t until)
{
	struct pollfd wanted = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = until - os_monotonic_ms();
		int ready;

		if (left <= 0)
			return ERR_TIMEOUT;
		ready = poll(&wanted, 1, left < INT32_MAX ? (int)left : INT32_MAX);
		if (ready > 0)
			return ERR_OK;
		if (ready == -1 && errno != EINTR)
			return ERR_IO;
	}
}

enum err local_connect(const char *path, int64_t until, int *fd_out)
{
	struct net_address address;
	int fd = -1;
	enum err err = net_read_local(path, &address);

	if (err != ERR_OK)
		return err;
	/* A local connect that would wait says EAGAIN: the server's backlog is full. */
	while ((err = net_connect(&address, &fd)) == ERR_IO && errno == EAGAIN) {
		if (os_monotonic_ms() >= until)
			return ERR_TIMEOUT;
		(void)poll(NULL, 0, 10);
	}
	if (err != ERR_OK)
		return errno == ENOENT ? ERR_NOT_FOUND : errno == EACCES ? ERR_DENIED : err;
	*fd_out = fd;
	return ERR_OK;
}

enum err local_send(int fd, struct slice data, int64_t until)
{
	while (data.len != 0) {
		size_t sent = 0;
		enum err err = net_send(fd, data.ptr, data.len, &sent);

		if (err == ERR_AGAIN)
			err = wait_for(fd, POLLOUT, until);
		if (err != ERR_OK)
			return err;
		data = slice_skip(data, sent);
	}
	return ERR_OK;
}

enum err local_receive_some(int fd, void *data, size_t size, int64_t until, size_t *len_out)
{
	enum err err;

	while ((err = net_recv(fd, data, size, len_out)) == ERR_AGAIN)
		if ((err = wait_for(fd, POLLIN, until)) != ERR_OK)
			return err;
	return err;
}

enum err local_receive(int fd, void *data, size_t len, int64_t until)
{
	size_t done = 0;

	while (done < len) {
		size_t got = 0;
		enum err err = local_receive_some(fd, (char *)data + done, len - done, until, &got);

		if (err != ERR_OK)
			return err;
		done += got;
	}
	return ERR_OK;
}
