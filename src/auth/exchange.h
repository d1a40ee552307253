/* SPDX-License-Identifier: Apache-2.0 */
/* What the mechanisms share; nobody but mechanism.c and they include this. */
#ifndef POSTERN_AUTH_EXCHANGE_H
#define POSTERN_AUTH_EXCHANGE_H

#include <gsasl.h>

#include "base/buf.h"
#include "mechanism.h"
#include "store/verifier.h"

enum { CHALLENGE_MAX = 8192, MECHANISM_DOMAIN_MAX = 255 };

/* One mechanism. All but name, begin and step may be NULL. */
struct exchange_kind {
	const char *name;
	enum verifier_hash hash; /* of the verifier that it needs */
	/* Sets up exchange->state. ERR_NOT_FOUND: it cannot be done here. */
	enum err (*begin)(struct exchange *exchange, const struct exchange_terms *terms);
	enum exchange_result (*step)(struct exchange *exchange, bool has_token, struct slice token,
				     struct slice *challenge_out);
	enum exchange_result (*verifier)(struct exchange *exchange, const struct verifier *verifier,
					 struct slice *challenge_out);
	void (*end)(struct exchange *exchange); /* frees and wipes state */
	/* Of those that end in EXCHANGE_TOKEN: as exchange_token and the next two. */
	struct slice (*token)(const struct exchange *exchange);
	struct slice (*deny)(struct exchange *exchange, const char *scope, const char *issuer,
			     const char *why);
	bool (*is_denied)(const struct exchange *exchange);
};

struct exchange {
	const struct exchange_kind *kind;
	Gsasl *gsasl;
	void *state;
	char domain[MECHANISM_DOMAIN_MAX + 1];
	bool plus_offered;
	bool has_last; /* challenge holds what exchange_last gives */
	size_t exporter_len, unique_len;
	unsigned char exporter[CHANNEL_BINDING_MAX];
	unsigned char unique[CHANNEL_BINDING_MAX];
	char name[CREDENTIAL_NAME_MAX + 1];
	size_t name_len;
	struct secret password;
	struct buf challenge;
	const char *why;
};

extern const struct exchange_kind EXCHANGE_PLAIN, EXCHANGE_LOGIN, EXCHANGE_SCRAM_SHA_256,
	EXCHANGE_SCRAM_SHA_256_PLUS, EXCHANGE_SCRAM_SHA_1, EXCHANGE_SCRAM_SHA_1_PLUS,
	EXCHANGE_CRAM_MD5, EXCHANGE_EXTERNAL, EXCHANGE_GSSAPI, EXCHANGE_OAUTHBEARER,
	EXCHANGE_XOAUTH2;

/* GNU SASL's one callback: notes that a PLAIN message was complete. */
int exchange_plain_callback(Gsasl *gsasl, Gsasl_session *session, Gsasl_property property);

bool exchange_has_control(struct slice text);
enum exchange_result exchange_refuse(struct exchange *exchange, const char *why);
/* false: this cannot be a name. */
bool exchange_take_name(struct exchange *exchange, struct slice name);
/* Overwrites what GNU SASL keeps of a session's secret, which it would free as it is. */
void exchange_wipe_property(Gsasl_session *session, Gsasl_property property);

#endif
