/* SPDX-License-Identifier: Apache-2.0 */
#include "alert_json.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { TIME_TEXT = 40, KEY_MAX = 64 };

static json_t *text_of(struct slice text)
{
	char *copy = mem_strndup(text.ptr, text.len);
	json_t *value;

	for (size_t i = 0; i < text.len;) {
		uint32_t code;
		size_t len = utf8_next(slice_skip(text, i), &code);

		if (len == 0)
			copy[i] = '?';
		i += len == 0 ? 1 : len;
	}
	value = json_stringn(copy, text.len);
	mem_free(copy);
	return value;
}

static json_t *time_of(int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	char text[TIME_TEXT];
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return json_null();
	return json_string(text);
}

static json_t *value_of(const struct rec_field *field)
{
	uint64_t number;

	switch (field->kind) {
	case IPC_FIELD_NUMBER:
	case IPC_FIELD_TIME:
		if (slice_number(field->value, INT64_MAX, &number) != ERR_OK)
			break;
		return field->kind == IPC_FIELD_TIME ? time_of((int64_t)number)
						     : json_integer((json_int_t)number);
	case IPC_FIELD_BOOL:
		return json_boolean(slice_is(field->value, "1"));
	default:
		break;
	}
	return text_of(field->value);
}

static char *print(json_t *value)
{
	size_t len = json_dumpb(value, NULL, 0, JSON_COMPACT);
	char *text = mem_alloc(len + 1);

	(void)json_dumpb(value, text, len, JSON_COMPACT);
	json_decref(value);
	return text;
}

char *alert_json_evidence(struct ipc_list evidence)
{
	json_t *object = json_object();
	struct rec_field field;
	char key[KEY_MAX + 1];

	while (ipc_list_next(&evidence, IPC_REC_field, &field)) {
		if (slice_copy(field.key, key, sizeof(key)) == ERR_OK)
			(void)json_object_set_new(object, key, value_of(&field));
	}
	return print(object);
}

char *alert_json(const struct alert *alert, const char *state, const char *host, int64_t now)
{
	json_t *object = json_object();
	json_t *evidence = json_loadb(alert->evidence.ptr, alert->evidence.len, 0, NULL);

	(void)json_object_set_new(object, "host", text_of(slice_str(host)));
	(void)json_object_set_new(object, "time", time_of(now));
	(void)json_object_set_new(object, "kind", text_of(slice_str(alert->kind)));
	(void)json_object_set_new(object, "subject", text_of(slice_str(alert->subject)));
	(void)json_object_set_new(object, "state", json_string(state));
	(void)json_object_set_new(object, "since", time_of(alert->since));
	(void)json_object_set_new(object, "text", text_of(slice_str(alert->text)));
	(void)json_object_set_new(object, "evidence", evidence != NULL ? evidence : json_object());
	return print(object);
}
