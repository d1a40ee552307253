/* SPDX-License-Identifier: Apache-2.0 */
/* A file of hashes that is there or not, whole or not, and changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/os.h"
#include "passwd_file.h"

#define GOOD   "correct horse battery"
#define BCRYPT "$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS" /* of GOOD */
#define SSHA   "UsmGpvM70+cOJQoX0erT3L6Jwfk8bcME"

static char folder[64], path[96], other[96];
static struct passwd_file *file;
static struct backend_answer answer;

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/postern-passwd-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/users", folder);
	(void)snprintf(other, sizeof(other), "%s/users.new", folder);
	file = passwd_file_new(path, "", "example.org");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	passwd_file_free(&file);
	(void)unlink(path);
	return rmdir(folder);
}

static void write_file(const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	(void)fputs(text, out);
	assert_int_equal(fclose(out), 0);
}

static void replace_file(const char *text)
{
	FILE *out = fopen(other, "w");

	assert_non_null(out);
	(void)fputs(text, out);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(rename(other, path), 0);
}

static void expect_at(int64_t now, const char *name, const char *password, enum ipc_check verdict,
		      const char *words)
{
	struct backend_question question = {.name = name, .password = password, .client = ""};

	answer = (struct backend_answer){.verdict = IPC_CHECK_UNAVAILABLE};
	passwd_file_check(file, &question, now, &answer);
	if (answer.verdict != verdict || strstr(answer.why, words) == NULL)
		fail_msg("%s: %d, \"%s\"", name, (int)answer.verdict, answer.why);
}

static void expect(const char *name, const char *password, enum ipc_check verdict,
		   const char *words)
{
	expect_at(os_wall_ms(), name, password, verdict, words);
}

static void test_what_lines_say(void **state)
{
	(void)state;
	write_file("# people\n\nAlice:" BCRYPT "\n"
		   "bob@example.org:{SSHA}" SSHA ":1000:1000:Bob:/srv/bob::userdb_quota=1\n"
		   "carol@other.example:" BCRYPT ":19000:0:99999:7:::\n"
		   "dave:!" BCRYPT "\n"
		   "erin:" BCRYPT ":19000:0:99999:7::10:\n"
		   "frank:" BCRYPT "::::::nologin=y\n");
	expect("alice", GOOD, IPC_CHECK_YES, "correct");
	assert_string_equal(answer.note, "");
	expect("alice", "wrong", IPC_CHECK_NO, "wrong");
	expect("bob", GOOD, IPC_CHECK_YES, "correct");
	expect("carol@other.example", GOOD, IPC_CHECK_YES, "correct");
	expect("carol", GOOD, IPC_CHECK_UNKNOWN, "no such name");
	expect("dave", GOOD, IPC_CHECK_NO, "locked");
	expect("erin", GOOD, IPC_CHECK_NO, "expired");
	expect("erin", "wrong", IPC_CHECK_NO, "wrong");
	expect("frank", GOOD, IPC_CHECK_NO, "nologin");
}

static void c6_broken_lines_let_nobody_in(void **state)
{
	static const char *const NAMES[] = {"empty", "star", "x", "md5", "short", "clear", "zero"};

	(void)state;
	write_file("empty:\nstar:*\nx:x\nmd5:$1$abc$OjV.pZyPkj1rdFoTIdfbY0\nshort:$6$abc\n"
		   "clear:{PLAIN}" GOOD "\nzero:*0\nno colon here\nalice:" BCRYPT "\nalice:*\n"
		   "bad name:" BCRYPT "\n");
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
		expect(NAMES[i], GOOD, IPC_CHECK_NO, "users:");
		if (i == 0) { /* told once */
			assert_non_null(strstr(answer.note, "6 lines are of no use: line 4: "));
			assert_non_null(strstr(answer.note, "; line 5: "));
		} else {
			assert_string_equal(answer.note, "");
		}
		expect(NAMES[i], "*0", IPC_CHECK_NO, "users:");
	}
	expect("alice", GOOD, IPC_CHECK_YES, ""); /* the first of two counts */
}

static void test_it_changes(void **state)
{
	(void)state;
	expect("alice", GOOD, IPC_CHECK_UNAVAILABLE, "there is no /tmp/");
	write_file("alice:" BCRYPT "\n");
	expect("alice", GOOD, IPC_CHECK_YES, "");
	replace_file("alice:*\nbob:" BCRYPT "\n");
	expect("alice", GOOD, IPC_CHECK_NO, "locked");
	expect("bob", GOOD, IPC_CHECK_YES, "");
	/* Emptied: what was there stays, and that is told once. */
	write_file("");
	expect("bob", GOOD, IPC_CHECK_YES, "");
	assert_non_null(strstr(answer.note, "has no accounts any more"));
	expect("bob", "wrong", IPC_CHECK_NO, "");
	assert_string_equal(answer.note, "");
	/* In the middle of being written: not yet. */
	write_file("carol:" BCRYPT "\nbob:$2b$04$abcdef");
	expect("bob", GOOD, IPC_CHECK_YES, "");
	expect("carol", GOOD, IPC_CHECK_UNKNOWN, "");
	/* Nobody wrote the rest. */
	expect_at(os_wall_ms() + 5000, "carol", GOOD, IPC_CHECK_YES, "");
	expect("bob", GOOD, IPC_CHECK_NO, "not whole");
	assert_int_equal(unlink(path), 0);
	expect("carol", GOOD, IPC_CHECK_UNAVAILABLE, "there is no");
	assert_int_equal(mkdir(path, 0700), 0);
	expect("carol", GOOD, IPC_CHECK_UNAVAILABLE, "not a regular file");
	assert_int_equal(rmdir(path), 0);
}

static void test_the_usual_scheme(void **state)
{
	(void)state;
	passwd_file_free(&file);
	file = passwd_file_new(path, "SSHA", "example.org");
	write_file("alice:" SSHA "\nbob:{CRYPT}" BCRYPT "\n");
	expect("alice", GOOD, IPC_CHECK_YES, "");
	expect("bob", GOOD, IPC_CHECK_YES, "");
	expect("alice", "wrong", IPC_CHECK_NO, "");
}

/* Found by halves, not line by line: the questions would take minutes otherwise. */
static void test_a_hundred_thousand(void **state)
{
	FILE *out = fopen(path, "w");
	char name[32];

	(void)state;
	assert_non_null(out);
	for (int i = 0; i < 100000; i++)
		(void)fprintf(out, "user%d:{SSHA}" SSHA "\n", i);
	assert_int_equal(fclose(out), 0);
	for (int i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "user%d", i * 49);
		expect(name, GOOD, IPC_CHECK_YES, "");
		expect(name, "wrong", IPC_CHECK_NO, "");
	}
	expect("user100000", GOOD, IPC_CHECK_UNKNOWN, "");
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILE_TEST(test_what_lines_say),     FILE_TEST(c6_broken_lines_let_nobody_in),
		FILE_TEST(test_it_changes),         FILE_TEST(test_the_usual_scheme),
		FILE_TEST(test_a_hundred_thousand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
