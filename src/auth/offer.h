/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which mechanisms a session is offered: those that the listener's mechanisms setting names, else
 * those of auth's, else what every account can use, so that no client picks one that must fail.
 * Of these, what its connection allows: -PLUS needs TLS that can be bound to. The same rule says
 * what may be used (C5).
 */
#ifndef POSTERN_AUTH_OFFER_H
#define POSTERN_AUTH_OFFER_H

#include "ipc/message.h"

struct auth;
struct config;
struct config_listen;

enum { OFFER_TEXT = 512, OFFER_WHY = 1024 };

struct offer_missing {
	uint64_t sha_1, cram_md5; /* passwords without a verifier for them */
	uint64_t hashes;          /* accounts with an imported one, and no verifier yet */
};

/* "PLAIN LOGIN"; "" none. traits: of enum ipc_trait. */
void offer_text(const struct auth *auth, const struct config_listen *listen, unsigned traits,
		char text_out[OFFER_TEXT]);
bool offer_has(const char *text, struct slice mechanism);
/* One with channel binding is in it. */
bool offer_has_plus(const char *text);
/* A mechanisms setting names it, of auth or of a listener. */
bool offer_names(const struct config *config, const char *mechanism);
/* What the best of sessions is offered, over all listeners. */
void offer_best(const struct auth *auth, char text_out[OFFER_TEXT]);
/*
 * What stands in the way of more, or what is offered and some cannot use, in a sentence; ""
 * nothing. missing: of what is offered, what some accounts have not got.
 */
void offer_obstacle(const struct auth *auth, const struct offer_missing *missing,
		    char why_out[OFFER_WHY]);
/* For all listeners and traits; the caller releases the builder, also after an error. ERR_FULL. */
enum err offer_list(const struct auth *auth, struct ipc_list_builder *list_out);

#endif
