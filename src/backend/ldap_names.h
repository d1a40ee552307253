/* SPDX-License-Identifier: Apache-2.0 */
/* Login names in filters (RFC 4515) and distinguished names (RFC 4514). */
#ifndef POSTERN_BACKEND_LDAP_NAMES_H
#define POSTERN_BACKEND_LDAP_NAMES_H

#include "base/slice.h"

/*
 * Writes the template with %u (the name without its domain), %d (its domain, or domain if it has
 * none), %s (both) and %% filled in. In one that has a "=", a filter or DN, all but letters,
 * digits,
 * ".", "-" and "_" is escaped, so that a name stays one value. One without is no DN but a name of
 * the directory's own (Active Directory's alice@corp), where nothing can be escaped.
 *
 * ERR_NOT_FOUND: the name is of another domain, and the template would not tell it from the same
 * name of ours. ERR_SYNTAX: it cannot stand in a template without "=". ERR_FULL.
 */
enum err ldap_fill_in(const char *template, const char *name, const char *domain, char *text_out,
		      size_t size);

#endif
