/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EHLO and HELO, and what is offered (RFC 5321 4.1.1.1). The name that a client gives itself is
 * never judged: it is for the log and for Received.
 */
#include <time.h>

#include "base/mem.h"
#include "smtp/server_private.h"

bool server_knows(const struct smtp_server *server)
{
	return server->authenticated || server->options.admitted;
}

bool server_has(const struct smtp_server *server, unsigned extension)
{
	const unsigned members =
		SMTP_EXT_FUTURERELEASE | SMTP_EXT_DELIVERBY | SMTP_EXT_PRIORITY | SMTP_EXT_ETRN;

	if ((server->options.extensions & extension) == 0)
		return false;
	if (extension == SMTP_EXT_REQUIRETLS && !server->tls)
		return false;
	if (extension == SMTP_EXT_FUTURERELEASE &&
	    (server->options.hold_max == 0 || server->wall == 0))
		return false;
	return (extension & members) == 0 || server_knows(server) ||
	       server->options.auth == SMTP_AUTH_REQUIRED;
}

/* What stays of the name that a client gives itself: printable, at most a domain's length. */
static void set_helo(struct smtp_server *server, struct slice name)
{
	name = slice_head(name, SMTP_DOMAIN_MAX);
	mem_free(server->helo);
	server->helo = mem_strndup(name.ptr, name.len);
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_print(server->helo[i]))
			server->helo[i] = '?';
}

static bool hello(struct smtp_server *server, struct slice args, struct slice line, bool esmtp)
{
	if (args.len == 0) {
		server_refuse(server, "501 5.5.4 Give the name of your host", line);
		return false;
	}
	server_reset(server);
	set_helo(server, args);
	server->esmtp = esmtp;
	server->pending |= PENDING_HELO;
	return true;
}

/* RFC 4865 3: how long at most, and until when. */
static void offer_future_release(struct smtp_server *server)
{
	uint32_t most = server->options.hold_max;
	time_t until = (time_t)(server->wall / 1000 + most);
	struct tm tm;

	if (gmtime_r(&until, &tm) == NULL)
		return;
	buf_printf(&server->out, "250-FUTURERELEASE %u %04d-%02d-%02dT%02d:%02d:%02dZ\r\n", most,
		   tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void offer_extensions(struct smtp_server *server)
{
	static const struct {
		unsigned extension;
		const char *line;
	} plain[] = {
		{SMTP_EXT_UTF8, "250-SMTPUTF8\r\n"},
		{SMTP_EXT_CHUNKING, "250-CHUNKING\r\n"},
		{SMTP_EXT_DSN, "250-DSN\r\n"},
		{SMTP_EXT_DELIVERBY, "250-DELIVERBY\r\n"},
		{SMTP_EXT_PRIORITY, "250-MT-PRIORITY\r\n"},
		{SMTP_EXT_REQUIRETLS, "250-REQUIRETLS\r\n"},
		{SMTP_EXT_ETRN, "250-ETRN\r\n"},
	};

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (server_has(server, plain[i].extension))
			buf_append_str(&server->out, plain[i].line);
	if (server_has(server, SMTP_EXT_FUTURERELEASE))
		offer_future_release(server);
	if (server_has(server, SMTP_EXT_LIMITS))
		buf_printf(&server->out, "250-LIMITS RCPTMAX=%u\r\n", server->options.recipients);
}

void server_cmd_ehlo(struct smtp_server *server, struct slice args, struct slice line)
{
	uint64_t size = server->options.message_size;
	struct buf *out = &server->out;

	if (!hello(server, args, line, true))
		return;
	buf_printf(out, "250-%s\r\n250-PIPELINING\r\n", server->options.hostname);
	if (server->options.size_offered != 0)
		size = server->options.size_offered;
	buf_printf(out, "250-SIZE %llu\r\n", (unsigned long long)size);
	buf_append_str(out, "250-8BITMIME\r\n");
	offer_extensions(server);
	if (!server->tls && server->options.starttls)
		buf_append_str(out, "250-STARTTLS\r\n");
	if (server_offers_auth(server)) {
		buf_printf(out, "250-AUTH %s\r\n", server->options.mechanisms);
		/* As a draft of RFC 2554 had it, and clients of the time still look for. */
		if (server->options.auth_equals)
			buf_printf(out, "250-AUTH=%s\r\n", server->options.mechanisms);
	}
	buf_append_str(out, "250 ENHANCEDSTATUSCODES\r\n");
}

void server_cmd_helo(struct smtp_server *server, struct slice args, struct slice line)
{
	if (hello(server, args, line, false))
		buf_printf(&server->out, "250 %s\r\n", server->options.hostname);
}
