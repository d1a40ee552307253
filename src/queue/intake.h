/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channels to smtpd processes: keys are given out, messages come in, verdicts go back. A
 * message keeps its credit until it is on disk or refused.
 */
#ifndef POSTERN_QUEUE_INTAKE_H
#define POSTERN_QUEUE_INTAKE_H

#include "ipc/channel.h"
#include "ipc/message.h"

struct front;
struct intake;
struct queue;
struct queue_mail;
struct rec_submission;

struct intake *intake_new(struct queue *queue);
void intake_free(struct intake **intake);
/* A channel to a smtpd process, which replaces the one before of that index. Takes fd. */
void intake_connect(struct intake *intake, uint16_t index, uint32_t incarnation, int fd);
/* Whether mail is taken has changed: tells all. */
void intake_announce(struct intake *intake);
/* This message is gone from disk: a new smtpd session may still ask for it (ASK). */
void intake_ended(struct intake *intake, uint64_t key);
size_t intake_count(const struct intake *intake);
/* What went over the channels of all smtpd processes together, from our end. */
struct channel_stats intake_stats(const struct intake *intake);

/* ---- for etrn.c ---- */
/* The answer to ETRN; does nothing once the channel is gone. */
void front_etrn_done(struct front *front, uint64_t session, uint16_t code, uint32_t recipients);
/* It is over: gives back what etrn_start was counted for, and the reference. */
void front_etrn_end(struct front **front);

/* ---- for upload.c ---- */
struct front *front_ref(struct front *front);
void front_unref(struct front **front);
struct queue *front_queue(const struct front *front);
/* Does nothing once the channel is gone. */
void front_verdict(struct front *front, uint64_t key, enum ipc_verdict verdict, const char *text);
void front_credit(struct front *front, uint32_t bytes, uint32_t messages);
/*
 * Puts the message; the verdict goes out when it is on disk, with credit for one message of so
 * many bytes. Takes the mail.
 */
void front_put(struct front *front, struct queue_mail *mail, uint64_t grant, uint32_t credit);

/*
 * Judges it and, if it may be taken, makes a mail of it with this body (NULL pointer: none yet).
 * The budget is used; grants_give_back if it comes to nothing.
 */
enum ipc_verdict front_accept(struct front *front, const struct rec_submission *submission,
			      struct slice body, struct queue_mail **mail_out);

#endif
