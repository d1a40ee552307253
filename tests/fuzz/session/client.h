/* SPDX-License-Identifier: Apache-2.0 */
#ifndef POSTERN_TESTS_FUZZ_SESSION_CLIENT_H
#define POSTERN_TESTS_FUZZ_SESSION_CLIENT_H

enum { LISTENERS = 4 };

/* What smtpd is given as its listening sockets. */
const int *clients_listeners(void);

#endif
