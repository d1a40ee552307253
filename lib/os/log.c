/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathering and writing log lines. The log is the process's, so it is static state. Invariants: no
 * write waits for the reader, each is a whole number of lines (a line alone if it is a datagram),
 * and what cannot be kept is counted and said later.
 */
#include "os/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/os.h"

enum {
	KEPT_MAX = 256 * 1024, /* lines that wait for a slow reader */
	FACILITY_MAIL = 2,
	NAME_MAX_BYTES = 32,
};

static struct {
	char process[NAME_MAX_BYTES];
	enum log_output output;
	enum log_level level;
	int fd;
	int own; /* fd if we opened it anew, else -1 */
	bool json;
	bool gathered;
	bool socket;     /* fd is one: MSG_DONTWAIT does it */
	bool poll_first; /* a pipe or terminal that others may block on: ask before each write */
	uint64_t dropped;
	struct buf lines; /* whole lines, newlines included */
} the_log = {
	.process = "postern", .level = LOG_INFO, .fd = 2, .own = -1, .lines = {.max = KEPT_MAX}};

/*
 * A pipe is opened anew, because O_NONBLOCK belongs to the open file, which is also the shell's
 * and every other process's on it.
 */
static int open_anew(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

void log_open(const char *process, enum log_output output, int fd, bool json)
{
	struct stat st;

	/* Even gmtime_r reads the time zone once; a sandbox may kill for that later. */
	tzset();
	log_flush();
	snprintf(the_log.process, sizeof(the_log.process), "%s", process);
	the_log.output = output;
	the_log.json = json;
	the_log.fd = fd;
	the_log.socket = the_log.poll_first = false;
	if (the_log.own != -1)
		close(the_log.own);
	the_log.own = -1;
	if (fstat(fd, &st) != 0)
		return;
	if (S_ISSOCK(st.st_mode)) {
		the_log.socket = true;
	} else if (S_ISFIFO(st.st_mode)) {
		int own = open_anew(fd);

		if (own != -1)
			the_log.fd = the_log.own = own;
		else
			the_log.poll_first = true;
	} else if (S_ISCHR(st.st_mode)) {
		the_log.poll_first = true;
	}
}

void log_set_json(bool json)
{
	the_log.json = json;
}

void log_set_level(enum log_level level)
{
	the_log.level = level;
}

void log_set_gathered(bool gathered)
{
	the_log.gathered = gathered;
	if (!gathered)
		log_flush();
}

bool log_pending(void)
{
	return buf_len(&the_log.lines) != 0;
}

int log_syslog_socket(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd != -1 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* The bytes of the first lines that together fit into max; one line at least. */
static size_t whole_lines(struct slice text, size_t max)
{
	size_t end = 0;

	for (;;) {
		size_t next = end + slice_find(slice_skip(text, end), '\n') + 1;

		if (next > text.len || (next > max && end != 0))
			return end;
		end = next;
		if (end >= max)
			return end;
	}
}

/* As send(2): bytes, or -1 and errno. */
static ssize_t write_some(struct slice text)
{
	if (the_log.output == LOG_OUTPUT_SYSLOG) /* without its newline */
		return send(the_log.fd, text.ptr, text.len - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0
			       ? -1
			       : (ssize_t)text.len;
	if (the_log.socket)
		return send(the_log.fd, text.ptr, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (the_log.poll_first) {
		struct pollfd ready = {.fd = the_log.fd, .events = POLLOUT};

		if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)) {
			errno = EAGAIN;
			return -1;
		}
	}
	return write(the_log.fd, text.ptr, text.len);
}

static void drop_all(void)
{
	struct slice text = buf_data(&the_log.lines);

	for (size_t i = 0; i < text.len; i++)
		the_log.dropped += text.ptr[i] == '\n';
	buf_clear(&the_log.lines);
}

static void flush_lines(void)
{
	size_t max = the_log.output == LOG_OUTPUT_SYSLOG ? 1 : PIPE_BUF;

	while (buf_len(&the_log.lines) != 0) {
		struct slice text = buf_data(&the_log.lines);
		ssize_t written = write_some(slice_head(text, whole_lines(text, max)));

		if (written > 0) {
			buf_consume(&the_log.lines, (size_t)written);
		} else if (written == -1 && errno == EINTR) {
			continue;
		} else {
			if (written == 0 || (errno != EAGAIN && errno != ENOBUFS))
				drop_all(); /* a full disk, a reader that is gone: mail goes on */
			return;
		}
	}
}

/* Appends one finished line to what waits. */
static void keep_line(enum log_level level, const char *event, const struct log_value *values)
{
	static const int severities[] = {3, 4, 6, 7};
	size_t before = buf_len(&the_log.lines);
	bool stamped = the_log.output == LOG_OUTPUT_STREAM;
	enum err err = ERR_OK;

	if (the_log.output == LOG_OUTPUT_JOURNAL)
		err = buf_printf(&the_log.lines, "<%d>", severities[level]);
	else if (the_log.output == LOG_OUTPUT_SYSLOG)
		err = buf_printf(&the_log.lines,
				 "<%d>postern[%d]: ", FACILITY_MAIL * 8 + severities[level],
				 (int)getpid());
	if (err == ERR_OK)
		err = log_format_line(stamped ? os_wall_ms() : -1, the_log.process, the_log.json,
				      level, event, values, &the_log.lines);
	if (err != ERR_OK) {
		buf_truncate(&the_log.lines, before);
		the_log.dropped++;
	}
}

void log_flush(void)
{
	int kept_errno = errno;

	flush_lines();
	if (the_log.dropped != 0 && !log_pending()) {
		uint64_t dropped = the_log.dropped;

		the_log.dropped = 0;
		keep_line(LOG_WARNING, "note",
			  (const struct log_value[]){
				  LOG_TEXT("text",
					   "log lines were dropped: the log did not take them"),
				  LOG_NUMBER("dropped", dropped),
				  {.key = NULL}});
		flush_lines();
		/* Not a line more than it was: the attempt failed as a whole. */
		if (the_log.dropped != 0)
			the_log.dropped = dropped;
	}
	errno = kept_errno;
}

void log_values(enum log_level level, const char *event, const struct log_value *values)
{
	if (level > the_log.level)
		return;
	keep_line(level, event, values);
	if (!the_log.gathered)
		log_flush();
}

void log_note(enum log_level level, const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_event(level, "note", LOG_TEXT("text", text));
}

void log_out_of_memory(void)
{
	static const char TEXT[] = "postern: out of memory, the process ends and is started anew\n";

	(void)!write(STDERR_FILENO, TEXT, sizeof(TEXT) - 1);
}
