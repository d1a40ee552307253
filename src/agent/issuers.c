/* SPDX-License-Identifier: Apache-2.0 */
#include "issuers.h"

#include <stdio.h>
#include <string.h>

#include <utlist.h>

#include "base/mem.h"
#include "https.h"
#include "introspect.h"
#include "ipc/alert.h"
#include "ipc/child.h"
#include "keys.h"
#include "os/log.h"
#include "os/os.h"
#include "post.h"
#include "transfer.h"

static const char DOWN[] = "issuer-down";

struct file {
	struct file *next;
	char *title;
	char *setting;
	struct secret value;
};

/* ---- how it is ------------------------------------------------------------------------------ */

static void alert_down(const struct issuer *issuer)
{
	const struct rec_field evidence[] = {
		{SLICE_LIT("token"), IPC_FIELD_TEXT, slice_str(issuer->title)},
		{SLICE_LIT("url"), IPC_FIELD_TEXT, slice_str(issuer->url)},
		{SLICE_LIT("reason"), IPC_FIELD_TEXT, slice_str(issuer->why)},
	};
	char text[1024];

	(void)snprintf(text, sizeof(text),
		       "the issuer of token \"%.64s\" cannot be asked at %.300s, and whom only it "
		       "can vouch for cannot log in: %.500s",
		       issuer->title, issuer->url, issuer->why);
	alert_send(child_master(issuer->agent->child), IPC_ALERT_LASTS,
		   &(struct alert_words){DOWN, issuer->title, text, evidence, 3});
}

void issuer_note(struct issuer *issuer, const char *why)
{
	bool down = why != NULL, first = !issuer->asked;

	(void)snprintf(issuer->why, sizeof(issuer->why), "%s", down ? why : "");
	if (!first && down == issuer->down)
		return;
	if (down) {
		log_event(LOG_ERROR, "issuer-down", LOG_TEXT("token", issuer->title),
			  LOG_TEXT("url", issuer->url), LOG_TEXT("reason", why));
		alert_down(issuer);
	} else if (!first) {
		log_event(LOG_INFO, "issuer-up", LOG_TEXT("token", issuer->title),
			  LOG_NUMBER("down_s", (os_wall_ms() - issuer->since) / 1000));
		alert_send_over(child_master(issuer->agent->child), DOWN, issuer->title);
	}
	issuer->asked = true;
	issuer->down = down;
	issuer->since = os_wall_ms();
}

void issuer_question(const struct issuer *issuer, struct https_question *question_out)
{
	*question_out = (struct https_question){
		.url = issuer->url,
		.trust = issuer->trust,
		.user = issuer->client_id,
		.password = secret_value(&issuer->client_secret),
		.timeout = issuer->timeout,
	};
}

struct issuer *issuer_find(const struct agent *agent, struct slice title)
{
	for (size_t i = 0; i < agent->issuer_count; i++)
		if (slice_is(title, agent->issuers[i]->title))
			return agent->issuers[i];
	return NULL;
}

/* ---- files ---------------------------------------------------------------------------------- */

void issuers_rollback(struct agent *agent)
{
	while (agent->files != NULL) {
		struct file *file = agent->files;

		agent->files = file->next;
		secret_clear(&file->value);
		mem_free(file->title);
		mem_free(file->setting);
		mem_free(file);
	}
}

static struct slice first_line(struct slice text)
{
	text = slice_head(text, slice_find(text, '\n'));
	if (text.len > 0 && text.ptr[text.len - 1] == '\r')
		text.len--;
	return text;
}

enum err issuers_file(struct agent *agent, const struct msg_file *msg, char *why)
{
	bool is_secret = slice_is(msg->setting, "client_secret_file") ||
			 slice_is(msg->setting, "webhook_secret_file");
	struct file *file;

	if (!is_secret && !slice_is(msg->setting, "ca_file") &&
	    !slice_is(msg->setting, "webhook_ca_file"))
		return ERR_SYNTAX;
	if (is_secret && first_line(msg->value).len == 0) {
		(void)snprintf(why, 512,
			       "%.*s \"%.*s\": %.*s is empty; its first line is the secret by "
			       "which the other side knows us",
			       SLICE_ARG(msg->section), SLICE_ARG(msg->title),
			       SLICE_ARG(msg->setting));
		return ERR_SYNTAX;
	}
	file = mem_alloc(sizeof(*file));
	file->title = mem_strndup(msg->title.ptr, msg->title.len);
	file->setting = mem_strndup(msg->setting.ptr, msg->setting.len);
	secret_set(&file->value, is_secret ? first_line(msg->value) : msg->value);
	LL_PREPEND(agent->files, file);
	return ERR_OK;
}

static struct slice prepared(const struct agent *agent, const char *title, const char *setting)
{
	const struct file *file;

	LL_FOREACH (agent->files, file)
		if (slice_is(slice_str(title), file->title) &&
		    slice_is(slice_str(setting), file->setting))
			return secret_value(&file->value);
	return slice_of("", 0);
}

/* ---- configurations ------------------------------------------------------------------------- */

static const char *url_of(const struct config_token *section)
{
	return section->jwks_url != NULL ? section->jwks_url : section->introspect_url;
}

enum err issuers_check(const struct agent *agent, const struct config *config, char *why)
{
	for (size_t i = 0; i < config->token_count; i++) {
		const struct config_token *section = &config->tokens[i];

		if (url_of(section) == NULL || section->ca_file != NULL || agent->system != NULL)
			continue;
		(void)snprintf(why, 512,
			       "token \"%s\": this machine knows no authority that could vouch for "
			       "its server: install the package ca-certificates, or set ca_file",
			       section->name);
		return ERR_NOT_FOUND;
	}
	if (config->alert.webhook == NULL || config->alert.webhook_ca_file != NULL ||
	    agent->system != NULL)
		return ERR_OK;
	(void)snprintf(why, 512,
		       "alert: this machine knows no authority that could vouch for the server of "
		       "webhook: install the package ca-certificates, or set webhook_ca_file");
	return ERR_NOT_FOUND;
}

static void free_issuer(struct issuer *issuer)
{
	introspect_forget(issuer);
	keys_free(&issuer->keys);
	trust_free(&issuer->trust);
	secret_clear(&issuer->client_secret);
	mem_free(issuer->title);
	mem_free(issuer->url);
	mem_free(issuer->client_id);
	mem_free(issuer);
}

static void set(struct issuer *issuer, const struct config_token *section)
{
	struct agent *agent = issuer->agent;
	struct slice pem = prepared(agent, section->name, "ca_file");

	issuer->timeout = section->timeout;
	mem_free(issuer->client_id);
	issuer->client_id = mem_strdup(section->client_id);
	secret_set(&issuer->client_secret, prepared(agent, section->name, "client_secret_file"));
	trust_free(&issuer->trust);
	issuer->trust = pem.len > 0 ? trust_new(pem) : trust_hold(agent->system);
}

/* The issuer of before, if it is the same and asked for the same. */
static struct issuer *take_before(struct issuer **before, size_t count,
				  const struct config_token *section)
{
	for (size_t i = 0; i < count; i++) {
		struct issuer *issuer = before[i];

		if (issuer == NULL || !slice_is(slice_str(section->name), issuer->title) ||
		    !slice_is(slice_str(url_of(section)), issuer->url) ||
		    issuer->introspects != (section->introspect_url != NULL))
			continue;
		before[i] = NULL;
		return issuer;
	}
	return NULL;
}

static struct issuer *new_issuer(struct agent *agent, const struct config_token *section)
{
	struct issuer *issuer = mem_alloc(sizeof(*issuer));

	issuer->agent = agent;
	issuer->title = mem_strdup(section->name);
	issuer->url = mem_strdup(url_of(section));
	issuer->introspects = section->introspect_url != NULL;
	return issuer;
}

void issuers_commit(struct agent *agent, const struct config *config)
{
	struct issuer **before = agent->issuers;
	size_t count = agent->issuer_count;

	agent->issuers = mem_array(config->token_count + 1, sizeof(struct issuer *));
	agent->issuer_count = 0;
	for (size_t i = 0; i < config->token_count; i++) {
		const struct config_token *section = &config->tokens[i];
		struct issuer *issuer;

		if (url_of(section) == NULL)
			continue;
		issuer = take_before(before, count, section);
		if (issuer == NULL)
			issuer = new_issuer(agent, section);
		set(issuer, section);
		agent->issuers[agent->issuer_count++] = issuer;
		if (!issuer->introspects && issuer->keys == NULL)
			issuer->keys = keys_new(issuer);
	}
	for (size_t i = 0; i < count; i++)
		if (before[i] != NULL) {
			if (before[i]->down)
				alert_send_over(child_master(agent->child), DOWN, before[i]->title);
			free_issuer(before[i]);
		}
	mem_free(before);
	post_commit(agent, config, prepared(agent, "", "webhook_secret_file"),
		    prepared(agent, "", "webhook_ca_file"));
	issuers_rollback(agent);
}

void issuers_free(struct agent *agent)
{
	for (size_t i = 0; i < agent->issuer_count; i++)
		free_issuer(agent->issuers[i]);
	MEM_FREE(agent->issuers);
	agent->issuer_count = 0;
	issuers_rollback(agent);
}
