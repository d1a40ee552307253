/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/exchange.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ipc/channel.h"
#include "os/loop.h"

/* A commit on a slow disk, or a reload, may take a while; rows keep the time running anew. */
enum { SILENCE_MS = 30000, QUESTION_ID = 1 };

struct talk {
	struct loop *loop;
	struct timer *timer;
	struct answer *answer;
	enum err result; /* ERR_AGAIN: not over yet */
	char *why;
};

static void over(struct talk *talk, enum err result, const char *why)
{
	if (talk->result != ERR_AGAIN)
		return;
	talk->result = result;
	if (result != ERR_OK)
		snprintf(talk->why, ASK_WHY_MAX, "%s", why);
	loop_stop(talk->loop);
}

static char *copy(struct slice text)
{
	return mem_strndup(text.ptr, text.len);
}

static enum err take_row(struct answer *answer, struct slice payload)
{
	struct msg_op_row msg;
	struct rec_field field;
	enum err err = ipc_decode(IPC_OP_ROW, payload, &msg);

	if (err != ERR_OK)
		return err;
	if (msg.id != QUESTION_ID || answer->count == ANSWER_ROWS_MAX)
		return ERR_RANGE;
	/* Grows by half, so that a long list is not copied for each row. */
	if ((answer->count & (answer->count - 1)) == 0)
		answer->rows =
			mem_resize(answer->rows, (answer->count == 0 ? 1 : answer->count * 2) *
							 sizeof(struct row));

	struct row *row = &answer->rows[answer->count++];

	*row = (struct row){mem_array(msg.fields.count, sizeof(struct field)), 0};
	while (ipc_list_next(&msg.fields, IPC_REC_field, &field))
		row->fields[row->count++] = (struct field){
			copy(field.key), (enum ipc_field_kind)field.kind, copy(field.value)};
	return ERR_OK;
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct talk *talk = arg;
	struct msg_op_end end;
	enum err err;

	(void)channel;
	(void)fd;
	timer_set(talk->timer, SILENCE_MS);
	if (type == IPC_OP_ROW)
		return take_row(talk->answer, payload);
	if (type != IPC_OP_END)
		return ERR_SYNTAX;
	if ((err = ipc_decode(type, payload, &end)) != ERR_OK)
		return err;
	if (end.id != QUESTION_ID)
		return ERR_RANGE;
	talk->answer->failed = end.status != 0;
	snprintf(talk->answer->text, sizeof(talk->answer->text), "%.*s", SLICE_ARG(end.text));
	over(talk, ERR_OK, "");
	return ERR_OK;
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	char text[ASK_WHY_MAX];

	(void)channel;
	if (how == CHANNEL_BROKEN) {
		snprintf(text, sizeof(text),
			 "the server's answer makes no sense (%s): are program and server "
			 "of the same version?",
			 why);
		over(arg, ERR_SYNTAX, text);
	} else {
		over(arg, ERR_EOF, "the server went away before it answered; its log tells why");
	}
}

static void on_silence(void *arg)
{
	over(arg, ERR_TIMEOUT,
	     "the server does not answer; it may still do what was asked: its log tells");
}

/* Asks, and waits for the end of the answer. */
static void ask_part(struct talk *talk, struct channel *channel, const struct question *question)
{
	struct msg_op op = {.id = QUESTION_ID,
			    .op = (uint16_t)question->op,
			    .subject = slice_str(question->subject),
			    .args = question->args,
			    .secret = question->secret,
			    .credentials = question->credentials};
	enum err err;

	talk->result = ERR_AGAIN;
	err = channel_send(channel, IPC_OP, &op);
	timer_set(talk->timer, SILENCE_MS);
	if (err == ERR_RANGE || err == ERR_SYNTAX)
		over(talk, err, "an argument is too long, or not a text");
	else if (err != ERR_OK)
		over(talk, err, err_name(err));
	else
		loop_run(talk->loop);
}

enum err exchange(struct loop *loop, int fd, const struct question *question,
		  struct answer *answer_out, char *why)
{
	static const struct channel_handlers handlers = {.message = on_message, .ended = on_ended};
	struct answer answer = {0};
	struct talk talk = {loop, NULL, &answer, ERR_AGAIN, why};
	struct channel *channel = channel_new(loop, fd, "server", &handlers, &talk);
	struct question part = *question;

	talk.timer = timer_new(loop, on_silence, &talk);
	do
		ask_part(&talk, channel, &part);
	while (talk.result == ERR_OK && !answer.failed && part.more != NULL &&
	       part.more(part.more_arg, &part));
	timer_free(&talk.timer);
	channel_free(&channel);
	if (talk.result == ERR_OK)
		*answer_out = answer;
	else
		answer_release(&answer);
	return talk.result;
}

void answer_release(struct answer *answer)
{
	for (size_t i = 0; i < answer->count; i++) {
		for (size_t n = 0; n < answer->rows[i].count; n++) {
			struct field *field = &answer->rows[i].fields[n];

			explicit_bzero(field->value, strlen(field->value));
			mem_free(field->key);
			mem_free(field->value);
		}
		mem_free(answer->rows[i].fields);
	}
	mem_free(answer->rows);
	*answer = (struct answer){0};
}

const char *row_value(const struct row *row, const char *key)
{
	for (size_t i = 0; i < row->count; i++)
		if (strcmp(row->fields[i].key, key) == 0)
			return row->fields[i].value;
	return NULL;
}
