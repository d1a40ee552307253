/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the worst headers cost: processor time per MiB that a client sends, from its bytes to what
 * is stored or the refusal (threats E4: 50 ms at most). Exit status 1: one costs more.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "message/header.h"
#include "message/submission.h"

enum { MIB = 1024 * 1024, BUDGET_MS = 50, ROUNDS = 5 };

static const struct {
	const char *what, *start, *fill;
	size_t size;
} cases[] = {
	{"10 MiB of header", "X: ", "xxxxxxxx", (size_t)10 * MIB},
	{"a million fields", "", "X: \r\n", (size_t)5 * MIB},
	{"a million addresses in To", "To: a@b.test", ",a@b.test", (size_t)9 * MIB},
	{"as many addresses as fit", "To: root", ",a@b.test", HEADER_SIZE_MAX - 64},
	{"bare addresses as many as fit", "To: root", ",root", HEADER_SIZE_MAX / 4},
	{"From with as many", "From: alice@example.org", ",alice@example.org",
	 HEADER_SIZE_MAX - 64},
	{"domains to be mapped", "To: root", ",a@\xc3\xbc.test", HEADER_SIZE_MAX - 64},
	{"From with such", "From: a@b.test", ",a@\xc3\xbc.test", HEADER_SIZE_MAX - 64},
	{"nested comments", "From: ", "(", HEADER_SIZE_MAX - 64},
	{"comments side by side", "From: ", "()", HEADER_SIZE_MAX - 64},
	{"a thousand long fields", "X: x",
	 "\r\nX: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 50000},
	{"folds", "From: ", "\r\n ", HEADER_SIZE_MAX - 64},
	{"quotes", "From: \"", "\\\"", HEADER_SIZE_MAX - 64},
	{"words", "From: a", " a", HEADER_SIZE_MAX - 64},
	{"results", "Authentication-Results: ", "(x)", HEADER_SIZE_MAX - 64},
};

static bool anybody(void *arg, struct slice address)
{
	(void)arg;
	return address.len > 0;
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void run(struct slice message)
{
	const struct submission submission = {
		.trace = {.hostname = "mail.example.org", .login = true},
		.fix = true,
		.qualify = "example.org",
		.domain = "example.org",
		.from_address = SLICE_LIT("alice@example.org"),
		.hops_max = 50,
		.may_send_as = anybody,
	};
	struct submission_report report;
	enum submission_verdict verdict;
	struct header_gather gather;
	struct slice rest;
	struct buf out;

	header_gather_init(&gather);
	buf_init(&out, HEADER_SIZE_MAX * 4);
	while (message.len > 0 && !gather.complete) { /* in parts, as they come from a socket */
		struct slice part = slice_head(message, 16384);

		message = slice_skip(message, part.len);
		if (header_gather_feed(&gather, part, &rest) != ERR_OK)
			break;
	}
	if (gather.complete)
		(void)submission_apply(&submission, buf_data(&gather.bytes), &out, &verdict,
				       &report);
	buf_release(&out);
	header_gather_release(&gather);
}

int main(void)
{
	int status = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		double best = 1e9, ms;
		struct buf message;

		buf_init(&message, cases[i].size + 1024);
		(void)buf_append_str(&message, cases[i].start);
		while (buf_len(&message) < cases[i].size)
			(void)buf_append_str(&message, cases[i].fill);
		(void)buf_append_str(&message, "\r\n\r\n");
		for (int round = 0; round < ROUNDS; round++) {
			ms = now_ms();
			run(buf_data(&message));
			ms = (now_ms() - ms) * MIB / (double)buf_len(&message);
			best = ms < best ? ms : best;
		}
		printf("%-32s %8.2f ms per MiB%s\n", cases[i].what, best,
		       best > BUDGET_MS ? "  TOO MUCH" : "");
		if (best > BUDGET_MS)
			status = 1;
		buf_release(&message);
	}
	return status;
}
