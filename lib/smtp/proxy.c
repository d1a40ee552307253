/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Section numbers are those of HAProxy's doc/proxy-protocol.txt. Invariants: len <= need <=
 * sizeof(bytes); left only shrinks; every byte is looked at once.
 */
#include "smtp/proxy.h"

#include <arpa/inet.h>
#include <string.h>

enum {
	SIGNATURE = 12,
	VERSION_2 = 0x20,
	COMMAND_LOCAL = 0,
	COMMAND_PROXY = 1,
	FAMILY_UNSPEC = 0x00,
	FAMILY_TCP4 = 0x11,
	FAMILY_TCP6 = 0x21,
	FAMILY_UNIX = 0x31,
	TLV_HEAD = 3,
	PORT_MAX = 65535,
};

static const unsigned char signature[SIGNATURE] = "\r\n\r\n\0\r\nQUIT\n";
static const char line_start[] = "PROXY ";

void proxy_init(struct proxy_reader *reader)
{
	*reader = (struct proxy_reader){.state = PROXY_START, .why = ""};
}

static enum err bad(struct proxy_reader *reader, const char *why)
{
	reader->state = PROXY_BAD;
	reader->client[0] = '\0';
	reader->why = why;
	return ERR_SYNTAX;
}

static enum err done(struct proxy_reader *reader)
{
	reader->state = PROXY_DONE;
	return ERR_OK;
}

static void expect(struct proxy_reader *reader, enum proxy_state state, size_t need)
{
	reader->state = state;
	reader->need = need;
	reader->len = 0;
}

/* The client's address in one spelling. */
static bool set_client(struct proxy_reader *reader, int family, const void *binary)
{
	return inet_ntop(family, binary, reader->client, sizeof(reader->client)) != NULL;
}

/* ---- version 1 ------------------------------------------------------------------------------ */
static bool read_address(int family, struct slice text, unsigned char binary[16])
{
	char copy[PROXY_CLIENT_MAX];

	return slice_copy(text, copy, sizeof(copy)) == ERR_OK &&
	       inet_pton(family, copy, binary) == 1;
}

/* "decimal integer ... without leading zeroes" (2.1). */
static bool is_port(struct slice text)
{
	uint64_t value;

	return slice_number(text, PORT_MAX, &value) == ERR_OK &&
	       (text.ptr[0] != '0' || text.len == 1);
}

/* The line, its "PROXY " and its CRLF taken off. */
static enum err read_line(struct proxy_reader *reader, struct slice line)
{
	unsigned char source[16];
	unsigned char destination[16];
	struct slice part[5] = {{NULL, 0}};
	size_t parts = 0;
	int family;

	/* "must ignore anything presented before the CRLF" (2.1) behind UNKNOWN. */
	if (slice_is(line, "UNKNOWN") || slice_starts(line, "UNKNOWN "))
		return done(reader);
	while (parts < 4 && slice_split(&line, ' ', &part[parts]))
		parts++;
	part[4] = line; /* a blank too many is no part of a port */
	if (slice_is(part[0], "TCP4"))
		family = AF_INET;
	else if (slice_is(part[0], "TCP6"))
		family = AF_INET6;
	else
		return bad(reader, "the protocol of its PROXY line is not TCP4, TCP6 or UNKNOWN");
	if (parts != 4 || line.len == 0)
		return bad(reader, "its PROXY line has not two addresses and two ports");
	if (!read_address(family, part[1], source) || !read_address(family, part[2], destination))
		return bad(reader, "an address of its PROXY line is none of that protocol");
	if (!is_port(part[3]) || !is_port(part[4]))
		return bad(reader, "a port of its PROXY line is none");
	if (!set_client(reader, family, source))
		return bad(reader, "the address of its PROXY line cannot be printed");
	return done(reader);
}

/* One byte of the line, which ends with the first LF. */
static enum err feed_line(struct proxy_reader *reader, unsigned char byte)
{
	size_t start = sizeof(line_start) - 1;

	if (reader->len < start && byte != (unsigned char)line_start[reader->len]) {
		reader->missing = true;
		return bad(reader, "a PROXY header was expected");
	}
	reader->bytes[reader->len++] = byte;
	if (byte == '\n') {
		if (reader->bytes[reader->len - 2] != '\r')
			return bad(reader, "its PROXY line does not end with CRLF");
		return read_line(reader, slice_of(reader->bytes + start, reader->len - 2 - start));
	}
	if (reader->len == PROXY_V1_MAX)
		return bad(reader, "its PROXY line is longer than 107 bytes");
	return ERR_AGAIN;
}

/* ---- version 2 ------------------------------------------------------------------------------ */
static size_t address_size(uint8_t family)
{
	switch (family) {
	case FAMILY_TCP4:
		return 12;
	case FAMILY_TCP6:
		return 36;
	case FAMILY_UNIX:
		return PROXY_V2_ADDRESS;
	default:
		return 0;
	}
}

/* What comes behind the address block, or behind a TLV. */
static enum err next_part(struct proxy_reader *reader)
{
	size_t left = reader->left;

	if (left == 0)
		return done(reader);
	if (!reader->has_tlv) {
		reader->left = 0;
		expect(reader, PROXY_SKIP, left);
		return ERR_AGAIN;
	}
	if (left < TLV_HEAD)
		return bad(reader, "the last TLV of its PROXY header is cut short");
	reader->left -= TLV_HEAD;
	expect(reader, PROXY_TLV, TLV_HEAD);
	return ERR_AGAIN;
}

static enum err read_head(struct proxy_reader *reader)
{
	const unsigned char *head = reader->bytes;
	unsigned command = head[SIGNATURE] & 0x0fU;
	size_t size;

	if ((head[SIGNATURE] & 0xf0U) != VERSION_2)
		return bad(reader, "its PROXY header is of an unknown version");
	if (command != COMMAND_LOCAL && command != COMMAND_PROXY)
		return bad(reader, "its PROXY header has an unknown command");
	reader->left = (size_t)head[14] << 8 | head[15];
	if (reader->left > PROXY_V2_MAX)
		return bad(reader, "its PROXY header is longer than 16 KiB");
	reader->local = command == COMMAND_LOCAL;
	reader->family = head[13];
	/* "must ... use the real connection endpoints and ... discard the protocol block" (2.2). */
	if (reader->local || reader->family == FAMILY_UNSPEC)
		return next_part(reader);
	size = address_size(reader->family);
	if (size == 0)
		return bad(reader, "its PROXY header tells of no stream over IPv4, IPv6 or UNIX");
	if (size > reader->left)
		return bad(reader, "its PROXY header has no room for the addresses it tells of");
	reader->left -= size;
	reader->has_tlv = true;
	expect(reader, PROXY_ADDRESS, size);
	return ERR_AGAIN;
}

static enum err read_addresses(struct proxy_reader *reader)
{
	/* The source comes first in each (2.2); a path says nothing that limits could go by. */
	if (reader->family != FAMILY_UNIX &&
	    !set_client(reader, reader->family == FAMILY_TCP4 ? AF_INET : AF_INET6, reader->bytes))
		return bad(reader, "the address of its PROXY header cannot be printed");
	return next_part(reader);
}

static enum err read_tlv(struct proxy_reader *reader)
{
	size_t size = (size_t)reader->bytes[1] << 8 | reader->bytes[2];

	if (size > reader->left)
		return bad(reader, "a TLV of its PROXY header is longer than the header");
	if (size == 0)
		return next_part(reader);
	reader->left -= size;
	expect(reader, PROXY_SKIP, size);
	return ERR_AGAIN;
}

/* A part of version 2 is there. */
static enum err read_part(struct proxy_reader *reader)
{
	switch (reader->state) {
	case PROXY_HEAD:
		return read_head(reader);
	case PROXY_ADDRESS:
		return read_addresses(reader);
	case PROXY_TLV:
		return read_tlv(reader);
	default:
		return next_part(reader);
	}
}

static enum err feed_part(struct proxy_reader *reader, unsigned char byte)
{
	if (reader->state == PROXY_HEAD && reader->len < SIGNATURE &&
	    byte != signature[reader->len]) {
		reader->missing = true;
		return bad(reader, "a PROXY header was expected");
	}
	if (reader->state != PROXY_SKIP)
		reader->bytes[reader->len] = byte;
	reader->len++;
	return reader->len == reader->need ? read_part(reader) : ERR_AGAIN;
}

enum err proxy_feed(struct proxy_reader *reader, struct slice input, size_t *used_out)
{
	enum err err = reader->state == PROXY_DONE  ? ERR_OK
		       : reader->state == PROXY_BAD ? ERR_SYNTAX
						    : ERR_AGAIN;
	size_t used = 0;

	while (err == ERR_AGAIN && used < input.len) {
		unsigned char byte = (unsigned char)input.ptr[used++];

		if (reader->state == PROXY_START) {
			if (byte == signature[0])
				expect(reader, PROXY_HEAD, PROXY_V2_HEAD);
			else
				expect(reader, PROXY_LINE, PROXY_V1_MAX);
		}
		err = reader->state == PROXY_LINE ? feed_line(reader, byte)
						  : feed_part(reader, byte);
	}
	*used_out = used;
	return err;
}
