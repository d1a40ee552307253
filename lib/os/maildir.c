/* SPDX-License-Identifier: Apache-2.0 */
#include "os/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/os.h"

struct maildir_file {
	int fd;
	char tmp[OS_PATH_MAX], final[OS_PATH_MAX], folder[OS_PATH_MAX];
};

static enum err failure(void)
{
	switch (errno) {
	case ENOSPC:
	case EDQUOT:
		return ERR_NO_SPACE;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_DENIED;
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	default:
		return ERR_IO;
	}
}

/* Parents as others may need them too, the folder itself for its owner only. */
static enum err make_one(const char *path, uid_t uid, gid_t gid)
{
	char parent[OS_PATH_MAX];
	struct stat st;
	enum err err;

	if (stat(path, &st) == 0)
		return ERR_OK;
	snprintf(parent, sizeof(parent), "%.*s", (int)slice_find_last(slice_str(path), '/'), path);
	err = parent[0] ? os_make_folder(parent, 0755) : ERR_OK;
	if (err == ERR_OK)
		err = os_make_folder(path, 0700);
	if (err == ERR_OK && uid != (uid_t)-1 && chown(path, uid, gid) != 0)
		err = failure();
	return err;
}

enum err maildir_make(const char *folder, uid_t uid, gid_t gid)
{
	static const char *const parts[] = {"", "/tmp", "/new", "/cur"};
	char path[OS_PATH_MAX];
	enum err err = ERR_OK;

	for (size_t i = 0; err == ERR_OK && i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (snprintf(path, sizeof(path), "%s%s", folder, parts[i]) >= (int)sizeof(path))
			return ERR_RANGE;
		err = make_one(path, uid, gid);
	}
	return err;
}

enum err maildir_open(const char *folder, const char *name, struct maildir_file **file_out)
{
	struct maildir_file *file = mem_alloc(sizeof(*file));
	const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
	enum err err = ERR_RANGE;

	if (snprintf(file->tmp, OS_PATH_MAX, "%s/tmp/%s", folder, name) < OS_PATH_MAX &&
	    snprintf(file->final, OS_PATH_MAX, "%s/new/%s", folder, name) < OS_PATH_MAX &&
	    snprintf(file->folder, OS_PATH_MAX, "%s/new", folder) < OS_PATH_MAX) {
		file->fd = open(file->tmp, flags, 0600);
		if (file->fd == -1 && errno == ENOENT &&
		    maildir_make(folder, (uid_t)-1, (gid_t)-1) == ERR_OK)
			file->fd = open(file->tmp, flags, 0600);
		err = file->fd == -1 ? failure() : ERR_OK;
	}
	if (err != ERR_OK) {
		mem_free(file);
		return err;
	}
	*file_out = file;
	return ERR_OK;
}

enum err maildir_write(struct maildir_file *file, struct slice data)
{
	while (data.len > 0) {
		ssize_t len = write(file->fd, data.ptr, data.len);

		if (len == -1 && errno == EINTR)
			continue;
		if (len <= 0)
			return failure();
		data = slice_skip(data, (size_t)len);
	}
	return ERR_OK;
}

static enum err sync_new(const struct maildir_file *file)
{
	int fd = open(file->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err err = ERR_OK;

	if (fd == -1)
		return failure();
	if (fsync(fd) != 0)
		err = failure();
	close(fd);
	return err;
}

enum err maildir_finish(struct maildir_file **file)
{
	struct maildir_file *f = *file;
	int fd = f->fd;
	enum err err;

	if (fsync(fd) != 0)
		return failure();
	f->fd = -1;
	if (close(fd) != 0 || rename(f->tmp, f->final) != 0)
		return failure();
	err = sync_new(f);
	if (err == ERR_OK)
		MEM_FREE(*file);
	return err;
}

void maildir_abort(struct maildir_file **file)
{
	int kept = errno;

	if (!*file)
		return;
	if ((*file)->fd != -1)
		close((*file)->fd);
	unlink((*file)->tmp);
	MEM_FREE(*file);
	errno = kept;
}
