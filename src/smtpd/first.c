/* SPDX-License-Identifier: Apache-2.0 */
#include "first.h"

#include <string.h>

enum { RECORD_HANDSHAKE = 0x16, VERSION_MAJOR = 0x03, SSL2_CLIENT_HELLO = 0x01 };

static bool is_tls(struct slice bytes)
{
	unsigned char first = (unsigned char)bytes.ptr[0];

	if (first == RECORD_HANDSHAKE)
		return bytes.len < 2 || bytes.ptr[1] == VERSION_MAJOR;
	/* Two bytes of length with the top bit set, the type, the version. */
	return (first & 0x80) != 0 && bytes.len >= 4 && bytes.ptr[2] == SSL2_CLIENT_HELLO &&
	       bytes.ptr[3] == VERSION_MAJOR;
}

/* Do the bytes begin with the word, or are they its beginning? */
static bool begins(struct slice bytes, const char *word)
{
	size_t len = strlen(word);

	return slice_equal_nocase(slice_head(bytes, len), slice_head(slice_str(word), bytes.len));
}

static bool is_one_of(struct slice bytes, const char *const *words)
{
	for (; *words != NULL; words++)
		if (begins(bytes, *words))
			return true;
	return false;
}

enum first first_judge(struct slice bytes)
{
	static const char *const smtp[] = {"EHLO ",      "HELO ", "STARTTLS", "AUTH ",
					   "MAIL FROM:", "NOOP",  "RSET",     "QUIT",
					   "HELP",       "VRFY ", NULL};
	static const char *const http[] = {"GET ",    "POST ",    "PUT ",      "HEAD ",  "OPTIONS ",
					   "DELETE ", "CONNECT ", "PROPFIND ", "PATCH ", NULL};

	if (is_tls(bytes))
		return FIRST_TLS;
	if (is_one_of(bytes, smtp))
		return FIRST_SMTP;
	return is_one_of(bytes, http) ? FIRST_HTTP : FIRST_OTHER;
}

const char *first_reason(enum first first)
{
	switch (first) {
	case FIRST_SMTP:
		return "the client speaks SMTP in clear on a port with implicit TLS: it should use "
		       "STARTTLS on port 587, or TLS from the start (\"SSL/TLS\")";
	case FIRST_HTTP:
		return "the client speaks HTTP, not TLS";
	default:
		return "the client speaks no TLS";
	}
}
