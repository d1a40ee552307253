/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts as pool.c uses them: made from configuration, and their addresses. */
#ifndef POSTERN_RELAY_HOST_H
#define POSTERN_RELAY_HOST_H

#include "pool.h"

/* What makes two hosts the same; returns its length. size: RELAY_HOST_MAX + 128 suffices. */
size_t host_key(const struct relay *relay, const struct host_spec *spec, char *key_out,
		size_t size);
struct host *host_new(struct pool *pool, const struct host_spec *spec, const char *key);
void host_free(struct host **host);
/* Whether its addresses are known; if not they are asked for, and one of the two below is called.
 */
bool host_resolve(struct host *host, int64_t now);
void host_resolved(struct host *host);                                  /* in pool.c */
void host_unresolved(struct host *host, const struct outcome *outcome); /* in pool.c */

#endif
