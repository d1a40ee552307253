/* SPDX-License-Identifier: Apache-2.0 */
#include "ldap_server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include "os/os.h"

enum { IDLE_MAX_MS = 60000 /* then a firewall may have forgotten the connection */ };
#define SYSTEM_AUTHORITIES "/etc/ssl/certs/ca-certificates.crt"

bool ldap_server_lost(int result)
{
	return (result < 0 && result != LDAP_FILTER_ERROR) || result == LDAP_BUSY ||
	       result == LDAP_UNAVAILABLE;
}

static struct timeval left_until(int64_t until)
{
	int64_t left = until - os_monotonic_ms();

	if (left < 1)
		left = 1; /* none at all would mean for ever */
	return (struct timeval){.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
}

/* What libldap and the server have to say about a result. */
static int explain(LDAP *handle, const char *step, int result, char *why)
{
	char said[200] = "";
	char *text = NULL;

	if (result == LDAP_SUCCESS)
		return result;
	if (handle != NULL)
		(void)ldap_get_option(handle, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
	if (text != NULL)
		backend_words(slice_str(text), said, sizeof(said));
	(void)snprintf(why, BACKEND_WHY, "%s: %s (%d)%s%s", step, ldap_err2string(result), result,
		       said[0] != '\0' ? ": " : "", said);
	ldap_memfree(text);
	return result;
}

/* ---- the connection ------------------------------------------------------------------------- */

void ldap_server_close(struct ldap_server *server)
{
	if (server->handle != NULL)
		(void)ldap_unbind_ext_s(server->handle, NULL, NULL);
	*server = (struct ldap_server){0};
}

static void set_time(LDAP *handle, int64_t until)
{
	const struct timeval left = left_until(until);

	(void)ldap_set_option(handle, LDAP_OPT_NETWORK_TIMEOUT, &left);
	(void)ldap_set_option(handle, LDAP_OPT_TIMEOUT, &left);
}

static int set_tls(LDAP *handle, const char *authorities)
{
	const int demand = LDAP_OPT_X_TLS_DEMAND, server_side = 0;
	const int oldest = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2;
	int result = ldap_set_option(handle, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand);

	if (result == LDAP_SUCCESS)
		result = ldap_set_option(handle, LDAP_OPT_X_TLS_PROTOCOL_MIN, &oldest);
	if (result == LDAP_SUCCESS)
		result = ldap_set_option(handle, LDAP_OPT_X_TLS_CACERTFILE, authorities);
	if (result == LDAP_SUCCESS)
		result = ldap_set_option(handle, LDAP_OPT_X_TLS_NEWCTX, &server_side);
	return result;
}

/* libldap would only say that it cannot connect. */
static int read_authorities(LDAP *handle, const char *path, char *why)
{
	struct buf head;
	enum err err;
	int result;

	buf_init(&head, 1);
	err = os_read_head(path, 1, &head);
	if (err != ERR_OK)
		os_explain_file(path, errno, why, BACKEND_WHY);
	buf_release(&head);
	if (err != ERR_OK)
		return LDAP_LOCAL_ERROR;
	result = set_tls(handle, path);
	if (result != LDAP_SUCCESS)
		(void)snprintf(why, BACKEND_WHY,
			       "there are no certificates that can be used in %.200s", path);
	return result;
}

static int set_options(LDAP *handle, char *why)
{
	const int version = LDAP_VERSION3, two = 2, never = LDAP_DEREF_NEVER;
	int result = ldap_set_option(handle, LDAP_OPT_PROTOCOL_VERSION, &version);

	/* Where a referral leads to nobody has configured, and the password would go there. */
	if (result == LDAP_SUCCESS)
		result = ldap_set_option(handle, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
	if (result == LDAP_SUCCESS)
		result = ldap_set_option(handle, LDAP_OPT_RESTART, LDAP_OPT_ON);
	if (result == LDAP_SUCCESS)
		result = ldap_set_option(handle, LDAP_OPT_SIZELIMIT, &two);
	if (result == LDAP_SUCCESS)
		result = ldap_set_option(handle, LDAP_OPT_DEREF, &never);
	return explain(handle, "options", result, why);
}

/* Whether it was TCP or TLS that did not come to be. One thread connects, and once at a time. */
static bool connected;

static int note_connected(LDAP *handle, Sockbuf *stream, LDAPURLDesc *url, struct sockaddr *address,
			  struct ldap_conncb *callback)
{
	(void)handle;
	(void)stream;
	(void)url;
	(void)address;
	(void)callback;
	connected = true;
	return 0;
}

static void note_gone(LDAP *handle, Sockbuf *stream, struct ldap_conncb *callback)
{
	(void)handle;
	(void)stream;
	(void)callback;
}

/* libldap has no words for what GnuTLS does not like. */
static void explain_tls(const char *authorities, char *why)
{
	(void)snprintf(why, BACKEND_WHY,
		       "no TLS: its certificate is not of an authority in %.120s, or for another "
		       "name (openssl s_client -CAfile shows it), or it speaks no TLS",
		       authorities);
}

static int start_tls(LDAP *handle, const char *authorities, int64_t until, char *why)
{
	int result;

	set_time(handle, until);
	result = explain(handle, "StartTLS", ldap_start_tls_s(handle, NULL, NULL), why);
	if (result < 0 && result != LDAP_SERVER_DOWN && result != LDAP_TIMEOUT)
		explain_tls(authorities, why);
	/* A server that does not want to is as good as none. */
	return result > 0 ? LDAP_CONNECT_ERROR : result;
}

static int connect_to(LDAP *handle, const char *url, const struct config_ldap *settings,
		      int64_t until, char *why)
{
	bool from_start = slice_starts(slice_str(url), "ldaps:");
	const char *authorities =
		settings->ca_file != NULL ? settings->ca_file : SYSTEM_AUTHORITIES;
	static const struct ldap_conncb callback = {note_connected, note_gone, NULL};
	int result = set_options(handle, why);

	if (result == LDAP_SUCCESS && (from_start || settings->starttls))
		result = read_authorities(handle, authorities, why);
	if (result != LDAP_SUCCESS)
		return result;
	set_time(handle, until);
	connected = false;
	(void)ldap_set_option(handle, LDAP_OPT_CONNECT_CB, &callback);
	result = explain(handle, "connect", ldap_connect(handle), why);
	if (result != LDAP_SUCCESS && connected && from_start && os_monotonic_ms() < until)
		explain_tls(authorities, why);
	if (result == LDAP_SUCCESS && settings->starttls)
		result = start_tls(handle, authorities, until, why);
	return result;
}

int ldap_server_open(struct ldap_server *server, const char *url,
		     const struct config_ldap *settings, int64_t until, bool *kept_out, char *why)
{
	int64_t now = os_monotonic_ms();
	int result;

	*kept_out = server->handle != NULL && now - server->used < IDLE_MAX_MS;
	server->used = now;
	if (*kept_out)
		return LDAP_SUCCESS;
	ldap_server_close(server);
	server->used = now;
	result = explain(NULL, "URL", ldap_initialize(&server->handle, url), why);
	if (result == LDAP_SUCCESS)
		result = connect_to(server->handle, url, settings, until, why);
	if (result != LDAP_SUCCESS)
		ldap_server_close(server);
	return result;
}

/* ---- what is asked -------------------------------------------------------------------------- */

int ldap_server_bind(struct ldap_server *server, const char *dn, const char *password,
		     int64_t until, char *why)
{
	/* libldap does not write to what it takes as not const. */
	const struct berval credentials = {strlen(password), (char *)(uintptr_t)password};
	struct berval from = credentials;

	if (dn[0] == '\0' || password[0] == '\0') {
		(void)snprintf(why, BACKEND_WHY, "an empty DN or password would be no proof");
		return LDAP_INAPPROPRIATE_AUTH;
	}
	server->bound = false;
	set_time(server->handle, until);
	return explain(
		server->handle, "bind",
		ldap_sasl_bind_s(server->handle, dn, LDAP_SASL_SIMPLE, &from, NULL, NULL, NULL),
		why);
}

static void take_entries(LDAP *handle, LDAPMessage *found, int *count_out, char *dn_out)
{
	LDAPMessage *entry = ldap_first_entry(handle, found);
	char *dn = entry != NULL ? ldap_get_dn(handle, entry) : NULL;

	*count_out = ldap_count_entries(handle, found);
	/* One that does not fit is cut nowhere: it is taken for none, and none is bound to. */
	if (dn == NULL || slice_copy(slice_str(dn), dn_out, LDAP_DN_MAX) != ERR_OK)
		dn_out[0] = '\0';
	ldap_memfree(dn);
}

int ldap_server_search(struct ldap_server *server, const struct config_ldap *settings,
		       const char *filter, int64_t until, int *count_out, char *dn_out, char *why)
{
	static const int scopes[] = {[LDAP_SCOPE_OF_SUBTREE] = LDAP_SCOPE_SUBTREE,
				     [LDAP_SCOPE_OF_ONE] = LDAP_SCOPE_ONELEVEL,
				     [LDAP_SCOPE_OF_BASE] = LDAP_SCOPE_BASE};
	char none[] = LDAP_NO_ATTRS;
	char *attributes[] = {none, NULL};
	struct timeval left = left_until(until);
	LDAPMessage *found = NULL;
	int result;

	set_time(server->handle, until);
	result = ldap_search_ext_s(server->handle, settings->base, scopes[settings->scope], filter,
				   attributes, 1, NULL, NULL, &left, 2, &found);
	*count_out = 0;
	dn_out[0] = '\0';
	if (found != NULL && (result == LDAP_SUCCESS || result == LDAP_SIZELIMIT_EXCEEDED))
		take_entries(server->handle, found, count_out, dn_out);
	if (result == LDAP_SIZELIMIT_EXCEEDED) {
		*count_out = 2;
		result = LDAP_SUCCESS;
	}
	(void)ldap_msgfree(found);
	return explain(server->handle, "search", result, why);
}
