/* SPDX-License-Identifier: Apache-2.0 */
/* Rows on the screen and as JSON; nothing that came from outside moves the cursor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "cli/show.h"

static char shown[8192];

static void show(const struct answer *answer, enum show_form form, bool json)
{
	FILE *file;

	shown[0] = '\0';
	file = fmemopen(shown, sizeof(shown), "w");

	assert_non_null(file);
	show_rows(answer, form, json, "There is nothing.", file);
	fclose(file);
}

static struct field field(const char *key, enum ipc_field_kind kind, const char *value)
{
	/* Rows own their texts; these are never freed, and never written to. */
	return (struct field){(char *)(uintptr_t)key, kind, (char *)(uintptr_t)value};
}

static void tables_and_lists(void **state)
{
	struct field first[] = {
		field("name", IPC_FIELD_TEXT, "al"), field("size", IPC_FIELD_NUMBER, "7"),
		field("on", IPC_FIELD_BOOL, "true"), field("at", IPC_FIELD_TIME, "0")};
	struct field second[] = {
		field("name", IPC_FIELD_TEXT, "robert"), field("size", IPC_FIELD_NUMBER, "1234"),
		field("on", IPC_FIELD_BOOL, "false"), field("at", IPC_FIELD_TIME, "1790000000000"),
		field("more", IPC_FIELD_TEXT, "x")};
	struct row rows[] = {{first, 4}, {second, 5}};
	struct answer answer = {.rows = rows, .count = 2};

	(void)state;
	show(&answer, SHOW_TABLE, false);
	assert_string_equal(shown, "name    size  on   at                   more\n"
				   "al         7  yes  never                \n"
				   "robert  1234  no   2026-09-21 14:13:20  x\n");
	show(&answer, SHOW_TABLE, true);
	assert_string_equal(shown,
			    "[\n  {\n    \"name\": \"al\",\n    \"size\": 7,\n    \"on\": true,\n"
			    "    \"at\": null\n  },\n  {\n    \"name\": \"robert\",\n"
			    "    \"size\": 1234,\n    \"on\": false,\n"
			    "    \"at\": \"2026-09-21T14:13:20Z\",\n    \"more\": \"x\"\n  }\n]\n");
	show(&answer, SHOW_DETAILS, false);
	assert_string_equal(shown, "name  al\nsize  7\non    yes\nat    never\n\n"
				   "name    size  on  at                   more\n"
				   "robert  1234  no  2026-09-21 14:13:20  x\n");
	answer.count = 1;
	show(&answer, SHOW_RECORD, true);
	assert_string_equal(
		shown,
		"{\n  \"name\": \"al\",\n  \"size\": 7,\n  \"on\": true,\n  \"at\": null\n}\n");
	show(&answer, SHOW_PASSWORD, false);
	assert_string_equal(shown, "");
}

static void nothing_is_said(void **state)
{
	struct answer answer = {0};

	(void)state;
	show(&answer, SHOW_TABLE, false);
	assert_string_equal(shown, "There is nothing.\n");
	show(&answer, SHOW_TABLE, true);
	assert_string_equal(shown, "[]\n");
	show(&answer, SHOW_RECORD, true);
	assert_string_equal(shown, "{}\n");
}

static void a_line_per_process(void **state)
{
	struct field fields[] = {field("process", IPC_FIELD_TEXT, "auth"),
				 field("pid", IPC_FIELD_NUMBER, "7"),
				 field("ok", IPC_FIELD_BOOL, "true")};
	struct row rows[] = {{fields, 3}};
	struct answer answer = {.rows = rows, .count = 1};

	(void)state;
	show(&answer, SHOW_LINES, false);
	assert_string_equal(shown, "auth     pid 7, ok yes\n");
}

static char *copy(const char *text)
{
	return mem_strdup(text);
}

static struct row owned_row(const char *process, const char *key, const char *value)
{
	struct field *fields = mem_array(2, sizeof(*fields));

	fields[0] = (struct field){copy("process"), IPC_FIELD_TEXT, copy(process)};
	fields[1] = (struct field){copy(key), IPC_FIELD_TEXT, copy(value)};
	return (struct row){fields, 2};
}

static void rows_of_one_process_become_one(void **state)
{
	struct answer answer = {.rows = mem_array(4, sizeof(struct row)), .count = 4};

	(void)state;
	answer.rows[0] = owned_row("auth", "accounts", "2");
	answer.rows[1] = owned_row("smtpd-0", "state", "running");
	answer.rows[2] = owned_row("master", "state", "running");
	answer.rows[3] = owned_row("auth", "state", "down");
	answer_merge(&answer);
	show(&answer, SHOW_LINES, false);
	assert_string_equal(shown, "master   state running\nauth     accounts 2, state down\n"
				   "smtpd-0  state running\n");
	answer_release(&answer);
}

static void untrusted_text_is_escaped(void **state)
{
	struct field fields[] = {
		field("said", IPC_FIELD_TEXT, "a\033[2Jb\r\n\xe2\x80\xae\xff \xc3\xa4")};
	struct row rows[] = {{fields, 1}};
	struct answer answer = {.rows = rows, .count = 1};

	(void)state;
	show(&answer, SHOW_RECORD, false);
	assert_string_equal(shown, "said  a\\u{1b}[2Jb\\u{d}\\u{a}\\u{202e}\\xff \xc3\xa4\n");
	show(&answer, SHOW_RECORD, true);
	/* Not UTF-8, so as people see it. */
	assert_non_null(strstr(shown, "\\\\u{1b}[2J"));
	for (const char *c = shown; *c != '\0'; c++)
		assert_true(*c == '\n' || (*c >= ' ' && *c <= '~'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_and_lists),
		cmocka_unit_test(nothing_is_said),
		cmocka_unit_test(a_line_per_process),
		cmocka_unit_test(rows_of_one_process_become_one),
		cmocka_unit_test(untrusted_text_is_escaped),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
