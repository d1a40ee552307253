/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator asks of master itself: status, reload, the certificate that is served. */
#include "internal.h"

#include <stdio.h>
#include <unistd.h>

#include "alert.h"
#include "os/log.h"

enum { ROW_MAX = 16384, NUMBER_TEXT = 24, TEXT_MAX = 2048 };

struct row {
	struct ipc_list_builder fields;
};

static void row_begin(struct row *row)
{
	ipc_list_begin(&row->fields, ROW_MAX);
}

static void add(struct row *row, const char *key, enum ipc_field_kind kind, const char *value)
{
	struct rec_field field = {slice_str(key), (uint8_t)kind, slice_str(value)};

	(void)ipc_list_add(&row->fields, IPC_REC_field, &field);
}

static void add_number(struct row *row, const char *key, enum ipc_field_kind kind, int64_t value)
{
	char text[NUMBER_TEXT];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	add(row, key, kind, text);
}

static void row_send(struct row *row, struct channel *channel, uint64_t id)
{
	struct msg_op_row msg = {id, ipc_list_view(&row->fields)};

	(void)channel_send(channel, IPC_OP_ROW, &msg);
	ipc_list_release(&row->fields);
}

static void end(struct channel *channel, uint64_t id, bool ok, const char *text)
{
	struct msg_op_end msg = {id, ok ? 0 : 1, slice_head(slice_str(text), TEXT_MAX)};

	(void)channel_send(channel, IPC_OP_END, &msg);
}

void operate_end(struct master *master, uint64_t id, bool ok, const char *text)
{
	struct process *control = process_of_role(master, IPC_CONTROL);

	/* A control process that was started since asks for nothing that is answered here. */
	if (control != NULL && control->channel != NULL)
		end(control->channel, id, ok, text);
}

static const char *state_name(enum process_state state)
{
	static const char *const names[] = {"down", "starting", "ready", "running", "ending"};

	return names[state];
}

static void status_of_master(struct master *master, struct channel *channel, uint64_t id)
{
	struct alert_counts alerts;
	struct row row;

	row_begin(&row);
	add(&row, "process", IPC_FIELD_TEXT, "master");
	add(&row, "state", IPC_FIELD_TEXT, "running");
	add_number(&row, "pid", IPC_FIELD_NUMBER, getpid());
	add_number(&row, "started", IPC_FIELD_TIME, master->started_at);
	add_number(&row, "uptime_s", IPC_FIELD_NUMBER, (os_wall_ms() - master->started_at) / 1000);
	add_number(&row, "restarts", IPC_FIELD_NUMBER, 0);
	add(&row, "version", IPC_FIELD_TEXT, POSTERN_VERSION);
	add(&row, "config", IPC_FIELD_TEXT, master->path);
	add_number(&row, "configured", IPC_FIELD_TIME, master->current->made_at);
	alert_count(master->desk, &alerts);
	add_number(&row, "alerts_told", IPC_FIELD_NUMBER, (int64_t)alerts.told);
	add_number(&row, "alerts_failed", IPC_FIELD_NUMBER, (int64_t)(alerts.failed + alerts.lost));
	add_number(&row, "alerts_waiting", IPC_FIELD_NUMBER, (int64_t)alerts.waiting);
	row_send(&row, channel, id);
}

static void status_of_process(const struct process *process, struct channel *channel, uint64_t id)
{
	struct row row;

	row_begin(&row);
	add(&row, "process", IPC_FIELD_TEXT, process->name);
	add(&row, "state", IPC_FIELD_TEXT, state_name(process->state));
	add_number(&row, "pid", IPC_FIELD_NUMBER, process->pid);
	add_number(&row, "started", IPC_FIELD_TIME, process->started_at);
	add_number(&row, "uptime_s", IPC_FIELD_NUMBER,
		   process->pid != 0 ? (os_monotonic_ms() - process->started_mono) / 1000 : 0);
	add_number(&row, "restarts", IPC_FIELD_NUMBER, (int64_t)process->incarnation - 1);
	row_send(&row, channel, id);
}

static bool show_identity(const struct generation *current, size_t index, struct channel *channel,
			  uint64_t id)
{
	const struct identity_files *files = current->identities[index].files;
	struct tls_identity identity = generation_identity(current, index);
	struct tls_certificate_info info;
	struct row row;

	if (tls_identity_info(&identity, &info) != ERR_OK)
		return false;
	row_begin(&row);
	add(&row, "certificate", IPC_FIELD_TEXT, files->certificate);
	add(&row, "key", IPC_FIELD_TEXT, files->key);
	add(&row, "subject", IPC_FIELD_TEXT, info.subject);
	add(&row, "names", IPC_FIELD_TEXT, info.names);
	add(&row, "fingerprint", IPC_FIELD_TEXT, info.fingerprint);
	add_number(&row, "not_after", IPC_FIELD_TIME, info.not_after);
	add(&row, "self_signed", IPC_FIELD_BOOL, info.self_signed ? "1" : "0");
	add(&row, "expired", IPC_FIELD_BOOL, info.not_after < os_wall_ms() ? "1" : "0");
	row_send(&row, channel, id);
	return true;
}

static void show_tls(struct master *master, struct channel *channel, uint64_t id)
{
	const struct generation *current = master->current;

	if (current->identity_count == 0) {
		end(channel, id, false, "no listener uses TLS, so no certificate is served");
		return;
	}
	for (size_t i = 0; i < current->identity_count; i++)
		if (!show_identity(current, i, channel, id)) {
			end(channel, id, false, "the certificate cannot be read");
			return;
		}
	end(channel, id, true, "");
}

enum err operate(struct process *control, struct slice payload)
{
	struct master *master = control->master;
	struct msg_op msg;
	enum err err = ipc_decode(IPC_OP, payload, &msg);

	if (err != ERR_OK)
		return err;
	switch (msg.op) {
	case IPC_OP_STATUS:
		status_of_master(master, control->channel, msg.id);
		for (size_t i = 0; i < master->process_count; i++)
			if (!master->processes[i].retired)
				status_of_process(&master->processes[i], control->channel, msg.id);
		alert_rows(master->desk, control->channel, msg.id);
		end(control->channel, msg.id, true, "");
		return ERR_OK;
	case IPC_OP_ALERT_TEST:
		alert_test(master->desk, msg.id);
		return ERR_OK;
	case IPC_OP_RELOAD:
		reload_request(master, msg.id, false);
		return ERR_OK;
	case IPC_OP_TLS_SHOW:
		show_tls(master, control->channel, msg.id);
		return ERR_OK;
	default:
		end(control->channel, msg.id, false, "master does not know this request");
		return ERR_OK;
	}
}
