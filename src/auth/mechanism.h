/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SASL exchange of one AUTH command, without I/O: tokens in, challenges out. It ends with a
 * name and a password that somebody else verifies, or, for mechanisms that prove it without
 * showing a password, with the proof. Whether the account may log in at all it never knows.
 *
 * sasl_plain.c: PLAIN (RFC 4616) by GNU SASL, whose callback only records; LOGIN is ours, because
 * devices want its prompts byte for byte (doc/decisions/sasl-login.md).
 *
 * sasl_scram.c: SCRAM-SHA-256, SCRAM-SHA-1, -PLUS (RFC 5802, 7677) by GNU SASL, behind a strict
 * reader of our own, scram_message.c.
 *
 * sasl_cram.c: CRAM-MD5 (RFC 2195), ours, since GNU SASL wants the password itself for it.
 *
 * sasl_external.c: EXTERNAL (RFC 4422), a certificate, which smtpd has verified.
 *
 * sasl_gssapi.c: GSSAPI (RFC 4752) by MIT Kerberos itself; GNU SASL would go through a library that
 * loads others by a file in /etc when a client comes.
 *
 * sasl_bearer.c: OAUTHBEARER (RFC 7628) and XOAUTH2, ours.
 *
 * What holds NUL, CR, LF, other controls or no UTF-8 is refused here, before any back end sees
 * it (C1). Each AUTH command has an exchange of its own (C4).
 */
#ifndef POSTERN_AUTH_MECHANISM_H
#define POSTERN_AUTH_MECHANISM_H

#include "base/secret.h"
#include "store/verifier.h"

struct mechanisms;
struct exchange;
struct kerberos;

enum {
	CREDENTIAL_NAME_MAX = 512, /* of a login name as the client sent it */
	CHANNEL_BINDING_MAX = 64,
};

/* What the session around an exchange is like; the slices need live no longer than the call. */
struct exchange_terms {
	/* A mechanism with channel binding is offered to this client (RFC 5802 6, flag y). */
	bool plus_offered;
	struct slice exporter; /* tls-exporter (RFC 9266); empty: there is none */
	struct slice unique;   /* tls-unique (RFC 5929) */
	/* Mail addresses of the client's valid certificate, which can be taken for accounts. */
	const struct slice *certificate;
	size_t certificate_count;
	const char *registered;          /* the account that it was registered for; NULL: none */
	const struct kerberos *kerberos; /* NULL: there is no keytab; else it must outlive */
	const char *domain;              /* of bare account names */
};

enum exchange_result {
	EXCHANGE_CHALLENGE, /* send the challenge, wait for the answer */
	EXCHANGE_PASSWORD,  /* name and password are there, to be verified */
	EXCHANGE_VERIFIER,  /* the name is there: exchange_give_verifier goes on */
	EXCHANGE_PROVEN,    /* the client is who exchange_name says; see exchange_last */
	EXCHANGE_TOKEN,     /* a bearer token is there, to be checked */
	EXCHANGE_REFUSED,   /* 535; exchange_why says why */
};

/* GNU SASL's context; before the sandbox closes. ERR_INTERNAL. */
enum err mechanisms_new(struct mechanisms **mechanisms_out);
void mechanisms_free(struct mechanisms **mechanisms);

/* A new exchange for each AUTH command. ERR_NOT_FOUND: no such mechanism here. */
enum err exchange_new(struct mechanisms *mechanisms, struct slice mechanism,
		      const struct exchange_terms *terms, struct exchange **exchange_out);
void exchange_free(struct exchange **exchange); /* wipes */
/* has_token false only at the start. The challenge lives until the next call. */
enum exchange_result exchange_step(struct exchange *exchange, bool has_token, struct slice token,
				   struct slice *challenge_out);
/* After EXCHANGE_VERIFIER: which one is needed. */
enum verifier_hash exchange_hash(const struct exchange *exchange);
/*
 * After EXCHANGE_VERIFIER: of the account of that name, or a fake (verifier_fake) if there is
 * none. Copied. EXCHANGE_CHALLENGE, EXCHANGE_PROVEN or EXCHANGE_REFUSED.
 */
enum exchange_result exchange_give_verifier(struct exchange *exchange,
					    const struct verifier *verifier,
					    struct slice *challenge_out);
/*
 * After EXCHANGE_PROVEN: what the client is still owed before it may hear of success, and must
 * answer with nothing (RFC 4954 4). false: nothing.
 */
bool exchange_last(const struct exchange *exchange, struct slice *challenge_out);
struct slice exchange_token(const struct exchange *exchange); /* after EXCHANGE_TOKEN */
/*
 * The token is not good: the challenge that says so to the client, whose answer, whatever it is,
 * ends in EXCHANGE_REFUSED for why (static). scope, issuer: what a good one would have, or NULL.
 */
struct slice exchange_deny(struct exchange *exchange, const char *scope, const char *issuer,
			   const char *why);
bool exchange_is_denied(const struct exchange *exchange);
const char *exchange_mechanism(const struct exchange *exchange);
/* What the client called itself, as far as it did; for the log too, so never the password. */
struct slice exchange_name(const struct exchange *exchange);
struct slice exchange_password(const struct exchange *exchange); /* after EXCHANGE_PASSWORD */
const char *exchange_why(const struct exchange *exchange);       /* after EXCHANGE_REFUSED */

/*
 * The form of a password that verifiers are made from: SASLprep (RFC 4013), which leaves ASCII
 * as it is. ERR_SYNTAX: it holds characters that have no such form.
 */
enum err password_prepare(struct slice password, struct secret *prepared_out);

#endif
