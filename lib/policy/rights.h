/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns for addresses: "alice@example.org", "*@example.org", "@example.org" (the same),
 * "*@*.example.org" (all subdomains), "*" (all). Domains compare without case; local parts too
 * (accounts are people, and people do not tell Alice from alice). A pattern without wildcard in
 * the local part also covers its sub-addresses: alice+lists@example.org.
 */
#ifndef POSTERN_POLICY_RIGHTS_H
#define POSTERN_POLICY_RIGHTS_H

#include "base/slice.h"

bool rights_pattern_valid(struct slice pattern);
/* address: canonical, with a domain. The null sender matches only "*". */
bool rights_match(struct slice pattern, struct slice address);
/* Domain lists (accept_for): "example.org", "*.example.org". */
bool rights_match_domain(struct slice pattern, struct slice domain);
/*
 * Does the local part ask whoever delivers it to send it on: user%far.example@ours.example,
 * far.example!user@ours.example, "user@far.example"@ours.example? Such an address is ours by its
 * domain, and a server behind us that still goes by the old custom makes an open relay of us
 * (RFC 5321 appendix F.2 leaves it to the server). From strangers it is refused.
 */
bool rights_asks_routing(struct slice address);

#endif
