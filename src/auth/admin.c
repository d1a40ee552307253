/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "alarm.h"
#include "auth.h"
#include "backends.h"
#include "base/mem.h"
#include "blocked.h"
#include "certificates.h"
#include "config/config.h"
#include "defence.h"
#include "devices.h"
#include "elsewhere.h"
#include "fields.h"
#include "frozen.h"
#include "grants.h"
#include "habits.h"
#include "ipc/channel.h"
#include "limits.h"
#include "offer.h"
#include "operation.h"
#include "os/log.h"
#include "os/os.h"
#include "os/worker.h"
#include "proven.h"
#include "rows.h"
#include "tokens.h"
#include "usage.h"
#include "store/account_verifiers.h"
#include "verify.h"

#define OWN_SERIAL UINT64_MAX /* of what no operator asked for */

struct admin {
	struct auth *auth;
	struct worker_pool *pool;  /* one thread: operations keep their order */
	struct accounts *accounts; /* the thread's */
	struct channel *control;
	uint64_t serial;             /* of the channel; an answer for an earlier one is dropped */
	struct elsewhere *elsewhere; /* operations that back ends are being asked for */
	struct {
		struct admin_errand errand;
		bool submitted, again;
		enum err err;
		uint64_t without_scram;
	} recount;
};

struct admin *admin_new(struct auth *auth)
{
	struct admin *admin = mem_alloc(sizeof(*admin));

	admin->auth = auth;
	admin->pool = worker_pool_new(auth->loop, "accounts", 1, ADMIN_WAITING_MAX);
	return admin;
}

enum err admin_open(struct admin *admin, const char *path, const char *domain,
		    char why[ACCOUNT_WHY])
{
	enum err err = accounts_open(path, &admin->accounts, why);

	if (err == ERR_OK &&
	    ((err = accounts_largest(admin->accounts, &admin->auth->largest)) != ERR_OK ||
	     (err = accounts_without_scram(admin->accounts, &admin->auth->without_scram)) !=
		     ERR_OK ||
	     (err = frozen_open(admin->auth->frozen, admin->accounts)) != ERR_OK ||
	     (err = certificates_open(admin->auth->certificates, admin->accounts)) != ERR_OK ||
	     (err = defence_open(admin->auth->defence, admin->accounts, domain)) != ERR_OK))
		(void)snprintf(why, ACCOUNT_WHY, "%s", accounts_why(admin->accounts));
	return err;
}

void admin_free(struct admin **admin)
{
	if (*admin == NULL)
		return;
	channel_free(&(*admin)->control);
	elsewhere_cancel_all(&(*admin)->elsewhere);
	worker_pool_free(&(*admin)->pool);
	if ((*admin)->accounts != NULL) {
		usage_save((*admin)->auth->usage, (*admin)->accounts);
		habits_save((*admin)->auth->habits, (*admin)->accounts);
		defence_save((*admin)->auth->defence, (*admin)->accounts);
	}
	accounts_close(&(*admin)->accounts);
	MEM_FREE(*admin);
}

/* ---- work of others ------------------------------------------------------------------------- */

static void errand_work(void *arg)
{
	struct admin_errand *errand = arg;

	errand->work(errand->arg, errand->admin->accounts);
}

static void errand_done(void *arg)
{
	struct admin_errand *errand = arg;

	errand->done(errand->arg);
}

enum err admin_submit(struct admin *admin, struct admin_errand *errand)
{
	errand->admin = admin;
	return worker_submit(admin->pool, errand_work, errand_done, errand);
}

static void recount_work(void *arg, struct accounts *accounts)
{
	struct admin *admin = arg;

	admin->recount.err = accounts_without_scram(accounts, &admin->recount.without_scram);
}

static void recount_done(void *arg)
{
	struct admin *admin = arg;
	bool again = admin->recount.again;

	admin->recount.submitted = admin->recount.again = false;
	if (admin->recount.err == ERR_OK)
		auth_set_without_scram(admin->auth, admin->recount.without_scram);
	if (again)
		admin_recount(admin);
}

void admin_recount(struct admin *admin)
{
	if (admin == NULL) /* the process ends */
		return;
	if (admin->recount.submitted) { /* it may have counted already */
		admin->recount.again = true;
		return;
	}
	admin->recount.errand =
		(struct admin_errand){.work = recount_work, .done = recount_done, .arg = admin};
	/* Else operators ask that much; the next one counts, too. */
	admin->recount.submitted = admin_submit(admin, &admin->recount.errand) == ERR_OK;
}

/* ---- answers -------------------------------------------------------------------------------- */

static void tell(struct admin *admin, uint16_t type, const void *message)
{
	enum err err;

	if (admin->control == NULL)
		return;
	err = channel_send(admin->control, type, message);
	if (err != ERR_OK && err != ERR_EOF)
		log_note(LOG_ERROR, "cannot send %s to control: %s", ipc_type_name(type),
			 err_name(err));
}

static void send_end(struct admin *admin, uint64_t id, bool failed, const char *text)
{
	struct msg_op_end msg = {.id = id, .status = failed ? 1 : 0, .text = slice_str(text)};

	tell(admin, IPC_OP_END, &msg);
}

static void send_rows(struct admin *admin, struct operation *operation)
{
	for (size_t i = 0; i < operation->row_count; i++) {
		struct msg_op_row msg = {.id = operation->id,
					 .fields = ipc_list_view(&operation->rows[i])};

		tell(admin, IPC_OP_ROW, &msg);
	}
	operation_drop_rows(operation);
}

/* The answer to one operation, for those who give its rows. */
struct answer {
	struct admin *admin;
	uint64_t id;
};

static void send_fields(void *arg, struct ipc_list fields)
{
	const struct answer *answer = arg;

	tell(answer->admin, IPC_OP_ROW, &(struct msg_op_row){.id = answer->id, .fields = fields});
}

static void send_limit(void *arg, const struct limit_row *limit)
{
	struct ipc_list_builder row;

	ipc_list_begin(&row, ROW_MAX);
	row_text(&row, "limit", limit->limit);
	row_text(&row, "value", limit->value);
	if (limit->now[0] != '\0')
		row_add(&row, "now",
			strchr(limit->now, '.') == NULL ? IPC_FIELD_NUMBER : IPC_FIELD_TEXT,
			limit->now);
	row_number(&row, "struck", limit->struck);
	send_fields(arg, ipc_list_view(&row));
	ipc_list_release(&row);
}

static void send_backend(void *arg, const struct backends_row *backend)
{
	struct ipc_list_builder row;

	ipc_list_begin(&row, ROW_MAX);
	row_text(&row, "backend", backend->name);
	row_text(&row, "type", backend->type);
	row_text(&row, "state",
		 backend->since == 0 ? "not asked yet"
		 : backend->down     ? "down"
				     : "answers");
	row_time(&row, "since", backend->since);
	row_number(&row, "processes", backend->processes);
	row_number(&row, "waiting", backend->waiting);
	row_number(&row, "yes", backend->yes);
	row_number(&row, "no", backend->no);
	row_number(&row, "unavailable", backend->unavailable);
	row_text(&row, "why", backend->why);
	send_fields(arg, ipc_list_view(&row));
	ipc_list_release(&row);
}

static void send_device(void *arg, const struct devices_row *device)
{
	struct ipc_list_builder row;

	ipc_list_begin(&row, ROW_MAX);
	row_text(&row, "device", device->name);
	row_number(&row, "logins", device->logins);
	row_number(&row, "refused", device->refused);
	row_time(&row, "last", device->last);
	row_text(&row, "client", device->client);
	send_fields(arg, ipc_list_view(&row));
	ipc_list_release(&row);
}

static void send_token(struct answer *answer, const struct tokens_state *token)
{
	const struct config_token *section = token->section;
	struct ipc_list_builder row;

	ipc_list_begin(&row, ROW_MAX);
	row_text(&row, "token", section->name);
	row_text(&row, "way",
		 section->jwks_file != NULL  ? "jwks_file"
		 : section->jwks_url != NULL ? "jwks_url"
					     : "introspect_url");
	row_text(&row, "state",
		 section->jwks_file != NULL ? "keys in a file"
		 : !token->asked            ? "not asked yet"
		 : token->down              ? "down"
					    : "answers");
	row_number(&row, "keys", token->keys);
	row_time(&row, "fetched", token->fetched);
	row_text(&row, "why", token->why);
	send_fields(answer, ipc_list_view(&row));
	ipc_list_release(&row);
}

static void add_mechanisms(const struct auth *auth, const struct operation *operation,
			   struct ipc_list_builder *row)
{
	char text[OFFER_TEXT], why[OFFER_WHY];

	offer_best(auth, text);
	row_text(row, "mechanisms", text);
	offer_obstacle(auth,
		       &(struct offer_missing){.sha_1 = operation->without_sha_1,
					       .cram_md5 = operation->without_cram_md5,
					       .hashes = operation->hashes},
		       why);
	if (why[0] != '\0')
		row_text(row, "mechanisms_missing", why);
}

static void send_status(struct admin *admin, const struct operation *operation)
{
	struct auth *auth = admin->auth;
	struct answer answer = {admin, operation->id};
	struct ipc_list_builder row;
	struct defence_counts defence;
	struct tokens_state token;

	defence_count(auth->defence, &defence);
	ipc_list_begin(&row, ROW_MAX);
	row_text(&row, "process", "auth");
	row_number(&row, "accounts", operation->accounts);
	row_number(&row, "accounts_enabled", operation->enabled);
	row_number(&row, "grants", grants_count(auth->grants));
	row_number(&row, "logins", auth->counts.logins);
	row_number(&row, "logins_from_cache", auth->counts.cached);
	row_number(&row, "logins_failed", auth->counts.failures);
	row_number(&row, "logins_unavailable", auth->counts.unavailable);
	row_number(&row, "logins_blocked", defence.blocked);
	row_number(&row, "logins_held", defence.held);
	row_number(&row, "sources_blocked", defence.sources);
	add_mechanisms(auth, operation, &row);
	row_number(&row, "logins_waiting", verify_waiting(auth->verify));
	row_number(&row, "accounts_cached", rows_count(auth->rows));
	row_number(&row, "passwords_cached", proven_count(auth->proven));
	send_fields(&answer, ipc_list_view(&row));
	ipc_list_release(&row);
	backends_rows(auth->backends, send_backend, &answer);
	devices_rows(auth->devices, send_device, &answer);
	for (size_t i = 0; tokens_state(auth->tokens, i, &token); i++)
		send_token(&answer, &token);
	limits_rows(auth, send_limit, &answer);
}

/* What the change means for those who are logged in, before the operator hears of it. */
static void apply(struct admin *admin, struct operation *operation)
{
	size_t before = grants_count(admin->auth->grants), ended, len;

	if (operation->has_largest) {
		auth_set_largest(admin->auth, operation->largest);
		auth_set_without_scram(admin->auth, operation->without_scram);
	}
	if (operation->has_certificates) {
		auth_set_certificates(admin->auth, operation->certificates,
				      operation->certificate_count);
		operation->has_certificates = false;
		operation->certificates = NULL; /* they have them now */
		operation->certificate_count = 0;
	}
	if (operation->changed == 0)
		return;
	auth_account_changed(admin->auth, operation->changed, operation->end_sessions,
			     operation->key, operation->end_reason);
	for (size_t i = 0; i < operation->replaced_count; i++)
		auth_account_changed(admin->auth, operation->replaced[i], true, 0,
				     operation->end_reason);
	ended = before - grants_count(admin->auth->grants);
	len = strlen(operation->text);
	if (ended > 0)
		(void)snprintf(operation->text + len, sizeof(operation->text) - len,
			       "; %zu session%s ended", ended, ended == 1 ? "" : "s");
}

/* ---- operations ----------------------------------------------------------------------------- */

static void work(void *arg)
{
	struct operation *operation = arg;
	struct admin *admin = operation->owner;

	operation_run(operation, admin->accounts, os_wall_ms());
}

/* For the log and the administrator: nobody asked. */
static void tell_frozen(const struct operation *operation)
{
	log_event(operation->failed ? LOG_ERROR : LOG_WARNING, "frozen",
		  LOG_TEXT("account", operation->subject),
		  LOG_TEXT("reason", operation->args.reason), LOG_TEXT("text", operation->text));
	alarm_frozen(((struct admin *)operation->owner)->auth, operation->subject,
		     operation->args.reason, operation->text, operation->failed);
}

static void done_elsewhere(struct operation *operation)
{
	struct admin *admin = operation->owner;

	if (operation->serial == admin->serial) {
		send_rows(admin, operation);
		send_end(admin, operation->id, operation->failed, operation->text);
	}
	operation_free(&operation);
}

static void done(void *arg);

/* queue holds the mail now, or has let it go; in the same run it may have done both for others. */
static void on_frozen(void *arg, bool told, uint64_t held, uint64_t released)
{
	struct operation *operation = arg;
	size_t len = strlen(operation->text);
	bool thaw = operation->op == IPC_OP_USER_THAW;
	uint64_t count = thaw ? released : held;

	if (!told)
		(void)snprintf(operation->text + len, sizeof(operation->text) - len,
			       "; as soon as the queue process is there it learns of it");
	else
		(void)snprintf(operation->text + len, sizeof(operation->text) - len,
			       "; %" PRIu64 " recipient%s in the queue %s", count,
			       count == 1 ? "" : "s", thaw ? "released" : "held");
	done(operation);
}

static void done(void *arg)
{
	struct operation *operation = arg;
	struct admin *admin = operation->owner;

	if (operation->elsewhere && !operation->failed) {
		elsewhere_ask(&admin->elsewhere, admin->auth->backends, operation, done_elsewhere);
		return;
	}
	apply(admin, operation);
	operation->changed = 0;
	if (operation->has_frozen && admin->auth->frozen != NULL) { /* NULL: the process ends */
		operation->has_frozen = false;
		frozen_set(admin->auth->frozen, operation->frozen, operation->frozen_count,
			   on_frozen, operation);
		operation->frozen = NULL; /* frozen has them now */
		operation->frozen_count = 0;
		return;
	}
	if (operation->serial == OWN_SERIAL)
		tell_frozen(operation);
	if (!operation->failed &&
	    (operation->op == IPC_OP_USER_THAW || operation->op == IPC_OP_USER_DELETE))
		alarm_thawed(admin->auth, operation->subject);
	if (operation->serial == admin->serial) {
		send_rows(admin, operation);
		if (operation->more && !operation->failed &&
		    worker_submit(admin->pool, work, done, operation) == ERR_OK)
			return;
		if (operation->op == IPC_OP_STATUS && !operation->failed)
			send_status(admin, operation);
		if (operation->more && !operation->failed)
			send_end(admin, operation->id, true, "too many operations at once");
		else
			send_end(admin, operation->id, operation->failed, operation->text);
	}
	operation_free(&operation);
}

static enum err begin(struct admin *admin, struct operation *operation, uint64_t serial)
{
	const struct config *config = auth_config(admin->auth);

	operation->owner = admin;
	operation->serial = serial;
	operation->iterations = config->auth.iterations;
	operation->sha_1 =
		offer_names(config, "SCRAM-SHA-1") || offer_names(config, "SCRAM-SHA-1-PLUS");
	operation->cram_md5 = offer_names(config, "CRAM-MD5");
	(void)snprintf(operation->domain, sizeof(operation->domain), "%s", config_domain(config));
	usage_flush(admin->auth->usage); /* what it tells is to be of now */
	habits_flush(admin->auth->habits);
	return worker_submit(admin->pool, work, done, operation);
}

void admin_freeze(struct admin *admin, const char *name, const char *why)
{
	const struct msg_op msg = {.op = IPC_OP_USER_FREEZE, .subject = slice_str(name)};
	struct operation *operation = operation_new(&msg);

	(void)snprintf(operation->args.reason, sizeof(operation->args.reason), "%s", why);
	if (begin(admin, operation, OWN_SERIAL) == ERR_OK)
		return;
	(void)snprintf(operation->text, sizeof(operation->text),
		       "not frozen: too many operations at once; postern user freeze does it");
	operation->failed = true;
	operation->owner = admin;
	tell_frozen(operation);
	operation_free(&operation);
}

static enum err on_op(struct admin *admin, const struct msg_op *msg)
{
	struct operation *operation;
	char text[BLOCKED_TEXT];

	if (blocked_is(msg->op)) { /* it is in memory */
		bool ok = blocked_run(admin->auth->defence, msg, send_fields,
				      &(struct answer){admin, msg->id}, text);

		send_end(admin, msg->id, !ok, text);
		return ERR_OK;
	}
	operation = operation_new(msg);
	operation->may_ask = backends_count(admin->auth->backends) > 0 && msg->secret.len > 0;
	if (begin(admin, operation, admin->serial) != ERR_OK) {
		send_end(admin, msg->id, true, "too many operations at once; try again");
		operation_free(&operation);
	}
	return ERR_OK;
}

static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct msg_op msg;
	enum err err;

	(void)channel;
	(void)fd;
	if (type != IPC_OP)
		return ERR_SYNTAX;
	err = ipc_decode(type, payload, &msg);
	return err != ERR_OK ? err : on_op(arg, &msg);
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct admin *admin = arg;

	(void)channel;
	if (how == CHANNEL_BROKEN)
		log_note(LOG_ERROR, "the channel to control is broken: %s", why);
	channel_free(&admin->control);
	admin->serial++;
}

static const struct channel_handlers HANDLERS = {.message = on_message, .ended = on_ended};

void admin_control(struct admin *admin, int fd)
{
	channel_free(&admin->control);
	admin->serial++;
	admin->control = channel_new(admin->auth->loop, fd, "control", &HANDLERS, admin);
}
