/* SPDX-License-Identifier: Apache-2.0 */
#include "alert.h"

#include <inttypes.h>
#include <stdio.h>

#include "alert_json.h"
#include "alert_run.h"
#include "base/mem.h"
#include "internal.h"
#include "ipc/alert.h"
#include "os/log.h"
#include "os/loop.h"
#include "policy/alerts.h"

enum {
	OWNER_MASTER = 0,
	CERTIFICATE_DAYS = 14, /* before its end, when whatever renews it should have done so */
	DAY_MS = 86400000,
	ROW_BYTES = 4096,
	NUMBER_TEXT = 24,
};

struct alert_desk {
	struct master *master;
	struct alerts *alerts;
	struct alert_runner *runner;
	struct timer *timer; /* the next one that is told again */
	uint64_t told, failed, lost;
};

/* Sets the timer to what is due next; a day at most, as clocks are set. */
static void wake(struct alert_desk *desk)
{
	int64_t next = alerts_next(desk->alerts), in = next - os_wall_ms();

	if (next == 0)
		timer_stop(desk->timer);
	else
		timer_set(desk->timer, in < 1 ? 1 : in > DAY_MS ? DAY_MS : (uint64_t)in);
}

/* ---- telling -------------------------------------------------------------------------------- */

static void run_done(void *arg, const struct alert_run *run, bool ok, const char *text)
{
	struct alert_desk *desk = arg;

	if (run->op != 0) {
		operate_end(desk->master, run->op, ok, text);
		return;
	}
	desk->told += ok;
	desk->failed += !ok;
	alerts_result(desk->alerts, run->kind, run->subject, ok, os_wall_ms());
	wake(desk);
}

/* Through agent; false: it does not run. */
static bool post(void *arg, uint64_t id, struct slice json)
{
	const struct alert_desk *desk = arg;
	const struct process *agent = process_of_role(desk->master, IPC_AGENT);
	struct msg_post msg = {id, json};

	return agent != NULL && agent->state == PROCESS_RUNNING && !agent->retired &&
	       channel_send(agent->channel, IPC_POST, &msg) == ERR_OK;
}

/* false: the line is full. */
static bool run(struct alert_desk *desk, const struct alert *alert, const char *state, uint64_t op)
{
	const struct config *config = desk->master->current->config;
	struct alert_run next = {.state = state, .op = op};

	(void)snprintf(next.kind, sizeof(next.kind), "%s", alert->kind);
	(void)snprintf(next.subject, sizeof(next.subject), "%s", alert->subject);
	(void)snprintf(next.text, sizeof(next.text), "%s", alert->text);
	next.json = alert_json(alert, state, config->hostname, os_wall_ms());
	if (alert_runner_add(desk->runner, &next))
		return true;
	mem_free(next.json);
	return false;
}

static bool has_teller(const struct alert_desk *desk)
{
	const struct config_alert *alert = &desk->master->current->config->alert;

	return alert->command != NULL || alert->webhook != NULL;
}

static void tell(struct alert_desk *desk, const struct alert *alert, const char *state)
{
	log_event(alert->over ? LOG_INFO : LOG_WARNING, "alert", LOG_TEXT("kind", alert->kind),
		  LOG_TEXT_IF("subject", alert->subject), LOG_TEXT("state", state),
		  LOG_TEXT("text", alert->text), LOG_SLICE("evidence", alert->evidence));
	if (!has_teller(desk) || run(desk, alert, state, 0))
		return;
	desk->lost++;
	log_note(LOG_ERROR,
		 "alert.command or alert.webhook is not told of %s %s: %d others wait for it",
		 alert->kind, alert->subject, ALERT_LINE_MAX);
}

static void on_timer(void *arg)
{
	struct alert_desk *desk = arg;
	const struct alert *alert;

	while ((alert = alerts_due(desk->alerts, os_wall_ms())) != NULL)
		tell(desk, alert, "again");
	wake(desk);
}

/* ---- raising -------------------------------------------------------------------------------- */

static void raise_news(struct alert_desk *desk, const struct alert_news *news)
{
	const struct alert *alert = alerts_raise(desk->alerts, news, os_wall_ms());

	if (alert != NULL)
		tell(desk, alert, alert->times == 1 ? "new" : "again");
	wake(desk);
}

static void end_news(struct alert_desk *desk, struct slice kind, struct slice subject)
{
	const struct alert *alert = alerts_end(desk->alerts, kind, subject);

	if (alert != NULL)
		tell(desk, alert, "over");
}

static unsigned owner_of(const struct process *process)
{
	return (unsigned)(process - process->master->processes) + 1;
}

enum err alert_message(struct process *process, struct slice payload)
{
	struct alert_desk *desk = process->master->desk;
	struct msg_alert msg;
	char *evidence;
	enum err err;

	if (!graph_may_alert(process->node->role))
		return ERR_DENIED;
	err = ipc_decode(IPC_ALERT, payload, &msg);
	if (err != ERR_OK || msg.kind.len == 0 || msg.state < IPC_ALERT_ONCE ||
	    msg.state > IPC_ALERT_OVER)
		return err != ERR_OK ? err : ERR_RANGE;
	if (msg.state == IPC_ALERT_OVER) {
		end_news(desk, msg.kind, msg.subject);
		return ERR_OK;
	}
	evidence = alert_json_evidence(msg.evidence);
	raise_news(desk, &(struct alert_news){
				 .kind = msg.kind,
				 .subject = msg.subject,
				 .text = msg.text,
				 .evidence = slice_str(evidence),
				 .owner = owner_of(process),
				 .lasts = msg.state == IPC_ALERT_LASTS,
			 });
	mem_free(evidence);
	return ERR_OK;
}

enum err alert_posted(struct process *process, struct slice payload)
{
	struct msg_posted msg;
	enum err err = ipc_decode(IPC_POSTED, payload, &msg);

	if (process->node->role != IPC_AGENT)
		return ERR_DENIED;
	if (err == ERR_OK)
		alert_runner_posted(process->master->desk->runner, msg.id, msg.ok, msg.text);
	return err;
}

void alert_lost(struct alert_desk *desk, const struct process *process)
{
	alerts_disown(desk->alerts, owner_of(process));
}

void alert_died(struct alert_desk *desk, const struct process *process, const char *how)
{
	char text[ALERT_TEXT_MAX + 1];

	(void)snprintf(text, sizeof(text),
		       "process %s died (%s) and is started again; its last lines in the log may "
		       "say why",
		       process->name, how);
	raise_news(desk, &(struct alert_news){
				 .kind = SLICE_LIT("process-died"),
				 .subject = slice_str(process->name),
				 .text = slice_str(text),
				 .evidence = SLICE_LIT("{}"),
				 .owner = OWNER_MASTER,
			 });
}

/* ---- certificates --------------------------------------------------------------------------- */

static void look_at(struct alert_desk *desk, const struct generation *current, size_t index)
{
	const struct identity_files *files = current->identities[index].files;
	struct tls_identity identity = generation_identity(current, index);
	struct slice kind = SLICE_LIT("certificate-ends");
	struct slice subject = slice_head(slice_str(files->certificate), ALERT_SUBJECT_MAX);
	char text[ALERT_TEXT_MAX + 1], evidence[64];
	struct tls_certificate_info info;
	int64_t left;

	if (tls_identity_info(&identity, &info) != ERR_OK)
		return;
	left = info.not_after - os_wall_ms();
	if (left > (int64_t)CERTIFICATE_DAYS * DAY_MS) {
		end_news(desk, kind, subject);
		return;
	}
	if (left > 0)
		(void)snprintf(text, sizeof(text),
			       "the certificate in %.500s ends in %" PRId64
			       " days; put a new one there, it is taken up by itself",
			       files->certificate, left / DAY_MS);
	else
		(void)snprintf(text, sizeof(text),
			       "the certificate in %.500s has ended, so clients refuse to log in; "
			       "put a new one there, it is taken up by itself",
			       files->certificate);
	(void)snprintf(evidence, sizeof(evidence), "{\"days_left\":%" PRId64 "}", left / DAY_MS);
	raise_news(desk, &(struct alert_news){
				 .kind = kind,
				 .subject = subject,
				 .text = slice_str(text),
				 .evidence = slice_str(evidence),
				 .owner = OWNER_MASTER,
				 .lasts = true,
			 });
}

void alert_look(struct alert_desk *desk)
{
	const struct generation *current = desk->master->current;

	for (size_t i = 0; i < current->identity_count; i++)
		look_at(desk, current, i);
}

/* ---- for the operator ----------------------------------------------------------------------- */

void alert_test(struct alert_desk *desk, uint64_t op)
{
	struct alert alert = {
		.kind = "test",
		.text = "this is a test of postern's alerts, asked for with postern alert test",
		.evidence = SLICE_LIT("{}"),
		.since = os_wall_ms(),
	};

	if (!has_teller(desk))
		operate_end(
			desk->master, op, false,
			"no program is told of alerts, they are in the log and in postern "
			"status only: set alert { command = \"/path/to/program\" }, or webhook");
	else if (!run(desk, &alert, "test", op))
		operate_end(desk->master, op, false,
			    "too many alerts wait for alert.command or alert.webhook; see the log, "
			    "which says what "
			    "it does");
}

struct rows {
	struct channel *channel;
	uint64_t id;
};

static void add(struct ipc_list_builder *row, const char *key, enum ipc_field_kind kind,
		const char *value)
{
	struct rec_field field = {slice_str(key), (uint8_t)kind, slice_str(value)};

	(void)ipc_list_add(row, IPC_REC_field, &field);
}

static void send_row(void *arg, const struct alert *alert)
{
	const struct rows *rows = arg;
	struct ipc_list_builder row;
	char number[NUMBER_TEXT];

	ipc_list_begin(&row, ROW_BYTES);
	add(&row, "alert", IPC_FIELD_TEXT, alert->kind);
	add(&row, "subject", IPC_FIELD_TEXT, alert->subject);
	(void)snprintf(number, sizeof(number), "%" PRId64, alert->since);
	add(&row, "since", IPC_FIELD_TIME, number);
	add(&row, "text", IPC_FIELD_TEXT, alert->text);
	(void)channel_send(rows->channel, IPC_OP_ROW,
			   &(struct msg_op_row){rows->id, ipc_list_view(&row)});
	ipc_list_release(&row);
}

void alert_rows(struct alert_desk *desk, struct channel *channel, uint64_t id)
{
	struct rows rows = {channel, id};

	alerts_each(desk->alerts, os_wall_ms(), send_row, &rows);
}

void alert_count(const struct alert_desk *desk, struct alert_counts *counts_out)
{
	*counts_out = (struct alert_counts){.told = desk->told,
					    .failed = desk->failed,
					    .lost = desk->lost,
					    .waiting = alert_runner_waiting(desk->runner)};
}

/* ---- life ----------------------------------------------------------------------------------- */

struct alert_desk *alert_desk_new(struct master *master)
{
	struct alert_desk *desk = mem_alloc(sizeof(*desk));
	const struct config *config = master->current->config;

	desk->master = master;
	desk->alerts = alerts_new((int64_t)config->alert.remind);
	desk->runner = alert_runner_new(master->loop, run_done, post, desk);
	alert_runner_configure(desk->runner, config);
	desk->timer = timer_new(master->loop, on_timer, desk);
	return desk;
}

void alert_desk_free(struct alert_desk **desk)
{
	if (*desk == NULL)
		return;
	alert_runner_free(&(*desk)->runner);
	alerts_free(&(*desk)->alerts);
	timer_free(&(*desk)->timer);
	MEM_FREE(*desk);
}

void alert_configured(struct alert_desk *desk)
{
	const struct config *config = desk->master->current->config;

	alerts_set_remind(desk->alerts, (int64_t)config->alert.remind);
	alert_runner_configure(desk->runner, config);
	alert_look(desk);
	wake(desk);
}

void alert_reap(struct alert_desk *desk)
{
	alert_runner_reap(desk->runner);
}
