/* SPDX-License-Identifier: Apache-2.0 */
#include "generation.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/parse.h"
#include "graph.h"
#include "listeners.h"
#include "os/log.h"

enum {
	CERTIFICATE_MAX = 256 * 1024, /* as IDENTITY takes */
	KEY_MAX = 64 * 1024,
	PASSWORD_MAX = 1024,
	NAMED_FILE_MAX = 256 * 1024, /* as FILE takes */
	EXPLAIN_MAX = 1024,
};

static void complain(struct buf *errors, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A line more, as long as there is room: the first ones matter. */
static void complain(struct buf *errors, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (buf_vprintf(errors, format, args) == ERR_OK)
		(void)buf_append_byte(errors, '\n');
	va_end(args);
}

static struct generation *make(struct config *config)
{
	struct generation *generation = mem_alloc(sizeof(*generation));

	generation->config = config;
	generation->made_at = os_wall_ms();
	return generation;
}

enum err generation_read(const char *path, struct generation **generation_out, struct buf *errors)
{
	struct config *config;
	enum err err;

	err = config_read(path, &config, errors);
	if (err != ERR_OK)
		return err;
	err = config_verify(config, errors);
	if (err != ERR_OK) {
		config_free(&config);
		return err;
	}
	*generation_out = make(config);
	return ERR_OK;
}

enum err generation_again(const struct generation *before, struct generation **generation_out,
			  struct buf *errors)
{
	struct config *config;
	enum err err = config_copy(before->config, &config);

	if (err != ERR_OK) {
		complain(errors, "the configuration cannot be copied: %s", err_name(err));
		return err;
	}
	*generation_out = make(config);
	(*generation_out)->made_at = before->made_at;
	return ERR_OK;
}

void generation_free(struct generation **generation_in)
{
	struct generation *generation = *generation_in;

	if (generation == NULL)
		return;
	*generation_in = NULL;
	for (size_t i = 0; i < generation->listener_count; i++)
		net_close(&generation->listeners[i].fd);
	mem_free(generation->listeners);
	for (size_t i = 0; i < generation->identity_count; i++) {
		secret_clear(&generation->identities[i].certificate);
		secret_clear(&generation->identities[i].key);
	}
	mem_free(generation->identities);
	identities_release(&generation->files);
	for (size_t i = 0; i < generation->authorities_count; i++)
		secret_clear(&generation->authorities[i].certificates);
	mem_free(generation->authorities);
	for (size_t i = 0; i < generation->password_count; i++)
		secret_clear(&generation->passwords[i].value);
	mem_free(generation->passwords);
	for (size_t i = 0; i < generation->named_file_count; i++)
		secret_clear(&generation->named_files[i].value);
	mem_free(generation->named_files);
	mem_free(generation->sources);
	config_free(&generation->config);
	mem_free(generation);
}

struct tls_identity generation_identity(const struct generation *generation, size_t index)
{
	const struct identity *identity = &generation->identities[index];

	return (struct tls_identity){secret_value(&identity->certificate),
				     secret_value(&identity->key)};
}

static void add_source(struct generation *generation, const char *path)
{
	generation->sources = mem_resize(generation->sources, (generation->source_count + 1) *
								      sizeof(*generation->sources));
	generation->sources[generation->source_count++] =
		(struct source){path, os_file_stamp(path)};
}

/* Reads a file and remembers it as a source. what: for the error. */
static enum err read_source(struct generation *generation, const char *what, const char *path,
			    size_t max, struct secret *value, struct buf *errors)
{
	char why[EXPLAIN_MAX];
	struct buf bytes;
	enum err err;

	add_source(generation, path);
	buf_init(&bytes, max);
	err = os_read_file(path, max, &bytes);
	if (err == ERR_OK)
		secret_set(value, buf_data(&bytes));
	else if (err == ERR_RANGE)
		complain(errors, "%s: %s is larger than %zu bytes; is it the right file?", what,
			 path, max);
	else if (err == ERR_SYNTAX)
		complain(errors, "%s: %s is not a regular file", what, path);
	if (err == ERR_IO || err == ERR_NOT_FOUND || err == ERR_DENIED) {
		os_explain_file(path, errno, why, sizeof(why));
		complain(errors, "%s: %s", what, why);
	}
	buf_wipe(&bytes);
	return err;
}

static bool wants_tls(const struct config *config)
{
	for (size_t i = 0; i < config->listen_count; i++)
		if (config->listens[i].tls != TLS_MODE_NONE)
			return true;
	return false;
}

static void describe(const struct identity_files *files, const char *what, char *text, size_t size)
{
	if (files->label[0] == '\0')
		snprintf(text, size, "tls: %s", what);
	else
		snprintf(text, size, "%s \"%s\": %s", files->found ? "tls: folder" : "certificate",
			 files->label, what);
}

static enum err read_identity(struct generation *generation, const struct identity_files *files,
			      struct identity *identity, struct buf *errors)
{
	struct tls_identity pair;
	char what[256], why[TLS_WHY_MAX];
	enum err err;

	describe(files, "certificate", what, sizeof(what));
	err = read_source(generation, what, files->certificate, CERTIFICATE_MAX,
			  &identity->certificate, errors);
	if (strcmp(files->certificate, files->key) != 0) {
		enum err key_err;

		describe(files, "key", what, sizeof(what));
		key_err =
			read_source(generation, what, files->key, KEY_MAX, &identity->key, errors);
		if (err == ERR_OK)
			err = key_err;
	}
	if (err != ERR_OK)
		return err;
	pair = (struct tls_identity){secret_value(&identity->certificate),
				     secret_value(&identity->key)};
	err = tls_identity_check(&pair, NULL, os_wall_ms(), why);
	/* An expired certificate is bad, no service at all is worse: doctor and clients complain.
	 */
	if (err == ERR_OK || err == ERR_RANGE)
		return ERR_OK;
	describe(files, files->certificate, what, sizeof(what));
	complain(errors, "%s and %s: %s", what, files->key, why);
	return err;
}

/* What was found in a folder and is of no use is left out, and told: the others go on. */
static enum err read_found(struct generation *generation, const struct identity_files *files,
			   struct identity *identity)
{
	struct buf words;
	enum err err;

	buf_init(&words, 4 * EXPLAIN_MAX);
	err = read_identity(generation, files, identity, &words);
	if (err != ERR_OK) {
		struct slice text = buf_data(&words);

		log_event(LOG_WARNING, "note",
			  LOG_SLICE("text", slice_head(text, slice_find(text, '\n'))));
	}
	buf_release(&words);
	return err;
}

static enum err read_identities(struct generation *generation, struct buf *errors)
{
	char why[IDENTITIES_WHY_MAX];
	enum err first = ERR_OK;

	if (!wants_tls(generation->config))
		return ERR_OK;
	if (identities_list(generation->config, &generation->files, why) != ERR_OK) {
		complain(errors, "tls: folder: %s", why);
		return ERR_IO;
	}
	if (generation->config->tls.folder != NULL)
		add_source(generation, generation->config->tls.folder);
	generation->identities = mem_array(generation->files.count, sizeof(struct identity));
	for (size_t i = 0; i < generation->files.count; i++) {
		const struct identity_files *files = &generation->files.items[i];
		struct identity identity = {.files = files};
		enum err err = files->found ? read_found(generation, files, &identity)
					    : read_identity(generation, files, &identity, errors);

		if (err == ERR_OK) {
			generation->identities[generation->identity_count++] = identity;
			continue;
		}
		secret_clear(&identity.certificate);
		secret_clear(&identity.key);
		if (!files->found && first == ERR_OK)
			first = err;
	}
	return first;
}

static enum err read_password(struct generation *generation, const struct config_relay *relay,
			      struct buf *errors)
{
	struct password *password = &generation->passwords[generation->password_count];
	struct secret file = {0};
	struct slice line;
	enum err err;

	err = read_source(generation, "password_file", relay->password_file, PASSWORD_MAX, &file,
			  errors);
	if (err != ERR_OK)
		return err;
	line = slice_line(secret_value(&file));
	if (line.len == 0) {
		complain(errors,
			 "relay \"%s\": the first line of %s is empty; the password belongs there",
			 relay->name, relay->password_file);
		err = ERR_SYNTAX;
	} else {
		password->name = relay->name;
		secret_set(&password->value, line);
		generation->password_count++;
	}
	secret_clear(&file);
	return err;
}

static enum err read_passwords(struct generation *generation, struct buf *errors)
{
	const struct config *config = generation->config;
	enum err err = ERR_OK;

	generation->passwords = mem_array(config->relay_count + 1, sizeof(*generation->passwords));
	for (size_t i = 0; i < config->relay_count; i++) {
		enum err one = config->relays[i].password_file == NULL
				       ? ERR_OK
				       : read_password(generation, &config->relays[i], errors);

		if (err == ERR_OK)
			err = one;
	}
	return err;
}

/* There have to be authorities in it. */
static enum err try_authorities(const char *what, const char *path, struct slice pem,
				struct buf *errors)
{
	struct tls_authorities *tried = NULL;
	char why[TLS_WHY_MAX];
	enum err err = tls_authorities_new(pem, &tried, why);

	if (err != ERR_OK)
		complain(errors, "%s: %s: %s", what, path, why);
	else
		tls_authorities_free(&tried);
	return err;
}

static enum err read_authority(struct generation *generation, const struct config_listen *listen,
			       struct buf *errors)
{
	struct authorities *authorities = &generation->authorities[generation->authorities_count];
	char what[300];
	enum err err;

	snprintf(what, sizeof(what), "listen \"%s\": client_ca", listen->name);
	err = read_source(generation, what, listen->client_ca, CERTIFICATE_MAX,
			  &authorities->certificates, errors);
	if (err != ERR_OK)
		return err;
	authorities->listener = listen->name;
	generation->authorities_count++;
	return try_authorities(what, listen->client_ca, secret_value(&authorities->certificates),
			       errors);
}

static enum err read_authorities(struct generation *generation, struct buf *errors)
{
	const struct config *config = generation->config;
	enum err err = ERR_OK;

	generation->authorities =
		mem_array(config->listen_count + 1, sizeof(*generation->authorities));
	for (size_t i = 0; i < config->listen_count; i++) {
		enum err one = config->listens[i].client_ca == NULL
				       ? ERR_OK
				       : read_authority(generation, &config->listens[i], errors);

		if (err == ERR_OK)
			err = one;
	}
	return err;
}

/* named: all but value is set. Of several faults *first_out keeps the first. */
static void read_named(struct generation *generation, const struct named_file *named,
		       const char *path, size_t max, struct buf *errors, enum err *first_out)
{
	struct named_file *file = &generation->named_files[generation->named_file_count];
	bool titled = named->title[0] != '\0';
	char what[256];
	enum err err;

	if (path == NULL)
		return;
	*file = *named;
	snprintf(what, sizeof(what), "%s%s%s%s: %s", file->section, titled ? " \"" : "",
		 file->title, titled ? "\"" : "", file->setting);
	err = read_source(generation, what, path, max, &file->value, errors);
	if (err == ERR_OK) {
		generation->named_file_count++;
		if (named->certificates)
			err = try_authorities(what, path, secret_value(&file->value), errors);
	}
	if (*first_out == ERR_OK)
		*first_out = err;
}

static void read_token_files(struct generation *generation, const struct config_token *token,
			     struct buf *errors, enum err *first_out)
{
	struct named_file named = {.section = "token", .title = token->name};

	named.setting = "jwks_file";
	named.gets = GETS_TOKEN_KEYS;
	read_named(generation, &named, token->jwks_file, NAMED_FILE_MAX, errors, first_out);
	named.setting = "client_secret_file";
	named.gets = GETS_AGENT;
	read_named(generation, &named, token->client_secret_file, NAMED_FILE_MAX, errors,
		   first_out);
	named.setting = "ca_file";
	named.certificates = true;
	read_named(generation, &named, token->ca_file, NAMED_FILE_MAX, errors, first_out);
}

static void read_alert_files(struct generation *generation, struct buf *errors, enum err *first_out)
{
	const struct config *config = generation->config;
	struct named_file named = {.section = "alert", .title = "", .gets = GETS_AGENT};

	named.setting = "webhook_secret_file";
	read_named(generation, &named, config->alert.webhook_secret_file, NAMED_FILE_MAX, errors,
		   first_out);
	named.setting = "webhook_ca_file";
	named.certificates = true;
	read_named(generation, &named, config->alert.webhook_ca_file, NAMED_FILE_MAX, errors,
		   first_out);
}

/* What is in them is looked at by those who get them, but for certificates. */
static enum err read_named_files(struct generation *generation, struct buf *errors)
{
	const struct config *config = generation->config;
	enum err err = ERR_OK;

	generation->named_files = mem_array(3 * config->token_count + config->backend_count + 2,
					    sizeof(*generation->named_files));
	for (size_t i = 0; i < config->token_count; i++)
		read_token_files(generation, &config->tokens[i], errors, &err);
	for (size_t i = 0; i < config->backend_count; i++) {
		const struct config_backend *backend = &config->backends[i];
		const struct named_file named = {.section = "backend",
						 .title = backend->name,
						 .setting = "bind_password_file",
						 .gets = GETS_BIND_PASSWORD};

		read_named(generation, &named, backend->ldap.bind_password_file, PASSWORD_MAX,
			   errors, &err);
	}
	read_alert_files(generation, errors, &err);
	return err;
}

enum err generation_fill(struct generation *generation, const struct generation *before,
			 struct buf *errors)
{
	enum err listeners = listeners_bind(generation, before, errors);
	enum err identity = read_identities(generation, errors);
	enum err authorities = read_authorities(generation, errors);
	enum err passwords = read_passwords(generation, errors);
	enum err named = read_named_files(generation, errors);

	if (listeners != ERR_OK)
		return listeners;
	if (identity != ERR_OK)
		return identity;
	if (authorities != ERR_OK)
		return authorities;
	return passwords != ERR_OK ? passwords : named;
}

bool generation_files_changed(const struct generation *generation)
{
	for (size_t i = 0; i < generation->source_count; i++) {
		struct os_stamp now = os_file_stamp(generation->sources[i].path);

		if (memcmp(&now, &generation->sources[i].stamp, sizeof(now)) != 0)
			return true;
	}
	return false;
}

void generation_note_files(struct generation *generation)
{
	for (size_t i = 0; i < generation->source_count; i++)
		generation->sources[i].stamp = os_file_stamp(generation->sources[i].path);
}
