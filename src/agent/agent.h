/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent process: what others have to be asked by HTTPS. It keeps the answers in a folder of its
 * own, and never sees mail or passwords of accounts; nobody can connect to it.
 *
 *	agent.c       the channel to auth, and the issuers of the configuration
 *	issuers.c     one issuer of tokens: how it is asked, and whether it answers
 *	keys.c        its keys (jwks_url): fetched, kept fresh, kept over a restart
 *	keys_file.c   how they lie on disk
 *	introspect.c  what it says about one token (introspect_url)
 *	post.c        alerts to the administrator's webhook
 *	https.c       questions: which may be asked now; transfer.c asks one, on a thread
 *
 * Whatever answers is checked by who uses it: auth reads each set of keys, and each answer, itself.
 */
#ifndef POSTERN_AGENT_AGENT_H
#define POSTERN_AGENT_AGENT_H

#include "config/config.h"
#include "ipc/message.h"

struct channel;
struct child;
struct file;
struct hook;
struct https;
struct issuer;
struct loop;
struct question;
struct resolver;
struct trust;
struct worker_pool;

struct agent {
	struct child *child;
	struct loop *loop;
	struct resolver *resolver;
	struct https *https;
	struct worker_pool *disk; /* one thread, which writes */
	struct trust *system;     /* its authorities; NULL: there are none */
	struct file *files;       /* of the configuration that is being prepared */
	struct issuer **issuers;  /* of that in force */
	size_t issuer_count;
	struct question *questions;
	struct hook *hook; /* of alerts */
	struct channel *auth;
	char folder[4096];
};

/* Queues a message to auth; forgotten if it is not there. */
void agent_tell(struct agent *agent, uint16_t type, const void *msg);

#endif
