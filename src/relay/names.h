/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients of ours are called, for smtpd, which may ask no name server itself. Only for the
 * log: an answer is a host name that has the client's address in turn, or none. Whoever owns an
 * address decides how long its name servers take and what they say, so look-ups are bounded in
 * number and time, and names are checked before they go anywhere.
 */
#ifndef POSTERN_RELAY_NAMES_H
#define POSTERN_RELAY_NAMES_H

#include <stdint.h>

struct names;
struct relay;

struct names *names_new(struct relay *relay);
void names_free(struct names **names);
/* The channel of smtpd number index, in place of the one it had; takes fd. */
void names_connect(struct names *names, uint16_t index, int fd);

#endif
