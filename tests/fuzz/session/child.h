/* SPDX-License-Identifier: Apache-2.0 */
/* lib/ipc/child.h with the harness in the place of master: smtpd's main() only tells its role. */
#ifndef POSTERN_TESTS_FUZZ_SESSION_CHILD_H
#define POSTERN_TESTS_FUZZ_SESSION_CHILD_H

#include <stddef.h>
#include <stdint.h>

#include "ipc/child.h"

struct config;
struct loop;
struct tls_identity;

struct child {
	struct loop *loop;
	const struct config *config;
	void *data;
	bool exited;
	int64_t over; /* when it must have ended, on the loop's clock; 0: nobody told it to stop */
};

/* As main() of smtpd gave it. */
const struct child_role *play_role(void);
/* A configuration comes into force: its listeners, one descriptor each, and its certificate. */
void play_configuration(struct child *child, const struct config *config, const int *listeners,
			size_t count, const struct tls_identity *identity);
/* master stops it: it has within_ms, and ends on time. */
void play_shutdown(struct child *child, uint32_t within_ms);

#endif
