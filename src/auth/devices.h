/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that log in by nothing but their address (device sections). smtpd asks when such a client
 * begins a message; whose address it is, is decided here, by what was told when the client came. A
 * device has an account like everybody (ACCOUNT_DEVICE and its name), made at its first mail, so
 * that limits, freezing and the log work alike; its rights are those of its section, and its grant
 * ends when that changes.
 */
#ifndef POSTERN_AUTH_DEVICES_H
#define POSTERN_AUTH_DEVICES_H

#include "ipc/message.h"

struct auth;
struct config;
struct devices;
struct front;

struct devices *devices_new(struct auth *auth);
void devices_free(struct devices **devices); /* when the fronts are gone */
/* Ends the grants of those whose section is another one now, or gone. */
void devices_configure(struct devices *devices, const struct config *config);

/* Answers AUTH_OK or AUTH_FAIL, now or later. Errors: smtpd sent what it must not. */
enum err devices_mail(struct front *front, const struct msg_device_mail *msg);
void devices_drop_front(struct front *front);

/* For the operator, in the order of the file; since the start. */
struct devices_row {
	const char *name;
	uint64_t logins, refused; /* of sessions that had mail */
	int64_t last;             /* login, ms since 1970; 0: none */
	const char *client;       /* of that */
};
void devices_rows(const struct devices *devices,
		  void (*row)(void *arg, const struct devices_row *row), void *arg);

#endif
