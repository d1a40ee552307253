/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands in and out of order (RFC 5321 4.1.4, RFC 4954 4, RFC 3207 4, RFC 3030 2): the machine
 * as it should be, as a table of states, and each command and each pair of commands against it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "peer.h"

enum { COMMANDS = 16 };

static const char *const commands[COMMANDS] = {
	"EHLO c\r\n",
	"HELO c\r\n",
	"MAIL FROM:<a@b.example>\r\n",
	"RCPT TO:<c@d.example>\r\n",
	"DATA\r\n",
	"BDAT 3\r\nx\r\n",
	"BDAT 3 LAST\r\nx\r\n",
	"RSET\r\n",
	"NOOP\r\n",
	"VRFY c\r\n",
	"EXPN c\r\n",
	"HELP\r\n",
	"AUTH PLAIN AHUAcmlnaHQ=\r\n", /* \0u\0right */
	"STARTTLS\r\n",
	"ETRN d.example\r\n",
	"QUIT\r\n",
};

/* Of a listener where everybody must log in. CLEAR before TLS, SAFE after it. */
enum where {
	CLEAR,      /* greeted */
	CLEAR_HELO, /* said HELO or EHLO */
	SAFE,       /* TLS is new */
	SAFE_HELO,  /* said HELO: no AUTH is announced, and yet it is taken */
	SAFE_EHLO,
	USER, /* logged in */
	MAIL,
	RCPT,
	CHUNK,  /* a BDAT was taken, the last is to come */
	FAILED, /* a BDAT was refused: so are those that follow, until MAIL or RSET */
	MIXED,  /* DATA came among chunks: the message is lost */
	BODY,   /* 354 was said: no commands */
	STATES,
	END, /* closed */
};

struct step {
	unsigned short code;
	unsigned short next;
};

#define LOGIN "EHLO c\r\n", "AUTH PLAIN AHUAcmlnaHQ=\r\n"

static const struct state {
	const char *name;
	bool tls;
	const char *path[6]; /* how it is come to */
	struct step steps[COMMANDS];
} states[BODY] = {
	/* EHLO HELO MAIL RCPT, DATA BDAT BDAT-LAST RSET, NOOP VRFY EXPN HELP, AUTH STARTTLS ETRN
	   QUIT */
	[CLEAR] = {"greeted in clear",
		   false,
		   {NULL},
		   {{250, CLEAR_HELO},
		    {250, CLEAR_HELO},
		    {530, CLEAR},
		    {530, CLEAR},
		    {530, CLEAR},
		    {530, CLEAR},
		    {530, CLEAR},
		    {250, CLEAR},
		    {250, CLEAR},
		    {530, CLEAR},
		    {530, CLEAR},
		    {214, CLEAR},
		    {538, CLEAR},
		    {503, CLEAR},
		    {530, CLEAR},
		    {221, END}}},
	[CLEAR_HELO] = {"EHLO in clear",
			false,
			{"EHLO c\r\n"},
			{{250, CLEAR_HELO},
			 {250, CLEAR_HELO},
			 {530, CLEAR_HELO},
			 {530, CLEAR_HELO},
			 {530, CLEAR_HELO},
			 {530, CLEAR_HELO},
			 {530, CLEAR_HELO},
			 {250, CLEAR_HELO},
			 {250, CLEAR_HELO},
			 {530, CLEAR_HELO},
			 {530, CLEAR_HELO},
			 {214, CLEAR_HELO},
			 {538, CLEAR_HELO},
			 {220, SAFE},
			 {530, CLEAR_HELO},
			 {221, END}}},
	[SAFE] = {"TLS",
		  false,
		  {"EHLO c\r\n", "STARTTLS\r\n"},
		  {{250, SAFE_EHLO},
		   {250, SAFE_HELO},
		   {530, SAFE},
		   {530, SAFE},
		   {530, SAFE},
		   {530, SAFE},
		   {530, SAFE},
		   {250, SAFE},
		   {250, SAFE},
		   {530, SAFE},
		   {530, SAFE},
		   {214, SAFE},
		   {503, SAFE},
		   {503, SAFE},
		   {530, SAFE},
		   {221, END}}},
	[SAFE_HELO] = {"HELO in TLS",
		       true,
		       {"HELO c\r\n"},
		       {{250, SAFE_EHLO},
			{250, SAFE_HELO},
			{530, SAFE_HELO},
			{530, SAFE_HELO},
			{530, SAFE_HELO},
			{530, SAFE_HELO},
			{530, SAFE_HELO},
			{250, SAFE_HELO},
			{250, SAFE_HELO},
			{530, SAFE_HELO},
			{530, SAFE_HELO},
			{214, SAFE_HELO},
			{235, USER},
			{503, SAFE_HELO},
			{530, SAFE_HELO},
			{221, END}}},
	[SAFE_EHLO] = {"EHLO in TLS",
		       true,
		       {"EHLO c\r\n"},
		       {{250, SAFE_EHLO},
			{250, SAFE_HELO},
			{530, SAFE_EHLO},
			{530, SAFE_EHLO},
			{530, SAFE_EHLO},
			{530, SAFE_EHLO},
			{530, SAFE_EHLO},
			{250, SAFE_EHLO},
			{250, SAFE_EHLO},
			{530, SAFE_EHLO},
			{530, SAFE_EHLO},
			{214, SAFE_EHLO},
			{235, USER},
			{503, SAFE_EHLO},
			{530, SAFE_EHLO},
			{221, END}}},
	[USER] = {"logged in",
		  true,
		  {LOGIN},
		  {{250, USER},
		   {250, USER},
		   {250, MAIL},
		   {503, USER},
		   {503, USER},
		   {503, USER},
		   {503, USER},
		   {250, USER},
		   {250, USER},
		   {252, USER},
		   {502, USER},
		   {214, USER},
		   {503, USER},
		   {503, USER},
		   {253, USER},
		   {221, END}}},
	[MAIL] = {"MAIL",
		  true,
		  {LOGIN, "MAIL FROM:<a@b.example>\r\n"},
		  {{250, USER},
		   {250, USER},
		   {503, MAIL},
		   {250, RCPT},
		   {554, MAIL},
		   {554, FAILED},
		   {554, USER},
		   {250, USER},
		   {250, MAIL},
		   {252, MAIL},
		   {502, MAIL},
		   {214, MAIL},
		   {503, MAIL},
		   {503, MAIL},
		   {503, MAIL},
		   {221, END}}},
	[RCPT] = {"RCPT",
		  true,
		  {LOGIN, "MAIL FROM:<a@b.example>\r\n", "RCPT TO:<c@d.example>\r\n"},
		  {{250, USER},
		   {250, USER},
		   {503, RCPT},
		   {250, RCPT},
		   {354, BODY},
		   {250, CHUNK},
		   {250, USER},
		   {250, USER},
		   {250, RCPT},
		   {252, RCPT},
		   {502, RCPT},
		   {214, RCPT},
		   {503, RCPT},
		   {503, RCPT},
		   {503, RCPT},
		   {221, END}}},
	[CHUNK] = {"BDAT",
		   true,
		   {LOGIN, "MAIL FROM:<a@b.example>\r\n", "RCPT TO:<c@d.example>\r\n",
		    "BDAT 3\r\nx\r\n"},
		   {{250, USER},
		    {250, USER},
		    {503, CHUNK},
		    {503, CHUNK},
		    {503, MIXED},
		    {250, CHUNK},
		    {250, USER},
		    {250, USER},
		    {250, CHUNK},
		    {252, CHUNK},
		    {502, CHUNK},
		    {214, CHUNK},
		    {503, CHUNK},
		    {503, CHUNK},
		    {503, CHUNK},
		    {221, END}}},
	[FAILED] = {"a refused BDAT",
		    true,
		    {LOGIN, "MAIL FROM:<a@b.example>\r\n", "BDAT 3\r\nx\r\n"},
		    {{250, USER},
		     {250, USER},
		     {250, MAIL},
		     {503, FAILED},
		     {503, FAILED},
		     {554, FAILED},
		     {554, USER},
		     {250, USER},
		     {250, FAILED},
		     {252, FAILED},
		     {502, FAILED},
		     {214, FAILED},
		     {503, FAILED},
		     {503, FAILED},
		     {253, FAILED},
		     {221, END}}},
	[MIXED] = {"DATA among chunks",
		   true,
		   {LOGIN, "MAIL FROM:<a@b.example>\r\n", "RCPT TO:<c@d.example>\r\n",
		    "BDAT 3\r\nx\r\n", "DATA\r\n"},
		   {{250, USER},
		    {250, USER},
		    {250, MAIL},
		    {503, MIXED},
		    {503, MIXED},
		    {503, MIXED},
		    {503, USER},
		    {250, USER},
		    {250, MIXED},
		    {252, MIXED},
		    {502, MIXED},
		    {214, MIXED},
		    {503, MIXED},
		    {503, MIXED},
		    {253, MIXED},
		    {221, END}}},
};

/* The code of the one reply to a command; 0: none came, or more than one. */
static unsigned answer_to(struct peer *peer, const char *command)
{
	const char *said;
	unsigned code = 0;

	peer_send(peer, slice_str(command));
	said = peer_said(peer);
	for (unsigned i = 0; i < 3 && said[i] >= '0' && said[i] <= '9'; i++)
		code = code * 10 + (unsigned)(said[i] - '0');
	/* The last line of the reply, and nothing behind it. */
	while (strlen(said) > 4 && said[3] == '-' && strchr(said, '\n') != NULL)
		said = strchr(said, '\n') + 1;
	return strchr(said, '\n') == said + strlen(said) - 1 ? code : 0;
}

static void go_to(struct peer *peer, const struct state *state)
{
	peer_open(peer, PEER_REQUIRED | PEER_ALL | (state->tls ? PEER_TLS : PEER_STARTTLS));
	(void)peer_said(peer);
	for (size_t i = 0; i < sizeof(state->path) / sizeof(state->path[0]); i++)
		if (state->path[i] != NULL)
			(void)answer_to(peer, state->path[i]);
}

static void expect(const char *where, const char *before, const char *command, unsigned code,
		   unsigned expected)
{
	if (code == expected)
		return;
	fail_msg("in state %s, after %.6s, to %.6s: %u instead of %u", where, before, command, code,
		 expected);
}

static void d13_every_command_in_every_state(void **unused)
{
	struct peer peer;

	(void)unused;
	for (size_t s = 0; s < BODY; s++) {
		for (size_t c = 0; c < COMMANDS; c++) {
			go_to(&peer, &states[s]);
			expect(states[s].name, "nothing", commands[c],
			       answer_to(&peer, commands[c]), states[s].steps[c].code);
			assert_int_equal(peer.closed, states[s].steps[c].next == END);
			peer_close(&peer);
		}
	}
}

static void one_pair(const struct state *state, size_t first, size_t second)
{
	struct step step = state->steps[first];
	struct peer peer;

	go_to(&peer, state);
	(void)answer_to(&peer, commands[first]);
	if (step.next == BODY)
		assert_int_equal(smtp_server_phase(peer.server), SMTP_PHASE_BODY);
	else if (step.next != END)
		expect(state->name, commands[first], commands[second],
		       answer_to(&peer, commands[second]), states[step.next].steps[second].code);
	peer_close(&peer);
}

/* A command leaves the session where the table says: all else would show in what follows. */
static void d13_every_pair_of_commands(void **unused)
{
	(void)unused;
	for (size_t s = 0; s < BODY; s++)
		for (size_t first = 0; first < COMMANDS; first++)
			for (size_t second = 0; second < COMMANDS; second++)
				one_pair(&states[s], first, second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(d13_every_command_in_every_state),
		cmocka_unit_test(d13_every_pair_of_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
