/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCRAM: a whole exchange with GNU SASL's client, and with one that lies about names, about the
 * channel, and in form (C1, C3, C4, C7, C8).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <gsasl.h>
#include <stdio.h>

#include "base/base64.h"
#include "mechanism.h"
#include "scram_message.h"
#include "store/verifier.h"

#define PASSWORD "correct horse battery"

static struct mechanisms *mechanisms;
static struct verifier verifier, verifier_1;
static Gsasl *client_side;
static const char BINDING[] = "0123456789abcdef0123456789abcdef";

static int set_up(void **state)
{
	static const unsigned char SALT[VERIFIER_SALT] = "salt of sixteen";

	(void)state;
	if (mechanisms_new(&mechanisms) != ERR_OK || gsasl_init(&client_side) != GSASL_OK)
		return -1;
	return verifier_make(SLICE_LIT(PASSWORD), SALT, 4096, &verifier) == ERR_OK &&
			       verifier_make_hash(VERIFIER_SHA_1, SLICE_LIT(PASSWORD), SALT, 4096,
						  &verifier_1) == ERR_OK
		       ? 0
		       : -1;
}

static int tear_down(void **state)
{
	(void)state;
	mechanisms_free(&mechanisms);
	gsasl_done(client_side);
	return 0;
}

/* ---- an exchange ---------------------------------------------------------------------------- */

struct talk {
	const char *mechanism; /* of the server; the client's is the same unless given */
	const char *client_mechanism;
	const char *name, *authzid, *password;
	const char *client_exporter, *client_unique; /* what the client believes */
	const char *exporter, *unique;               /* what the server's connection has */
	bool plus_offered;
	const char *why; /* NULL: it succeeds */
};

static void set_binding(Gsasl_session *session, Gsasl_property property, const char *value)
{
	struct buf text;

	if (value == NULL)
		return;
	buf_init(&text, 256);
	assert_int_equal(base64_encode(slice_str(value), &text), ERR_OK);
	assert_int_equal(buf_append_byte(&text, '\0'), ERR_OK);
	gsasl_property_set(session, property, buf_data(&text).ptr);
	buf_release(&text);
}

static Gsasl_session *start_client(const struct talk *talk)
{
	const char *mechanism =
		talk->client_mechanism != NULL ? talk->client_mechanism : talk->mechanism;
	Gsasl_session *session = NULL;

	assert_int_equal(gsasl_client_start(client_side, mechanism, &session), GSASL_OK);
	gsasl_property_set(session, GSASL_AUTHID, talk->name != NULL ? talk->name : "alice");
	if (talk->authzid != NULL)
		gsasl_property_set(session, GSASL_AUTHZID, talk->authzid);
	gsasl_property_set(session, GSASL_PASSWORD,
			   talk->password != NULL ? talk->password : PASSWORD);
	set_binding(session, GSASL_CB_TLS_EXPORTER, talk->client_exporter);
	set_binding(session, GSASL_CB_TLS_UNIQUE, talk->client_unique);
	return session;
}

static struct exchange *start_server(const struct talk *talk)
{
	const struct exchange_terms terms = {
		.plus_offered = talk->plus_offered,
		.exporter = slice_str(talk->exporter),
		.unique = slice_str(talk->unique),
	};
	struct exchange *exchange = NULL;

	assert_int_equal(exchange_new(mechanisms, slice_str(talk->mechanism), &terms, &exchange),
			 ERR_OK);
	return exchange;
}

static void hold(const struct talk *talk)
{
	Gsasl_session *client = start_client(talk);
	struct exchange *server = start_server(talk);
	enum exchange_result result;
	struct slice challenge = {"", 0}, last;
	char *output = NULL;
	size_t len = 0;

	assert_int_equal(exchange_step(server, false, challenge, &challenge), EXCHANGE_CHALLENGE);
	assert_int_equal(challenge.len, 0);
	do {
		assert_int_not_equal(
			gsasl_step(client, challenge.ptr, challenge.len, &output, &len),
			GSASL_MALLOC_ERROR);
		result = exchange_step(server, true, slice_of(output, len), &challenge);
		gsasl_free(output);
		output = NULL;
		if (result == EXCHANGE_VERIFIER)
			result = exchange_give_verifier(
				server,
				exchange_hash(server) == VERIFIER_SHA_1 ? &verifier_1 : &verifier,
				&challenge);
	} while (result == EXCHANGE_CHALLENGE);
	if (talk->why == NULL) {
		assert_int_equal(result, EXCHANGE_PROVEN);
		assert_true(
			slice_is(exchange_name(server), talk->name != NULL ? talk->name : "alice"));
		assert_string_equal(exchange_mechanism(server), talk->mechanism);
		/* The server proves that it knows the password, too. */
		assert_true(exchange_last(server, &last));
		assert_int_equal(gsasl_step(client, last.ptr, last.len, &output, &len), GSASL_OK);
		gsasl_free(output);
	} else {
		assert_int_equal(result, EXCHANGE_REFUSED);
		assert_string_equal(exchange_why(server), talk->why);
		assert_false(exchange_last(server, &last));
	}
	gsasl_finish(client);
	exchange_free(&server);
}

static void test_plain_scram(void **state)
{
	(void)state;
	hold(&(struct talk){.mechanism = "SCRAM-SHA-256"});
	hold(&(struct talk){.mechanism = "SCRAM-SHA-256", .name = "a=b,c"});
	hold(&(struct talk){.mechanism = "SCRAM-SHA-256", .name = "al\xc3\xac"});
	hold(&(struct talk){.mechanism = "SCRAM-SHA-256", .authzid = "alice"});
	hold(&(struct talk){
		.mechanism = "SCRAM-SHA-256", .password = "wrong", .why = "bad-password"});
}

static void test_sha_1(void **state)
{
	(void)state;
	hold(&(struct talk){.mechanism = "SCRAM-SHA-1"});
	hold(&(struct talk){.mechanism = "SCRAM-SHA-1", .password = "x", .why = "bad-password"});
	hold(&(struct talk){.mechanism = "SCRAM-SHA-1-PLUS",
			    .client_exporter = BINDING,
			    .exporter = BINDING,
			    .plus_offered = true});
	hold(&(struct talk){.mechanism = "SCRAM-SHA-1-PLUS",
			    .client_exporter = "another session's",
			    .exporter = BINDING,
			    .plus_offered = true,
			    .why = "channel-binding-mismatch"});
}

static void c3_authorization_identity(void **state)
{
	(void)state;
	hold(&(struct talk){.mechanism = "SCRAM-SHA-256",
			    .authzid = "victim",
			    .why = "authorization-identity"});
	hold(&(struct talk){.mechanism = "SCRAM-SHA-256",
			    .name = "a,b",
			    .authzid = "a",
			    .why = "authorization-identity"});
}

static void c8_channel_binding(void **state)
{
	(void)state;
	hold(&(struct talk){.mechanism = "SCRAM-SHA-256-PLUS",
			    .client_exporter = BINDING,
			    .exporter = BINDING,
			    .plus_offered = true});
	hold(&(struct talk){.mechanism = "SCRAM-SHA-256-PLUS",
			    .client_unique = "twelve bytes",
			    .unique = "twelve bytes",
			    .exporter = BINDING,
			    .plus_offered = true});
	/* Two TLS sessions with somebody between them. */
	hold(&(struct talk){.mechanism = "SCRAM-SHA-256-PLUS",
			    .client_exporter = "another session's",
			    .exporter = BINDING,
			    .plus_offered = true,
			    .why = "channel-binding-mismatch"});
	/* The client is bound to what this connection does not have: tls-unique on TLS 1.3. */
	hold(&(struct talk){.mechanism = "SCRAM-SHA-256-PLUS",
			    .client_unique = "twelve bytes",
			    .exporter = BINDING,
			    .plus_offered = true,
			    .why = "unknown-channel-binding"});
}

/* ---- what is written by hand ---------------------------------------------------------------- */

static const char *first_answer(const char *mechanism, bool plus_offered, struct slice first)
{
	struct exchange *server = start_server(&(struct talk){
		.mechanism = mechanism, .exporter = BINDING, .plus_offered = plus_offered});
	struct slice challenge;
	enum exchange_result result = exchange_step(server, true, first, &challenge);
	const char *why;

	if (result == EXCHANGE_VERIFIER)
		result = exchange_give_verifier(server, &verifier, &challenge);
	why = result == EXCHANGE_CHALLENGE ? NULL : exchange_why(server);
	assert_true(result == EXCHANGE_CHALLENGE || result == EXCHANGE_REFUSED);
	exchange_free(&server);
	return why; /* a constant */
}

static void c8_flags(void **state)
{
	static const struct {
		const char *mechanism;
		bool plus_offered;
		const char *first;
		const char *why;
	} CASES[] = {
		{"SCRAM-SHA-256", false, "n,,n=alice,r=abc", NULL},
		{"SCRAM-SHA-256", true, "n,,n=alice,r=abc", NULL},
		{"SCRAM-SHA-256", false, "y,,n=alice,r=abc", NULL},
		{"SCRAM-SHA-256", true, "y,,n=alice,r=abc", "channel-binding-downgrade"},
		{"SCRAM-SHA-256", true, "p=tls-exporter,,n=alice,r=abc",
		 "channel-binding-without-plus"},
		{"SCRAM-SHA-256-PLUS", true, "p=tls-exporter,,n=alice,r=abc", NULL},
		{"SCRAM-SHA-256-PLUS", true, "n,,n=alice,r=abc", "no-channel-binding"},
		{"SCRAM-SHA-256-PLUS", true, "y,,n=alice,r=abc", "no-channel-binding"},
		{"SCRAM-SHA-256-PLUS", true, "p=tls-unique,,n=alice,r=abc",
		 "unknown-channel-binding"},
		{"SCRAM-SHA-256-PLUS", true, "p=tls-server-end-point,,n=alice,r=abc",
		 "unknown-channel-binding"},
		{"SCRAM-SHA-256-PLUS", true, "p=TLS-EXPORTER,,n=alice,r=abc",
		 "unknown-channel-binding"},
		{"SCRAM-SHA-256-PLUS", true, "p=,,n=alice,r=abc", "malformed"},
		{"SCRAM-SHA-256-PLUS", true, "p,,n=alice,r=abc", "malformed"},
		{"SCRAM-SHA-256", true, "x,,n=alice,r=abc", "malformed"},
		{"SCRAM-SHA-256", true, "N,,n=alice,r=abc", "malformed"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		const char *why = first_answer(CASES[i].mechanism, CASES[i].plus_offered,
					       slice_str(CASES[i].first));

		if (CASES[i].why == NULL)
			assert_null(why);
		else
			assert_string_equal(why, CASES[i].why);
	}
}

static void c1_names(void **state)
{
	static const struct slice FIRST[] = {
		{"n,,n=a\0b,r=abc", 14},  {"n,,n=a\nb,r=abc", 14}, {"n,,n=a\rb,r=abc", 14},
		{"n,,n=a\x7f,r=abc", 13}, {"n,,n=\xc3,r=abc", 12}, {"n,,n=a,r=abc\0", 13},
		{"n,,n=,r=abc", 11},      {"n,,n=a=,r=abc", 13},   {"n,,n=a=2c,r=abc", 15},
		{"n,,n=a=2,r=abc", 14},   {"n,,n=a=41,r=abc", 15}, {"n,a=,n=a,r=abc", 14},
		{"n,a=b=,n=b,r=abc", 16},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(FIRST) / sizeof(FIRST[0]); i++)
		assert_non_null(first_answer("SCRAM-SHA-256", true, FIRST[i]));
}

static void c7_form(void **state)
{
	static char longest[12 * 1024];
	static const char *const BAD[] = {
		"",
		",",
		",,",
		"n",
		"n,",
		"n,,",
		"n,,n=alice",
		"n,,n=alice,",
		"n,,r=abc,n=alice",
		"n,,n=alice,r=",
		"n,,n=alice,r=a b",
		"n,,n=alice,r=\xc3\xa4",
		"n,,n=alice,r=abc,",
		"n,,m=x,n=alice,r=abc",
		"n,,n=alice,n=bob,r=abc",
		"n,,n=alice,r=abc,r=def",
		"n,,n=alice,r=abc,n=bob",
		"n,,n=alice,r=abc,a=bob",
		"n,,n=alice,r=abc,x=1,x=2",
		"n,,n=alice,r=abc,x",
		"n,,n=alice,r=abc,x=",
		"n,,n=alice,r=abc,1=x",
		"n,,n=alice,r=abc,,x=1",
		"n,b=alice,n=alice,r=abc",
		"n,alice,n=alice,r=abc",
		"n,,,n=alice,r=abc",
		"n,,N=alice,r=abc",
		"p=a_b,,n=alice,r=abc",
	};
	struct scram_first first;

	(void)state;
	for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
		assert_int_equal(scram_read_first(slice_str(BAD[i]), &first), ERR_SYNTAX);
		assert_string_equal(first_answer("SCRAM-SHA-256", true, slice_str(BAD[i])),
				    "malformed");
	}
	assert_int_equal(scram_read_first(SLICE_LIT("n,,n=alice,r=abc,x=1,y=2,X=3"), &first),
			 ERR_OK);
	assert_true(slice_is(first.gs2_header, "n,,"));
	assert_int_equal(scram_read_first(SLICE_LIT("p=t,a=b,n=alice,r=abc"), &first), ERR_OK);
	assert_true(slice_is(first.gs2_header, "p=t,a=b,"));
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "n,,n=alice,r=", 13);
	assert_int_equal(scram_read_first(slice_of(longest, 13 + SCRAM_NONCE_MAX), &first), ERR_OK);
	assert_int_equal(scram_read_first(slice_of(longest, 14 + SCRAM_NONCE_MAX), &first),
			 ERR_RANGE);
	assert_string_equal(first_answer("SCRAM-SHA-256", true, slice_of(longest, sizeof(longest))),
			    "malformed");
}

static void c7_final_form(void **state)
{
	static const char *const BAD[] = {
		"",
		"c=biws",
		"c=biws,r=abc",
		"c=biws,r=abc,p=",
		"c=,r=abc,p=cA==",
		"r=abc,c=biws,p=cA==",
		"c=biws,r=abc,p=cA==,x=1",
		"c=biws,r=abc,p=cA==,p=cA==",
		"c=biws,c=biws,r=abc,p=cA==",
		"c=biws,r=abc,r=abc,p=cA==",
		"c=biws,r=abc,,p=cA==",
		"c=biws,r=abc,n=alice,p=cA==",
		"c=biws,r=abc,x=1,x=1,p=cA==",
		"c=biws,r=a\x01"
		"bc,p=cA==",
		",p=cA==",
	};
	struct scram_final final;

	(void)state;
	for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
		assert_int_equal(scram_read_final(slice_str(BAD[i]), &final), ERR_SYNTAX);
	assert_int_equal(scram_read_final(SLICE_LIT("c=biws,r=abc,x=1,p=cA=="), &final), ERR_OK);
	assert_true(slice_is(final.binding, "biws") && slice_is(final.nonce, "abc") &&
		    slice_is(final.proof, "cA=="));
}

/* A client that knows the password, and puts this in the place of c= and of r=. */
static const char *final_answer(const char *binding, const char *nonce_more)
{
	struct exchange *server =
		start_server(&(struct talk){.mechanism = "SCRAM-SHA-256", .plus_offered = true});
	struct slice challenge, nonce;
	char text[512];
	const char *why;

	assert_int_equal(exchange_step(server, true, SLICE_LIT("n,,n=alice,r=abc"), &challenge),
			 EXCHANGE_VERIFIER);
	assert_int_equal(exchange_give_verifier(server, &verifier, &challenge), EXCHANGE_CHALLENGE);
	assert_true(slice_split(&challenge, ',', &nonce));
	(void)snprintf(text, sizeof(text), "c=%s,%.*s%s,p=%s", binding, SLICE_ARG(nonce),
		       nonce_more, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	assert_int_equal(exchange_step(server, true, slice_str(text), &challenge),
			 EXCHANGE_REFUSED);
	why = exchange_why(server);
	exchange_free(&server);
	return why;
}

static void c8_binding_bytes(void **state)
{
	(void)state;
	assert_string_equal(final_answer("biws", ""), "bad-password");
	assert_string_equal(final_answer("biws", "x"), "wrong-nonce");
	assert_string_equal(final_answer("eSws", ""), "channel-binding-mismatch"); /* y,, */
	assert_string_equal(final_answer("biws====", ""), "channel-binding-mismatch");
	assert_string_equal(final_answer("biw", ""), "channel-binding-mismatch");
	assert_string_equal(final_answer("biwt", ""), "channel-binding-mismatch");
	assert_string_equal(final_answer("biwsAA==", ""), "channel-binding-mismatch");
	assert_string_equal(final_answer("bi ws", ""), "channel-binding-mismatch");
}

static void c4_order(void **state)
{
	struct exchange *server = start_server(&(struct talk){.mechanism = "SCRAM-SHA-256"});
	struct slice challenge;

	(void)state;
	assert_int_equal(exchange_give_verifier(server, &verifier, &challenge), EXCHANGE_REFUSED);
	exchange_free(&server);
	server = start_server(&(struct talk){.mechanism = "SCRAM-SHA-256"});
	assert_int_equal(exchange_step(server, true, SLICE_LIT("n,,n=alice,r=abc"), &challenge),
			 EXCHANGE_VERIFIER);
	assert_int_equal(exchange_step(server, true, SLICE_LIT("c=biws,r=abc,p=cA=="), &challenge),
			 EXCHANGE_REFUSED);
	exchange_free(&server);
	server = start_server(&(struct talk){.mechanism = "PLAIN"});
	assert_int_equal(exchange_give_verifier(server, &verifier, &challenge), EXCHANGE_REFUSED);
	exchange_free(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_scram),
		cmocka_unit_test(test_sha_1),
		cmocka_unit_test(c3_authorization_identity),
		cmocka_unit_test(c8_channel_binding),
		cmocka_unit_test(c8_flags),
		cmocka_unit_test(c1_names),
		cmocka_unit_test(c7_form),
		cmocka_unit_test(c7_final_form),
		cmocka_unit_test(c8_binding_bytes),
		cmocka_unit_test(c4_order),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
