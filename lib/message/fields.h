/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields that mean something to a submission server. A name is looked for in a fixed list,
 * whatever a message holds: no table has keys that a sender chose (threats E5).
 */
#ifndef POSTERN_MESSAGE_FIELDS_H
#define POSTERN_MESSAGE_FIELDS_H

#include "base/slice.h"

enum field_id {
	FIELD_OTHER,
	FIELD_RECEIVED,
	FIELD_DATE,
	FIELD_MESSAGE_ID,
	FIELD_FROM,
	FIELD_SENDER,
	FIELD_REPLY_TO,
	FIELD_TO,
	FIELD_CC,
	FIELD_BCC,
	FIELD_RESENT_FROM,
	FIELD_RESENT_SENDER,
	FIELD_RESENT_TO,
	FIELD_RESENT_CC,
	FIELD_RESENT_BCC,
	FIELD_AUTH_RESULTS,
	FIELD_TLS_REQUIRED,
	FIELD_COUNT,
};

/* A set of fields. */
typedef uint32_t field_set;
#define FIELD_BIT(id) ((field_set)1 << (id))

enum field_id field_id(struct slice name);
/* As it is written: "Message-ID"; "" for FIELD_OTHER. */
const char *field_name(enum field_id id);
/* "date,message-id", cut to what there is room for; "" for the empty set. Returns text. */
const char *field_set_print(field_set set, char *text, size_t size);

#endif
