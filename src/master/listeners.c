/* SPDX-License-Identifier: Apache-2.0 */
#include "listeners.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { ADDRESSES_MAX = 32, WHY_MAX = 512 };

static bool same_address(const struct net_address *a, const struct net_address *b)
{
	return a->len == b->len && memcmp(&a->u, &b->u, a->len) == 0;
}

static const struct listener *find(const struct generation *generation,
				   const struct net_address *where)
{
	for (size_t i = 0; generation != NULL && i < generation->listener_count; i++)
		if (same_address(&generation->listeners[i].where, where))
			return &generation->listeners[i];
	return NULL;
}

static bool has_port(const struct generation *generation, uint16_t port)
{
	for (size_t i = 0; generation != NULL && i < generation->listener_count; i++)
		if (net_port(&generation->listeners[i].where) == port)
			return true;
	return false;
}

/* Why a socket could not be bound, with what to do about it. */
static void explain(const struct config_listen *listen, const struct net_address *where,
		    const struct generation *before, enum err err, struct buf *errors)
{
	int error = errno;
	uint16_t port = net_port(where);
	char text[NET_TEXT_MAX];

	net_print_port(where, text);
	if (err == ERR_BUSY && has_port(before, port))
		(void)buf_printf(errors,
				 "listen \"%s\": %s: this server itself has port %u on another "
				 "address; such a change needs a restart\n",
				 listen->name, text, port);
	else if (err == ERR_BUSY)
		(void)buf_printf(
			errors,
			"listen \"%s\": %s: address already in use: another program has port "
			"%u; \"ss -ltnp sport = :%u\" names it; stop it or choose another port\n",
			listen->name, text, port, port);
	else if (err == ERR_DENIED && port < 1024)
		(void)buf_printf(
			errors,
			"listen \"%s\": %s: only root may listen on ports below 1024; start "
			"postern as root (it gives its rights up), or choose a higher port\n",
			listen->name, text);
	else if (error == EADDRNOTAVAIL)
		(void)buf_printf(errors,
				 "listen \"%s\": %s: this machine has no such address; \"ip addr\" "
				 "shows those it has\n",
				 listen->name, text);
	else
		(void)buf_printf(errors, "listen \"%s\": %s: %s\n", listen->name, text,
				 strerror(error));
}

static enum err bind_one(const struct net_address *where, const struct generation *before,
			 int *fd_out)
{
	const struct listener *old = find(before, where);

	/* The same socket: clients that wait in its queue are not lost. */
	if (old != NULL)
		return net_dup(old->fd, fd_out);
	return net_listen(where, LISTENER_BACKLOG, fd_out);
}

static void add(struct generation *generation, struct listener listener)
{
	generation->listeners = mem_resize(generation->listeners,
					   (generation->listener_count + 1) * sizeof(listener));
	generation->listeners[generation->listener_count++] = listener;
}

/* A family or address that the machine lacks does not matter as long as another one is there. */
static bool may_be_missing(enum err err)
{
	return err == ERR_IO && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL);
}

static enum err bind_text(struct generation *generation, uint16_t index, const char *text,
			  const struct generation *before, struct buf *errors)
{
	const struct config_listen *listen = &generation->config->listens[index];
	struct net_address addresses[ADDRESSES_MAX];
	enum err result = ERR_OK, err;
	size_t count, bound = 0;
	char why[256];

	err = net_listen_addresses(text, addresses, ADDRESSES_MAX, &count, why);
	if (err != ERR_OK) {
		(void)buf_printf(errors, "listen \"%s\": %s\n", listen->name, why);
		return err;
	}
	for (size_t i = 0; i < count; i++) {
		struct listener listener = {index, text, addresses[i], -1};

		err = bind_one(&addresses[i], before, &listener.fd);
		if (err == ERR_OK) {
			add(generation, listener);
			bound++;
		} else if (!may_be_missing(err) || (i + 1 == count && bound == 0)) {
			explain(listen, &addresses[i], before, err, errors);
			result = err;
		}
	}
	return result;
}

enum err listeners_bind(struct generation *generation, const struct generation *before,
			struct buf *errors)
{
	const struct config *config = generation->config;
	enum err result = ERR_OK;

	for (size_t i = 0; i < config->listen_count; i++) {
		for (size_t n = 0; n < config->listens[i].address.count; n++) {
			enum err err =
				bind_text(generation, (uint16_t)i,
					  config->listens[i].address.items[n], before, errors);

			if (result == ERR_OK)
				result = err;
		}
	}
	return result;
}

enum err listeners_control(const struct config *config, int *fd_out, char *why)
{
	char path[OS_PATH_MAX];
	struct net_address address;
	enum err err;
	int fd;

	config_runtime_path(config, "control.sock", path);
	err = net_read_local(path, &address);
	if (err != ERR_OK) {
		snprintf(why, WHY_MAX,
			 "%.300s: the path is too long for a socket; set a shorter runtime_dir",
			 path);
		return err;
	}
	/* A socket that answers is another server's; one that does not was left by a dead one. */
	if (net_connect(&address, &fd) == ERR_OK) {
		net_close(&fd);
		snprintf(
			why, WHY_MAX,
			"%.300s: another postern uses this runtime_dir; stop it or set another one",
			path);
		return ERR_BUSY;
	}
	err = os_remove_file(path);
	if (err == ERR_OK)
		err = net_listen(&address, LISTENER_BACKLOG, fd_out);
	if (err != ERR_OK)
		os_explain_file(path, errno, why, WHY_MAX);
	return err;
}
