/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration with everything that it needs from the system: bound sockets, certificate and
 * key, passwords of relays. It is made whole beside the one in force, or not at all.
 */
#ifndef POSTERN_MASTER_GENERATION_H
#define POSTERN_MASTER_GENERATION_H

#include "base/buf.h"
#include "base/secret.h"
#include "config/config.h"
#include "identities.h"
#include "os/net.h"
#include "os/os.h"
#include "tls/tls.h"

struct listener {
	uint16_t index;   /* of its section in config->listens */
	const char *text; /* as in the configuration */
	struct net_address where;
	int fd;
};

struct password {
	const char *name; /* of the relay */
	struct secret value;
};

struct named_file { /* what is in a file that a setting of a titled section names */
	const char *section, *title, *setting;
	int gets;          /* for which processes: enum graph_gets */
	bool certificates; /* PEM, which is tried */
	struct secret value;
};

struct identity {
	const struct identity_files *files;
	struct secret certificate, key; /* PEM; key empty: it is in certificate */
};

struct authorities {
	const char *listener;
	struct secret certificates; /* PEM */
};

struct source { /* a file that is read again when it changes */
	const char *path;
	struct os_stamp stamp;
};

struct generation {
	uint32_t number;
	int64_t made_at; /* ms since 1970 */
	struct config *config;
	struct listener *listeners;
	size_t listener_count;
	struct identities files;         /* where the identities come from */
	struct identity *identities;     /* those that can be used; the server's own first */
	size_t identity_count;           /* 0: no listener uses TLS */
	struct authorities *authorities; /* of listeners that ask clients for certificates */
	size_t authorities_count;
	struct password *passwords;
	size_t password_count;
	struct named_file *named_files;
	size_t named_file_count;
	struct source *sources;
	size_t source_count;
};

/*
 * Reads and checks the file. errors: a line for each problem, of the form "file:line: ..." where
 * there is one. Sockets and files of the result are not there yet.
 */
enum err generation_read(const char *path, struct generation **generation_out, struct buf *errors);
/* The same configuration as before once more, to read files again that have changed. */
enum err generation_again(const struct generation *before, struct generation **generation_out,
			  struct buf *errors);
/*
 * Binds sockets and reads certificate, key and passwords. before: the generation in force, whose
 * sockets are kept where the address is the same; or NULL. On error the generation is to be freed.
 */
enum err generation_fill(struct generation *generation, const struct generation *before,
			 struct buf *errors);
void generation_free(struct generation **generation);
/* One of the identities; valid as long as the generation. */
struct tls_identity generation_identity(const struct generation *generation, size_t index);
/* Whether a file that it was made from is not what it was. */
bool generation_files_changed(const struct generation *generation);
/* Takes the files as they are for known, so that one bad pair is complained about once. */
void generation_note_files(struct generation *generation);

#endif
