/* SPDX-License-Identifier: Apache-2.0 */
/* Replays a corpus: each argument is a file, or a folder of them. */
#include <dirent.h>
#include <string.h>

#include "base/mem.h"

#include "fuzz.h"

enum { INPUT_MAX = 1 << 20 };

static unsigned done;

static void replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	char *input = mem_alloc(INPUT_MAX);

	if (file == NULL) {
		perror(path);
		exit(1);
	}
	/* Shrunk to its size, so that a sanitizer sees a read past the end. */
	size_t len = fread(input, 1, INPUT_MAX, file);

	input = mem_resize(input, len);
	LLVMFuzzerTestOneInput((const uint8_t *)input, len);
	mem_free(input);
	fclose(file);
	done++;
}

static void replay(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	if (folder == NULL) {
		replay_file(path);
		return;
	}
	while ((entry = readdir(folder)) != NULL) {
		char name[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		replay_file(name);
	}
	closedir(folder);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	printf("%u inputs replayed\n", done);
	return done != 0 ? 0 : 1;
}
