/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world of the auth process under test: a master, two smtpd, a queue that keeps its grants as
 * the real one would, and control. One per test program; its tests run in order on one store.
 */
#ifndef POSTERN_TESTS_SCENARIO_AUTH_WORLD_H
#define POSTERN_TESTS_SCENARIO_AUTH_WORLD_H

/* What cmocka wants before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "peers.h"

enum { GRANTS_MAX = 64, WAITING = 8 };

struct fake_queue {
	struct peer *peer;
	bool acknowledges;
	uint32_t incarnation;
	struct { /* what it holds, as queue would */
		uint64_t number;
		char account[64], bounce[64], domains[256], senders[256];
		uint16_t smtpd_index;
		bool any_sender, any_recipient;
		uint32_t recipients_left;
	} grants[GRANTS_MAX];
	size_t count;
	size_t revoked;
};

struct auth_world {
	char folder[64];
	const char *program;
	struct loop *loop;
	struct config *config;
	uint32_t generation;
	struct process process;
	struct peer *smtpd[2], *control;
	struct fake_queue queue;
	uint64_t session, op;
	uint64_t standing[2];
	unsigned alerts, alerts_over; /* that master was told of */
	char alert[600];              /* the last one: kind and subject */
};

extern struct auth_world t;

#define GOOD "correct horse battery"

/* ---- queue: a filter on its channel stores, acknowledges and forgets grants ---- */
size_t find_grant(uint64_t number);
bool wait_until_revoked(size_t count);
void start_queue(void);
void start_smtpd(int index);
uint64_t start_login(int smtpd, const char *mechanism, bool tls, bool has_token, const void *token,
		     size_t len);
uint64_t start_plain(int smtpd, const char *name, const char *password);
void expect_fail(int smtpd, uint64_t session, uint16_t code, const char *status,
		 const char *reason);
uint64_t expect_ok(int smtpd, uint64_t session);
uint64_t log_in(int smtpd, const char *name, const char *password);
void end_grant(int smtpd, uint64_t grant);
void send_op(uint16_t op, const char *subject, const char *secret, const char *key,
	     const char *value);
void expect_end(uint8_t status, const char *words);
void operate(uint16_t op, const char *subject, const char *secret, const char *words);
uint64_t status_number(const char *key);
void set_accept_for(const char *domain);
void start_all(void);
int stop_all(void);
int set_up(void **state);
int tear_down(void **state);
void join(struct ipc_list list, char *out, size_t size);

/* Runs the tests on the executable that argv names; the status for main to return. */
int run_auth_tests(int argc, char **argv, int (*run)(void));

#endif
