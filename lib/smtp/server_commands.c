/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands. One table says when each is allowed; dispatch looks up, checks the flags in one
 * fixed order and calls. A line of which any byte is a control is no command at all (RFC 5321
 * 2.3.8: CR and LF only as line end).
 */
#include <string.h>

#include "base/mem.h"
#include "smtp/server_private.h"

enum {
	CMD_LAST = 1 << 0,    /* must be the last of a group; RFC 2920 3.1, 4954 4, 3207 4.2 */
	CMD_OPEN = 1 << 1,    /* allowed before login where login is required */
	CMD_GREETED = 1 << 2, /* needs EHLO or HELO */
	CMD_INSIDE = 1 << 3,  /* needs a transaction */
	CMD_OUTSIDE = 1 << 4, /* none may be under way */
	CMD_BARE = 1 << 5,    /* takes no argument */
	CMD_DEAD = 1 << 6,    /* known, not implemented */
	CMD_ALIEN = 1 << 7,   /* another protocol's: the peer is no mail client */
	CMD_CHUNK = 1 << 8,   /* octets follow that are not commands, allowed or not */
};

struct command {
	const char *verb;
	void (*run)(struct smtp_server *server, struct slice args, struct slice line);
	unsigned flags;
};

void server_reset(struct smtp_server *server)
{
	server_drop_transaction(server);
	server_bdat_forget(server);
	server->mail_refused = false;
}

static void cmd_rset(struct smtp_server *server, struct slice args, struct slice line)
{
	(void)args;
	(void)line;
	server_reset(server);
	server_say(server, "250 2.0.0 OK");
}

static void cmd_noop(struct smtp_server *server, struct slice args, struct slice line)
{
	(void)args;
	(void)line;
	server_say(server, "250 2.0.0 OK");
}

static void cmd_help(struct smtp_server *server, struct slice args, struct slice line)
{
	(void)args;
	(void)line;
	server_say(server, "214-2.0.0 postern, a server for sending mail. Its commands:");
	if ((server->options.extensions & SMTP_EXT_ETRN) != 0)
		server_say(server, "214-2.0.0 EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET "
				   "NOOP VRFY ETRN HELP QUIT");
	else
		server_say(server, "214-2.0.0 EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET "
				   "NOOP VRFY HELP QUIT");
	server_say(server, "214-2.0.0 A message: EHLO, STARTTLS, EHLO, AUTH, MAIL, RCPT, DATA");
	buf_printf(&server->out, "214 2.0.0 Questions go to postmaster@%s\r\n",
		   server->options.hostname);
}

static void cmd_quit(struct smtp_server *server, struct slice args, struct slice line)
{
	(void)args;
	(void)line;
	server_say(server, "221 2.0.0 Bye");
	server_end(server, "");
}

/* RFC 5321 3.5.3: it may be left out, and it would tell who is on a list. */
static void cmd_expn(struct smtp_server *server, struct slice args, struct slice line)
{
	(void)args;
	server_refuse(server, "502 5.5.1 Lists are not expanded here; write to the list", line);
}

static void cmd_vrfy(struct smtp_server *server, struct slice args, struct slice line)
{
	if (args.len == 0)
		server_refuse(server, "501 5.5.4 VRFY needs a name", line);
	else
		server_ask(server, SMTP_SERVER_VRFY, args);
}

/* ETRN domain (RFC 1985). Who may is asked first, then whether the domain is one. */
static void cmd_etrn(struct smtp_server *server, struct slice args, struct slice line)
{
	char domain[SMTP_DOMAIN_MAX + 1];

	if (!server->authenticated) {
		server_refuse(server, "530 5.7.0 Authentication required", line);
	} else if (slice_starts(args, "@") || slice_starts(args, "#")) {
		server_refuse(server, "458 4.5.4 One domain at a time, without @ and #", line);
	} else if (smtp_domain_canonical(args, false, domain) != SMTP_ADDRESS_OK) {
		server_refuse(server, "501 5.5.4 Write ETRN domain", line);
	} else {
		buf_clear(&server->token);
		buf_append_str(&server->token, domain);
		server_ask(server, SMTP_SERVER_ETRN, SLICE_LIT(""));
	}
}

static void cmd_starttls(struct smtp_server *server, struct slice args, struct slice line)
{
	(void)args;
	if (server->tls) {
		server_refuse(server, "503 5.5.1 TLS is on already", line);
	} else if (!server->options.starttls) {
		server_refuse(server, "502 5.5.1 TLS is not to be had here", line);
	} else {
		server_reset(server);
		server_ask(server, SMTP_SERVER_STARTTLS, SLICE_LIT(""));
	}
}

static const struct command commands[] = {
	{"EHLO", server_cmd_ehlo, CMD_OPEN | CMD_LAST},
	{"HELO", server_cmd_helo, CMD_OPEN | CMD_LAST},
	{"MAIL", server_cmd_mail, CMD_GREETED | CMD_OUTSIDE},
	{"RCPT", server_cmd_rcpt, CMD_GREETED | CMD_INSIDE},
	{"DATA", server_cmd_data, CMD_GREETED | CMD_INSIDE | CMD_LAST | CMD_BARE},
	{"RSET", cmd_rset, CMD_OPEN | CMD_BARE},
	{"NOOP", cmd_noop, CMD_OPEN},
	{"QUIT", cmd_quit, CMD_OPEN},
	{"HELP", cmd_help, CMD_OPEN},
	{"VRFY", cmd_vrfy, 0},
	{"AUTH", server_cmd_auth, CMD_OPEN | CMD_LAST},
	{"STARTTLS", cmd_starttls, CMD_OPEN | CMD_GREETED | CMD_LAST | CMD_BARE},
	{"BDAT", NULL, CMD_GREETED | CMD_INSIDE | CMD_CHUNK},
	{"EXPN", cmd_expn, 0},
	{"ETRN", cmd_etrn, CMD_GREETED | CMD_OUTSIDE},
	{"ATRN", NULL, CMD_DEAD},
	{"TURN", NULL, CMD_DEAD},
	{"SEND", NULL, CMD_DEAD},
	{"SOML", NULL, CMD_DEAD},
	{"SAML", NULL, CMD_DEAD},
	{"XCLIENT", NULL, CMD_DEAD}, /* who a client is, it does not tell itself */
	{"XFORWARD", NULL, CMD_DEAD},
	{"DEBUG", NULL, CMD_DEAD},
	{"WIZ", NULL, CMD_DEAD},
	{"VERB", NULL, CMD_DEAD},
	{"GET", NULL, CMD_ALIEN},
	{"POST", NULL, CMD_ALIEN},
	{"PUT", NULL, CMD_ALIEN},
	{"HEAD", NULL, CMD_ALIEN},
	{"OPTIONS", NULL, CMD_ALIEN},
	{"CONNECT", NULL, CMD_ALIEN},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static const struct command *find_command(struct slice verb)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (slice_is_nocase(verb, commands[i].verb))
			return &commands[i];
	return NULL;
}

/* Whether these bytes, whole or not, can be the start of a mail client's first line. */
static bool can_be_first_line(struct slice data)
{
	struct slice ends = SLICE_LIT(" \t\r\n");
	size_t end = 0;

	while (end < data.len && ascii_is_alpha(data.ptr[end]))
		end++;
	for (size_t i = 0; i < COMMANDS; i++) {
		struct slice verb = slice_str(commands[i].verb);

		if ((commands[i].flags & CMD_ALIEN) != 0 || end > verb.len)
			continue;
		if (!slice_equal_nocase(slice_head(data, end), slice_head(verb, end)))
			continue;
		if (end == data.len || (end == verb.len && slice_has_byte(ends, data.ptr[end])))
			return true;
	}
	return false;
}

/*
 * The first line shows whether a mail client is there at all: a browser, a TLS hello or noise is
 * sent away as soon as a byte tells, and one that ends lines with LF alone is told so, because
 * it would wait for ever.
 */
static bool first_line_is_wrong(struct smtp_server *server)
{
	struct slice data = slice_head(smtp_framer_rest(&server->framer), SMTP_LINE_MAX);
	size_t lf = slice_find(data, '\n');

	if (!can_be_first_line(data)) {
		server_hint(server,
			    "the client does not speak SMTP: it may be a browser, a scan, or "
			    "a program with the wrong port");
		server_refuse_and_end(server, "421 4.7.0 This is a mail server",
				      slice_head(data, lf), "not SMTP");
		return true;
	}
	if (lf < data.len && data.ptr[lf - 1] != '\r') {
		server_hint(server, "the client ends its lines with LF alone");
		server_refuse_and_end(server, "500 5.5.2 Lines end with CR LF",
				      slice_head(data, lf), "bare LF in the first line");
		return true;
	}
	return false;
}

static bool has_control(struct slice line)
{
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.ptr[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return true;
	}
	return false;
}

static bool is_offered(const struct smtp_server *server, const struct command *command)
{
	if ((command->flags & CMD_CHUNK) != 0)
		return server_has(server, SMTP_EXT_CHUNKING);
	return command->run != cmd_etrn || (server->options.extensions & SMTP_EXT_ETRN) != 0;
}

/* The reply to a command that is not allowed now; NULL: it is. */
static const char *order_error(const struct smtp_server *server, const struct command *command,
			       struct slice args)
{
	bool login_needed = server->options.auth == SMTP_AUTH_REQUIRED && !server_knows(server);

	if ((command->flags & CMD_DEAD) != 0 || !is_offered(server, command))
		return "502 5.5.1 Not implemented";
	if ((command->flags & CMD_OPEN) == 0 && login_needed)
		return "530 5.7.0 Authentication required";
	if ((command->flags & CMD_GREETED) != 0 && server->helo == NULL)
		return "503 5.5.1 Send EHLO first";
	if ((command->flags & CMD_BARE) != 0 && args.len != 0)
		return "501 5.5.4 This command takes no argument";
	if ((command->flags & CMD_INSIDE) != 0 && server->transaction == NULL)
		return "503 5.5.1 Send MAIL first";
	if ((command->flags & CMD_OUTSIDE) != 0 && server->transaction != NULL)
		return "503 5.5.1 A message is under way already";
	return NULL;
}

/* What the client did wrong, in words for the log. */
static const char *order_hint(const char *error)
{
	struct slice code = slice_head(slice_str(error), 3);

	if (slice_is(code, "530"))
		return "the client does not log in: its settings lack user name and password, or "
		       "\"the server requires authentication\"";
	if (slice_is(code, "503"))
		return "the client sends its commands in the wrong order";
	return "";
}

/* Counts commands before login; true: there were too many. */
static bool too_many_commands(struct smtp_server *server)
{
	if (server->options.auth != SMTP_AUTH_REQUIRED || server_knows(server))
		return false;
	if (++server->commands <= SMTP_COMMANDS_BEFORE_LOGIN_MAX)
		return false;
	server_refuse_and_end(server, "421 4.7.0 Too many commands before login", SLICE_LIT(""),
			      "too many commands before login");
	return true;
}

/* A BDAT that cannot be read: what follows may be its chunk, and must not be read as commands. */
static bool announces_chunk(struct slice line)
{
	return slice_starts_nocase(line, "BDAT") &&
	       (line.len == strlen("BDAT") || !ascii_is_alnum(line.ptr[strlen("BDAT")]));
}

static void refuse_odd_chunk(struct smtp_server *server)
{
	server_refuse_and_end(
		server, "501 5.5.4 Write BDAT size [LAST]", SLICE_LIT(""),
		"BDAT that cannot be read: where the next command is cannot be known");
}

static void dispatch(struct smtp_server *server, struct slice line)
{
	size_t verb_end = slice_find(line, ' ');
	const struct command *command = find_command(slice_head(line, verb_end));
	struct slice args = slice_trim(slice_skip(line, verb_end));
	bool chunk = command != NULL && (command->flags & CMD_CHUNK) != 0;
	const char *error;

	if (command != NULL && (command->flags & CMD_ALIEN) != 0) {
		server_hint(server, "the client speaks HTTP");
		server_refuse_and_end(server, "421 4.7.0 This is a mail server", line, "not SMTP");
		return;
	}
	if (command != NULL && command->run == cmd_quit) {
		cmd_quit(server, args, line);
		return;
	}
	/* What follows BDAT is its chunk, not somebody who speaks too early. */
	if (((!server->esmtp && !chunk) || (command != NULL && (command->flags & CMD_LAST) != 0)) &&
	    server_spoke_early(server))
		return;
	if (too_many_commands(server))
		return;
	if (command == NULL && announces_chunk(line)) {
		refuse_odd_chunk(server);
		return;
	}
	if (command == NULL) {
		/* It may be a password that lost its AUTH: not shown. */
		server_hint(server,
			    "the client sent something that is no command; it is not shown, "
			    "for it may be a password");
		server_refuse(server, "500 5.5.1 Command unknown", SLICE_LIT(""));
		return;
	}
	error = order_error(server, command, args);
	if (error != NULL)
		server_hint(server, order_hint(error));
	if (chunk)
		server_bdat(server, args, error, line);
	else if (error == NULL)
		command->run(server, args, line);
	else if (server->mail_refused && (command->flags & CMD_INSIDE) != 0)
		server_refuse_mildly(server, error, line);
	else
		server_refuse(server, error, line);
}

static struct slice without_trailing_blanks(struct slice line)
{
	while (line.len != 0 && (line.ptr[line.len - 1] == ' ' || line.ptr[line.len - 1] == '\t'))
		line.len--;
	return line;
}

void server_long_line(struct smtp_server *server, enum smtp_frame frame, const char *refusal)
{
	if (frame == SMTP_FRAME_ENDLESS || ++server->long_lines > 1)
		server_refuse_and_end(server, refusal, SLICE_LIT(""), "lines too long");
	else
		server_refuse(server, refusal, SLICE_LIT(""));
}

bool server_command(struct smtp_server *server)
{
	struct slice data = smtp_framer_rest(&server->framer), line;
	bool auth = slice_starts_nocase(data, "AUTH ");
	enum smtp_frame frame;
	bool chunk;

	if (data.len == 0)
		return false;
	if (server->first_line && !server->framer.discarding && first_line_is_wrong(server))
		return true;
	chunk = !server->framer.discarding && announces_chunk(data);
	frame = smtp_framer_line(&server->framer, auth ? SMTP_AUTH_LINE_MAX : SMTP_LINE_MAX, false,
				 &line);
	/* A BDAT that is too long for a line: its chunk would be what follows the line's end. */
	if (chunk && frame != SMTP_FRAME_LINE &&
	    (frame != SMTP_FRAME_MORE || server->framer.discarding)) {
		refuse_odd_chunk(server);
		return true;
	}
	if (frame == SMTP_FRAME_MORE)
		return false;
	server->first_line = false;
	server->secret_lent = auth;
	if (frame != SMTP_FRAME_LINE)
		server_long_line(server, frame, "500 5.5.2 Line too long");
	else if (chunk && has_control(line))
		refuse_odd_chunk(server);
	else if (has_control(line)) {
		server_hint(server, slice_has_byte(line, '\n')
					    ? "the client ends its lines with LF alone"
					    : "there is a control character in the line");
		server_refuse(server, "500 5.5.2 Control character in a command", SLICE_LIT(""));
	} else
		dispatch(server, without_trailing_blanks(line)); /* RFC 5321 4.1.1 */
	return true;
}
