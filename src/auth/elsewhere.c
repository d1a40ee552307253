/* SPDX-License-Identifier: Apache-2.0 */
#include "elsewhere.h"

#include <stdio.h>

#include "backends.h"
#include "base/mem.h"
#include "operation_internal.h"

struct elsewhere {
	struct elsewhere *next, **link;
	struct operation *operation;
	struct backend_ask *ask;
	void (*done)(struct operation *operation);
};

static const char *verdict_name(enum ipc_check verdict)
{
	switch (verdict) {
	case IPC_CHECK_YES:
		return "yes";
	case IPC_CHECK_NO:
		return "no";
	case IPC_CHECK_UNKNOWN:
		return "unknown name";
	case IPC_CHECK_UNAVAILABLE:
		break;
	}
	return "cannot be asked";
}

static void on_each(struct backend_ask *ask, const char *backend, enum ipc_check verdict,
		    const char *why)
{
	const struct elsewhere *elsewhere = ask->arg;
	struct ipc_list_builder *row = operation_row(elsewhere->operation);

	row_text(row, "backend", backend);
	row_text(row, "answer", verdict_name(verdict));
	row_text(row, "why", why);
}

static void conclude(struct operation *operation, const struct backend_ask *ask)
{
	const char *name = operation->elsewhere_name;
	char *text = operation->text;
	size_t size = sizeof(operation->text);

	operation->failed = ask->verdict != IPC_CHECK_YES || !operation->elsewhere_open;
	switch (ask->verdict) {
	case IPC_CHECK_YES:
		(void)snprintf(text, size, "%s: password correct, says back end \"%s\"; %s", name,
			       ask->by, operation->elsewhere_state);
		break;
	case IPC_CHECK_NO:
		(void)snprintf(text, size, "%s: password wrong, says back end \"%s\"", name,
			       ask->by);
		break;
	case IPC_CHECK_UNAVAILABLE:
		(void)snprintf(
			text, size,
			"%s: back end \"%s\" cannot be asked; a login is answered 454 until it "
			"can",
			name, ask->by);
		break;
	case IPC_CHECK_UNKNOWN:
		if (ask->by[0] == '\0')
			(void)snprintf(
				text, size,
				"%s: the account belongs to back end \"%s\", which is not in "
				"the configuration any more; \"postern user password\" makes it "
				"one of this server",
				name, operation->elsewhere_source);
		else
			(void)snprintf(
				text, size,
				"%s: there is no such account here, and no back end knows the "
				"name",
				name);
		break;
	}
}

static void leave(struct elsewhere *elsewhere)
{
	*elsewhere->link = elsewhere->next;
	if (elsewhere->next != NULL)
		elsewhere->next->link = elsewhere->link;
	mem_free(elsewhere);
}

static void on_done(struct backend_ask *ask)
{
	struct elsewhere *elsewhere = ask->arg;
	struct operation *operation = elsewhere->operation;
	void (*done)(struct operation * operation) = elsewhere->done;

	conclude(operation, ask);
	backend_ask_free(&ask);
	leave(elsewhere);
	done(operation);
}

void elsewhere_ask(struct elsewhere **list, struct backends *backends, struct operation *operation,
		   void (*done)(struct operation *operation))
{
	struct elsewhere *elsewhere = mem_alloc(sizeof(*elsewhere));
	struct backend_ask *ask = backend_ask_new();

	elsewhere->operation = operation;
	elsewhere->ask = ask;
	elsewhere->done = done;
	elsewhere->link = list;
	elsewhere->next = *list;
	if (*list != NULL)
		(*list)->link = &elsewhere->next;
	*list = elsewhere;
	(void)snprintf(ask->name, sizeof(ask->name), "%s", operation->elsewhere_name);
	(void)snprintf(ask->only, sizeof(ask->only), "%s", operation->elsewhere_source);
	secret_set(&ask->password, secret_value(&operation->secret));
	ask->all = true;
	ask->each = on_each;
	ask->done = on_done;
	ask->arg = elsewhere;
	backends_ask(backends, ask);
}

void elsewhere_cancel_all(struct elsewhere **list)
{
	while (*list != NULL) {
		struct elsewhere *elsewhere = *list;

		backends_cancel(&elsewhere->ask);
		operation_free(&elsewhere->operation);
		leave(elsewhere);
	}
}
