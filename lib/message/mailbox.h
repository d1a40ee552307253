/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mailboxes of an address field, by a grammar narrower than RFC 5322's (threats E2): a field
 * that another program could read as another address must not pass. Comments and folding are taken
 * around an address, never inside it; groups, routes, empty list members and other obsolete forms
 * are refused, but for dots in a display name, which half the world's mail has.
 *
 *	mailbox = [CFWS] ( addr-spec / [phrase] "<" [FWS] addr-spec [FWS] ">" ) [CFWS]
 *
 * What an addr-spec is, smtp_mailbox_parse alone knows: header and envelope have one grammar, and
 * an encoded word inside an address is plain characters (D6).
 */
#ifndef POSTERN_MESSAGE_MAILBOX_H
#define POSTERN_MESSAGE_MAILBOX_H

#include "smtp/address.h"

struct mailbox {
	struct smtp_address address; /* canonical; of a bare one: completed */
	struct slice phrase;         /* display name as it stands, without blanks around; "" none */
	struct slice spec;           /* where the address stands, without angle brackets */
	bool bare;                   /* spec is a local part alone */
};

struct mailbox_list {
	struct slice rest; /* of the field's value (header_field) */
	const char
		*qualify; /* domain for local parts that stand alone; NULL: they are no address */
	bool utf8;        /* a local part may hold more than ASCII (SMTPUTF8 is in force) */
	/*
	 * Addresses with an '@' are not read, and address stays empty: for who only looks for bare
	 * ones. Reading a hundred thousand domains, mapped ones among them, takes its time.
	 */
	bool shallow;
	bool started; /* set by mailbox_next */
};

/*
 * The next mailbox; the slices point into the value. ERR_EOF: there are no more; ERR_SYNTAX: what
 * stands there is no mailbox, or the list is empty; nothing more is to be read then, and
 * *mailbox_out is anything.
 */
enum err mailbox_next(struct mailbox_list *list, struct mailbox *mailbox_out);

#endif
