/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nearest.h"

#include <string.h>

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

unsigned nearest_distance(const char *a, const char *b)
{
	unsigned rows[3][NEAREST_NAME_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > NEAREST_NAME_MAX || lb > NEAREST_NAME_MAX)
		return NEAREST_NAME_MAX;
	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned *now = rows[i % 3], *before = rows[(i + 2) % 3],
			 *earlier = rows[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			now[j] = min3(before[j] + 1, now[j - 1] + 1,
				      before[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    earlier[j - 2] + 1 < now[j])
				now[j] = earlier[j - 2] + 1;
		}
	}
	return rows[la % 3][lb];
}

bool nearest_enough(const char *typed, unsigned distance)
{
	size_t most = 1 + strlen(typed) / 4;

	return distance <= (most < 3 ? most : 3);
}
