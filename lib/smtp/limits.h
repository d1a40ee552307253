/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds of the SMTP machines, each with where it comes from. */
#ifndef POSTERN_SMTP_LIMITS_H
#define POSTERN_SMTP_LIMITS_H

enum {
	SMTP_LINE_MAX = 2048,        /* a command line with CRLF; RFC 5321 4.5.3.1.4 asks for 512 and extensions */
	SMTP_AUTH_LINE_MAX = 12288,  /* a line of an AUTH exchange; RFC 4954 4 */
	SMTP_DISCARD_MAX = 1 << 20,  /* bytes of one endless line that are thrown away before closing */
	SMTP_LOCAL_MAX = 64,         /* local part; RFC 5321 4.5.3.1.1 */
	SMTP_DOMAIN_MAX = 255,       /* 4.5.3.1.2 */
	SMTP_PATH_MAX = 256,         /* with the angle brackets; 4.5.3.1.3 */
	SMTP_COMMANDS_BEFORE_LOGIN_MAX = 10, /* where login is required: EHLO, STARTTLS, EHLO, AUTH and some tries */
	SMTP_PARAMS_MAX = 10,        /* ESMTP parameters of one command: as many as MAIL has that go together */
	SMTP_TEXT_LINE_MAX = 65536,  /* a line of a body, without CRLF */
	SMTP_TEXT_LINE_STRICT = 998, /* the same by RFC 5322 2.1.1 */
	SMTP_HOLD_MAX = 999999999,   /* HOLDFOR: nine digits of seconds; RFC 4865 5 */
	SMTP_BY_MAX = 999999999,     /* BY=: nine digits of seconds; RFC 2852 4 */
	SMTP_REPLY_LINE_MAX = 2048,  /* a line of a server's reply to us */
	SMTP_REPLY_LINES_MAX = 100,
	SMTP_REPLY_MAX = 65536,
	SMTP_ENVID_MAX = 100,        /* RFC 3461 4.4 */
	SMTP_ORCPT_MAX = 500,        /* RFC 3461 4.2 */
	SMTP_INPUT_MAX = 65536 + 4096, /* bytes a server machine holds that it has not used */
};

#endif
