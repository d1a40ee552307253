/* SPDX-License-Identifier: Apache-2.0 */
#include "spare.h"

#include "os/net.h"

void spare_keep(struct spare *spare, int like)
{
	int fd;

	if (spare->fd == -1 && net_dup(like, &fd) == ERR_OK)
		spare->fd = fd;
}

void spare_release(struct spare *spare)
{
	net_close(&spare->fd);
}

bool spare_turn_away(struct spare *spare, int listener, bool speaks)
{
	static const char reply[] = "421 4.3.2 Too many connections; try again later\r\n";
	struct net_address peer;
	size_t sent;
	bool any;
	int fd;

	spare_release(spare);
	any = net_accept(listener, &fd, &peer) == ERR_OK;
	if (any) {
		if (speaks)
			(void)net_send(fd, reply, sizeof(reply) - 1, &sent);
		net_close(&fd);
	}
	spare_keep(spare, listener);
	return any;
}
