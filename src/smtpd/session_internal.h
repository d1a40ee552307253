/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of a session share: session.c (its life, what it offers), session_io.c (bytes in
 * and out), session_tls.c (how it begins, and TLS), session_time.c (its deadlines).
 */
#ifndef POSTERN_SMTPD_SESSION_INTERNAL_H
#define POSTERN_SMTPD_SESSION_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session;

/* ---- session.c ---- */

/* TLS is there or not wanted yet: the greeting. */
void session_begin(struct session *session);
/* Why it ends, for the log. */
void session_log_end(struct session *session, const char *reason);

/* ---- session_io.c ---- */

bool session_may_read(const struct session *session);
/* Asks for more at once, for less only when it was woken in vain: that saves system calls. */
void session_update_watch(struct session *session, bool woken_in_vain);
/* A watch_fn; arg: the session. */
void session_socket_ready(void *arg, int events);
void session_read(struct session *session);
/*
 * What the client sent and we never read would turn our close into a reset, which can cost the
 * client our last words: reads it.
 */
void session_drain(struct session *session);

/* ---- session_tls.c ---- */

/* Waits for the first byte where TLS begins at once, and looks at it. */
void session_expect_tls(struct session *session);
/* Takes the stream to TLS. */
void session_begin_tls(struct session *session);
/* Goes on with the handshake. */
void session_handshake(struct session *session);
/* The first bytes where TLS does not begin at once: those of TLS all the same? Then it says so. */
bool session_is_tls_hello(struct session *session, const char *bytes, size_t len);
/* Nothing came where TLS was to begin at once. */
void session_was_silent(struct session *session);
void session_log_no_tls(const struct session *session, const char *reason);

/* ---- session_time.c ---- */

/* auth or queue owes an answer, or queue credit. */
bool session_waits_for_us(const struct session *session);
void session_set_deadline(struct session *session, uint64_t in_ms);
/* By what it waits for now. */
void session_renew_deadline(struct session *session);
/* A timer_fn; arg: the session. */
void session_time_over(void *arg);

#endif
