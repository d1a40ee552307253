/* SPDX-License-Identifier: Apache-2.0 */
/* Each trial runs in a child, whose end shows what the kernel did. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/sandbox.h"

#ifdef POSTERN_SANITIZED
static const bool killing = false; /* no seccomp there */
#else
static const bool killing = true;
#endif

static char folder[] = "/tmp/postern-sandbox-XXXXXX";
static const char *const folders[] = {folder, NULL};

enum { DONE = 0, REFUSED = 20, ODD = 21, NOT_ENTERED = 22 };

/* What fn's return says: DONE, REFUSED (EACCES), or dead by SIGSYS: -SIGSYS. */
static int trial(const struct sandbox *sandbox, int (*fn)(void))
{
	char why[SANDBOX_WHY_MAX];
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (sandbox_enter(sandbox, why) != ERR_OK || why[0])
			_exit(NOT_ENTERED);
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int result_of(int fd)
{
	return fd >= 0 ? DONE : errno == EACCES ? REFUSED : ODD;
}

static int open_etc(void)
{
	return result_of(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int make_socket(void)
{
	return result_of(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int run_program(void)
{
	char *const argv[] = {NULL};

	execve("/bin/true", argv, argv);
	return errno == EACCES ? REFUSED : ODD;
}

static int make_code(void)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	return at == MAP_FAILED ? ODD : DONE;
}

static int fork_again(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid > 0 ? DONE : ODD;
}

static int live(void)
{
	void *memory = malloc(3000000);
	int fds[2] = {0, 1};

	if (!memory)
		return ODD;
	memset(memory, 1, 3000000);
	free(memory);
	fcntl(fds[0], F_GETFL);
	return getpid() > 0 ? DONE : ODD;
}

static int write_own(void)
{
	char path[128], other[128];
	int fd;

	snprintf(path, sizeof(path), "%s/tmp", folder);
	snprintf(other, sizeof(other), "%s/new", folder);
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) != 0 || rename(path, other) != 0 ||
	    unlink(other) != 0)
		return ODD;
	return DONE;
}

static int bind_tcp(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return ODD;
	return bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0 ? DONE
	       : errno == EACCES                                   ? REFUSED
								   : ODD;
}

static void without_powers(void **state)
{
	const struct sandbox none = {.powers = 0};

	(void)state;
	assert_int_equal(trial(&none, live), DONE);
	assert_int_equal(trial(&none, open_etc), killing ? -SIGSYS : REFUSED);
	assert_int_equal(trial(&none, run_program), killing ? -SIGSYS : REFUSED);
	if (!killing)
		return;
	assert_int_equal(trial(&none, make_socket), -SIGSYS);
	assert_int_equal(trial(&none, make_code), -SIGSYS);
	assert_int_equal(trial(&none, fork_again), -SIGSYS);
}

static void powers_are_apart(void **state)
{
	const struct sandbox connects = {.powers = SANDBOX_CONNECT};
	const struct sandbox files = {.powers = SANDBOX_FILES, .folders = folders};

	(void)state;
	assert_int_equal(trial(&connects, make_socket), DONE);
	assert_int_equal(trial(&connects, bind_tcp), REFUSED);
	assert_int_equal(trial(&connects, open_etc), killing ? -SIGSYS : REFUSED);
	assert_int_equal(trial(&connects, run_program), killing ? -SIGSYS : REFUSED);
	assert_int_equal(trial(&files, write_own), DONE);
	assert_int_equal(trial(&files, open_etc), REFUSED);
	assert_int_equal(trial(&files, make_socket), killing ? -SIGSYS : DONE);
	assert_int_equal(trial(&files, run_program), killing ? -SIGSYS : REFUSED);
}

static int write_read_only(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/x", folder);
	return result_of(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static void read_folders_are_not_written(void **state)
{
	const struct sandbox files = {.powers = SANDBOX_FILES, .read_folders = folders};

	(void)state;
	assert_int_equal(trial(&files, write_read_only), REFUSED);
}

static void missing_folder_is_told(void **state)
{
	const char *const missing[] = {"/nonexistent/folder", NULL};
	const struct sandbox files = {.powers = SANDBOX_FILES, .folders = missing};
	char why[SANDBOX_WHY_MAX] = "";

	(void)state;
	assert_int_equal(sandbox_enter(&files, why), ERR_NOT_FOUND);
	assert_non_null(strstr(why, "/nonexistent/folder"));
}

/* ---- threads that were there before ---- */

static pthread_barrier_t gate;
static int (*thread_job)(void);
static int thread_result;

static void *thread_main(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&gate); /* started */
	pthread_barrier_wait(&gate); /* the sandbox is closed */
	sandbox_enter_thread();
	sandbox_enter_thread();
	thread_result = thread_job();
	pthread_barrier_wait(&gate);
	return NULL;
}

static int thread_trial(const struct sandbox *sandbox, int (*fn)(void))
{
	char why[SANDBOX_WHY_MAX];
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		pthread_t thread;

		thread_job = fn;
		pthread_barrier_init(&gate, NULL, 2);
		if (pthread_create(&thread, NULL, thread_main, NULL) != 0)
			_exit(ODD);
		pthread_barrier_wait(&gate);
		if (sandbox_enter(sandbox, why) != ERR_OK || why[0])
			_exit(NOT_ENTERED);
		pthread_barrier_wait(&gate);
		pthread_barrier_wait(&gate);
		_exit(thread_result);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void threads_are_inside_too(void **state)
{
	const struct sandbox files = {.powers = SANDBOX_FILES, .folders = folders};

	(void)state;
	assert_int_equal(thread_trial(&files, write_own), DONE);
	assert_int_equal(thread_trial(&files, open_etc), REFUSED);
	if (killing)
		assert_int_equal(thread_trial(&files, make_socket), -SIGSYS);
}

static void *fileless_main(void *arg)
{
	(void)arg;
	thread_result = sandbox_thread_without_files() ? open_etc() : ODD;
	return NULL;
}

static void a_thread_can_give_files_up(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, fileless_main, NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(thread_result, REFUSED);
	assert_int_equal(open_etc(), DONE);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_powers),
		cmocka_unit_test(powers_are_apart),
		cmocka_unit_test(read_folders_are_not_written),
		cmocka_unit_test(missing_folder_is_told),
		cmocka_unit_test(threads_are_inside_too),
		cmocka_unit_test(a_thread_can_give_files_up),
	};

	return cmocka_run_group_tests_name("os-sandbox", tests, make_folder, drop_folder);
}
