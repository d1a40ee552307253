/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections through a load balancer of proxy_from, between accept and the session: nothing is
 * said to them, and nothing decided about them, before their PROXY header (smtp/proxy.h) has told
 * who the client is. From then on that address is the client's for everything: limits, networks,
 * auth, the log.
 */
#ifndef POSTERN_SMTPD_PROXY_H
#define POSTERN_SMTPD_PROXY_H

#include <stdint.h>

struct front;
struct proxies;
struct smtpd;

/* The client is known: takes fd. client: numeric; the balancer's own for its health checks. */
typedef void proxy_known_fn(void *arg, int fd, const char *client, struct front *front);

struct proxies *proxies_new(struct smtpd *smtpd, proxy_known_fn *known, void *arg);
void proxies_free(struct proxies **proxies);
/* A new connection from such a balancer; takes fd. known is called later, or never. */
void proxies_start(struct proxies *proxies, int fd, const char *balancer, struct front *front);
/* Those whose header is awaited. */
uint32_t proxies_count(const struct proxies *proxies);
/* Ends them all. */
void proxies_drop(struct proxies *proxies);

#endif
