/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postern check: what a start does before it serves, one thing after the other, and every fault
 * told. It changes nothing, and works beside a running server: addresses and stores that this
 * server has in use are its own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/network.h"
#include "cli/check_tokens.h"
#include "cli/common.h"
#include "cli/offline.h"
#include "config/parse.h"
#include "master/identities.h"
#include "os/net.h"
#include "os/os.h"
#include "tls/tls.h"

enum { PEM_MAX = 262144, ADDRESSES_MAX = 16, ERRORS_MAX = 256 * 1024 };

struct check {
	const struct config *config;
	bool running; /* the server of this configuration runs */
	unsigned faults;
};

static void fault(struct check *check, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void fault(struct check *check, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	check->faults++;
}

static void note(const char *text)
{
	fprintf(stderr, "note: %s\n", text);
}

static void check_text(struct check *check)
{
	struct buf errors;

	buf_init(&errors, ERRORS_MAX);
	if (config_verify(check->config, &errors) != ERR_OK) {
		fprintf(stderr, "%.*s", SLICE_ARG(buf_data(&errors)));
		check->faults++;
	}
	buf_release(&errors);
}

/* ---- certificate ------------------------------------------------------------------------- */

static bool read_pem(struct check *check, const char *path, struct buf *pem)
{
	char why[1024];

	if (os_read_file(path, PEM_MAX, pem) == ERR_OK)
		return true;
	os_explain_file(path, errno, why, sizeof(why));
	fault(check, "tls: %s", why);
	return false;
}

static bool uses_tls(const struct config *config)
{
	for (size_t i = 0; i < config->listen_count; i++)
		if (config->listens[i].tls != TLS_MODE_NONE)
			return true;
	return false;
}

/* Old versions that are allowed must work: not every OpenSSL is built or set up for them. */
static void check_old_versions(struct check *check, const struct tls_identity *identity)
{
	struct tls_context *context = NULL;
	char why[TLS_WHY_MAX], text[1024];

	if (tls_server_context_new(identity, &context, why) != ERR_OK)
		return; /* told already */
	for (size_t i = 0; i < check->config->listen_count; i++) {
		const struct config_listen *listen = &check->config->listens[i];
		bool tls_1_1 = listen->tls_legacy_min == TLS_LEGACY_1_1;
		enum tls_version oldest = tls_1_1 ? TLS_1_1 : TLS_1_0;

		if (listen->tls_legacy_from.count == 0)
			continue;
		if (tls_can_speak(context, oldest, why) != ERR_OK) {
			fault(check, "listen \"%s\": tls_legacy_min = %s asked, but %s",
			      listen->name, tls_1_1 ? "1.1" : "1.0", why);
			continue;
		}
		snprintf(text, sizeof(text),
			 "listen \"%s\": clients of tls_legacy_from may use %s, tried and found "
			 "working; OpenSSL's security level is 0 for them, and for them alone",
			 listen->name, tls_version_name(oldest));
		note(text);
	}
	tls_context_free(&context);
}

static void check_identity(struct check *check, const struct identity_files *files,
			   const struct tls_identity *identity)
{
	bool own = files->label[0] == '\0';
	char why[TLS_WHY_MAX], text[TLS_WHY_MAX + 512];
	/* Which name a further one is for is told by itself. */
	enum err err = tls_identity_check(identity, own ? check->config->hostname : NULL,
					  os_wall_ms(), why);

	/* A start refuses what cannot be used, or leaves out what the folder has; clients refuse
	 * the rest, or ask their user. */
	if ((err == ERR_SYNTAX || err == ERR_DENIED) && !files->found) {
		fault(check, "tls: %s and %s: %s", files->certificate, files->key, why);
	} else if (err != ERR_OK) {
		snprintf(text, sizeof(text), "tls: %.400s: %s; %s", files->certificate, why,
			 err == ERR_SYNTAX || err == ERR_DENIED ? "it is left out"
								: "mail clients will complain");
		note(text);
	}
	if (own)
		check_old_versions(check, identity);
}

/* A key that every user of the machine can read is every user's. */
static void check_mode(const char *key)
{
	char text[OS_PATH_MAX + 256];

	if (!os_all_may_read(key))
		return;
	snprintf(text, sizeof(text),
		 "tls: every user of this machine can read the private key in %s: chmod o= %s", key,
		 key);
	note(text);
}

static void check_files(struct check *check, const struct identity_files *files)
{
	bool one_file = strcmp(files->certificate, files->key) == 0;
	struct buf certificate, key;

	buf_init(&certificate, PEM_MAX);
	buf_init(&key, PEM_MAX);
	if (read_pem(check, files->certificate, &certificate) &&
	    (one_file || read_pem(check, files->key, &key))) {
		struct tls_identity identity = {buf_data(&certificate),
						buf_data(one_file ? &certificate : &key)};

		check_identity(check, files, &identity);
		check_mode(files->key);
	}
	buf_release(&certificate);
	buf_wipe(&key);
}

static void check_certificates(struct check *check)
{
	char why[IDENTITIES_WHY_MAX];
	struct identities identities;

	/* A file that cannot be read was told by config_verify. */
	if (!uses_tls(check->config) || check->faults != 0)
		return;
	if (identities_list(check->config, &identities, why) != ERR_OK) {
		fault(check, "tls: folder: %s", why);
		return;
	}
	for (size_t i = 0; i < identities.count; i++)
		check_files(check, &identities.items[i]);
	identities_release(&identities);
}

/* ---- addresses --------------------------------------------------------------------------- */

static void check_bind(struct check *check, const char *text, const struct net_address *address)
{
	char shown[NET_TEXT_MAX];
	int fd = -1;
	enum err err = net_listen(address, 1, &fd);
	int error = errno;

	net_close(&fd);
	net_print_port(address, shown);
	if (err == ERR_BUSY && !check->running)
		fault(check,
		      "listen %s: %s is in use by another program; `ss -ltnp` shows by which", text,
		      shown);
	else if (err == ERR_DENIED)
		fault(check,
		      "listen %s: ports below 1024 need root: run postern as root (it gives root "
		      "up once "
		      "they are bound), or choose another port",
		      text);
	else if (err != ERR_OK && err != ERR_BUSY)
		fault(check, "listen %s: %s: %s", text, shown, strerror(error));
}

static void check_addresses(struct check *check)
{
	struct net_address addresses[ADDRESSES_MAX];
	char why[256];

	for (size_t i = 0; i < check->config->listen_count; i++) {
		const struct strings *texts = &check->config->listens[i].address;

		for (size_t n = 0; n < texts->count; n++) {
			size_t count = 0;

			if (net_listen_addresses(texts->items[n], addresses, ADDRESSES_MAX, &count,
						 why) != ERR_OK) {
				fault(check, "listen %s: %s", texts->items[n], why);
				continue;
			}
			for (size_t a = 0; a < count; a++)
				check_bind(check, texts->items[n], &addresses[a]);
		}
	}
}

/* ---- networks ---------------------------------------------------------------------------- */

/* A class of an office, or what one host may choose its IPv6 addresses from. */
enum { NARROW_IPV4 = 24, NARROW_IPV6 = 64 };

/* What is opened for a few devices should not be open to many: said, not forbidden. */
static void check_width(const char *listen, const char *setting, const struct strings *networks,
			const char *what, const char *whom)
{
	char text[1024];

	for (size_t i = 0; i < networks->count; i++) {
		struct network network;
		unsigned bits;
		bool ipv4;

		if (network_read(slice_str(networks->items[i]), &network) != ERR_OK)
			continue;
		bits = network_bits(&network, &ipv4);
		if (bits == 0)
			snprintf(text, sizeof(text),
				 "listen \"%s\": %s = %s is EVERYBODY: %s for the whole Internet; "
				 "name %s",
				 listen, setting, networks->items[i], what, whom);
		else if (bits < (ipv4 ? (unsigned)NARROW_IPV4 : (unsigned)NARROW_IPV6))
			snprintf(text, sizeof(text),
				 "listen \"%s\": %s = %s is a wide network (more than /%d): %s for "
				 "all of it; name %s",
				 listen, setting, networks->items[i],
				 ipv4 ? (int)NARROW_IPV4 : (int)NARROW_IPV6, what, whom);
		else
			continue;
		note(text);
	}
}

static void check_networks(const struct config *config)
{
	static const char devices[] = "the devices that need it";

	for (size_t i = 0; i < config->listen_count; i++) {
		const struct config_listen *listen = &config->listens[i];

		check_width(listen->name, "clear_auth_from", &listen->clear_auth_from,
			    "passwords may go over the wire in clear", devices);
		check_width(listen->name, "tls_legacy_from", &listen->tls_legacy_from,
			    "TLS as weak as of 1999 is allowed", devices);
		check_width(listen->name, "proxy_from", &listen->proxy_from,
			    "the address that a PROXY header claims is believed",
			    "the load balancers, and nobody else");
	}
}

/* What somebody has said that he knows is said once more. */
static void check_devices(const struct config *config)
{
	char text[1024];

	for (size_t i = 0; i < config->device_count; i++) {
		const struct config_device *device = &config->devices[i];

		if (!device->i_know_this_is_open)
			continue;
		snprintf(text, sizeof(text),
			 "device \"%s\": i_know_this_is_open: everybody who comes from %s%s may "
			 "send "
			 "mail as %s without login",
			 device->name, device->from.items[0],
			 device->from.count > 1 ? " and its other addresses" : "",
			 device->send_as.items[0]);
		note(text);
	}
}

/* ---- users and stores -------------------------------------------------------------------- */

static void check_users(struct check *check)
{
	static const char *const names[] = {"smtpd", "auth", "agent", "queue", "relay", "control"};
	char user[256];
	uid_t uid;
	gid_t gid;

	for (size_t i = 0; os_is_root() && i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], "agent") == 0 && !config_needs_agent(check->config))
			continue;
		if (config_user(check->config, names[i], user) &&
		    os_user(user, &uid, &gid) != ERR_OK)
			fault(check,
			      "there is no user %s for process %s to run as; `postern setup` makes "
			      "it, or: "
			      "adduser --system --group --no-create-home %s",
			      user, names[i], user);
	}
}

/* The processes that own the stores are started and stopped again: they open them or say why not.
 */
static void check_stores(struct check *check)
{
	static const enum ipc_role owners[] = {IPC_AUTH, IPC_QUEUE};
	char why[ASK_WHY_MAX], path[4096];
	int lock = -1;

	/* Without the lock file it never ran: a start makes the stores, a check does not. */
	config_state_path(check->config, "lock", path);
	if (check->running || (access(path, F_OK) != 0 && errno == ENOENT))
		return;
	if (ask_lock(check->config, &lock, why) != ERR_OK) {
		fault(check, "%s", why);
		return;
	}
	for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++)
		if (offline_try(check->config, owners[i], why) != ERR_OK)
			fault(check, "%s", why);
	net_close(&lock);
}

static int print_effective(const struct config *config)
{
	struct buf text;

	buf_init(&text, 16 * 1024 * 1024);
	if (config_print(config, false, &text) == ERR_OK)
		printf("%.*s", SLICE_ARG(buf_data(&text)));
	buf_release(&text);
	return EXIT_DONE;
}

int cmd_check(const struct invocation *invocation)
{
	struct config *config = load_config(invocation);
	struct check check = {.config = config};
	char why[ASK_WHY_MAX];
	int fd = -1;

	if (config == NULL)
		return EXIT_FAILED;
	check.running = ask_connect(config, &fd, why) == ERR_OK;
	net_close(&fd);
	check_text(&check);
	check_certificates(&check);
	check.faults += check_tokens(config);
	check_addresses(&check);
	check_networks(config);
	check_devices(config);
	check_users(&check);
	if (check.faults == 0)
		check_stores(&check);
	if (check.faults == 0 && invocation_has(invocation, OPTION_effective))
		print_effective(config);
	else if (check.faults == 0)
		printf("%s is good%s.\n", invocation->config,
		       check.running ? "; postern reload puts it in force" : "");
	config_free(&config);
	return check.faults == 0 ? EXIT_DONE : EXIT_FAILED;
}
