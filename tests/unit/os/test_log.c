/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a value holds, the log has one line that parses (threats.md N1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <fcntl.h>
#include <limits.h>
#include <regex.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "os/log.h"
#include "os/net.h"
#include "os/os.h"

static struct buf line;

static int setup(void **state)
{
	(void)state;
	buf_init(&line, 1000000);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_release(&line);
	return 0;
}

#define TIME "2026-11-22T23:26:27.004Z"
static const int64_t wall = 1795389987004;

static const char *format(bool json, enum log_level level, struct slice value)
{
	buf_clear(&line);
	assert_int_equal(log_format_line(wall, "smtpd-0", json, level, "accepted",
					 (const struct log_value[]){LOG_SLICE("helo", value),
								    LOG_NUMBER("size", -5),
								    LOG_BOOL("tls", true),
								    LOG_TEXT_IF("empty", ""),
								    {.key = NULL}},
					 &line),
			 ERR_OK);
	assert_int_equal(buf_append_byte(&line, 0), ERR_OK);
	return buf_data(&line).ptr;
}

static void key_value(void **state)
{
	(void)state;
	assert_string_equal(format(false, LOG_INFO, SLICE_LIT("mail.example.org")),
			    TIME " smtpd-0 event=accepted helo=mail.example.org size=-5 tls=yes\n");
	assert_string_equal(format(false, LOG_WARNING, SLICE_LIT("")), TIME
			    " smtpd-0 event=accepted level=warning helo=\"\" size=-5 tls=yes\n");
	assert_string_equal(format(false, LOG_INFO, SLICE_LIT("a b=\"c\\")), TIME
			    " smtpd-0 event=accepted helo=\"a b=\\\"c\\\\\" size=-5 tls=yes\n");
	assert_string_equal(
		format(false, LOG_INFO, SLICE_LIT("\r\n\x1b[2J\x80\xe2\x80\xaeü\0")),
		TIME " smtpd-0 event=accepted helo=\"\\x0D\\x0A\\x1B[2J\\x80\\u{202E}ü\\x00\" "
		     "size=-5 tls=yes\n");
}

static void json(void **state)
{
	(void)state;
	assert_string_equal(format(true, LOG_INFO, SLICE_LIT("a \"b\\")),
			    "{\"time\":\"" TIME
			    "\",\"process\":\"smtpd-0\",\"level\":\"info\",\"event\":\"accepted\","
			    "\"helo\":\"a \\\"b\\\\\",\"size\":-5,\"tls\":true}\n");
	assert_non_null(strstr(format(true, LOG_INFO, SLICE_LIT("\r\n\x1b\x80\xe2\x80\xae\0")),
			       "\"helo\":\"\\u000D\\u000A\\u001B\\\\x80\\\\u{202E}\\u0000\""));
}

/* One line, printable, within one pipe write, and of the form that readers rely on. */
static void check_line(const regex_t *form, const char *text)
{
	size_t len = strlen(text);
	uint32_t code;

	assert_in_range(len, 1, PIPE_BUF);
	assert_ptr_equal(strchr(text, '\n'), text + len - 1);
	for (struct slice rest = slice_of(text, len - 1); rest.len != 0;) {
		size_t step = utf8_next(rest, &code);

		assert_true(step != 0 && code >= 0x20 && !utf8_is_unsafe(code));
		rest = slice_skip(rest, step);
	}
	if (regexec(form, text, 0, NULL, 0) != 0)
		fail_msg("%s", text);
}

static void hostile_values(void **state)
{
	static const char *const hostile[] = {
		"\r\n",
		"\n2026-11-22T23:26:27.004Z smtpd-0 event=login user=admin",
		"\x1b[2J\x07",
		"\xe2\x80\xae\xe2\x81\xa6",
		"%s%n%p",
		"\xff\xfe\xc0\x80\xed\xa0\x80",
		"\"",
		"\\",
		"\\\"",
		" event=login ",
		"=",
		"a=b",
		"\"}{\"event\":\"login",
		"\x7f\x9b\xc2\x9b",
		"\xf4\x90\x80\x80",
		"\xf0\x9f\x98\x80",
		"'`$(id)",
		"\t",
		"\xe2\x80\x8b",
		"\xc3",
	};
	regex_t plain, object;
	char *large = mem_alloc(65536 + 1);

	(void)state;
	assert_int_equal(regcomp(&plain,
				 "^[0-9T:.-]+Z [a-z0-9-]+ event=[a-z-]+( [a-z_]+=([^] \"=\\]|[]])*|"
				 " [a-z_]+=\"([^\"\\]|\\\\[\"\\xu])*\")*\n$",
				 REG_EXTENDED | REG_NOSUB),
			 0);
	assert_int_equal(
		regcomp(&object,
			"^\\{\"[a-z_]+\":(\"([^\"\\]|\\\\[\"\\]|\\\\u[0-9A-F]{4})*\"|-?[0-9]+|"
			"true|false)(,\"[a-z_]+\":(\"([^\"\\]|\\\\[\"\\]|\\\\u[0-9A-F]{4})*\"|"
			"-?[0-9]+|true|false))*\\}\n$",
			REG_EXTENDED | REG_NOSUB),
		0);
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		struct slice value = slice_str(hostile[i]);

		check_line(&plain, format(false, LOG_INFO, value));
		check_line(&object, format(true, LOG_INFO, value));
		/* 64 KiB of it */
		for (size_t at = 0; at < 65536; at++)
			large[at] = value.ptr[at % value.len];
		check_line(&plain, format(false, LOG_INFO, slice_of(large, 65536)));
		assert_in_range(buf_len(&line), 1, 700);
		check_line(&object, format(true, LOG_INFO, slice_of(large, 65536)));
		assert_in_range(buf_len(&line), 1, 800);
	}
	/* every byte */
	for (unsigned byte = 0; byte < 256; byte++) {
		char value[3] = {'a', (char)byte, 'b'};

		check_line(&plain, format(false, LOG_INFO, slice_of(value, 3)));
		check_line(&object, format(true, LOG_INFO, slice_of(value, 3)));
	}
	regfree(&plain);
	regfree(&object);
	mem_free(large);
}

static void too_many_values(void **state)
{
	struct log_value values[21] = {0};
	char text[600];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < 20; i++)
		values[i] = LOG_SLICE("key", slice_of(text, sizeof(text)));
	for (int with_json = 0; with_json < 2; with_json++) {
		const char *mark = with_json ? ",\"left_out\":true}\n" : " left_out=yes\n";
		struct slice all;

		buf_clear(&line);
		assert_int_equal(
			log_format_line(wall, "queue", with_json, LOG_INFO, "note", values, &line),
			ERR_OK);
		all = buf_data(&line);
		assert_in_range(all.len, 3000, PIPE_BUF);
		assert_true(slice_is(slice_skip(all, all.len - strlen(mark)), mark));
		assert_true(slice_search(all, SLICE_LIT("x...\"")) < all.len);
	}
}

static size_t read_all(int fd, char *text, size_t size)
{
	size_t total = 0;
	ssize_t len;

	while (total < size && (len = read(fd, text + total, size - total)) > 0)
		total += (size_t)len;
	return total;
}

static void gathered_until_flush(void **state)
{
	char text[4096];
	int fds[2];
	size_t len;

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	log_open("test", LOG_OUTPUT_STREAM, fds[1], false);
	log_set_gathered(true);
	log_event(LOG_INFO, "login", LOG_TEXT("user", "ann"));
	log_event(LOG_DEBUG, "hidden", LOG_TEXT("user", "ann"));
	log_note(LOG_WARNING, "the %s is %d", "answer", 42);
	assert_int_equal(read_all(fds[0], text, sizeof(text)), 0);
	assert_true(log_pending());
	log_flush();
	assert_false(log_pending());
	len = read_all(fds[0], text, sizeof(text) - 1);
	text[len] = 0;
	assert_non_null(strstr(text, "Z test event=login user=ann\n"));
	assert_non_null(
		strstr(text, "Z test event=note level=warning text=\"the answer is 42\"\n"));
	assert_null(strstr(text, "hidden"));
	log_set_gathered(false);
	log_event(LOG_INFO, "now", LOG_NUMBER("n", 1));
	assert_true(read_all(fds[0], text, sizeof(text)) > 0);
	log_open("test", LOG_OUTPUT_JOURNAL, fds[1], false);
	log_event(LOG_ERROR, "died", LOG_NUMBER("n", 1));
	len = read_all(fds[0], text, sizeof(text) - 1);
	text[len] = 0;
	assert_string_equal(text, "<3>test event=died level=error n=1\n");
	log_open("test", LOG_OUTPUT_STREAM, 2, false);
	close(fds[0]);
	close(fds[1]);
}

/* A reader that reads nothing: we go on at once, and say later what was lost. */
static void blocked_reader(void **state)
{
	static char text[2000000];
	int64_t before = os_monotonic_ms();
	char word[400];
	unsigned lines = 0, dropped = 0;
	size_t len;
	int fds[2];

	(void)state;
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = 0;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	log_open("test", LOG_OUTPUT_STREAM, fds[1], false);
	log_set_gathered(false);
	for (unsigned i = 0; i < 3000; i++)
		log_event(LOG_INFO, "fill", LOG_NUMBER("i", i), LOG_TEXT("word", word));
	assert_in_range(os_monotonic_ms() - before, 0, 5000);
	assert_true(log_pending());
	/* The shell's end of the pipe still blocks. */
	assert_false(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	len = 0;
	for (int i = 0; i < 100; i++) {
		len += read_all(fds[0], text + len, sizeof(text) - 1 - len);
		log_flush();
	}
	text[len] = 0;
	for (const char *at = text; (at = strstr(at, "event=fill")) != NULL; at++)
		lines++;
	assert_non_null(strstr(text, "event=note level=warning"));
	assert_int_equal(sscanf(strstr(text, " dropped="), " dropped=%u", &dropped), 1);
	assert_int_equal(lines + dropped, 3000);
	assert_true(dropped > 1000 && lines > 300);
	log_open("test", LOG_OUTPUT_STREAM, 2, false);
	close(fds[0]);
	close(fds[1]);
}

static void datagrams(void **state)
{
	char text[4096], wanted[128];
	int fds[2];
	ssize_t len;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	log_open("relay", LOG_OUTPUT_SYSLOG, fds[1], false);
	log_set_gathered(true);
	log_event(LOG_INFO, "delivered", LOG_NUMBER("n", 1));
	log_event(LOG_ERROR, "failed", LOG_NUMBER("n", 2));
	log_flush();
	len = read(fds[0], text, sizeof(text) - 1);
	assert_true(len > 0);
	text[len] = 0;
	snprintf(wanted, sizeof(wanted), "<22>postern[%d]: relay event=delivered n=1",
		 (int)getpid());
	assert_string_equal(text, wanted);
	len = read(fds[0], text, sizeof(text) - 1);
	assert_true(len > 0);
	text[len] = 0;
	assert_non_null(strstr(text, "<19>"));
	/* Nobody there: mail goes on. */
	close(fds[0]);
	log_event(LOG_INFO, "delivered", LOG_NUMBER("n", 3));
	log_flush();
	assert_false(log_pending());
	log_set_gathered(false);
	close(fds[1]);
	log_open("test", LOG_OUTPUT_STREAM, 2, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
		T(key_value),
		T(json),
		T(hostile_values),
		T(too_many_values),
		T(gathered_until_flush),
		T(blocked_reader),
		T(datagrams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
