/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that asks somebody else whether a password is right. auth asks it (CHECK), one question
 * at a time; the driver answers on a thread, where it may wait. A question that is not answered in
 * its time is answered by "unavailable", and the process ends: master starts another, and whatever
 * the thread hangs in is gone with it.
 *
 *	main of each executable   backend_main with the drivers that need its libraries
 *	backend.c                 master, auth, the deadline
 *	cyrus.c, saslauthd.c, ... a driver each
 *	files.c, passwd_file.c    files with hashes
 *
 * Nothing of a question is logged here; why it was answered so travels to auth. What a driver finds
 * wrong with its source, whoever asks, is.
 */
#ifndef POSTERN_BACKEND_BACKEND_H
#define POSTERN_BACKEND_BACKEND_H

#include "base/secret.h"
#include "config/config.h"
#include "ipc/message.h"

struct sandbox;

enum { BACKEND_WHY = 512 };

struct backend_question {
	/* All end with NUL and hold no control characters (C1). */
	const char *name; /* "alice", or "alice@other.example" */
	const char *password;
	const char *client; /* address; "": nobody knows */
	const char *secret; /* the first line of the section's bind_password_file; "": none */
	int64_t until;      /* monotonic ms */
};

struct backend_answer {
	enum ipc_check verdict;
	char why[BACKEND_WHY];  /* a sentence without the password */
	char note[BACKEND_WHY]; /* for the log of this process, about its source; "": nothing */
};

struct backend_driver {
	enum backend_type type;
	/* A group that the processes are in unless the section names another; NULL: none. */
	const char *group;
	bool may_be_root; /* if the section says user = "root" */
	/*
	 * Before rights are given up: loads what the sandbox hides. What can be mended while the
	 * server runs is no error here; it is found, and told, at each question. why: BACKEND_WHY.
	 */
	enum err (*start)(const struct config *config, const struct config_backend *section,
			  char *why);
	/* What the process may do then; lists are the driver's, and stay. */
	void (*sandbox)(const struct config_backend *section, struct sandbox *sandbox_out);
	/* On the thread. */
	void (*check)(const struct config_backend *section, const struct backend_question *question,
		      struct backend_answer *answer);
	/* The process ends now, and its thread is still at work: ends what is not of the process. */
	void (*give_up)(void);
};

/* Sets verdict and sentence. */
void backend_say(struct backend_answer *answer, enum ipc_check verdict, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* What others said, for a sentence: whole characters that can be printed, cut at size - 1 bytes. */
void backend_words(struct slice text, char *words_out, size_t size);

/* Runs the process; drivers: of this executable, the last is NULL. */
int backend_main(int argc, char **argv, const struct backend_driver *const *drivers);

#endif
