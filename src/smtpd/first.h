/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first bytes of a client, which tell whether its mail program was set to the kind of TLS that
 * this port has: TLS from the first byte on one that begins in clear, SMTP in clear on one that
 * does not, or a program that is no mail client at all.
 */
#ifndef POSTERN_SMTPD_FIRST_H
#define POSTERN_SMTPD_FIRST_H

#include "base/slice.h"

enum first {
	FIRST_TLS,  /* a handshake record (RFC 8446 5.1), or a hello of SSL 2's form (RFC 5246 E.2)
		     */
	FIRST_SMTP, /* a command of SMTP, or the beginning of one */
	FIRST_HTTP, /* a request of HTTP */
	FIRST_OTHER,
};

/* bytes: at least one, as many as came at first. */
enum first first_judge(struct slice bytes);
/* For the log: why a client with this beginning cannot be served on a port with implicit TLS. */
const char *first_reason(enum first first);

#endif
