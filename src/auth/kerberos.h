/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's own Kerberos keys. They are copied from the keytab into memory before the process
 * gives up its rights, so that the file is root's alone and nothing is read later; there is no
 * replay cache, since a ticket that was overheard is of no use: who replays it cannot wrap the
 * answer that ends the exchange (RFC 4752 3.1), and TLS hides it besides.
 */
#ifndef POSTERN_AUTH_KERBEROS_H
#define POSTERN_AUTH_KERBEROS_H

#include "base/slice.h"

enum { KERBEROS_WHY = 400 };

struct kerberos;

/* ERR_IO, ERR_NOT_FOUND (no keys are in it): why says what is wrong and what to do. */
enum err kerberos_new(const char *keytab, struct kerberos **kerberos_out, char why[KERBEROS_WHY]);
void kerberos_free(struct kerberos **kerberos);
/* A gss_cred_id_t that accepts. */
void *kerberos_credential(const struct kerberos *kerberos);

#endif
