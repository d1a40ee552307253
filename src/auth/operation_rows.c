/* SPDX-License-Identifier: Apache-2.0 */
/* The answers of operations: rows of named values, and the line that ends them. */
#include "operation_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/config.h"
#include "senders.h"

void operation_say(struct operation *operation, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(operation->text, sizeof(operation->text), format, args);
	va_end(args);
}

void operation_refuse(struct operation *operation, const char *format, ...)
{
	va_list args;

	operation->failed = true;
	va_start(args, format);
	(void)vsnprintf(operation->text, sizeof(operation->text), format, args);
	va_end(args);
}

struct ipc_list_builder *operation_row(struct operation *operation)
{
	struct ipc_list_builder *row;

	operation->rows =
		mem_resize(operation->rows, (operation->row_count + 1) * sizeof(*operation->rows));
	row = &operation->rows[operation->row_count++];
	ipc_list_begin(row, ROW_MAX);
	return row;
}

void row_size(struct ipc_list_builder *row, const char *key, uint64_t bytes)
{
	struct buf size;
	char text[32] = "default";

	buf_init(&size, sizeof(text) - 1);
	if (bytes != 0) {
		config_print_size(bytes, &size);
		(void)slice_copy(buf_data(&size), text, sizeof(text));
	}
	row_text(row, key, text);
	buf_release(&size);
}

void row_texts(struct ipc_list_builder *row, const char *key, char *const *texts, size_t count,
	       const char *none)
{
	char text[ACCOUNT_PATTERNS_TEXT + 1];
	size_t used = 0;

	(void)snprintf(text, sizeof(text), "%s", count == 0 ? none : "");
	for (size_t i = 0; i < count && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
					 i == 0 ? "" : ", ", texts[i]);
	row_text(row, key, text);
}

void row_name(struct operation *operation, struct ipc_list_builder *row, const char *name)
{
	char address[ACCOUNT_NAME_MAX + 1] = "";

	if (!account_is_device(name)) /* nobody writes to one */
		(void)account_address(name, operation->domain, address);
	row_text(row, "name", name);
	row_text(row, "address", address);
}

void row_use(struct ipc_list_builder *row, const struct account_use *use)
{
	row_time(row, "last_login", use->last);
	row_text(row, "last_from", use->client);
	row_number(row, "logins", use->logins);
	row_number(row, "messages", use->messages);
	row_number(row, "recipients", use->recipients);
}

void operation_senders(struct operation *operation, const struct account *account,
		       char text_out[ACCOUNT_PATTERNS_TEXT + 1])
{
	char address[ACCOUNT_NAME_MAX + 1] = "";
	struct buf text;

	(void)account_address(account->name, operation->domain, address);
	buf_init(&text, ACCOUNT_PATTERNS_TEXT);
	(void)senders_text(account, address, &text); /* bounded when they were set */
	if (slice_copy(buf_data(&text), text_out, ACCOUNT_PATTERNS_TEXT + 1) != ERR_OK)
		text_out[0] = '\0';
	buf_release(&text);
}

static void add_limit(char *text, size_t size, const char *name, int64_t value)
{
	size_t len = strlen(text);
	char number[24];

	(void)snprintf(number, sizeof(number), "%" PRId64, value);
	(void)snprintf(text + len, size - len, "%s%s %s", len > 0 ? ", " : "", name,
		       value == 0                  ? "default"
		       : value == ACCOUNT_NO_LIMIT ? "none"
						   : number);
}

void operation_limits(const struct account_limits *limits, char text_out[OPERATION_LIMITS])
{
	if (limits->message == 0 && limits->hour == 0 && limits->day == 0 &&
	    limits->strangers == 0) {
		(void)snprintf(text_out, OPERATION_LIMITS, "default");
		return;
	}
	text_out[0] = '\0';
	add_limit(text_out, OPERATION_LIMITS, "message", limits->message);
	add_limit(text_out, OPERATION_LIMITS, "hour", limits->hour);
	add_limit(text_out, OPERATION_LIMITS, "day", limits->day);
	add_limit(text_out, OPERATION_LIMITS, "new", limits->strangers);
}

void row_limits(struct ipc_list_builder *row, const struct account_limits *limits)
{
	char text[OPERATION_LIMITS];

	operation_limits(limits, text);
	row_text(row, "sending_limits", text);
}
