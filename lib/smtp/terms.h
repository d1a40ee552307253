/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sender of a message can ask for in MAIL and RCPT beyond the addresses: read by the
 * server machine, kept in the queue, said again by the client machine.
 */
#ifndef POSTERN_SMTP_TERMS_H
#define POSTERN_SMTP_TERMS_H

#include "base/slice.h"

enum smtp_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS }; /* RFC 3461 4.3 */
enum smtp_by { SMTP_BY_NONE, SMTP_BY_RETURN, SMTP_BY_NOTIFY }; /* RFC 2852 4 */

enum smtp_notify { /* RFC 3461 4.1; 0: NOTIFY was not given */
		   SMTP_NOTIFY_NEVER = 1 << 0,
		   SMTP_NOTIFY_SUCCESS = 1 << 1,
		   SMTP_NOTIFY_FAILURE = 1 << 2,
		   SMTP_NOTIFY_DELAY = 1 << 3,
};

enum {
	SMTP_PRIORITY_MIN = -9, /* RFC 6710 3 */
	SMTP_PRIORITY_MAX = 9,
};

struct smtp_mail_terms {
	bool utf8;         /* SMTPUTF8 (RFC 6531) */
	bool require_tls;  /* REQUIRETLS (RFC 8689) */
	bool by_trace;     /* T of BY= */
	bool has_priority; /* MT-PRIORITY= was given (RFC 6710) */
	int8_t priority;
	enum smtp_by by;
	enum smtp_ret ret;
	struct slice envid; /* xtext as given; "" none */
	struct slice auth;  /* of AUTH=: xtext, or "<>"; "" none (RFC 4954 5) */
};

struct smtp_rcpt_terms {
	uint8_t notify;     /* enum smtp_notify */
	struct slice orcpt; /* "rfc822;xtext" as given; "" none (RFC 3461 4.2) */
};

#endif
