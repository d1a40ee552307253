/* SPDX-License-Identifier: Apache-2.0 */
#include "os/program.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/os.h"

int program_run(const char *const argv[])
{
	char *copy[PROGRAM_ARGUMENTS_MAX + 1] = {NULL};
	int status = -1;
	pid_t pid;

	fflush(stdout);
	for (size_t i = 0; i < PROGRAM_ARGUMENTS_MAX && argv[i] != NULL; i++)
		copy[i] = mem_strdup(argv[i]);
	pid = fork();
	if (pid == 0) {
		if (copy[0] != NULL && dup2(STDERR_FILENO, STDOUT_FILENO) != -1)
			execv(copy[0], copy);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	for (size_t i = 0; copy[i] != NULL; i++)
		mem_free(copy[i]);
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

enum err program_spawn_quietly(const char *path, char *const argv[], int channel_fd, pid_t *pid_out,
			       int *log_out)
{
	int kept = dup(STDERR_FILENO);
	int log = memfd_create("postern-log", MFD_CLOEXEC);
	enum err err;
	int error;

	/* The child inherits standard error; ours is elsewhere for that moment. */
	if (kept != -1 && log != -1)
		(void)dup2(log, STDERR_FILENO);
	err = os_spawn(path, argv, channel_fd, pid_out);
	error = errno;
	if (kept != -1) {
		(void)dup2(kept, STDERR_FILENO);
		close(kept);
	}
	if (err == ERR_OK)
		*log_out = log;
	else if (log != -1)
		close(log);
	errno = error;
	return err;
}

void program_said(int log, struct buf *out)
{
	off_t end = log != -1 ? lseek(log, 0, SEEK_END) : 0;
	size_t len;
	char *ptr;

	if (end <= 0 || buf_reserve(out, (size_t)end, &ptr, &len) != ERR_OK)
		return;

	ssize_t got = pread(log, ptr, len, end - (off_t)len);

	if (got > 0)
		buf_commit(out, (size_t)got);
}
