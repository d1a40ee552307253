/* SPDX-License-Identifier: Apache-2.0 */
#include "config/verifier.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "config/reader.h"

void disagree(struct verifier *verifier, struct spot spot, const char *format, ...)
{
	const struct section *section = section_find(spot.section);
	char where[PATH_MAX + 32];
	va_list args;

	places_print(verifier->config->places, section, spot.index,
		     setting_find(section, spot.setting), where, sizeof(where));
	buf_append_str(verifier->errors, where);
	va_start(args, format);
	buf_vprintf(verifier->errors, format, args);
	va_end(args);
	buf_append_byte(verifier->errors, '\n');
	verifier->bad = true;
}

/* "token \"staff\"", or "alert" where there is but one. */
static void print_place(const struct verifier *verifier, struct spot spot, char *text, size_t size)
{
	const struct section *section = section_find(spot.section);

	if (section->titled)
		snprintf(text, size, "%s \"%s\"", spot.section,
			 *section_title(section_base(section, verifier->config, spot.index)));
	else
		snprintf(text, size, "%s", spot.section);
}

void verify_readable(struct verifier *verifier, struct spot spot, const char *path,
		     const char *help)
{
	char why[1024], place[VALUE_TITLE_MAX + 80];

	if (path == NULL || faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0)
		return;
	explain_file(path, errno, why, sizeof(why));
	print_place(verifier, spot, place, sizeof(place));
	disagree(verifier, spot, "%s: %s: %s%s", place, spot.setting, why, help);
}

void verify_program(struct verifier *verifier, struct spot spot, const char *path)
{
	char inside[PATH_MAX], place[VALUE_TITLE_MAX + 80];

	if (path == NULL || faccessat(AT_FDCWD, path, F_OK, AT_EACCESS) != 0) {
		verify_readable(verifier, spot, path, "");
		return;
	}
	snprintf(inside, sizeof(inside), "%s/.", path); /* is it a folder? */
	print_place(verifier, spot, place, sizeof(place));
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0 ||
	    faccessat(AT_FDCWD, inside, F_OK, AT_EACCESS) == 0)
		disagree(verifier, spot,
			 "%s: %s: %s is not a program that can be run: chmod a+x makes one of a "
			 "script",
			 place, spot.setting, path);
}
