/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of RFC 5322's grammar that stand in structured fields, read forward: each takes what it
 * names off the start of *rest. One pass, no recursion: nesting of comments is a counter (threats
 * E4). A field's value comes from header_next, so every CR LF in it stands before a blank.
 */
#ifndef POSTERN_MESSAGE_SCAN_H
#define POSTERN_MESSAGE_SCAN_H

#include "base/slice.h"

/* The first byte; '\0' at the end. */
char scan_peek(struct slice rest);
/* Blanks and folds (3.2.2). */
void scan_fws(struct slice *rest);
/* Comments and folding white space; false: a comment does not end, or holds what it must not. */
bool scan_cfws(struct slice *rest);
/* "...", with its quotes; false: it does not end, or holds what it must not. */
bool scan_quoted(struct slice *rest);
/* A byte of an atom (3.2.3), ASCII only. */
bool scan_is_atext(char c);

#endif
