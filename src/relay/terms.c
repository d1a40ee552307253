/* SPDX-License-Identifier: Apache-2.0 */
#include "terms.h"

#include <stdio.h>

#include "base/utf8.h"
#include "connection.h"
#include "delivery.h"
#include "os/os.h"
#include "pool.h"
#include "tls/tls.h"

int64_t terms_seconds_left(const struct job *job)
{
	int64_t left = job->delivery->deliver_by - os_wall_ms();

	/* Rounded down: time that is not there is not promised. */
	return left >= 0 ? left / 1000 : -((-left + 999) / 1000);
}

/* ---- TLS (RFC 8689) ---- */

/* Whether nobody outside this machine sees what goes over the connection. */
static bool stays_here(const struct connection *connection)
{
	const struct net_address *address;

	if (connection->host->port == 0)
		return true;
	if (!connection->addresses || connection->address_count == 0)
		return false;
	address = &connection->addresses[(connection->address_at + connection->address_count - 1) %
					 connection->address_count];
	return net_is_loopback(address);
}

bool terms_tls_optional(const struct job *job)
{
	return (job->delivery->flags & IPC_MAIL_TLS_OPTIONAL) != 0 &&
	       !job->delivery->terms.require_tls;
}

static bool tls_fits(const struct job *job, const struct connection *connection,
		     struct outcome *why_out)
{
	if (connection->lenient && !terms_tls_optional(job)) {
		/* Made for others: to this mail the host is as it was. */
		*why_out = connection->failure;
		return false;
	}
	if (!job->delivery->terms.require_tls)
		return true;
	if (connection->host->kind == HOST_LMTP) {
		/* The way into the mailbox (4.4), unless it leads over a network. */
		if (stays_here(connection))
			return true;
		outcome_set(why_out, IPC_FAILED, IPC_SCOPE_MESSAGE, 0, "5.7.10",
			    "this message requires TLS (REQUIRETLS), and LMTP to %s leads over a "
			    "network without it",
			    connection->where);
		return false;
	}
	if (!stream_is_tls(connection->stream) || !stream_verified(connection->stream)) {
		outcome_set(why_out, IPC_FAILED, IPC_SCOPE_HOST, 0, "5.7.10",
			    "this message requires TLS (REQUIRETLS), and there is none with a "
			    "verified certificate to %s%s",
			    connection->where,
			    connection->host->kind == HOST_RELAY ? ": see tls of its relay section"
								 : "");
		return false;
	}
	if (smtp_client_offers(connection->client, "REQUIRETLS"))
		return true;
	outcome_set(why_out, IPC_FAILED, IPC_SCOPE_HOST, 0, "5.7.30",
		    "this message requires TLS all the way (REQUIRETLS), and %s does not offer "
		    "to see to it",
		    connection->where);
	return false;
}

/* ---- time (RFC 2852) ---- */

static bool in_time(const struct job *job, struct outcome *why_out)
{
	if (job->delivery->terms.by != SMTP_BY_RETURN || terms_seconds_left(job) > 0)
		return true;
	outcome_set(why_out, IPC_FAILED, IPC_SCOPE_MESSAGE, 0, "5.4.7",
		    "the time within which the sender wanted this message delivered is over");
	return false;
}

/* With R it goes only to a server that keeps the time too, and takes one as short as that. */
static bool time_fits(const struct job *job, const struct connection *connection,
		      struct outcome *why_out)
{
	uint64_t least = 0;
	struct slice value;

	if (!in_time(job, why_out))
		return false;
	if (job->delivery->terms.by != SMTP_BY_RETURN || connection->host->kind == HOST_LMTP)
		return true;
	if (!smtp_client_offer(connection->client, "DELIVERBY", &value)) {
		outcome_set(why_out, IPC_FAILED, IPC_SCOPE_HOST, 0, "5.3.3",
			    "the sender wanted this message delivered within a time or returned, "
			    "and %s does not offer to see to it (DELIVERBY)",
			    connection->where);
		return false;
	}
	if (slice_number(value, INT64_MAX, &least) != ERR_OK ||
	    (int64_t)least <= terms_seconds_left(job))
		return true;
	outcome_set(why_out, IPC_FAILED, IPC_SCOPE_HOST, 0, "5.4.7",
		    "the time that is left to deliver this message is shorter than the %llu s "
		    "which %s needs",
		    (unsigned long long)least, connection->where);
	return false;
}

/* ---- SMTPUTF8 (RFC 6531 3.5) ---- */

static bool utf8_fits(struct job *job, const struct connection *connection, struct outcome *why_out)
{
	bool sender = !utf8_is_ascii(job->delivery->sender), last;
	const struct outcome *word = why_out;
	uint32_t needy = 0, open = 0;

	if (smtp_client_offers(connection->client, "SMTPUTF8"))
		return true;
	for (uint32_t i = 0; i < job->count; i++) {
		if (job->recipients[i].outcome)
			continue;
		open++;
		needy += !utf8_is_ascii(job->recipients[i].address);
	}
	if (!sender && needy == 0)
		return true;
	outcome_set(why_out, IPC_FAILED, IPC_SCOPE_HOST, 0, "5.6.7",
		    "%s takes no addresses with other letters than ASCII (SMTPUTF8)",
		    connection->where);
	last = job->target_next >= job->target_count;
	if (sender || needy == open || !last)
		return false;
	/* A host that could not be reached may have been the one that takes them. */
	if (job->last.outcome == IPC_DEFERRED)
		word = &job->last;
	for (uint32_t i = 0; i < job->count; i++)
		if (!job->recipients[i].outcome && !utf8_is_ascii(job->recipients[i].address))
			job_settle(job, &job->recipients[i], word);
	return true;
}

/* ---- all of it ---- */

bool terms_permit(const struct job *job, enum route_kind kind, struct outcome *why_out)
{
	if (!in_time(job, why_out))
		return false;
	if (kind != ROUTE_MX || !job->delivery->terms.require_tls)
		return true;
	/* RFC 8689 4.2.1, 2: a name from DNS that nothing vouches for proves nothing. */
	outcome_set(why_out, IPC_FAILED, IPC_SCOPE_MESSAGE, 0, "5.7.30",
		    "this message requires TLS (REQUIRETLS), and no server of %.*s can be shown to "
		    "keep it: its MX records are not verified here",
		    SLICE_ARG(job->delivery->destination));
	return false;
}

bool terms_miss_tls(const struct job *job, const struct outcome *outcome, const char *host,
		    struct outcome *why_out)
{
	if (!outcome->no_tls || !job->delivery->terms.require_tls)
		return false;
	outcome_set(why_out, IPC_FAILED, IPC_SCOPE_HOST, 0, "5.7.10",
		    "this message requires TLS (REQUIRETLS), and there is none with a verified "
		    "certificate to %s: %s",
		    host, outcome->text);
	return true;
}

bool terms_fit(struct job *job, const struct connection *connection, struct outcome *why_out)
{
	return tls_fits(job, connection, why_out) && time_fits(job, connection, why_out) &&
	       utf8_fits(job, connection, why_out);
}

enum ipc_taken terms_taken(const struct connection *connection)
{
	if (connection->host->kind == HOST_LMTP)
		return IPC_TAKEN_FINAL;
	return (smtp_client_offers(connection->client, "DSN") ? IPC_TAKEN_DSN : IPC_TAKEN_PLAIN) |
	       (smtp_client_offers(connection->client, "DELIVERBY") ? IPC_TAKEN_BY : 0);
}
