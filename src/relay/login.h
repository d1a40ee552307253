/* SPDX-License-Identifier: Apache-2.0 */
/* AUTH as a client, with GNU SASL: PLAIN, else LOGIN. The caller sees to it that TLS is on. */
#ifndef POSTERN_RELAY_LOGIN_H
#define POSTERN_RELAY_LOGIN_H

#include "base/buf.h"

struct Gsasl;
struct login;

/* The library may look for files: before the sandbox closes. NULL: it cannot be set up. */
struct Gsasl *login_library_new(void);
void login_library_free(struct Gsasl **library);

/*
 * offered: the mechanisms of the server, by blanks. ERR_NOT_FOUND: none that we know. The
 * initial response is appended to initial if *has_initial_out.
 */
enum err login_start(struct Gsasl *library, struct slice offered, const char *user,
		     struct slice password, struct login **login_out, struct buf *initial,
		     bool *has_initial_out);
const char *login_mechanism(const struct login *login);
/* Answers a challenge: the token is appended to response. ERR_SYNTAX. */
enum err login_step(struct login *login, struct slice challenge, struct buf *response);
void login_free(struct login **login);

#endif
