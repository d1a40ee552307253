/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local parts that stand alone get a domain (RFC 6409 8.3 lets a submission server do it; RFC
 * 5321 2.3.5 wants names fully qualified). A field that holds anything that is no plain list of
 * mailboxes stays as it came.
 */
#include "message/mailbox.h"
#include "message/pass.h"

/* From where *rest is to the end of the local part, and its domain. */
static enum err add(const struct mailbox_list *list, const struct mailbox *mailbox,
		    struct slice *rest, struct buf *out)
{
	size_t until = (size_t)(mailbox->spec.ptr + mailbox->spec.len - rest->ptr);
	enum err err = buf_append_slice(out, slice_head(*rest, until));

	if (err == ERR_OK)
		err = buf_append_byte(out, '@');
	if (err == ERR_OK)
		err = buf_append_str(out, list->qualify);
	*rest = slice_skip(*rest, until);
	return err;
}

enum err qualify_print(const struct submission *submission, const struct header_field *field,
		       struct buf *out, bool *changed_out)
{
	struct mailbox_list list = {
		.rest = field->value, .qualify = submission->qualify, .shallow = true};
	struct slice rest = field->whole;
	size_t before = buf_len(out);
	struct mailbox mailbox;
	enum err err = ERR_OK, found;

	*changed_out = false;
	if (submission->qualify == NULL)
		return buf_append_slice(out, field->whole);
	while ((found = mailbox_next(&list, &mailbox)) == ERR_OK) {
		if (!mailbox.bare)
			continue;
		*changed_out = true;
		if (err == ERR_OK)
			err = add(&list, &mailbox, &rest, out);
	}
	if (found == ERR_EOF && *changed_out)
		return err != ERR_OK ? err : buf_append_slice(out, rest);
	/* It is none, or needs nothing: what was written of it goes again. */
	*changed_out = false;
	buf_truncate(out, before);
	return buf_append_slice(out, field->whole);
}
