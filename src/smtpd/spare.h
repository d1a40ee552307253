/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One descriptor that is kept for when there are no others left: with it a connection can be
 * accepted, told 421 and closed, instead of waiting in the backlog while the loop spins (M3).
 */
#ifndef POSTERN_SMTPD_SPARE_H
#define POSTERN_SMTPD_SPARE_H

#include <stdbool.h>

struct spare {
	int fd; /* -1: used, or never taken */
};

/* Takes it, as a copy of any descriptor, if it is not there. */
void spare_keep(struct spare *spare, int like);
void spare_release(struct spare *spare);
/*
 * Accepts one connection of the listener with it and closes that again; speaks: says 421 first.
 * false: nobody waited, or even that was not possible.
 */
bool spare_turn_away(struct spare *spare, int listener, bool speaks);

#endif
