/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of the SASL mechanisms that carry a bearer token: OAUTHBEARER (RFC 7628), and
 * XOAUTH2, as Google and Microsoft describe it, which their clients have. One message of the client
 * says it all. If it is refused, the server says why as JSON, the client answers with anything, and
 * then the exchange fails.
 */
#ifndef POSTERN_TOKEN_BEARER_H
#define POSTERN_TOKEN_BEARER_H

#include "base/buf.h"
#include "token/token.h"

enum bearer_kind { BEARER_OAUTHBEARER, BEARER_XOAUTH2 };

enum { BEARER_REFUSAL_MAX = 8192 }; /* room that bearer_refusal takes at most */

struct bearer {
	char user[TOKEN_USER_MAX + 1]; /* whom the client wants to be; "": whom the token names */
	struct slice token;            /* part of the message; may be empty */
};

/* ERR_SYNTAX, ERR_RANGE: it is no such message, and *why_out is a word for the log. */
enum err bearer_read(enum bearer_kind kind, struct slice message, struct bearer *bearer_out,
		     const char **why_out);

/*
 * Appends what a client whose token is refused is told (RFC 7628 section 3.2.2). scope: what a
 * token must have, and issuer: who makes them; each may be NULL. missing_scope: that is what it
 * lacks. ERR_FULL.
 */
enum err bearer_refusal(enum bearer_kind kind, bool missing_scope, const char *scope,
			const char *issuer, struct buf *out);

#endif
