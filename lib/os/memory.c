/* SPDX-License-Identifier: Apache-2.0 */
#include "os/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
	TEXT_MAX = 8192, /* of one file; memory.stat has about 2 KiB */
	FILE_PATH_MAX = 4096,
};

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static struct slice read_text(int fd, char text[TEXT_MAX])
{
	ssize_t len;

	do
		len = fd >= 0 ? pread(fd, text, TEXT_MAX, 0) : 0;
	while (len < 0 && errno == EINTR);
	return slice_of(text, len > 0 ? (size_t)len : 0);
}

enum err os_memory_line(struct slice text, const char *name, uint64_t *value_out)
{
	struct slice line;

	while (slice_split(&text, '\n', &line)) {
		size_t len = slice_str(name).len;

		if (!slice_starts(line, name) || line.len == len || ascii_is_alnum(line.ptr[len]))
			continue;
		line = slice_trim(slice_skip(line, len));
		return slice_number(slice_head(line, slice_find(line, ' ')), INT64_MAX, value_out);
	}
	return ERR_NOT_FOUND;
}

/* Our group below the root of version 2 ("0::/path"), or of version 1's controller "memory". */
static bool find_group(struct slice text, char path_out[FILE_PATH_MAX], bool *old_out)
{
	struct slice line, rest;
	bool found = false;

	while (slice_split(&text, '\n', &line)) {
		struct slice controllers;

		rest = slice_skip(line, slice_find(line, ':') + 1);
		if (!slice_split(&rest, ':', &controllers) || rest.len > 2048)
			continue;
		if (slice_is(controllers, "memory")) {
			snprintf(path_out, FILE_PATH_MAX, "/sys/fs/cgroup/memory%.*s",
				 SLICE_ARG(rest));
			*old_out = true;
			return true;
		}
		if (controllers.len == 0) {
			snprintf(path_out, FILE_PATH_MAX, "/sys/fs/cgroup%.*s", SLICE_ARG(rest));
			*old_out = false;
			found = true;
		}
	}
	return found;
}

static int open_in(const char *group, const char *name)
{
	char path[FILE_PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", group, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

void os_memory_open(struct os_memory *memory_out)
{
	struct os_memory memory = {.limit = -1, .usage = -1, .details = -1};
	char text[TEXT_MAX], group[FILE_PATH_MAX];
	int own = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	bool old;

	memory.meminfo = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	if (find_group(read_text(own, text), group, &old)) {
		memory.limit = open_in(group, old ? "memory.limit_in_bytes" : "memory.max");
		memory.usage = open_in(group, old ? "memory.usage_in_bytes" : "memory.current");
		memory.details = open_in(group, "memory.stat");
	}
	shut(&own);
	*memory_out = memory;
}

void os_memory_close(struct os_memory *memory)
{
	shut(&memory->meminfo);
	shut(&memory->limit);
	shut(&memory->usage);
	shut(&memory->details);
}

static enum err read_number(int fd, uint64_t *value_out)
{
	char text[TEXT_MAX];
	struct slice line = read_text(fd, text);

	line = slice_head(line, slice_find(line, '\n'));
	return slice_number(line, INT64_MAX, value_out); /* "max" is none */
}

/* What the group's limit leaves; files that are only kept in memory can be given up. */
static enum err group_available(const struct os_memory *memory, uint64_t *bytes_out)
{
	char text[TEXT_MAX];
	uint64_t limit, usage, kept = 0, more = 0;
	struct slice details;

	if (read_number(memory->limit, &limit) != ERR_OK ||
	    read_number(memory->usage, &usage) != ERR_OK)
		return ERR_NOT_FOUND;
	details = read_text(memory->details, text);
	(void)os_memory_line(details, "inactive_file", &kept);
	(void)os_memory_line(details, "active_file", &more);
	kept += more;
	usage = usage > kept ? usage - kept : 0;
	*bytes_out = limit > usage ? limit - usage : 0;
	return ERR_OK;
}

enum err os_memory_available(const struct os_memory *memory, uint64_t *bytes_out)
{
	char text[TEXT_MAX];
	uint64_t kib, group;
	enum err machine = os_memory_line(read_text(memory->meminfo, text), "MemAvailable:", &kib);
	enum err own = group_available(memory, &group);

	if (machine != ERR_OK && own != ERR_OK)
		return ERR_NOT_FOUND;
	if (machine == ERR_OK)
		*bytes_out = kib * 1024;
	if (own == ERR_OK && (machine != ERR_OK || group < *bytes_out))
		*bytes_out = group;
	return ERR_OK;
}
