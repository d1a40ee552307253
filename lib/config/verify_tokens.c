/* SPDX-License-Identifier: Apache-2.0 */
/* Issuers of tokens: how each is checked, and mechanisms that would be of no use without any. */
#include "config/verifier.h"

#include <string.h>

#include "config/config.h"

/* Why not exactly one of the three ways to check a token is there; the last one that is there. */
static void verify_token_way(struct verifier *verifier, size_t index)
{
	const struct config_token *token = &verifier->config->tokens[index];
	const struct {
		const char *name, *value;
	} ways[] = {{"jwks_file", token->jwks_file},
		    {"jwks_url", token->jwks_url},
		    {"introspect_url", token->introspect_url}};
	const char *last = "issuer";
	int count = 0;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (ways[i].value != NULL) {
			last = ways[i].name;
			count++;
		}
	if (count != 1)
		disagree(verifier, (struct spot){"token", index, last},
			 "token \"%s\": %s of jwks_file, jwks_url and introspect_url is set; "
			 "exactly one says how tokens are checked",
			 token->name, count == 0 ? "none" : "more than one");
}

static void verify_token(struct verifier *verifier, size_t index)
{
	const struct config_token *token = &verifier->config->tokens[index];

	verify_token_way(verifier, index);
	if ((token->client_id != NULL) != (token->client_secret_file != NULL))
		disagree(verifier,
			 (struct spot){"token", index,
				       token->client_id != NULL ? "client_id"
								: "client_secret_file"},
			 "token \"%s\": client_id and client_secret_file belong together; set "
			 "both, or none",
			 token->name);
	else if (token->client_id != NULL && token->introspect_url == NULL)
		disagree(verifier, (struct spot){"token", index, "client_id"},
			 "token \"%s\": client_id is of no use without introspect_url; take it out",
			 token->name);
	if (token->ca_file != NULL && token->jwks_url == NULL && token->introspect_url == NULL)
		disagree(verifier, (struct spot){"token", index, "ca_file"},
			 "token \"%s\": ca_file is of no use without jwks_url or introspect_url; "
			 "take it out",
			 token->name);
	verify_readable(verifier, (struct spot){"token", index, "jwks_file"}, token->jwks_file, "");
	verify_readable(verifier, (struct spot){"token", index, "client_secret_file"},
			token->client_secret_file, "");
	verify_readable(verifier, (struct spot){"token", index, "ca_file"}, token->ca_file, "");
}

static bool names_bearer(const struct strings *mechanisms)
{
	for (size_t i = 0; i < mechanisms->count; i++)
		if (slice_is_nocase(slice_str(mechanisms->items[i]), "OAUTHBEARER") ||
		    slice_is_nocase(slice_str(mechanisms->items[i]), "XOAUTH2"))
			return true;
	return false;
}

static void verify_no_bearer(struct verifier *verifier)
{
	static const char text[] =
		"mechanisms: tokens are of no use without a token section, which "
		"says whose they are; take OAUTHBEARER and XOAUTH2 out, or add one";
	const struct config *config = verifier->config;

	if (names_bearer(&config->auth.mechanisms))
		disagree(verifier, (struct spot){"auth", 0, "mechanisms"}, "auth: %s", text);
	for (size_t i = 0; i < config->listen_count; i++)
		if (names_bearer(&config->listens[i].mechanisms))
			disagree(verifier, (struct spot){"listen", i, "mechanisms"},
				 "listen \"%s\": %s", config->listens[i].name, text);
}

void verify_tokens(struct verifier *verifier)
{
	const struct config *config = verifier->config;

	if (config->token_count == 0)
		verify_no_bearer(verifier);
	for (size_t i = 0; i < config->token_count; i++) {
		verify_token(verifier, i);
		for (size_t n = 0; n < i; n++)
			if (strcmp(config->tokens[i].issuer, config->tokens[n].issuer) == 0)
				disagree(verifier, (struct spot){"token", i, "issuer"},
					 "token \"%s\": token \"%s\" has the same issuer; one "
					 "section "
					 "tells all of it",
					 config->tokens[i].name, config->tokens[n].name);
	}
}
