/* SPDX-License-Identifier: Apache-2.0 */
#include "os/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"
#include "os/start.h"

enum { CHUNK = 4096 };

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
	char *argv[] = {helper->path, NULL};
	struct start start = {
		.path = helper->path,
		.argv = argv,
		.environment = helper->environment,
		.channel = -1,
		.apart = true,
		.change_user = helper->change_user,
		.uid = helper->uid,
		.gid = helper->gid,
	};
	int said[2];
	enum err err;
	int error;

	if (pipe2(said, O_CLOEXEC) != 0)
		return ERR_IO;
	(void)fcntl(said[0], F_SETFL, O_NONBLOCK);
	start.input = input_file(helper->input);
	start.output = said[1];
	err = start.input != -1 ? start_program(&start, pid_out) : ERR_IO;
	error = errno;
	if (start.input != -1)
		close(start.input);
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
