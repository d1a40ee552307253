/* SPDX-License-Identifier: Apache-2.0 */
/* Files and folders of os/os.h. */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static enum err from_errno(void)
{
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_DENIED;
	case ENOSPC:
	case EDQUOT:
		return ERR_NO_SPACE;
	case EWOULDBLOCK:
		return ERR_BUSY;
	default:
		return ERR_IO;
	}
}

static void close_quietly(int fd)
{
	int kept = errno;

	close(fd);
	errno = kept;
}

/* ERR_SYNTAX: it is no file. */
static enum err open_file(const char *path, int *fd_out)
{
	struct stat st;
	enum err err = ERR_OK;
	/* O_NONBLOCK: a fifo without a writer must not hold us. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd == -1)
		return from_errno();
	if (fstat(fd, &st) != 0)
		err = ERR_IO;
	else if (!S_ISREG(st.st_mode))
		err = ERR_SYNTAX;
	if (err == ERR_OK)
		*fd_out = fd;
	else
		close_quietly(fd);
	return err;
}

enum err os_read_file(const char *path, size_t max, struct buf *out)
{
	size_t before = buf_len(out);
	int fd = -1;
	enum err err = open_file(path, &fd);

	if (err != ERR_OK)
		return err;
	while (err == ERR_OK) {
		char block[16384];
		ssize_t len = read(fd, block, sizeof(block));

		if (len == 0)
			break;
		if (len == -1 && errno == EINTR)
			continue;
		if (len == -1)
			err = from_errno();
		else if (buf_len(out) - before + (size_t)len > max ||
			 buf_append(out, block, (size_t)len) != ERR_OK)
			err = ERR_RANGE;
		explicit_bzero(block, sizeof(block));
	}
	if (err != ERR_OK)
		buf_truncate(out, before);
	close_quietly(fd);
	return err;
}

enum err os_read_head(const char *path, size_t len, struct buf *out)
{
	size_t room;
	ssize_t got;
	char *ptr;
	int fd = -1;
	enum err err = open_file(path, &fd);

	if (err != ERR_OK)
		return err;
	err = buf_reserve(out, len, &ptr, &room);
	if (err == ERR_OK) {
		do
			got = read(fd, ptr, room);
		while (got == -1 && errno == EINTR);
		if (got == -1)
			err = from_errno();
		else
			buf_commit(out, (size_t)got);
	}
	close_quietly(fd);
	return err;
}

static enum err write_all(int fd, struct slice data)
{
	while (data.len != 0) {
		ssize_t len = write(fd, data.ptr, data.len);

		if (len == -1 && errno == EINTR)
			continue;
		if (len <= 0)
			return from_errno();
		data = slice_skip(data, (size_t)len);
	}
	return ERR_OK;
}

/* The folder that holds path. */
static void folder_of(const char *path, char folder_out[OS_PATH_MAX])
{
	size_t slash = slice_find_last(slice_str(path), '/');

	if (slash == strlen(path))
		snprintf(folder_out, OS_PATH_MAX, ".");
	else
		snprintf(folder_out, OS_PATH_MAX, "%.*s", slash != 0 ? (int)slash : 1, path);
}

static enum err sync_folder(const char *path)
{
	enum err err = ERR_OK;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1)
		return from_errno();
	if (fsync(fd) != 0)
		err = from_errno();
	close_quietly(fd);
	return err;
}

enum err os_write_file(const char *path, struct slice data, mode_t mode)
{
	char temporary[OS_PATH_MAX], folder[OS_PATH_MAX];
	enum err err;
	int fd;

	if (snprintf(temporary, sizeof(temporary), "%s.%016llx", path,
		     (unsigned long long)os_random_u64()) >= (int)sizeof(temporary))
		return ERR_RANGE;
	folder_of(path, folder);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return from_errno();
	err = write_all(fd, data);
	if (err == ERR_OK && (fchmod(fd, mode) != 0 || fsync(fd) != 0))
		err = from_errno();
	if (close(fd) != 0 && err == ERR_OK)
		err = from_errno();
	if (err == ERR_OK && rename(temporary, path) != 0)
		err = from_errno();
	if (err == ERR_OK)
		return sync_folder(folder);
	int kept = errno;

	unlink(temporary);
	errno = kept;
	return err;
}

enum err os_make_folder(const char *path, mode_t mode)
{
	char part[OS_PATH_MAX];
	size_t len = strlen(path);
	struct stat st;

	if (len == 0 || len >= sizeof(part))
		return ERR_RANGE;
	for (size_t i = 1; i <= len; i++) {
		if (i != len && path[i] != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)i, path);
		/* Parents are for everybody to pass; only the last is private. */
		if (mkdir(part, 0755) == 0) {
			if (chmod(part, i == len ? mode : 0755) != 0)
				return from_errno();
		} else if (errno != EEXIST) {
			/* A read-only or forbidden parent may still hold the folder we want. */
			if (stat(part, &st) != 0)
				return from_errno();
		}
	}
	if (stat(path, &st) != 0)
		return from_errno();
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return ERR_EXISTS;
	}
	return ERR_OK;
}

enum err os_own_folder(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	enum err err = os_make_folder(path, mode);
	struct stat st;
	int fd;

	if (err != ERR_OK)
		return err;
	/* The last part is not followed: a link there is somebody's idea, not ours. */
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return errno == ELOOP || errno == ENOTDIR ? ERR_EXISTS : from_errno();
	if (fstat(fd, &st) != 0 ||
	    ((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) != 0) ||
	    ((st.st_mode & 07777) != mode && fchmod(fd, mode) != 0))
		err = from_errno();
	close_quietly(fd);
	return err;
}

bool os_all_may_read(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && (status.st_mode & S_IROTH) != 0;
}

struct os_stamp os_file_stamp(const char *path)
{
	struct os_stamp stamp = {0};
	struct stat st;

	if (stat(path, &st) == 0)
		stamp = (struct os_stamp){st.st_dev, st.st_ino, (uint64_t)st.st_size,
					  (int64_t)st.st_mtim.tv_sec * 1000000000 +
						  st.st_mtim.tv_nsec};
	return stamp;
}

enum err os_remove_file(const char *path)
{
	if (unlink(path) == 0 || errno == ENOENT)
		return ERR_OK;
	return from_errno();
}

enum err os_free_space(const char *path, uint64_t *bytes_out, uint64_t *inodes_out)
{
	struct statvfs fs;

	if (statvfs(path, &fs) != 0)
		return from_errno();
	*bytes_out = (uint64_t)fs.f_bavail * fs.f_frsize;
	/* File systems that make inodes as they go report none at all. */
	*inodes_out = fs.f_files == 0 ? UINT64_MAX : fs.f_favail;
	return ERR_OK;
}

enum err os_lock_file(const char *path, int *fd_out)
{
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	enum err err;

	if (fd == -1)
		return from_errno();
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		err = from_errno();
		close_quietly(fd);
		return err;
	}
	*fd_out = fd;
	return ERR_OK;
}

enum err os_lock_set_owner(int fd)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len)
		return from_errno();
	return ERR_OK;
}

/*
 * Within a sandbox the C library's search for a name (files, then sockets of name services) ends
 * the process: then only the names that were found before it closed are known, and numbers.
 * Static, because a process has one sandbox and one user.
 */
static struct {
	bool sandboxed;
	uid_t uid;
	gid_t gid;
	char user[64], group[64];
} known;

static void user_name(uid_t uid, char *name, size_t size)
{
	struct passwd *entry = known.sandboxed ? NULL : getpwuid(uid);

	if (entry != NULL)
		snprintf(name, size, "%s", entry->pw_name);
	else if (known.sandboxed && uid == known.uid)
		snprintf(name, size, "%s", known.user);
	else if (uid == 0)
		snprintf(name, size, "root");
	else
		snprintf(name, size, "%u", (unsigned)uid);
}

static void group_name(gid_t gid, char *name, size_t size)
{
	struct group *entry = known.sandboxed ? NULL : getgrgid(gid);

	if (entry != NULL)
		snprintf(name, size, "%s", entry->gr_name);
	else if (known.sandboxed && gid == known.gid)
		snprintf(name, size, "%s", known.group);
	else if (gid == 0)
		snprintf(name, size, "root");
	else
		snprintf(name, size, "%u", (unsigned)gid);
}

void os_explain_prepare(void)
{
	char user[sizeof(known.user)], group[sizeof(known.group)];

	known.uid = geteuid();
	known.gid = getegid();
	user_name(known.uid, user, sizeof(user)); /* never into known itself, which it may read */
	group_name(known.gid, group, sizeof(group));
	memcpy(known.user, user, sizeof(user));
	memcpy(known.group, group, sizeof(group));
	known.sandboxed = true;
}

/* The first folder on the way to path that we may not pass, or that is not there. */
static bool find_obstacle(const char *path, char obstacle_out[OS_PATH_MAX])
{
	size_t len = strlen(path);

	for (size_t i = 1; i < len; i++) {
		if (path[i] != '/')
			continue;
		snprintf(obstacle_out, OS_PATH_MAX, "%.*s", (int)i, path);
		if (faccessat(AT_FDCWD, obstacle_out, X_OK, AT_EACCESS) != 0)
			return true;
	}
	return false;
}

/* Whether the folder that path lies in is ours: then so should be what is in it. */
static bool lies_in_our_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[OS_PATH_MAX];
	struct stat st;

	if (slash == NULL || slash == path)
		return false;
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	return stat(folder, &st) == 0 && st.st_uid == geteuid();
}

static void explain_denied(const char *path, const char *culprit, const struct stat *st,
			   const char *reason, char *why, size_t size)
{
	char owner[64], group[64], us[64];
	bool folder = S_ISDIR(st->st_mode);
	unsigned add = folder ? 0010 : 0040;

	/* Reading is not what was denied: then it was writing. */
	if (faccessat(AT_FDCWD, culprit, folder ? X_OK : R_OK, AT_EACCESS) == 0)
		add |= 0060;
	user_name(st->st_uid, owner, sizeof(owner));
	group_name(st->st_gid, group, sizeof(group));
	user_name(geteuid(), us, sizeof(us));
	if (geteuid() == st->st_uid)
		snprintf(why, size,
			 "%s: %s: %s belongs to %s:%s with mode %04o, and we run as %s; mend it "
			 "with: "
			 "chmod u+%s %s",
			 path, reason, culprit, owner, group, (unsigned)st->st_mode & 07777, us,
			 folder ? "rwx" : "rw", culprit);
	else if (!folder && lies_in_our_folder(culprit))
		snprintf(why, size,
			 "%s: %s: %s belongs to %s:%s with mode %04o, and we run as %s; mend it "
			 "with: "
			 "chown %s %s && chmod 0600 %s",
			 path, reason, culprit, owner, group, (unsigned)st->st_mode & 07777, us, us,
			 culprit, culprit);
	else
		snprintf(why, size,
			 "%s: %s: %s belongs to %s:%s with mode %04o, and we run as %s; mend it "
			 "with: "
			 "chgrp %s %s && chmod %04o %s",
			 path, reason, culprit, owner, group, (unsigned)st->st_mode & 07777, us, us,
			 culprit, ((unsigned)st->st_mode & 07777) | add, culprit);
}

void os_explain_file(const char *path, int error, char *why, size_t size)
{
	char obstacle[OS_PATH_MAX];
	const char *reason = strerror(error);
	bool blocked = find_obstacle(path, obstacle);
	const char *culprit = blocked ? obstacle : path;
	struct stat st;

	if ((error == EACCES || error == EPERM) && stat(culprit, &st) == 0) {
		explain_denied(path, culprit, &st, reason, why, size);
	} else if (error == ENOENT && blocked) {
		snprintf(why, size,
			 "%s: %s: the folder %s does not exist; make it, or correct the path", path,
			 reason, obstacle);
	} else if (error == ENOENT) {
		snprintf(why, size, "%s: %s; make it, or correct the path", path, reason);
	} else if (error == EROFS) {
		snprintf(why, size, "%s: %s; mount it writable, or choose another folder", path,
			 reason);
	} else if (error == ENOSPC || error == EDQUOT) {
		snprintf(why, size, "%s: %s; make room: df -h %s", path, reason, path);
	} else {
		snprintf(why, size, "%s: %s", path, reason);
	}
}
