/* SPDX-License-Identifier: Apache-2.0 */
/* An address: what is taken prints as one that is taken and prints the same. */
#include <string.h>

#include "base/utf8.h"
#include "smtp/address.h"

#include "fuzz.h"

static void check(const struct smtp_address *address, bool utf8)
{
	struct slice text = smtp_address_text(address), domain = smtp_address_domain(address);
	struct smtp_address again;

	HOLDS(text.len < sizeof(address->text) && address->text[text.len] == '\0');
	HOLDS(utf8 ? utf8_valid(text) : utf8_is_ascii(text));
	for (size_t i = 0; i < text.len; i++)
		HOLDS((unsigned char)text.ptr[i] >= 0x20 && text.ptr[i] != 0x7f);
	if (domain.len == 0) {
		HOLDS(text.len == 0 || slice_is(text, "postmaster"));
		return;
	}
	HOLDS(smtp_address_local(address).len + 1 + domain.len == text.len);
	HOLDS(smtp_address_local(address).len <= SMTP_LOCAL_MAX && domain.len <= SMTP_DOMAIN_MAX);
	/* The domain is what follows the last '@'; no reader can see another. */
	HOLDS(slice_find_last(text, '@') + 1 == address->domain_at);
	HOLDS(address->literal ? domain.ptr[0] == '[' : smtp_is_host_name(domain));
	HOLDS(smtp_mailbox_parse(text, utf8, &again) == SMTP_ADDRESS_OK);
	HOLDS(slice_equal(smtp_address_text(&again), text));
	HOLDS(again.domain_at == address->domain_at && again.utf8 == address->utf8 &&
	      again.literal == address->literal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_of(data, size);

	for (int utf8 = 0; utf8 < 2; utf8++) {
		struct smtp_address address, as_path;
		struct slice rest;
		bool ok = smtp_mailbox_parse(text, utf8, &address) == SMTP_ADDRESS_OK;

		if (ok)
			check(&address, utf8);
		if (smtp_path_parse(text, utf8, true, true, &as_path, &rest) == SMTP_ADDRESS_OK) {
			HOLDS(rest.ptr + rest.len == text.ptr + text.len && rest.len < text.len);
			HOLDS(text.ptr[text.len - rest.len - 1] == '>');
			check(&as_path, utf8);
		}
		smtp_is_host_name(text);
	}
	return 0;
}
