/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of an account's mail goes to people who do not exist: lists that are bought or guessed
 * are full of them, and whoever sends to such lists with a stolen password is noticed by it, from
 * wherever he logs in. Counted is what ended within the last hour, in steps of five minutes. Pure;
 * times are monotonic ms. Of bounded size: whose mail ended longest ago goes first.
 */
#ifndef POSTERN_POLICY_UNKNOWNS_H
#define POSTERN_POLICY_UNKNOWNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct unknowns;

enum {
	UNKNOWNS_MAX = 16384,    /* accounts that are looked at */
	UNKNOWNS_TIME = 3600000, /* an hour */
	/* Of fewer recipients nothing follows: somebody mistypes, or an old address book is used.
	 */
	UNKNOWNS_LEAST = 20,
	UNKNOWNS_NAME_MAX = 512,
	UNKNOWNS_WHY = 200,
};

struct unknowns *unknowns_new(void);
void unknowns_free(struct unknowns **unknowns);
/* percent: more of the recipients than that is too many; 0: no such rule. */
void unknowns_set_share(struct unknowns *unknowns, uint32_t percent);
/*
 * So many recipients of the account's mail are done with, refused of them because there is nobody
 * of that name. true: it is to be frozen, and why; it begins anew then.
 */
bool unknowns_count(struct unknowns *unknowns, struct slice account, uint32_t ended,
		    uint32_t refused, int64_t now, char why_out[UNKNOWNS_WHY]);

#endif
