/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/exchange.h"
#include "cli/offline.h"
#include "master/folders.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"

enum err ask_connect(const struct config *config, int *fd_out, char *why)
{
	struct net_address address;
	char path[4096];
	enum err err;

	config_runtime_path(config, "control.sock", path);
	err = net_read_local(path, &address);
	if (err == ERR_OK && (err = net_connect(&address, fd_out)) == ERR_OK)
		return ERR_OK; /* a local socket connects at once */
	if (err == ERR_RANGE)
		snprintf(why, ASK_WHY_MAX,
			 "%.1000s: the path is too long for a socket; change runtime_dir", path);
	else if (errno == ENOENT || errno == ECONNREFUSED)
		err = ERR_NOT_FOUND;
	else if (errno == EACCES || errno == EPERM)
		err = ERR_DENIED;
	if (err == ERR_NOT_FOUND)
		snprintf(why, ASK_WHY_MAX, "the server is not running (%.1000s: %s)", path,
			 strerror(errno));
	else if (err != ERR_RANGE)
		os_explain_file(path, errno, why, ASK_WHY_MAX);
	return err;
}

enum err ask_lock(const struct config *config, int *fd_out, char *why)
{
	char text[FOLDERS_WHY_MAX];
	enum err err = folders_lock(config, fd_out, text);

	if (err == ERR_BUSY)
		snprintf(why, ASK_WHY_MAX,
			 "%s, but its control socket in %.300s does not answer: it is just "
			 "starting or stopping; "
			 "try again in a moment",
			 text, config->runtime_dir);
	else if (err != ERR_OK)
		snprintf(why, ASK_WHY_MAX, "%s", text);
	return err;
}

static enum err ask_offline(const struct config *config, const struct question *question,
			    struct answer *answer_out, char *why)
{
	int lock = -1;
	enum err err = ask_lock(config, &lock, why);

	if (err == ERR_OK)
		err = offline_ask(config, question, answer_out, why);
	net_close(&lock);
	return err;
}

enum err ask(const struct config *config, const struct question *question,
	     struct answer *answer_out, char *why)
{
	struct loop *loop;
	int fd = -1;
	enum err err = ask_connect(config, &fd, why);

	if (err == ERR_NOT_FOUND && question->owner != 0)
		return ask_offline(config, question, answer_out, why);
	if (err != ERR_OK)
		return err;
	loop = loop_new();
	err = exchange(loop, fd, question, answer_out, why);
	loop_free(&loop);
	return err;
}
