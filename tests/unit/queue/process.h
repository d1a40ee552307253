/* SPDX-License-Identifier: Apache-2.0 */
/* The queue process between a master, an auth, a smtpd, a relay and a control of our own. */
#ifndef POSTERN_TEST_QUEUE_PROCESS_H
#define POSTERN_TEST_QUEUE_PROCESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/msgid.h"
#include "config/config.h"
#include "ipc/channel.h"
#include "os/disk.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"

struct got {
	struct got *next;
	uint16_t type;
	size_t len;
	char bytes[];
};

/* One of the queue's peers, played by the test. */
struct end {
	struct world *world;
	struct channel *channel;
	struct got *first, **last, *taken;
	bool over;
};

struct world {
	struct loop *loop;
	struct timer *timer;
	bool late;
	char *folder;
	pid_t pid;
	struct config *config;
	struct end master, auth, smtpd, relay, control;
	uint64_t key, keys_left;
	uint8_t taken; /* enum ipc_taken of what world_result says was delivered */
};

extern const char *world_program;      /* path of the executable */
extern const struct slice world_small; /* a message */

/* What a test begins with: arguments PROGRAM [TEST], and no rights of root. False: told on stderr.
 */
bool world_begin(int argc, char **argv);
/* For cmocka: a world as it comes, started, with all peers; and its end. */
int world_setup(void **state);
int world_teardown(void **state);

struct world *world_new(void); /* a folder and a configuration */
void world_free(struct world *world);
void world_start(struct world *world); /* process, configuration, commit */
void world_kill(struct world *world);
void world_shut_down(struct world *world); /* status 0 is expected */
void world_connect(struct world *world, struct end *end, enum ipc_role role, uint32_t incarnation);
void world_hang_up(struct end *end);
/* All peers, a grant (number 1) for any sender and recipient, relay ready. */
void world_connect_all(struct world *world);

void end_send(struct end *end, uint16_t type, const void *message);
/* The next message of this type, decoded; others are skipped. Valid until the next call. */
void end_expect(struct end *end, uint16_t type, void *message_out);
/* Whether one comes within the time. */
bool end_wait(struct end *end, uint16_t type, uint64_t within_ms, void *message_out);

void world_grant(struct world *world, uint64_t number, const char *sender, const char *domain,
		 uint32_t budget);
/* Submits; recipients separated by blanks. Returns the key. */
uint64_t world_submit(struct world *world, uint64_t grant, const char *sender,
		      const char *recipients, struct slice body);
/* The same with what the sender asks for; each has notify and orcpt of all recipients. */
uint64_t world_ask(struct world *world, uint64_t grant, const struct rec_mail *terms,
		   const struct rec_recipient *each, const char *recipients, struct slice body);
enum ipc_verdict world_verdict(struct world *world, uint64_t key);
/* Submits under grant 1 and expects it to be stored. */
uint64_t world_mail(struct world *world, const char *recipients, struct slice body);
/* Reports one result for all recipients of a delivery. */
void world_result(struct world *world, const struct msg_deliver *deliver, enum ipc_outcome outcome,
		  const char *text, bool down);
/* Sends an operation and returns its rows' count; text of the end in text (1024 bytes). */
size_t world_op(struct world *world, enum ipc_op op, const char *subject, const char *key,
		const char *value, uint8_t *status_out, char *text);
/* Recipients in the queue. */
size_t world_in_queue(struct world *world);
void world_random(uint64_t key, unsigned char random_out[MSGID_RANDOM]);

#endif
