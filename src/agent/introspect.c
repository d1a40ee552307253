/* SPDX-License-Identifier: Apache-2.0 */
#include "introspect.h"

#include <utlist.h>

#include "base/buf.h"
#include "base/mem.h"
#include "https.h"
#include "token/token.h"

struct question {
	struct question *prev, *next;
	struct issuer *issuer;
	struct https_request *request;
	uint64_t id;
};

enum { FORM_MAX = 3 * TOKEN_MAX + 64 };

static void answer(struct agent *agent, uint64_t id, const char *why, struct slice text)
{
	struct msg_introspected msg = {id, why != NULL, slice_str(why != NULL ? why : ""), text};

	agent_tell(agent, IPC_INTROSPECTED, &msg);
}

static void forget(struct question *question)
{
	https_cancel(&question->request);
	DL_DELETE(question->issuer->agent->questions, question);
	mem_free(question);
}

static void on_answer(void *arg, const struct https_answer *got)
{
	struct question *question = arg;
	struct issuer *issuer = question->issuer;
	const char *why = got->err == ERR_OK ? NULL : got->why;

	question->request = NULL;
	if (why == NULL && !token_answer_sound(got->body))
		why = "its answer is no introspection (RFC 7662): a JSON object with \"active\"";
	issuer_note(issuer, why);
	answer(issuer->agent, question->id, why, why == NULL ? got->body : slice_of("", 0));
	forget(question);
}

/* false: it is no token that has room. */
static bool make_form(struct slice token, struct buf *form)
{
	return buf_append_str(form, "token=") == ERR_OK && https_encode(token, form) == ERR_OK &&
	       buf_append_str(form, "&token_type_hint=access_token") == ERR_OK;
}

void introspect_ask(struct agent *agent, const struct msg_introspect *msg)
{
	struct issuer *issuer = issuer_find(agent, msg->title);
	struct https_question terms;
	struct question *question;
	struct buf form;

	/* The configuration may have changed here, and not there yet, or the other way round. */
	if (issuer == NULL || !issuer->introspects) {
		answer(agent, msg->id, "the configuration changes", slice_of("", 0));
		return;
	}
	question = mem_alloc(sizeof(*question));
	question->issuer = issuer;
	question->id = msg->id;
	DL_APPEND(agent->questions, question);
	buf_init(&form, FORM_MAX);
	if (make_form(msg->token, &form)) {
		issuer_question(issuer, &terms);
		terms.form = buf_data(&form);
		terms.answer_max = TOKEN_ANSWER_MAX;
		question->request = https_ask(agent->https, &terms, on_answer, question);
	}
	buf_wipe(&form);
	if (question->request == NULL) {
		answer(agent, msg->id, "too many questions wait for an answer", slice_of("", 0));
		forget(question);
	}
}

void introspect_forget(const struct issuer *issuer)
{
	struct question *question, *next;

	DL_FOREACH_SAFE (issuer->agent->questions, question, next)
		if (question->issuer == issuer)
			forget(question);
}

void introspect_forget_all(struct agent *agent)
{
	while (agent->questions != NULL)
		forget(agent->questions);
}
