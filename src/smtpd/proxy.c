/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header is looked at in the socket and taken out of it exactly to its end, since what follows
 * belongs to the session, or to OpenSSL, which reads the socket itself.
 */
#include "proxy.h"

#include <stdio.h>
#include <utlist.h>

#include "accept.h"
#include "base/mem.h"
#include "config/config.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"
#include "refusals.h"
#include "smtp/proxy.h"
#include "smtpd.h"

enum {
	LOOK_AT = 4096, /* bytes at a time */
	WORD_MAX = 16,  /* bytes of what came instead that are told */
};

struct proxied {
	struct proxies *proxies;
	int fd;
	struct front *front;
	struct watch *watch;
	struct timer *timer;
	char balancer[NET_TEXT_MAX];
	struct proxy_reader reader;
	struct proxied *prev, *next;
};

struct proxies {
	struct smtpd *smtpd;
	proxy_known_fn *known;
	void *arg;
	struct proxied *all;
	uint32_t count;
};

/* All but the descriptor. */
static void forget(struct proxied *proxied)
{
	struct proxies *proxies = proxied->proxies;

	DL_DELETE(proxies->all, proxied);
	proxies->count--;
	watch_free(&proxied->watch);
	timer_free(&proxied->timer);
	front_drop(&proxied->front);
	mem_free(proxied);
}

static void end(struct proxied *proxied)
{
	int fd = proxied->fd;

	forget(proxied);
	net_close(&fd);
}

static void refuse_with(struct proxied *proxied, const char *reason, const char *got)
{
	if (refusals_logged(proxied->proxies->smtpd->refusals, proxied->balancer))
		log_event(LOG_WARNING, "connect-refused",
			  LOG_TEXT("listener", proxied->front->listener),
			  LOG_TEXT("client", proxied->balancer), LOG_TEXT("reason", reason),
			  LOG_TEXT_IF("got", got));
	end(proxied);
}

static void refuse(struct proxied *proxied, const char *reason)
{
	refuse_with(proxied, reason, "");
}

static void time_over(void *arg)
{
	struct proxied *proxied = arg;

	if (proxied->reader.state == PROXY_START)
		refuse(proxied, "expected a PROXY header, since proxy_from names this address; got "
				"nothing: does the balancer send one (send-proxy)?");
	else
		refuse(proxied, "the rest of the PROXY header did not come within the time");
}

/* Says what came instead: its first word, as long as that cannot be anything secret. */
static void refuse_other(struct proxied *proxied, struct slice bytes)
{
	char got[64];
	size_t word = 0;

	while (word < bytes.len && word < WORD_MAX && ascii_is_alpha(bytes.ptr[word]))
		word++;
	if (bytes.len > 1 && bytes.ptr[0] == 0x16 && bytes.ptr[1] == 0x03)
		snprintf(got, sizeof(got), "a TLS hello");
	else
		snprintf(got, sizeof(got), word > 0 ? "\"%.*s\"" : "other bytes", (int)word,
			 bytes.ptr);
	refuse_with(proxied,
		    "expected a PROXY header, since proxy_from names this address; does the "
		    "balancer send one (send-proxy)?",
		    got);
}

static void header_read(struct proxied *proxied)
{
	struct proxies *proxies = proxied->proxies;
	struct front *front = front_hold(proxied->front);
	char client[NET_TEXT_MAX];
	struct net_address address;
	int fd = proxied->fd;

	/* In the spelling that direct connections have. */
	if (net_read(slice_str(proxied->reader.client), 0, &address) == ERR_OK)
		net_print(&address, client);
	else
		snprintf(client, sizeof(client), "%s", proxied->balancer);
	forget(proxied);
	proxies->known(proxies->arg, fd, client, front);
	front_drop(&front);
}

static void readable(void *arg, int events)
{
	struct proxied *proxied = arg;
	char bytes[LOOK_AT];
	size_t len;
	size_t used;
	enum err err = net_look(proxied->fd, bytes, sizeof(bytes), &len);
	enum err header;

	(void)events;
	if (err == ERR_AGAIN)
		return;
	if (err != ERR_OK) {
		/* A balancer that tries whether somebody listens is no news. */
		if (proxied->reader.state == PROXY_START)
			end(proxied);
		else
			refuse(proxied, "the connection ended within the PROXY header");
		return;
	}
	header = proxy_feed(&proxied->reader, slice_of(bytes, len), &used);
	if (header == ERR_SYNTAX && proxied->reader.missing)
		refuse_other(proxied, slice_of(bytes, len));
	else if (header == ERR_SYNTAX)
		refuse(proxied, proxied->reader.why);
	else if (net_recv(proxied->fd, bytes, used, &len) != ERR_OK || len != used)
		end(proxied);
	else if (header == ERR_OK)
		header_read(proxied);
}

struct proxies *proxies_new(struct smtpd *smtpd, proxy_known_fn *known, void *arg)
{
	struct proxies *proxies = mem_alloc(sizeof(*proxies));

	proxies->smtpd = smtpd;
	proxies->known = known;
	proxies->arg = arg;
	return proxies;
}

void proxies_free(struct proxies **proxies)
{
	if (*proxies == NULL)
		return;
	proxies_drop(*proxies);
	MEM_FREE(*proxies);
}

void proxies_start(struct proxies *proxies, int fd, const char *balancer, struct front *front)
{
	struct smtpd *smtpd = proxies->smtpd;
	struct proxied *proxied = mem_alloc(sizeof(*proxied));

	proxied->proxies = proxies;
	proxied->fd = fd;
	proxied->front = front_hold(front);
	proxied->watch = watch_new(smtpd->loop, fd, readable, proxied);
	proxied->timer = timer_new(smtpd->loop, time_over, proxied);
	snprintf(proxied->balancer, sizeof(proxied->balancer), "%s", balancer);
	proxy_init(&proxied->reader);
	DL_APPEND(proxies->all, proxied);
	proxies->count++;
	timer_set(proxied->timer, smtpd->config->timeouts.handshake);
	watch_set(proxied->watch, WATCH_READ);
}

uint32_t proxies_count(const struct proxies *proxies)
{
	return proxies->count;
}

void proxies_drop(struct proxies *proxies)
{
	struct proxied *proxied;
	struct proxied *after;

	DL_FOREACH_SAFE (proxies->all, proxied, after)
		end(proxied);
}
