/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header that a load balancer puts before a connection to say whose it is: the PROXY protocol
 * of HAProxy (doc/proxy-protocol.txt there), version 1 (2.1, a line) and version 2 (2.2, binary).
 * No I/O: bytes in, the client's address out, the same for every split. Of fixed size whatever
 * comes: what is not needed is counted, checked and forgotten.
 */
#ifndef POSTERN_SMTP_PROXY_H
#define POSTERN_SMTP_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum {
	PROXY_V1_MAX = 107,     /* bytes of a line with its CRLF (2.1) */
	PROXY_V2_HEAD = 16,     /* signature, version and command, family, length (2.2) */
	PROXY_V2_ADDRESS = 216, /* bytes of the longest address block: two AF_UNIX paths */
	/*
	 * Bytes behind the head that we go along with. The format has room for 65535; addresses,
	 * TLS facts and a client certificate that a balancer passes on fit into a quarter of that.
	 */
	PROXY_V2_MAX = 16 * 1024,
	PROXY_CLIENT_MAX = 46, /* INET6_ADDRSTRLEN */
};

enum proxy_state {
	PROXY_START, /* which version it is shows in the first byte */
	PROXY_LINE,
	PROXY_HEAD,
	PROXY_ADDRESS,
	PROXY_TLV,  /* type and length of the next one */
	PROXY_SKIP, /* its value, or what is not looked at */
	PROXY_DONE,
	PROXY_BAD,
};

/* Read only by proxy.c but for client, local and why. */
struct proxy_reader {
	enum proxy_state state;
	unsigned char bytes[PROXY_V2_ADDRESS]; /* of the part that is being gathered */
	size_t len;
	size_t need;  /* bytes that the part has */
	size_t left;  /* of a version 2 header after this part */
	bool has_tlv; /* what is left of it has the form of TLVs */
	uint8_t family;
	/* Who the client is, numeric; "": the connection's own other end (UNKNOWN, LOCAL). */
	char client[PROXY_CLIENT_MAX];
	bool local;      /* the balancer's own connection: a health check */
	bool missing;    /* what came never was a PROXY header */
	const char *why; /* what is wrong, for the log; never has bytes of the input */
};

void proxy_init(struct proxy_reader *reader);
/*
 * Takes bytes of the header from the front of input, and none behind its end: *used_out of them,
 * at least one unless input is empty or the header was complete or refused before. ERR_OK complete:
 * client and local say what it says. ERR_AGAIN more is needed. ERR_SYNTAX: why.
 */
enum err proxy_feed(struct proxy_reader *reader, struct slice input, size_t *used_out);

#endif
