/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyed hashing (SipHash-2-4) for tables whose keys strangers choose, and uthash set up to use
 * it. The program sets the key once, from getrandom, before the first table is filled. Include
 * this file instead of uthash.h.
 */
#ifndef POSTERN_BASE_HASH_H
#define POSTERN_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

void hash_set_key(const unsigned char key[16]);
uint64_t hash_bytes(const void *data, size_t len);

#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = (unsigned)hash_bytes(keyptr, keylen))
#define uthash_fatal(text)                   abort() /* never: mem_alloc does not return NULL */
#define uthash_malloc(size)                  mem_alloc(size)
#define uthash_free(ptr, size)               mem_free(ptr)
#include <uthash.h>

#endif
