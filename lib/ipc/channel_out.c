/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/channel_internal.h"

#include <string.h>

#include "base/mem.h"
#include "os/net.h"

enum { KEEP_MEMORY = 512 * 1024 };

void channel_trim(struct buf *buf)
{
	if (buf_len(buf) == 0 && buf->size > KEEP_MEMORY)
		buf_release(buf);
}

void channel_wipe(struct slice done)
{
	if (done.len != 0)
		explicit_bzero((char *)(uintptr_t)done.ptr, done.len);
}

/* ---- life ----------------------------------------------------------------------------------- */

void outgoing_init(struct outgoing *out)
{
	buf_init(&out->control, CHANNEL_CONTROL_MAX);
	buf_init(&out->bulk, CHANNEL_CREDIT_BYTES + CHANNEL_CREDIT_MESSAGES * IPC_HEADER);
	out->credit_bytes = CHANNEL_CREDIT_BYTES;
	out->credit_messages = CHANNEL_CREDIT_MESSAGES;
}

void outgoing_drop(struct outgoing *out)
{
	for (size_t i = 0; i < out->fd_count; i++)
		net_close(&out->fds[i].fd);
	out->fd_count = 0;
	buf_clear(&out->control);
	buf_clear(&out->bulk);
	out->bulk_begun = 0;
}

void outgoing_release(struct outgoing *out)
{
	buf_wipe(&out->control);
	buf_release(&out->bulk);
	mem_free(out->fds);
}

/* ---- what is to be sent --------------------------------------------------------------------- */

bool outgoing_waits(const struct outgoing *out)
{
	return buf_len(&out->control) != 0 || buf_len(&out->bulk) != 0;
}

bool outgoing_has_credit(struct outgoing *out, size_t payload_len)
{
	if (out->credit_messages != 0 && payload_len <= out->credit_bytes)
		return true;
	out->refused = true;
	return false;
}

bool outgoing_take_credit(struct outgoing *out, struct slice payload)
{
	struct msg_credit credit;
	uint32_t bytes_out = CHANNEL_CREDIT_BYTES - out->credit_bytes;
	uint32_t messages_out = CHANNEL_CREDIT_MESSAGES - out->credit_messages;

	if (ipc_decode(IPC_CREDIT, payload, &credit) != ERR_OK || credit.bytes > bytes_out ||
	    credit.messages > messages_out)
		return false;
	out->credit_bytes += credit.bytes;
	out->credit_messages += credit.messages;
	return true;
}

static void keep_fd(struct outgoing *out, uint64_t at, int fd)
{
	if (out->fd_count == out->fd_room) {
		out->fd_room = out->fd_room != 0 ? out->fd_room * 2 : 8;
		out->fds = mem_resize(out->fds, out->fd_room * sizeof(*out->fds));
	}
	out->fds[out->fd_count++] = (struct out_fd){at, fd};
}

static enum err put_bulk(struct outgoing *out, uint16_t type, const void *message)
{
	size_t before = buf_len(&out->bulk);
	enum err err = ipc_encode(type, message, 0, &out->bulk);
	size_t payload;

	if (err == ERR_FULL)
		out->refused = true;
	if (err != ERR_OK)
		return err;
	payload = buf_len(&out->bulk) - before - IPC_HEADER;
	if (!outgoing_has_credit(out, payload)) {
		buf_truncate(&out->bulk, before);
		return ERR_FULL;
	}
	out->credit_bytes -= (uint32_t)payload;
	out->credit_messages--;
	return ERR_OK;
}

enum err outgoing_put(struct outgoing *out, uint16_t type, const void *message, int fd)
{
	uint64_t at = out->control_sent + buf_len(&out->control);
	enum err err;

	if (ipc_type_bulk(type))
		return put_bulk(out, type, message);
	err = ipc_encode(type, message, fd != -1 ? 1 : 0, &out->control);
	if (err != ERR_OK)
		return err;
	if (ipc_type_secret(type))
		out->secret = true;
	if (fd != -1)
		keep_fd(out, at, fd);
	return ERR_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

void outgoing_gather(const struct outgoing *out, struct slice parts_out[OUTGOING_PARTS],
		     int *pass_out)
{
	struct slice control = buf_data(&out->control);
	struct slice bulk = buf_data(&out->bulk);
	size_t next = 0;

	parts_out[0] = slice_head(bulk, out->bulk_begun);
	*pass_out = -1;
	if (out->fd_count != 0 && out->fds[0].at == out->control_sent && parts_out[0].len == 0) {
		*pass_out = out->fds[0].fd;
		next = 1;
	}
	if (next < out->fd_count) {
		parts_out[1] = slice_head(control, out->fds[next].at - out->control_sent);
		parts_out[2] = slice_of("", 0);
	} else {
		parts_out[1] = control;
		parts_out[2] = slice_skip(bulk, out->bulk_begun);
	}
}

static void passed_fd(struct outgoing *out)
{
	net_close(&out->fds[0].fd);
	out->fd_count--;
	memmove(out->fds, out->fds + 1, out->fd_count * sizeof(*out->fds));
}

static void wrote_control(struct outgoing *out, size_t len)
{
	out->control_sent += len;
	if (out->secret)
		channel_wipe(slice_head(buf_data(&out->control), len));
	buf_consume(&out->control, len);
	out->secret = out->secret && buf_len(&out->control) != 0;
	channel_trim(&out->control);
}

/* len bytes of BULK were written; finds out how much of its last frame is still to come. */
static void wrote_bulk(struct outgoing *out, size_t len)
{
	size_t at = out->bulk_begun;

	while (at < len) {
		uint32_t payload;

		memcpy(&payload, buf_data(&out->bulk).ptr + at, sizeof(payload));
		at += IPC_HEADER + payload;
	}
	out->bulk_begun = at - len;
	buf_consume(&out->bulk, len);
	channel_trim(&out->bulk);
}

void outgoing_wrote(struct outgoing *out, const struct slice parts[OUTGOING_PARTS], size_t len,
		    bool passed)
{
	size_t begun = len < parts[0].len ? len : parts[0].len;
	size_t control = len - begun < parts[1].len ? len - begun : parts[1].len;

	if (passed)
		passed_fd(out);
	wrote_control(out, control);
	wrote_bulk(out, len - control);
}
