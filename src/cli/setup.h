/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of postern setup: each tells what it did, or why not. */
#ifndef POSTERN_CLI_SETUP_H
#define POSTERN_CLI_SETUP_H

#include "config/config.h"

struct setup {
	const char *hostname;
	const char *root;        /* prefix of all that is written; "" for the system itself */
	const char *config_path; /* with root */
	bool force;
	struct config *config;
};

/* Path of the system below root. */
void setup_path(const struct setup *setup, const char *path, char path_out[4096]);

/* Each returns false, with everything said, if it failed. */
bool setup_config(struct setup *setup);
bool setup_certificate(const struct setup *setup);
bool setup_users(const struct setup *setup);
bool setup_unit(const struct setup *setup);
void setup_ports(const struct setup *setup);

#endif
