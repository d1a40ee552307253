/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to HTTPS servers that the configuration names, a bounded number at a time: each is
 * looked up, gets a thread when one is free, and is answered within its time. One server that is
 * slow keeps no more than a part of the threads.
 *
 * Where a URL comes from: from settings alone. So its host may have any address, private ones too,
 * as issuers on the inner network have; nothing in a token or an answer leads anywhere.
 */
#ifndef POSTERN_AGENT_HTTPS_H
#define POSTERN_AGENT_HTTPS_H

#include "base/slice.h"

struct https;
struct https_request;
struct loop;
struct resolver;
struct trust;

enum {
	HTTPS_THREADS = 16,
	HTTPS_THREADS_OF_ONE = 6, /* that one URL may keep busy */
	HTTPS_WAITING = 512,      /* questions that may wait */
};

/* All of it is copied. */
struct https_question {
	const char *url;
	struct trust *trust; /* who may vouch for the server */
	const char *user;    /* for HTTP Basic as of RFC 6749 section 2.3.1; NULL: none */
	struct slice password;
	struct slice bearer; /* instead of a user; empty: none */
	struct slice form;   /* what to POST, encoded; empty pointer: GET */
	struct slice json;   /* the same, as JSON */
	size_t answer_max;   /* bytes */
	uint64_t timeout;    /* ms, the look-up and the wait for a thread included */
};

struct https_answer {
	enum err err;      /* ERR_OK: status 200, and all of it is here */
	const char *why;   /* in words, if it is not */
	struct slice body; /* in the callback only */
	struct slice cache_control;
};

typedef void https_fn(void *arg, const struct https_answer *answer);

/* Starts the threads: before the sandbox closes. why: 512 bytes. */
enum err https_new(struct loop *loop, struct resolver *resolver, struct https **https_out,
		   char *why);
/* Ends what is under way; nothing is called back. */
void https_free(struct https **https);
/* fn is called later, once, unless it is cancelled. NULL: too many wait. */
struct https_request *https_ask(struct https *https, const struct https_question *question,
				https_fn *fn, void *arg);
void https_cancel(struct https_request **request); /* may be NULL */

/* Appends text as in a form (application/x-www-form-urlencoded). */
struct buf;
enum err https_encode(struct slice text, struct buf *out);

#endif
