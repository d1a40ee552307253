/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each slot has a multi handle of its own, made before the sandbox closes: it needs a pair of
 * sockets, and it holds the connections that are kept.
 */
#include "transfer.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum {
	HEADERS_MAX = 64 * 1024, /* bytes of all header lines */
	IDLE_SECONDS = 30,       /* a connection that was not used for so long is not used again */
	POLL_MS = 1000,          /* libcurl sets the time; this is if it forgets */
};

struct trust {
	unsigned owners;
	struct secret pem;
};

struct transfer_slot {
	CURLM *multi;
	CURL *easy;
};

/* ---- authorities ---------------------------------------------------------------------------- */

struct trust *trust_new(struct slice pem)
{
	struct trust *trust = mem_alloc(sizeof(*trust));

	trust->owners = 1;
	secret_set(&trust->pem, pem);
	return trust;
}

struct trust *trust_hold(struct trust *trust)
{
	trust->owners++;
	return trust;
}

void trust_free(struct trust **trust)
{
	struct trust *gone = *trust;

	*trust = NULL;
	if (gone == NULL || --gone->owners > 0)
		return;
	secret_clear(&gone->pem);
	mem_free(gone);
}

/* ---- slots ---------------------------------------------------------------------------------- */

struct transfer_slot *transfer_slot_new(void)
{
	struct transfer_slot *slot = mem_alloc(sizeof(*slot));

	slot->multi = curl_multi_init();
	slot->easy = curl_easy_init();
	if (slot->multi == NULL || slot->easy == NULL ||
	    curl_multi_setopt(slot->multi, CURLMOPT_MAXCONNECTS, 2L) != CURLM_OK)
		transfer_slot_free(&slot);
	return slot;
}

void transfer_slot_free(struct transfer_slot **slot)
{
	struct transfer_slot *gone = *slot;

	*slot = NULL;
	if (gone == NULL)
		return;
	curl_easy_cleanup(gone->easy);
	curl_multi_cleanup(gone->multi);
	mem_free(gone);
}

void transfer_slot_wake(struct transfer_slot *slot)
{
	(void)curl_multi_wakeup(slot->multi);
}

/* ---- addresses ------------------------------------------------------------------------------ */

static bool take_part(CURLU *parts, CURLUPart what, char *text, size_t size)
{
	char *part = NULL;
	bool good = curl_url_get(parts, what, &part, CURLU_DEFAULT_PORT) == CURLUE_OK &&
		    slice_copy(slice_str(part), text, size) == ERR_OK;

	curl_free(part);
	return good;
}

const char *transfer_split(const char *url, char host_out[256], uint16_t *port_out)
{
	CURLU *parts = curl_url();
	char scheme[16], port[8];
	uint64_t number = 0;
	bool good = parts != NULL && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
		    take_part(parts, CURLUPART_SCHEME, scheme, sizeof(scheme)) &&
		    slice_is_nocase(slice_str(scheme), "https") &&
		    take_part(parts, CURLUPART_HOST, host_out, 256) &&
		    take_part(parts, CURLUPART_PORT, port, sizeof(port)) &&
		    slice_number(slice_str(port), UINT16_MAX, &number) == ERR_OK && number > 0;

	curl_url_cleanup(parts);
	*port_out = (uint16_t)number;
	return good ? NULL : "its address cannot be read";
}

/* ---- what comes back ------------------------------------------------------------------------ */

struct run {
	struct transfer *transfer;
	size_t header_bytes;
	const char *why; /* it was broken off */
	char error[CURL_ERROR_SIZE];
};

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
	struct run *run = arg;
	struct slice line = slice_of(data, size * count), name = {0}, value;
	struct buf *out = &run->transfer->cache_control;

	run->header_bytes += line.len;
	if (run->header_bytes > HEADERS_MAX) {
		run->why = "its answer has too many header lines";
		return 0;
	}
	while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
		line.len--;
	value = line;
	(void)slice_split(&value, ':', &name);
	if (slice_is_nocase(name, "Cache-Control")) {
		if (buf_len(out) > 0)
			(void)buf_append_byte(out, ',');
		(void)buf_append_slice(out, slice_trim(value));
	}
	return size * count;
}

static size_t on_data(char *data, size_t size, size_t count, void *arg)
{
	struct run *run = arg;

	if (run->transfer->any_2xx ||
	    buf_append(&run->transfer->answer, data, size * count) == ERR_OK)
		return size * count;
	run->why = "its answer is too large";
	return 0;
}

/* ---- a transfer ----------------------------------------------------------------------------- */

#define SET(option, value)                                                                         \
	if (result == CURLE_OK)                                                                    \
	result = curl_easy_setopt(easy, (option), (value))

static CURLcode set_terms(CURL *easy, const struct transfer *transfer)
{
	struct curl_blob pem = {transfer->trust->pem.mem, transfer->trust->pem.len,
				CURL_BLOB_NOCOPY};
	CURLcode result = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");

	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, ""); /* also none of the environment */
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_CAINFO, (char *)NULL);
	SET(CURLOPT_CAPATH, (char *)NULL);
	SET(CURLOPT_CAINFO_BLOB, &pem);
	SET(CURLOPT_TIMEOUT_MS, (long)transfer->timeout);
	SET(CURLOPT_MAXAGE_CONN, (long)IDLE_SECONDS);
	SET(CURLOPT_USERAGENT, "postern/" POSTERN_VERSION);
	return result;
}

static CURLcode set_question(CURL *easy, struct run *run, struct curl_slist *addresses,
			     struct curl_slist *headers)
{
	struct transfer *transfer = run->transfer;
	CURLcode result = curl_easy_setopt(easy, CURLOPT_URL, transfer->url);

	SET(CURLOPT_RESOLVE, addresses);
	SET(CURLOPT_HTTPHEADER, headers);
	SET(CURLOPT_ERRORBUFFER, run->error);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, run);
	SET(CURLOPT_WRITEFUNCTION, on_data);
	SET(CURLOPT_WRITEDATA, run);
	if (transfer->post) {
		SET(CURLOPT_POSTFIELDSIZE, (long)transfer->body.len);
		SET(CURLOPT_POSTFIELDS,
		    transfer->body.mem != NULL ? (const char *)transfer->body.mem : "");
	}
	return result;
}

static bool add_line(struct curl_slist **list, const char *name, struct slice value)
{
	struct curl_slist *longer;
	struct buf line;

	buf_init(&line, 8192);
	longer = buf_printf(&line, "%s%.*s", name, SLICE_ARG(value)) == ERR_OK &&
				 buf_append_byte(&line, '\0') == ERR_OK
			 ? curl_slist_append(*list, buf_data(&line).ptr)
			 : NULL;
	buf_wipe(&line);
	if (longer != NULL)
		*list = longer;
	return longer != NULL;
}

static struct curl_slist *make_headers(const struct transfer *transfer)
{
	struct curl_slist *list = NULL;
	struct slice authorization = secret_value(&transfer->authorization);
	bool good = add_line(&list, "Accept: ", SLICE_LIT("application/json"));

	if (transfer->post)
		good = good &&
		       add_line(&list, "Content-Type: ", slice_str(transfer->content_type)) &&
		       add_line(&list, "Expect:", SLICE_LIT(""));
	if (authorization.len > 0)
		good = good && add_line(&list, "Authorization: ", authorization);
	if (good)
		return list;
	curl_slist_free_all(list);
	return NULL;
}

/* libcurl keeps what it was given as it is: the secret is overwritten where we can reach it. */
static void free_headers(struct curl_slist *list)
{
	for (struct curl_slist *line = list; line != NULL; line = line->next)
		explicit_bzero(line->data, strlen(line->data));
	curl_slist_free_all(list);
}

/* Until it is done, or was stopped. */
static CURLcode drive(struct transfer *transfer)
{
	CURLM *multi = transfer->slot->multi;
	CURLcode result = CURLE_ABORTED_BY_CALLBACK;
	int running = 1, left;
	CURLMsg *msg;

	while (running > 0 && !atomic_load(&transfer->stop) &&
	       curl_multi_perform(multi, &running) == CURLM_OK)
		if (running > 0 && curl_multi_poll(multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)
			break;
	while ((msg = curl_multi_info_read(multi, &left)) != NULL)
		if (msg->msg == CURLMSG_DONE)
			result = msg->data.result;
	return result;
}

/* What it was, for people; nothing of what was sent is in libcurl's words. */
static void judge(struct transfer *transfer, const struct run *run, CURLcode result)
{
	long status = 0;

	(void)curl_easy_getinfo(transfer->slot->easy, CURLINFO_RESPONSE_CODE, &status);
	transfer->err = ERR_IO;
	if (run->why != NULL)
		(void)snprintf(transfer->why, TRANSFER_WHY, "%s", run->why);
	else if (result == CURLE_OPERATION_TIMEDOUT)
		(void)snprintf(transfer->why, TRANSFER_WHY, "no answer within %.1f s",
			       (double)transfer->timeout / 1000);
	else if (result != CURLE_OK)
		(void)snprintf(transfer->why, TRANSFER_WHY, "%s",
			       run->error[0] != '\0' ? run->error : curl_easy_strerror(result));
	else if (status == 401 || status == 403)
		(void)snprintf(transfer->why, TRANSFER_WHY,
			       "it refuses to answer us (HTTP %ld); is the secret right by "
			       "which it knows us?",
			       status);
	else if (status >= 300 && status < 400)
		(void)snprintf(transfer->why, TRANSFER_WHY,
			       "it sends us elsewhere (HTTP %ld), which is not followed; name the "
			       "address that answers itself",
			       status);
	else if (transfer->any_2xx ? status < 200 || status > 299 : status != 200)
		(void)snprintf(transfer->why, TRANSFER_WHY, "it answers HTTP %ld", status);
	else
		transfer->err = ERR_OK;
}

void transfer_run(struct transfer *transfer)
{
	CURL *easy = transfer->slot->easy;
	struct run run = {.transfer = transfer};
	struct curl_slist *headers = make_headers(transfer), *addresses = NULL;
	CURLcode result = CURLE_OUT_OF_MEMORY;

	if (transfer->addresses != NULL)
		addresses = curl_slist_append(NULL, transfer->addresses);
	buf_init(&transfer->answer, transfer->answer_max);
	buf_init(&transfer->cache_control, TRANSFER_CACHE_CONTROL_MAX);
	curl_easy_reset(easy);
	if (headers != NULL && (addresses != NULL) == (transfer->addresses != NULL))
		result = set_terms(easy, transfer);
	if (result == CURLE_OK)
		result = set_question(easy, &run, addresses, headers);
	if (result == CURLE_OK && curl_multi_add_handle(transfer->slot->multi, easy) == CURLM_OK) {
		result = drive(transfer);
		judge(transfer, &run, result);
		(void)curl_multi_remove_handle(transfer->slot->multi, easy);
	} else {
		judge(transfer, &run, result != CURLE_OK ? result : CURLE_FAILED_INIT);
	}
	curl_easy_reset(easy); /* it points to what ends here */
	free_headers(headers);
	curl_slist_free_all(addresses);
}

void transfer_release(struct transfer *transfer)
{
	MEM_FREE(transfer->url);
	MEM_FREE(transfer->addresses);
	trust_free(&transfer->trust);
	secret_clear(&transfer->authorization);
	secret_clear(&transfer->body);
	buf_wipe(&transfer->answer);
	buf_wipe(&transfer->cache_control);
}
