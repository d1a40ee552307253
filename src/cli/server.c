/* SPDX-License-Identifier: Apache-2.0 */
/* The commands about the server as a whole: serve, reload, status, tls show. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/common.h"
#include "config/parse.h"
#include "master/identities.h"
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

int cmd_alert_test(const struct invocation *invocation)
{
	struct question question = {.op = IPC_OP_ALERT_TEST, .subject = ""};

	return ask_and_show(invocation, &question, SHOW_RECORD, "");
}

static void add_field(struct row *row, const char *key, enum ipc_field_kind kind, const char *value)
{
	row->fields = mem_resize(row->fields, (row->count + 1) * sizeof(*row->fields));
	row->fields[row->count++] = (struct field){mem_strdup(key), kind, mem_strdup(value)};
}

static void add_info(struct answer *answer, const char *path,
		     const struct tls_certificate_info *info)
{
	struct row row = {0};
	char end[32];

	snprintf(end, sizeof(end), "%lld", (long long)info->not_after);
	add_field(&row, "file", IPC_FIELD_TEXT, path);
	add_field(&row, "subject", IPC_FIELD_TEXT, info->subject);
	add_field(&row, "names", IPC_FIELD_TEXT, info->names);
	add_field(&row, "fingerprint", IPC_FIELD_TEXT, info->fingerprint);
	add_field(&row, "not_after", IPC_FIELD_TIME, end);
	add_field(&row, "self_signed", IPC_FIELD_BOOL, info->self_signed ? "true" : "false");
	answer->rows = mem_resize(answer->rows, (answer->count + 1) * sizeof(row));
	answer->rows[answer->count++] = row;
}

static int add_file(struct answer *answer, const char *path)
{
	struct tls_certificate_info info;
	struct tls_identity identity;
	struct buf certificate;
	char why[1024];
	enum err err;

	buf_init(&certificate, 262144);
	err = os_read_file(path, 262144, &certificate);
	if (err != ERR_OK)
		os_explain_file(path, errno, why, sizeof(why));
	identity = (struct tls_identity){buf_data(&certificate), slice_str("")};
	if (err == ERR_OK && (err = tls_identity_info(&identity, &info)) != ERR_OK)
		snprintf(why, sizeof(why), "%.500s holds no certificate in PEM", path);
	if (err == ERR_OK)
		add_info(answer, path, &info);
	buf_release(&certificate);
	return err == ERR_OK ? EXIT_DONE : complain("%s", why);
}

/* The files that the configuration names, when there is no server to ask. */
static int show_files(const struct config *config, bool json)
{
	char why[IDENTITIES_WHY_MAX];
	struct identities identities;
	struct answer answer = {0};
	int status = EXIT_DONE;

	if (identities_list(config, &identities, why) != ERR_OK)
		return complain("tls: folder: %s", why);
	for (size_t i = 0; i < identities.count; i++) {
		int one = add_file(&answer, identities.items[i].certificate);

		/* The server leaves out what is of no use in the folder, and goes on. */
		if (one != EXIT_DONE && !identities.items[i].found)
			status = one;
	}
	if (answer.count != 0)
		show_rows(&answer, SHOW_TABLE, json, "", stdout);
	answer_release(&answer);
	identities_release(&identities);
	return status;
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
