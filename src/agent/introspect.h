/* SPDX-License-Identifier: Apache-2.0 */
/* What an issuer says about one token (RFC 7662), for auth. */
#ifndef POSTERN_AGENT_INTROSPECT_H
#define POSTERN_AGENT_INTROSPECT_H

#include "issuers.h"

/* The answer is INTROSPECTED, now or later. */
void introspect_ask(struct agent *agent, const struct msg_introspect *msg);
/* Its questions are given up; auth hears nothing of them. */
void introspect_forget(const struct issuer *issuer);
/* So are all. */
void introspect_forget_all(struct agent *agent);

#endif
