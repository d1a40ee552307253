/* SPDX-License-Identifier: Apache-2.0 */
/* Time, chance, the machine. */
#include "os/os.h"

#include <errno.h>
#include <malloc.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t os_wall_ms(void)
{
	return clock_us(CLOCK_REALTIME) / 1000;
}

int64_t os_monotonic_ms(void)
{
	return clock_us(CLOCK_MONOTONIC) / 1000;
}

int64_t os_monotonic_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

void os_random(void *data, size_t len)
{
	char *to = data;

	while (len != 0) {
		ssize_t got = getrandom(to, len, 0);

		if (got > 0) {
			to += got;
			len -= (size_t)got;
		} else if (got != -1 || errno != EINTR) {
			abort(); /* no secret is better than a guessable one */
		}
	}
}

uint64_t os_random_u64(void)
{
	uint64_t value;

	os_random(&value, sizeof(value));
	return value;
}

unsigned os_cpu_count(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		return (unsigned)CPU_COUNT(&set);
	return 1;
}

uint32_t os_load(void)
{
	struct sysinfo info;
	unsigned long hundredths;

	if (sysinfo(&info) != 0)
		return 0;
	hundredths = info.loads[0] / ((1ul << SI_LOAD_SHIFT) / 100);
	return hundredths < UINT32_MAX ? (uint32_t)hundredths : UINT32_MAX;
}

void os_libexec_path(const char *program, char path_out[OS_PATH_MAX])
{
	const char *given = secure_getenv("POSTERN_LIBEXEC");
	char self[OS_PATH_MAX];
	ssize_t len;

	if (given != NULL && given[0] == '/') {
		snprintf(path_out, OS_PATH_MAX, "%s/%s", given, program);
		return;
	}
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len > 0) {
		size_t folder = slice_find_last(slice_of(self, (size_t)len), '/');

		snprintf(path_out, OS_PATH_MAX, "%.*s/../libexec/postern/%s", (int)folder, self,
			 program);
		if (access(path_out, X_OK) == 0)
			return;
	}
	snprintf(path_out, OS_PATH_MAX, "%s/%s", POSTERN_LIBEXEC, program);
}

void os_trim_memory(void)
{
	(void)malloc_trim(0);
}
