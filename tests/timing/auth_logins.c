/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many logins the auth process serves, one per message as a laptop sends them: AUTH_START,
 * GRANT, GRANT_ACK, AUTH_OK, GRANT_END, GRANT_REVOKE each time, 50 sessions at once, the password
 * proven before. And what the medians of a known and an unknown name are, proven never (C9).
 */
#include "auth_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "config/config.h"
#include "os/os.h"

enum { AT_ONCE = 50, LOGINS = 50000, TRIES = 400 };

static void test_cached_logins(void **state)
{
	struct msg_auth_ok ok;
	size_t started = 0;
	int64_t begin;
	double seconds;

	(void)state;
	operate(IPC_OP_USER_ADD, "alice", GOOD, "added");
	end_grant(0, log_in(0, "alice", GOOD));
	begin = os_monotonic_us();
	for (; started < AT_ONCE; started++)
		(void)start_plain(0, "alice", GOOD);
	for (size_t done = 0; done < LOGINS; done++) {
		peer_expect(t.smtpd[0], IPC_AUTH_OK, &ok);
		peer_send(t.smtpd[0], IPC_GRANT_END, &(struct msg_grant_end){ok.grant});
		if (started < LOGINS) {
			(void)start_plain(0, "alice", GOOD);
			started++;
		}
	}
	seconds = (double)(os_monotonic_us() - begin) / 1e6;
	print_message("         %d logins, %d at once: %.0f/s\n", LOGINS, AT_ONCE,
		      LOGINS / seconds);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void test_unknown_names(void **state)
{
	static int64_t times[3][TRIES];
	static const char *const NAMES[3] = {"alice", "nobody", "bob"};

	(void)state;
	operate(IPC_OP_USER_ADD, "bob", GOOD, "added");
	operate(IPC_OP_USER_DISABLE, "bob", "", "disabled");
	for (int i = 0; i < TRIES; i++)
		for (int turn = 0; turn < 3; turn++) {
			int k = (turn + i) % 3; /* each comes first, second and third */
			struct msg_auth_fail msg;
			int64_t begin = os_monotonic_us();

			(void)start_plain(0, NAMES[k], "wrong password");
			peer_expect(t.smtpd[0], IPC_AUTH_FAIL, &msg);
			times[k][i] = os_monotonic_us() - begin;
		}
	for (int k = 0; k < 3; k++) {
		qsort(times[k], TRIES, sizeof(times[k][0]), compare);
		print_message("         %s: median %lld us\n", NAMES[k],
			      (long long)times[k][TRIES / 2]);
	}
}

/* What the process itself used, once it has ended. */
static void test_cpu(void **state)
{
	struct rusage usage;

	(void)state;
	assert_int_equal(stop_all(), 0);
	assert_int_equal(getrusage(RUSAGE_CHILDREN, &usage), 0);
	print_message("         auth used %.2f s of CPU in all\n",
		      (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			      (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cached_logins),
		cmocka_unit_test(test_unknown_names),
		cmocka_unit_test(test_cpu),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

int main(int argc, char **argv)
{
	return run_auth_tests(argc, argv, run);
}
