/* SPDX-License-Identifier: Apache-2.0 */
#include "selector.h"

#include <stdio.h>
#include <string.h>

#include "frozen.h"
#include "policy/rights.h"

/* "90000" (milliseconds), "90s", "5m", "2h", "3d". */
static enum err read_age(struct slice text, int64_t *ms_out)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
	int64_t unit = 1;
	uint64_t value;
	enum err err;

	for (size_t i = 0; text.len != 0 && i < sizeof(units) / sizeof(units[0]); i++) {
		if (text.ptr[text.len - 1] == units[i].unit) {
			unit = units[i].ms;
			text = slice_head(text, text.len - 1);
			break;
		}
	}
	if ((err = slice_number(text, (uint64_t)(INT64_MAX / 4 / unit), &value)) == ERR_OK)
		*ms_out = (int64_t)value * unit;
	return err;
}

static enum err read_field(struct selector *s, const struct rec_field *field, int64_t now,
			   char *why)
{
	static const struct {
		const char *key;
		size_t at;
	} texts[] = {
		{"to", offsetof(struct selector, to)},
		{"recipient", offsetof(struct selector, to)},
		{"from", offsetof(struct selector, from)},
		{"sender", offsetof(struct selector, from)},
		{"user", offsetof(struct selector, account)},
		{"account", offsetof(struct selector, account)},
		{"destination", offsetof(struct selector, destination)},
	};
	int64_t age;
	enum err err = ERR_OK;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (!slice_is(field->key, texts[i].key))
			continue;
		s->any = true;
		err = slice_copy(field->value, (char *)s + texts[i].at, SELECTOR_TEXT_MAX);
		if (err != ERR_OK)
			snprintf(why, 256, "%s is too long", texts[i].key);
		return err;
	}
	if (slice_is(field->key, "older")) {
		if ((err = read_age(field->value, &age)) != ERR_OK)
			snprintf(why, 256, "\"%.*s\" is no time: write 90s, 5m, 2h or 3d",
				 SLICE_ARG(slice_head(field->value, 64)));
		else
			s->before = now - age;
		s->any = true;
	} else if (slice_is(field->key, "limit")) {
		if ((err = slice_number(field->value, INT64_MAX, &s->limit)) != ERR_OK)
			snprintf(why, 256, "the limit must be a number");
	} else if (slice_is(field->key, "held")) {
		s->held = s->any = slice_is(field->value, "true");
	} else if (slice_is(field->key, "all")) {
		s->all = slice_is(field->value, "true");
	} else {
		snprintf(why, 256, "messages cannot be chosen by \"%.*s\"",
			 SLICE_ARG(slice_head(field->key, 64)));
		err = ERR_SYNTAX;
	}
	return err;
}

enum err selector_read(const struct msg_op *op, int64_t now, struct selector *selector_out,
		       char *why)
{
	struct selector s = {0};
	struct ipc_list args = op->args;
	struct rec_field field;
	enum err err;

	if (op->subject.len != 0) {
		if (msgid_read(op->subject, &s.id) != ERR_OK) {
			snprintf(why, 256,
				 "\"%.*s\" is no ID of a message: it looks like "
				 "5f3-0k7d2m9xq4r8t1w6y3z5, see \"postern queue list\"",
				 SLICE_ARG(slice_head(op->subject, 64)));
			return ERR_SYNTAX;
		}
		s.by_id = true;
	}
	while (ipc_list_next(&args, IPC_REC_field, &field)) {
		if ((err = read_field(&s, &field, now, why)) != ERR_OK)
			return err;
	}
	*selector_out = s;
	return ERR_OK;
}

static bool address_fits(const char *wanted, struct slice address)
{
	struct slice pattern = slice_str(wanted);

	if (pattern.len == 0)
		return true;
	if (slice_equal_nocase(pattern, address))
		return true;
	if (slice_has_byte(pattern, '@'))
		return rights_match(pattern, address);
	for (size_t i = 0; i + pattern.len <= address.len; i++) {
		if (slice_equal_nocase(slice_head(slice_skip(address, i), pattern.len), pattern))
			return true;
	}
	return false;
}

bool selector_fits(const struct selector *s, const struct queue_view *view)
{
	if (s->frozen != NULL)
		return frozen_set_wants(s->frozen, view->envelope->account, &view->row);
	if (s->by_id && !msgid_equal(&s->id, &view->mail->id))
		return false;
	if (s->held && view->row.state != QUEUE_HELD)
		return false;
	if (s->before != 0 && view->mail->arrived >= s->before)
		return false;
	if (s->destination[0] != '\0' && !slice_is_nocase(view->destination, s->destination))
		return false;
	if (s->account[0] != '\0' && !slice_is_nocase(view->envelope->account, s->account))
		return false;
	return address_fits(s->to, view->recipient.address) &&
	       address_fits(s->from, view->envelope->sender);
}
