/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps in the store from where accounts log in, off the way of the logins: what was seen is
 * gathered for some seconds and written by a thread. What a crash loses is seen again.
 */
#ifndef POSTERN_AUTH_SIGHTINGS_H
#define POSTERN_AUTH_SIGHTINGS_H

#include "policy/known.h"
#include "store/accounts.h"

struct loop;
struct sightings;

enum {
	SIGHTINGS_EVERY = 3000, /* ms between two writes */
	SIGHTINGS_MAX = 16384,  /* gathered; more are not kept */
};

struct sightings *sightings_new(struct loop *loop); /* starts the thread */
/* Reads what was kept into known. domain: of bare names. */
enum err sightings_open(struct sightings *sightings, const char *path, const char *domain,
			struct known *known, char why[ACCOUNT_WHY]);
void sightings_keep(struct sightings *sightings, int64_t account,
		    const unsigned char source[SOURCE_BYTES], int64_t now);
void sightings_free(struct sightings **sightings); /* writes what is left */

#endif
