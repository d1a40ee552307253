/* SPDX-License-Identifier: Apache-2.0 */
#include "offer.h"

#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "backends.h"
#include "config/config.h"

enum { OFFER_LIST_MAX = 1024 * 1024 };

/*
 * The order is for clients that take the first they know, and for old devices that look for
 * "AUTH PLAIN" or "AUTH LOGIN" in the text: clients that know SCRAM look for it anywhere.
 */
static const char *const DEFAULT[] = {"PLAIN",    "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
				      "EXTERNAL", "GSSAPI"};

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

/* Whether it can be done at all, for such a session. */
static bool is_possible(const struct auth *auth, const struct config_listen *listen,
			const char *name, unsigned traits)
{
	struct slice mechanism = slice_str(name);

	if (offer_has_plus(name))
		return (traits & IPC_TRAIT_BINDING) != 0;
	if (slice_is(mechanism, "EXTERNAL"))
		return listen->client_ca != NULL && (traits & IPC_TRAIT_CERTIFICATE) != 0;
	if (slice_is(mechanism, "GSSAPI"))
		return auth->kerberos != NULL;
	return true;
}

/* A back end can say whether a password is right, and nothing else. */
static bool serves_all(const struct auth *auth, const char *name)
{
	return backends_count(auth->backends) == 0 ||
	       !slice_is(slice_head(slice_str(name), 5), "SCRAM");
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

		if (named->count == 0 && !serves_all(auth, name))
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

			if (traits != 0 && (traits & IPC_TRAIT_TLS) == 0)
				continue;
			offer_text(auth, &config->listens[i], traits, text);
			offer.mechanisms = slice_str(text);
			err = ipc_list_add(list_out, IPC_REC_offer, &offer);
		}
	}
	return err;
}
