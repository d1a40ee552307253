/* SPDX-License-Identifier: Apache-2.0 */
#include "scram_message.h"

#include "base/utf8.h"

/* An attribute without its comma: x=value, the value not empty. false: it is none. */
static bool attribute(struct slice part, char letter, struct slice *value_out)
{
	if (part.len < 3 || part.ptr[0] != letter || part.ptr[1] != '=')
		return false;
	*value_out = slice_skip(part, 2);
	return true;
}

/* slice_split does not tell an empty last part from none. */
static bool ends_in_comma(struct slice text)
{
	return text.len > 0 && text.ptr[text.len - 1] == ',';
}

static enum err read_whole(struct slice message)
{
	if (message.len > SCRAM_MESSAGE_MAX)
		return ERR_RANGE;
	if (ends_in_comma(message))
		return ERR_SYNTAX;
	/* A NUL would end what GNU SASL sees of it; no other control has a place in it either. */
	for (size_t i = 0; i < message.len; i++)
		if ((unsigned char)message.ptr[i] < 0x20 || message.ptr[i] == 0x7f)
			return ERR_SYNTAX;
	return utf8_valid(message) ? ERR_OK : ERR_SYNTAX;
}

static enum err read_nonce(struct slice part, struct slice *nonce_out)
{
	struct slice nonce;

	if (!attribute(part, 'r', &nonce))
		return ERR_SYNTAX;
	if (nonce.len > SCRAM_NONCE_MAX)
		return ERR_RANGE;
	for (size_t i = 0; i < nonce.len; i++) /* commas are gone already */
		if (nonce.ptr[i] <= 0x20 || nonce.ptr[i] >= 0x7f)
			return ERR_SYNTAX;
	*nonce_out = nonce;
	return ERR_OK;
}

/*
 * What may follow the nonce: attributes that nobody has defined yet, each once, which are to be
 * ignored (RFC 5802 5.1). Those that have a meaning elsewhere have none here.
 */
static enum err read_extensions(struct slice rest)
{
	uint64_t seen = 0;
	struct slice part, value;

	while (slice_split(&rest, ',', &part)) {
		char letter = part.len > 0 ? part.ptr[0] : '\0';
		uint64_t bit;

		if (!ascii_is_alpha(letter) || slice_has_byte(SLICE_LIT("aceimnprsv"), letter) ||
		    !attribute(part, letter, &value))
			return ERR_SYNTAX;
		bit = UINT64_C(1) << (letter - 'A');
		if ((seen & bit) != 0)
			return ERR_SYNTAX;
		seen |= bit;
	}
	return ERR_OK;
}

static enum err read_flag(struct slice part, struct scram_first *first)
{
	if (slice_is(part, "n")) {
		first->flag = SCRAM_BINDING_NO;
		return ERR_OK;
	}
	if (slice_is(part, "y")) {
		first->flag = SCRAM_BINDING_UNSURE;
		return ERR_OK;
	}
	if (!attribute(part, 'p', &first->binding))
		return ERR_SYNTAX;
	if (first->binding.len > SCRAM_BINDING_NAME_MAX)
		return ERR_RANGE;
	for (size_t i = 0; i < first->binding.len; i++) {
		char c = first->binding.ptr[i];

		if (!ascii_is_alnum(c) && c != '.' && c != '-')
			return ERR_SYNTAX;
	}
	first->flag = SCRAM_BINDING_REQUIRED;
	return ERR_OK;
}

enum err scram_read_first(struct slice message, struct scram_first *first_out)
{
	struct scram_first first = {0};
	struct slice rest = message, part;
	enum err err = read_whole(message);

	if (err != ERR_OK)
		return err;
	if (!slice_split(&rest, ',', &part))
		return ERR_SYNTAX;
	if ((err = read_flag(part, &first)) != ERR_OK)
		return err;
	if (!slice_split(&rest, ',', &part))
		return ERR_SYNTAX;
	first.has_authzid = part.len > 0;
	if (first.has_authzid && !attribute(part, 'a', &first.authzid))
		return ERR_SYNTAX;
	first.gs2_header = slice_head(message, (size_t)(part.ptr + part.len - message.ptr) + 1);
	/* m= would stand here: an extension that must be understood (RFC 5802 5.1), and none is. */
	if (!slice_split(&rest, ',', &part) || !attribute(part, 'n', &first.name) ||
	    !slice_split(&rest, ',', &part))
		return ERR_SYNTAX;
	if ((err = read_nonce(part, &first.nonce)) != ERR_OK ||
	    (err = read_extensions(rest)) != ERR_OK)
		return err;
	*first_out = first;
	return ERR_OK;
}

enum err scram_read_final(struct slice message, struct scram_final *final_out)
{
	struct scram_final final = {0};
	size_t last = slice_find_last(message, ',');
	struct slice rest = slice_head(message, last), part;
	enum err err = read_whole(message);

	if (err != ERR_OK)
		return err;
	if (last >= message.len || ends_in_comma(rest) ||
	    !attribute(slice_skip(message, last + 1), 'p', &final.proof))
		return ERR_SYNTAX;
	if (!slice_split(&rest, ',', &part) || !attribute(part, 'c', &final.binding) ||
	    !slice_split(&rest, ',', &part))
		return ERR_SYNTAX;
	if ((err = read_nonce(part, &final.nonce)) != ERR_OK ||
	    (err = read_extensions(rest)) != ERR_OK)
		return err;
	*final_out = final;
	return ERR_OK;
}

enum err scram_name(struct slice encoded, char *name_out, size_t size, size_t *len_out)
{
	size_t len = 0;

	for (size_t i = 0; i < encoded.len; i++) {
		char c = encoded.ptr[i];

		if (len + 1 >= size)
			return ERR_RANGE;
		if (c == '=') {
			struct slice code = slice_head(slice_skip(encoded, i), 3);

			if (slice_is(code, "=2C"))
				c = ',';
			else if (!slice_is(code, "=3D"))
				return ERR_SYNTAX;
			i += 2;
		}
		name_out[len++] = c;
	}
	name_out[len] = '\0';
	*len_out = len;
	return ERR_OK;
}
