/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of files that say who has which hash: NAME:HASH, with whatever stands behind it in
 * /etc/shadow or in a passwd-file of Dovecot. Without I/O.
 */
#ifndef POSTERN_STORE_FOREIGN_FILE_H
#define POSTERN_STORE_FOREIGN_FILE_H

#include "store/foreign.h"

enum foreign_file {
	FOREIGN_PASSWD_FILE, /* NAME:HASH, the rest is not looked at: htpasswd, passwd(5) */
	FOREIGN_SHADOW,      /* shadow(5): the eighth field is a day on which the account ends */
	FOREIGN_DOVECOT,     /* NAME:{SCHEME}HASH:uid:gid:gecos:home:shell:extra fields */
};

struct foreign_line {
	struct slice name, hash; /* parts of the line; not looked at yet */
	int64_t expires;         /* ms since 1970; 0: never */
};

/*
 * ERR_EOF: it is empty or a comment. ERR_SYNTAX: it is no such line. ERR_DENIED: what stands
 * behind the hash bars the login, or allows it in a way that nobody here can. why: a clause. Of
 * ERR_DENIED the name is set, too.
 */
enum err foreign_line_read(struct slice line, enum foreign_file form, struct foreign_line *out,
			   char why[FOREIGN_WHY]);

#endif
