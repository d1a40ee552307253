/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which certificates a configuration names, and the files that they lie in: the server's own, those
 * of certificate sections, and those that the folder of tls { folder } holds, one in each folder
 * below it as certbot keeps them. Which of them a client gets hangs on the name that it asks for
 * (SNI, RFC 6066 3) and on the names in the certificates.
 */
#ifndef POSTERN_MASTER_IDENTITIES_H
#define POSTERN_MASTER_IDENTITIES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct config;

enum {
	IDENTITIES_MAX = 256, /* what smtpd keeps, and looks through at each handshake */
	IDENTITIES_WHY_MAX = 1024,
};

struct identity_files {
	char *label;       /* "" of the server's own; else of its section, or of its folder */
	char *certificate; /* path */
	char *key;         /* path; the same for one file with both */
	bool found;        /* in the folder: one that is of no use is left out, and all goes on */
};

struct identities {
	struct identity_files *items; /* the server's own is the first */
	size_t count;
};

/*
 * ERR_OK; ERR_NOT_FOUND, ERR_DENIED, ERR_IO the folder cannot be read, ERR_RANGE too many: why
 * (IDENTITIES_WHY_MAX bytes) says so. None of the files is looked at.
 */
enum err identities_list(const struct config *config, struct identities *identities_out, char *why);
void identities_release(struct identities *identities);

#endif
