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

/* The user of a process; without root we are everybody. */
static enum err user_of(const struct config *config, const char *process, uid_t *uid_out,
			gid_t *gid_out, char *why)
{
	char name[256];

	*uid_out = geteuid();
	*gid_out = getegid();
	if (!os_is_root())
		return ERR_OK;
	snprintf(name, sizeof(name), "%s%s", config->user_prefix, process);
	if (os_user(name, uid_out, gid_out) == ERR_OK)
		return ERR_OK;
	snprintf(why, FOLDERS_WHY_MAX,
		 "there is no user %.200s for the process %s to run as; \"postern setup\" makes "
		 "it, or: "
		 "adduser --system --group --no-create-home %.200s",
		 name, process, name);
	return ERR_NOT_FOUND;
}

static enum err make_for(const struct config *config, const char *process, const char *path,
			 char *why)
{
	uid_t uid;
	gid_t gid;
	enum err err = user_of(config, process, &uid, &gid, why);

	if (err != ERR_OK)
		return err;
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
		err = make_for(config, "relay", route->target, why);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

enum err folders_make(const struct config *config, char *why)
{
	char path[OS_PATH_MAX];
	enum err err;

	config_state_path(config, "queue", path);
	err = make_for(config, "queue", path, why);
	if (err != ERR_OK)
		return err;
	config_state_path(config, "auth", path);
	err = make_for(config, "auth", path, why);
	if (err != ERR_OK)
		return err;
	config_runtime_path(config, "empty", path);
	err = os_make_folder(config->runtime_dir, 0755);
	if (err == ERR_OK)
		err = os_own_folder(path, geteuid(), getegid(), 0555);
	if (err != ERR_OK) {
		explain(path, err, why);
		return err;
	}
	return make_captures(config, why);
}
