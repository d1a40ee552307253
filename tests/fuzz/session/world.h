/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything around smtpd in one run: its clients (client.c), auth and queue (backend.c) and its
 * log (watchlog.c). There is one run at a time. Each part checks what must hold whatever comes.
 */
#ifndef POSTERN_TESTS_FUZZ_SESSION_WORLD_H
#define POSTERN_TESTS_FUZZ_SESSION_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/msgid.h"

struct child;
struct config;
struct loop;
struct net_address;

enum { CLIENTS = 2, MESSAGES_MAX = 64, GRANTS_MAX = 64, SECRETS_MAX = 16, SECRET_MAX = 64 };

/* A message as queue knows it. */
struct known {
	struct msgid id;
	bool open;   /* SUBMIT_OPEN came, its end did not */
	bool whole;  /* waits for its answer */
	bool stored; /* we answered, or will answer, that it is stored */
	bool told;   /* a client read "Accepted as" with its name */
	char last;   /* byte of its body */
};

struct world {
	struct loop *loop;
	struct child *child;
	const struct config *config;
	uint32_t incarnation; /* of auth and queue together */
	uint64_t grants[GRANTS_MAX];
	uint64_t session; /* that waits for auth's answer; 0 none */
	unsigned grant_count;
	struct known known[MESSAGES_MAX];
	unsigned known_count;
	struct slice input; /* all of it */
	/* What the client meant as a secret: at least SECRET_LEAST bytes, sent once. */
	struct {
		char text[SECRET_MAX];
		size_t len;
	} secrets[SECRETS_MAX];
	unsigned secret_count;
};

extern struct world the_world;

/* ---- auth and queue ---- */
void backend_auth_start(void);
void backend_queue_start(void);
void backend_stop(void);
/* What they do with the questions to come, one letter each; see the table in backend.c. */
void backend_plan(struct slice auth, struct slice queue);
/* What they do now, unasked. */
void backend_act(char what);

/* ---- clients ---- */
void clients_begin(void);
void clients_end(void);
/* What the server said since; true if there was anything. */
bool clients_read(void);
void client_choose(unsigned index);
void client_connect(unsigned listener, const struct net_address *from);
void client_send(struct slice bytes);
void client_send_in_clear(struct slice bytes);
void client_start_tls(void);
void client_close_notify(void);
void client_end(void);
void client_reset(void);
void client_deaf(bool deaf);
/* Waits until nothing happens any more. */
void world_settle(void);

/* ---- the log ---- */
void watchlog_begin(bool json);
/* Each line is one line, and no secret is in it. */
void watchlog_check(void);

#endif
