/* SPDX-License-Identifier: Apache-2.0 */
/* Where a message ends and what becomes of its bytes (A1, A2, A3, A5, A10). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"

#include "peer.h"

#define PAYLOAD "MAIL FROM:<evil@x.example>\r\nRCPT TO:<a@b.example>\r\n"
#define END     "\r\n.\r\n"

static void start_body(struct peer *peer, bool logged_in, unsigned flags)
{
	if (logged_in)
		peer_open_logged_in(peer, flags);
	else
		peer_open(peer, flags);
	if (!logged_in)
		peer_send(peer, SLICE_LIT("EHLO client\r\n"));
	peer_send(peer, SLICE_LIT("MAIL FROM:<a@b.example>\r\n"));
	peer_send(peer, SLICE_LIT("RCPT TO:<c@d.example>\r\n"));
	peer_send(peer, SLICE_LIT("DATA\r\n"));
	assert_int_equal(smtp_server_phase(peer->server), SMTP_PHASE_BODY);
	buf_clear(&peer->log);
	buf_clear(&peer->said);
}

/* What a message must become, by the plainest reading of the rules. */
struct model {
	struct buf body; /* as stored */
	size_t used;     /* bytes up to and with the end; 0: there is no end */
	bool bare;       /* has a CR or LF alone */
	bool nul;
};

static bool line_start(const char *text, size_t at)
{
	return at == 0 || (at >= 2 && text[at - 2] == '\r' && text[at - 1] == '\n');
}

static void make_model(struct model *model, struct slice bytes)
{
	const char *text = bytes.ptr;

	*model = (struct model){.used = 0};
	buf_init(&model->body, 1 << 20);
	for (size_t i = 0; i < bytes.len; i++) {
		bool cr_follows = i + 2 < bytes.len && text[i + 1] == '\r' && text[i + 2] == '\n';

		if (line_start(text, i) && text[i] == '.') {
			if (cr_follows) {
				model->used = i + 3;
				return;
			}
			continue;
		}
		if (text[i] == '\r' && i + 1 < bytes.len && text[i + 1] == '\n') {
			buf_append_str(&model->body, "\r\n");
			i++;
		} else if (text[i] == '\r' || text[i] == '\n') {
			model->bare = true;
			buf_append_str(&model->body, "\r\n");
		} else {
			model->nul |= text[i] == '\0';
			buf_append_byte(&model->body, text[i]);
		}
	}
}

static size_t count(struct buf *buf, const char *needle)
{
	struct slice rest = buf_data(buf);
	size_t found = 0, at;

	while ((at = slice_search(rest, slice_str(needle))) < rest.len) {
		found++;
		rest = slice_skip(rest, at + 1);
	}
	return found;
}

/* Whether the payload is in text, at the start of a command line. */
static bool is_command(struct slice text)
{
	size_t at = slice_search(text, SLICE_LIT(PAYLOAD));

	return at < text.len && line_start(text.ptr, at);
}

/* Feeds bytes (which end in END) as the rest of a session in DATA and compares with the model. */
static void check(struct slice bytes, size_t cut, bool logged_in)
{
	struct model model;
	struct peer peer;
	bool refused;

	start_body(&peer, logged_in, 0);
	make_model(&model, bytes);
	assert_int_not_equal(model.used, 0);
	refused = model.nul || (model.bare && !logged_in);
	peer_send(&peer, slice_head(bytes, cut));
	peer_send(&peer, slice_skip(bytes, cut));
	assert_int_equal(peer.accepted, refused ? 0 : 1);
	assert_int_equal(peer.dropped, refused ? 1 : 0);
	assert_true(peer.closed || !refused);
	if (refused) {
		assert_true(slice_starts(buf_data(&peer.said), "521 5.5.2 "));
		assert_int_equal(count(&peer.said, "\n"), 1);
	} else {
		struct buf expected;

		assert_int_equal(peer.repaired, model.bare);
		buf_init(&expected, 1 << 20);
		buf_append_str(&expected, "message ");
		peer_escape(&expected, buf_data(&model.body));
		buf_append_byte(&expected, '\n');
		assert_true(slice_equal(buf_data(&expected),
					slice_head(buf_data(&peer.log), buf_len(&expected))));
		buf_release(&expected);
	}
	/* What follows is commands only behind the one true end. */
	assert_int_equal(count(&peer.log, "mail evil"),
			 !refused && is_command(slice_skip(bytes, model.used)));
	buf_release(&model.body);
	peer_close(&peer);
}

/* A1: every string over {CR, LF, dot, NUL, a} up to length 7, before a payload of commands. */
static void a1_end_of_data_exhaustive(void **state)
{
	static const char alphabet[] = {'\r', '\n', '.', '\0', 'a'};

	(void)state;
	for (size_t len = 0, number = 1; len <= 7; len++, number *= 5) {
		for (size_t n = 0; n < number; n++) {
			char text[1 + 7 + sizeof(PAYLOAD) + sizeof(END)] = "x";
			size_t rest = n, size = 1 + len + strlen(PAYLOAD END);

			for (size_t i = 0; i < len; i++, rest /= 5)
				text[1 + i] = alphabet[rest % 5];
			memcpy(text + 1 + len, PAYLOAD END, sizeof(PAYLOAD END));
			/* At the start of a line and in mid-line; cut in the midst of it. */
			check(slice_of(text, size), 1 + n % (len + 1), true);
			check(slice_of(text, size), 1 + n % (len + 1), false);
			check(slice_of(text + 1, size - 1), n % (len + 1), true);
			check(slice_of(text + 1, size - 1), n % (len + 1), false);
		}
	}
}

/* The sequences that were published in 2023 and 2024. */
static void a2_published_smuggling(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} ends[] = {
#define SEQUENCE(text) {text, sizeof(text) - 1}
		SEQUENCE("\n.\n"),         SEQUENCE("\n.\r\n"),     SEQUENCE("\r.\r"),
		SEQUENCE("\r.\r\n"),       SEQUENCE("\r\n.\n"),     SEQUENCE("\r\n.\r"),
		SEQUENCE("\n.\r"),         SEQUENCE("\r.\n"),       SEQUENCE("\r\n\0.\r\n"),
		SEQUENCE("\r\n.\0\r\n"),   SEQUENCE("\r\n.\r\0\n"), SEQUENCE("\r\0\n.\r\n"),
		SEQUENCE("\r\r\n.\r\r\n"), SEQUENCE("\r\n.\r\r\n"), SEQUENCE("\r\r\n.\r\n\n"),
		SEQUENCE("\n\n.\r\n"),     SEQUENCE("\n\r.\r\n"),
#undef SEQUENCE
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct buf text;

		buf_init(&text, 1000);
		buf_append_str(&text, "Subject: x\r\n\r\nbody");
		buf_append(&text, ends[i].bytes, ends[i].len);
		buf_append_str(&text, PAYLOAD "DATA\r\nsmuggled" END);
		for (size_t cut = 0; cut <= buf_len(&text); cut++) {
			check(buf_data(&text), cut, true);
			check(buf_data(&text), cut, false);
		}
		buf_release(&text);
	}
}

/* bare_newline = "refuse" refuses those who are logged in, too. */
static void a2_repair_turned_off(void **state)
{
	struct peer peer;

	(void)state;
	start_body(&peer, true, PEER_REFUSE_BARE);
	peer_send(&peer, SLICE_LIT("a\nb\r\n.\r\nNOOP\r\n"));
	assert_true(slice_starts(buf_data(&peer.said), "521 5.5.2 "));
	assert_true(peer.closed);
	assert_int_equal(peer.accepted, 0);
	peer_close(&peer);
}

/* A NUL at each place of a header. */
static void a3_nul_everywhere(void **state)
{
	char text[] = "Subject: hello\r\n\r\nbody\r\n.\r\n";

	(void)state;
	for (size_t i = 0; i < strlen("Subject: hello"); i++) {
		struct peer peer;
		char kept = text[i];

		start_body(&peer, true, 0);
		text[i] = '\0';
		peer_send(&peer, slice_of(text, sizeof(text) - 1));
		assert_true(slice_starts(buf_data(&peer.said), "521 5.5.2 "));
		assert_int_equal(peer.accepted, 0);
		text[i] = kept;
		peer_close(&peer);
	}
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* A5: what is stuffed by the sender comes out as it was. */
static void a5_dots_round_trip(void **state)
{
	static const char *const pieces[] = {"\r\n", ".", "..", "a", ".\r\n", "xyz", "\r\n.", ". "};
	uint32_t seed = 7;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct buf plain, wire, expected;
		struct peer peer;
		struct slice text;

		buf_init(&plain, 4096);
		buf_init(&wire, 8192);
		buf_init(&expected, 16384);
		for (uint32_t i = next_random(&seed) % 40; i > 0; i--)
			buf_append_str(&plain, pieces[next_random(&seed) % 8]);
		buf_append_str(&plain, "\r\n");
		text = buf_data(&plain);
		for (size_t i = 0; i < text.len; i++) {
			if (line_start(text.ptr, i) && text.ptr[i] == '.')
				buf_append_byte(&wire, '.');
			buf_append_byte(&wire, text.ptr[i]);
		}
		buf_append_str(&wire, ".\r\n");
		start_body(&peer, true, 0);
		while (buf_len(&wire) != 0) {
			size_t len = 1 + next_random(&seed) % 20;
			struct slice part = slice_head(buf_data(&wire), len);

			peer_send(&peer, part);
			buf_consume(&wire, part.len);
		}
		buf_append_str(&expected, "message ");
		peer_escape(&expected, text);
		buf_append_byte(&expected, '\n');
		assert_true(slice_equal(buf_data(&expected), buf_data(&peer.log)));
		buf_release(&plain);
		buf_release(&wire);
		buf_release(&expected);
		peer_close(&peer);
	}
}

/* A10: long lines pass unchanged up to the bound, and are refused past it. */
static void a10_long_lines(void **state)
{
	static const struct {
		size_t len;
		bool taken;
	} lines[] = {{997, true},   {998, true},   {999, true},    {4096, true},
		     {65535, true}, {65536, true}, {65537, false}, {10 << 20, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		for (size_t step = 100; step <= 65536; step *= 8) {
			char *line = mem_alloc(lines[i].len);
			struct peer peer;
			struct slice rest = slice_of(line, lines[i].len);

			memset(line, 'x', lines[i].len);
			start_body(&peer, true, 0);
			peer.mute = true;
			peer.options.message_size = 0;
			smtp_server_set_options(peer.server, &peer.options);
			for (; rest.len != 0; rest = slice_skip(rest, step))
				peer_send(&peer, slice_head(rest, step));
			peer_send(&peer, SLICE_LIT(END));
			assert_int_equal(peer.accepted, lines[i].taken);
			assert_true(slice_starts(buf_data(&peer.said),
						 lines[i].taken ? "250 " : "554 5.6.0 "));
			assert_false(peer.closed);
			peer_close(&peer);
			mem_free(line);
		}
	}
}

/* Too large: read to the end, refused, and the session goes on. */
static void too_large(void **state)
{
	for (size_t step = 1; step < 200; step += 13) {
		struct peer peer;

		(void)state;
		start_body(&peer, true, 0);
		peer.options.message_size = 100;
		smtp_server_set_options(peer.server, &peer.options);
		for (size_t sent = 0; sent < 100; sent += 2)
			peer_send(&peer, SLICE_LIT("\r\n"));
		assert_int_equal(peer.dropped, 0);
		for (size_t sent = 0; sent < 10000; sent += step)
			peer_send(&peer, SLICE_LIT("MAIL FROM:<x@y>\r\n"));
		assert_int_equal(peer.dropped, 1);
		assert_int_equal(buf_len(&peer.said), 0);
		peer_send(&peer, SLICE_LIT(".\r\nMAIL FROM:<a@b.example>\r\n"));
		assert_true(slice_starts(buf_data(&peer.said), "552 5.3.4 "));
		assert_int_equal(count(&peer.said, "\n"), 2);
		assert_int_equal(peer.accepted, 0);
		peer_close(&peer);
	}
}

/* At the bounds, too, the same is shown for any cut. */
static void drops_for_any_cut(void **state)
{
	enum { SIZE = 3 * 65536 };
	char *text = mem_alloc(SIZE);
	uint32_t seed = 3;

	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		/* Too long a line; the same behind others; too large; too long and then too large.
		 */
		uint64_t limit = kind == 2 ? 70000 : kind == 3 ? 100000 : 10 << 20;
		struct buf first;

		buf_init(&first, 1 << 20);
		memset(text, 'x', SIZE);
		for (size_t at = 0; kind > 0 && at < (kind == 2 ? SIZE : 1000); at += 50)
			memcpy(text + at, "\r\n", 2);
		memcpy(text + SIZE - strlen(END), END, strlen(END));
		for (int round = 0; round < 60; round++) {
			struct slice rest = slice_of(text, SIZE);
			struct peer peer;

			start_body(&peer, true, 0);
			peer.options.message_size = limit;
			smtp_server_set_options(peer.server, &peer.options);
			while (rest.len != 0) {
				size_t len = round == 0 ? SIZE : 1 + next_random(&seed) % 70000;

				peer_send(&peer, slice_head(rest, len));
				rest = slice_skip(rest, len);
			}
			assert_int_equal(peer.dropped, 1);
			if (round == 0)
				buf_append_slice(&first, buf_data(&peer.log));
			else
				assert_true(slice_equal(buf_data(&first), buf_data(&peer.log)));
			peer_close(&peer);
		}
		buf_release(&first);
	}
	mem_free(text);
}

/* Closed by the caller between the last part of a message and the word that it is too large. */
static void closed_when_too_large(void **state)
{
	struct smtp_server_event event;
	struct peer peer;

	(void)state;
	start_body(&peer, true, 0);
	peer.options.message_size = 10;
	smtp_server_set_options(peer.server, &peer.options);
	smtp_server_feed(peer.server, SLICE_LIT("0123456789abc\r\n"));
	assert_true(smtp_server_next(peer.server, &event));
	assert_int_equal(event.type, SMTP_SERVER_BODY);
	assert_true(slice_is(event.text, "0123456789"));
	smtp_server_close(peer.server, 421, "4.4.2", "Timeout; closing");
	assert_true(smtp_server_next(peer.server, &event));
	assert_int_equal(event.type, SMTP_SERVER_RESET);
	assert_true(smtp_server_next(peer.server, &event));
	assert_int_equal(event.type, SMTP_SERVER_CLOSE);
	assert_false(smtp_server_next(peer.server, &event));
	peer_close(&peer);
}

static void empty_messages(void **state)
{
	struct peer peer;

	(void)state;
	start_body(&peer, true, 0);
	peer_send(&peer, SLICE_LIT(".\r\n"));
	assert_int_equal(peer.accepted, 1);
	assert_true(slice_is(buf_data(&peer.log), "message \n"));
	peer_close(&peer);
	start_body(&peer, true, 0);
	peer_send(&peer, SLICE_LIT("\r\n.\r\n"));
	assert_true(slice_is(buf_data(&peer.log), "message \\r\\n\n"));
	peer_close(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a1_end_of_data_exhaustive),
		cmocka_unit_test(a2_published_smuggling),
		cmocka_unit_test(a2_repair_turned_off),
		cmocka_unit_test(a3_nul_everywhere),
		cmocka_unit_test(a5_dots_round_trip),
		cmocka_unit_test(a10_long_lines),
		cmocka_unit_test(too_large),
		cmocka_unit_test(drops_for_any_cut),
		cmocka_unit_test(closed_when_too_large),
		cmocka_unit_test(empty_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
