/* SPDX-License-Identifier: Apache-2.0 */
/* How far a mistyped name is from one that there is, for "did you mean". */
#ifndef POSTERN_BASE_NEAREST_H
#define POSTERN_BASE_NEAREST_H

#include <stdbool.h>

enum { NEAREST_NAME_MAX = 64 };

/*
 * Letters to add, drop, change, or swap with their neighbour to get from a to b;
 * NEAREST_NAME_MAX if one is longer than that.
 */
unsigned nearest_distance(const char *a, const char *b);
/* Is a name this far from what was typed worth proposing? */
bool nearest_enough(const char *typed, unsigned distance);

#endif
