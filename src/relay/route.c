/* SPDX-License-Identifier: Apache-2.0 */
#include "route.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "capture.h"
#include "config/config.h"
#include "delivery.h"
#include "os/os.h"
#include "policy/route.h"
#include "terms.h"

enum err host_port_read(const char *text, char *host_out, size_t size, uint16_t *port_out)
{
	static const struct {
		const char *name;
		uint16_t port;
	} services[] = {{"smtp", 25},
			{"submission", 587},
			{"submissions", 465},
			{"smtps", 465},
			{"lmtp", 24}};
	struct slice all = slice_str(text);
	size_t colon = slice_find_last(all, ':');
	struct slice host = slice_head(all, colon), port = slice_skip(all, colon + 1);
	uint64_t number = 0;

	if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		host = slice_of(host.ptr + 1, host.len - 2);
	if (slice_number(port, 65535, &number) != ERR_OK)
		for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
			if (slice_is_nocase(port, services[i].name))
				number = services[i].port;
	if (colon == all.len || number == 0 || slice_copy(host, host_out, size) != ERR_OK)
		return ERR_SYNTAX;
	*port_out = (uint16_t)number;
	return ERR_OK;
}

static void our_fault(struct job *job, const char *what, const char *target)
{
	struct outcome outcome;

	outcome_set(&outcome, IPC_DEFERRED, IPC_SCOPE_OURS, 0, "4.3.5", "%s: %s", what, target);
	job_done(job, &outcome, "", "", false);
}

/* ---- mx ---- */

static void mx_refusal(struct job *job, enum mx_status status, const char *why)
{
	struct slice domain = job->delivery->destination;
	struct outcome outcome;
	bool down = false;

	switch (status) {
	case MX_NULL:
		outcome_set(&outcome, IPC_FAILED, IPC_SCOPE_HOST, 556, "5.1.10",
			    "the domain %.*s takes no mail (null MX)", SLICE_ARG(domain));
		break;
	case MX_NO_NAME:
		outcome_set(&outcome, IPC_FAILED, IPC_SCOPE_HOST, 0, "5.1.2",
			    "the domain %.*s does not exist", SLICE_ARG(domain));
		break;
	case MX_LOOP:
		outcome_set(&outcome, IPC_FAILED, IPC_SCOPE_HOST, 0, "5.4.6",
			    "mail for %.*s would come back to this server: its best MX is us",
			    SLICE_ARG(domain));
		break;
	case MX_UNUSABLE:
		outcome_set(&outcome, IPC_FAILED, IPC_SCOPE_HOST, 0, "5.4.4",
			    "no MX record of %.*s names a host", SLICE_ARG(domain));
		break;
	default:
		outcome_set(&outcome, IPC_DEFERRED, IPC_SCOPE_HOST, 0, "4.4.3",
			    "the mail servers of %.*s cannot be looked up: %s", SLICE_ARG(domain),
			    why ? why : "no answer");
		down = true;
		break;
	}
	job_done(job, &outcome, "", "", down);
}

/* Those of equal preference in random order (RFC 5321 5.1). */
static void shuffle(struct mx_target *targets, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		size_t first = i - 1;

		while (first > 0 && targets[first - 1].preference == targets[i - 1].preference)
			first--;
		if (first < i - 1) {
			size_t other = first + os_random_u64() % (i - first);
			struct mx_target kept = targets[i - 1];

			targets[i - 1] = targets[other];
			targets[other] = kept;
		}
	}
}

static void on_mx(void *arg, const struct mx_answer *answer)
{
	struct job *job = arg;

	job->mx_wait = NULL;
	if (answer->status != MX_OK && answer->status != MX_IMPLICIT) {
		mx_refusal(job, answer->status, answer->why);
		return;
	}
	job->targets = mem_array(answer->count, sizeof(*job->targets));
	memcpy(job->targets, answer->targets, answer->count * sizeof(*job->targets));
	shuffle(job->targets, answer->count);
	job->target_count = answer->count < RELAY_TARGETS_MAX ? answer->count : RELAY_TARGETS_MAX;
	job_next_host(job);
}

static void route_mx(struct job *job)
{
	struct delivery *delivery = job->delivery;
	struct mx_wait *wait;

	/* The answer may come at once, and the job, but not the delivery, be gone by then. */
	delivery->holds++;
	wait = mx_lookup(delivery->relay->mx, delivery->destination, on_mx, job);
	if (wait)
		job->mx_wait = wait;
	delivery->holds--;
}

/* ---- the others ---- */

static void route_relay(struct job *job, const char *name)
{
	struct relay *relay = job->delivery->relay;
	const struct config_relay *config = config_relay_find(relay->config, name);
	struct host_spec spec = {.kind = HOST_RELAY, .relay = config};
	char host[RELAY_HOST_MAX];

	if (!config || host_port_read(config->host, host, sizeof(host), &spec.port) != ERR_OK) {
		our_fault(job, "there is no such relay section", name);
		return;
	}
	spec.name = host;
	host_enqueue(pool_host(relay->pool, &spec), job);
}

static void route_lmtp(struct job *job, const char *target)
{
	struct relay *relay = job->delivery->relay;
	struct host_spec spec = {.kind = HOST_LMTP, .name = target};
	char host[RELAY_HOST_MAX];

	if (target[0] != '/') {
		if (host_port_read(target, host, sizeof(host), &spec.port) != ERR_OK) {
			our_fault(job, "this is no host and port", target);
			return;
		}
		spec.name = host;
	}
	host_enqueue(pool_host(relay->pool, &spec), job);
}

void job_route(struct job *job, const struct config_route *route)
{
	enum route_kind kind = route ? route->kind : ROUTE_MX;
	struct outcome why;

	if (!terms_permit(job, kind, &why)) {
		job_done(job, &why, "", "", false);
		return;
	}
	switch (kind) {
	case ROUTE_MX:
		route_mx(job);
		break;
	case ROUTE_RELAY:
		route_relay(job, route->target);
		break;
	case ROUTE_LMTP:
		route_lmtp(job, route->target);
		break;
	case ROUTE_CAPTURE:
		capture_start(job, route->target);
		break;
	}
}

void route_describe(const struct relay *relay, struct slice recipient, char *out, size_t size)
{
	const struct config_route *route = route_find(relay->config, recipient);
	const struct config_relay *config;

	if (!route || route->kind == ROUTE_MX) {
		snprintf(out, size, "mx");
	} else if (route->kind == ROUTE_RELAY) {
		config = config_relay_find(relay->config, route->target);
		snprintf(out, size, "relay:%s (%s)", route->target, config ? config->host : "?");
	} else {
		snprintf(out, size, "%s:%s", route->kind == ROUTE_LMTP ? "lmtp" : "capture",
			 route->target);
	}
}
