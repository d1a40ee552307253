/* SPDX-License-Identifier: Apache-2.0 */
/* What senders ask for in MAIL and RCPT, and what becomes of it in the queue process. */
#include "process.h"
#include "smtp/terms.h"
#include "store/queue.h"

static const struct rec_recipient plain = {.orcpt = {"", 0}};

static struct rec_mail terms(void)
{
	return (struct rec_mail){.sender = SLICE_LIT("alice@example.org"),
				 .envid = SLICE_LIT(""),
				 .auth = SLICE_LIT("")};
}

static int setup(void **state)
{
	struct world *world = world_new();

	world->config->queue.delay_notice = world->config->queue.delay_notice_again = 0;
	world_start(world);
	world_connect_all(world);
	*state = world;
	return 0;
}

static uint64_t ask(struct world *world, const struct rec_mail *mail,
		    const struct rec_recipient *each, const char *recipients)
{
	uint64_t key = world_ask(world, 1, mail, each, recipients, world_small);

	assert_int_equal(world_verdict(world, key), IPC_STORED);
	return key;
}

static bool has(struct slice text, const char *needle)
{
	return slice_search(text, slice_str(needle)) < text.len;
}

/* The report, which is taken; what it must have. */
static void expect_report(struct world *world, const char *const *needles)
{
	struct msg_deliver deliver;

	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_int_equal(deliver.mail.sender.len, 0);
	assert_true(slice_is(deliver.destination, "example.org"));
	for (; *needles != NULL; needles++) {
		if (!has(deliver.body, *needles))
			fail_msg("%s is not in\n%.*s", *needles, SLICE_ARG(deliver.body));
	}
	world_result(world, &deliver, IPC_DELIVERED, "ok", false);
}

#define REPORT(world, ...) expect_report(world, (const char *const[]){__VA_ARGS__, NULL})

/* Several loops of the process have passed, and it had nothing to send. */
static void expect_nothing(struct world *world)
{
	struct msg_deliver deliver;

	assert_false(end_wait(&world->relay, IPC_DELIVER, 300, &deliver));
}

/* ---- NOTIFY ------------------------------------------------------------------------------ */
static void success_is_reported_by_the_last_who_knows(void **state)
{
	struct world *world = *state;
	struct rec_recipient wants = {.notify = SMTP_NOTIFY_SUCCESS,
				      .orcpt = SLICE_LIT("rfc822;Bob+2Bx@sink.example")};
	struct rec_mail mail = terms();
	struct msg_deliver deliver;

	mail.envid = SLICE_LIT("QQ+3D1");
	world->taken = IPC_TAKEN_FINAL;
	(void)ask(world, &mail, &wants, "bob@sink.example");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	world_result(world, &deliver, IPC_DELIVERED, "ok", false);
	REPORT(world, "Subject: Your message was delivered\r\n", "Action: delivered\r\n",
	       "Status: 2.0.0\r\n", "Original-Envelope-Id: QQ=1\r\n",
	       "Original-Recipient: rfc822;Bob+x@sink.example\r\n");

	world->taken = IPC_TAKEN_PLAIN;
	(void)ask(world, &mail, &wants, "bob@sink.example");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	world_result(world, &deliver, IPC_DELIVERED, "ok", false);
	REPORT(world, "Action: relayed\r\n", "Subject: Your message was passed on\r\n");

	world->taken = IPC_TAKEN_DSN; /* the next hop reports */
	(void)ask(world, &mail, &wants, "bob@sink.example");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	world_result(world, &deliver, IPC_DELIVERED, "ok", false);
	expect_nothing(world);

	world->taken = IPC_TAKEN_FINAL; /* nobody asked */
	(void)ask(world, &mail, &plain, "bob@sink.example");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	world_result(world, &deliver, IPC_DELIVERED, "ok", false);
	expect_nothing(world);
}

/*
 * RFC 2852 4.1.4.2: that mode N was left out is told unless NEVER, whether the server knows DSN or
 * not; one that keeps the time itself, only to who asked for success. 4.1.4: a trace always.
 */
static void time_left_out_is_reported(void **state)
{
	struct world *world = *state;
	static const struct {
		uint8_t taken, notify;
		bool trace, told;
	} cases[] = {{IPC_TAKEN_DSN, 0, false, true},
		     {IPC_TAKEN_PLAIN, SMTP_NOTIFY_FAILURE, false, true},
		     {IPC_TAKEN_DSN | IPC_TAKEN_BY, 0, false, false},
		     {IPC_TAKEN_PLAIN | IPC_TAKEN_BY, 0, false, false},
		     {IPC_TAKEN_PLAIN | IPC_TAKEN_BY, SMTP_NOTIFY_SUCCESS, false, true},
		     {IPC_TAKEN_DSN | IPC_TAKEN_BY, 0, true, true},
		     {IPC_TAKEN_DSN, SMTP_NOTIFY_NEVER, true, false}};
	struct rec_mail mail = terms();
	struct msg_deliver deliver;

	mail.by_mode = QUEUE_BY_NOTIFY;
	mail.deliver_by = os_wall_ms() + 600000;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct rec_recipient each = {.notify = cases[i].notify,
						   .orcpt = SLICE_LIT("")};

		mail.by_trace = cases[i].trace;
		world->taken = cases[i].taken;
		(void)ask(world, &mail, &each, "bob@sink.example");
		end_expect(&world->relay, IPC_DELIVER, &deliver);
		world_result(world, &deliver, IPC_DELIVERED, "ok", false);
		if (cases[i].told)
			REPORT(world, "Action: relayed\r\n");
		else
			expect_nothing(world);
	}
}

static void failure_is_reported_unless_excluded(void **state)
{
	struct world *world = *state;
	static const struct {
		uint8_t notify;
		bool told;
	} cases[] = {{0, true},
		     {SMTP_NOTIFY_FAILURE, true},
		     {SMTP_NOTIFY_NEVER, false},
		     {SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY, false}};
	struct rec_mail mail = terms();
	struct msg_deliver deliver;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct rec_recipient each = {.notify = cases[i].notify,
						   .orcpt = SLICE_LIT("")};

		(void)ask(world, &mail, &each, "bob@sink.example");
		end_expect(&world->relay, IPC_DELIVER, &deliver);
		assert_int_equal(deliver.mail.sender.len, 17);
		world_result(world, &deliver, IPC_FAILED, "no such user", false);
		if (cases[i].told)
			REPORT(world, "Action: failed\r\n", "Status: 5.1.1\r\n");
		else
			expect_nothing(world);
	}
}

/* RFC 3461 4.3; RFC 8689 5: what requires TLS comes back as its header, and requires it too. */
static void full_returns_the_message(void **state)
{
	struct world *world = *state;
	struct rec_mail mail = terms();
	struct msg_deliver deliver;

	mail.ret = SMTP_RET_FULL;
	(void)ask(world, &mail, &plain, "bob@sink.example");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	world_result(world, &deliver, IPC_FAILED, "no", false);
	REPORT(world, "Content-Type: message/rfc822\r\n", "\r\nHello.\r\n");
	mail.flags = IPC_MAIL_REQUIRETLS;
	(void)ask(world, &mail, &plain, "bob@sink.example");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	world_result(world, &deliver, IPC_FAILED, "no", false);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_true((deliver.mail.flags & IPC_MAIL_REQUIRETLS) != 0);
	assert_true(has(deliver.body, "Content-Type: text/rfc822-headers\r\n"));
	assert_false(has(deliver.body, "Hello."));
}

/* ---- FUTURERELEASE ----------------------------------------------------------------------- */
static void held_until_its_time(void **state)
{
	struct world *world = *state;
	struct rec_mail mail = terms();
	struct msg_deliver deliver;
	uint8_t status;
	char text[1024];

	mail.release_at = os_wall_ms() + 2500;
	(void)ask(world, &mail, &plain, "bob@sink.example");
	/* A restart changes nothing, nor does the wish to try all now. */
	world_kill(world);
	world_start(world);
	world_connect_all(world);
	(void)world_op(world, IPC_OP_QUEUE_RETRY, "", "to", "bob@sink.example", &status, text);
	if (os_wall_ms() < mail.release_at)
		assert_non_null(strstr(text, "wait for the time that their sender set"));
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_true(os_wall_ms() >= mail.release_at);
	world_result(world, &deliver, IPC_DELIVERED, "ok", false);
}

static void operator_releases_early(void **state)
{
	struct world *world = *state;
	struct rec_mail mail = terms();
	struct msg_deliver deliver;
	uint8_t status;
	char text[1024];

	mail.release_at = os_wall_ms() + 3600000;
	(void)ask(world, &mail, &plain, "bob@sink.example");
	expect_nothing(world);
	assert_int_equal(world_in_queue(world), 1);
	(void)world_op(world, IPC_OP_QUEUE_RELEASE, "", "to", "bob@sink.example", &status, text);
	assert_int_equal(status, 0);
	assert_string_equal(text, "1 recipient released");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
}

/* What is held and let go waits for its time as before. */
static void hold_keeps_the_release(void **state)
{
	struct world *world = *state;
	struct rec_mail mail = terms();
	struct msg_deliver deliver;
	uint8_t status;
	char text[1024];

	mail.release_at = os_wall_ms() + 3600000;
	(void)ask(world, &mail, &plain, "bob@sink.example");
	(void)world_op(world, IPC_OP_QUEUE_HOLD, "", "all", "true", &status, text);
	assert_string_equal(text, "1 recipient held");
	(void)world_op(world, IPC_OP_QUEUE_RELEASE, "", "all", "true", &status, text);
	assert_true(has(slice_str(text),
			"1 recipient released; 1 wait for the time that their sender "
			"set"));
	expect_nothing(world);
	(void)world_op(world, IPC_OP_QUEUE_RELEASE, "", "all", "true", &status, text);
	assert_string_equal(text, "1 recipient released");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
}

/* ---- DELIVERBY --------------------------------------------------------------------------- */
/* RFC 2852 4.1.4: R goes back at its time, also while its destination is down. */
static void late_goes_back(void **state)
{
	struct world *world = *state;
	struct rec_mail mail = terms();
	struct msg_deliver deliver;
	struct msg_results_ack ack;

	/* The destination is down for two seconds from now on. */
	(void)ask(world, &mail, &plain, "first@dead.example");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	world_result(world, &deliver, IPC_DEFERRED, "no route", true);
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	mail.deliver_by = os_wall_ms() + 500;
	mail.by_mode = QUEUE_BY_RETURN;
	(void)ask(world, &mail, &plain, "late@dead.example");
	for (;;) {
		end_expect(&world->relay, IPC_DELIVER, &deliver);
		if (deliver.mail.sender.len == 0)
			break;
		world_result(world, &deliver, IPC_DEFERRED, "no route", true);
	}
	assert_true(os_wall_ms() >= mail.deliver_by);
	assert_true(has(deliver.body, "<late@dead.example>"));
	assert_true(has(deliver.body, "Action: failed\r\nStatus: 5.4.7\r\n"));
	assert_false(has(deliver.body, "first@dead.example"));
	world_result(world, &deliver, IPC_DELIVERED, "ok", false);
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
}

/* One report for one message, however many domains it goes to. */
static void late_at_many_is_told_once(void **state)
{
	struct world *world = *state;
	struct rec_mail mail = terms();
	struct msg_deliver deliver;

	mail.deliver_by = os_wall_ms() + 700;
	mail.by_mode = QUEUE_BY_RETURN;
	(void)ask(world, &mail, &plain,
		  "a@one.example b@two.example c@one.example d@three.example");
	for (int i = 0; i < 3; i++) {
		end_expect(&world->relay, IPC_DELIVER, &deliver);
		world_result(world, &deliver, IPC_DEFERRED, "later", false);
	}
	REPORT(world, "<a@one.example>", "<b@two.example>", "<c@one.example>", "<d@three.example>",
	       "Status: 5.4.7\r\n");
	while (world_in_queue(world) != 0)
		usleep(10000);
	expect_nothing(world);
}

/* Its time passed while the process was away; and one that cannot be met. */
static void late_goes_back_after_a_restart(void **state)
{
	struct world *world = *state;
	struct rec_mail mail = terms();
	struct msg_deliver deliver;

	mail.deliver_by = os_wall_ms() + 700;
	mail.release_at = os_wall_ms() + 600;
	mail.by_mode = QUEUE_BY_RETURN;
	(void)ask(world, &mail, &plain, "late@sink.example");
	world_kill(world);
	while (os_wall_ms() <= mail.deliver_by)
		usleep(10000);
	world_start(world);
	world_connect_all(world);
	REPORT(world, "<late@sink.example>", "Status: 5.4.7\r\n");
	mail.release_at = os_wall_ms() + 100000;
	mail.deliver_by = os_wall_ms() + 90000;
	(void)ask(world, &mail, &plain, "never@sink.example");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_true(has(deliver.body, "<never@sink.example>"));
	assert_true(has(deliver.body, "Status: 5.4.7\r\n"));
}

static void late_is_told_once(void **state)
{
	struct world *world = *state;
	struct rec_mail mail = terms();
	struct msg_deliver deliver;
	unsigned reports = 0, attempts = 0;

	mail.deliver_by = os_wall_ms() + 400;
	mail.by_mode = QUEUE_BY_NOTIFY;
	(void)ask(world, &mail, &plain, "slow@sink.example other@else.example");
	while (attempts < 6) {
		end_expect(&world->relay, IPC_DELIVER, &deliver);
		if (deliver.mail.sender.len == 0) {
			reports++;
			assert_true(has(deliver.body, "Action: delayed\r\nStatus: 4.4.7\r\n"));
			assert_true(has(deliver.body, "<slow@sink.example>"));
			assert_true(has(deliver.body, "<other@else.example>"));
			assert_true(has(deliver.body, "Will-Retry-Until: "));
			world_result(world, &deliver, IPC_DELIVERED, "ok", false);
		} else {
			attempts++;
			world_result(world, &deliver, IPC_DEFERRED, "later", false);
		}
	}
	assert_int_equal(reports, 1);
	assert_int_equal(world_in_queue(world), 2);
}

/* What relay has of mode R is over when relay says so; others are told of at their time. */
static void late_holds_up_nobody(void **state)
{
	enum { MESSAGES = 5, RECIPIENTS = 1000, NAME = 20 };
	struct world *world = *state;
	struct rec_mail mail = terms();
	struct msg_deliver deliver;
	char *recipients = mem_alloc(RECIPIENTS * NAME);

	mail.deliver_by = os_wall_ms() + 3000;
	mail.by_mode = QUEUE_BY_RETURN;
	for (int i = 0; i < MESSAGES; i++) { /* more than are looked at together */
		for (int j = 0, used = 0; j < RECIPIENTS; j++)
			used += snprintf(recipients + used, NAME, "%sr%d@d%d.example",
					 j != 0 ? " " : "", j, i);
		(void)ask(world, &mail, &plain, recipients);
		end_expect(&world->relay, IPC_DELIVER, &deliver);
		assert_int_equal(deliver.recipients.count, RECIPIENTS);
	}
	mail.deliver_by++;
	mail.by_mode = QUEUE_BY_NOTIFY;
	(void)ask(world, &mail, &plain, "slow@sink.example");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	REPORT(world, "Action: delayed\r\n", "<slow@sink.example>");
	assert_true(os_wall_ms() >= mail.deliver_by);
	expect_nothing(world);
	mem_free(recipients);
}

/* ---- frozen accounts --------------------------------------------------------------------- */
static void expect_frozen(struct world *world, uint64_t held, uint64_t released)
{
	struct msg_frozen_done done;

	end_expect(&world->auth, IPC_FROZEN_DONE, &done);
	assert_int_equal(done.held, held);
	assert_int_equal(done.released, released);
}

/* auth tells that alice is frozen, or that nobody is. */
static void tell_frozen(struct world *world, bool alice)
{
	const struct msg_frozen frozen = {.account = SLICE_LIT("alice@example.org")};
	const struct msg_frozen_end end = {.round = 1};

	if (alice)
		end_send(&world->auth, IPC_FROZEN, &frozen);
	end_send(&world->auth, IPC_FROZEN_END, &end);
}

/* What comes while its account is frozen has its time all the same. */
static void time_goes_on_while_frozen(void **state)
{
	struct world *world = *state;
	struct rec_mail mail = terms();
	struct msg_deliver deliver;

	tell_frozen(world, true);
	expect_frozen(world, 0, 0);
	mail.deliver_by = os_wall_ms() + 2000;
	mail.by_mode = QUEUE_BY_NOTIFY;
	(void)ask(world, &mail, &plain, "slow@sink.example");
	expect_frozen(world, 1, 0);
	tell_frozen(world, false);
	expect_frozen(world, 0, 1);
	end_expect(&world->relay, IPC_DELIVER, &deliver); /* and it takes its time */
	REPORT(world, "Action: delayed\r\n", "<slow@sink.example>");
}

/* Who was let go early, and was tried, goes on when its account is thawed. */
static void thawed_goes_on_as_it_was(void **state)
{
	struct world *world = *state;
	struct rec_mail mail = terms();
	struct msg_deliver deliver;
	struct msg_results_ack ack;
	uint8_t status;
	char text[1024];

	mail.release_at = os_wall_ms() + 3600000;
	(void)ask(world, &mail, &plain, "early@sink.example");
	(void)world_op(world, IPC_OP_QUEUE_RELEASE, "", "all", "true", &status, text);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	world_result(world, &deliver, IPC_DEFERRED, "later", false);
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	(void)ask(world, &mail, &plain, "waits@sink.example");
	tell_frozen(world, true);
	expect_frozen(world, 2, 0);
	tell_frozen(world, false);
	expect_frozen(world, 0, 2);
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_int_equal(deliver.attempt, 2);
	expect_nothing(world);
}

/* The operator hears of all that his release leaves where it is. */
static void release_tells_what_stays(void **state)
{
	struct world *world = *state;
	struct rec_mail mail = terms();
	uint8_t status;
	char text[1024];

	mail.release_at = os_wall_ms() + 3600000;
	(void)ask(world, &mail, &plain, "waits@sink.example");
	(void)world_op(world, IPC_OP_QUEUE_HOLD, "", "all", "true", &status, text);
	assert_string_equal(text, "1 recipient held");
	tell_frozen(world, true);
	expect_frozen(world, 0, 0);
	mail.release_at = 0;
	(void)ask(world, &mail, &plain, "bob@sink.example");
	expect_frozen(world, 1, 0);
	(void)world_op(world, IPC_OP_QUEUE_RELEASE, "", "all", "true", &status, text);
	assert_int_equal(status, 0);
	assert_true(has(slice_str(text), "1 recipient released; 1 wait for the time "));
	assert_true(has(slice_str(text), "; 1 are held because their account is frozen: "));
}

/* ---- notices of delay -------------------------------------------------------------------- */
static void delay_is_told_behind_a_dead_host(void **state)
{
	struct world *world = *state;
	struct rec_mail mail = terms();
	struct rec_recipient no = {.notify = SMTP_NOTIFY_FAILURE, .orcpt = SLICE_LIT("")};
	struct msg_deliver deliver;
	unsigned reports = 0, probes = 0;

	world_shut_down(world);
	world->config->queue.delay_notice = 1500;
	world_start(world);
	world_connect_all(world);
	(void)ask(world, &mail, &plain, "probe@dead.example");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	world_result(world, &deliver, IPC_DEFERRED, "no route", true);
	(void)ask(world, &mail, &plain, "behind@dead.example");
	(void)ask(world, &mail, &no, "silent@dead.example");
	while (reports < 2) {
		end_expect(&world->relay, IPC_DELIVER, &deliver);
		if (deliver.mail.sender.len != 0) {
			world_result(world, &deliver, IPC_DEFERRED, "no route", true);
			continue;
		}
		reports++;
		assert_true(has(deliver.body, "Subject: Your message is delayed\r\n"));
		assert_true(has(deliver.body, "Action: delayed\r\nStatus: 4.4.7\r\n"));
		assert_false(has(deliver.body, "silent@dead.example"));
		world_result(world, &deliver, IPC_DELIVERED, "ok", false);
	}
	while (world_in_queue(world) != 3) /* the reports are gone for good */
		usleep(10000);
	/* A restart repeats nothing. */
	world_kill(world);
	world_start(world);
	world_connect_all(world);
	while (probes < 3) {
		end_expect(&world->relay, IPC_DELIVER, &deliver);
		assert_int_equal(deliver.mail.sender.len, 17);
		probes++;
		world_result(world, &deliver, IPC_DEFERRED, "no route", true);
	}
	assert_int_equal(world_in_queue(world), 3);
}

/* ---- MT-PRIORITY ------------------------------------------------------------------------- */
static void urgent_overtakes(void **state)
{
	struct world *world = *state;
	struct rec_mail mail = terms();
	struct msg_deliver deliver;
	struct msg_results_ack ack;
	char order[8] = "";
	size_t count = 0;

	/* Down: they pile up on disk, and come back from there. */
	(void)ask(world, &mail, &plain, "x@dead.example");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	world_result(world, &deliver, IPC_DEFERRED, "no route", true);
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	mail.priority = 10 - 5;
	(void)ask(world, &mail, &plain, "l@dead.example");
	mail.priority = 0;
	(void)ask(world, &mail, &plain, "m@dead.example");
	mail.priority = 10 + 4;
	(void)ask(world, &mail, &plain, "n@dead.example");
	mail.priority = 10 + 9;
	(void)ask(world, &mail, &plain, "o@dead.example");
	world_kill(world);
	world_start(world);
	world_connect_all(world);
	while (count < 4) {
		struct rec_recipient recipient;
		struct ipc_list list;

		end_expect(&world->relay, IPC_DELIVER, &deliver);
		list = deliver.recipients;
		assert_true(ipc_list_next(&list, IPC_REC_recipient, &recipient));
		if (recipient.address.ptr[0] != 'x')
			order[count++] = recipient.address.ptr[0];
		world_result(world, &deliver, IPC_DELIVERED, "ok", false);
	}
	assert_string_equal(order, "onml");
}

/* ---- ETRN -------------------------------------------------------------------------------- */
static void etrn_tries_the_domain_now(void **state)
{
	struct world *world = *state;
	struct rec_mail mail = terms();
	struct msg_etrn etrn = {.session = 7, .domain = SLICE_LIT("Sink.Example")};
	struct msg_etrn_done done;
	struct msg_deliver deliver;
	struct msg_results_ack ack;
	struct msg_try_again again;

	end_send(&world->smtpd, IPC_ETRN, &etrn);
	end_expect(&world->smtpd, IPC_ETRN_DONE, &done);
	assert_int_equal(done.session, 7);
	assert_int_equal(done.code, 251);
	assert_int_equal(done.recipients, 0);
	(void)ask(world, &mail, &plain, "a@sink.example b@sink.example");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	world_result(world, &deliver, IPC_DEFERRED, "later", false);
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	end_send(&world->smtpd, IPC_ETRN, &etrn);
	end_expect(&world->smtpd, IPC_ETRN_DONE, &done);
	assert_int_equal(done.code, 253);
	assert_int_equal(done.recipients, 2);
	end_expect(&world->relay, IPC_TRY_AGAIN, &again);
	assert_true(slice_is(again.destination, "sink.example"));
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	assert_int_equal(deliver.recipients.count, 2);
	/* Once in a minute; other domains are another matter, and nothing was tried for those. */
	world_result(world, &deliver, IPC_DEFERRED, "later", false);
	end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	end_send(&world->smtpd, IPC_ETRN, &etrn);
	end_expect(&world->smtpd, IPC_ETRN_DONE, &done);
	assert_int_equal(done.code, 250);
	etrn.domain = SLICE_LIT("other.example");
	for (int i = 0; i < 2; i++) {
		end_send(&world->smtpd, IPC_ETRN, &etrn);
		end_expect(&world->smtpd, IPC_ETRN_DONE, &done);
		assert_int_equal(done.code, 251);
	}
}

/* What an operator has tried is what he chose, at relay too. */
static void retry_names_its_destinations(void **state)
{
	struct world *world = *state;
	struct rec_mail mail = terms();
	struct msg_deliver deliver;
	struct msg_results_ack ack;
	struct msg_try_again again;
	uint8_t status;
	char text[1024];

	(void)ask(world, &mail, &plain, "a@Sink.Example b@other.example c@sink.example");
	for (int i = 0; i < 2; i++) {
		end_expect(&world->relay, IPC_DELIVER, &deliver);
		world_result(world, &deliver, IPC_DEFERRED, "later", false);
		end_expect(&world->relay, IPC_RESULTS_ACK, &ack);
	}
	(void)world_op(world, IPC_OP_QUEUE_RETRY, "", "to", "@sink.example", &status, text);
	assert_int_equal(status, 0);
	end_expect(&world->relay, IPC_TRY_AGAIN, &again);
	assert_true(slice_is(again.destination, "sink.example"));
	assert_false(end_wait(&world->relay, IPC_TRY_AGAIN, 300, &again));
	(void)world_op(world, IPC_OP_QUEUE_RETRY, "", "all", "true", &status, text);
	assert_int_equal(status, 0);
	end_expect(&world->relay, IPC_TRY_AGAIN, &again);
	assert_int_equal(again.destination.len, 0);
}

/* ---- a smtpd that is not itself ---------------------------------------------------------- */
static void terms_out_of_range_are_refused(void **state)
{
	struct world *world = *state;
	int64_t now = os_wall_ms();
	struct rec_mail bad[12];
	struct rec_recipient odd[] = {
		{.notify = SMTP_NOTIFY_NEVER | SMTP_NOTIFY_DELAY, .orcpt = SLICE_LIT("")},
		{.notify = 16, .orcpt = SLICE_LIT("")},
		{.orcpt = SLICE_LIT("rfc822;a\r\nRSET")},
		{.orcpt = SLICE_LIT("rfc822;b\u00fccher@c.example")},
		{.orcpt = SLICE_LIT("utf-8;a\r\nRSET")},
		{.orcpt = SLICE_LIT("utf-8;a b")},
		{.orcpt = SLICE_LIT("utf-8;a\xc3")},
		{.orcpt = SLICE_LIT("utf-8;a\u202eb")}};
	struct rec_mail good = terms();
	uint64_t key;

	for (size_t i = 0; i < 12; i++)
		bad[i] = terms();
	bad[0].ret = 3;
	bad[1].by_mode = 3;
	bad[1].deliver_by = now + 1000;
	bad[2].deliver_by = now + 1000; /* without a mode */
	bad[3].by_mode = QUEUE_BY_RETURN;
	bad[4].by_mode = QUEUE_BY_NOTIFY;
	bad[4].deliver_by = INT64_MAX;
	bad[5].by_trace = true;
	bad[6].priority = 20;
	bad[7].release_at = INT64_MAX - 1; /* that would be for ever */
	bad[8].release_at = -1;
	bad[9].envid = SLICE_LIT("a b");
	bad[10].auth = SLICE_LIT("x\r\nRCPT");
	bad[11].by_mode = QUEUE_BY_NOTIFY;
	bad[11].deliver_by = -5;
	for (size_t i = 0; i < 12; i++) {
		key = world_ask(world, 1, &bad[i], &plain, "b@sink.example", world_small);
		assert_int_equal(world_verdict(world, key), IPC_BAD_MESSAGE);
	}
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		key = world_ask(world, 1, &good, &odd[i], "b@sink.example", world_small);
		assert_int_equal(world_verdict(world, key), IPC_BAD_MESSAGE);
	}
	assert_int_equal(world_in_queue(world), 0);
	(void)ask(world, &good, &plain, "b@sink.example");
}

/* RFC 6533 3: with SMTPUTF8 the original recipient may stand there as it is. */
static void original_recipient_beyond_ascii(void **state)
{
	struct world *world = *state;
	const struct rec_recipient wide = {.orcpt = SLICE_LIT("utf-8;b\u00fccher@c.example")};
	struct rec_mail mail = terms();
	struct ipc_list list;
	struct rec_recipient first;
	struct msg_deliver deliver;

	mail.flags = IPC_MAIL_UTF8;
	(void)ask(world, &mail, &wide, "bob@sink.example");
	end_expect(&world->relay, IPC_DELIVER, &deliver);
	list = deliver.recipients;
	assert_true(ipc_list_next(&list, IPC_REC_recipient, &first));
	assert_true(slice_equal(first.orcpt, wide.orcpt));
	world_result(world, &deliver, IPC_DELIVERED, "ok", false);
}

/* ---- limits ------------------------------------------------------------------------------ */
static int setup_short(void **state)
{
	struct world *world = world_new();

	world->config->limits.memory_reserve = 1024ULL << 30;
	world_start(world);
	*state = world;
	return 0;
}

static void memory_is_kept_free(void **state)
{
	struct world *world = *state;
	struct msg_accepting accepting;

	world_connect(world, &world->smtpd, IPC_SMTPD, 1);
	end_expect(&world->smtpd, IPC_ACCEPTING, &accepting);
	assert_false(accepting.ok);
	assert_int_equal(accepting.code, 452);
	assert_true(slice_is(accepting.status, "4.3.1"));
	assert_true(has(accepting.text, "memory"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, setup, world_teardown)
		T(success_is_reported_by_the_last_who_knows),
		T(time_left_out_is_reported),
		T(failure_is_reported_unless_excluded),
		T(full_returns_the_message),
		T(held_until_its_time),
		T(operator_releases_early),
		T(hold_keeps_the_release),
		T(late_goes_back),
		T(late_at_many_is_told_once),
		T(late_goes_back_after_a_restart),
		T(late_is_told_once),
		T(late_holds_up_nobody),
		T(time_goes_on_while_frozen),
		T(thawed_goes_on_as_it_was),
		T(release_tells_what_stays),
		T(delay_is_told_behind_a_dead_host),
		T(urgent_overtakes),
		T(etrn_tries_the_domain_now),
		T(retry_names_its_destinations),
		T(terms_out_of_range_are_refused),
		T(original_recipient_beyond_ascii),
		cmocka_unit_test_setup_teardown(memory_is_kept_free, setup_short, world_teardown),
	};

	if (!world_begin(argc, argv))
		return 2;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
