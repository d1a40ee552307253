/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many logins the auth process serves, one per message as a laptop sends them: AUTH_START,
 * GRANT, GRANT_ACK, AUTH_OK, GRANT_END, GRANT_REVOKE each time, 50 sessions at once, the password
 * proven before. And whether the time of an answer tells a name that is known from one that is not,
 * or is disabled: 5 000 tries of each, in turn, whose medians differ by less than 1 % and whose
 * order is that of chance (Mann-Whitney).
 */
#include "auth_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "config/config.h"
#include "os/os.h"

enum { AT_ONCE = 50, LOGINS = 50000, TRIES = 5000, NAMES = 3 };

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

struct timed {
	int64_t us;
	int name;
};

static int compare(const void *a, const void *b)
{
	int64_t x = ((const struct timed *)a)->us, y = ((const struct timed *)b)->us;

	return (x > y) - (x < y);
}

/* The median of one name among all, which are sorted. */
static int64_t median(const struct timed *sorted, int name)
{
	int seen = 0, i = 0;

	while (seen <= TRIES / 2)
		seen += sorted[i++].name == name;
	return sorted[i - 1].us;
}

/*
 * The square of z of the rank sums of two names (normal approximation; equal times share their
 * rank, which makes the true variance smaller, by nothing that matters at microseconds).
 */
static double rank_test(const struct timed *sorted, int a, int b)
{
	double sum = 0, n = TRIES, mean, variance;
	double rank = 0;

	for (int i = 0; i < NAMES * TRIES;) {
		int of_a = 0, of_both = 0, j = i;

		for (; j < NAMES * TRIES && sorted[j].us == sorted[i].us; j++) {
			of_a += sorted[j].name == a;
			of_both += sorted[j].name == a || sorted[j].name == b;
		}
		sum += of_a * (rank + (of_both + 1) / 2.0);
		rank += of_both;
		i = j;
	}
	mean = n * (2 * n + 1) / 2;
	variance = n * n * (2 * n + 1) / 12;
	return (sum - mean) * (sum - mean) / variance;
}

static void compare_names(const char *const who[NAMES])
{
	static struct timed times[NAMES * TRIES];
	size_t count = 0;

	for (int i = 0; i < TRIES; i++)
		for (int turn = 0; turn < NAMES; turn++) {
			int k = (turn + i) % NAMES; /* each comes first, second and third */
			struct msg_auth_fail msg;
			int64_t begin = os_monotonic_us();

			(void)start_plain(0, who[k], "wrong password");
			peer_expect(t.smtpd[0], IPC_AUTH_FAIL, &msg);
			times[count++] = (struct timed){os_monotonic_us() - begin, k};
		}
	qsort(times, count, sizeof(times[0]), compare);
	for (int k = 0; k < NAMES; k++) {
		int other = (k + 1) % NAMES;
		int64_t one = median(times, k), two = median(times, other);
		double z2 = rank_test(times, k, other);

		print_message("         %s: median %lld us; against %s: z^2 %.2f\n", who[k],
			      (long long)one, who[other], z2);
		assert_true((one > two ? one - two : two - one) * 100 < one);
		/* p > 0.01 for all three together. */
		assert_true(z2 < 8.6);
	}
}

static void test_c9_time_tells_nothing_of_names(void **state)
{
	static const char *const WHO[NAMES] = {"alice", "nobody", "bob"};

	(void)state;
	operate(IPC_OP_USER_ADD, "bob", GOOD, "added");
	operate(IPC_OP_USER_DISABLE, "bob", "", "disabled");
	compare_names(WHO);
}

/* An account whose hash another program made is as one of ours, and as nobody. */
static void test_c9_nor_of_imported_hashes(void **state)
{
	static const char *const WHO[NAMES] = {"alice", "nobody", "carol"};
	const struct rec_credential carol = {
		.line = 1,
		.name = SLICE_LIT("carol"),
		.secret = SLICE_LIT("$6$saltsalt$G9wFFnnUFCPffgjGaIp8t6onbqx3zGbMIn93ecLfBFGJpBV3/"
				    "0HPLZ17qYbjb.WJDtXbmuMlQ9NnvzVms5ZXj."),
	};
	struct msg_op op = {.id = 9, .op = IPC_OP_USER_IMPORT};
	struct ipc_list_builder list;
	struct msg_op_row row;
	struct msg_op_end end;
	struct msg_auth_offer offer;

	(void)state;
	ipc_list_begin(&list, 4096);
	assert_int_equal(ipc_list_add(&list, IPC_REC_credential, &carol), ERR_OK);
	op.credentials = ipc_list_view(&list);
	peer_send(t.control, IPC_OP, &op);
	ipc_list_release(&list);
	peer_expect(t.control, IPC_OP_ROW, &row);
	peer_expect(t.control, IPC_OP_END, &end);
	assert_int_equal(end.status, 0);
	peer_expect(t.smtpd[0], IPC_AUTH_OFFER, &offer); /* without SCRAM */
	compare_names(WHO);
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
		cmocka_unit_test(test_c9_time_tells_nothing_of_names),
		cmocka_unit_test(test_c9_nor_of_imported_hashes),
		cmocka_unit_test(test_cpu),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

int main(int argc, char **argv)
{
	return run_auth_tests(argc, argv, run);
}
