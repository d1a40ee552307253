/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <string.h>

/* The key of the process: tables are its own, so one key serves them all. */
static uint64_t key0 = 0x0706050403020100u;
static uint64_t key1 = 0x0f0e0d0c0b0a0908u;

static uint64_t load_le(const unsigned char *bytes, size_t len)
{
	uint64_t value = 0;

	for (size_t i = 0; i < len; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

void hash_set_key(const unsigned char key[16])
{
	key0 = load_le(key, 8);
	key1 = load_le(key + 8, 8);
}

static uint64_t rotate(uint64_t value, int bits)
{
	return value << bits | value >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

uint64_t hash_bytes(const void *data, size_t len)
{
	const unsigned char *bytes = data;
	uint64_t v[4] = {key0 ^ 0x736f6d6570736575u, key1 ^ 0x646f72616e646f6du,
			 key0 ^ 0x6c7967656e657261u, key1 ^ 0x7465646279746573u};
	size_t i;

	for (i = 0; i + 8 <= len; i += 8)
		sip_word(v, load_le(bytes + i, 8));
	sip_word(v, load_le(bytes + i, len - i) | (uint64_t)len << 56);
	v[2] ^= 0xff;
	for (i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
