/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "os/memory.h"
#include "os/net.h"
#include "os/os.h"

static char folder[] = "/tmp/postern-file-XXXXXX";

static const char *in_folder(const char *name)
{
	static char path[4][128];
	static unsigned turn;
	char *text = path[turn++ % 4];

	snprintf(text, 128, "%s/%s", folder, name);
	return text;
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(folder) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static void write_and_read(void **state)
{
	const char *path = in_folder("file");
	struct buf out;
	struct stat st;

	(void)state;
	buf_init(&out, 100);
	assert_int_equal(os_read_file(path, 10, &out), ERR_NOT_FOUND);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(os_write_file(path, SLICE_LIT("0123456789"), 0640), ERR_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(buf_append_str(&out, "before:"), ERR_OK);
	assert_int_equal(os_read_file(path, 9, &out), ERR_RANGE);
	assert_true(slice_is(buf_data(&out), "before:"));
	assert_int_equal(os_read_file(path, 10, &out), ERR_OK);
	assert_true(slice_is(buf_data(&out), "before:0123456789"));
	assert_int_equal(os_write_file(path, SLICE_LIT("new"), 0600), ERR_OK);
	buf_clear(&out);
	assert_int_equal(os_read_file(path, 10, &out), ERR_OK);
	assert_true(slice_is(buf_data(&out), "new"));
	/* What is no file is not read: a fifo would hold us. */
	assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
	assert_int_equal(os_read_file(in_folder("fifo"), 10, &out), ERR_SYNTAX);
	assert_int_equal(os_read_file(folder, 10, &out), ERR_SYNTAX);
	assert_int_equal(os_write_file(in_folder("no/file"), SLICE_LIT("x"), 0600), ERR_NOT_FOUND);
	buf_release(&out);
}

static void folders(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(os_make_folder(in_folder("a/b/c"), 0700), ERR_OK);
	assert_int_equal(stat(in_folder("a/b/c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(in_folder("a/b"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	/* One that is there keeps its mode. */
	assert_int_equal(os_make_folder(in_folder("a/b"), 0700), ERR_OK);
	assert_int_equal(stat(in_folder("a/b"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(os_write_file(in_folder("plain"), SLICE_LIT(""), 0600), ERR_OK);
	assert_int_equal(os_make_folder(in_folder("plain"), 0700), ERR_EXISTS);
	assert_int_equal(os_make_folder(in_folder("plain/x"), 0700), ERR_NOT_FOUND);
}

static void locks(void **state)
{
	struct buf out;
	char wanted[32];
	int first, second;

	(void)state;
	assert_int_equal(os_lock_file(in_folder("lock"), &first), ERR_OK);
	assert_int_equal(os_lock_set_owner(first), ERR_OK);
	assert_int_equal(os_lock_file(in_folder("lock"), &second), ERR_BUSY);
	buf_init(&out, 32);
	assert_int_equal(os_read_file(in_folder("lock"), 32, &out), ERR_OK);
	snprintf(wanted, sizeof(wanted), "%d\n", (int)getpid());
	assert_true(slice_is(buf_data(&out), wanted));
	buf_release(&out);
	close(first);
	assert_int_equal(os_lock_file(in_folder("lock"), &second), ERR_OK);
	close(second);
}

static void explanations(void **state)
{
	char why[1000];

	(void)state;
	os_explain_file(in_folder("none/key.pem"), ENOENT, why, sizeof(why));
	assert_non_null(strstr(why, "the folder"));
	assert_non_null(strstr(why, in_folder("none does not exist")));
	os_explain_file(in_folder("key.pem"), ENOENT, why, sizeof(why));
	assert_non_null(strstr(why, "key.pem: No such file or directory; make it"));
	assert_int_equal(os_write_file(in_folder("key.pem"), SLICE_LIT("x"), 0400), ERR_OK);
	os_explain_file(in_folder("key.pem"), EACCES, why, sizeof(why));
	assert_non_null(strstr(why, "mode 0400"));
	assert_non_null(strstr(why, "we run as "));
	assert_non_null(strstr(why, "mend it with: chmod u+rw"));
	if (os_is_root()) {
		assert_int_equal(chown(in_folder("key.pem"), 12345, 12345), 0);
		os_explain_file(in_folder("key.pem"), EACCES, why, sizeof(why));
		assert_non_null(strstr(why, "belongs to 12345:12345"));
		/* In a folder of ours, it should be ours. */
		assert_non_null(strstr(why, "chown root "));
		assert_non_null(strstr(why, "chmod 0600 "));
		/* In another's: root may read it, so writing is what failed. */
		assert_int_equal(chown(folder, 12345, 12345), 0);
		os_explain_file(in_folder("key.pem"), EACCES, why, sizeof(why));
		assert_non_null(strstr(why, "chgrp root "));
		assert_non_null(strstr(why, "chmod 0460 "));
		assert_int_equal(chown(folder, 0, 0), 0);
	}
	os_explain_file(folder, ENOSPC, why, 10); /* cut, not past the end */
	assert_int_equal(strlen(why), 9);
}

static void spawning(void **state)
{
	char *const argv[] = {
		(char[]){"sh"}, (char[]){"-c"},
		(char[]){"echo $PPID $(ls /proc/self/fd | wc -l) >&3; read x; exit 7"}, NULL};
	char *const missing[] = {(char[]){"x"}, NULL};
	int pair[2], extra, status;
	char text[64], wanted[64];
	size_t len = 0;
	enum err err;
	pid_t pid;

	(void)state;
	assert_int_equal(net_pair(pair), ERR_OK);
	extra = open("/dev/null", O_RDONLY); /* left open, without close-on-exec */
	assert_true(extra > 3);
	assert_int_equal(os_spawn("/no/such/program", missing, pair[1], &pid), ERR_NOT_FOUND);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(os_spawn("/etc/passwd", missing, pair[1], &pid), ERR_DENIED);
	assert_int_equal(os_spawn("/bin/sh", argv, pair[1], &pid), ERR_OK);
	net_close(&pair[1]);
	for (int i = 0; i < 5000; i++) {
		err = net_recv(pair[0], text, sizeof(text) - 1, &len);
		if (err != ERR_AGAIN)
			break;
		usleep(1000);
	}
	assert_int_equal(err, ERR_OK);
	text[len] = 0;
	/* ls has 0, 1, 2, its own folder, and 3, which the shell passed on as 1 (the pipe) and 3.
	 */
	snprintf(wanted, sizeof(wanted), "%d 5\n", (int)getpid());
	assert_string_equal(text, wanted);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7); /* standard input was empty */
	close(extra);
	net_close(&pair[0]);
}

static void privileges(void **state)
{
	char why[256];
	gid_t groups[2];
	int status;
	pid_t pid;

	(void)state;
	if (!os_is_root())
		skip();
	pid = fork();
	if (pid == 0) {
		if (os_drop_privileges(12345, 12345, &(gid_t){12346}, folder, why) != ERR_OK)
			_exit(1);
		if (geteuid() != 12345 || getegid() != 12345 || getgroups(2, groups) != 1 ||
		    groups[0] != 12346)
			_exit(2);
		if (access("/etc/passwd", F_OK) == 0)
			_exit(3);
		_exit(setuid(0) == 0 ? 4 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	pid = fork();
	if (pid == 0) {
		if (os_drop_privileges(12345, 12345, NULL, NULL, why) != ERR_OK)
			_exit(1);
		_exit(getgroups(0, NULL) == 0 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	pid = fork();
	if (pid == 0) {
		if (os_drop_privileges(12345, 12345, NULL, "/no/such", why) != ERR_DENIED)
			_exit(1);
		_exit(strstr(why, "/no/such") != NULL ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void machine(void **state)
{
	int64_t ms = os_monotonic_ms();
	uint64_t bytes, inodes;
	uid_t uid;
	gid_t gid;
	char path[OS_PATH_MAX];

	(void)state;
	assert_in_range(os_monotonic_us() / 1000 - ms, 0, 1000);
	assert_true(os_wall_ms() > 1700000000000);
	assert_true(os_random_u64() != os_random_u64());
	assert_in_range(os_cpu_count(), 1, 4096);
	assert_int_equal(os_free_space(folder, &bytes, &inodes), ERR_OK);
	assert_true(bytes > 0 && inodes > 0);
	assert_int_equal(os_free_space("/no/such", &bytes, &inodes), ERR_NOT_FOUND);
	assert_int_equal(os_user("root", &uid, &gid), ERR_OK);
	assert_int_equal(uid, 0);
	assert_int_equal(os_user("no-such-user", &uid, &gid), ERR_NOT_FOUND);
	assert_int_equal(os_group("root", &gid), ERR_OK);
	assert_int_equal(gid, 0);
	assert_int_equal(os_group("no-such-group", &gid), ERR_NOT_FOUND);
	assert_int_equal(setenv("POSTERN_LIBEXEC", "/some/where", 1), 0);
	os_libexec_path("smtpd", path);
	assert_string_equal(path, "/some/where/smtpd");
	unsetenv("POSTERN_LIBEXEC");
	os_libexec_path("smtpd", path);
	assert_string_equal(path, POSTERN_LIBEXEC "/smtpd");
	assert_true(os_raise_descriptors(256) >= 256);
}

static void memory_that_can_be_had(void **state)
{
	static const char text[] = "MemTotal:  16 kB\nMemAvailable:    8123 kB\ninactive_file 77\n";
	struct os_memory memory;
	uint64_t value = 0;

	(void)state;
	assert_int_equal(os_memory_line(slice_str(text), "MemAvailable:", &value), ERR_OK);
	assert_int_equal(value, 8123);
	assert_int_equal(os_memory_line(slice_str(text), "inactive_file", &value), ERR_OK);
	assert_int_equal(value, 77);
	assert_int_equal(os_memory_line(slice_str(text), "active_file", &value), ERR_NOT_FOUND);
	os_memory_open(&memory);
	assert_int_equal(os_memory_available(&memory, &value), ERR_OK);
	assert_true(value > 1024 * 1024);
	os_memory_close(&memory);
	assert_int_equal(os_memory_available(&memory, &value), ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_that_can_be_had),
		cmocka_unit_test(write_and_read),
		cmocka_unit_test(folders),
		cmocka_unit_test(locks),
		cmocka_unit_test(explanations),
		cmocka_unit_test(spawning),
		cmocka_unit_test(privileges),
		cmocka_unit_test(machine),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
