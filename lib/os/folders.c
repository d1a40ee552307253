/* SPDX-License-Identifier: Apache-2.0 */
#include "os/folders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "os/os.h"

static enum err complain(const char *path, char *why)
{
	int error = errno;

	os_explain_file(path, error, why, FOLDERS_WHY_MAX);
	return error == EACCES || error == EPERM ? ERR_DENIED
	       : error == ENOSPC                 ? ERR_NO_SPACE
						 : ERR_IO;
}

/* The mode is set while the folder is root's: that takes no right over others' files. */
static bool own(int fd, uid_t uid, gid_t gid, mode_t mode)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	if (!os_is_root())
		return (st.st_mode & 07777) == mode || st.st_uid != geteuid() ||
		       fchmod(fd, mode) == 0;
	if ((st.st_mode & 07777) == mode && st.st_uid == uid && st.st_gid == gid)
		return true;
	return fchown(fd, 0, 0) == 0 && fchmod(fd, mode) == 0 && fchown(fd, uid, gid) == 0;
}

/* user: who owns it when we are root; NULL: root. */
static enum err make_folder(const char *path, mode_t mode, const char *user, char *why)
{
	uid_t uid = 0;
	gid_t gid = 0;
	int fd;

	if (os_is_root() && user != NULL && os_user(user, &uid, &gid) != ERR_OK) {
		snprintf(why, FOLDERS_WHY_MAX,
			 "there is no user %.200s to own %.300s; \"postern setup\" makes it, or: "
			 "adduser --system --group --no-create-home %.200s",
			 user, path, user);
		return ERR_NOT_FOUND;
	}
	if (os_make_folder(path, mode) != ERR_OK)
		return complain(path, why);
	/* By descriptor, so that what is looked at is what is changed. */
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (user != NULL ? O_NOFOLLOW : 0));
	if (fd == -1)
		return complain(path, why);

	enum err err = own(fd, uid, gid, mode) ? ERR_OK : complain(path, why);

	close(fd);
	return err;
}

enum err os_make_state_folders(const struct config *config, char *why)
{
	static const struct {
		const char *name, *user;
		mode_t mode;
		bool runtime, agent; /* agent: only if there is one */
	} folders[] = {
		{".", NULL, 0755, false},      {"queue", "queue", 0700, false},
		{"auth", "auth", 0700, false}, {".", NULL, 0755, true},
		{"empty", NULL, 0755, true},   {"agent", "agent", 0700, false, true},
	};
	char path[4096], user[256];
	enum err err = ERR_OK;
	bool owned;

	for (size_t i = 0; err == ERR_OK && i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (folders[i].agent && !config_needs_agent(config))
			continue;
		if (strcmp(folders[i].name, ".") == 0)
			snprintf(path, sizeof(path), "%s",
				 folders[i].runtime ? config->runtime_dir : config->state_dir);
		else if (folders[i].runtime)
			config_runtime_path(config, folders[i].name, path);
		else
			config_state_path(config, folders[i].name, path);
		owned = folders[i].user != NULL && config_user(config, folders[i].user, user);
		err = make_folder(path, folders[i].mode, owned ? user : NULL, why);
	}
	return err;
}
