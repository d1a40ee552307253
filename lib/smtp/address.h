/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mailboxes and paths of RFC 5321 4.1.2, one grammar for all that decides and all that is sent:
 * what was parsed is what is used, and it is printed in one canonical form (quoted only where it
 * must be; RFC 6531 3.3 with SMTPUTF8). Local parts are never normalised nor folded. No default
 * domain is ever filled in here.
 */
#ifndef POSTERN_SMTP_ADDRESS_H
#define POSTERN_SMTP_ADDRESS_H

#include "base/slice.h"
#include "smtp/limits.h"

enum smtp_address_error {
	SMTP_ADDRESS_OK,
	SMTP_ADDRESS_SYNTAX,       /* 501 5.1.3 (recipient), 5.1.7 (sender) */
	SMTP_ADDRESS_TOO_LONG,     /* the same codes */
	SMTP_ADDRESS_SOURCE_ROUTE, /* <@a,@b:u@c>: 553 5.1.3 */
	SMTP_ADDRESS_NEEDS_UTF8,   /* not ASCII without SMTPUTF8: 553 5.6.7 */
	SMTP_ADDRESS_BAD_LITERAL,  /* [..] that is no address */
};

struct smtp_address {
	/*
	 * Canonical text, "" for the null path; local part as sent on the wire, domain in lower
	 * case and as A-labels (RFC 5890 2.3.2.1).
	 */
	char text[SMTP_LOCAL_MAX * 2 + 3 + SMTP_DOMAIN_MAX + 1];
	size_t len;
	size_t domain_at; /* where the domain starts; len if there is none (null path, postmaster)
			   */
	bool utf8;        /* holds more than ASCII: the local part, a domain never does */
	bool wide;        /* was given with more than ASCII, the domain included */
	bool literal;     /* the domain is an address literal */
};

/* "local@domain", no angle brackets. utf8: SMTPUTF8 is in force. */
enum smtp_address_error smtp_mailbox_parse(struct slice text, bool utf8,
					   struct smtp_address *address_out);
/*
 * A path with its angle brackets at the start of text: "<>" where null_ok, "<postmaster>" where
 * postmaster_ok. *rest_out is what follows the bracket.
 */
enum smtp_address_error smtp_path_parse(struct slice text, bool utf8, bool null_ok,
					bool postmaster_ok, struct smtp_address *address_out,
					struct slice *rest_out);
struct slice smtp_address_text(const struct smtp_address *address);
struct slice
smtp_address_local(const struct smtp_address *address); /* as printed, quotes included */
struct slice smtp_address_domain(const struct smtp_address *address);
/* Letters, digits, hyphens, dots; labels 1 to 63; at most 255; no trailing dot. */
bool smtp_is_host_name(struct slice text);
/*
 * A domain as it is kept and sent: in lower case, letters beyond ASCII mapped to A-labels by
 * UTS-46 (non-transitional: RFC 5891), "xn--" labels checked. utf8: such letters may be there.
 * text_out: SMTP_DOMAIN_MAX + 1 bytes, terminated.
 */
enum smtp_address_error smtp_domain_canonical(struct slice text, bool utf8, char *text_out);

#endif
