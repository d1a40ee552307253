/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory can still be had: what the kernel says (MemAvailable of /proc/meminfo) and what
 * the limit of our control group leaves, of both versions of those. The files are opened once,
 * before a sandbox closes, and read by descriptor from then on.
 */
#ifndef POSTERN_OS_MEMORY_H
#define POSTERN_OS_MEMORY_H

#include "base/slice.h"

struct os_memory {
	int meminfo;               /* -1: it cannot be read */
	int limit, usage, details; /* of the control group; limit -1: there is none */
};

void os_memory_open(struct os_memory *memory_out);
void os_memory_close(struct os_memory *memory);
/* Bytes. ERR_NOT_FOUND: nobody says. May block: for worker threads. */
enum err os_memory_available(const struct os_memory *memory, uint64_t *bytes_out);

/* The number after name at the start of a line ("MemAvailable:", "inactive_file"); ERR_NOT_FOUND.
 */
enum err os_memory_line(struct slice text, const char *name, uint64_t *value_out);

#endif
