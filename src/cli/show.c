/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/show.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { COLUMNS_MAX = 32, CELL_MAX = 8192, CELL_WIDE = 60 };

void show_escape(const char *text, struct buf *out)
{
	struct slice rest = slice_str(text);
	uint32_t code;

	while (rest.len != 0) {
		size_t len = utf8_next(rest, &code);

		if (len == 0)
			buf_printf(out, "\\x%02x", (unsigned char)rest.ptr[0]);
		else if (utf8_is_unsafe(code))
			buf_printf(out, "\\u{%x}", (unsigned)code);
		else
			buf_append(out, rest.ptr, len);
		rest = slice_skip(rest, len != 0 ? len : 1);
	}
}

static bool is_true(const char *value)
{
	return strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
}

/* ---- JSON -------------------------------------------------------------------------------- */

static void utc(int64_t ms, char *text, size_t size)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL || strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(text, size, "%lld", (long long)ms);
}

static json_t *json_of(const struct field *field)
{
	char text[64];
	json_t *value;

	switch (field->kind) {
	case IPC_FIELD_NUMBER:
		return json_integer(strtoll(field->value, NULL, 10));
	case IPC_FIELD_BOOL:
		return json_boolean(is_true(field->value));
	case IPC_FIELD_TIME:
		if (strcmp(field->value, "0") == 0)
			return json_null();
		utc(strtoll(field->value, NULL, 10), text, sizeof(text));
		return json_string(text);
	default:
		break;
	}
	value = json_string(field->value);
	if (value == NULL) {
		/* Not UTF-8: as it is shown to people. */
		struct buf escaped;

		buf_init(&escaped, 4 * strlen(field->value) + 16);
		show_escape(field->value, &escaped);
		value = json_stringn(buf_data(&escaped).ptr, buf_len(&escaped));
		buf_wipe(&escaped);
	}
	return value;
}

static json_t *json_of_row(const struct row *row)
{
	json_t *object = json_object();

	for (size_t i = 0; i < row->count; i++)
		json_object_set_new(object, row->fields[i].key, json_of(&row->fields[i]));
	return object;
}

static void show_json(const struct answer *answer, enum show_form form, FILE *out)
{
	bool details = form == SHOW_DETAILS || form == SHOW_ANSWERS;
	bool single = details || form == SHOW_RECORD || form == SHOW_PASSWORD;
	json_t *rows = json_array(), *top = rows;

	for (size_t i = single ? 1 : 0; i < answer->count; i++)
		json_array_append_new(rows, json_of_row(&answer->rows[i]));
	if (single) {
		top = answer->count != 0 ? json_of_row(&answer->rows[0]) : json_object();
		if (details)
			json_object_set(top, "rows", rows);
	}
	json_dumpf(top, out, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	fputc('\n', out);
	if (top != rows)
		json_decref(top);
	json_decref(rows);
}

/* ---- text -------------------------------------------------------------------------------- */

static void print_value(const struct field *field, struct buf *out)
{
	char text[64];

	if (field->kind == IPC_FIELD_BOOL) {
		buf_append_str(out, is_true(field->value) ? "yes" : "no");
	} else if (field->kind == IPC_FIELD_TIME) {
		time_t seconds = (time_t)(strtoll(field->value, NULL, 10) / 1000);
		struct tm tm;

		if (seconds == 0)
			buf_append_str(out, "never");
		else if (localtime_r(&seconds, &tm) != NULL &&
			 strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) != 0)
			buf_append_str(out, text);
		else
			show_escape(field->value, out);
	} else {
		show_escape(field->value, out);
	}
}

/* Columns that a text takes on the screen, near enough: characters. */
static size_t width(struct slice text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += (text.ptr[i] & 0xc0) != 0x80;
	return count;
}

struct table {
	const char *keys[COLUMNS_MAX];
	size_t widths[COLUMNS_MAX];
	bool numbers[COLUMNS_MAX];
	size_t count;
};

static size_t find_column(const struct table *table, const char *key)
{
	size_t i = 0;

	while (i < table->count && strcmp(table->keys[i], key) != 0)
		i++;
	return i;
}

static void measure(struct table *table, const struct row *row)
{
	struct buf cell;

	buf_init(&cell, CELL_MAX);
	for (size_t i = 0; i < row->count; i++) {
		size_t column = find_column(table, row->fields[i].key);

		if (column == COLUMNS_MAX)
			continue;
		if (column == table->count) {
			table->keys[table->count++] = row->fields[i].key;
			table->widths[column] = strlen(row->fields[i].key);
			table->numbers[column] = row->fields[i].kind == IPC_FIELD_NUMBER;
		}
		buf_clear(&cell);
		print_value(&row->fields[i], &cell);
		/* One long text does not push all others off the screen. */
		if (width(buf_data(&cell)) > table->widths[column])
			table->widths[column] = width(buf_data(&cell)) < CELL_WIDE
							? width(buf_data(&cell))
							: CELL_WIDE;
	}
	buf_wipe(&cell);
}

static const struct field *field_of(const struct row *row, const char *key)
{
	for (size_t i = 0; i < row->count; i++)
		if (strcmp(row->fields[i].key, key) == 0)
			return &row->fields[i];
	return NULL;
}

static void print_cell(const struct table *table, size_t column, struct slice text, FILE *out)
{
	size_t used = width(text);
	size_t pad = used < table->widths[column] ? table->widths[column] - used : 0;
	bool last = column + 1 == table->count;

	if (table->numbers[column])
		fprintf(out, "%*s%.*s%s", (int)pad, "", SLICE_ARG(text), last ? "" : "  ");
	else
		fprintf(out, "%.*s%*s%s", SLICE_ARG(text), last ? 0 : (int)pad, "",
			last ? "" : "  ");
}

static void show_table(const struct row *rows, size_t count, FILE *out)
{
	struct table table = {.count = 0};
	struct buf cell;

	for (size_t i = 0; i < count; i++)
		measure(&table, &rows[i]);
	for (size_t column = 0; column < table.count; column++)
		print_cell(&table, column, slice_str(table.keys[column]), out);
	fputc('\n', out);
	buf_init(&cell, CELL_MAX);
	for (size_t i = 0; i < count; i++) {
		for (size_t column = 0; column < table.count; column++) {
			const struct field *field = field_of(&rows[i], table.keys[column]);

			buf_clear(&cell);
			if (field != NULL)
				print_value(field, &cell);
			print_cell(&table, column, buf_data(&cell), out);
		}
		fputc('\n', out);
	}
	buf_wipe(&cell);
}

static void show_record(const struct row *row, FILE *out)
{
	size_t widest = 0;
	struct buf cell;

	for (size_t i = 0; i < row->count; i++)
		if (strlen(row->fields[i].key) > widest)
			widest = strlen(row->fields[i].key);
	buf_init(&cell, CELL_MAX);
	for (size_t i = 0; i < row->count; i++) {
		buf_clear(&cell);
		print_value(&row->fields[i], &cell);
		fprintf(out, "%-*s  %.*s\n", (int)widest, row->fields[i].key,
			SLICE_ARG(buf_data(&cell)));
	}
	buf_wipe(&cell);
}

static void show_line(const struct row *row, FILE *out)
{
	const char *process = row_value(row, "process");
	bool first = true;
	struct buf cell;

	fprintf(out, "%-8s", process != NULL ? process : "");
	buf_init(&cell, CELL_MAX);
	for (size_t i = 0; i < row->count; i++) {
		if (strcmp(row->fields[i].key, "process") == 0)
			continue;
		buf_clear(&cell);
		print_value(&row->fields[i], &cell);
		fprintf(out, "%s%s %.*s", first ? " " : ", ", row->fields[i].key,
			SLICE_ARG(buf_data(&cell)));
		first = false;
	}
	fputc('\n', out);
	buf_release(&cell);
}

/* "campus: no: password wrong" */
static void show_answer(const struct row *row, FILE *out)
{
	static const char *const keys[] = {"backend", "answer", "why"};
	struct buf line;

	if (row_value(row, keys[0]) == NULL)
		return;
	buf_init(&line, CELL_MAX);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *value = row_value(row, keys[i]);

		if (i != 0)
			buf_append_str(&line, ": ");
		if (value != NULL)
			show_escape(value, &line);
	}
	fprintf(out, "%.*s\n", SLICE_ARG(buf_data(&line)));
	buf_release(&line);
}

static void move_field(struct row *to, struct field *field)
{
	if (row_value(to, field->key) != NULL) {
		mem_free(field->key);
		mem_free(field->value);
		return;
	}
	to->fields = mem_resize(to->fields, (to->count + 1) * sizeof(struct field));
	to->fields[to->count++] = *field;
}

static const char *process_of(const struct row *row)
{
	const char *name = row_value(row, "process");

	return name != NULL ? name : "";
}

static int by_process(const void *a, const void *b)
{
	const char *x = process_of(a), *y = process_of(b);
	bool master_x = strcmp(x, "master") == 0, master_y = strcmp(y, "master") == 0;

	return master_x != master_y ? (int)master_y - (int)master_x : strcmp(x, y);
}

/*
 * Alerts, back ends, issuers of tokens, devices and limits are rows of their own, behind those of
 * the processes and in the order in which they came. Which table a row belongs to, 0: it is a
 * process's.
 */
static const char *const tables[] = {"alert", "backend", "token", "device", "limit"};

enum { TABLE_COUNT = sizeof(tables) / sizeof(tables[0]) };

static size_t table_of(const struct row *row)
{
	for (size_t i = 0; i < TABLE_COUNT; i++)
		if (row_value(row, tables[i]) != NULL)
			return i + 1;
	return 0;
}

/* Puts the rows of tables last; how many others there are. */
static size_t part_tables(struct answer *answer)
{
	struct row *sorted = mem_array(answer->count, sizeof(struct row));
	size_t lines = 0, count = 0;

	for (size_t table = 0; table <= TABLE_COUNT; table++) {
		for (size_t i = 0; i < answer->count; i++)
			if (table_of(&answer->rows[i]) == table)
				sorted[count++] = answer->rows[i];
		if (table == 0)
			lines = count;
	}
	if (count != 0)
		memcpy(answer->rows, sorted, count * sizeof(struct row));
	mem_free(sorted);
	return lines;
}

void answer_merge(struct answer *answer)
{
	size_t kept = 0, lines = part_tables(answer), others = answer->count - lines;

	for (size_t i = 0; i < lines; i++) {
		struct row *row = &answer->rows[i];
		size_t same = 0;

		while (same < kept && strcmp(process_of(&answer->rows[same]), process_of(row)) != 0)
			same++;
		if (same == kept) {
			answer->rows[kept++] = *row;
			continue;
		}
		for (size_t n = 0; n < row->count; n++)
			move_field(&answer->rows[same], &row->fields[n]);
		mem_free(row->fields);
	}
	qsort(answer->rows, kept, sizeof(struct row), by_process);
	for (size_t i = 0; i < others; i++)
		answer->rows[kept + i] = answer->rows[lines + i];
	answer->count = kept + others;
}

/* A line for each process, then a table each of what is told of besides. */
static void show_lines(const struct answer *answer, FILE *out)
{
	size_t i = 0;

	for (; i < answer->count && table_of(&answer->rows[i]) == 0; i++)
		show_line(&answer->rows[i], out);
	while (i < answer->count) {
		size_t table = table_of(&answer->rows[i]), first = i;

		while (i < answer->count && table_of(&answer->rows[i]) == table)
			i++;
		fputc('\n', out);
		show_table(answer->rows + first, i - first, out);
	}
}

void show_rows(const struct answer *answer, enum show_form form, bool json, const char *nothing,
	       FILE *out)
{
	if (json) {
		show_json(answer, form, out);
		return;
	}
	if (answer->count == 0) {
		if (nothing[0] != '\0')
			fprintf(out, "%s\n", nothing);
		return;
	}
	switch (form) {
	case SHOW_TABLE:
		show_table(answer->rows, answer->count, out);
		break;
	case SHOW_LINES:
		show_lines(answer, out);
		break;
	case SHOW_PASSWORD:
		if (row_value(&answer->rows[0], "password") != NULL)
			fprintf(out, "password: %s\n", row_value(&answer->rows[0], "password"));
		break;
	case SHOW_ANSWERS:
		for (size_t i = 0; i < answer->count; i++)
			show_answer(&answer->rows[i], out);
		break;
	case SHOW_RECORD:
	case SHOW_DETAILS:
		show_record(&answer->rows[0], out);
		if (form == SHOW_DETAILS && answer->count > 1) {
			fputc('\n', out);
			show_table(answer->rows + 1, answer->count - 1, out);
		}
	}
}
