/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local parts that stand alone get a domain (RFC 6409 8.3 lets a submission server do it; RFC
 * 5321 2.3.5 wants names fully qualified). A field that holds anything that is no plain list of
 * mailboxes stays as it came.
 */
#include "message/mailbox.h"
#include "message/pass.h"

static enum err print(const struct header_field *field, struct mailbox_list list, struct buf *out)
{
	struct slice domain = slice_str(list.qualify);
	struct slice rest = field->whole;
	struct mailbox mailbox;
	enum err err = ERR_OK;

	while (err == ERR_OK && mailbox_next(&list, &mailbox) == ERR_OK) {
		size_t until = (size_t)(mailbox.spec.ptr + mailbox.spec.len - rest.ptr);

		if (!mailbox.bare)
			continue;
		err = buf_append_slice(out, slice_head(rest, until));
		if (err == ERR_OK)
			err = buf_append_byte(out, '@');
		if (err == ERR_OK)
			err = buf_append_slice(out, domain);
		rest = slice_skip(rest, until);
	}
	return err != ERR_OK ? err : buf_append_slice(out, rest);
}

enum err qualify_print(const struct submission *submission, const struct header_field *field,
		       struct buf *out, bool *changed_out)
{
	struct mailbox_list list = {
		.rest = field->value, .qualify = submission->qualify, .shallow = true};
	struct mailbox_list again = list;
	struct mailbox mailbox;
	bool any = false;
	enum err err;

	*changed_out = false;
	if (submission->qualify == NULL)
		return buf_append_slice(out, field->whole);
	while ((err = mailbox_next(&list, &mailbox)) == ERR_OK)
		any |= mailbox.bare;
	if (err != ERR_EOF || !any)
		return buf_append_slice(out, field->whole);
	*changed_out = true;
	return print(field, again, out);
}
