/* SPDX-License-Identifier: Apache-2.0 */
/* Cyrus SASL's sasldb2, a Berkeley DB, read by libsasl2: its password check with its own plug-in.
 */
#ifndef POSTERN_BACKEND_SASLDB_H
#define POSTERN_BACKEND_SASLDB_H

#include "backend.h"

struct sasldb {
	const char *file;
	const char *hostname;
	const char *realm;         /* of names without an @ */
	const char *const *realms; /* where else people look: for the sentence; ended by NULL */
	const char *(*said)(void); /* what libsasl2 complained about since forget */
	void (*forget)(void);
};

/* sasl_server_init has been called, and takes sasldb_path to be file. */
void sasldb_check(const struct sasldb *sasldb, const struct backend_question *question,
		  struct backend_answer *answer);

#endif
