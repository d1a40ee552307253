/* SPDX-License-Identifier: Apache-2.0 */
#include "os/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err from_errno(void)
{
	switch (errno) {
	case ENOENT:
		return ERR_NOT_FOUND;
	case EEXIST:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
	case ELOOP:
	case EROFS:
		return ERR_DENIED;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return ERR_NO_SPACE;
	default:
		return ERR_IO;
	}
}

enum err file_create(const char *path, int *fd_out)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return from_errno();
	*fd_out = fd;
	return ERR_OK;
}

enum err file_open(const char *path, int *fd_out, uint64_t *size_out)
{
	/* Not blocking: a pipe planted here must not hold us up. */
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return from_errno();
	if (fstat(fd, &st) != 0) {
		enum err err = from_errno();

		close(fd);
		return err;
	}
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != geteuid()) {
		close(fd);
		return ERR_DENIED;
	}
	*fd_out = fd;
	*size_out = (uint64_t)st.st_size;
	return ERR_OK;
}

void file_close(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

enum err file_write_at(int fd, struct slice data, uint64_t offset)
{
	while (data.len != 0) {
		ssize_t done = pwrite(fd, data.ptr, data.len, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return from_errno();
		data = slice_skip(data, (size_t)done);
		offset += (uint64_t)done;
	}
	return ERR_OK;
}

enum err file_read_at(int fd, void *data, size_t len, uint64_t offset, size_t *len_out)
{
	size_t have = 0;

	while (have < len) {
		ssize_t done = pread(fd, (char *)data + have, len - have, (off_t)(offset + have));

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return ERR_IO;
		if (done == 0)
			break;
		have += (size_t)done;
	}
	*len_out = have;
	return ERR_OK;
}

enum err file_sync(int fd)
{
	return fdatasync(fd) == 0 ? ERR_OK : ERR_IO;
}

enum err file_sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err err;

	if (fd < 0)
		return from_errno();
	err = fsync(fd) == 0 ? ERR_OK : ERR_IO;
	close(fd);
	return err;
}

enum err file_remove(const char *path)
{
	return unlink(path) == 0 ? ERR_OK : from_errno();
}

enum err file_rename(const char *from, const char *to)
{
	return rename(from, to) == 0 ? ERR_OK : from_errno();
}

enum err file_make_folder(const char *path)
{
	return mkdir(path, 0700) == 0 || errno == EEXIST ? ERR_OK : from_errno();
}

bool file_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

enum err file_each(const char *folder, void (*fn)(void *arg, const char *name), void *arg)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	if (dir == NULL)
		return from_errno();
	for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			fn(arg, entry->d_name);
	}
	/* readdir tells the end from an error by errno alone. */
	enum err err = errno == 0 ? ERR_OK : ERR_IO;

	closedir(dir);
	return err;
}
