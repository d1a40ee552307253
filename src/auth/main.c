/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the auth process: what it sets up, in which order, and how it ends. */
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "admin.h"
#include "auth.h"
#include "backends.h"
#include "base/mem.h"
#include "certificates.h"
#include "config/config.h"
#include "defence.h"
#include "devices.h"
#include "door.h"
#include "front.h"
#include "frozen.h"
#include "grants.h"
#include "habits.h"
#include "ipc/child.h"
#include "kerberos.h"
#include "mechanism.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"
#include "os/os.h"
#include "os/sandbox.h"
#include "proven.h"
#include "rows.h"
#include "tokens.h"
#include "usage.h"
#include "verify.h"
#include "volumes.h"

const struct config *auth_config(const struct auth *auth)
{
	return child_config(auth->child);
}

void auth_account_changed(struct auth *auth, int64_t id, bool end_sessions, int64_t key,
			  const char *reason)
{
	auth->changes++;
	rows_drop(auth->rows, id);
	proven_forget(auth->proven, id);
	if (end_sessions)
		(void)grants_revoke_account(auth->grants, id, key, reason);
}

void auth_set_without_scram(struct auth *auth, uint64_t count)
{
	bool other = (auth->without_scram == 0) != (count == 0);

	auth->without_scram = count;
	for (struct front *front = auth->fronts; other && front != NULL; front = front->next)
		front_offer_mechanisms(front);
}

void auth_set_certificates(struct auth *auth, char **texts, size_t count)
{
	bool other = certificates_any(auth->certificates) != (count > 0);

	certificates_set(auth->certificates, texts, count);
	for (struct front *front = auth->fronts; other && front != NULL; front = front->next)
		front_offer_mechanisms(front);
}

void auth_set_largest(struct auth *auth, uint64_t bytes)
{
	if (auth->largest == bytes)
		return;
	auth->largest = bytes;
	for (struct front *front = auth->fronts; front != NULL; front = front->next)
		front_offer_again(front);
}

/* One per process, so that the end of main can release it: threads must be through with the
 * libraries before these clean up after themselves. */
static struct auth *the_auth;

static void free_auth(struct auth *auth)
{
	struct front *front, *next;

	if (auth == NULL) /* it ended before the first configuration */
		return;
	for (front = auth->fronts; front != NULL; front = next) {
		next = front->next;
		front_free(&front);
	}
	frozen_free(&auth->frozen);
	certificates_free(&auth->certificates);
	admin_free(&auth->admin); /* saves what usage and defence have, and ends their jobs */
	usage_free(&auth->usage);
	habits_free(&auth->habits);
	verify_free(&auth->verify);
	volumes_free(&auth->volumes);
	backends_free(&auth->backends);
	grants_free(&auth->grants);
	devices_free(&auth->devices);
	defence_free(&auth->defence);
	door_free(&auth->door);
	tokens_free(&auth->tokens);
	rows_free(&auth->rows);
	proven_free(&auth->proven);
	mechanisms_free(&auth->mechanisms);
	kerberos_free(&auth->kerberos);
	mem_free(auth->keytab);
	mem_free(auth);
}

/* ---- set-up --------------------------------------------------------------------------------- */

/* OpenSSL reads its configuration and finds algorithms on first use: while files may be opened. */
static void warm_up(void)
{
	static const unsigned char KEY[VERIFIER_KEY]; /* salt enough, too */
	struct verifier verifier;

	(void)verifier_make(SLICE_LIT("x"), KEY, VERIFIER_ITERATIONS_MIN, &verifier);
	(void)verifier_fake(KEY, SLICE_LIT("x"), VERIFIER_ITERATIONS_MIN, &verifier);
}

/* One that is of no use is no reason to keep everybody out, nor to let no account be changed. */
static void open_keytab(struct auth *auth, const char *keytab)
{
	char why[KERBEROS_WHY];

	auth->keytab = mem_strdup(keytab);
	if (keytab != NULL && kerberos_new(keytab, &auth->kerberos, why) != ERR_OK)
		log_note(LOG_ERROR, "nobody can log in by GSSAPI: %s", why);
}

static enum err start(struct child *child, const struct config *config, char *why)
{
	struct auth *auth = mem_alloc(sizeof(*auth));
	unsigned threads = config->auth.workers;

	auth->child = child;
	auth->loop = child_loop(child);
	child_set_data(child, auth);
	the_auth = auth;
	if (mechanisms_new(&auth->mechanisms) != ERR_OK ||
	    proven_new(AUTH_PROVEN_MAX, &auth->proven) != ERR_OK) {
		(void)snprintf(why, 512, "GNU SASL or OpenSSL cannot be set up");
		return ERR_INTERNAL;
	}
	open_keytab(auth, config->auth.keytab);
	warm_up();
	auth->workers = config->auth.workers;
	auth->waiting = config->auth.waiting;
	auth->rows = rows_new(AUTH_ROWS_MAX);
	auth->tokens = tokens_new(auth->loop);
	auth->certificates = certificates_new();
	auth->door = door_new(auth);
	auth->backends = backends_new(auth);
	auth->defence = defence_new(auth);
	auth->devices = devices_new(auth);
	auth->grants = grants_new(auth);
	auth->verify = verify_new(auth->loop, threads != 0 ? threads : os_cpu_count(),
				  config->auth.waiting);
	auth->volumes = volumes_new(auth);
	auth->admin = admin_new(auth);
	auth->usage = usage_new(auth);
	auth->habits = habits_new(auth);
	auth->frozen = frozen_new(auth);
	return ERR_OK;
}

static void set_sandbox(struct child *child, const struct config *config,
			struct sandbox *sandbox_out)
{
	static char folder[4096];
	static const char *const FOLDERS[] = {folder, NULL};

	(void)child;
	config_state_path(config, "auth", folder);
	*sandbox_out = (struct sandbox){.powers = SANDBOX_FILES, .folders = FOLDERS};
}

static enum err open_store(struct child *child, const struct config *config, char *why)
{
	struct auth *auth = child_data(child);
	char path[4096];
	enum err err;

	config_state_path(config, "auth/accounts.db", path);
	if ((err = admin_open(auth->admin, path, config_domain(config), why)) != ERR_OK)
		return err;
	if ((err = volumes_open(auth->volumes, path, why)) != ERR_OK)
		return err;
	return verify_open(auth->verify, path, why);
}

/* ---- life ----------------------------------------------------------------------------------- */

static enum err prepare(struct child *child, const struct config *config, char *why)
{
	(void)child;
	(void)config;
	(void)why; /* every setting of auth was checked by the parser */
	return ERR_OK;
}

static void commit(struct child *child, const struct config *config)
{
	struct auth *auth = child_data(child);

	/* Threads cannot be started within the sandbox. */
	if (config->auth.workers != auth->workers || config->auth.waiting != auth->waiting)
		log_note(LOG_WARNING, "auth { workers waiting } as changed come into force when "
				      "postern is started anew");
	if (!slice_equal(slice_str(config->auth.keytab), slice_str(auth->keytab)))
		log_note(LOG_WARNING, "auth { keytab } as changed comes into force when postern is "
				      "started anew");
	door_configure(auth->door, config);
	backends_configure(auth->backends, config);
	defence_configure(auth->defence, config);
	devices_configure(auth->devices, config);
	tokens_commit(auth->tokens, config);
	/* What a name means hangs on the domain. */
	auth->changes++;
	rows_clear(auth->rows);
	if ((int)config->submission.sender_check != auth->sender_check) {
		grants_again(auth->grants);
		if (config->submission.sender_check == SENDER_CHECK_LOG)
			log_note(LOG_WARNING, "submission { sender_check = log }: every account "
					      "may send as anyone, and the log names who does");
	}
	auth->sender_check = (int)config->submission.sender_check;
	for (struct front *front = auth->fronts; front != NULL; front = front->next)
		front_offer(front);
}

static void rollback(struct child *child)
{
	struct auth *auth = child_data(child);

	tokens_rollback(auth->tokens);
}

static enum err file(struct child *child, const struct msg_file *msg, char *why)
{
	struct auth *auth = child_data(child);

	return tokens_file(auth->tokens, msg, why);
}

static void peer(struct child *child, enum ipc_role role, uint16_t index, uint32_t incarnation,
		 int fd)
{
	struct auth *auth = child_data(child);

	switch (role) {
	case IPC_SMTPD:
		front_add(auth, index, incarnation, fd);
		break;
	case IPC_QUEUE:
		grants_queue(auth->grants, fd, incarnation);
		break;
	case IPC_BACKEND:
		backends_process(auth->backends, index, fd);
		break;
	case IPC_AGENT:
		tokens_agent(auth->tokens, fd);
		break;
	case IPC_CONTROL:
		admin_control(auth->admin, fd);
		break;
	default:
		log_note(LOG_ERROR, "a channel to %s is not for auth", ipc_role_name(role));
		net_close(&fd);
		break;
	}
}

static void shut_down(struct child *child, uint32_t within_ms)
{
	(void)within_ms; /* nothing here takes long: logins end with their sessions */
	child_exit(child, 0);
}

int main(int argc, char **argv)
{
	static const struct child_role ROLE = {
		.name = "auth",
		.role = IPC_AUTH,
		.start = start,
		.open = open_store,
		.prepare = prepare,
		.commit = commit,
		.rollback = rollback,
		.file = file,
		.peer = peer,
		.sandbox = set_sandbox,
		.shutdown = shut_down,
	};
	int status = child_main(argc, argv, &ROLE);

	free_auth(the_auth);
	return status;
}
