/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "os/maildir.h"
#include "os/os.h"
#include "dns/resolve.h"
#include "tls/tls.h"

/* Authorities of one file. */
struct authorities {
	struct authorities *next;
	char *file;
	struct tls_context *context;
};

struct settings {
	struct authorities *authorities;
	char **folders; /* NULL-terminated */
	size_t folder_count;
};

static struct authorities *find_authorities(const struct settings *settings, const char *file)
{
	for (struct authorities *a = settings->authorities; a; a = a->next)
		if (!strcmp(a->file, file))
			return a;
	return NULL;
}

static bool has_folder(const struct settings *settings, const char *folder)
{
	for (size_t i = 0; i < settings->folder_count; i++)
		if (!strcmp(settings->folders[i], folder))
			return true;
	return false;
}

/* ---- the start ---- */

static enum err load_authorities(struct settings *settings, const struct config_relay *config,
				 char *why)
{
	struct tls_context *context;
	struct authorities *loaded;
	char tls_why[TLS_WHY_MAX];
	enum err err;

	if (!config->ca_file || find_authorities(settings, config->ca_file))
		return ERR_OK;
	err = tls_client_context_new(config->ca_file, true, &context, tls_why);
	if (err != ERR_OK) {
		snprintf(why, 512, "relay %.100s: %s", config->name, tls_why);
		return err;
	}
	loaded = mem_alloc(sizeof(*loaded));
	loaded->file = mem_strdup(config->ca_file);
	loaded->context = context;
	loaded->next = settings->authorities;
	settings->authorities = loaded;
	return ERR_OK;
}

static enum err make_folder(struct settings *settings, const struct config *config,
			    const char *folder, char *why)
{
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	char user[256];
	enum err err;

	if (has_folder(settings, folder))
		return ERR_OK;
	if (os_is_root() && config_user(config, "relay", user))
		(void)os_user(user, &uid, &gid); /* a missing one is told of later */
	err = maildir_make(folder, uid, gid);
	if (err != ERR_OK) {
		os_explain_file(folder, errno, why, 512);
		return err;
	}
	settings->folders = mem_resize(settings->folders,
				       (settings->folder_count + 2) * sizeof(*settings->folders));
	settings->folders[settings->folder_count++] = mem_strdup(folder);
	settings->folders[settings->folder_count] = NULL;
	return ERR_OK;
}

enum err settings_start(struct relay *relay, const struct config *config, char *why)
{
	struct settings *settings = mem_alloc(sizeof(*settings));
	char tls_why[TLS_WHY_MAX];
	enum err err;

	relay->settings = settings;
	settings->folders = mem_alloc(sizeof(*settings->folders));
	err = tls_client_context_new(NULL, false, &relay->tls_any, tls_why);
	if (err != ERR_OK) {
		snprintf(why, 512, "%s", tls_why);
		return err;
	}
	/* Those who need it are told when they do. */
	(void)tls_client_context_new(NULL, true, &relay->tls_system, relay->tls_system_why);
	for (size_t i = 0; err == ERR_OK && i < config->relay_count; i++)
		err = load_authorities(settings, &config->relays[i], why);
	for (size_t i = 0; err == ERR_OK && i < config->route_count; i++)
		if (config->routes[i].kind == ROUTE_CAPTURE)
			err = make_folder(settings, config, config->routes[i].target, why);
	return err;
}

const char *const *settings_folders(const struct relay *relay)
{
	char **folders = relay->settings->folders;

	return (const char *const *)folders;
}

/* ---- later configurations ---- */

enum err settings_prepare(struct relay *relay, const struct config *config, char *why)
{
	if (resolver_differs(relay->resolver, config)) {
		snprintf(why, 512, "delivery.resolvers cannot be changed by a reload: restart");
		return ERR_DENIED;
	}
	for (size_t i = 0; i < config->relay_count; i++) {
		const struct config_relay *section = &config->relays[i];

		if (section->ca_file && !find_authorities(relay->settings, section->ca_file)) {
			snprintf(
				why, 512,
				"relay %.100s: another ca_file cannot be read by a reload: restart",
				section->name);
			return ERR_DENIED;
		}
	}
	for (size_t i = 0; i < config->route_count; i++) {
		const struct config_route *route = &config->routes[i];

		if (route->kind == ROUTE_CAPTURE && !has_folder(relay->settings, route->target)) {
			snprintf(why, 512,
				 "route %.100s: a new capture folder takes a restart, not a reload",
				 route->name);
			return ERR_DENIED;
		}
	}
	return ERR_OK;
}

static void free_credentials(struct relay_credential **list)
{
	while (*list) {
		struct relay_credential *credential = *list;

		*list = credential->next;
		secret_clear(&credential->password);
		mem_free(credential->name);
		mem_free(credential);
	}
}

static struct relay_credential *credential_of(struct relay_credential **list, struct slice name)
{
	struct relay_credential *credential;

	for (credential = *list; credential; credential = credential->next)
		if (slice_is(name, credential->name))
			return credential;
	credential = mem_alloc(sizeof(*credential));
	credential->name = mem_strndup(name.ptr, name.len);
	credential->next = *list;
	*list = credential;
	return credential;
}

void settings_secret(struct relay *relay, struct slice name, struct slice value)
{
	struct relay_credential *credential = credential_of(&relay->next_credentials, name);

	secret_set(&credential->password, value);
	credential->has_password = true;
}

void settings_commit(struct relay *relay)
{
	free_credentials(&relay->credentials);
	relay->credentials = relay->next_credentials;
	relay->next_credentials = NULL;
	for (size_t i = 0; i < relay->config->relay_count; i++) {
		const struct config_relay *section = &relay->config->relays[i];
		struct relay_credential *credential =
			credential_of(&relay->credentials, slice_str(section->name));
		const struct authorities *authorities =
			section->ca_file ? find_authorities(relay->settings, section->ca_file)
					 : NULL;

		credential->tls = authorities ? authorities->context : NULL;
	}
}

void settings_rollback(struct relay *relay)
{
	free_credentials(&relay->next_credentials);
}

const struct relay_credential *relay_credential_find(const struct relay *relay, const char *name)
{
	for (const struct relay_credential *c = relay->credentials; c; c = c->next)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

void settings_free(struct relay *relay)
{
	struct settings *settings = relay->settings;

	free_credentials(&relay->credentials);
	free_credentials(&relay->next_credentials);
	tls_context_free(&relay->tls_any);
	tls_context_free(&relay->tls_system);
	if (!settings)
		return;
	while (settings->authorities) {
		struct authorities *authorities = settings->authorities;

		settings->authorities = authorities->next;
		tls_context_free(&authorities->context);
		mem_free(authorities->file);
		mem_free(authorities);
	}
	for (size_t i = 0; i < settings->folder_count; i++)
		mem_free(settings->folders[i]);
	mem_free(settings->folders);
	MEM_FREE(relay->settings);
}
