/* SPDX-License-Identifier: Apache-2.0 */
/* The commands about the server as a whole: serve, reload, status, tls show. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/common.h"
#include "config/parse.h"
#include "master/master.h"
#include "os/net.h"
#include "os/os.h"
#include "tls/tls.h"

int cmd_serve(const struct invocation *invocation)
{
	char serve[] = "serve", option[] = "-c";
	char *config = mem_strdup(invocation->config);
	char *argv[] = {serve, option, config, NULL};
	int status = master_main(3, argv);

	mem_free(config);
	return status;
}

int cmd_reload(const struct invocation *invocation)
{
	struct question question = {.op = IPC_OP_RELOAD, .subject = ""};

	return ask_and_show(invocation, &question, SHOW_RECORD, "The configuration is in force.");
}

int cmd_status(const struct invocation *invocation)
{
	struct question question = {.op = IPC_OP_STATUS, .subject = ""};

	return ask_and_show(invocation, &question, SHOW_LINES, "");
}

/* The files that the configuration names, when there is no server to ask. */
static int show_files(const struct config *config, bool json)
{
	char path_why[1024], end[32];
	struct tls_certificate_info info;
	struct buf certificate, key;
	struct tls_identity identity;
	const char *path = config->tls.certificate;
	char self_signed[8];
	enum err err;

	buf_init(&certificate, 262144);
	buf_init(&key, 1);
	err = os_read_file(path, 262144, &certificate);
	if (err != ERR_OK)
		os_explain_file(path, errno, path_why, sizeof(path_why));
	identity = (struct tls_identity){buf_data(&certificate), buf_data(&key)};
	if (err == ERR_OK && (err = tls_identity_info(&identity, &info)) != ERR_OK)
		snprintf(path_why, sizeof(path_why), "%.500s holds no certificate in PEM", path);
	if (err == ERR_OK) {
		struct field fields[] = {
			{.key = (char[]){"file"}, IPC_FIELD_TEXT, config->tls.certificate},
			{.key = (char[]){"subject"}, IPC_FIELD_TEXT, info.subject},
			{.key = (char[]){"fingerprint"}, IPC_FIELD_TEXT, info.fingerprint},
			{.key = (char[]){"not_after"}, IPC_FIELD_TIME, end},
			{.key = (char[]){"self_signed"}, IPC_FIELD_BOOL, self_signed},
		};
		struct row row = {fields, sizeof(fields) / sizeof(fields[0])};
		struct answer answer = {.rows = &row, .count = 1};

		snprintf(end, sizeof(end), "%lld", (long long)info.not_after);
		snprintf(self_signed, sizeof(self_signed), info.self_signed ? "true" : "false");
		show_rows(&answer, SHOW_TABLE, json, "", stdout);
	}
	buf_release(&certificate);
	buf_release(&key);
	return err == ERR_OK ? EXIT_DONE : complain("%s", path_why);
}

int cmd_tls_show(const struct invocation *invocation)
{
	struct question question = {.op = IPC_OP_TLS_SHOW, .subject = ""};
	struct config *config = load_config(invocation);
	bool json = invocation_has(invocation, OPTION_json);
	char why[ASK_WHY_MAX];
	int fd = -1, status;
	enum err err;

	if (config == NULL)
		return EXIT_FAILED;
	err = ask_connect(config, &fd, why);
	if (err == ERR_OK)
		net_close(&fd);
	if (err == ERR_NOT_FOUND)
		status = show_files(config, json);
	else
		status = ask_and_show(invocation, &question, SHOW_TABLE, "No listener uses TLS.");
	config_free(&config);
	return status;
}
