/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes of other programs, and lines of their files. The first byte says which file; the rest is a
 * line. What is read of a hash is printable, within its bounds, and reads as the same again.
 * Nothing is hashed here.
 */
#include "store/foreign_file.h"

#include "fuzz.h"

static bool is_crypt(const struct foreign *foreign)
{
	return foreign->scheme <= FOREIGN_SHA256_CRYPT;
}

static void try_hash(struct slice text, const char *scheme)
{
	struct foreign foreign = {.text = "untouched"}, again;
	char why[FOREIGN_WHY] = "";
	struct slice kept;

	if (foreign_read(text, scheme, &foreign, why) != ERR_OK) {
		HOLDS(why[0] != '\0' && slice_is(slice_str(foreign.text), "untouched"));
		return;
	}
	kept = slice_str(foreign.text);
	HOLDS(kept.len > 0 && foreign_name(foreign.scheme) != NULL);
	HOLDS(foreign.salt_len <= FOREIGN_SALT_MAX && foreign.digest_len <= FOREIGN_DIGEST_MAX);
	if (foreign.scheme != FOREIGN_PLAIN) {
		HOLDS(kept.len <= FOREIGN_MAX && kept.ptr[0] == (is_crypt(&foreign) ? '$' : '{'));
		for (size_t i = 0; i < kept.len; i++)
			HOLDS(kept.ptr[i] > ' ' && kept.ptr[i] < 0x7f);
		HOLDS(foreign_read(kept, "", &again, why) == ERR_OK);
		HOLDS(again.scheme == foreign.scheme && slice_is(kept, again.text));
	}
	foreign_wipe(&foreign);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const SCHEMES[] = {"", "PLAIN", "SSHA", "SSHA512", "SCRAM-SHA-1"};
	struct slice rest = slice_of(data, size);
	unsigned char which = (unsigned char)fuzz_byte(&rest);
	struct foreign_line line = {0};
	char why[FOREIGN_WHY] = "";
	enum err err = foreign_line_read(rest, which % 3, &line, why);

	if (err == ERR_OK) {
		HOLDS(line.name.len > 0 && line.name.len + line.hash.len < rest.len);
		HOLDS(!slice_has_byte(line.name, ':') && !slice_has_byte(line.hash, ':'));
		HOLDS(line.expires >= 0);
		try_hash(line.hash, SCHEMES[which / 3 % 5]);
	} else {
		HOLDS(err == ERR_EOF || why[0] != '\0');
	}
	return 0;
}
