/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the parser share: internal to lib/config. */
#ifndef POSTERN_CONFIG_READER_H
#define POSTERN_CONFIG_READER_H

#include "base/buf.h"

/*
 * libConfuse loses count of lines at comments, refuses them within lists, accepts a file that
 * ends inside a section, and takes strings over several lines. So comments are blanked before
 * it sees the text, and what is open at the end is found here. text is changed in place and
 * keeps its length and lines. false: *line_out and why (256 bytes) tell the first fault.
 */
bool scan_text(char *text, size_t len, unsigned *line_out, char *why);

/* Why a file cannot be used and how to mend it, for people; error: an errno. */
void explain_file(const char *path, int error, char *why, size_t size);

#endif
