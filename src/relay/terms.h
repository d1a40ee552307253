/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sender asked for (smtp/terms.h) against what a next hop can do. What cannot be honoured
 * is refused with words, and never left out in silence: REQUIRETLS (RFC 8689), DELIVERBY with R
 * (RFC 2852), addresses that need SMTPUTF8 (RFC 6531). DSN and MT-PRIORITY may be left out
 * (RFC 3461 5.2.2, 6710 4); queue reports what the next hop will not (enum ipc_taken).
 */
#ifndef POSTERN_RELAY_TERMS_H
#define POSTERN_RELAY_TERMS_H

#include "config/config.h"
#include "outcome.h"

struct connection;
struct job;

/* Before any host is looked for. false: the job must end with *why_out, whatever the hosts. */
bool terms_permit(const struct job *job, enum route_kind kind, struct outcome *why_out);
/*
 * Whether the server at the other end of the ready connection may have the job. false: not this
 * one, see *why_out (outcome_try_next: another might). true: recipients that it cannot have and
 * nobody else is left for may have got their result, at least one is without.
 */
bool terms_fit(struct job *job, const struct connection *connection, struct outcome *why_out);
/*
 * Whether the outcome, of a host that could not be made ready, is the last word to this job: it
 * requires TLS, and the host has none. true: *why_out says so.
 */
bool terms_miss_tls(const struct job *job, const struct outcome *outcome, const char *host,
		    struct outcome *why_out);
/* TLS-Required: No, which REQUIRETLS overrules (RFC 8689 4.1). */
bool terms_tls_optional(const struct job *job);
/* What is left of BY=, in whole seconds; below 0: it is over. */
int64_t terms_seconds_left(const struct job *job);
/* Who has a recipient that the server of the connection took. */
enum ipc_taken terms_taken(const struct connection *connection);

#endif
