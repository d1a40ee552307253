/* SPDX-License-Identifier: Apache-2.0 */
/* The log as a file: every line is one line that can be read, and none tells a secret (C17, N1). */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/utf8.h"
#include "fuzz.h"
#include "os/log.h"

#include "world.h"

enum { LOG_MAX = 1 << 20 };

static int fd = -1;
static char text[LOG_MAX];
static bool json;

void watchlog_begin(bool as_json)
{
	if (fd == -1) {
		fd = memfd_create("log", 0);
		HOLDS(fd != -1);
	}
	HOLDS(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	json = as_json;
	log_open("smtpd-0", LOG_OUTPUT_STREAM, fd, json);
	log_set_level(LOG_DEBUG);
	log_set_gathered(false);
}

static void check_line(struct slice line)
{
	uint32_t code = 0;

	HOLDS(line.len > 20 && line.len < 4096);
	HOLDS(json ? line.ptr[0] == '{' && line.ptr[line.len - 1] == '}'
		   : slice_starts_nocase(line, "2023-") || slice_starts_nocase(line, "20"));
	while (line.len != 0) {
		size_t len = utf8_next(line, &code);

		HOLDS(len != 0 && code >= 0x20 && code != 0x7f && !utf8_is_unsafe(code));
		line = slice_skip(line, len);
	}
}

void watchlog_check(void)
{
	ssize_t len;
	struct slice rest, line, all;

	log_flush();
	len = pread(fd, text, sizeof(text), 0);
	HOLDS(len >= 0);
	if (len == 0)
		return;
	all = rest = slice_of(text, (size_t)len);
	for (unsigned i = 0; i < the_world.secret_count; i++) {
		struct slice secret = slice_of(the_world.secrets[i].text, the_world.secrets[i].len);

		HOLDS(slice_search(all, secret) >= all.len);
	}
	if (all.len == sizeof(text))
		return;
	while (slice_split(&rest, '\n', &line))
		check_line(line);
	HOLDS(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
}
