/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two fences: seccomp by libseccomp, Landlock by its system calls (the C library has none).
 *
 * The lists below are what the C library, libuv, OpenSSL, SQLite and libunbound need after
 * start-up. mmap and mprotect may not make memory executable. Builds with sanitizers skip
 * seccomp: their run-time asks for far more.
 *
 * The descriptor of the rules is the one piece of process-wide state: threads that were started
 * before the rules existed take them later, by themselves.
 */
#include "os/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/os.h"

/* ---- Landlock; what the headers of Debian 12 do not know yet is named here ---- */

#define ACCESS_TRUNCATE    (1ULL << 14) /* ABI 3 */
#define ACCESS_IOCTL_DEV   (1ULL << 15) /* ABI 5 */
#define ACCESS_BIND_TCP    (1ULL << 0)  /* ABI 4 */
#define ACCESS_CONNECT_TCP (1ULL << 1)

#define ACCESS_ABI_1                                                                               \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |                              \
	 LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |                              \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                          \
	 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |                              \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |                              \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                            \
	 LANDLOCK_ACCESS_FS_MAKE_SYM)
#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* Of a folder of ours: files and folders in it are made, written, moved, removed. */
#define ACCESS_WRITE                                                                               \
	(ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |             \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                            \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER | ACCESS_TRUNCATE)
#define ACCESS_FILE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE)

struct ruleset {
	uint64_t fs;
	uint64_t net; /* ABI 4 */
};

static atomic_int rules = -1; /* descriptor; written once */
static _Thread_local bool thread_fenced;

static int landlock_abi(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

static uint64_t handled_files(int abi)
{
	return ACCESS_ABI_1 | (abi >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) |
	       (abi >= 3 ? ACCESS_TRUNCATE : 0) | (abi >= 5 ? ACCESS_IOCTL_DEV : 0);
}

static int ruleset_new(int abi, int powers)
{
	struct ruleset set = {.fs = handled_files(abi)};

	if (abi >= 4)
		set.net = ACCESS_BIND_TCP | (powers & SANDBOX_CONNECT ? 0 : ACCESS_CONNECT_TCP);
	return (int)syscall(SYS_landlock_create_ruleset, &set,
			    abi >= 4 ? sizeof(set) : sizeof(set.fs), 0);
}

static enum err allow_path(int set, int abi, const char *path, uint64_t access, char *why)
{
	struct landlock_path_beneath_attr rule = {.parent_fd = open(path, O_PATH | O_CLOEXEC)};
	struct stat st;
	long result;

	if (rule.parent_fd < 0 || fstat(rule.parent_fd, &st) != 0) {
		snprintf(why, SANDBOX_WHY_MAX, "%s: %s", path, strerror(errno));
		if (rule.parent_fd >= 0)
			close(rule.parent_fd);
		return errno == ENOENT ? ERR_NOT_FOUND : ERR_DENIED;
	}
	rule.allowed_access = access & handled_files(abi);
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= ACCESS_FILE;
	result = syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	if (result != 0)
		snprintf(why, SANDBOX_WHY_MAX, "%s: Landlock: %s", path, strerror(errno));
	close(rule.parent_fd);
	return result == 0 ? ERR_OK : ERR_IO;
}

static enum err allow_paths(int set, int abi, const struct sandbox *sandbox, char *why)
{
	enum err err = ERR_OK;

#ifdef POSTERN_SANITIZED
	err = allow_path(set, abi, "/proc", ACCESS_READ, why); /* reports need it */
#endif
	for (const char *const *p = sandbox->folders; err == ERR_OK && p && *p; p++)
		err = allow_path(set, abi, *p, ACCESS_WRITE, why);
	for (const char *const *p = sandbox->read_folders; err == ERR_OK && p && *p; p++)
		err = allow_path(set, abi, *p, ACCESS_READ, why);
	return err;
}

static enum err enter_landlock(const struct sandbox *sandbox, char *why)
{
	int abi = landlock_abi();
	int set;
	enum err err;

	if (abi < 1) {
		snprintf(why, SANDBOX_WHY_MAX, "this kernel has no Landlock (%s)", strerror(errno));
		return ERR_OK;
	}
	set = ruleset_new(abi, sandbox->powers);
	if (set < 0) {
		snprintf(why, SANDBOX_WHY_MAX, "Landlock: %s", strerror(errno));
		return ERR_IO;
	}
	err = allow_paths(set, abi, sandbox, why);
	if (err == ERR_OK && syscall(SYS_landlock_restrict_self, set, 0) != 0) {
		snprintf(why, SANDBOX_WHY_MAX, "Landlock: %s", strerror(errno));
		err = ERR_IO;
	}
	if (err != ERR_OK) {
		close(set);
		return err;
	}
	thread_fenced = true;
	atomic_store(&rules, set);
	return ERR_OK;
}

void sandbox_enter_thread(void)
{
	int set;

	if (thread_fenced)
		return;
	set = atomic_load(&rules);
	if (set < 0)
		return;
	if (syscall(SYS_landlock_restrict_self, set, 0) == 0)
		thread_fenced = true;
}

bool sandbox_thread_without_files(void)
{
	int abi = landlock_abi();
	int set = abi < 1 ? -1 : ruleset_new(abi, SANDBOX_CONNECT);
	bool ok;

	if (set < 0)
		return false;
	ok = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	     syscall(SYS_landlock_restrict_self, set, 0) == 0;
	close(set);
	return ok;
}

/* ---- seccomp ---- */

#ifndef POSTERN_SANITIZED

static const int calls_all[] = {
	/* descriptors that are there */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(close),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(fcntl),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	/* the loop, time, chance */
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(poll), /* the log, on a pipe */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	/* memory and threads */
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(futex),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(restart_syscall),
	/* the first calls of a thread, which may still be on its way when the list closes */
	SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(sysinfo),
	/* the end */
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(gettid),
	SCMP_SYS(tgkill),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	/* a worker takes the rules above */
	SCMP_SYS(landlock_restrict_self),
};

static const int calls_accept[] = {SCMP_SYS(accept4), SCMP_SYS(getpeername)};

/* libunbound's thread among them: it binds ports of UDP and selects; uname: the C library's
 * resolver. */
static const int calls_connect[] = {
	SCMP_SYS(socket),      SCMP_SYS(connect), SCMP_SYS(bind),
	SCMP_SYS(getpeername), SCMP_SYS(uname),   SCMP_SYS(select),
	SCMP_SYS(pselect6),    SCMP_SYS(ppoll),   SCMP_SYS(sendmmsg),
};

static const int calls_files[] = {
	SCMP_SYS(open),      SCMP_SYS(openat),    SCMP_SYS(stat),       SCMP_SYS(lstat),
	SCMP_SYS(access),    SCMP_SYS(lseek),     SCMP_SYS(pread64),    SCMP_SYS(pwrite64),
	SCMP_SYS(fsync),     SCMP_SYS(fdatasync), SCMP_SYS(ftruncate),  SCMP_SYS(fallocate),
	SCMP_SYS(unlink),    SCMP_SYS(unlinkat),  SCMP_SYS(rename),     SCMP_SYS(renameat),
	SCMP_SYS(renameat2), SCMP_SYS(mkdir),     SCMP_SYS(mkdirat),    SCMP_SYS(rmdir),
	SCMP_SYS(fchmod),    SCMP_SYS(fchown),    SCMP_SYS(getdents64), SCMP_SYS(statfs),
	SCMP_SYS(fstatfs),   SCMP_SYS(geteuid),   SCMP_SYS(getcwd),     SCMP_SYS(readlink),
	SCMP_SYS(flock),     SCMP_SYS(statx),     SCMP_SYS(faccessat),  SCMP_SYS(faccessat2),
};

static int add_calls(scmp_filter_ctx ctx, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int result = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);

		if (result != 0)
			return result;
	}
	return 0;
}

#define ADD_CALLS(ctx, table) add_calls((ctx), (table), sizeof(table) / sizeof((table)[0]))

/* Memory that is not executable; FIONBIO and FIOCLEX of ioctl. */
static int add_narrow_calls(scmp_filter_ctx ctx)
{
	int r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				     SCMP_A1(SCMP_CMP_EQ, FIONBIO));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				     SCMP_A1(SCMP_CMP_EQ, FIOCLEX));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
				     SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
	return r;
}

static int build_filter(scmp_filter_ctx ctx, int powers)
{
	int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* binary tree */
	if (r == 0)
		r = ADD_CALLS(ctx, calls_all);
	if (r == 0)
		r = add_narrow_calls(ctx);
	if (r == 0 && (powers & SANDBOX_ACCEPT))
		r = ADD_CALLS(ctx, calls_accept);
	if (r == 0 && (powers & SANDBOX_CONNECT))
		r = ADD_CALLS(ctx, calls_connect);
	if (r == 0 && (powers & SANDBOX_CONNECT)) /* of the C library's resolver */
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				     SCMP_A1(SCMP_CMP_EQ, FIONREAD));
	if (r == 0 && (powers & SANDBOX_FILES))
		r = ADD_CALLS(ctx, calls_files);
	return r;
}

static enum err enter_seccomp(int powers, char *why)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	size_t len = strlen(why);
	int r = ctx ? build_filter(ctx, powers) : -ENOMEM;

	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	if (r == 0)
		return ERR_OK;
	snprintf(why + len, SANDBOX_WHY_MAX - len, "%sthis kernel takes no seccomp list (%s)",
		 len ? "; " : "", strerror(-r));
	return r == -ENOMEM ? ERR_IO : ERR_OK;
}

#endif

enum err sandbox_enter(const struct sandbox *sandbox, char *why)
{
	enum err err;

	why[0] = '\0';
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
		snprintf(why, SANDBOX_WHY_MAX, "no_new_privs: %s", strerror(errno));
		return ERR_IO;
	}
	os_explain_prepare();
	if (sandbox->powers & SANDBOX_OPEN)
		return ERR_OK;
	err = enter_landlock(sandbox, why);
#ifndef POSTERN_SANITIZED
	if (err == ERR_OK)
		err = enter_seccomp(sandbox->powers, why);
#endif
	return err;
}
