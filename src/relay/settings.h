/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What configurations bring beside their settings: TLS contexts with the authorities of
 * ca_file, passwords of relay sections, capture folders. What must be read from files is read
 * before the sandbox closes; a later configuration that needs other files is refused, with the
 * advice to restart.
 */
#ifndef POSTERN_RELAY_SETTINGS_H
#define POSTERN_RELAY_SETTINGS_H

#include "base/slice.h"
#include "relay.h"

enum err settings_start(struct relay *relay, const struct config *config, char *why);
/* Folders that are written; NULL-terminated, valid as long as relay. */
const char *const *settings_folders(const struct relay *relay);
enum err settings_prepare(struct relay *relay, const struct config *config, char *why);
void settings_secret(struct relay *relay, struct slice name, struct slice value);
void settings_commit(struct relay *relay);
void settings_rollback(struct relay *relay);
void settings_free(struct relay *relay);

#endif
