/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of messages that nobody has yet: taken from the store in blocks, given out in ranges. */
#ifndef POSTERN_QUEUE_KEYS_H
#define POSTERN_QUEUE_KEYS_H

#include <stdbool.h>
#include <stdint.h>

struct keys;

struct keys *keys_new(void);
void keys_free(struct keys **keys);
void keys_add(struct keys *keys, uint64_t first, uint64_t count);
/* Whether the next commit should put another block aside. */
bool keys_wanted(const struct keys *keys);
/* At most count of them, in one run; 0: there are none now. */
uint32_t keys_take(struct keys *keys, uint32_t count, uint64_t *first_out);

#endif
