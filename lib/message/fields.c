/* SPDX-License-Identifier: Apache-2.0 */
#include "message/fields.h"

static const char *const names[FIELD_COUNT] = {
	[FIELD_OTHER] = "",
	[FIELD_RECEIVED] = "Received",
	[FIELD_DATE] = "Date",
	[FIELD_MESSAGE_ID] = "Message-ID",
	[FIELD_FROM] = "From",
	[FIELD_SENDER] = "Sender",
	[FIELD_REPLY_TO] = "Reply-To",
	[FIELD_TO] = "To",
	[FIELD_CC] = "Cc",
	[FIELD_BCC] = "Bcc",
	[FIELD_RESENT_FROM] = "Resent-From",
	[FIELD_RESENT_SENDER] = "Resent-Sender",
	[FIELD_RESENT_TO] = "Resent-To",
	[FIELD_RESENT_CC] = "Resent-Cc",
	[FIELD_RESENT_BCC] = "Resent-Bcc",
	[FIELD_AUTH_RESULTS] = "Authentication-Results",
	[FIELD_TLS_REQUIRED] = "TLS-Required",
};

enum field_id field_id(struct slice name)
{
	for (enum field_id id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
		if (slice_is_nocase(name, names[id]))
			return id;
	}
	return FIELD_OTHER;
}

const char *field_name(enum field_id id)
{
	return names[id];
}

const char *field_set_print(field_set set, char *text, size_t size)
{
	size_t len = 0;

	for (enum field_id id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
		if ((set & FIELD_BIT(id)) == 0)
			continue;
		if (len > 0 && len + 1 < size)
			text[len++] = ',';
		for (const char *c = names[id]; *c != '\0' && len + 1 < size; c++)
			text[len++] = ascii_lower(*c);
	}
	text[len] = '\0';
	return text;
}
