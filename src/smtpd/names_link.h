/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients are called, asked of relay, which asks the name servers. For the log alone: nothing
 * waits for the answer, nothing depends on it, and without relay there simply are no names.
 */
#ifndef POSTERN_SMTPD_NAMES_LINK_H
#define POSTERN_SMTPD_NAMES_LINK_H

struct names_link;
struct session;
struct smtpd;

struct names_link *names_link_new(struct smtpd *smtpd);
void names_link_free(struct names_link **link);
/* The channel to a relay, in place of the one there was; takes fd. */
void names_link_peer(struct names_link *link, int fd);
/* Asks for the name of the session's client; session->client_name has it once it came. */
void names_link_ask(struct names_link *link, const struct session *session);

#endif
