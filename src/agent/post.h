/* SPDX-License-Identifier: Apache-2.0 */
/* Alerts to alert.webhook, for master, one at a time; it says itself what is tried again. */
#ifndef POSTERN_AGENT_POST_H
#define POSTERN_AGENT_POST_H

#include "agent.h"

/* secret, authorities: what their files hold; empty: none is named. */
void post_commit(struct agent *agent, const struct config *config, struct slice secret,
		 struct slice authorities);
/* The answer is POSTED, later. One that is still under way is given up. */
void post_send(struct agent *agent, const struct msg_post *msg);
void post_free(struct agent *agent);

#endif
