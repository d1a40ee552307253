/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol of Cyrus SASL's saslauthd: four counted strings, and a counted answer. */
#ifndef POSTERN_BACKEND_SASLAUTHD_H
#define POSTERN_BACKEND_SASLAUTHD_H

#include "backend.h"

/*
 * Asks the daemon behind the socket. An answer is "OK" or "NO", alone or before a blank and words;
 * anything else is no answer, and so is less than was announced. A "NO" for a fault of its own
 * (PAM that does not start, a server that it cannot reach) is none either.
 */
void saslauthd_check(const char *socket, const char *service, const char *realm,
		     const struct backend_question *question, struct backend_answer *answer);

#endif
