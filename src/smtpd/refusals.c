/* SPDX-License-Identifier: Apache-2.0 */
#include "refusals.h"

#include <string.h>

#include "base/mem.h"
#include "os/log.h"
#include "os/loop.h"
#include "os/net.h"
#include "policy/crowd.h"
#include "policy/quiet.h"
#include "smtpd.h"

enum { LOOK_EVERY = 30000 /* ms between two looks for sources that are still again */ };

struct refusals {
	struct smtpd *smtpd;
	struct quiet *quiet;
	struct crowd crowd;
	struct timer *timer;
	bool timed; /* the timer runs */
};

static void tell(struct refusals *refusals, bool all)
{
	char client[QUIET_CLIENT_MAX];
	uint64_t lines;

	while (quiet_take(refusals->quiet, loop_now(refusals->smtpd->loop), all, client, &lines))
		log_event(LOG_WARNING, "left-out", LOG_TEXT_IF("client", client),
			  LOG_NUMBER("lines", lines),
			  LOG_TEXT("text", client[0] != '\0'
						   ? "more lines like those before it"
						   : "lines about clients of many addresses"));
}

static void look(void *arg)
{
	struct refusals *refusals = arg;

	tell(refusals, false);
	refusals->timed = quiet_pending(refusals->quiet);
	if (refusals->timed)
		timer_set(refusals->timer, LOOK_EVERY);
}

struct refusals *refusals_new(struct smtpd *smtpd)
{
	struct refusals *refusals = mem_alloc(sizeof(*refusals));

	refusals->smtpd = smtpd;
	refusals->quiet = quiet_new();
	crowd_init(&refusals->crowd);
	refusals->timer = timer_new(smtpd->loop, look, refusals);
	return refusals;
}

void refusals_free(struct refusals **refusals)
{
	if (*refusals == NULL)
		return;
	timer_free(&(*refusals)->timer);
	quiet_free(&(*refusals)->quiet);
	MEM_FREE(*refusals);
}

bool refusals_logged(struct refusals *refusals, const char *client)
{
	if (quiet_allows(refusals->quiet, slice_str(client), loop_now(refusals->smtpd->loop)))
		return true;
	if (!refusals->timed) {
		refusals->timed = true;
		timer_set(refusals->timer, LOOK_EVERY);
	}
	return false;
}

/* Programs on this machine are what loopback is for: that they share it means nothing. */
static bool is_loopback(const char *client)
{
	return strncmp(client, "127.", 4) == 0 || strcmp(client, "::1") == 0;
}

void refusals_count(struct refusals *refusals, const char *client)
{
	struct net_address address;

	if (!crowd_count(&refusals->crowd, slice_str(client), loop_now(refusals->smtpd->loop)) ||
	    is_loopback(client) || net_read(slice_str(client), 0, &address) != ERR_OK ||
	    !net_is_private(&address))
		return;
	crowd_told(&refusals->crowd, loop_now(refusals->smtpd->loop));
	log_event(
		LOG_WARNING, "note", LOG_TEXT("client", refusals->crowd.client),
		LOG_TEXT(
			"text",
			"over 90% of the connections come from this one private address: if "
			"clients share it behind NAT, a container's port forwarding or a proxy, "
			"limits per source cannot tell them apart; have a proxy send PROXY headers "
			"and name it in proxy_from, or forward ports with their source address"));
}

void refusals_flush(struct refusals *refusals)
{
	tell(refusals, true);
}
