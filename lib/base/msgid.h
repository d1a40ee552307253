/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name of a message in the queue: a 64-bit key (node and sequence, the primary key of the
 * store) and 96 random bits, so that nobody can guess the name of a message that is not theirs.
 * Written as KEY-RANDOM in base 32, for example 5f3-0k7d2m9xq4r8t1w6y3z5.
 */
#ifndef POSTERN_BASE_MSGID_H
#define POSTERN_BASE_MSGID_H

#include "base/slice.h"

enum {
	MSGID_RANDOM = 12,   /* bytes */
	MSGID_TEXT_MAX = 34, /* digits and the dash; a terminator follows */
};

struct msgid {
	uint64_t key;
	unsigned char random[MSGID_RANDOM];
};

void msgid_print(const struct msgid *id, char text_out[MSGID_TEXT_MAX + 1]);
enum err msgid_read(struct slice text, struct msgid *id_out); /* ERR_SYNTAX, ERR_RANGE */
bool msgid_equal(const struct msgid *a, const struct msgid *b);

#endif
