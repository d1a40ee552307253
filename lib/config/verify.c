/* SPDX-License-Identifier: Apache-2.0 */
/* What the syntax of a configuration cannot tell. */
#include "config/parse.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "config/reader.h"
#include "config/verifier.h"

static unsigned port_of(const char *address)
{
	const char *port = strrchr(address, ':') + 1;
	const struct servent *service;

	if (ascii_is_digit(port[0]))
		return (unsigned)strtoul(port, NULL, 10);
	service = getservbyname(port, "tcp");
	return service != NULL ? ntohs((uint16_t)service->s_port) : 0;
}

static bool addresses_collide(const char *a, const char *b)
{
	struct slice x = slice_head(slice_str(a), slice_find_last(slice_str(a), ':'));
	struct slice y = slice_head(slice_str(b), slice_find_last(slice_str(b), ':'));

	if (port_of(a) != port_of(b) || port_of(a) == 0)
		return false;
	return slice_is(x, "*") || slice_is(y, "*") || slice_equal_nocase(x, y);
}

static void verify_address(struct verifier *verifier, size_t listen, size_t number)
{
	const struct config *config = verifier->config;
	const struct config_listen *mine = &config->listens[listen];
	const char *address = mine->address.items[number];
	const struct spot spot = {"listen", listen, "address"};

	if (port_of(address) == 0)
		disagree(verifier, spot,
			 "listen \"%s\": address %s: /etc/services knows no such port; write its "
			 "number",
			 mine->name, address);
	for (size_t i = 0; i <= listen; i++) {
		const struct config_listen *other = &config->listens[i];

		for (size_t n = 0; n < other->address.count && (i < listen || n < number); n++)
			if (addresses_collide(address, other->address.items[n]))
				disagree(verifier, spot,
					 "listen \"%s\": address %s is taken by %s of listen "
					 "\"%s\"; one of "
					 "them must change",
					 mine->name, address, other->address.items[n], other->name);
	}
}

static void verify_clear_auth(struct verifier *verifier, size_t index)
{
	const struct config_listen *listen = &verifier->config->listens[index];
	const struct spot spot = {"listen", index, "clear_auth_from"};
	bool any = listen->clear_auth_from.count != 0;

	if (listen->tls == TLS_MODE_NONE && listen->auth == AUTH_MODE_REQUIRED && !any)
		disagree(verifier, (struct spot){"listen", index, "tls"},
			 "listen \"%s\": nobody could log in: passwords are not taken without TLS; "
			 "set tls = \"starttls\" or \"implicit\", or name the clients that may "
			 "in clear_auth_from",
			 listen->name);
	if (any && listen->auth == AUTH_MODE_OFF)
		disagree(verifier, spot,
			 "listen \"%s\": clear_auth_from is of no use with auth = \"off\"; take it "
			 "out, or allow logins",
			 listen->name);
	if (any && listen->tls == TLS_MODE_IMPLICIT)
		disagree(verifier, spot,
			 "listen \"%s\": clear_auth_from is of no use with tls = \"implicit\": "
			 "there is no clear text; name the clients in a listen section with tls = "
			 "\"starttls\" or \"none\"",
			 listen->name);
}

/* What is only for those who are logged in, where nobody is. */
static void verify_for_accounts(struct verifier *verifier, size_t index)
{
	const struct config_listen *listen = &verifier->config->listens[index];
	const struct {
		const char *name;
		bool set;
	} settings[] = {{"etrn", listen->etrn},
			{"auth_equals", listen->auth_equals},
			{"mechanisms", listen->mechanisms.count != 0},
			{"client_ca", listen->client_ca != NULL}};

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (settings[i].set && listen->auth == AUTH_MODE_OFF)
			disagree(verifier, (struct spot){"listen", index, settings[i].name},
				 "listen \"%s\": %s is of no use with auth = \"off\"; take it out, "
				 "or allow logins",
				 listen->name, settings[i].name);
}

static bool names_mechanism(const struct strings *mechanisms, const char *name)
{
	for (size_t i = 0; i < mechanisms->count; i++)
		if (slice_is_nocase(slice_str(mechanisms->items[i]), name))
			return true;
	return false;
}

/* Mechanisms that need a file of their own. */
static void verify_mechanisms(struct verifier *verifier, size_t index)
{
	const struct config *config = verifier->config;
	const struct config_listen *listen = &config->listens[index];

	if (listen->client_ca != NULL && listen->tls == TLS_MODE_NONE)
		disagree(verifier, (struct spot){"listen", index, "client_ca"},
			 "listen \"%s\": client_ca is of no use with tls = \"none\": certificates "
			 "come with TLS",
			 listen->name);
	verify_readable(verifier, (struct spot){"listen", index, "client_ca"}, listen->client_ca,
			"");
	if (names_mechanism(&listen->mechanisms, "EXTERNAL") && listen->client_ca == NULL)
		disagree(verifier, (struct spot){"listen", index, "mechanisms"},
			 "listen \"%s\": EXTERNAL needs client_ca, the file of those who may vouch "
			 "for clients",
			 listen->name);
	if (names_mechanism(&listen->mechanisms, "GSSAPI") && config->auth.keytab == NULL)
		disagree(verifier, (struct spot){"listen", index, "mechanisms"},
			 "listen \"%s\": GSSAPI needs auth { keytab = ... }, the Kerberos key of "
			 "this "
			 "server",
			 listen->name);
}

static void verify_auth(struct verifier *verifier)
{
	const struct config *config = verifier->config;

	if (names_mechanism(&config->auth.mechanisms, "GSSAPI") && config->auth.keytab == NULL)
		disagree(verifier, (struct spot){"auth", 0, "mechanisms"},
			 "GSSAPI needs auth { keytab = ... }, the Kerberos key of this server");
	verify_readable(verifier, (struct spot){"auth", 0, "keytab"}, config->auth.keytab, "");
}

static void verify_old_tls(struct verifier *verifier, size_t index)
{
	const struct config_listen *listen = &verifier->config->listens[index];

	if (listen->tls_min == TLS_MIN_1_0 || listen->tls_min == TLS_MIN_1_1)
		disagree(verifier, (struct spot){"listen", index, "tls_min"},
			 "listen \"%s\": tls_min = \"%s\" would weaken TLS for every client; name "
			 "those that need it instead: tls_legacy_from = \"192.0.2.7\"%s",
			 listen->name, listen->tls_min == TLS_MIN_1_0 ? "1.0" : "1.1",
			 listen->tls_min == TLS_MIN_1_0 ? "" : " and tls_legacy_min = \"1.1\"");
	if (listen->tls == TLS_MODE_NONE && listen->tls_legacy_from.count != 0)
		disagree(verifier, (struct spot){"listen", index, "tls_legacy_from"},
			 "listen \"%s\": tls_legacy_from is of no use with tls = \"none\"; set tls "
			 "= \"starttls\" or \"implicit\"",
			 listen->name);
	if (listen->tls_legacy_min != TLS_LEGACY_1_0 && listen->tls_legacy_from.count == 0)
		disagree(
			verifier, (struct spot){"listen", index, "tls_legacy_min"},
			"listen \"%s\": tls_legacy_min is of no use without tls_legacy_from, which "
			"names the clients that it is for",
			listen->name);
}

static void verify_certificates(struct verifier *verifier)
{
	const struct config *config = verifier->config;

	verify_readable(verifier, (struct spot){"tls", 0, "certificate"}, config->tls.certificate,
			"; `postern setup` makes one");
	if (strcmp(config->tls.certificate, config->tls.key) != 0)
		verify_readable(verifier, (struct spot){"tls", 0, "key"}, config->tls.key, "");
	verify_readable(verifier, (struct spot){"tls", 0, "folder"}, config->tls.folder, "");
	for (size_t i = 0; i < config->certificate_count; i++) {
		const struct config_certificate *further = &config->certificates[i];

		verify_readable(verifier, (struct spot){"certificate", i, "certificate"},
				further->certificate, "");
		verify_readable(verifier, (struct spot){"certificate", i, "key"}, further->key, "");
	}
}

static void verify_listens(struct verifier *verifier)
{
	const struct config *config = verifier->config;
	bool tls = false;

	for (size_t i = 0; i < config->listen_count; i++) {
		const struct config_listen *listen = &config->listens[i];

		for (size_t n = 0; n < listen->address.count; n++)
			verify_address(verifier, i, n);
		verify_clear_auth(verifier, i);
		verify_for_accounts(verifier, i);
		verify_old_tls(verifier, i);
		verify_mechanisms(verifier, i);
		tls = tls || listen->tls != TLS_MODE_NONE;
	}
	if (tls)
		verify_certificates(verifier);
}

static void verify_relays(struct verifier *verifier)
{
	for (size_t i = 0; i < verifier->config->relay_count; i++) {
		const struct config_relay *relay = &verifier->config->relays[i];

		if (relay->user != NULL && relay->password_file == NULL)
			disagree(verifier, (struct spot){"relay", i, "user"},
				 "relay \"%s\": user is set, and so password_file must be",
				 relay->name);
		if (relay->user == NULL && relay->password_file != NULL)
			disagree(verifier, (struct spot){"relay", i, "password_file"},
				 "relay \"%s\": password_file is set, and so user must be",
				 relay->name);
		if (relay->user != NULL && relay->tls == RELAY_TLS_NONE)
			disagree(verifier, (struct spot){"relay", i, "tls"},
				 "relay \"%s\": tls = \"none\" would send the password in clear; "
				 "use \"required\" or \"implicit\"",
				 relay->name);
		verify_readable(verifier, (struct spot){"relay", i, "password_file"},
				relay->password_file, "");
		verify_readable(verifier, (struct spot){"relay", i, "ca_file"}, relay->ca_file, "");
	}
}

static bool hostname_is_public(const char *name)
{
	static const char *const local[] = {"localhost", "localdomain", "local",
					    "internal",  "lan",         "home.arpa"};
	struct slice host = slice_str(name);

	if (strchr(name, '.') == NULL)
		return false;
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		size_t len = strlen(local[i]);

		if (host.len > len && host.ptr[host.len - len - 1] == '.' &&
		    slice_is_nocase(slice_skip(host, host.len - len), local[i]))
			return false;
	}
	return true;
}

/* Does anything go by MX: by name, or because no route takes all? */
static bool uses_mx(const struct config *config)
{
	for (size_t i = 0; i < config->route_count; i++) {
		const struct config_route *route = &config->routes[i];

		if (route->kind == ROUTE_MX)
			return true;
		if (route->to.count == 0)
			return false;
		for (size_t n = 0; n < route->to.count; n++)
			if (strcmp(route->to.items[n], "*") == 0)
				return false;
	}
	return true;
}

static void verify_routes(struct verifier *verifier)
{
	const struct config *config = verifier->config;

	for (size_t i = 0; i < config->route_count; i++) {
		const struct config_route *route = &config->routes[i];

		if (route->kind == ROUTE_RELAY && config_relay_find(config, route->target) == NULL)
			disagree(verifier, (struct spot){"route", i, "via"},
				 "route \"%s\": there is no relay \"%s\"; add relay \"%s\" { host "
				 "= ... }",
				 route->name, route->target, route->target);
	}
	if (uses_mx(config) && !hostname_is_public(config->hostname))
		disagree(verifier, (struct spot){"", 0, "hostname"},
			 "hostname = \"%s\" is no public name, and mail that goes by MX is refused "
			 "for that; "
			 "set this server's full name, or a route that takes all mail elsewhere",
			 config->hostname);
}

static void verify_rest(struct verifier *verifier)
{
	const struct config *config = verifier->config;

	if (config->queue.retry_first > config->queue.retry_max)
		disagree(verifier, (struct spot){"queue", 0, "retry_first"},
			 "queue: retry_first is longer than retry_max");
	if (config->queue.retry_first > config->queue.expire)
		disagree(verifier, (struct spot){"queue", 0, "retry_first"},
			 "queue: retry_first is longer than expire: mail would never be tried "
			 "again");
	if (config->delivery.connections_per_host > config->delivery.connections)
		disagree(verifier, (struct spot){"delivery", 0, "connections_per_host"},
			 "delivery: connections_per_host is more than connections");
	if (strlen(config->runtime_dir) + sizeof("/control.sock") >
	    sizeof(((struct sockaddr_un *)NULL)->sun_path))
		disagree(verifier, (struct spot){"", 0, "runtime_dir"},
			 "runtime_dir: the path is too long for a socket in it");
}

enum err config_verify(const struct config *config, struct buf *errors)
{
	struct verifier verifier = {config, errors, false};

	verify_listens(&verifier);
	verify_relays(&verifier);
	verify_auth(&verifier);
	verify_backends(&verifier);
	verify_tokens(&verifier);
	verify_alert(&verifier);
	verify_devices(&verifier);
	verify_routes(&verifier);
	verify_rest(&verifier);
	return verifier.bad ? ERR_SYNTAX : ERR_OK;
}
