/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay process: takes deliveries from queue and brings them to the next hop.
 *
 *   queue_link.c  deliveries in, results out, both safe over the death of queue
 *   delivery.c    a delivery, split into jobs, one per route
 *   mx.c          which hosts take mail for a domain
 *   resolve.c     names to answers (libunbound)
 *   pool.c        hosts and who may have how many connections to them
 *   connection.c  one connection: stream, SMTP client machine, the job on it
 *   login.c       AUTH to a smart host (GNU SASL)
 *   capture.c     the route into a folder
 *   outcome.c     what a failure or a reply means for recipients
 *   terms.c       what the sender asked for against what a next hop can do
 *   names.c       what clients of ours are called, for smtpd's log
 *   operator.c    status, route explain
 *
 * Invariants:
 *  1. A recipient of a delivery gets exactly one result, and a result is kept until queue has it
 *     on disk.
 *  2. Before a final dot leaves, queue has been told (AT_DOT).
 *  3. A body that queue did not give whole is never ended with a dot.
 *  4. A fault of our own set-up defers, and never bounces.
 */
#ifndef POSTERN_RELAY_RELAY_H
#define POSTERN_RELAY_RELAY_H

#include "base/buf.h"
#include "base/secret.h"

struct Gsasl;
struct capture;
struct child;
struct config;
struct loop;
struct mx;
struct names;
struct operators;
struct pool;
struct queue_link;
struct resolver;
struct settings;
struct tls_context;

enum {
	RELAY_HOST_MAX = 256,    /* of a host name, with its terminator */
	RELAY_TARGETS_MAX = 10,  /* hosts of a domain that are tried in one attempt */
	RELAY_MX_READ_MAX = 32,  /* MX records that are looked at */
	RELAY_ADDRESSES_MAX = 5, /* addresses of a host that are tried, per family */
};

/* What configuration gives to a relay section, beside its own settings. */
struct relay_credential {
	char *name; /* of the relay section */
	struct secret password;
	bool has_password;
	struct tls_context *tls; /* for its ca_file; NULL: the system's */
	struct relay_credential *next;
};

struct relay {
	struct child *child;
	struct loop *loop;
	const struct config *config;
	unsigned generation; /* of the configuration: hosts of an older one take no new jobs */
	struct resolver *resolver;
	struct mx *mx;
	struct names *names;
	struct pool *pool;
	struct queue_link *queue;
	struct capture *capture;
	struct operators *operators;
	struct settings *settings;
	struct Gsasl *gsasl;
	struct tls_context *tls_any;    /* encrypts, does not look who it is */
	struct tls_context *tls_system; /* the system's authorities; NULL: there are none */
	char tls_system_why[256];       /* why not */
	struct relay_credential *credentials, *next_credentials;
	bool stopping;
};

const struct relay_credential *relay_credential_find(const struct relay *relay, const char *name);
/* Nothing is left to wait for: ends the process if it is stopping. */
void relay_check_stopped(struct relay *relay);

#endif
