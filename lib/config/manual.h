/* SPDX-License-Identifier: Apache-2.0 */
/* Manual pages in mdoc: what the settings' and the commands' pages share. */
#ifndef POSTERN_CONFIG_MANUAL_H
#define POSTERN_CONFIG_MANUAL_H

#include "base/buf.h"

/* Appends a sentence as one line of text, so escaped that nothing in it is a request or a macro. */
void manual_text(const char *text, struct buf *out);

#endif
