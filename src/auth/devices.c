/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"

#include <stdio.h>
#include <string.h>

#include "alarm.h"
#include "auth.h"
#include "base/hash.h"
#include "base/mem.h"
#include "config/config.h"
#include "door.h"
#include "front.h"
#include "grants.h"
#include "os/os.h"
#include "rows.h"
#include "usage.h"
#include "verify.h"

enum {
	CLIENT_MAX = 64, /* as in messages.def, as are these */
	LISTENER_MAX = 256,
	RUNS_MAX = 5,                     /* an account that changes meanwhile is read again */
	TEXT_MAX = 1024 * 1024,           /* of one section; as all of a configuration */
	SENDERS_BYTES = 512 * (512 + 16), /* of AUTH_OK and GRANT */
	RECIPIENTS_BYTES = 4096 * (512 + 16),
};

struct device {
	UT_hash_handle hh;
	char *name;
	struct buf section; /* all that it says */
	int64_t id;         /* of its account; 0: not read yet */
	uint64_t logins, refused;
	int64_t last; /* wall */
	char client[CLIENT_MAX + 1];
};

struct devices {
	struct auth *auth;
	struct device *table; /* by name, in the order of the file */
};

/* A session that has mail. */
struct device_ask {
	UT_hash_handle hh;
	struct front *front;
	uint64_t session;
	char client[CLIENT_MAX + 1];
	char listener[LISTENER_MAX + 1];
	char account[ACCOUNT_NAME_MAX + 1];
	struct verify_job *job;
	uint64_t changes; /* auth->changes when the job began */
	unsigned runs;
	struct ipc_list_builder senders, recipients;
	struct grant *grant; /* that queue has not acknowledged yet */
};

/* A reply to MAIL. */
struct refusal {
	uint16_t code;
	const char *status;
	const char *text;
};

static const struct refusal NOBODY = {530, "5.7.0", "Authentication required"};
static const struct refusal LATER = {451, "4.3.0", "Not ready for mail yet; try again in a moment"};
static const struct refusal TOO_MANY = {450, "4.7.0",
					"This device has too many sessions open; try again later"};
static const struct refusal BARRED = {550, "5.7.1",
				      "Mail of this device is not taken; ask the postmaster"};

/* ---- asks ----------------------------------------------------------------------------------- */

static struct device *device_of(struct devices *devices, const char *name)
{
	struct device *device = NULL;

	HASH_FIND_STR(devices->table, name, device);
	return device;
}

static struct device *device_asking(const struct device_ask *ask)
{
	return device_of(ask->front->auth->devices, ask->account + strlen(ACCOUNT_DEVICE));
}

static void forget(struct device_ask *ask)
{
	HASH_DEL(ask->front->devices, ask);
	if (ask->job != NULL)
		ask->job->arg = NULL; /* freed when its thread is done with it */
	grants_end(ask->front->auth->grants, &ask->grant);
	ipc_list_release(&ask->senders);
	ipc_list_release(&ask->recipients);
	mem_free(ask);
}

void devices_drop_front(struct front *front)
{
	while (front->devices != NULL)
		forget(front->devices);
}

static void tell_refusal(struct front *front, uint64_t session, const struct refusal *refusal,
			 const char *reason)
{
	const struct msg_auth_fail msg = {.session = session,
					  .code = refusal->code,
					  .status = slice_str(refusal->status),
					  .text = slice_str(refusal->text),
					  .reason = slice_str(reason)};

	front_send(front, IPC_AUTH_FAIL, &msg);
}

static void refuse(struct device_ask *ask, const struct refusal *refusal, const char *reason)
{
	struct device *device = device_asking(ask);

	if (device != NULL)
		device->refused++;
	tell_refusal(ask->front, ask->session, refusal, reason);
	forget(ask);
}

/* ---- granting ------------------------------------------------------------------------------- */

static void on_granted(struct grant *grant, void *arg)
{
	struct device_ask *ask = arg;
	struct auth *auth = ask->front->auth;
	struct device *device = device_asking(ask);
	struct msg_auth_ok msg = {.session = ask->session,
				  .account = slice_str(ask->account),
				  .mechanism = SLICE_LIT(""),
				  .key = SLICE_LIT(""),
				  .senders = ipc_list_view(&ask->senders),
				  .recipients = ipc_list_view(&ask->recipients)};
	struct ipc_list senders = msg.senders;
	struct rec_pattern first = {SLICE_LIT("")};

	ask->grant = NULL; /* it is the session's now, or gone */
	if (grant == NULL || device == NULL) {
		if (grant != NULL)
			grants_end(auth->grants, &grant);
		refuse(ask, &LATER, "queue-gone");
		return;
	}
	(void)ipc_list_next(&senders, IPC_REC_pattern, &first);
	msg.grant = grant_number(grant);
	msg.address = first.text;
	auth->counts.logins++;
	device->logins++;
	device->last = os_wall_ms();
	(void)snprintf(device->client, sizeof(device->client), "%s", ask->client);
	usage_login(auth->usage, device->id, 0, ask->client);
	door_logged_in(ask->front, ask->session);
	front_send(ask->front, IPC_AUTH_OK, &msg);
	forget(ask);
}

static enum err list_patterns(const struct strings *patterns, size_t max,
			      struct ipc_list_builder *list_out)
{
	enum err err = ERR_OK;

	ipc_list_begin(list_out, max);
	for (size_t i = 0; err == ERR_OK && i < patterns->count; i++)
		err = ipc_list_add(list_out, IPC_REC_pattern,
				   &(struct rec_pattern){slice_str(patterns->items[i])});
	return err;
}

/* Where it may send to; never an empty list, which would mean everywhere. */
static enum err list_recipients(const struct config *config, const struct config_device *device,
				struct ipc_list_builder *list_out)
{
	char own[ACCOUNT_PATTERN_MAX + 3];
	char *item = own;
	const struct strings ours = {&item, 1};

	(void)snprintf(own, sizeof(own), "*@%s", config_domain(config));
	return list_patterns(device->to.count > 0 ? &device->to : &ours, RECIPIENTS_BYTES,
			     list_out);
}

/* 0 is any number here, and in an account -1. */
static int64_t limit(uint32_t setting)
{
	return setting != 0 ? (int64_t)setting : ACCOUNT_NO_LIMIT;
}

/* The account is known: asks queue to hold the grant. */
static void admit(struct device_ask *ask, const struct account *row)
{
	struct auth *auth = ask->front->auth;
	const struct config *config = auth_config(auth);
	size_t index = config_device_find(config, slice_str(ask->listener), slice_str(ask->client));
	const char *bar = account_barred(row, slice_str(ask->client), os_wall_ms());
	const struct config_device *section = &config->devices[index];
	struct device *device = device_asking(ask);
	struct grant_rights rights = {0};
	struct account account = *row;
	enum err err;

	if (index == config->device_count || device == NULL ||
	    !slice_is(slice_str(section->name), device->name)) {
		refuse(ask, &LATER, "configuration-changing");
		return;
	}
	if (bar != NULL) {
		refuse(ask, &BARRED, bar);
		return;
	}
	device->id = row->id;
	account.limits = (struct account_limits){.hour = limit(section->recipients_per_hour),
						 .day = limit(section->recipients_per_day)};
	if (list_patterns(&section->send_as, SENDERS_BYTES, &ask->senders) != ERR_OK ||
	    list_recipients(config, section, &ask->recipients) != ERR_OK) {
		refuse(ask, &LATER, "rights-too-long");
		return;
	}
	rights.address = section->send_as.items[0];
	rights.senders = ipc_list_view(&ask->senders);
	rights.recipients = ipc_list_view(&ask->recipients);
	err = grants_add(auth->grants, ask->front, &account, &rights, on_granted, ask, &ask->grant);
	if (err == ERR_RANGE)
		refuse(ask, &TOO_MANY, "limits.sessions_per_account is reached");
	else if (err != ERR_OK)
		refuse(ask, &LATER, err == ERR_BUSY ? "no-queue" : "too-many-grants");
}

/* ---- its account ---------------------------------------------------------------------------- */

static void on_read(struct verify_job *job);

/* Hands the job to a thread; *job is taken either way. */
static void submit(struct device_ask *ask, struct verify_job *job)
{
	struct auth *auth = ask->front->auth;

	ask->changes = auth->changes;
	ask->runs++;
	if (verify_submit(auth->verify, job, on_read) != ERR_OK) {
		verify_job_free(&job);
		auth->counts.crowded++;
		refuse(ask, &LATER, "too-many-logins");
		return;
	}
	ask->job = job;
}

static void on_read(struct verify_job *job)
{
	struct device_ask *ask = job->arg;
	struct auth *auth;

	if (ask == NULL) {
		verify_job_free(&job);
		return;
	}
	auth = ask->front->auth;
	ask->job = NULL;
	if (ask->changes != auth->changes && ask->runs < RUNS_MAX) {
		submit(ask, job);
		return;
	}
	alarm_store(auth, &auth->store_failed, "logins", job->err, job->why, "nobody can log in",
		    "the account store can be read again");
	if (job->err != ERR_OK) {
		refuse(ask, &LATER, "store-failed");
	} else if (ask->changes != auth->changes) {
		refuse(ask, &LATER, "account-changing");
	} else {
		rows_put(auth->rows, ask->account, &job->account);
		admit(ask, &job->account);
	}
	verify_job_free(&job);
}

static void read_account(struct device_ask *ask)
{
	struct verify_job *job = verify_job_new();

	job->task = VERIFY_ADOPT;
	(void)snprintf(job->login.name, sizeof(job->login.name), "%s", ask->account);
	(void)snprintf(job->domain, sizeof(job->domain), "%s",
		       config_domain(auth_config(ask->front->auth)));
	(void)snprintf(job->source, sizeof(job->source), "%s", ACCOUNT_DEVICE_SOURCE);
	job->arg = ask;
	submit(ask, job);
}

enum err devices_mail(struct front *front, const struct msg_device_mail *msg)
{
	const struct config *config = auth_config(front->auth);
	const char *client = door_client(front, msg->session);
	struct device_ask *ask = NULL;
	const struct account *row;
	size_t index;

	HASH_FIND(hh, front->devices, &msg->session, sizeof(msg->session), ask);
	if (ask != NULL)
		return ERR_EXISTS;
	index = client != NULL ? config_device_find(config, msg->listener, slice_str(client))
			       : config->device_count;
	if (index == config->device_count) {
		tell_refusal(front, msg->session, &NOBODY, "no-device");
		return ERR_OK;
	}
	if (HASH_COUNT(front->devices) >= FRONT_LOGINS_MAX) {
		tell_refusal(front, msg->session, &LATER, "too-many-logins");
		return ERR_OK;
	}
	ask = mem_alloc(sizeof(*ask));
	ask->front = front;
	ask->session = msg->session;
	(void)snprintf(ask->client, sizeof(ask->client), "%s", client);
	(void)slice_copy(msg->listener, ask->listener, sizeof(ask->listener));
	(void)snprintf(ask->account, sizeof(ask->account), "%s%.64s", ACCOUNT_DEVICE,
		       config->devices[index].name);
	HASH_ADD(hh, front->devices, session, sizeof(ask->session), ask);
	if ((row = rows_find(front->auth->rows, ask->account)) != NULL)
		admit(ask, row);
	else
		read_account(ask);
	return ERR_OK;
}

/* ---- the configuration ---------------------------------------------------------------------- */

struct devices *devices_new(struct auth *auth)
{
	struct devices *devices = mem_alloc(sizeof(*devices));

	devices->auth = auth;
	return devices;
}

static void device_free(struct device *device)
{
	mem_free(device->name);
	buf_release(&device->section);
	mem_free(device);
}

static void free_table(struct device *table)
{
	struct device *device, *next;

	HASH_ITER (hh, table, device, next) {
		HASH_DEL(table, device);
		device_free(device);
	}
}

void devices_free(struct devices **devices)
{
	if (*devices == NULL)
		return;
	free_table((*devices)->table);
	MEM_FREE(*devices);
}

static struct device *device_new(const struct config *config, size_t index)
{
	struct device *device = mem_alloc(sizeof(*device));

	device->name = mem_strdup(config->devices[index].name);
	buf_init(&device->section, TEXT_MAX);
	(void)config_device_encode(config, index, &device->section);
	/* It says whom a device may write to that is not told. */
	(void)buf_append_str(&device->section, config_domain(config));
	return device;
}

/* It goes on as it was: what is known of it stays. */
static void keep(struct device *device, const struct device *before)
{
	device->id = before->id;
	device->logins = before->logins;
	device->refused = before->refused;
	device->last = before->last;
	(void)snprintf(device->client, sizeof(device->client), "%s", before->client);
}

void devices_configure(struct devices *devices, const struct config *config)
{
	struct device *before = devices->table, *device, *old, *next;

	devices->table = NULL;
	for (size_t i = 0; i < config->device_count; i++) {
		device = device_new(config, i);
		HASH_ADD_KEYPTR(hh, devices->table, device->name, strlen(device->name), device);
	}
	HASH_ITER (hh, before, old, next) {
		device = device_of(devices, old->name);
		if (device != NULL)
			keep(device, old);
		if (old->id != 0 && (device == NULL || !slice_equal(buf_data(&device->section),
								    buf_data(&old->section))))
			(void)grants_revoke_account(devices->auth->grants, old->id, 0,
						    "configuration-changed");
	}
	free_table(before);
}

void devices_rows(const struct devices *devices,
		  void (*row)(void *arg, const struct devices_row *row), void *arg)
{
	for (const struct device *i = devices->table; i != NULL; i = i->hh.next)
		row(arg, &(struct devices_row){i->name, i->logins, i->refused, i->last, i->client});
}
