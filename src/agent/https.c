/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request is looked up (its queries run), then waits until a thread and its share of them are
 * free, then is with a thread, from which only its end brings it back: who cancels it there is just
 * not told.
 */
#include "https.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <utlist.h>

#include "base/base64.h"
#include "base/mem.h"
#include "dns/resolve.h"
#include "os/loop.h"
#include "os/os.h"
#include "os/worker.h"
#include "transfer.h"

enum {
	ADDRESSES_MAX = 8, /* of a host that are tried */
	HOST_MAX = 256,
	LIST_MAX = HOST_MAX + 8 + ADDRESSES_MAX * (INET6_ADDRSTRLEN + 3),
	CREDENTIAL_MAX = 4096,
};

enum state { LOOKING_UP, READY, RUNNING };

struct https_request {
	struct https_request *prev, *next;
	struct https *https;
	enum state state;
	struct transfer transfer;
	int64_t until; /* monotonic */
	struct timer *timer;
	struct resolve_query *queries[2];
	char host[HOST_MAX];
	uint16_t port;
	struct buf addresses;
	size_t address_count;
	const char *lookup_why; /* of the family that failed */
	https_fn *fn;           /* NULL: cancelled */
	void *arg;
};

struct https {
	struct loop *loop;
	struct resolver *resolver;
	struct worker_pool *pool;
	struct transfer_slot *slots[HTTPS_THREADS];
	struct https_request *busy[HTTPS_THREADS]; /* who has the slot */
	char *last_url[HTTPS_THREADS];             /* whose connection may still be open there */
	struct https_request *requests;            /* oldest first */
	size_t waiting;
};

static void schedule(struct https *https);

/* ---- the end -------------------------------------------------------------------------------- */

static void free_request(struct https_request *request)
{
	DL_DELETE(request->https->requests, request);
	if (request->state != RUNNING)
		request->https->waiting--;
	for (size_t i = 0; i < 2; i++)
		resolve_cancel(&request->queries[i]);
	timer_free(&request->timer);
	buf_release(&request->addresses);
	transfer_release(&request->transfer);
	mem_free(request);
}

static void finish(struct https_request *request, enum err err, const char *why)
{
	https_fn *fn = request->fn;
	struct https_answer answer = {.err = err, .why = why};

	if (err == ERR_OK) {
		answer.body = buf_data(&request->transfer.answer);
		answer.cache_control = buf_data(&request->transfer.cache_control);
	}
	request->fn = NULL; /* whoever is told must not cancel it */
	if (fn != NULL)
		fn(request->arg, &answer);
	free_request(request);
}

static void on_timer(void *arg)
{
	struct https_request *request = arg;
	char why[128];

	(void)snprintf(why, sizeof(why), "%s within %.1f s",
		       request->state == READY ? "no thread was free"
					       : "the name servers said nothing",
		       (double)request->transfer.timeout / 1000);
	finish(request, ERR_TIMEOUT, why);
}

void https_cancel(struct https_request **request)
{
	struct https_request *gone = *request;

	*request = NULL;
	if (gone == NULL)
		return;
	gone->fn = NULL;
	if (gone->state != RUNNING) {
		free_request(gone);
		return;
	}
	atomic_store(&gone->transfer.stop, true);
	transfer_slot_wake(gone->transfer.slot);
}

/* ---- on a thread ---------------------------------------------------------------------------- */

static void work(void *arg)
{
	struct https_request *request = arg;

	transfer_run(&request->transfer);
}

static void done(void *arg)
{
	struct https_request *request = arg;
	struct https *https = request->https;

	for (size_t i = 0; i < HTTPS_THREADS; i++)
		if (https->busy[i] == request)
			https->busy[i] = NULL;
	finish(request, request->transfer.err, request->transfer.why);
	schedule(https);
}

static bool has_share(const struct https *https, const char *url)
{
	size_t busy = 0;

	for (size_t i = 0; i < HTTPS_THREADS; i++)
		busy += https->busy[i] != NULL &&
			slice_is(slice_str(url), https->busy[i]->transfer.url);
	return busy < HTTPS_THREADS_OF_ONE;
}

/* A slot that is free, one that last talked to this server if there is one. */
static size_t choose_slot(const struct https *https, const char *url)
{
	size_t found = HTTPS_THREADS;

	for (size_t i = 0; i < HTTPS_THREADS; i++) {
		if (https->busy[i] != NULL)
			continue;
		if (https->last_url[i] != NULL && slice_is(slice_str(https->last_url[i]), url))
			return i;
		if (found == HTTPS_THREADS || https->last_url[i] == NULL)
			found = i;
	}
	return found;
}

static void run(struct https_request *request, size_t slot)
{
	struct https *https = request->https;
	int64_t left = request->until - os_monotonic_ms();

	request->transfer.slot = https->slots[slot];
	request->transfer.timeout = left > 1 ? (uint64_t)left : 1;
	/* There are as many threads as slots; if not, its timer ends it. */
	if (worker_submit(https->pool, work, done, request) != ERR_OK)
		return;
	timer_stop(request->timer);
	request->state = RUNNING;
	https->waiting--;
	https->busy[slot] = request;
	mem_free(https->last_url[slot]);
	https->last_url[slot] = mem_strdup(request->transfer.url);
}

static void schedule(struct https *https)
{
	struct https_request *request, *next;

	DL_FOREACH_SAFE (https->requests, request, next) {
		size_t slot;

		if (request->state != READY || !has_share(https, request->transfer.url))
			continue;
		slot = choose_slot(https, request->transfer.url);
		if (slot == HTTPS_THREADS)
			return;
		run(request, slot);
	}
}

/* ---- addresses ------------------------------------------------------------------------------ */

static bool is_literal(const char *host)
{
	unsigned char bytes[16];

	return host[0] == '[' || inet_pton(AF_INET, host, bytes) == 1;
}

static void looked_up(struct https_request *request)
{
	struct slice list;
	char why[256];

	if (request->address_count == 0) {
		(void)snprintf(why, sizeof(why), "%.100s: %s", request->host,
			       request->lookup_why != NULL ? request->lookup_why
							   : "the name has no address");
		finish(request, ERR_NOT_FOUND, why);
		return;
	}
	list = buf_data(&request->addresses);
	request->transfer.addresses = mem_strndup(list.ptr, list.len);
	request->state = READY;
	schedule(request->https);
}

static void take(struct https_request *request, int family, const struct resolve_answer *answer)
{
	size_t len = family == AF_INET ? 4 : 16;
	char text[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < answer->count && request->address_count < ADDRESSES_MAX; i++) {
		if (answer->records[i].len != len ||
		    inet_ntop(family, answer->records[i].ptr, text, sizeof(text)) == NULL)
			continue;
		if (buf_printf(&request->addresses, family == AF_INET ? "%s%s" : "%s[%s]",
			       request->address_count > 0 ? "," : "", text) == ERR_OK)
			request->address_count++;
	}
	if (answer->status == RESOLVE_FAILED)
		request->lookup_why = answer->why;
}

static void on_a(void *arg, const struct resolve_answer *answer)
{
	struct https_request *request = arg;

	request->queries[0] = NULL;
	take(request, AF_INET, answer);
	if (request->queries[1] == NULL)
		looked_up(request);
}

static void on_aaaa(void *arg, const struct resolve_answer *answer)
{
	struct https_request *request = arg;

	request->queries[1] = NULL;
	take(request, AF_INET6, answer);
	if (request->queries[0] == NULL)
		looked_up(request);
}

static void look_up(struct https_request *request)
{
	struct https *https = request->https;

	if (is_literal(request->host)) {
		request->state = READY;
		schedule(https);
		return;
	}
	(void)buf_printf(&request->addresses, "%s:%u:", request->host, request->port);
	request->queries[0] =
		resolve_start(https->resolver, request->host, RESOLVE_A, on_a, request);
	request->queries[1] =
		resolve_start(https->resolver, request->host, RESOLVE_AAAA, on_aaaa, request);
}

/* ---- a question ----------------------------------------------------------------------------- */

enum err https_encode(struct slice text, struct buf *out)
{
	enum err err = ERR_OK;

	for (size_t i = 0; err == ERR_OK && i < text.len; i++) {
		char c = text.ptr[i];

		if (ascii_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '*')
			err = buf_append_byte(out, c);
		else if (c == ' ')
			err = buf_append_byte(out, '+');
		else
			err = buf_printf(out, "%%%02X", (unsigned char)c);
	}
	return err;
}

/* RFC 6749 section 2.3.1: both encoded as in a form, before they are joined. */
static enum err print_basic(const struct https_question *question, struct buf *line)
{
	struct buf plain;
	enum err err;

	buf_init(&plain, CREDENTIAL_MAX);
	err = https_encode(slice_str(question->user), &plain);
	if (err == ERR_OK)
		err = buf_append_byte(&plain, ':');
	if (err == ERR_OK)
		err = https_encode(question->password, &plain);
	if (err == ERR_OK)
		err = buf_append_str(line, "Basic ");
	if (err == ERR_OK)
		err = base64_encode(buf_data(&plain), line);
	buf_wipe(&plain);
	return err;
}

static enum err set_authorization(struct transfer *transfer, const struct https_question *question)
{
	enum err err = ERR_OK;
	struct buf line;

	buf_init(&line, 2 * CREDENTIAL_MAX);
	if (question->user != NULL) {
		err = print_basic(question, &line);
	} else if (question->bearer.len > 0) {
		err = buf_append_str(&line, "Bearer ");
		if (err == ERR_OK)
			err = buf_append_slice(&line, question->bearer);
	}
	if (err == ERR_OK && buf_len(&line) > 0)
		secret_set(&transfer->authorization, buf_data(&line));
	buf_wipe(&line);
	return err;
}

struct https_request *https_ask(struct https *https, const struct https_question *question,
				https_fn *fn, void *arg)
{
	struct https_request *request;
	const char *why;

	if (https->waiting >= HTTPS_WAITING)
		return NULL;
	request = mem_alloc(sizeof(*request));
	request->https = https;
	request->fn = fn;
	request->arg = arg;
	request->until = os_monotonic_ms() + (int64_t)question->timeout;
	request->timer = timer_new(https->loop, on_timer, request);
	buf_init(&request->addresses, LIST_MAX);
	request->transfer.url = mem_strdup(question->url);
	request->transfer.trust = trust_hold(question->trust);
	request->transfer.answer_max = question->answer_max;
	request->transfer.timeout = question->timeout;
	request->transfer.post = question->form.ptr != NULL || question->json.ptr != NULL;
	request->transfer.any_2xx = question->json.ptr != NULL;
	request->transfer.content_type = question->json.ptr != NULL
						 ? "application/json"
						 : "application/x-www-form-urlencoded";
	secret_set(&request->transfer.body,
		   question->json.ptr != NULL ? question->json : question->form);
	DL_APPEND(https->requests, request);
	https->waiting++;
	why = transfer_split(question->url, request->host, &request->port);
	if (why != NULL || set_authorization(&request->transfer, question) != ERR_OK) {
		free_request(request); /* the settings were checked: it cannot be */
		return NULL;
	}
	timer_set(request->timer, question->timeout);
	look_up(request);
	return request;
}

/* ---- life ----------------------------------------------------------------------------------- */

enum err https_new(struct loop *loop, struct resolver *resolver, struct https **https_out,
		   char *why)
{
	struct https *https;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		(void)snprintf(why, 512, "libcurl cannot be set up");
		return ERR_INTERNAL;
	}
	https = mem_alloc(sizeof(*https));
	https->loop = loop;
	https->resolver = resolver;
	for (size_t i = 0; i < HTTPS_THREADS; i++)
		if ((https->slots[i] = transfer_slot_new()) == NULL) {
			(void)snprintf(why, 512, "libcurl cannot be set up");
			https_free(&https);
			return ERR_INTERNAL;
		}
	https->pool = worker_pool_new(loop, "https", HTTPS_THREADS, HTTPS_THREADS);
	*https_out = https;
	return ERR_OK;
}

void https_free(struct https **https)
{
	struct https *gone = *https;
	struct https_request *request, *next;

	*https = NULL;
	if (gone == NULL)
		return;
	DL_FOREACH_SAFE (gone->requests, request, next) {
		struct https_request *one = request;

		https_cancel(&one);
	}
	worker_pool_free(&gone->pool); /* tells of those that ran, which frees them */
	DL_FOREACH_SAFE (gone->requests, request, next)
		free_request(request);
	for (size_t i = 0; i < HTTPS_THREADS; i++) {
		transfer_slot_free(&gone->slots[i]);
		mem_free(gone->last_url[i]);
	}
	mem_free(gone);
	curl_global_cleanup();
}
