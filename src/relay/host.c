/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "os/loop.h"
#include "dns/resolve.h"
#include "tls/tls.h"

enum { ADDRESSES_MS_MIN = 1000, ADDRESSES_MS_MAX = 300000 };

size_t host_key(const struct relay *relay, const struct host_spec *spec, char *key_out, size_t size)
{
	/* What the administrator wrote about it may change with each configuration. */
	int len = snprintf(key_out, size, "%u %u %d %s %s", relay->generation, spec->port,
			   (int)spec->kind, spec->relay ? spec->relay->name : "", spec->name);

	return len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;
}

static void fault(struct host *host, const char *status, const char *text, const char *more)
{
	outcome_set(&host->fault, IPC_DEFERRED, IPC_SCOPE_OURS, 0, status, "relay %s: %s%s%s",
		    host->relay_name, text, more[0] ? ": " : "", more);
}

static bool needs_verified_tls(const struct host *host)
{
	return host->tls == RELAY_TLS_REQUIRED || host->tls == RELAY_TLS_IMPLICIT;
}

/*
 * A password goes over TLS to a server whose certificate is valid, and to no other; unless
 * the administrator wrote tls = none.
 */
static void set_relay(struct host *host, struct relay *relay, const struct config_relay *config)
{
	const struct relay_credential *credential = relay_credential_find(relay, config->name);

	host->relay_name = mem_strdup(config->name);
	host->user = mem_strdup(config->user);
	host->tls = config->tls;
	if (host->user && host->tls == RELAY_TLS_OPPORTUNISTIC)
		host->tls = RELAY_TLS_REQUIRED;
	if (host->user && (!credential || !credential->has_password))
		fault(host, "4.7.0", "its password could not be read; see password_file", "");
	else if (host->user)
		secret_set(&host->password, secret_value(&credential->password));
	if (!needs_verified_tls(host)) {
		host->tls_context = host->tls == RELAY_TLS_NONE ? NULL : relay->tls_any;
		return;
	}
	host->tls_context = credential && credential->tls ? credential->tls : relay->tls_system;
	if (!host->tls_context)
		fault(host, "4.7.5", "its certificate cannot be checked", relay->tls_system_why);
}

struct host *host_new(struct pool *pool, const struct host_spec *spec, const char *key)
{
	size_t len = strlen(key);
	struct host *host = mem_alloc(sizeof(*host) + len + 1);
	struct relay *relay = pool_relay(pool);

	memcpy(host->key, key, len);
	host->pool = pool;
	host->name = mem_strdup(spec->name);
	host->kind = spec->kind;
	host->port = spec->port;
	host->generation = relay->generation;
	host->hostname = mem_strdup(relay->config->hostname);
	host->window = 1;
	if (spec->kind == HOST_RELAY) {
		set_relay(host, relay, spec->relay);
	} else if (spec->kind == HOST_MX) {
		host->tls = RELAY_TLS_OPPORTUNISTIC;
		host->tls_context = relay->tls_any;
	} else {
		host->tls = RELAY_TLS_NONE;
	}
	if (host->tls_context)
		tls_context_hold(host->tls_context);
	return host;
}

void host_free(struct host **host)
{
	struct host *h = *host;

	*host = NULL;
	if (!h)
		return;
	resolve_cancel(&h->queries[0]);
	resolve_cancel(&h->queries[1]);
	tls_context_free(&h->tls_context);
	secret_clear(&h->password);
	mem_free(h->user);
	mem_free(h->relay_name);
	mem_free(h->hostname);
	mem_free(h->name);
	mem_free(h);
}

/* ---- addresses ---- */

static bool wanted_family(const struct host *host, int family)
{
	enum address_family wanted = pool_relay(host->pool)->config->delivery.family;

	return wanted == FAMILY_ANY || (wanted == FAMILY_IPV4) == (family == AF_INET);
}

/* A path, or an address as it is written: nothing to look up. */
static bool literal(struct host *host)
{
	struct slice name = slice_str(host->name);

	if (host->port == 0) {
		if (net_read_local(host->name, &host->addresses[0]) != ERR_OK)
			return false;
	} else {
		if (slice_starts(name, "[") && name.ptr[name.len - 1] == ']')
			name = slice_of(name.ptr + 1, name.len - 2);
		if (net_read(name, host->port, &host->addresses[0]) != ERR_OK)
			return false;
	}
	host->address_count = 1;
	host->addresses_until = INT64_MAX;
	return true;
}

static void no_addresses(struct host *host)
{
	bool ours = host->kind != HOST_MX;
	struct outcome outcome;

	if (host->lookup_failed)
		outcome_set(&outcome, IPC_DEFERRED, IPC_SCOPE_HOST, 0, "4.4.3",
			    "the address of %s cannot be looked up: %s", host->name,
			    host->lookup_why);
	else if (ours)
		outcome_set(&outcome, IPC_DEFERRED, IPC_SCOPE_OURS, 0, "4.4.4",
			    "%s has no address in DNS", host->name);
	else
		outcome_set(&outcome, IPC_FAILED, IPC_SCOPE_HOST, 0, "5.4.4",
			    "%s has no address in DNS", host->name);
	host_unresolved(host, &outcome);
}

/* IPv4 first: many hosts have an IPv6 address that their name does not fit (PTR). */
static void sort_addresses(struct host *host)
{
	struct net_address sorted[2 * RELAY_ADDRESSES_MAX];
	size_t count = 0;

	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < host->address_count; i++)
			if ((host->addresses[i].u.any.sa_family == AF_INET6) == (v6 == 1))
				sorted[count++] = host->addresses[i];
	memcpy(host->addresses, sorted, count * sizeof(sorted[0]));
	host->address_count = count;
}

static void on_addresses(struct host *host, int slot, const struct resolve_answer *answer)
{
	bool v6 = slot == 1;
	int64_t until = loop_now(pool_relay(host->pool)->loop);
	size_t taken = 0;

	host->queries[slot] = NULL;
	if (answer->status == RESOLVE_FAILED) {
		host->lookup_failed = true;
		host->lookup_why = answer->why;
	}
	for (size_t i = 0; i < answer->count && taken < RELAY_ADDRESSES_MAX; i++) {
		struct net_address *address = &host->addresses[host->address_count];
		struct slice record = answer->records[i];
		char text[INET6_ADDRSTRLEN];

		if (record.len != (v6 ? 16 : 4) ||
		    !inet_ntop(v6 ? AF_INET6 : AF_INET, record.ptr, text, sizeof(text)) ||
		    net_read(slice_str(text), host->port, address) != ERR_OK)
			continue;
		host->address_count++;
		taken++;
	}
	until += (int64_t)answer->ttl * 1000 < ADDRESSES_MS_MIN   ? ADDRESSES_MS_MIN
		 : (int64_t)answer->ttl * 1000 > ADDRESSES_MS_MAX ? ADDRESSES_MS_MAX
								  : (int64_t)answer->ttl * 1000;
	if (taken && until < host->addresses_until)
		host->addresses_until = until;
	if (host->queries[0] || host->queries[1])
		return;
	sort_addresses(host);
	if (host->address_count)
		host_resolved(host);
	else
		no_addresses(host);
}

static void on_a(void *arg, const struct resolve_answer *answer)
{
	on_addresses(arg, 0, answer);
}

static void on_aaaa(void *arg, const struct resolve_answer *answer)
{
	on_addresses(arg, 1, answer);
}

bool host_resolve(struct host *host, int64_t now)
{
	struct resolver *resolver = pool_relay(host->pool)->resolver;

	if (host->queries[0] || host->queries[1])
		return false;
	if (host->address_count && host->addresses_until > now)
		return true;
	host->address_count = host->address_good = 0;
	if (literal(host))
		return true;
	host->addresses_until = INT64_MAX;
	host->lookup_failed = false;
	if (wanted_family(host, AF_INET))
		host->queries[0] = resolve_start(resolver, host->name, RESOLVE_A, on_a, host);
	if (wanted_family(host, AF_INET6))
		host->queries[1] = resolve_start(resolver, host->name, RESOLVE_AAAA, on_aaaa, host);
	return false;
}
