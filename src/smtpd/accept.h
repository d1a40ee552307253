/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners: handed over by master, prepared beside those in force, swapped in on commit. */
#ifndef POSTERN_SMTPD_ACCEPT_H
#define POSTERN_SMTPD_ACCEPT_H

#include "base/err.h"
#include "config/config.h"
#include "tls/tls.h"

struct acceptor;
struct msg_authorities;
struct msg_identity;
struct msg_listener;
struct smtpd;

/* What a session keeps of its listener; shared, and alive as long as somebody holds it. */
struct front {
	unsigned holders;
	char *listener; /* its name */
	char *hostname;
	char *qualify; /* NULL: none */
	enum tls_mode tls;
	enum auth_mode auth;
	enum tls_version tls_oldest;
	enum tls_version tls_legacy_oldest; /* for clients of tls_legacy_from */
	struct strings tls_legacy_from;
	struct tls_authorities *authorities; /* of clients' certificates; NULL: none is asked for */
	bool etrn;
	bool auth_equals;
	struct strings clear_auth_from; /* networks */
};

struct front *front_hold(struct front *front);
void front_drop(struct front **front);
/* The oldest version of TLS that a client of this address may use. */
enum tls_version front_tls_oldest(const struct front *front, const char *client);

struct acceptor *acceptor_new(struct smtpd *smtpd);
void acceptor_free(struct acceptor **acceptor);
/* A listening socket of the configuration that is being prepared; takes fd. */
void acceptor_listener(struct acceptor *acceptor, const struct msg_listener *msg, int fd);
/* The certificate to use from the next commit on. why: 512 bytes. */
enum err acceptor_identity(struct acceptor *acceptor, const struct msg_identity *msg, char *why);
/* Who vouches for clients of a listener of the configuration that is being prepared. why: as above. */
enum err acceptor_authorities(struct acceptor *acceptor, const struct msg_authorities *msg,
			      char *why);
void acceptor_commit(struct acceptor *acceptor);
void acceptor_rollback(struct acceptor *acceptor);
/* Whether connections are taken now. */
void acceptor_open(struct acceptor *acceptor, bool open);
/* Closes all listeners for good. */
void acceptor_stop(struct acceptor *acceptor);
/* For new handshakes; NULL: there is no certificate. */
struct tls_context *acceptor_tls(const struct acceptor *acceptor);
/* The listener of this name in the configuration in force; NULL if it is gone. */
struct front *acceptor_front(const struct acceptor *acceptor, const char *listener);

#endif
