/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXTERNAL (RFC 4422 appendix A): TLS has proven who the client is, by a certificate that smtpd saw
 * to be valid. The addresses in it that can be accounts of ours are those that it may log in as:
 * one alone, or the one that the client names (C3).
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "exchange.h"
#include "store/accounts.h"

enum { NAMES_MAX = 16 };

struct external {
	char names[NAMES_MAX][ACCOUNT_NAME_MAX + 1]; /* canonical, each once */
	size_t count;
};

static void add(struct external *external, const char *name)
{
	for (size_t i = 0; i < external->count; i++)
		if (slice_is(slice_str(name), external->names[i]))
			return;
	if (external->count < NAMES_MAX)
		(void)snprintf(external->names[external->count++], sizeof(external->names[0]), "%s",
			       name);
}

static enum err external_begin(struct exchange *exchange, const struct exchange_terms *terms)
{
	struct external *external = mem_alloc(sizeof(*external));
	char name[ACCOUNT_NAME_MAX + 1], why[ACCOUNT_WHY];

	exchange->state = external;
	if (terms->registered != NULL) { /* whatever it is made out to */
		add(external, terms->registered);
		return ERR_OK;
	}
	for (size_t i = 0; i < terms->certificate_count; i++)
		if (slice_has_byte(terms->certificate[i], '@') &&
		    account_name_read(terms->certificate[i], exchange->domain, name, why) == ERR_OK)
			add(external, name);
	return ERR_OK;
}

static void external_end(struct exchange *exchange)
{
	MEM_FREE(exchange->state);
}

static enum exchange_result as_named(struct exchange *exchange, struct slice authzid)
{
	const struct external *external = exchange->state;
	char name[ACCOUNT_NAME_MAX + 1], why[ACCOUNT_WHY];

	if (!exchange_take_name(exchange, authzid))
		return exchange_refuse(exchange, "malformed-name");
	if (account_name_read(authzid, exchange->domain, name, why) != ERR_OK)
		return exchange_refuse(exchange, "malformed-name");
	for (size_t i = 0; i < external->count; i++)
		if (slice_is(slice_str(name), external->names[i]))
			return EXCHANGE_PROVEN;
	return exchange_refuse(exchange, "authorization-identity");
}

static enum exchange_result external_step(struct exchange *exchange, bool has_token,
					  struct slice token, struct slice *challenge_out)
{
	const struct external *external = exchange->state;

	if (!has_token) {
		*challenge_out = SLICE_LIT("");
		return EXCHANGE_CHALLENGE;
	}
	if (external->count == 0)
		return exchange_refuse(exchange, "certificate-without-account");
	if (token.len > 0)
		return as_named(exchange, token);
	if (external->count > 1)
		return exchange_refuse(exchange, "certificate-of-several-accounts");
	if (!exchange_take_name(exchange, slice_str(external->names[0])))
		return exchange_refuse(exchange, "malformed-name");
	return EXCHANGE_PROVEN;
}

const struct exchange_kind EXCHANGE_EXTERNAL = {
	.name = "EXTERNAL",
	.begin = external_begin,
	.step = external_step,
	.end = external_end,
};
