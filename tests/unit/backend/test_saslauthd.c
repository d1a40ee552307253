/* SPDX-License-Identifier: Apache-2.0 */
/* The client of saslauthd against a daemon that tells the truth, lies, dawdles, or is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"
#include "saslauthd.h"

static char folder[64], path[96];

/* ---- the daemon ----------------------------------------------------------------------------- */

struct daemon {
	const char *answer; /* written as it is */
	size_t len;
	bool hold; /* keeps the connection until the client goes */
	char request[4096];
	size_t request_len;
	int listener;
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct daemon *daemon = arg;
	int fd = accept(daemon->listener, NULL, NULL);
	ssize_t got;
	char byte;

	if (fd == -1)
		abort();
	/* The test's requests are short: they come in one piece. */
	got = read(fd, daemon->request, sizeof(daemon->request));
	daemon->request_len = got > 0 ? (size_t)got : 0;
	for (size_t i = 0; i < daemon->len; i++)
		if (write(fd, daemon->answer + i, 1) != 1) /* byte by byte */
			break;
	while (daemon->hold && read(fd, &byte, 1) > 0)
		;
	close(fd);
	return NULL;
}

static void start(struct daemon *daemon)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)unlink(path);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	daemon->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(daemon->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(daemon->listener, 5), 0);
	assert_int_equal(pthread_create(&daemon->thread, NULL, serve, daemon), 0);
}

static void stop(struct daemon *daemon)
{
	assert_int_equal(pthread_join(daemon->thread, NULL), 0);
	close(daemon->listener);
}

static struct backend_answer ask(const char *name, int64_t within)
{
	const struct backend_question question = {
		.name = name,
		.password = "secret word",
		.client = "",
		.until = os_monotonic_ms() + within,
	};
	struct backend_answer answer = {0};

	saslauthd_check(path, "smtp", "REALM", &question, &answer);
	assert_true(answer.why[0] != '\0');
	assert_null(strstr(answer.why, "secret word"));
	return answer;
}

static enum ipc_check verdict_of(const void *text, size_t len)
{
	struct daemon daemon = {.answer = text, .len = len};
	struct backend_answer answer;

	start(&daemon);
	answer = ask("alice", 5000);
	stop(&daemon);
	return answer.verdict;
}

#define VERDICT(text) verdict_of(text, sizeof(text) - 1)

/* ---- what it says --------------------------------------------------------------------------- */

static void test_yes_and_no(void **state)
{
	(void)state;
	assert_int_equal(VERDICT("\0\2OK"), IPC_CHECK_YES);
	assert_int_equal(VERDICT("\0\5OK hi"), IPC_CHECK_YES);
	assert_int_equal(VERDICT("\0\2NO"), IPC_CHECK_NO);
	assert_int_equal(VERDICT("\0\24NO authentication ok"), IPC_CHECK_NO);
}

/* It says no, too, when it is not able to ask: nobody's password is wrong then. */
static void test_c6_no_for_want_of_an_answer(void **state)
{
	struct daemon daemon = {.answer = "\0\30NO PAM start error\r\33[31m", .len = 26};
	struct backend_answer answer;

	(void)state;
	assert_int_equal(VERDICT("\0\33NO saslauthd internal error"), IPC_CHECK_UNAVAILABLE);
	assert_int_equal(VERDICT("\0\33NO [ALERT] No address given"), IPC_CHECK_UNAVAILABLE);
	assert_int_equal(VERDICT("\0\21NO PAM auth error"), IPC_CHECK_NO);
	start(&daemon);
	answer = ask("alice", 5000);
	stop(&daemon);
	assert_int_equal(answer.verdict, IPC_CHECK_UNAVAILABLE);
	assert_string_equal(answer.why,
			    "saslauthd cannot tell: \"PAM start error??[31m\"; its own log "
			    "says more");
}

static void expect_request(const char *name, const char *expected, size_t len)
{
	struct daemon daemon = {.answer = "\0\2NO", .len = 4};

	start(&daemon);
	assert_int_equal(ask(name, 5000).verdict, IPC_CHECK_NO);
	stop(&daemon);
	assert_int_equal(daemon.request_len, len);
	assert_memory_equal(daemon.request, expected, len);
}

static void test_what_is_asked(void **state)
{
	static const char BARE[] = "\0\5alice\0\13secret word\0\4smtp\0\5REALM";
	static const char WITH_REALM[] = "\0\5alice\0\13secret word\0\4smtp\0\13other.examp";

	(void)state;
	expect_request("alice", BARE, sizeof(BARE) - 1);
	expect_request("alice@other.examp", WITH_REALM, sizeof(WITH_REALM) - 1);
}

/* What is not an answer is neither a yes nor a no: nobody gets in, and nobody's password is wrong.
 */
static void test_c6_lies(void **state)
{
	char large[2 + 65535];

	(void)state;
	assert_int_equal(VERDICT(""), IPC_CHECK_UNAVAILABLE);
	assert_int_equal(VERDICT("\0"), IPC_CHECK_UNAVAILABLE);
	assert_int_equal(VERDICT("\0\0"), IPC_CHECK_UNAVAILABLE);
	assert_int_equal(VERDICT("\0\1O"), IPC_CHECK_UNAVAILABLE);
	assert_int_equal(VERDICT("\0\2O"), IPC_CHECK_UNAVAILABLE);
	assert_int_equal(VERDICT("\0\10OK hi"), IPC_CHECK_UNAVAILABLE); /* less than announced */
	assert_int_equal(VERDICT("\0\5OKAY!"), IPC_CHECK_UNAVAILABLE);
	assert_int_equal(VERDICT("\0\4NOPE"), IPC_CHECK_UNAVAILABLE);
	assert_int_equal(VERDICT("\0\2ok"), IPC_CHECK_UNAVAILABLE);
	assert_int_equal(VERDICT("\0\6\0\2OK OK"), IPC_CHECK_UNAVAILABLE);
	assert_int_equal(VERDICT("HTTP/1.1 200 OK\r\n\r\n"), IPC_CHECK_UNAVAILABLE);
	memset(large, 'O', sizeof(large));
	large[0] = large[1] = '\xff';
	assert_int_equal(verdict_of(large, sizeof(large)), IPC_CHECK_UNAVAILABLE);
}

static void test_no_answer_within_the_time(void **state)
{
	struct daemon daemon = {.answer = "\0\2O", .len = 3, .hold = true};
	int64_t began = os_monotonic_ms();
	struct backend_answer answer;

	(void)state;
	start(&daemon);
	answer = ask("alice", 300);
	stop(&daemon);
	assert_int_equal(answer.verdict, IPC_CHECK_UNAVAILABLE);
	assert_non_null(strstr(answer.why, "in time"));
	assert_true(os_monotonic_ms() - began >= 290);
}

/* ---- it is not there ------------------------------------------------------------------------ */

static void test_no_daemon(void **state)
{
	struct daemon daemon = {.answer = "\0\2OK", .len = 4};
	struct backend_answer answer;

	(void)state;
	(void)unlink(path);
	answer = ask("alice", 1000);
	assert_int_equal(answer.verdict, IPC_CHECK_UNAVAILABLE);
	assert_non_null(strstr(answer.why, "saslauthd is not running"));
	assert_non_null(strstr(answer.why, "no such socket"));
	/* One that died leaves its socket. */
	start(&daemon);
	assert_int_equal(ask("alice", 1000).verdict, IPC_CHECK_YES);
	stop(&daemon);
	answer = ask("alice", 1000);
	assert_int_equal(answer.verdict, IPC_CHECK_UNAVAILABLE);
	assert_non_null(strstr(answer.why, "nobody listens"));
}

static void test_a_socket_that_may_not_be_used(void **state)
{
	struct backend_answer answer;
	pid_t pid;
	int status;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(folder, 0700), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) { /* as somebody who may not */
		if (setgid(12345) != 0 || setuid(12345) != 0)
			_exit(1);
		answer = ask("alice", 1000);
		_exit(answer.verdict == IPC_CHECK_UNAVAILABLE && strstr(answer.why, folder) &&
				      strstr(answer.why, "group = \"sasl\"")
			      ? 0
			      : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_names_and_paths_that_are_too_long(void **state)
{
	char name[1200], kept[sizeof(path)];

	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(ask(name, 1000).verdict, IPC_CHECK_NO);
	memcpy(kept, path, sizeof(path));
	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(ask("alice", 1000).verdict, IPC_CHECK_UNAVAILABLE);
	memcpy(path, kept, sizeof(path));
}

static int set_up(void **state)
{
	(void)state;
	(void)signal(SIGPIPE, SIG_IGN); /* the daemon's: its client goes when it has heard enough */
	(void)snprintf(folder, sizeof(folder), "/tmp/postern-saslauthd-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/mux", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_yes_and_no),
		cmocka_unit_test(test_c6_no_for_want_of_an_answer),
		cmocka_unit_test(test_what_is_asked),
		cmocka_unit_test(test_c6_lies),
		cmocka_unit_test(test_no_answer_within_the_time),
		cmocka_unit_test(test_no_daemon),
		cmocka_unit_test(test_a_socket_that_may_not_be_used),
		cmocka_unit_test(test_names_and_paths_that_are_too_long),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
