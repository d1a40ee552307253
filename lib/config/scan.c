/* SPDX-License-Identifier: Apache-2.0 */
/* Comments, open strings and braces of a configuration file, before libConfuse reads it. */
#include "config/reader.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 8 };

struct scan {
	char *text;
	size_t len, at;
	unsigned line;
	unsigned open[DEPTH_MAX]; /* lines of the braces that are open */
	unsigned depth;
	char *why;
};

static bool fault(struct scan *scan, unsigned line, const char *why)
{
	scan->line = line;
	snprintf(scan->why, 256, "%s", why);
	return false;
}

/* at is on the opening quote, and is left behind the closing one. */
static bool scan_string(struct scan *scan)
{
	char quote = scan->text[scan->at++];

	for (; scan->at < scan->len && scan->text[scan->at] != '\n'; scan->at++) {
		if (scan->text[scan->at] == quote) {
			scan->at++;
			return true;
		}
		if (scan->text[scan->at] == '\\' && scan->at + 1 < scan->len &&
		    scan->text[scan->at + 1] != '\n')
			scan->at++;
	}
	return fault(scan, scan->line,
		     "a string begins in this line and does not end in it: a quote is missing");
}

static void blank_line_comment(struct scan *scan)
{
	while (scan->at < scan->len && scan->text[scan->at] != '\n')
		scan->text[scan->at++] = ' ';
}

static bool blank_block_comment(struct scan *scan)
{
	unsigned first = scan->line;
	bool ended = false;

	for (; scan->at < scan->len && !ended; scan->at++) {
		char *c = &scan->text[scan->at];

		ended = *c == '*' && scan->at + 1 < scan->len && c[1] == '/';
		if (ended)
			c[1] = ' ', scan->at++;
		if (*c == '\n')
			scan->line++;
		else
			*c = ' ';
	}
	return ended ||
	       fault(scan, first, "a comment begins with /* in this line and does not end");
}

static bool scan_brace(struct scan *scan, char c)
{
	if (c == '{') {
		if (scan->depth == DEPTH_MAX)
			return fault(scan, scan->line, "too many open { braces");
		scan->open[scan->depth++] = scan->line;
		return true;
	}
	if (scan->depth == 0)
		return fault(scan, scan->line, "a } without its {");
	scan->depth--;
	return true;
}

static bool scan_one(struct scan *scan)
{
	char c = scan->text[scan->at];
	char next = scan->at + 1 < scan->len ? scan->text[scan->at + 1] : '\0';

	if (c == '"' || c == '\'')
		return scan_string(scan);
	if (c == '#' || (c == '/' && next == '/')) {
		blank_line_comment(scan);
		return true;
	}
	if (c == '/' && next == '*')
		return blank_block_comment(scan);
	if ((c == '{' || c == '}') && !scan_brace(scan, c))
		return false;
	/* libConfuse would leave them out without a word. */
	if (c == '*' || (c == '+' && next != '='))
		return fault(scan, scan->line,
			     "a value with * or + must stand in quotes, as in address = \"*:587\"");
	if (c == '\n')
		scan->line++;
	else if ((unsigned char)c < 0x20 && c != '\t' && c != '\r')
		return fault(scan, scan->line, "a control character: this is not a text file");
	scan->at++;
	return true;
}

bool scan_text(char *text, size_t len, unsigned *line_out, char *why)
{
	struct scan scan = {.text = text, .len = len, .line = 1, .why = why};
	bool good = true;

	while (good && scan.at < len)
		good = scan_one(&scan);
	if (good && scan.depth != 0)
		good = fault(&scan, scan.open[scan.depth - 1],
			     "a { in this line is never closed: a } is missing");
	if (!good)
		*line_out = scan.line;
	return good;
}

void explain_file(const char *path, int error, char *why, size_t size)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		snprintf(why, size, "%s: %s", path, strerror(error));
		return;
	}

	const struct passwd *owner = getpwuid(st.st_uid);
	const struct group *group = getgrgid(st.st_gid);
	char mend[32] = "chmod u+r";

	if (st.st_uid != geteuid())
		snprintf(mend, sizeof(mend), "chown %u", (unsigned)geteuid());
	snprintf(why, size,
		 "%s: %s (owner %s, group %s, mode %04o; we are uid %u); mend it with: %s %s", path,
		 strerror(error), owner != NULL ? owner->pw_name : "unknown",
		 group != NULL ? group->gr_name : "unknown", (unsigned)(st.st_mode & 07777),
		 (unsigned)geteuid(), mend, path);
}
