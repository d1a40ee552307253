/* SPDX-License-Identifier: Apache-2.0 */
#include "folders.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/os.h"

static void explain(const char *path, enum err err, char *why)
{
	if (err == ERR_EXISTS)
		snprintf(why, FOLDERS_WHY_MAX,
			 "%.900s: this is not a folder, and postern needs one there", path);
	else
		os_explain_file(path, errno, why, FOLDERS_WHY_MAX);
}

/* The number that the holder of the lock has written into it. */
static void name_holder(const char *path, char *why)
{
	struct buf text;
	uint64_t pid;

	buf_init(&text, 64);
	if (os_read_file(path, 32, &text) == ERR_OK &&
	    slice_number(slice_head(buf_data(&text), slice_find(buf_data(&text), '\n')), INT32_MAX,
			 &pid) == ERR_OK)
		snprintf(why, FOLDERS_WHY_MAX,
			 "postern is already running as pid %llu (lock %.900s)",
			 (unsigned long long)pid, path);
	else
		snprintf(why, FOLDERS_WHY_MAX,
			 "postern is already running, or an offline command is at work (lock "
			 "%.900s)",
			 path);
	buf_release(&text);
}

enum err folders_lock(const struct config *config, int *fd_out, char *why)
{
	char path[OS_PATH_MAX];
	enum err err;

	err = os_make_folder(config->state_dir, 0755);
	if (err != ERR_OK) {
		explain(config->state_dir, err, why);
		return err;
	}
	config_state_path(config, "lock", path);
	err = os_lock_file(path, fd_out);
	if (err == ERR_BUSY)
		name_holder(path, why);
	else if (err != ERR_OK)
		explain(path, err, why);
	else
		(void)os_lock_set_owner(*fd_out);
	return err;
}

/* As root the folder belongs to relay's user, who writes there. */
static enum err make_capture(const struct config *config, const char *path, char *why)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char user[256];
	enum err err;

	if (os_is_root() && config_user(config, "relay", user) && os_user(user, &uid, &gid) != ERR_OK) {
		snprintf(why, FOLDERS_WHY_MAX,
			 "there is no user %.200s to write into %.500s; \"postern setup\" makes it",
			 user, path);
		return ERR_NOT_FOUND;
	}
	err = os_own_folder(path, uid, gid, 0700);
	if (err != ERR_OK)
		explain(path, err, why);
	return err;
}

/* A capture folder that is there already belongs to whom it belongs: people read it. */
static enum err make_captures(const struct config *config, char *why)
{
	for (size_t i = 0; i < config->route_count; i++) {
		const struct config_route *route = &config->routes[i];
		enum err err;

		if (route->kind != ROUTE_CAPTURE || access(route->target, F_OK) == 0)
			continue;
		err = make_capture(config, route->target, why);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

enum err folders_make(const struct config *config, char *why)
{
	enum err err = os_make_state_folders(config, why);

	return err == ERR_OK ? make_captures(config, why) : err;
}
