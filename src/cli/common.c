/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/common.h"

#include <stdarg.h>
#include <string.h>

#include "config/parse.h"

int complain(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("postern: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_FAILED;
}

struct config *load_config(const struct invocation *invocation)
{
	struct config *config = NULL;
	struct buf errors;
	enum err err;

	buf_init(&errors, 256 * 1024);
	err = config_read(invocation->config, &config, &errors);
	if (err != ERR_OK)
		fprintf(stderr, "%.*s", SLICE_ARG(buf_data(&errors)));
	if (err == ERR_NOT_FOUND)
		complain("postern setup HOSTNAME makes a configuration; -c FILE names another one");
	buf_release(&errors);
	return err == ERR_OK ? config : NULL;
}

int ask_and_show(const struct invocation *invocation, const struct question *question,
		 enum show_form form, const char *nothing)
{
	struct config *config = load_config(invocation);
	bool json = invocation_has(invocation, OPTION_json);
	struct answer answer = {0};
	char why[ASK_WHY_MAX];
	struct buf text;
	int status = EXIT_DONE;

	if (config == NULL)
		return EXIT_FAILED;
	if (ask(config, question, &answer, why) != ERR_OK) {
		config_free(&config);
		return complain("%s", why);
	}
	if (form == SHOW_LINES)
		answer_merge(&answer);
	buf_init(&text, 8 * sizeof(answer.text));
	show_escape(answer.text, &text);
	if (!answer.failed || answer.count != 0)
		show_rows(&answer, form, json, answer.text[0] != '\0' ? "" : nothing, stdout);
	if (answer.failed)
		status = complain("%.*s", SLICE_ARG(buf_data(&text)));
	else if (buf_len(&text) != 0 && !json)
		printf("%.*s\n", SLICE_ARG(buf_data(&text)));
	/* master knows also of those that control did not ask. */
	for (size_t i = 0; form == SHOW_LINES && i < answer.count; i++) {
		const char *state = row_value(&answer.rows[i], "state");

		if (state != NULL && strcmp(state, "down") == 0)
			status = EXIT_FAILED;
	}
	buf_release(&text);
	answer_release(&answer);
	config_free(&config);
	return status;
}

void add_argument(struct ipc_list_builder *args, const char *key, enum ipc_field_kind kind,
		  const char *value)
{
	/* Too long ones are found when the question is encoded: the list is bounded as that is. */
	(void)ipc_list_add(args, IPC_REC_field,
			   &(struct rec_field){slice_str(key), (uint8_t)kind, slice_str(value)});
}
