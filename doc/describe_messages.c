/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints doc/messages.md from the table of messages: what processes say to each other, as the
 * comment above each message in lib/ipc/messages.def and its fields as the codec knows them.
 */
#include <stdio.h>

#include "ipc/message.h"

static const char preface[] =
	"# Messages between processes\n\n"
	"Made from `lib/ipc/messages.def` by `ninja -C build doc/messages.md`; a test checks that it is "
	"current.\n\n"
	"A frame is: payload length (u32), type (u16), descriptors that come with it (u16), then the "
	"fields in order. Numbers are in host byte order, both ends being on one machine; text and "
	"bytes are a u32 length and the bytes; a list is a u32 count, a u32 length and the records. The "
	"number behind a text, bytes or list is its maximum. A reader that meets anything else ends the "
	"channel.\n\n"
	"CONTROL messages are written before BULK ones, and BULK ones need credit, in bytes and in "
	"messages, which the reader gives back when it has dealt with them.\n\n"
	"`lib/ipc/messages.def` says what each is for, and which process sends it.\n\n";

int main(void)
{
	struct buf text;
	bool ok;

	buf_init(&text, 1 << 20);
	ok = ipc_describe(&text) == ERR_OK && fputs(preface, stdout) != EOF &&
	     fwrite(buf_data(&text).ptr, 1, buf_len(&text), stdout) == buf_len(&text);
	buf_release(&text);
	return ok ? 0 : 1;
}
