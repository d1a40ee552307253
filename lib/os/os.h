/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of the kernel: time, chance, files, processes, users, limits, sandbox. */
#ifndef POSTERN_OS_OS_H
#define POSTERN_OS_OS_H

#include <sys/types.h>

#include "base/buf.h"

int64_t os_wall_ms(void);      /* since 1970 */
int64_t os_monotonic_ms(void); /* never jumps */
int64_t os_monotonic_us(void);
void os_random(void *data, size_t len); /* getrandom; ends the process if there is none */
uint64_t os_random_u64(void);
unsigned os_cpu_count(void);
/* The load average of the last minute, in hundredths; needs no file. 0 if it cannot be had. */
uint32_t os_load(void);
/* Gives free pages back to the kernel, those amid used ones too: slow, for after a crowd left. */
void os_trim_memory(void);

enum { OS_PATH_MAX = 4096 };
/*
 * Where the executable of a process ("smtpd") lies: below $POSTERN_LIBEXEC, or beside the running
 * program (../libexec/postern), or where it was built to be installed.
 */
void os_libexec_path(const char *program, char path_out[OS_PATH_MAX]);

/*
 * Reads a whole regular file of at most max bytes into out. errno says why on ERR_IO,
 * ERR_NOT_FOUND, ERR_DENIED; ERR_RANGE too large; ERR_SYNTAX not a regular file.
 */
enum err os_read_file(const char *path, size_t max, struct buf *out);
/* Its first bytes, len at most; the same errors but ERR_RANGE. */
enum err os_read_head(const char *path, size_t len, struct buf *out);
/* Writes to a temporary beside it, syncs file and folder, renames. ERR_NO_SPACE, ERR_DENIED,
 * ERR_IO. */
enum err os_write_file(const char *path, struct slice data, mode_t mode);
enum err os_make_folder(const char *path, mode_t mode); /* with parents; ERR_OK if it is there */
/* A folder made if need be, that then belongs to uid and gid with mode. ERR_EXISTS: not a folder.
 */
enum err os_own_folder(const char *path, uid_t uid, gid_t gid, mode_t mode);
/* Changes when the file, or what a link leads to, is replaced or written. All zero: not there. */
struct os_stamp {
	uint64_t device, inode, size;
	int64_t modified_ns;
};
struct os_stamp os_file_stamp(const char *path);
bool os_all_may_read(const char *path); /* by its mode; false also if there is none */
enum err os_remove_file(const char *path); /* ERR_OK also if there is none */
/*
 * Why a file cannot be used, in one line that names path, owner, group, mode, our user and the
 * command that mends it: for people. size bytes at why.
 */
void os_explain_file(const char *path, int error, char *why, size_t size);
/*
 * Looks up what os_explain_file needs before a sandbox closes, within which names of users cannot
 * be found; sandbox_enter calls it.
 */
void os_explain_prepare(void);
/* Free bytes and inodes for us at path. */
enum err os_free_space(const char *path, uint64_t *bytes_out, uint64_t *inodes_out);
/* Exclusive advisory lock on a file made if need be; the descriptor holds it. ERR_BUSY. */
enum err os_lock_file(const char *path, int *fd_out);
/* Writes our process number into the lock file, for others to name. */
enum err os_lock_set_owner(int fd);

/*
 * Starts a program: descriptor 3 is channel_fd, 0 is /dev/null, 1 and 2 are inherited, all others
 * closed, signals as at the start of a process. ERR_NOT_FOUND, ERR_DENIED, ERR_IO: errno says why
 * it cannot be run.
 */
enum err os_spawn(const char *path, char *const argv[], int channel_fd, pid_t *pid_out);

/* Whether our child pid has ended; then its exit status, or the signal that ended it (else 0). */
bool os_reap(pid_t pid, int *status_out, int *signal_out);
void os_kill(pid_t pid, int signum);
/* Tells systemd ("READY=1") if it started us and asked for it ($NOTIFY_SOCKET). */
void os_notify(const char *state);
/* ERR_NOT_FOUND. */
enum err os_user(const char *name, uid_t *uid_out, gid_t *gid_out);
enum err os_group(const char *name, gid_t *gid_out); /* ERR_NOT_FOUND */
/*
 * Becomes the user for good, in root_dir (chroot) if it is not NULL, and in one group more if more
 * is not NULL. why: 256 bytes.
 */
enum err os_drop_privileges(uid_t uid, gid_t gid, const gid_t *more, const char *root_dir,
			    char *why);
bool os_is_root(void);
void os_harden(void); /* no core dumps, not dumpable, no new privileges, umask 077 */
/* Raises the limit of open files: the hard one to wanted as root, the soft one to it. The result.
 */
uint64_t os_raise_descriptors(uint64_t wanted);

#endif
