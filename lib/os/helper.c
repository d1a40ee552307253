/* SPDX-License-Identifier: Apache-2.0 */
#include "os/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"
#include "os/start.h"

enum { CHUNK = 4096, MOMENT_MS = 10 };

/* In memory, read from its beginning: unlike a pipe it takes all at once. */
static int input_file(struct slice input)
{
	int fd = memfd_create("postern-input", MFD_CLOEXEC);

	while (fd != -1 && input.len != 0) {
		ssize_t len = write(fd, input.ptr, input.len);

		if (len == -1 && errno == EINTR)
			continue;
		if (len <= 0) {
			close(fd);
			return -1;
		}
		input = slice_skip(input, (size_t)len);
	}
	if (fd != -1)
		(void)lseek(fd, 0, SEEK_SET);
	return fd;
}

enum err helper_start(const struct helper *helper, pid_t *pid_out, int *said_out)
{
	char *argv[1 + HELPER_ARGUMENTS_MAX + 1] = {helper->path, NULL};
	struct start start = {
		.path = helper->path,
		.argv = argv,
		.environment = helper->environment,
		.input = -1,
		.channel = -1,
		.apart = true,
		.change_user = helper->change_user,
		.uid = helper->uid,
		.gid = helper->gid,
	};
	int said[2], input;
	enum err err;
	int error;

	for (size_t i = 0; helper->arguments != NULL && helper->arguments[i] != NULL; i++) {
		if (i == HELPER_ARGUMENTS_MAX) {
			errno = E2BIG;
			return ERR_IO;
		}
		argv[1 + i] = helper->arguments[i];
	}
	if (pipe2(said, O_CLOEXEC) != 0)
		return ERR_IO;
	(void)fcntl(said[0], F_SETFL, O_NONBLOCK);
	input = input_file(helper->input);
	*(helper->input_on_3 ? &start.channel : &start.input) = input;
	start.output = said[1];
	err = input != -1 ? start_program(&start, pid_out) : ERR_IO;
	error = errno;
	if (input != -1)
		close(input);
	close(said[1]);
	if (err == ERR_OK)
		*said_out = said[0];
	else
		close(said[0]);
	errno = error;
	return err;
}

enum err helper_read(int said, struct buf *out)
{
	char bytes[CHUNK];
	ssize_t len;

	/* A bounded number of times: one that never stops talking holds up nobody. */
	for (int i = 0; i < 64; i++) {
		size_t room;

		do
			len = read(said, bytes, sizeof(bytes));
		while (len == -1 && errno == EINTR);
		if (len <= 0)
			return len == 0 || errno != EAGAIN ? ERR_EOF : ERR_OK;
		room = out->max - buf_len(out);
		(void)buf_append(out, bytes, (size_t)len < room ? (size_t)len : room);
	}
	return ERR_OK;
}

void helper_kill(pid_t pid)
{
	if (pid > 0)
		kill(-pid, SIGKILL);
}

bool helper_ended(pid_t pid, int *status_out, int *signal_out)
{
	siginfo_t info = {.si_pid = 0};

	/* While it has not been reaped nobody else can have its number, which is its group's. */
	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != pid)
		return false;
	helper_kill(pid);
	return os_reap(pid, status_out, signal_out);
}

/* Until it says something, or closes what it says it through; not longer than a moment. */
static void wait_for(int said, bool open, int64_t until)
{
	struct pollfd wanted = {.fd = open ? said : -1, .events = POLLIN};
	int64_t left = until - os_monotonic_ms();

	/* One that has closed both, and goes on, is looked at again and again. */
	if (left > MOMENT_MS)
		left = MOMENT_MS;
	if (left > 0)
		(void)poll(&wanted, 1, (int)left);
}

enum err helper_run(const struct helper *helper, int64_t until, struct buf *said,
		    _Atomic pid_t *running, int *status_out, int *signal_out)
{
	bool open = true, ended = false, late = false;
	pid_t pid = 0;
	int fd = -1;
	enum err err = helper_start(helper, &pid, &fd);

	if (err != ERR_OK)
		return err;
	*running = pid;
	while (!ended) {
		open = open && helper_read(fd, said) == ERR_OK;
		ended = helper_ended(pid, status_out, signal_out);
		if (!ended && !late && os_monotonic_ms() >= until) {
			helper_kill(pid);
			late = true;
		}
		if (!ended)
			wait_for(fd, open, late ? os_monotonic_ms() + MOMENT_MS : until);
	}
	*running = 0;
	if (open)
		(void)helper_read(fd, said);
	close(fd);
	return late ? ERR_TIMEOUT : ERR_OK;
}
