/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in MAIL and RCPT of the client machine, for what is asked and what is offered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "smtp/client.h"
#include "smtp/limits.h"

#define OFFERS_ALL                                                                                 \
	"250-them\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250-8BITMIME\r\n250-SIZE\r\n250-DSN\r\n"    \
	"250-DELIVERBY 60\r\n250-MT-PRIORITY MIXER\r\n250-REQUIRETLS\r\n250 AUTH PLAIN\r\n"

static const struct smtp_client_options clear = {.hostname = "us.example"};
static const struct smtp_client_options secure = {.hostname = "us.example", .tls_on = true};

static void drain(struct smtp_client *client)
{
	struct smtp_client_event event;

	while (smtp_client_next(client, &event))
		if (event.type == SMTP_CLIENT_AUTH)
			smtp_client_auth(client, "PLAIN", SLICE_LIT("x"), true);
	buf_clear(smtp_client_output(client));
}

static struct smtp_client *ready(const struct smtp_client_options *options, const char *ehlo)
{
	struct smtp_client *client = smtp_client_new(options);

	smtp_client_feed(client, SLICE_LIT("220 hello\r\n"));
	drain(client);
	smtp_client_feed(client, slice_str(ehlo));
	drain(client);
	if (options->auth) {
		smtp_client_feed(client, SLICE_LIT("235 2.7.0 ok\r\n"));
		drain(client);
	}
	assert_true(smtp_client_idle(client));
	return client;
}

/* The whole group that leaves for this envelope, or the error. */
static enum err group(const struct smtp_client_options *options, const char *ehlo,
		      const struct smtp_client_envelope *envelope, char *out, size_t size)
{
	struct smtp_client *client = ready(options, ehlo);
	enum err err = smtp_client_send(client, envelope);

	assert_int_equal(slice_copy(buf_data(smtp_client_output(client)), out, size), ERR_OK);
	assert_true(err == ERR_OK || smtp_client_idle(client));
	smtp_client_free(&client);
	return err;
}

static struct smtp_client_envelope envelope_of(struct smtp_client_recipient *recipient,
					       const char *address)
{
	*recipient = (struct smtp_client_recipient){.address = slice_str(address)};
	return (struct smtp_client_envelope){
		.sender = SLICE_LIT("s@us.example"), .recipients = recipient, .recipient_count = 1};
}

static void expect(const struct smtp_client_options *options, const char *ehlo,
		   const struct smtp_client_envelope *envelope, const char *expected)
{
	char out[8192];

	assert_int_equal(group(options, ehlo, envelope, out, sizeof(out)), ERR_OK);
	assert_string_equal(out, expected);
}

static void ask_everything(struct smtp_client_envelope *envelope,
			   struct smtp_client_recipient *recipient)
{
	envelope->size = 7;
	envelope->body_8bit = true;
	envelope->by_seconds = 120;
	envelope->terms = (struct smtp_mail_terms){.utf8 = true,
						   .by = SMTP_BY_RETURN,
						   .by_trace = true,
						   .has_priority = true,
						   .priority = -3,
						   .ret = SMTP_RET_HDRS,
						   .envid = SLICE_LIT("<id+3D1>"),
						   .auth = SLICE_LIT("a+2Bb@us.example")};
	recipient->terms.notify = SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_SUCCESS;
	recipient->terms.orcpt = SLICE_LIT("rfc822;x+2By@d.example");
}

static void everything(void **state)
{
	struct smtp_client_options logged_in = secure;
	struct smtp_client_recipient recipient;
	struct smtp_client_envelope envelope = envelope_of(&recipient, "c@d.example");

	(void)state;
	logged_in.auth = true;
	ask_everything(&envelope, &recipient);
	envelope.terms.require_tls = true;
	expect(&logged_in, OFFERS_ALL, &envelope,
	       "MAIL FROM:<s@us.example> SIZE=7 BODY=8BITMIME REQUIRETLS RET=HDRS ENVID=<id+3D1> "
	       "BY=120;RT MT-PRIORITY=-3 AUTH=a+2Bb@us.example\r\n"
	       "RCPT TO:<c@d.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x+2By@d.example\r\n"
	       "DATA\r\n");
}

/* Nothing is said to a server that does not offer it. */
static void nothing(void **state)
{
	struct smtp_client_recipient recipient;
	struct smtp_client_envelope envelope = envelope_of(&recipient, "c@d.example");

	(void)state;
	ask_everything(&envelope, &recipient);
	expect(&clear, "250-them\r\n250 PIPELINING\r\n", &envelope,
	       "MAIL FROM:<s@us.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
}

/* A mailbox: no DSN, and REQUIRETLS has arrived (RFC 8689 4.4). */
static void lmtp(void **state)
{
	const struct smtp_client_options options = {.hostname = "us.example", .lmtp = true};
	struct smtp_client_recipient recipient;
	struct smtp_client_envelope envelope = envelope_of(&recipient, "c@d.example");

	(void)state;
	ask_everything(&envelope, &recipient);
	envelope.terms.require_tls = true;
	expect(&options, "250-them\r\n250-PIPELINING\r\n250 DSN\r\n", &envelope,
	       "MAIL FROM:<s@us.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
}

static void require_tls(void **state)
{
	struct smtp_client_recipient recipient;
	struct smtp_client_envelope envelope = envelope_of(&recipient, "c@d.example");
	char out[8192];

	(void)state;
	envelope.terms.require_tls = true;
	assert_int_equal(group(&clear, OFFERS_ALL, &envelope, out, sizeof(out)), ERR_DENIED);
	assert_string_equal(out, "");
	assert_int_equal(group(&secure, "250 them\r\n", &envelope, out, sizeof(out)), ERR_DENIED);
	assert_string_equal(out, "");
}

static void utf8(void **state)
{
	static const char *const bad[] = {"\xc3@d.example",          "\xc0\xae@d.example",
					  "\xed\xa0\x80@d.example",  "a\xe2\x80\xae@d.example",
					  "a\xc2\x85@d.example",     "\xc3\xa9 \xc3\xa9@d.example",
					  "\xc3\xa9>\r\n@d.example", "a\xe2\x80\xa8@d.example"};
	struct smtp_client_recipient recipient;
	struct smtp_client_envelope envelope = envelope_of(&recipient, "\xc3\xa9@d.example");
	char out[8192];

	(void)state;
	recipient.terms.notify = SMTP_NOTIFY_NEVER;
	expect(&clear, OFFERS_ALL, &envelope,
	       "MAIL FROM:<s@us.example> SMTPUTF8\r\n"
	       "RCPT TO:<\xc3\xa9@d.example> NOTIFY=NEVER ORCPT=utf-8;\xc3\xa9@d.example\r\n"
	       "DATA\r\n");
	/* What stands for itself there and what does not (RFC 6533 3). */
	recipient.address = SLICE_LIT("\xc3\xa9+=@d.example");
	expect(&clear, OFFERS_ALL, &envelope,
	       "MAIL FROM:<s@us.example> SMTPUTF8\r\n"
	       "RCPT TO:<\xc3\xa9+=@d.example> NOTIFY=NEVER "
	       "ORCPT=utf-8;\xc3\xa9\\x{2B}\\x{3D}@d.example\r\nDATA\r\n");
	assert_int_equal(group(&clear, "250 DSN\r\n", &envelope, out, sizeof(out)), ERR_SYNTAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		envelope = envelope_of(&recipient, bad[i]);
		assert_int_equal(group(&clear, OFFERS_ALL, &envelope, out, sizeof(out)),
				 ERR_SYNTAX);
		assert_string_equal(out, "");
	}
	/* ORCPT in the form for ASCII where only it is not ASCII. */
	envelope = envelope_of(&recipient, "c@d.example");
	recipient.terms.orcpt = SLICE_LIT("utf-8;\xf0\x9f\x98\x80@\xc3\xa9.example");
	expect(&clear, OFFERS_ALL, &envelope,
	       "MAIL FROM:<s@us.example>\r\n"
	       "RCPT TO:<c@d.example> ORCPT=utf-8;\\x{1F600}@\\x{E9}.example\r\nDATA\r\n");
}

static void by(void **state)
{
	static const struct {
		enum smtp_by by;
		int64_t seconds;
		const char *word;
	} cases[] = {{SMTP_BY_NOTIFY, -1, "-1;N"},
		     {SMTP_BY_NOTIFY, 0, "0;N"},
		     {SMTP_BY_RETURN, 1, "1;R"},
		     {SMTP_BY_RETURN, INT64_MAX, "999999999;R"},
		     {SMTP_BY_NOTIFY, INT64_MIN, "-999999999;N"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct smtp_client_recipient recipient;
		struct smtp_client_envelope envelope = envelope_of(&recipient, "c@d.example");
		char expected[256];

		envelope.terms.by = cases[i].by;
		envelope.by_seconds = cases[i].seconds;
		snprintf(expected, sizeof(expected),
			 "MAIL FROM:<s@us.example> BY=%s\r\nRCPT TO:<c@d.example>\r\nDATA\r\n",
			 cases[i].word);
		expect(&clear, OFFERS_ALL, &envelope, expected);
	}
}

static void refuse(const struct smtp_client_envelope *envelope)
{
	char out[8192];

	assert_int_equal(group(&secure, OFFERS_ALL, envelope, out, sizeof(out)), ERR_SYNTAX);
	assert_string_equal(out, "");
}

/* Values that could be read as something else do not leave, said or not. */
static void j3_parameters(void **state)
{
	static const char *const bad[] = {"a b",  "a\r\nRSET", "a\n",  "a\r",     "a\tb",
					  "a=b",  "a+",        "a+0",  "a+0A",    "a+0d",
					  "a+7F", "a+2b",      "\x7f", "\xc3\xa9"};
	static char longest[SMTP_LINE_MAX + 1];
	struct smtp_client_recipient recipient;
	struct smtp_client_envelope envelope;

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char orcpt[64];

		envelope = envelope_of(&recipient, "c@d.example");
		envelope.terms.envid = slice_str(bad[i]);
		refuse(&envelope);
		envelope.terms.envid = SLICE_LIT("");
		envelope.terms.auth = slice_str(bad[i]);
		refuse(&envelope);
		envelope.terms.auth = SLICE_LIT("");
		snprintf(orcpt, sizeof(orcpt), "rfc822;%s", bad[i]);
		recipient.terms.orcpt = slice_str(orcpt);
		refuse(&envelope);
		snprintf(orcpt, sizeof(orcpt), "%s;x", bad[i]);
		recipient.terms.orcpt = slice_str(orcpt);
		refuse(&envelope);
	}
	envelope = envelope_of(&recipient, "c@d.example");
	envelope.terms.envid = slice_head(slice_str(longest), SMTP_ENVID_MAX + 1);
	refuse(&envelope);
	envelope = envelope_of(&recipient, "c@d.example");
	envelope.terms.auth = slice_str(longest);
	refuse(&envelope);
	envelope = envelope_of(&recipient, "c@d.example");
	recipient.terms.orcpt = SLICE_LIT("utf-8;a b");
	refuse(&envelope);
	recipient.terms.orcpt = SLICE_LIT("utf-8;\xc3");
	refuse(&envelope);
	recipient.terms.orcpt = SLICE_LIT(";x");
	refuse(&envelope);
	envelope = envelope_of(&recipient, "c@d.example");
	envelope.terms.has_priority = true;
	envelope.terms.priority = 10;
	refuse(&envelope);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything),    cmocka_unit_test(nothing), cmocka_unit_test(lmtp),
		cmocka_unit_test(require_tls),   cmocka_unit_test(utf8),    cmocka_unit_test(by),
		cmocka_unit_test(j3_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
