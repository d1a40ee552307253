/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether somebody else uses an account: a stolen password is used from where its owner never was,
 * from many places, and for much mail. Looks only at what happens in networks that are new to the
 * account (known_elsewhere), so its usual work is never a reason, however much it is. Pure; times
 * are monotonic ms. Of bounded size: who was suspicious longest ago goes first.
 */
#ifndef POSTERN_POLICY_ANOMALY_H
#define POSTERN_POLICY_ANOMALY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/source.h"

struct anomaly;

enum {
	ANOMALY_MAX = 16384,       /* accounts that are looked at */
	ANOMALY_TIME = 3600000,    /* an hour */
	ANOMALY_NETWORKS_MAX = 32, /* that are remembered of an account */
	ANOMALY_WHY = 400,
};

struct anomaly_rules {       /* within an hour; 0: no such rule */
	uint32_t networks;   /* new to the account, from which it logs in: more is too many */
	uint32_t recipients; /* of mail from them: more is too many */
};

struct anomaly *anomaly_new(void);
void anomaly_free(struct anomaly **anomaly);
void anomaly_set_rules(struct anomaly *anomaly, const struct anomaly_rules *rules);
/* The account has logged in from a network that is new to it. true: it is to be frozen, and why. */
bool anomaly_login(struct anomaly *anomaly, int64_t account,
		   const unsigned char source[SOURCE_BYTES], int64_t now,
		   char why_out[ANOMALY_WHY]);
/* It has sent to so many from such networks. */
bool anomaly_sent(struct anomaly *anomaly, int64_t account, uint32_t recipients, int64_t now,
		  char why_out[ANOMALY_WHY]);

#endif
