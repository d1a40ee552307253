/* SPDX-License-Identifier: Apache-2.0 */
/* Back ends: settings that are of no use, do not fit together, or would show passwords. */
#include "config/verifier.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/reader.h"

#define OF(type) (1u << BACKEND_##type)

/* A setting that says something to other types only would be a mistake that nobody notices. */
static void verify_backend(struct verifier *verifier, size_t index)
{
	const struct config_backend *backend = &verifier->config->backends[index];
	const struct {
		const char *name;
		bool set;
		unsigned types;
	} settings[] = {
		{"socket", backend->socket != NULL, OF(SASLAUTHD) | OF(DOVECOT)},
		{"file", backend->file != NULL, OF(SASLDB) | OF(PASSWD_FILE)},
		{"realm", backend->realm != NULL, OF(SASLAUTHD) | OF(SASLDB) | OF(DOVECOT)},
		{"application", backend->application != NULL, OF(SASLAUTHD) | OF(SASLDB)},
		{"config_path", backend->config_path != NULL, OF(SASLAUTHD) | OF(SASLDB) | OF(PAM)},
		{"service", backend->service != NULL, OF(SASLAUTHD) | OF(PAM) | OF(DOVECOT)},
		{"command", backend->command.count != 0, OF(EXEC)},
		{"servers", backend->ldap.servers.count != 0, OF(LDAP)},
		{"starttls", backend->ldap.starttls, OF(LDAP)},
		{"ca_file", backend->ldap.ca_file != NULL, OF(LDAP)},
		{"base", backend->ldap.base != NULL, OF(LDAP)},
		{"filter", backend->ldap.filter != NULL, OF(LDAP)},
		{"scope", backend->ldap.scope != LDAP_SCOPE_OF_SUBTREE, OF(LDAP)},
		{"bind_dn", backend->ldap.bind_dn != NULL, OF(LDAP)},
		{"bind_password_file", backend->ldap.bind_password_file != NULL, OF(LDAP)},
		{"bind_template", backend->ldap.bind_template != NULL, OF(LDAP)},
		{"scheme", backend->scheme != HASH_CRYPT, OF(PASSWD_FILE)},
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (settings[i].set && !(settings[i].types & (1u << backend->type)))
			disagree(verifier, (struct spot){"backend", index, settings[i].name},
				 "backend \"%s\": %s is of no use with type = \"%s\"; take it "
				 "out",
				 backend->name, settings[i].name,
				 config_backend_type(backend->type));
	if (backend->type == BACKEND_PASSWD_FILE && backend->file == NULL)
		disagree(verifier, (struct spot){"backend", index, "type"},
			 "backend \"%s\": set file = \"...\" to the file with its hashes",
			 backend->name);
}

/* Root starts its processes as this user, in this group. */
static void verify_backend_user(struct verifier *verifier, size_t index)
{
	const struct config_backend *backend = &verifier->config->backends[index];
	char user[256];

	if (geteuid() != 0)
		return;
	if (backend->user != NULL)
		snprintf(user, sizeof(user), "%.200s", backend->user);
	else if (!config_user(verifier->config, "backend", user))
		user[0] = '\0';
	if (user[0] != '\0' && getpwnam(user) == NULL)
		disagree(verifier, (struct spot){"backend", index, "user"},
			 "backend \"%s\": there is no user %s to run its processes; make it: "
			 "adduser "
			 "--system --group --no-create-home %s",
			 backend->name, user, user);
	if (backend->group != NULL && getgrnam(backend->group) == NULL)
		disagree(verifier, (struct spot){"backend", index, "group"},
			 "backend \"%s\": there is no group %s on this machine", backend->name,
			 backend->group);
}

/* ---- ldap ----------------------------------------------------------------------------------- */

/* The host of a URL, without its port and without the brackets of an IPv6 address. */
static struct slice host_of(struct slice authority)
{
	if (authority.len != 0 && authority.ptr[0] == '[')
		return slice_head(slice_skip(authority, 1), slice_find(authority, ']') - 1);
	return slice_head(authority, slice_find(authority, ':'));
}

static bool is_this_machine(struct slice host)
{
	if (slice_starts(host, "127."))
		for (size_t i = 0; i < host.len; i++)
			if (host.ptr[i] != '.' && !ascii_is_digit(host.ptr[i]))
				return false; /* 127.example.org */
	return slice_is_nocase(host, "localhost") || slice_starts(host, "127.") ||
	       slice_is(host, "::1");
}

static void verify_server(struct verifier *verifier, size_t index, const char *server)
{
	const struct config_backend *backend = &verifier->config->backends[index];
	const struct spot spot = {"backend", index, "servers"};
	struct slice url = slice_str(server), host;
	bool tls = slice_starts(url, "ldaps://");

	if (!tls && !slice_starts(url, "ldap://")) {
		disagree(verifier, spot,
			 "backend \"%s\": servers: \"%s\" does not begin with ldaps:// or ldap://",
			 backend->name, server);
		return;
	}
	url = slice_skip(url, tls ? sizeof("ldaps://") - 1 : sizeof("ldap://") - 1);
	host = host_of(slice_head(url, slice_find(url, '/')));
	if (host.len == 0 || slice_find(url, '/') + 1 < url.len || slice_has_byte(url, '?') ||
	    slice_has_byte(url, ' '))
		disagree(verifier, spot,
			 "backend \"%s\": servers: \"%s\" is to be a host and perhaps a port, and "
			 "nothing more: ldaps://ldap.example.org:636; the rest has settings of its "
			 "own",
			 backend->name, server);
	else if (!tls && !backend->ldap.starttls && !is_this_machine(host))
		disagree(verifier, spot,
			 "backend \"%s\": servers: \"%s\" would get passwords in clear over the "
			 "network; use ldaps:// or set starttls = yes",
			 backend->name, server);
	if (tls && backend->ldap.starttls)
		disagree(verifier, (struct spot){"backend", index, "starttls"},
			 "backend \"%s\": starttls is for ldap://; \"%s\" has TLS from the start",
			 backend->name, server);
}

/* Only %u, %d, %s and %%, and one of those that tell who it is. */
static void verify_template(struct verifier *verifier, struct spot spot, const char *text)
{
	const char *name = verifier->config->backends[spot.index].name;
	bool who = false;

	for (const char *at = text; *at != '\0'; at++) {
		if (*at != '%')
			continue;
		at++;
		who = who || *at == 'u' || *at == 's';
		if (*at == '\0' || strchr("uds%", *at) == NULL) {
			disagree(
				verifier, spot,
				"backend \"%s\": %s: after %% comes u (name), d (domain), s (both) "
				"or %% in \"%s\"",
				name, spot.setting, text);
			return;
		}
	}
	if (!who)
		disagree(verifier, spot,
			 "backend \"%s\": %s: \"%s\" is the same for everybody; put %%u where the "
			 "name belongs",
			 name, spot.setting, text);
}

static void verify_search(struct verifier *verifier, size_t index)
{
	const struct config_ldap *ldap = &verifier->config->backends[index].ldap;
	const char *name = verifier->config->backends[index].name;
	const struct spot filter = {"backend", index, "filter"};

	if (ldap->filter != NULL) {
		verify_template(verifier, filter, ldap->filter);
		if (ldap->filter[0] != '(')
			disagree(verifier, filter,
				 "backend \"%s\": filter: write it in parentheses: (uid=%%u)",
				 name);
	}
	if ((ldap->bind_dn != NULL) != (ldap->bind_password_file != NULL))
		disagree(verifier, (struct spot){"backend", index, "bind_dn"},
			 "backend \"%s\": %s is set, and so %s must be", name,
			 ldap->bind_dn != NULL ? "bind_dn" : "bind_password_file",
			 ldap->bind_dn != NULL ? "bind_password_file" : "bind_dn");
	verify_readable(verifier, (struct spot){"backend", index, "bind_password_file"},
			ldap->bind_password_file, "");
}

static void verify_ldap(struct verifier *verifier, size_t index)
{
	const struct config_ldap *ldap = &verifier->config->backends[index].ldap;
	const char *name = verifier->config->backends[index].name;

	if (ldap->servers.count == 0)
		disagree(verifier, (struct spot){"backend", index, "type"},
			 "backend \"%s\": servers is missing: servers = "
			 "\"ldaps://ldap.example.org\"",
			 name);
	for (size_t i = 0; i < ldap->servers.count; i++)
		verify_server(verifier, index, ldap->servers.items[i]);
	verify_readable(verifier, (struct spot){"backend", index, "ca_file"}, ldap->ca_file, "");
	if (ldap->bind_template == NULL && ldap->base == NULL)
		disagree(verifier, (struct spot){"backend", index, "type"},
			 "backend \"%s\": say where people are: base, to search for them, or "
			 "bind_template, if it is the same for all",
			 name);
	else if (ldap->bind_template == NULL)
		verify_search(verifier, index);
	else if (ldap->base != NULL || ldap->filter != NULL || ldap->bind_dn != NULL ||
		 ldap->bind_password_file != NULL || ldap->scope != LDAP_SCOPE_OF_SUBTREE)
		disagree(verifier, (struct spot){"backend", index, "bind_template"},
			 "backend \"%s\": with bind_template nothing is searched; take out base, "
			 "filter, scope, bind_dn and bind_password_file, or bind_template",
			 name);
	else
		verify_template(verifier, (struct spot){"backend", index, "bind_template"},
				ldap->bind_template);
}

/* ---- exec ----------------------------------------------------------------------------------- */

static void verify_command(struct verifier *verifier, size_t index)
{
	const struct config_backend *backend = &verifier->config->backends[index];
	const struct spot spot = {"backend", index, "command"};
	const char *path = backend->command.count != 0 ? backend->command.items[0] : NULL;

	if (path == NULL) {
		disagree(verifier, (struct spot){"backend", index, "type"},
			 "backend \"%s\": command is missing: command = "
			 "\"/usr/local/bin/checkpassword\"",
			 backend->name);
		return;
	}
	if (path[0] != '/')
		disagree(verifier, spot,
			 "backend \"%s\": command: write where \"%s\" lies: an absolute path; "
			 "there is "
			 "no shell that would look for it",
			 backend->name, path);
	else
		verify_program(verifier, spot, path);
	if (backend->command.count > CONFIG_COMMAND_MAX)
		disagree(verifier, spot, "backend \"%s\": command: %d arguments are the most",
			 backend->name, CONFIG_COMMAND_MAX - 1);
}

/* ---- all ------------------------------------------------------------------------------------ */

void verify_backends(struct verifier *verifier)
{
	const struct config *config = verifier->config;

	for (size_t i = 0; i < config->backend_count; i++) {
		verify_backend(verifier, i);
		verify_backend_user(verifier, i);
		if (config->backends[i].type == BACKEND_LDAP)
			verify_ldap(verifier, i);
		if (config->backends[i].type == BACKEND_EXEC)
			verify_command(verifier, i);
	}
	if (config->backend_count > CONFIG_BACKENDS_MAX)
		disagree(verifier, (struct spot){"backend", CONFIG_BACKENDS_MAX, "type"},
			 "there are %zu backend sections; %d is the most", config->backend_count,
			 CONFIG_BACKENDS_MAX);
}
