/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question by HTTPS and its answer, with libcurl, on a thread that may wait. https alone, no
 * redirect is followed, no proxy of the environment is used, the server's certificate must be
 * valid for its name, and both size and time have an end. Addresses are found before: libcurl
 * would start threads for that.
 */
#ifndef POSTERN_AGENT_TRANSFER_H
#define POSTERN_AGENT_TRANSFER_H

#include <stdatomic.h>

#include <curl/curl.h>

#include "base/buf.h"
#include "base/secret.h"

enum {
	TRANSFER_WHY = 512,
	TRANSFER_CACHE_CONTROL_MAX = 1024, /* bytes of that field that are looked at */
};

struct trust; /* authorities in PEM */
/* pem is copied; held by who made it. Owners count: on the loop's thread only. */
struct trust *trust_new(struct slice pem);
struct trust *trust_hold(struct trust *trust);
void trust_free(struct trust **trust);

/* What keeps connections to be used again; one transfer at a time. */
struct transfer_slot;
/* Before the sandbox closes. NULL: libcurl cannot be set up. */
struct transfer_slot *transfer_slot_new(void);
void transfer_slot_free(struct transfer_slot **slot);
/* Ends the transfer that another thread runs on it, if that was stopped. */
void transfer_slot_wake(struct transfer_slot *slot);

struct transfer {
	struct transfer_slot *slot;
	/* The question. */
	char *url;
	char *addresses; /* of its host as libcurl takes them; NULL: the URL names one */
	struct trust *trust;
	struct secret authorization; /* "Basic ..."; empty: none is sent */
	bool post;
	bool any_2xx;       /* not only 200 is well, and what it says is no matter */
	struct secret body; /* of a POST */
	const char *content_type;
	size_t answer_max;
	uint64_t timeout; /* ms */
	atomic_bool stop;
	/* The answer. ERR_OK: with status 200, whole; else why says it in words. */
	enum err err;
	struct buf answer;
	struct buf cache_control; /* as it came; several with commas between */
	char why[TRANSFER_WHY];
};

/* Why a URL cannot be used, NULL: it can. host_out: 256 bytes, an IPv6 address in brackets. */
const char *transfer_split(const char *url, char host_out[256], uint16_t *port_out);
void transfer_run(struct transfer *transfer);
/* Frees what is in it, wiped. */
void transfer_release(struct transfer *transfer);

#endif
