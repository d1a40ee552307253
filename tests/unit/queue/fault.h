/* SPDX-License-Identifier: Apache-2.0 */
/* The page that a test shares with the process whose disk it lets fail. */
#ifndef POSTERN_TEST_QUEUE_FAULT_H
#define POSTERN_TEST_QUEUE_FAULT_H

#include <stddef.h>

struct fault {
	int sync_error, write_error; /* errno; 0: the call works */
	size_t spared;               /* writes of at least that many bytes work; 0: none does */
	int count;                   /* calls that failed */
};

#endif
