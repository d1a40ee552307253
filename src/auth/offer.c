/* SPDX-License-Identifier: Apache-2.0 */
#include "offer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "backends.h"
#include "certificates.h"
#include "config/config.h"

enum { OFFER_LIST_MAX = 1024 * 1024 };

/*
 * The order is for clients that take the first they know, and for old devices that look for
 * "AUTH PLAIN" or "AUTH LOGIN" in the text: clients that know SCRAM look for it anywhere.
 */
static const char *const DEFAULT[] = {"PLAIN",    "LOGIN",  "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
				      "EXTERNAL", "GSSAPI", "OAUTHBEARER",   "XOAUTH2"};

static bool is_plus(struct slice mechanism)
{
	return mechanism.len > 5 && slice_is(slice_skip(mechanism, mechanism.len - 5), "-PLUS");
}

bool offer_has(const char *text, struct slice mechanism)
{
	struct slice rest = slice_str(text), name;

	while (slice_split(&rest, ' ', &name))
		if (slice_equal_nocase(name, mechanism))
			return true;
	return false;
}

bool offer_has_plus(const char *text)
{
	struct slice rest = slice_str(text), name;

	while (slice_split(&rest, ' ', &name))
		if (is_plus(name))
			return true;
	return false;
}

/* One that is made out to nobody is of use only if it was registered, and smtpd knows not which
 * are. */
static bool is_for_certificate(const struct auth *auth, unsigned traits)
{
	return (traits & IPC_TRAIT_CERTIFICATE) != 0 &&
	       ((traits & IPC_TRAIT_NAMED) != 0 || certificates_any(auth->certificates));
}

/* Whether it can be done at all, for such a session. */
static bool is_possible(const struct auth *auth, const struct config_listen *listen,
			const char *name, unsigned traits)
{
	struct slice mechanism = slice_str(name);

	if (offer_has_plus(name))
		return (traits & IPC_TRAIT_BINDING) != 0;
	if (slice_is(mechanism, "EXTERNAL"))
		return listen->client_ca != NULL && is_for_certificate(auth, traits);
	if (slice_is(mechanism, "GSSAPI"))
		return auth->kerberos != NULL;
	/* Of no use where no issuer of tokens is named. */
	if (slice_is(mechanism, "OAUTHBEARER") || slice_is(mechanism, "XOAUTH2"))
		return auth_config(auth)->token_count > 0;
	return true;
}

/*
 * Whether all accounts can use it: a client that prefers it must not fail for that. A back end can
 * say whether a password is right, and nothing else.
 */
static bool is_for_all(const struct auth *auth, const char *name)
{
	return !slice_starts(slice_str(name), "SCRAM-") ||
	       (auth->without_scram == 0 && backends_count(auth->backends) == 0);
}

void offer_text(const struct auth *auth, const struct config_listen *listen, unsigned traits,
		char text_out[OFFER_TEXT])
{
	const struct strings *named = &listen->mechanisms;
	size_t count, len = 0;

	text_out[0] = '\0';
	if (listen->auth == AUTH_MODE_OFF)
		return;
	if (named->count == 0)
		named = &auth_config(auth)->auth.mechanisms;
	count = named->count != 0 ? named->count : sizeof(DEFAULT) / sizeof(DEFAULT[0]);
	for (size_t i = 0; i < count; i++) {
		const char *name = named->count != 0 ? config_mechanism(slice_str(named->items[i]))
						     : DEFAULT[i];

		if (named->count == 0 && !is_for_all(auth, name))
			continue;
		if (is_possible(auth, listen, name, traits) &&
		    !offer_has(text_out, slice_str(name)))
			len += (size_t)snprintf(text_out + len, OFFER_TEXT - len, "%s%s",
						len > 0 ? " " : "", name);
	}
}

enum err offer_list(const struct auth *auth, struct ipc_list_builder *list_out)
{
	const struct config *config = auth_config(auth);
	char text[OFFER_TEXT];
	enum err err = ERR_OK;

	ipc_list_begin(list_out, OFFER_LIST_MAX);
	for (size_t i = 0; err == ERR_OK && i < config->listen_count; i++) {
		for (unsigned traits = 0; err == ERR_OK && traits <= IPC_TRAIT_ALL; traits++) {
			struct rec_offer offer = {
				.listener = slice_str(config->listens[i].name),
				.traits = (uint8_t)traits,
			};

			if ((traits != 0 && (traits & IPC_TRAIT_TLS) == 0) ||
			    ((traits & IPC_TRAIT_NAMED) != 0 &&
			     (traits & IPC_TRAIT_CERTIFICATE) == 0))
				continue; /* there is no such session */
			offer_text(auth, &config->listens[i], traits, text);
			offer.mechanisms = slice_str(text);
			err = ipc_list_add(list_out, IPC_REC_offer, &offer);
		}
	}
	return err;
}

static bool lists(const struct strings *mechanisms, const char *name)
{
	for (size_t i = 0; i < mechanisms->count; i++)
		if (slice_is_nocase(slice_str(mechanisms->items[i]), name))
			return true;
	return false;
}

bool offer_names(const struct config *config, const char *mechanism)
{
	if (lists(&config->auth.mechanisms, mechanism))
		return true;
	for (size_t i = 0; i < config->listen_count; i++)
		if (lists(&config->listens[i].mechanisms, mechanism))
			return true;
	return false;
}

void offer_best(const struct auth *auth, char text_out[OFFER_TEXT])
{
	const struct config *config = auth_config(auth);
	char text[OFFER_TEXT];
	struct slice rest, name;
	size_t len = 0;

	text_out[0] = '\0';
	for (size_t i = 0; i < config->listen_count; i++) {
		offer_text(auth, &config->listens[i],
			   config->listens[i].tls == TLS_MODE_NONE ? 0 : IPC_TRAIT_ALL, text);
		rest = slice_str(text);
		while (slice_split(&rest, ' ', &name))
			if (!offer_has(text_out, name))
				len += (size_t)snprintf(text_out + len, OFFER_TEXT - len, "%s%.*s",
							len > 0 ? " " : "", SLICE_ARG(name));
	}
}

static void add_without(const char *mechanism, uint64_t count, char why_out[OFFER_WHY], size_t *len)
{
	if (count > 0)
		*len += (size_t)snprintf(
			why_out + *len, OFFER_WHY - *len,
			"%s%" PRIu64 " password%s set before %s was configured, or elsewhere, "
			"cannot be used with it; set anew they can",
			*len > 0 ? ". " : "", count, count == 1 ? "" : "s", mechanism);
}

void offer_obstacle(const struct auth *auth, const struct offer_missing *missing,
		    char why_out[OFFER_WHY])
{
	const struct config *config = auth_config(auth);
	bool named =
		offer_names(config, "SCRAM-SHA-256") || offer_names(config, "SCRAM-SHA-256-PLUS");
	size_t len = 0;

	why_out[0] = '\0';
	if (auth->without_scram > 0)
		len += (size_t)snprintf(
			why_out, OFFER_WHY,
			"%" PRIu64
			" account%s cannot use SCRAM, since the password is not proven by "
			"this store%s; postern user password sets one that is",
			auth->without_scram, auth->without_scram == 1 ? "" : "s",
			named ? " but it is offered, as configured" : ": it is not offered");
	if (auth->without_scram > 0 && missing->hashes > 0)
		len += (size_t)snprintf(why_out + len, OFFER_WHY - len,
					" (%" PRIu64 " of them %s an imported hash, to which the "
					"next good login puts an end)",
					missing->hashes, missing->hashes == 1 ? "has" : "have");
	if (auth->without_scram == 0 && backends_count(auth->backends) > 0 && !named)
		len += (size_t)snprintf(
			why_out, OFFER_WHY,
			"SCRAM is not offered, since a back end can say whether a "
			"password is right, and nothing else; mechanisms overrides that");
	add_without("SCRAM-SHA-1", missing->sha_1, why_out, &len);
	add_without("CRAM-MD5", missing->cram_md5, why_out, &len);
	if (config->auth.keytab != NULL && auth->kerberos == NULL)
		(void)snprintf(why_out + len, OFFER_WHY - len,
			       "%sGSSAPI is not offered: the keytab was of no use when postern "
			       "started, as the log says",
			       len > 0 ? ". " : "");
}
