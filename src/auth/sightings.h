/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps in the store from where accounts log in, off the way of the logins: what was seen is
 * gathered for some seconds and written by the accounts' thread. What a crash loses is seen again.
 */
#ifndef POSTERN_AUTH_SIGHTINGS_H
#define POSTERN_AUTH_SIGHTINGS_H

#include "policy/known.h"
#include "store/accounts.h"

struct auth;
struct sightings;

enum {
	SIGHTINGS_EVERY = 3000, /* ms between two writes */
	SIGHTINGS_MAX = 16384,  /* gathered; more are not kept */
};

struct sightings *sightings_new(struct auth *auth);
/* Reads what was kept into known. domain: of bare names. Errors as in store/accounts.h. */
enum err sightings_load(struct accounts *accounts, const char *domain, struct known *known);
void sightings_keep(struct sightings *sightings, int64_t account,
		    const unsigned char source[SOURCE_BYTES], int64_t now);
/* At the end, when no thread runs any more: writes what is left. */
void sightings_save(struct sightings *sightings, struct accounts *accounts);
void sightings_free(struct sightings **sightings);

#endif
