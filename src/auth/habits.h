/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose addresses accounts use beside their own, and how they log in (store/account_habits.h):
 * gathered in memory and added to the store every few seconds, for the reports.
 */
#ifndef POSTERN_AUTH_HABITS_H
#define POSTERN_AUTH_HABITS_H

#include "base/slice.h"
#include "ipc/message.h"
#include "store/account_habits.h"

struct auth;
struct front;
struct habits;

enum {
	HABITS_PAUSE = 5000, /* ms between two writes */
	HABITS_MAX = 8192,   /* in between: more are not counted */
};

struct habits *habits_new(struct auth *auth);
void habits_free(struct habits **habits);
/* It did so once more. In lower case; what is too long is left out. */
void habits_add(struct habits *habits, int64_t account, enum habit_kind kind, struct slice value);
/* smtpd: mail under a grant bears addresses that are not its account's. */
enum err habits_foreign(struct front *front, const struct msg_foreign_sender *msg);
/* As of usage.h. */
void habits_flush(struct habits *habits);
void habits_save(struct habits *habits, struct accounts *accounts);

#endif
