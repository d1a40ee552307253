/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as strangers send it: read by jansson, strictly, after its depth was looked at. */
#include "token/internal.h"

#include "base/base64.h"

void token_seed(uint32_t seed)
{
	json_object_seed(seed);
}

/* Brackets outside of strings; whether they fit each other is jansson's to say. */
static bool is_shallow(struct slice text)
{
	bool quoted = false;
	int depth = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (quoted && c == '\\')
			i++; /* whatever it is, it ends no string */
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '[') && ++depth > TOKEN_DEPTH_MAX)
			return false;
		else if (!quoted && (c == '}' || c == ']'))
			depth--;
	}
	return true;
}

json_t *token_json(struct slice text)
{
	json_error_t error;
	json_t *json;

	if (text.len == 0 || !is_shallow(text))
		return NULL;
	json = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
	if (json != NULL && !json_is_object(json)) {
		json_decref(json);
		return NULL;
	}
	return json;
}

struct slice token_text(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_string(value) ? slice_of(json_string_value(value), json_string_length(value))
				     : slice_of(NULL, 0);
}

json_t *token_json_part(struct slice part)
{
	struct buf bytes;
	json_t *json = NULL;

	buf_init(&bytes, TOKEN_MAX);
	if (base64url_decode(part, &bytes) == ERR_OK)
		json = token_json(buf_data(&bytes));
	buf_wipe(&bytes);
	return json;
}
