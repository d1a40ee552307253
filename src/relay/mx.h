/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which hosts take mail for a domain (RFC 5321 5.1, RFC 7505): MX in order of preference, else
 * the domain itself. Answers are kept as long as DNS says, at most a minute, and shared by all who
 * ask at the same time.
 */
#ifndef POSTERN_RELAY_MX_H
#define POSTERN_RELAY_MX_H

#include "base/slice.h"
#include "relay.h"

struct mx_wait;

struct mx_target {
	char name[RELAY_HOST_MAX];
	uint16_t preference;
};

enum mx_status {
	MX_OK,
	MX_IMPLICIT, /* no MX: the domain itself is the host */
	MX_NULL,     /* takes no mail: 556 5.1.10 */
	MX_NO_NAME,  /* no such domain: 5.1.2 */
	MX_LOOP,     /* we are its best mail server: 5.4.6 */
	MX_UNUSABLE, /* MX records, none with the name of a host: 5.4.4 */
	MX_FAILED,   /* try later */
};

struct mx_answer {
	enum mx_status status;
	const char *why;                 /* FAILED */
	const struct mx_target *targets; /* by preference */
	size_t count;
};

typedef void mx_fn(void *arg, const struct mx_answer *answer);

struct mx *mx_new(struct relay *relay);
void mx_free(struct mx **mx);
/*
 * Calls fn once; at once, returning NULL, if the answer is known. The answer is valid in the
 * callback only. domain: without a trailing dot.
 */
struct mx_wait *mx_lookup(struct mx *mx, struct slice domain, mx_fn *fn, void *arg);
void mx_cancel(struct mx_wait **wait);     /* may be NULL */
void mx_sweep(struct mx *mx, int64_t now); /* drops answers that are too old */

#endif
