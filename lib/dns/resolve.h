/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names to answers with libunbound, in its own thread; results come back on the loop. Each
 * query ends within RESOLVE_WITHIN_MS, and calls back exactly once unless it is cancelled.
 */
#ifndef POSTERN_DNS_RESOLVE_H
#define POSTERN_DNS_RESOLVE_H

#include "base/err.h"
#include "base/slice.h"

struct config;
struct loop;
struct resolver;
struct resolve_query;

enum {
	RESOLVE_NAME_MAX = 256,    /* of a host name, with its terminator */
	RESOLVE_WITHIN_MS = 30000, /* a whole look-up of a name */
};

enum resolve_type { RESOLVE_A = 1, RESOLVE_PTR = 12, RESOLVE_MX = 15, RESOLVE_AAAA = 28 };

enum resolve_status {
	RESOLVE_OK,      /* at least one record */
	RESOLVE_NO_DATA, /* the name exists, without such a record */
	RESOLVE_NO_NAME, /* NXDOMAIN */
	RESOLVE_FAILED,  /* SERVFAIL, time-out: try later */
};

struct resolve_answer {
	enum resolve_status status;
	const char *why;             /* FAILED: in words; static */
	const struct slice *records; /* RDATA, valid in the callback */
	size_t count;
	uint32_t ttl; /* seconds */
};

typedef void resolve_fn(void *arg, const struct resolve_answer *answer);

/* Reads resolv.conf and starts the thread: before the sandbox closes. why: 512 bytes. */
enum err resolver_new(const struct config *config, struct resolver **resolver_out, char *why);
/* Answers are taken on this loop from now on. */
void resolver_attach(struct resolver *resolver, struct loop *loop);
void resolver_free(struct resolver **resolver);
/*
 * name: at most 255 bytes. The callback comes later, never from within. The query is gone when
 * it is called.
 */
struct resolve_query *resolve_start(struct resolver *resolver, const char *name,
				    enum resolve_type type, resolve_fn *fn, void *arg);
void resolve_cancel(struct resolve_query **query); /* may be NULL */
/*
 * A name in wire form, uncompressed, as in RDATA; name_out: RESOLVE_NAME_MAX bytes, "" for the
 * root. false: it is not the name of a host (threats K7).
 */
bool resolve_read_name(struct slice wire, char *name_out);
/* Whether the name servers were named differently: that takes a new process. */
bool resolver_differs(const struct resolver *resolver, const struct config *config);

#endif
