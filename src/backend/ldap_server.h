/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to one LDAP server (RFC 4511), kept from question to question. Calls wait, at most
 * until their deadline (monotonic ms). Results are libldap's: LDAP_SUCCESS, the server's own (above
 * 0), or libldap's complaints (below 0).
 */
#ifndef POSTERN_BACKEND_LDAP_SERVER_H
#define POSTERN_BACKEND_LDAP_SERVER_H

#include <ldap.h>

#include "backend.h"

enum { LDAP_DN_MAX = 1024, LDAP_FILTER_MAX = 2048 };

struct ldap_server {
	LDAP *handle; /* NULL: not connected */
	bool bound;   /* as bind_dn, or as nobody where there is none */
	int64_t used; /* when */
};

/*
 * A connection that may be used: the one that is there, or a new one, within TLS if the section
 * says so. *kept_out: it was there before, and may turn out to be dead. why: BACKEND_WHY bytes, set
 * unless the result is LDAP_SUCCESS; that of all.
 */
int ldap_server_open(struct ldap_server *server, const char *url,
		     const struct config_ldap *settings, int64_t until, bool *kept_out, char *why);
void ldap_server_close(struct ldap_server *server);

/* A simple bind. Neither may be empty: that would be an anonymous one, which proves nothing. */
int ldap_server_bind(struct ldap_server *server, const char *dn, const char *password,
		     int64_t until, char *why);
/*
 * Whom the filter is true of below settings->base. *count_out: 0, 1, or 2 for more than one; dn:
 * LDAP_DN_MAX bytes, of the first.
 */
int ldap_server_search(struct ldap_server *server, const struct config_ldap *settings,
		       const char *filter, int64_t until, int *count_out, char *dn_out, char *why);
/* The server is not there, or not able to answer anybody now: another one may be. */
bool ldap_server_lost(int result);

#endif
