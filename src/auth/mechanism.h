/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SASL exchange of one AUTH command, without I/O: tokens in, challenges out, at the end a
 * name and a password that somebody else verifies. Never does an exchange give a verdict.
 *
 * PLAIN (RFC 4616) is parsed by GNU SASL, whose callback only records; LOGIN is ours, because
 * devices want its prompts byte for byte (doc/decisions/sasl-login.md). What holds NUL, CR,
 * LF, other controls or no UTF-8 is refused here, before any back end sees it (C1).
 */
#ifndef POSTERN_AUTH_MECHANISM_H
#define POSTERN_AUTH_MECHANISM_H

#include "base/secret.h"

/* As in EHLO. */
#define MECHANISMS "PLAIN LOGIN"

struct mechanisms;
struct exchange;

enum {
	MECHANISM_NAME_MAX = 32,
	CREDENTIAL_NAME_MAX = 512, /* of a login name as the client sent it */
};

enum exchange_result {
	EXCHANGE_CHALLENGE, /* send the challenge, wait for the answer */
	EXCHANGE_DONE,      /* the credentials are there */
	EXCHANGE_REFUSED,   /* 535; exchange_why says why */
};

/* GNU SASL's context; before the sandbox closes. ERR_INTERNAL. */
enum err mechanisms_new(struct mechanisms **mechanisms_out);
void mechanisms_free(struct mechanisms **mechanisms);

/* A new exchange for each AUTH command (C4). ERR_NOT_FOUND: no such mechanism here. */
enum err exchange_new(struct mechanisms *mechanisms, struct slice mechanism,
		      struct exchange **exchange_out);
void exchange_free(struct exchange **exchange); /* wipes */
/* has_token false only at the start. The challenge lives as long as the exchange. */
enum exchange_result exchange_step(struct exchange *exchange, bool has_token, struct slice token,
				   struct slice *challenge_out);
const char *exchange_mechanism(const struct exchange *exchange);
/* What the client called itself, as far as it did; for the log too, so never the password. */
struct slice exchange_name(const struct exchange *exchange);
struct slice exchange_password(const struct exchange *exchange); /* prepared; after EXCHANGE_DONE */
const char *exchange_why(const struct exchange *exchange);       /* after EXCHANGE_REFUSED */

/*
 * The form of a password that verifiers are made from: SASLprep (RFC 4013), which leaves ASCII
 * as it is. ERR_SYNTAX: it holds characters that have no such form.
 */
enum err password_prepare(struct slice password, struct secret *prepared_out);

#endif
