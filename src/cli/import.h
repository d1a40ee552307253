/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of other programs that postern user import reads. They are read here, with the rights of
 * who asks; auth, which gets the entries, has no rights to them.
 *
 *	import.c         the command: asks auth, and reports
 *	import_file.c    text files
 *	import_sasldb.c  Cyrus SASL's database
 */
#ifndef POSTERN_CLI_IMPORT_H
#define POSTERN_CLI_IMPORT_H

#include "base/secret.h"
#include "config/config.h"
#include "store/foreign_file.h"

enum { IMPORT_FILE_MAX = 256 * 1024 * 1024, IMPORT_WHY = 1024 };

struct import_entry {
	uint32_t line; /* in the file; of a database, which one it is */
	char *name;
	struct secret secret; /* as in the message; empty: the back end has it */
	int64_t expires;
	char *problem; /* why it is left out; NULL: auth is to judge it */
};

struct import {
	const struct config *config;
	const char *path;
	const char *scheme; /* of hashes without one; "" */
	const char *realm;  /* NULL: all */
	struct import_entry *entries;
	size_t count;
};

/* Takes copies; problem NULL: none. */
void import_add(struct import *import, uint32_t line, struct slice name, struct slice secret,
		int64_t expires, const char *problem);
/* The account of user@realm; false: it is of another realm than was asked for. */
bool import_name(const struct import *import, struct slice user, struct slice realm,
		 struct buf *name_out);
void import_release(struct import *import); /* wipes */

/* Adds an entry for each account of the file. Errors tell in why what to do. */
enum err import_read_file(struct import *import, enum foreign_file form, char why[IMPORT_WHY]);
enum err import_read_list(struct import *import, char why[IMPORT_WHY]); /* of sasldblistusers2 */
enum err import_read_sasldb(struct import *import, char why[IMPORT_WHY]);

#endif
