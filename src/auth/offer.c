/* SPDX-License-Identifier: Apache-2.0 */
#include "offer.h"

#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "config/config.h"

enum { OFFER_LIST_MAX = 1024 * 1024 };

/*
 * The order is for clients that take the first they know, and for old devices that look for
 * "AUTH PLAIN" or "AUTH LOGIN" in the text: clients that know SCRAM look for it anywhere.
 */
static const char *const DEFAULT[] = {"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"};

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

static void add(const char *name, unsigned traits, char text[OFFER_TEXT])
{
	size_t len = strlen(text);

	if (is_plus(slice_str(name)) && (traits & IPC_TRAIT_BINDING) == 0)
		return;
	if (!offer_has(text, slice_str(name)))
		(void)snprintf(text + len, OFFER_TEXT - len, "%s%s", len > 0 ? " " : "", name);
}

void offer_text(const struct auth *auth, const struct config_listen *listen, unsigned traits,
		char text_out[OFFER_TEXT])
{
	const struct strings *named = &listen->mechanisms;

	text_out[0] = '\0';
	if (listen->auth == AUTH_MODE_OFF)
		return;
	if (named->count == 0)
		named = &auth_config(auth)->auth.mechanisms;
	for (size_t i = 0; i < named->count; i++)
		add(config_mechanism(slice_str(named->items[i])), traits, text_out);
	if (named->count > 0)
		return;
	for (size_t i = 0; i < sizeof(DEFAULT) / sizeof(DEFAULT[0]); i++)
		add(DEFAULT[i], traits, text_out);
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
