/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file for each URL, which begins with a line that says what it is:
 *
 *	postern-jwks 1 FETCHED SHA256 URL
 *
 * Then follows the set as it came. What is not just that is not used: half a file, one for another
 * URL, one from a time to come.
 */
#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/mem.h"
#include "os/log.h"
#include "os/os.h"
#include "os/worker.h"
#include "token/token.h"

enum {
	DIGEST = 32,
	HEX = 2 * DIGEST + 1,
	NAME_HEX = 32, /* as many digits as make a name */
	HEAD_MAX = 8192,
	TIME_MAX = 20,
};

static const char magic[] = "postern-jwks 1 ";

static bool digest(struct slice text, char hex_out[HEX])
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	size_t len = 0;

	if (EVP_Q_digest(NULL, "SHA256", NULL, text.ptr, text.len, bytes, &len) != 1 ||
	    len != DIGEST)
		return false;
	for (size_t i = 0; i < DIGEST; i++)
		(void)snprintf(hex_out + 2 * i, 3, "%02x", bytes[i]);
	return true;
}

static bool path_of(const char *folder, const char *url, char path_out[OS_PATH_MAX])
{
	char hex[HEX];

	return digest(slice_str(url), hex) && snprintf(path_out, OS_PATH_MAX, "%s/jwks-%.*s",
						       folder, (int)NAME_HEX, hex) < OS_PATH_MAX;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* NULL: it is what it says. */
static const char *check(struct slice data, const char *url, int64_t now, struct slice *text_out,
			 int64_t *fetched_out)
{
	struct slice head = slice_head(data, slice_find(data, '\n')), time, sum;
	struct slice text = slice_skip(data, head.len + 1);
	struct token_keys *keys = NULL;
	char why[TOKEN_WHY], hex[HEX];
	uint64_t fetched;

	if (!slice_starts(head, magic))
		return "it is no such file";
	head = slice_skip(head, sizeof(magic) - 1);
	if (!slice_split(&head, ' ', &time) || !slice_split(&head, ' ', &sum) ||
	    slice_number(time, INT64_MAX, &fetched) != ERR_OK)
		return "its first line cannot be read";
	if (!slice_is(head, url))
		return "it is of another address";
	if (!digest(text, hex) || !slice_is(sum, hex))
		return "it is damaged";
	if ((int64_t)fetched > now)
		return "it is from a time to come";
	if (token_keys_read(text, &keys, why) != ERR_OK)
		return "there are no keys in it";
	token_keys_free(&keys);
	*text_out = text;
	*fetched_out = (int64_t)fetched;
	return NULL;
}

enum err keys_file_read(const char *folder, const char *url, int64_t now, struct buf *text_out,
			int64_t *fetched_out, char *why)
{
	char path[OS_PATH_MAX];
	const char *fault;
	struct slice text;
	struct buf data;
	enum err err;

	if (!path_of(folder, url, path))
		return ERR_NOT_FOUND;
	buf_init(&data, HEAD_MAX + TOKEN_KEYS_MAX);
	err = os_read_file(path, HEAD_MAX + TOKEN_KEYS_MAX, &data);
	if (err == ERR_OK) {
		fault = check(buf_data(&data), url, now, &text, fetched_out);
		if (fault == NULL) {
			buf_clear(text_out);
			err = buf_append_slice(text_out, text);
		} else {
			(void)snprintf(why, ISSUER_WHY, "%.300s: %s", path, fault);
			err = ERR_SYNTAX;
		}
	} else if (err != ERR_NOT_FOUND) {
		(void)snprintf(why, ISSUER_WHY, "%.300s: it cannot be read (%s)", path,
			       err_name(err));
	}
	buf_release(&data);
	return err;
}

/* ---- writing -------------------------------------------------------------------------------- */

struct save {
	char path[OS_PATH_MAX];
	struct buf data;
	enum err err;
	int error;
};

static void work(void *arg)
{
	struct save *save = arg;

	save->err = os_write_file(save->path, buf_data(&save->data), 0600);
	save->error = errno;
}

static void free_save(struct save *save)
{
	buf_release(&save->data);
	mem_free(save);
}

static void done(void *arg)
{
	struct save *save = arg;
	char why[ISSUER_WHY];

	if (save->err != ERR_OK) {
		os_explain_file(save->path, save->error, why, sizeof(why));
		log_note(LOG_WARNING, "the keys of an issuer cannot be kept for the next start: %s",
			 why);
	}
	free_save(save);
}

enum err keys_file_save(struct agent *agent, const char *url, struct slice text, int64_t fetched)
{
	struct save *save = mem_alloc(sizeof(*save));
	char hex[HEX];
	enum err err = ERR_INTERNAL;

	buf_init(&save->data, HEAD_MAX + TOKEN_KEYS_MAX);
	if (path_of(agent->folder, url, save->path) && digest(text, hex)) {
		err = buf_printf(&save->data, "%s%lld %s %s\n", magic, (long long)fetched, hex,
				 url);
		if (err == ERR_OK)
			err = buf_append_slice(&save->data, text);
	}
	if (err == ERR_OK)
		err = worker_submit(agent->disk, work, done, save);
	if (err != ERR_OK)
		free_save(save);
	return err;
}
