/* SPDX-License-Identifier: Apache-2.0 */
/* An issuer of tokens that is asked something: what its token section says, and how it is. */
#ifndef POSTERN_AGENT_ISSUERS_H
#define POSTERN_AGENT_ISSUERS_H

#include "agent.h"
#include "base/secret.h"

struct keys;
struct https_question;

enum { ISSUER_WHY = 512 };

struct issuer {
	struct agent *agent;
	char *title;
	char *url;
	bool introspects; /* url is introspect_url, else jwks_url */
	char *client_id;  /* NULL: none */
	struct secret client_secret;
	struct trust *trust;
	uint64_t timeout; /* ms */
	struct keys *keys;
	bool asked, down; /* when it was asked last */
	int64_t since;    /* ms since 1970 */
	char why[ISSUER_WHY];
};

/* A file of the configuration that is being prepared. why: 512 bytes. */
enum err issuers_file(struct agent *agent, const struct msg_file *msg, char *why);
/* Whether each issuer of the configuration can be trusted by something. why: 512 bytes. */
enum err issuers_check(const struct agent *agent, const struct config *config, char *why);
/* Makes them those of the configuration; what is known of one that stays, stays. */
void issuers_commit(struct agent *agent, const struct config *config);
void issuers_rollback(struct agent *agent);
void issuers_free(struct agent *agent);
struct issuer *issuer_find(const struct agent *agent, struct slice title);

/* It was asked: why NULL, it has answered. Says so in the log if that is new. */
void issuer_note(struct issuer *issuer, const char *why);
/* Sets what all questions to it have in common. */
void issuer_question(const struct issuer *issuer, struct https_question *question_out);

#endif
