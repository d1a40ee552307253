/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <inttypes.h>
#include <stdio.h>

#include "config/config.h"
#include "delivery.h"
#include "grants.h"
#include "intake.h"
#include "ipc/channel.h"
#include "policy/dispatch.h"
#include "queue.h"
#include "rows.h"
#include "space.h"
#include "writer.h"

/* "12.5": messages for each write (or read) of a channel, how well they were gathered. */
static void add_gathered(struct rows_row *row, const char *key, uint64_t messages, uint64_t calls)
{
	char text[32];
	uint64_t tenths = calls == 0 ? 0 : messages * 10 / calls;

	snprintf(text, sizeof(text), "%" PRIu64 ".%" PRIu64, tenths / 10, tenths % 10);
	rows_text(row, key, slice_str(text));
}

static void add_channels(struct rows_row *row, const struct queue *queue)
{
	struct channel *relay = deliveries_relay(queue->deliveries);
	struct channel_stats stats = intake_stats(queue->intake);

	add_gathered(row, "per_write_to_smtpd", stats.messages_sent, stats.writes);
	add_gathered(row, "per_read_from_smtpd", stats.messages_received, stats.reads);
	if (relay == NULL)
		return;
	stats = channel_stats(relay);
	add_gathered(row, "per_write_to_relay", stats.messages_sent, stats.writes);
	add_gathered(row, "per_read_from_relay", stats.messages_received, stats.reads);
}

static void add_load(struct rows_row *row, const char *key, uint32_t hundredths)
{
	char text[32];

	snprintf(text, sizeof(text), "%u.%02u", hundredths / 100, hundredths % 100);
	rows_text(row, key, slice_str(text));
}

/* Of each limit: what it is, how it stands now, how often it struck. */
static void add_limits(struct rows_row *row, const struct queue *queue)
{
	const struct config_limits *limits = &queue_config(queue)->limits;
	const struct space *space = queue->space;
	struct space_strikes strikes = space_strikes(space);

	rows_number(row, "free_bytes", (int64_t)space_bytes(space));
	rows_number(row, "disk_reserve", (int64_t)limits->disk_reserve);
	rows_number(row, "disk_strikes", (int64_t)strikes.disk);
	if (space_inodes(space) != UINT64_MAX)
		rows_number(row, "free_inodes", (int64_t)space_inodes(space));
	rows_number(row, "inode_reserve", limits->inode_reserve);
	rows_number(row, "inode_strikes", (int64_t)strikes.inodes);
	if (space_memory(space) != UINT64_MAX)
		rows_number(row, "free_memory", (int64_t)space_memory(space));
	rows_number(row, "memory_reserve", (int64_t)limits->memory_reserve);
	rows_number(row, "memory_strikes", (int64_t)strikes.memory);
	add_load(row, "load", space_load(space));
	if (space_load_limit(space) != 0)
		add_load(row, "queue_load", space_load_limit(space));
	else
		rows_text(row, "queue_load", SLICE_LIT("off"));
	rows_number(row, "queue_load_strikes", (int64_t)strikes.load);
}

void status_add(const struct queue *queue, struct rows *rows)
{
	struct dispatch_totals totals = dispatch_totals(deliveries_dispatch(queue->deliveries));
	struct writer_totals written = writer_totals(queue->writer);
	struct msg_accepting accepting = space_accepting(queue->space);
	struct rows_row *row = rows_add(rows);

	rows_text(row, "process", SLICE_LIT("queue"));
	rows_text(row, "state", accepting.ok ? SLICE_LIT("up") : SLICE_LIT("refusing"));
	rows_bool(row, "accepting", accepting.ok);
	rows_number(row, "recipients", (int64_t)queue->recipients);
	rows_number(row, "under_way", totals.under_way);
	rows_number(row, "ready", totals.ready);
	rows_number(row, "destinations", totals.destinations);
	rows_number(row, "destinations_down", totals.down);
	rows_number(row, "accepted", (int64_t)written.messages);
	rows_number(row, "ended", (int64_t)written.rows_ended);
	rows_number(row, "commits", (int64_t)written.commits);
	rows_number(row, "commit_us", writer_commit_us(queue->writer));
	rows_number(row, "grants", (int64_t)grants_count(queue->grants));
	rows_number(row, "smtpd", (int64_t)intake_count(queue->intake));
	rows_bool(row, "relay", deliveries_relay(queue->deliveries) != NULL);
	add_channels(row, queue);
	add_limits(row, queue);
}
