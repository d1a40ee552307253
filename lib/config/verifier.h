/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of config_verify share: internal to lib/config. */
#ifndef POSTERN_CONFIG_VERIFIER_H
#define POSTERN_CONFIG_VERIFIER_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct config;

struct verifier {
	const struct config *config;
	struct buf *errors;
	bool bad;
};

/* What is found fault with. */
struct spot {
	const char *section; /* "" for what stands outside of sections */
	size_t index;        /* of those of this kind */
	const char *setting;
};

/* Adds a line that begins with file and line of the setting. */
void disagree(struct verifier *verifier, struct spot spot, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Finds fault, with help at the end, if path is not NULL and a file that we may not read. */
void verify_readable(struct verifier *verifier, struct spot spot, const char *path,
		     const char *help);
/* Finds fault if path is no program that we may run. */
void verify_program(struct verifier *verifier, struct spot spot, const char *path);

/* The parts, each in its own file. */
void verify_backends(struct verifier *verifier);
void verify_tokens(struct verifier *verifier);
void verify_alert(struct verifier *verifier);
/* Devices that are known by their address: who else could have it? Looks at this machine's. */
void verify_devices(struct verifier *verifier);

#endif
