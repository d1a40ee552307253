/* SPDX-License-Identifier: Apache-2.0 */
/* Starting programs, and giving up rights. */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/start.h"

enum { WHY = 256, CHANNEL_FD = 3 };

/* Where its descriptors belong. All others are close-on-exec by house rule; and even if not. */
static bool place_descriptors(const struct start *start)
{
	/* What comes is moved out of the way of 0 to 3 first. */
	int input = start->input != -1 ? fcntl(start->input, F_DUPFD_CLOEXEC, 10)
				       : open("/dev/null", O_RDONLY | O_CLOEXEC);
	int output = start->output != -1 ? fcntl(start->output, F_DUPFD_CLOEXEC, 10) : -1;
	int channel = start->channel != -1 ? fcntl(start->channel, F_DUPFD_CLOEXEC, 10) : -1;

	if (input == -1 || dup2(input, 0) == -1)
		return false;
	if (start->output != -1 && (output == -1 || dup2(output, 1) == -1 || dup2(output, 2) == -1))
		return false;
	if (start->channel != -1 && (channel == -1 || dup2(channel, CHANNEL_FD) == -1))
		return false;
	(void)close_range(start->channel != -1 ? CHANNEL_FD + 1 : CHANNEL_FD, ~0u,
			  CLOSE_RANGE_CLOEXEC);
	return true;
}

static bool change_user(const struct start *start)
{
	return !start->change_user ||
	       (setgroups(0, NULL) == 0 && setresgid(start->gid, start->gid, start->gid) == 0 &&
		setresuid(start->uid, start->uid, start->uid) == 0);
}

/* In the new process; tells why it failed through report. Only calls that are safe after fork. */
static void become(const struct start *start, int report)
{
	struct sigaction normal = {.sa_handler = SIG_DFL};
	sigset_t none;
	int error;

	for (int signum = 1; signum < NSIG; signum++)
		sigaction(signum, &normal, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	report = fcntl(report, F_DUPFD_CLOEXEC, 10);
	if (report == -1 || !place_descriptors(start))
		goto fail;
	if (start->apart && (setpgid(0, 0) != 0 || chdir("/") != 0))
		goto fail;
	if (!change_user(start))
		goto fail;
	if (start->environment != NULL) {
		execve(start->path, start->argv, start->environment);
	} else {
		unsetenv("NOTIFY_SOCKET"); /* only the program itself speaks with systemd */
		execv(start->path, start->argv);
	}
fail:
	error = errno;
	if (report != -1 && write(report, &error, sizeof(error)) != sizeof(error))
		_exit(126);
	_exit(127);
}

enum err start_program(const struct start *start, pid_t *pid_out)
{
	int report[2], error = 0;
	ssize_t len;
	pid_t pid;

	if (pipe2(report, O_CLOEXEC) != 0)
		return ERR_IO;
	pid = fork();
	if (pid == 0)
		become(start, report[1]);
	error = pid == -1 ? errno : 0;
	close(report[1]);
	do
		len = pid == -1 ? 0 : read(report[0], &error, sizeof(error));
	while (len == -1 && errno == EINTR);
	close(report[0]);
	if (pid != -1 && len == sizeof(error))
		while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
			;
	if (error != 0) {
		errno = error;
		return error == ENOENT ? ERR_NOT_FOUND : error == EACCES ? ERR_DENIED : ERR_IO;
	}
	*pid_out = pid;
	return ERR_OK;
}

enum err os_spawn(const char *path, char *const argv[], int channel_fd, pid_t *pid_out)
{
	const struct start start = {
		.path = path, .argv = argv, .input = -1, .output = -1, .channel = channel_fd};

	return start_program(&start, pid_out);
}

bool os_reap(pid_t pid, int *status_out, int *signal_out)
{
	int status;

	if (waitpid(pid, &status, WNOHANG) != pid)
		return false;
	*status_out = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	*signal_out = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	return true;
}

void os_kill(pid_t pid, int signum)
{
	if (pid > 0)
		kill(pid, signum);
}

void os_notify(const char *state)
{
	const char *path = secure_getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = path != NULL ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@') /* an abstract name begins with NUL */
		address.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return;
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

enum err os_user(const char *name, uid_t *uid_out, gid_t *gid_out)
{
	struct passwd *entry = getpwnam(name);

	if (entry == NULL)
		return ERR_NOT_FOUND;
	*uid_out = entry->pw_uid;
	*gid_out = entry->pw_gid;
	return ERR_OK;
}

enum err os_group(const char *name, gid_t *gid_out)
{
	struct group *entry = getgrnam(name);

	if (entry == NULL)
		return ERR_NOT_FOUND;
	*gid_out = entry->gr_gid;
	return ERR_OK;
}

enum err os_drop_privileges(uid_t uid, gid_t gid, const gid_t *more, const char *root_dir,
			    char *why)
{
	uid_t real, effective, saved;

	if (root_dir != NULL && (chroot(root_dir) != 0 || chdir("/") != 0)) {
		snprintf(why, WHY, "cannot make %.100s the root folder: %s", root_dir,
			 strerror(errno));
		return ERR_DENIED;
	}
	if (setgroups(more != NULL ? 1 : 0, more) != 0 || setresgid(gid, gid, gid) != 0 ||
	    setresuid(uid, uid, uid) != 0) {
		snprintf(why, WHY, "cannot become user %u, group %u: %s", (unsigned)uid,
			 (unsigned)gid, strerror(errno));
		return ERR_DENIED;
	}
	/* Believe it only when the way back is shut. */
	if (getresuid(&real, &effective, &saved) != 0 || real != uid || effective != uid ||
	    saved != uid || (uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))) {
		snprintf(why, WHY, "the kernel did not let go of root's rights");
		return ERR_DENIED;
	}
	return ERR_OK;
}

bool os_is_root(void)
{
	return geteuid() == 0;
}

void os_harden(void)
{
	const struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
#ifndef POSTERN_SANITIZED /* the leak checker reads its own process through ptrace */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	umask(077);
}

uint64_t os_raise_descriptors(uint64_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 0;
	if (limit.rlim_max < wanted && os_is_root()) {
		struct rlimit more = {wanted, wanted};

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			return wanted;
	}
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}
