/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to the server, and its answer. The server is asked over its control socket; when
 * it is down, the process that owns the files (queue, auth) is started under the lock as our own
 * child and asked over a channel: the same code does the work either way.
 */
#ifndef POSTERN_CLI_ASK_H
#define POSTERN_CLI_ASK_H

#include "config/config.h"
#include "ipc/message.h"

enum { ASK_WHY_MAX = 2048, ANSWER_ROWS_MAX = 1000000 };

struct field {
	char *key;
	enum ipc_field_kind kind;
	char *value;
};

struct row {
	struct field *fields;
	size_t count;
};

struct answer {
	struct row *rows; /* wiped when freed: one may hold a password that was made */
	size_t count;
	bool failed;
	char text[2048 + 1];
};

void answer_release(struct answer *answer);
const char *row_value(const struct row *row, const char *key); /* NULL: it has none */

struct question {
	enum ipc_op op;
	const char *subject;
	struct ipc_list args;
	struct slice secret;
	struct ipc_list credentials;
	/*
	 * A question that is asked in parts: puts the next one in, and false when there is none. It
	 * is called when a part has been answered, unless that failed; the rows of all are one
	 * answer.
	 */
	bool (*more)(void *arg, struct question *question);
	void *more_arg;
	/* Who to start when the server is down: IPC_AUTH, IPC_QUEUE; 0: nobody. */
	enum ipc_role owner;
};

/*
 * ERR_OK: there is an answer, which may say that it failed. ERR_NOT_FOUND: the server is down
 * (and question has no owner); else it could not be asked: why (ASK_WHY_MAX bytes) tells people.
 */
enum err ask(const struct config *config, const struct question *question,
	     struct answer *answer_out, char *why);
/*
 * Is the server there? ERR_OK: its control socket takes connections; *fd_out is one.
 * ERR_NOT_FOUND: no; ERR_DENIED: it is not for us.
 */
enum err ask_connect(const struct config *config, int *fd_out, char *why);
/*
 * Takes the lock that the server holds as long as it runs, so that it is certainly down.
 * ERR_BUSY: it runs; why names its process.
 */
enum err ask_lock(const struct config *config, int *fd_out, char *why);

#endif
