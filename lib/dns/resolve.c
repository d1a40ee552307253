/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libunbound with one thread of its own (not a process): it is started by a first query before
 * the sandbox closes, since no thread can be started later, from a thread that has given up all
 * files, so that libunbound's has none either.
 */
#include "dns/resolve.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unbound.h>

#include "base/buf.h"
#include "base/mem.h"
#include "config/config.h"
#include "os/loop.h"
#include "os/sandbox.h"
#include "smtp/address.h"

enum { RECORDS_MAX = 64 };

struct resolver {
	struct ub_ctx *ctx;
	struct loop *loop;
	struct watch *watch;
	struct strings servers; /* as configured */
};

struct resolve_query {
	struct resolver *resolver;
	struct timer *timer;
	int id;
	bool sent;
	resolve_fn *fn;
	void *arg;
};

static const char *const options[][2] = {
	{"module-config:", "iterator"}, /* nothing is built on validated answers yet */
	{"do-not-query-localhost:", "no"},
	{"msg-cache-size:", "2m"},
	{"rrset-cache-size:", "4m"},
	{"cache-max-negative-ttl:", "60"},
	{"infra-host-ttl:", "60"}, /* a name server that was down is asked again soon */
	{"use-syslog:", "no"},
	{"unblock-lan-zones:", "yes"}, /* who asks for names of private addresses has them */
};

static bool set_servers(struct ub_ctx *ctx, const struct strings *servers, char *why)
{
	int result;

	for (size_t i = 0; i < servers->count; i++) {
		result = ub_ctx_set_fwd(ctx, servers->items[i]);
		if (result != 0) {
			snprintf(why, 512, "delivery.resolvers: %s: %s", servers->items[i],
				 ub_strerror(result));
			return false;
		}
	}
	if (servers->count)
		return true;
	result = ub_ctx_resolvconf(ctx, NULL);
	if (result != 0) {
		snprintf(why, 512,
			 "/etc/resolv.conf cannot be read (%s); name the name servers in "
			 "delivery { resolvers = ... }",
			 ub_strerror(result));
		return false;
	}
	return true;
}

static void first_answer(void *arg, int result, struct ub_result *answer)
{
	(void)arg;
	(void)result;
	ub_resolve_free(answer);
}

static void *start_thread(void *arg)
{
	struct resolver *resolver = arg;
	int id;

	/* Without Landlock in the kernel the thread is as free as the process. */
	(void)sandbox_thread_without_files();
	ub_resolve_async(resolver->ctx, "localhost.", RESOLVE_A, 1, NULL, first_answer, &id);
	return NULL;
}

enum err resolver_new(const struct config *config, struct resolver **resolver_out, char *why)
{
	struct resolver *resolver = mem_alloc(sizeof(*resolver));
	const struct strings *servers = &config->delivery.resolvers;
	pthread_t thread;

	resolver->ctx = ub_ctx_create();
	if (!resolver->ctx) {
		snprintf(why, 512, "libunbound cannot be set up");
		goto failed;
	}
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		int result = ub_ctx_set_option(resolver->ctx, options[i][0], options[i][1]);

		if (result != 0) {
			snprintf(why, 512, "libunbound: %s %s", options[i][0], ub_strerror(result));
			goto failed;
		}
	}
	ub_ctx_debugout(resolver->ctx, NULL);
	ub_ctx_hosts(resolver->ctx, NULL); /* not there: nothing is taken from it */
	if (!set_servers(resolver->ctx, servers, why))
		goto failed;
	ub_ctx_async(resolver->ctx, 1);
	/* libunbound answers for .test itself; whoever uses it has a name server that knows it. */
	ub_ctx_zone_remove(resolver->ctx, "test.");
	resolver->servers.count = servers->count;
	resolver->servers.items = mem_array(servers->count + 1, sizeof(char *));
	for (size_t i = 0; i < servers->count; i++)
		resolver->servers.items[i] = mem_strdup(servers->items[i]);
	if (pthread_create(&thread, NULL, start_thread, resolver) != 0) {
		snprintf(why, 512, "cannot start a thread for name look-ups");
		goto failed;
	}
	pthread_join(thread, NULL);
	*resolver_out = resolver;
	return ERR_OK;
failed:
	resolver_free(&resolver);
	return ERR_INTERNAL;
}

static void on_answers(void *arg, int events)
{
	struct resolver *resolver = arg;

	(void)events;
	ub_process(resolver->ctx);
}

void resolver_attach(struct resolver *resolver, struct loop *loop)
{
	resolver->loop = loop;
	resolver->watch = watch_new(loop, ub_fd(resolver->ctx), on_answers, resolver);
	watch_set(resolver->watch, WATCH_READ);
}

void resolver_free(struct resolver **resolver)
{
	struct resolver *r = *resolver;

	*resolver = NULL;
	if (!r)
		return;
	watch_free(&r->watch);
	if (r->ctx)
		ub_ctx_delete(r->ctx);
	for (size_t i = 0; i < r->servers.count; i++)
		mem_free(r->servers.items[i]);
	mem_free(r->servers.items);
	mem_free(r);
}

bool resolver_differs(const struct resolver *resolver, const struct config *config)
{
	const struct strings *servers = &config->delivery.resolvers;

	if (servers->count != resolver->servers.count)
		return true;
	for (size_t i = 0; i < servers->count; i++)
		if (strcmp(servers->items[i], resolver->servers.items[i]) != 0)
			return true;
	return false;
}

/* Calls back and ends the query. */
static void finish(struct resolve_query *query, const struct resolve_answer *answer)
{
	resolve_fn *fn = query->fn;
	void *arg = query->arg;

	timer_free(&query->timer);
	mem_free(query);
	fn(arg, answer);
}

static void fail(struct resolve_query *query, const char *why)
{
	const struct resolve_answer answer = {.status = RESOLVE_FAILED, .why = why};

	finish(query, &answer);
}

static void on_answer(void *arg, int result, struct ub_result *got)
{
	struct resolve_query *query = arg;
	struct resolve_answer answer = {.status = RESOLVE_FAILED};
	struct slice records[RECORDS_MAX];

	query->sent = false;
	if (result != 0 || !got) {
		ub_resolve_free(got);
		fail(query, "the name server could not be asked");
		return;
	}
	if (got->nxdomain) {
		answer.status = RESOLVE_NO_NAME;
	} else if (got->rcode != 0) {
		answer.why = got->rcode == 2   ? "no name server gave an answer (SERVFAIL)"
			     : got->rcode == 5 ? "the name server refused the question"
					       : "the name server answered with an error";
	} else {
		for (int i = 0; got->data[i] && answer.count < RECORDS_MAX; i++)
			records[answer.count++] = slice_of(got->data[i], (size_t)got->len[i]);
		answer.status = answer.count ? RESOLVE_OK : RESOLVE_NO_DATA;
		answer.records = records;
	}
	answer.ttl = got->ttl > 0 ? (uint32_t)got->ttl : 0;
	finish(query, &answer);
	ub_resolve_free(got);
}

static void on_late(void *arg)
{
	struct resolve_query *query = arg;

	if (query->sent)
		ub_cancel(query->resolver->ctx, query->id);
	fail(query, query->sent ? "the name servers did not answer in time"
				: "the name server could not be asked");
}

struct resolve_query *resolve_start(struct resolver *resolver, const char *name,
				    enum resolve_type type, resolve_fn *fn, void *arg)
{
	struct resolve_query *query = mem_alloc(sizeof(*query));

	*query = (struct resolve_query){.resolver = resolver, .fn = fn, .arg = arg};
	query->timer = timer_new(resolver->loop, on_late, query);
	query->sent = ub_resolve_async(resolver->ctx, name, (int)type, 1, query, on_answer,
				       &query->id) == 0;
	timer_set(query->timer, query->sent ? RESOLVE_WITHIN_MS : 0);
	return query;
}

void resolve_cancel(struct resolve_query **query)
{
	struct resolve_query *q = *query;

	*query = NULL;
	if (!q)
		return;
	if (q->sent)
		ub_cancel(q->resolver->ctx, q->id);
	timer_free(&q->timer);
	mem_free(q);
}

bool resolve_read_name(struct slice wire, char *name_out)
{
	size_t at = 0;

	while (wire.len && wire.ptr[0]) {
		size_t len = (unsigned char)wire.ptr[0];

		if (len > 63 || len + 1 > wire.len || at + len + 2 > RESOLVE_NAME_MAX)
			return false;
		if (at)
			name_out[at++] = '.';
		for (size_t i = 0; i < len; i++)
			name_out[at++] = ascii_lower(wire.ptr[1 + i]);
		wire = slice_skip(wire, len + 1);
	}
	name_out[at] = '\0';
	return wire.len == 1 && (at == 0 || smtp_is_host_name(slice_of(name_out, at)));
}
