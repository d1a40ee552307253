/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/check_tokens.h"

#include <stdio.h>

#include "base/buf.h"
#include "config/config.h"
#include "os/os.h"
#include "tls/tls.h"
#include "token/token.h"

enum { FILE_BYTES = 262144 };

static unsigned check_keys(const struct config_token *token, struct slice text)
{
	struct token_keys *keys = NULL;
	char why[TOKEN_WHY];
	bool good = token_keys_read(text, &keys, why) == ERR_OK;

	token_keys_free(&keys);
	if (why[0] != '\0')
		fprintf(stderr, "%stoken \"%s\": jwks_file: %s: %s\n", good ? "note: " : "",
			token->name, token->jwks_file, why);
	return good ? 0 : 1;
}

static unsigned check_authorities(const struct config_token *token, struct slice text)
{
	struct tls_authorities *authorities = NULL;
	char why[TLS_WHY_MAX];
	bool good = tls_authorities_new(text, &authorities, why) == ERR_OK;

	if (good)
		tls_authorities_free(&authorities);
	else
		fprintf(stderr, "token \"%s\": ca_file: %s: %s\n", token->name, token->ca_file,
			why);
	return good ? 0 : 1;
}

static unsigned check_secret(const struct config_token *token, struct slice text)
{
	const char *path = token->client_secret_file;

	if (os_all_may_read(path))
		fprintf(stderr,
			"note: token \"%s\": every user of this machine can read the secret in %s: "
			"chmod o= %s\n",
			token->name, path, path);
	text = slice_head(text, slice_find(text, '\n'));
	if (text.len > 0 && text.ptr[0] != '\r')
		return 0;
	fprintf(stderr,
		"token \"%s\": client_secret_file: %s: its first line is empty; it has to be the "
		"secret that the issuer has for client_id\n",
		token->name, path);
	return 1;
}

static unsigned check_file(const struct config_token *token, const char *path,
			   unsigned (*check)(const struct config_token *token, struct slice text))
{
	unsigned faults = 0;
	struct buf text;

	if (path == NULL)
		return 0;
	buf_init(&text, FILE_BYTES);
	if (os_read_file(path, FILE_BYTES, &text) == ERR_OK)
		faults = check(token, buf_data(&text));
	buf_wipe(&text);
	return faults;
}

unsigned check_tokens(const struct config *config)
{
	unsigned faults = 0;

	token_seed((uint32_t)os_random_u64() | 1);
	for (size_t i = 0; i < config->token_count; i++) {
		const struct config_token *token = &config->tokens[i];

		faults += check_file(token, token->jwks_file, check_keys);
		faults += check_file(token, token->ca_file, check_authorities);
		faults += check_file(token, token->client_secret_file, check_secret);
	}
	return faults;
}
