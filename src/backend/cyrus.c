/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Cyrus SASL has on this machine: its daemon and its database, with the settings of an
 * application that used it before (Sendmail.conf, smtpd.conf). Of libsasl2's plug-ins only that of
 * sasldb is loaded, and that only where it is used: no other mechanism can be reached.
 */
#include "backend.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sasl/sasl.h>
#include <sasl/saslplug.h>

#include "base/mem.h"
#include "os/os.h"
#include "os/sandbox.h"
#include "sasldb.h"
#include "saslauthd.h"

enum { NAME_MAX_BYTES = 256 };

/* libsasl2 has one set of these for the process; the thread uses it, after the start. */
static struct {
	const struct config_backend *section;
	char *path;               /* of the socket or the database */
	char folder[OS_PATH_MAX]; /* where the database lies */
	char said[256];           /* its last complaint */
	char machine[NAME_MAX_BYTES];
	const char *realms[6];
	struct sasldb sasldb;
} cyrus;

/* ---- what libsasl2 asks of us --------------------------------------------------------------- */

static int get_option(void *context, const char *plugin, const char *option, const char **result,
		      unsigned *len)
{
	const char *value = NULL;

	(void)context;
	(void)plugin;
	if (strcmp(option, "pwcheck_method") == 0)
		value = "auxprop";
	else if (strcmp(option, "auxprop_plugin") == 0)
		value = "sasldb";
	else if (strcmp(option, "sasldb_path") == 0)
		value = cyrus.section->file;
	if (value == NULL)
		return SASL_FAIL; /* it looks into the application's file */
	*result = value;
	if (len != NULL)
		*len = (unsigned)strlen(value);
	return SASL_OK;
}

static int get_config_path(void *context, char **path)
{
	(void)context;
	*path = cyrus.section->config_path;
	return SASL_OK;
}

static int take_log(void *context, int level, const char *message)
{
	(void)context;
	if (level == SASL_LOG_ERR || level == SASL_LOG_WARN)
		(void)snprintf(cyrus.said, sizeof(cyrus.said), "%s", message);
	return SASL_OK;
}

static int verify_file(void *context, const char *file, sasl_verify_type_t type)
{
	(void)context;
	if (type != SASL_VRFY_PLUGIN)
		return SASL_OK;
	return cyrus.section->type == BACKEND_SASLDB && strstr(file, "/libsasldb.") != NULL
		       ? SASL_OK
		       : SASL_CONTINUE;
}

#define CALLBACK(function) ((int (*)(void))(void (*)(void))(function))

static const sasl_callback_t callbacks[] = {
	{SASL_CB_GETOPT, CALLBACK(get_option), NULL},
	{SASL_CB_GETCONFPATH, CALLBACK(get_config_path), NULL},
	{SASL_CB_LOG, CALLBACK(take_log), NULL},
	{SASL_CB_VERIFYFILE, CALLBACK(verify_file), NULL},
	{SASL_CB_LIST_END, NULL, NULL},
};

static void forget(void)
{
	cyrus.said[0] = '\0';
}

static const char *said(void)
{
	return cyrus.said;
}

/* ---- the start ------------------------------------------------------------------------------ */

/* Plug-ins alone may read the application's file, so this is one that never stays. */
static int read_path(const sasl_utils_t *utils, int max_version, int *version_out,
		     sasl_auxprop_plug_t **plugin_out, const char *name)
{
	const char *option =
		cyrus.section->type == BACKEND_SASLDB ? "sasldb_path" : "saslauthd_path";
	const char *value = NULL;

	(void)max_version;
	(void)version_out;
	(void)plugin_out;
	(void)name;
	if (utils->getopt(utils->getopt_context, NULL, option, &value, NULL) == SASL_OK &&
	    value != NULL && value[0] != '\0')
		cyrus.path = mem_strdup(value);
	return SASL_NOMECH;
}

static void choose_path(void)
{
	const char *usual =
		cyrus.section->type == BACKEND_SASLDB ? "/etc/sasldb2" : "/run/saslauthd/mux";

	if (cyrus.section->socket != NULL)
		cyrus.path = mem_strdup(cyrus.section->socket);
	else
		(void)sasl_auxprop_add_plugin("postern", read_path);
	if (cyrus.path == NULL)
		cyrus.path = mem_strdup(usual);
}

static void set_up_sasldb(const struct config *config)
{
	size_t count = 0;

	if (gethostname(cyrus.machine, sizeof(cyrus.machine) - 1) != 0)
		cyrus.machine[0] = '\0';
	cyrus.realms[count++] = config->hostname;
	cyrus.realms[count++] = config_domain(config);
	if (cyrus.machine[0] != '\0')
		cyrus.realms[count++] = cyrus.machine;
	cyrus.realms[count++] = "localhost.localdomain";
	cyrus.realms[count] = "localhost";
	cyrus.sasldb = (struct sasldb){
		.file = cyrus.path,
		.hostname = config->hostname,
		.realm = cyrus.section->realm != NULL ? cyrus.section->realm : config->hostname,
		.realms = cyrus.realms,
		.said = said,
		.forget = forget,
	};
}

static enum err start(const struct config *config, const struct config_backend *section, char *why)
{
	const char *application = section->application != NULL ? section->application : "Sendmail";
	int result;

	cyrus.section = section;
	result = sasl_server_init(callbacks, application);
	if (result != SASL_OK) {
		(void)snprintf(why, BACKEND_WHY,
			       "backend \"%s\": Cyrus SASL cannot be set up: %s%s%s", section->name,
			       sasl_errstring(result, NULL, NULL),
			       cyrus.said[0] != '\0' ? ": " : "", cyrus.said);
		return ERR_INTERNAL;
	}
	choose_path();
	set_up_sasldb(config);
	return ERR_OK;
}

static void set_sandbox(const struct config_backend *section, struct sandbox *sandbox_out)
{
	static const char *folders[2];
	const char *slash = strrchr(cyrus.path, '/');

	*sandbox_out = (struct sandbox){.powers = SANDBOX_FILES | SANDBOX_CONNECT};
	if (section->type != BACKEND_SASLDB || slash == NULL)
		return;
	/* The folder, as the database may be made, or replaced, later. */
	(void)snprintf(cyrus.folder, sizeof(cyrus.folder), "%.*s",
		       slash == cyrus.path ? 1 : (int)(slash - cyrus.path), cyrus.path);
	sandbox_out->powers = SANDBOX_FILES;
	if (os_file_stamp(cyrus.folder).inode != 0) {
		folders[0] = cyrus.folder;
		sandbox_out->read_folders = folders;
	}
}

/* ---- questions ------------------------------------------------------------------------------ */

static void check_saslauthd(const struct config_backend *section,
			    const struct backend_question *question, struct backend_answer *answer)
{
	saslauthd_check(cyrus.path, section->service != NULL ? section->service : "smtp",
			section->realm != NULL ? section->realm : "", question, answer);
}

static void check_sasldb(const struct config_backend *section,
			 const struct backend_question *question, struct backend_answer *answer)
{
	(void)section;
	sasldb_check(&cyrus.sasldb, question, answer);
}

static const struct backend_driver SASLAUTHD = {
	.type = BACKEND_SASLAUTHD,
	.group = "sasl",
	.start = start,
	.sandbox = set_sandbox,
	.check = check_saslauthd,
};
static const struct backend_driver SASLDB = {
	.type = BACKEND_SASLDB,
	.group = "sasl",
	.start = start,
	.sandbox = set_sandbox,
	.check = check_sasldb,
};

int main(int argc, char **argv)
{
	static const struct backend_driver *const DRIVERS[] = {&SASLAUTHD, &SASLDB, NULL};
	int status = backend_main(argc, argv, DRIVERS);

	MEM_FREE(cyrus.path);
	return status;
}
