/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sender rights and domains. Input: a pattern and an address with a record's end between. The null
 * sender matches "*" alone, a pattern without a wildcard never another domain than its own.
 */
#include "policy/rights.h"

#include "fuzz.h"

static struct slice domain_of(struct slice address)
{
	return slice_skip(address, slice_find_last(address, '@') + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data, size), pattern, address;
	bool valid, wild;

	if (!slice_split(&rest, FUZZ_RECORD_END, &pattern) ||
	    !slice_split(&rest, FUZZ_RECORD_END, &address))
		return 0;
	valid = rights_pattern_valid(pattern);
	wild = slice_is(pattern, "*");
	if (rights_match(pattern, address) && valid && !wild) {
		HOLDS(address.len != 0 && slice_has_byte(address, '@'));
		if (!slice_has_byte(domain_of(pattern), '*'))
			HOLDS(slice_equal_nocase(domain_of(pattern), domain_of(address)));
	}
	HOLDS(!rights_match(pattern, SLICE_LIT("")) || wild);
	if (rights_match_domain(pattern, address))
		HOLDS(address.len != 0);
	(void)rights_asks_routing(address);
	return 0;
}
