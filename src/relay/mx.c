/* SPDX-License-Identifier: Apache-2.0 */
#include "mx.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "base/hash.h"
#include "base/mem.h"
#include "config/config.h"
#include "os/loop.h"
#include "os/os.h"
#include "dns/resolve.h"
#include "smtp/address.h"

enum {
	DOMAINS_MAX = 10000, /* kept at a time; past it, only what is being asked for */
	KEPT_MS_MAX = 60000,
	KEPT_MS_MIN = 1000,
	FAILURE_KEPT_MS = 1000, /* so that a burst for one domain asks once */
};

struct mx_wait {
	struct mx_domain *domain;
	mx_fn *fn;
	void *arg;
	struct mx_wait *prev, *next;
};

struct mx_domain {
	UT_hash_handle hh;
	struct mx *mx;
	struct resolve_query *query; /* NULL: answered */
	struct mx_wait *waiting;
	int64_t expires;
	bool telling; /* its waiters are being called: it must stay */
	struct mx_answer answer;
	struct mx_target *targets;
	char name[];
};

struct mx {
	struct relay *relay;
	struct mx_domain *domains;
};

struct mx *mx_new(struct relay *relay)
{
	struct mx *mx = mem_alloc(sizeof(*mx));

	mx->relay = relay;
	return mx;
}

static void domain_free(struct mx_domain *domain)
{
	struct mx_wait *wait, *next;

	HASH_DEL(domain->mx->domains, domain);
	resolve_cancel(&domain->query);
	DL_FOREACH_SAFE (domain->waiting, wait, next) {
		mem_free(wait);
	}
	mem_free(domain->targets);
	mem_free(domain);
}

void mx_free(struct mx **mx)
{
	struct mx_domain *domain, *next;

	if (!*mx)
		return;
	HASH_ITER (hh, (*mx)->domains, domain, next) {
		domain_free(domain);
	}
	MEM_FREE(*mx);
}

static int by_preference(const void *a, const void *b)
{
	const struct mx_target *x = a, *y = b;

	return (x->preference > y->preference) - (x->preference < y->preference);
}

/* RFC 5321 5.1: we are in the list: only hosts that are better than us may get it. */
static enum mx_status drop_ourselves(struct mx_domain *domain)
{
	const char *us = domain->mx->relay->config->hostname;
	size_t count = domain->answer.count;

	for (size_t i = 0; us && i < count; i++) {
		if (strcasecmp(domain->targets[i].name, us) != 0)
			continue;
		while (count > 0 &&
		       domain->targets[count - 1].preference >= domain->targets[i].preference)
			count--;
		break;
	}
	domain->answer.count = count;
	return count ? MX_OK : MX_LOOP;
}

static enum mx_status read_records(struct mx_domain *domain, const struct resolve_answer *got)
{
	size_t records = got->count < RELAY_MX_READ_MAX ? got->count : RELAY_MX_READ_MAX;
	size_t count = 0;

	domain->targets = mem_array(records, sizeof(*domain->targets));
	for (size_t i = 0; i < records; i++) {
		struct mx_target *target = &domain->targets[count];
		unsigned char high, low;

		if (got->records[i].len < 3)
			continue;
		high = (unsigned char)got->records[i].ptr[0];
		low = (unsigned char)got->records[i].ptr[1];
		target->preference = (uint16_t)(high << 8 | low);
		if (!resolve_read_name(slice_skip(got->records[i], 2), target->name))
			continue;
		/* RFC 7505: the root as the only MX. "localhost" means the same to many. */
		if (!target->name[0] || !strcmp(target->name, "localhost")) {
			if (records == 1)
				return MX_NULL;
			continue;
		}
		count++;
	}
	if (count == 0)
		return MX_UNUSABLE;
	qsort(domain->targets, count, sizeof(*domain->targets), by_preference);
	domain->answer.count = count;
	return drop_ourselves(domain);
}

static void keep(struct mx_domain *domain, const struct resolve_answer *got)
{
	int64_t ms = (int64_t)got->ttl * 1000;

	if (got->status == RESOLVE_FAILED)
		ms = FAILURE_KEPT_MS;
	else if (ms > KEPT_MS_MAX)
		ms = KEPT_MS_MAX;
	else if (ms < KEPT_MS_MIN)
		ms = KEPT_MS_MIN;
	domain->expires = loop_now(domain->mx->relay->loop) + ms;
}

static void on_answer(void *arg, const struct resolve_answer *got)
{
	struct mx_domain *domain = arg;
	struct mx_wait *wait;

	domain->query = NULL;
	domain->answer = (struct mx_answer){.status = MX_FAILED};
	if (got->status == RESOLVE_FAILED) {
		domain->answer.why = got->why;
	} else if (got->status == RESOLVE_NO_NAME) {
		domain->answer.status = MX_NO_NAME;
	} else if (got->status == RESOLVE_NO_DATA) {
		domain->targets = mem_alloc(sizeof(*domain->targets));
		snprintf(domain->targets[0].name, RELAY_HOST_MAX, "%s", domain->name);
		domain->answer.status = MX_IMPLICIT;
		domain->answer.count = 1;
	} else {
		domain->answer.status = read_records(domain, got);
	}
	domain->answer.targets = domain->targets;
	keep(domain, got);
	domain->telling = true; /* those who are told may ask again, even for this domain */
	while ((wait = domain->waiting)) {
		mx_fn *fn = wait->fn;
		void *fn_arg = wait->arg;

		DL_DELETE(domain->waiting, wait);
		mem_free(wait);
		fn(fn_arg, &domain->answer);
	}
	domain->telling = false;
}

static struct mx_domain *domain_new(struct mx *mx, const char *name, size_t len)
{
	struct mx_domain *domain = mem_alloc(sizeof(*domain) + len + 2);

	domain->mx = mx;
	memcpy(domain->name, name, len);
	HASH_ADD_KEYPTR(hh, mx->domains, domain->name, len, domain);
	return domain;
}

struct mx_wait *mx_lookup(struct mx *mx, struct slice domain, mx_fn *fn, void *arg)
{
	char name[RELAY_HOST_MAX];
	struct mx_domain *found;
	struct mx_wait *wait;
	const struct mx_answer none = {.status = MX_NO_NAME};

	if (domain.len == 0 || slice_copy(domain, name, sizeof(name)) != ERR_OK) {
		fn(arg, &none);
		return NULL;
	}
	for (size_t i = 0; i < domain.len; i++)
		name[i] = ascii_lower(name[i]);
	HASH_FIND(hh, mx->domains, name, domain.len, found);
	if (found && !found->query && found->expires <= loop_now(mx->relay->loop)) {
		domain_free(found);
		found = NULL;
	}
	if (found && !found->query) {
		fn(arg, &found->answer);
		return NULL;
	}
	if (!found) {
		if (HASH_COUNT(mx->domains) >= DOMAINS_MAX)
			mx_sweep(mx, INT64_MAX);
		found = domain_new(mx, name, domain.len);
		found->query = resolve_start(mx->relay->resolver, found->name, RESOLVE_MX,
					     on_answer, found);
	}
	wait = mem_alloc(sizeof(*wait));
	*wait = (struct mx_wait){.domain = found, .fn = fn, .arg = arg};
	DL_APPEND(found->waiting, wait);
	return wait;
}

void mx_cancel(struct mx_wait **wait)
{
	struct mx_wait *w = *wait;

	*wait = NULL;
	if (!w)
		return;
	DL_DELETE(w->domain->waiting, w);
	mem_free(w);
}

void mx_sweep(struct mx *mx, int64_t now)
{
	struct mx_domain *domain, *next;

	HASH_ITER (hh, mx->domains, domain, next) {
		if (!domain->query && !domain->waiting && !domain->telling &&
		    domain->expires <= now)
			domain_free(domain);
	}
}
