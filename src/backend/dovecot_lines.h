/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of Dovecot's authentication protocol, version 1: lines of fields with a tab
 * between them. No I/O: bytes in, events out, lines to send. One request per connection, PLAIN
 * (RFC 4616).
 */
#ifndef POSTERN_BACKEND_DOVECOT_LINES_H
#define POSTERN_BACKEND_DOVECOT_LINES_H

#include "base/buf.h"

enum {
	DOVECOT_LINE_MAX = 8192, /* as Dovecot's own clients take */
	DOVECOT_WORDS_MAX = 200,
};

enum dovecot_event {
	DOVECOT_MORE,      /* feed it */
	DOVECOT_READY,     /* the greeting is over, and PLAIN is there: send the request */
	DOVECOT_YES,       /* user says for whom */
	DOVECOT_NO,        /* words may say why */
	DOVECOT_TEMPORARY, /* it could not find out */
	DOVECOT_BROKEN,    /* this is not the protocol: words say what it is */
};

struct dovecot_lines {
	struct buf in;
	bool version, plain, ready, broken;
	char user[320 + 1];
	char words[DOVECOT_WORDS_MAX]; /* may hold any bytes but NUL */
};

void dovecot_lines_init(struct dovecot_lines *lines);
void dovecot_lines_release(struct dovecot_lines *lines);
/* ERR_FULL: a line is too long; nothing is kept. */
enum err dovecot_lines_feed(struct dovecot_lines *lines, struct slice bytes);
/* After READY nothing comes but the answer, and after that, or BROKEN, nothing. */
enum dovecot_event dovecot_lines_next(struct dovecot_lines *lines);

/* The client's greeting. pid: no two connections of one process are open at once. */
enum err dovecot_greeting(uint32_t pid, struct buf *out);
/*
 * The request, number 1. client: address, or "". None of it may hold a tab, a line feed or NUL:
 * ERR_SYNTAX. ERR_FULL.
 */
enum err dovecot_request(const char *service, const char *client, const char *user,
			 const char *password, struct buf *out);

#endif
