/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postern setup: what a server needs to start on this machine. Nothing that is there is changed,
 * except the configuration with --force, so it can be run again after it stopped half-way.
 */
#include "cli/setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/common.h"
#include "config/parse.h"
#include "os/os.h"
#include "os/program.h"
#include "tls/tls.h"

enum { CERTIFICATE_DAYS = 3650, PEM_MAX = 65536, CONFIG_MAX = 1024 * 1024 };

void setup_path(const struct setup *setup, const char *path, char path_out[4096])
{
	snprintf(path_out, 4096, "%s%s", setup->root, path);
}

static bool failed(const char *path)
{
	char why[1024];

	os_explain_file(path, errno, why, sizeof(why));
	complain("%s", why);
	return false;
}

static bool make_parent(const char *path, mode_t mode)
{
	char folder[4096];
	char *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (slash == NULL || slash == folder)
		return true;
	*slash = '\0';
	if (access(folder, F_OK) == 0 || os_make_folder(folder, mode) == ERR_OK)
		return true;
	return failed(folder);
}

/* ---- configuration ----------------------------------------------------------------------- */

static void put_below(char **path, const char *root)
{
	char full[4096];

	snprintf(full, sizeof(full), "%s%s", root, *path);
	mem_free(*path);
	*path = mem_strdup(full);
}

static bool make_config(struct setup *setup)
{
	char why[512];

	if (config_fresh(setup->hostname, &setup->config, why) != ERR_OK) {
		complain("the name of the server %s", why);
		return false;
	}
	put_below(&setup->config->state_dir, setup->root);
	put_below(&setup->config->runtime_dir, setup->root);
	put_below(&setup->config->tls.certificate, setup->root);
	put_below(&setup->config->tls.key, setup->root);
	return true;
}

static bool write_config(struct setup *setup)
{
	struct buf text;
	bool good;

	buf_init(&text, CONFIG_MAX);
	good = config_print(setup->config, true, &text) == ERR_OK &&
	       (os_write_file(setup->config_path, buf_data(&text), 0644) == ERR_OK ||
		failed(setup->config_path));
	buf_release(&text);
	if (good)
		printf("Configuration: %s\n", setup->config_path);
	return good;
}

bool setup_config(struct setup *setup)
{
	if (!make_config(setup))
		return false;
	if (access(setup->config_path, F_OK) == 0 && !setup->force) {
		complain("%s is there already; --force replaces it, postern check checks it",
			 setup->config_path);
		return false;
	}
	return make_parent(setup->config_path, 0755) && write_config(setup);
}

/* ---- certificate ------------------------------------------------------------------------- */

static bool show_certificate(const char *path)
{
	struct tls_certificate_info info;
	struct buf certificate;
	struct tls_identity identity;
	bool good;

	buf_init(&certificate, PEM_MAX);
	good = os_read_file(path, PEM_MAX, &certificate) == ERR_OK || failed(path);
	identity = (struct tls_identity){buf_data(&certificate), slice_str("")};
	if (good && tls_identity_info(&identity, &info) != ERR_OK) {
		complain("%s holds no certificate in PEM", path);
		good = false;
	}
	if (good)
		printf("Certificate: %s\n  %s; SHA-256 %s\n", path,
		       info.self_signed ? "self-signed: mail clients ask their users whether to "
					  "trust it, and "
					  "should be shown this fingerprint"
					: "not self-signed",
		       info.fingerprint);
	buf_release(&certificate);
	return good;
}

bool setup_certificate(const struct setup *setup)
{
	const struct config_tls *tls = &setup->config->tls;
	struct buf certificate, key;
	bool good;

	if (access(tls->certificate, F_OK) == 0)
		return show_certificate(tls->certificate);
	buf_init(&certificate, PEM_MAX);
	buf_init(&key, PEM_MAX);
	good = make_parent(tls->certificate, 0755) && make_parent(tls->key, 0755);
	if (good &&
	    tls_make_self_signed(setup->hostname, CERTIFICATE_DAYS, &certificate, &key) != ERR_OK) {
		complain("no certificate could be made for %s", setup->hostname);
		good = false;
	}
	/* The key first: a certificate without its key would not be made anew. Master reads it as
	 * root. */
	good = good &&
	       (os_write_file(tls->key, buf_data(&key), 0600) == ERR_OK || failed(tls->key)) &&
	       (os_write_file(tls->certificate, buf_data(&certificate), 0644) == ERR_OK ||
		failed(tls->certificate)) &&
	       show_certificate(tls->certificate);
	buf_release(&certificate);
	buf_wipe(&key);
	return good;
}

/* ---- users and service ------------------------------------------------------------------- */

static bool add_user(const struct setup *setup, const char *user)
{
	const char *argv[] = {"/usr/sbin/useradd",
			      "--system",
			      "--user-group",
			      "--no-create-home",
			      "--home-dir",
			      setup->config->state_dir,
			      "--shell",
			      "/usr/sbin/nologin",
			      "--comment",
			      "postern mail submission",
			      user,
			      NULL};
	int status = program_run(argv);

	if (status == 0)
		return true;
	complain("user %s could not be made (%s ended with status %d)", user, argv[0], status);
	return false;
}

bool setup_users(const struct setup *setup)
{
	static const char *const names[] = {"smtpd", "auth",  "agent",   "backend",
					    "queue", "relay", "control", "alert"};
	unsigned made = 0;
	char user[256];
	uid_t uid;
	gid_t gid;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!config_user(setup->config, names[i], user) ||
		    os_user(user, &uid, &gid) == ERR_OK)
			continue;
		if (!add_user(setup, user))
			return false;
		made++;
	}
	printf("Users: %ssmtpd, auth, agent, backend, queue, relay, control, alert%s\n",
	       setup->config->user_prefix, made == 0 ? " (there already)" : "");
	return true;
}

static const char *find_systemctl(void)
{
	static const char *const places[] = {"/usr/bin/systemctl", "/bin/systemctl"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

/* The unit as it is built, for the program that runs now. */
static bool write_unit(const char *path)
{
	static const char unit[] = {
#include "postern.service.h"
		, 0};
	struct buf text;
	char self[4096];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	size_t at = slice_search(slice_str(unit), SLICE_LIT("@POSTERN@"));
	bool good;

	if (len <= 0)
		return failed("/proc/self/exe");
	self[len] = '\0';
	buf_init(&text, sizeof(unit) + 2 * sizeof(self));
	for (struct slice rest = slice_str(unit);;
	     at = slice_search(rest, SLICE_LIT("@POSTERN@"))) {
		buf_append_slice(&text, slice_head(rest, at));
		if (at == rest.len)
			break;
		buf_append_str(&text, self);
		rest = slice_skip(rest, at + strlen("@POSTERN@"));
	}
	good = make_parent(path, 0755) &&
	       (os_write_file(path, buf_data(&text), 0644) == ERR_OK || failed(path));
	buf_release(&text);
	return good;
}

bool setup_unit(const struct setup *setup)
{
	const char *systemctl = find_systemctl();
	const char *reload[] = {systemctl, "daemon-reload", NULL};
	const char *enable[] = {systemctl, "enable", "postern.service", NULL};
	char path[4096];

	setup_path(setup, "/etc/systemd/system/postern.service", path);
	if (access(path, F_OK) != 0 &&
	    access("/usr/lib/systemd/system/postern.service", F_OK) != 0) {
		if (!write_unit(path))
			return false;
		printf("Service: %s\n", path);
	}
	if (setup->root[0] != '\0')
		return true;
	if (systemctl == NULL || access("/run/systemd/system", F_OK) != 0) {
		printf("Note: systemd does not run here, so nothing starts the server by itself; "
		       "postern serve runs it.\n");
		return true;
	}
	if (program_run(reload) != 0 || program_run(enable) != 0) {
		complain("systemd did not take the unit; `systemctl enable postern` tells why");
		return false;
	}
	printf("Service: postern.service is enabled; systemctl start postern starts it now\n");
	return true;
}

void setup_ports(const struct setup *setup)
{
	const struct config *config = setup->config;

	printf("Ports to open in the firewall, for TCP:");
	for (size_t i = 0; i < config->listen_count; i++)
		for (size_t n = 0; n < config->listens[i].address.count; n++)
			printf(" %s", strrchr(config->listens[i].address.items[n], ':') + 1);
	printf("; and 25 outwards, for delivery by MX\n");
}

/* ---- the whole --------------------------------------------------------------------------- */

static bool account_exists(const struct setup *setup, const char *name)
{
	struct question question = {.op = IPC_OP_USER_SHOW, .subject = name, .owner = IPC_AUTH};
	struct answer answer = {0};
	char why[ASK_WHY_MAX];
	bool there = ask(setup->config, &question, &answer, why) == ERR_OK && !answer.failed;

	answer_release(&answer);
	return there;
}

/* Named by --user, else after who called sudo, else postmaster, whom every domain has. */
static bool add_account(const struct setup *setup, const struct invocation *invocation)
{
	struct invocation add = {.config = setup->config_path, .argument_count = 1};
	const char *name = invocation->values[OPTION_user];
	char user[256];
	uid_t uid;
	gid_t gid;

	if (name == NULL)
		name = getenv("SUDO_USER");
	if (name == NULL || name[0] == '\0' || strcmp(name, "root") == 0)
		name = "postmaster";
	if (setup->root[0] != '\0' && os_is_root() && config_user(setup->config, "auth", user) &&
	    os_user(user, &uid, &gid) != ERR_OK) {
		printf("Note: no account was made, as there is no user %s to keep it; postern user "
		       "add makes "
		       "one\n",
		       user);
		return true;
	}
	if (account_exists(setup, name)) {
		printf("Account: %s (there already)\n", name);
		return true;
	}
	printf("Account: %s; its password is shown here and nowhere else\n", name);
	add.arguments[0] = name;
	add.values[OPTION_generate] = "";
	return cmd_user_add(&add) == EXIT_DONE;
}

int cmd_setup(const struct invocation *invocation)
{
	const char *root = invocation->values[OPTION_root];
	char path[4096], full_root[4096] = "";
	struct setup setup = {
		.hostname = invocation->arguments[0],
		.root = full_root,
		.config_path = invocation->config,
		.force = invocation_has(invocation, OPTION_force),
	};
	bool good;

	if (!invocation_has(invocation, OPTION_yes)) {
		complain("setup writes files and makes users on this machine; say that it may: "
			 "postern setup "
			 "--yes %s",
			 setup.hostname);
		return EXIT_USAGE;
	}
	if (root != NULL &&
	    (os_make_folder(root, 0755) != ERR_OK || realpath(root, full_root) == NULL))
		return failed(root) ? EXIT_DONE : EXIT_FAILED;
	if (root == NULL && !os_is_root())
		return complain("setup makes users and a service and so needs root; --root FOLDER "
				"sets up a server in "
				"a folder without them");
	if (root != NULL && !invocation_has(invocation, OPTION_config)) {
		setup_path(&setup, "/etc/postern/postern.conf", path);
		setup.config_path = path;
	}
	good = setup_config(&setup) && setup_certificate(&setup) &&
	       (root != NULL || setup_users(&setup)) && add_account(&setup, invocation) &&
	       setup_unit(&setup);
	if (good)
		setup_ports(&setup);
	config_free(&setup.config);
	return good ? EXIT_DONE : EXIT_FAILED;
}
