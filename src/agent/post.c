/* SPDX-License-Identifier: Apache-2.0 */
#include "post.h"

#include "base/mem.h"
#include "base/secret.h"
#include "https.h"
#include "ipc/channel.h"
#include "ipc/child.h"
#include "transfer.h"

struct hook {
	struct agent *agent;
	char *url; /* NULL: none is configured */
	struct secret secret;
	struct trust *trust;
	uint64_t timeout;
	struct https_request *request;
	uint64_t id; /* of it */
};

static void answer(struct hook *hook, uint64_t id, bool ok, const char *text)
{
	struct msg_posted msg = {id, ok, slice_head(slice_str(text), 512)};

	(void)channel_send(child_master(hook->agent->child), IPC_POSTED, &msg);
}

static void on_answer(void *arg, const struct https_answer *got)
{
	struct hook *hook = arg;

	hook->request = NULL;
	answer(hook, hook->id, got->err == ERR_OK, got->err == ERR_OK ? "taken" : got->why);
}

void post_send(struct agent *agent, const struct msg_post *msg)
{
	struct hook *hook = agent->hook;
	struct https_question question;

	if (hook == NULL || hook->url == NULL) {
		struct hook none = {.agent = agent};

		answer(&none, msg->id, false, "the configuration changes");
		return;
	}
	question = (struct https_question){
		.url = hook->url,
		.trust = hook->trust,
		.bearer = secret_value(&hook->secret),
		.json = msg->json,
		.timeout = hook->timeout,
	};
	https_cancel(&hook->request);
	hook->id = msg->id;
	hook->request = https_ask(agent->https, &question, on_answer, hook);
	if (hook->request == NULL)
		answer(hook, msg->id, false, "too many questions wait for an answer");
}

void post_commit(struct agent *agent, const struct config *config, struct slice secret,
		 struct slice authorities)
{
	struct hook *hook = agent->hook;

	if (hook == NULL)
		hook = agent->hook = mem_alloc(sizeof(*hook));
	hook->agent = agent;
	mem_free(hook->url);
	hook->url = mem_strdup(config->alert.webhook);
	hook->timeout = config->alert.timeout;
	secret_set(&hook->secret, secret);
	trust_free(&hook->trust);
	if (hook->url != NULL)
		hook->trust =
			authorities.len > 0 ? trust_new(authorities) : trust_hold(agent->system);
}

void post_free(struct agent *agent)
{
	struct hook *hook = agent->hook;

	agent->hook = NULL;
	if (hook == NULL)
		return;
	https_cancel(&hook->request);
	secret_clear(&hook->secret);
	trust_free(&hook->trust);
	mem_free(hook->url);
	mem_free(hook);
}
