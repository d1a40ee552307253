/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A damaged database is set aside whole, and what can be read from it goes into a new one.
 *
 * Steps, each of which may be the last before a crash: the mark "queue.damaged" is written; the
 * new database is built as queue.db.salvage, from the start each time; the mark becomes "moved";
 * the old files are renamed, the new one takes their place, the mark goes.
 *
 * What is believed: messages, by their checksums. Rows of recipients only if they fit such a
 * message. If the rows of a message do not add up, all its recipients are due again: somebody
 * may get it twice, nobody loses it.
 */
#include "store/queue_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "os/disk.h"
#include "os/os.h"

#define MARK "queue.damaged"

enum statement {
	PUT_MESSAGE,
	PUT_DAMAGED,
	PUT_ROW,
	PUT_DEADLINE,
	PUT_DESTINATION,
	PUT_PROGRESS,
	HAVE_MESSAGE,
	ROWS_OF,
	ENDED,
	PROGRESS_END,
	META_KEY,
	STATEMENT_END
};

static const char *const sql[STATEMENT_END] = {
	[PUT_MESSAGE] = ("INSERT OR IGNORE INTO message(key, " QUEUE_MAIL_COLUMNS
			 ") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)"),
	[PUT_DAMAGED] = ("INSERT OR IGNORE INTO damaged(key, found, reason, random, envelope, body)"
			 " VALUES(?1,?2,?3,?4,?5,?6)"),
	[PUT_ROW] = "INSERT OR IGNORE INTO recipient VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
	[PUT_DEADLINE] = "INSERT OR IGNORE INTO deadline VALUES(?1,?2)",
	[PUT_DESTINATION] = "INSERT OR IGNORE INTO destination VALUES(?1,?2,0,0,'')",
	[PUT_PROGRESS] = "INSERT OR IGNORE INTO progress VALUES(?1,?2)",
	[HAVE_MESSAGE] = "SELECT 1 FROM message WHERE key=?1",
	[ROWS_OF] = "SELECT count(*) FROM candidate WHERE key=?1",
	[ENDED] = "SELECT coalesce((SELECT ended FROM progress WHERE key=?1),0)",
	[PROGRESS_END] = "DELETE FROM progress WHERE key=?1",
	[META_KEY] = "UPDATE meta SET value=max(value,?1) WHERE name='next_key'",
};

struct salvage {
	struct queue_db from, to;
	int64_t now;
	int64_t top; /* largest key seen */
	struct queue_report *report;
	enum err err; /* of the new database: that ends it */
};

static sqlite3_stmt *use(struct salvage *salvage, enum statement which)
{
	return salvage->to.statements[which];
}

static void put(struct salvage *salvage, sqlite3_stmt *statement)
{
	enum err err = queue_db_step(statement);

	if (salvage->err == ERR_OK)
		salvage->err = err;
}

/* ---- messages ---------------------------------------------------------------------------- */
static void put_destinations(struct salvage *salvage, const struct queue_mail *mail)
{
	struct queue_envelope envelope;
	struct queue_recipient recipient;
	sqlite3_stmt *s = use(salvage, PUT_DESTINATION);
	char name[QUEUE_NAME_MAX + 2];

	if (queue_envelope_read(slice_of(mail->envelope, mail->envelope_len), &envelope) != ERR_OK)
		return;
	while (queue_envelope_next(&envelope.recipients, &recipient)) {
		size_t len = recipient.domain.len;

		if (len > QUEUE_NAME_MAX)
			continue;
		for (size_t i = 0; i < len; i++)
			name[i] = ascii_lower(recipient.domain.ptr[i]);
		/* An older number of the same domain: the root's dot tells them apart. */
		for (size_t dot = 0; dot < 2; dot++) {
			name[len] = '.';
			sqlite3_bind_int64(s, 1, recipient.destination);
			queue_db_bind_slice(s, 2, slice_of(name, len + dot), true);
			put(salvage, s);
		}
	}
}

static void put_deadline(struct salvage *salvage, const struct queue_mail *mail)
{
	struct queue_envelope envelope;
	int64_t at;

	if (queue_envelope_read(slice_of(mail->envelope, mail->envelope_len), &envelope) != ERR_OK)
		return;
	at = queue_envelope_deadline(&envelope, mail->arrived, mail->expires);
	if (at == QUEUE_NEVER)
		return;
	sqlite3_bind_int64(use(salvage, PUT_DEADLINE), 1, at);
	sqlite3_bind_int64(use(salvage, PUT_DEADLINE), 2, (int64_t)mail->id.key);
	put(salvage, use(salvage, PUT_DEADLINE));
}

static void take_message(struct salvage *salvage, sqlite3_stmt *from)
{
	int64_t key = sqlite3_column_int64(from, 0);
	struct queue_mail *mail;
	const char *damage;
	sqlite3_stmt *s;

	if (key <= 0 || key > INT64_MAX / 2)
		return;
	if (queue_mail_from_row(from, 1, (uint64_t)key, true, &mail, &damage) != ERR_OK) {
		s = use(salvage, PUT_DAMAGED);
		sqlite3_bind_int64(s, 1, key);
		sqlite3_bind_int64(s, 2, salvage->now);
		queue_db_bind_slice(s, 3, slice_str(damage), true);
		queue_db_bind_slice(s, 4, queue_db_slice(from, 1), false);
		queue_db_bind_slice(s, 5, queue_db_slice(from, 8), false);
		queue_db_bind_slice(s, 6, queue_db_slice(from, 10), false);
		put(salvage, s);
		return;
	}
	s = use(salvage, PUT_MESSAGE);
	for (int i = 0; i < 11; i++)
		sqlite3_bind_value(s, i + 1, sqlite3_column_value(from, i));
	put(salvage, s);
	put_destinations(salvage, mail);
	put_deadline(salvage, mail);
	if (key > salvage->top)
		salvage->top = key;
	queue_mail_unref(&mail);
}

/* Point look-ups touch only the pages on the way to one message. */
static enum err take_one(struct salvage *salvage, sqlite3_stmt *from, int64_t key)
{
	enum err err;

	sqlite3_bind_int64(from, 1, key);
	if ((err = queue_db_row(from)) == ERR_OK)
		take_message(salvage, from);
	sqlite3_reset(from);
	return err;
}

/*
 * From the lowest key up. Where a page cannot be read, growing steps find the next that can; what
 * lies in between is tried key by key later, if a recipient names it.
 */
static void take_messages(struct salvage *salvage)
{
	static const char query[] =
		"SELECT key, " QUEUE_MAIL_COLUMNS " FROM message WHERE key>?1 ORDER BY key";
	static const char last[] = "SELECT max(key) FROM message";
	sqlite3_stmt *from;
	int64_t after = 0, top = INT64_MAX / 2, step = 1;

	(void)queue_db_pragma(&salvage->from, last, &top);
	if (sqlite3_prepare_v2(salvage->from.db, query, -1, &from, NULL) != SQLITE_OK)
		return;
	while (after < top && salvage->err == ERR_OK) {
		enum err err;

		sqlite3_bind_int64(from, 1, after);
		while ((err = queue_db_row(from)) == ERR_OK && salvage->err == ERR_OK) {
			after = sqlite3_column_int64(from, 0);
			step = 1;
			take_message(salvage, from);
		}
		sqlite3_reset(from);
		if (err == ERR_EOF || step > INT64_MAX / 4)
			break;
		after += step;
		step *= 2;
	}
	sqlite3_finalize(from);
}

/* ---- rows -------------------------------------------------------------------------------- */
static enum err take_rows_in(struct salvage *salvage, const char *query, sqlite3_stmt *into)
{
	sqlite3_stmt *from;
	enum err err = queue_db_error(sqlite3_prepare_v2(salvage->from.db, query, -1, &from, NULL));

	if (err != ERR_OK)
		return err;
	while ((err = queue_db_row(from)) == ERR_OK && salvage->err == ERR_OK) {
		for (int i = 0; i < sqlite3_bind_parameter_count(into); i++)
			sqlite3_bind_value(into, i + 1, sqlite3_column_value(from, i));
		put(salvage, into);
	}
	sqlite3_finalize(from);
	return err == ERR_EOF ? ERR_OK : err;
}

/* All rows that can be read go into a table of their own; later those that fit are kept. */
static void take_rows(struct salvage *salvage)
{
	static const char up[] = "SELECT * FROM recipient ORDER BY destination, due, key, n";
	static const char down[] = "SELECT * FROM recipient ORDER BY destination DESC, due DESC,"
				   " key DESC, n DESC";
	static const char into[] = "INSERT OR IGNORE INTO candidate VALUES(?3,?4,?1,?2,?5,?6,?7,"
				   "coalesce(?8,0))";
	sqlite3_stmt *s;

	salvage->err = queue_db_error(sqlite3_prepare_v2(salvage->to.db, into, -1, &s, NULL));
	if (salvage->err != ERR_OK)
		return;
	if (take_rows_in(salvage, up, s) != ERR_OK && salvage->err == ERR_OK)
		(void)take_rows_in(salvage, down, s);
	sqlite3_finalize(s);
	(void)take_rows_in(salvage, "SELECT key, ended FROM progress", use(salvage, PUT_PROGRESS));
}

/* Messages that a row names and the walk did not meet. */
static void take_named(struct salvage *salvage)
{
	static const char missing[] =
		"SELECT DISTINCT key FROM candidate WHERE typeof(key)='integer'"
		" AND NOT EXISTS (SELECT 1 FROM message m WHERE"
		" m.key=candidate.key) AND NOT EXISTS (SELECT 1 FROM damaged d"
		" WHERE d.key=candidate.key)";
	static const char query[] = "SELECT key, " QUEUE_MAIL_COLUMNS " FROM message WHERE key=?1";
	sqlite3_stmt *keys, *from = NULL;

	if (sqlite3_prepare_v2(salvage->from.db, query, -1, &from, NULL) != SQLITE_OK)
		return;
	salvage->err = queue_db_error(sqlite3_prepare_v2(salvage->to.db, missing, -1, &keys, NULL));
	while (salvage->err == ERR_OK && queue_db_row(keys) == ERR_OK)
		(void)take_one(salvage, from, sqlite3_column_int64(keys, 0));
	sqlite3_finalize(keys);
	sqlite3_finalize(from);
}

static int64_t number_of(struct salvage *salvage, enum statement which, int64_t key)
{
	sqlite3_stmt *s = use(salvage, which);
	int64_t value = 0;

	sqlite3_bind_int64(s, 1, key);
	if (queue_db_row(s) == ERR_OK)
		value = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return value;
}

/* The row of one recipient, as it was if that is known, else due at fresh. */
static void put_row(struct salvage *salvage, sqlite3_stmt *candidate, int64_t key,
		    const struct queue_recipient *recipient, int64_t fresh, bool all)
{
	sqlite3_stmt *s = use(salvage, PUT_ROW);
	bool known;

	sqlite3_bind_int64(candidate, 1, key);
	sqlite3_bind_int64(candidate, 2, recipient->n);
	known = queue_db_row(candidate) == ERR_OK &&
		sqlite3_column_int64(candidate, 0) == recipient->destination;
	if (known || all) {
		int64_t due = known ? sqlite3_column_int64(candidate, 1) : fresh;
		int64_t state = known ? sqlite3_column_int64(candidate, 3) : QUEUE_WAITING;

		if (state < QUEUE_WAITING || state > QUEUE_HELD ||
		    (due == QUEUE_HELD_DUE || due == QUEUE_FROZEN_DUE) != (state == QUEUE_HELD)) {
			state = QUEUE_WAITING;
			due = fresh;
		}
		sqlite3_bind_int64(s, 1, recipient->destination);
		sqlite3_bind_int64(s, 2, due);
		sqlite3_bind_int64(s, 3, key);
		sqlite3_bind_int64(s, 4, recipient->n);
		sqlite3_bind_int64(s, 5, known ? sqlite3_column_int64(candidate, 2) & 0xffff : 0);
		sqlite3_bind_int64(s, 6, state);
		queue_db_bind_slice(s, 7, known ? queue_db_slice(candidate, 4) : (struct slice){0},
				    true);
		sqlite3_bind_int64(s, 8, known ? sqlite3_column_int64(candidate, 5) & 0xff : 0);
		put(salvage, s);
	}
	sqlite3_reset(candidate);
}

static void settle_message(struct salvage *salvage, sqlite3_stmt *candidate, int64_t key,
			   struct slice encoded)
{
	struct queue_envelope envelope;
	struct queue_recipient recipient;
	int64_t rows = number_of(salvage, ROWS_OF, key), fitting = 0;
	int64_t ended = number_of(salvage, ENDED, key);
	struct slice rest;
	bool all;

	if (queue_envelope_read(encoded, &envelope) != ERR_OK)
		return;
	for (rest = envelope.recipients; queue_envelope_next(&rest, &recipient);) {
		sqlite3_bind_int64(candidate, 1, key);
		sqlite3_bind_int64(candidate, 2, recipient.n);
		fitting += queue_db_row(candidate) == ERR_OK &&
			   sqlite3_column_int64(candidate, 0) == recipient.destination;
		sqlite3_reset(candidate);
	}
	all = rows != fitting || fitting + ended != envelope.count;
	for (rest = envelope.recipients; queue_envelope_next(&rest, &recipient);)
		put_row(salvage, candidate, key, &recipient,
			envelope.release_at > salvage->now ? envelope.release_at : salvage->now,
			all);
	if (all) {
		sqlite3_bind_int64(use(salvage, PROGRESS_END), 1, key);
		put(salvage, use(salvage, PROGRESS_END));
	}
	salvage->report->salvaged++;
}

static void settle(struct salvage *salvage)
{
	static const char find[] = "SELECT destination, due, attempts, state, last, notice"
				   " FROM candidate"
				   " WHERE key=?1 AND n=?2";
	sqlite3_stmt *messages = NULL, *candidate = NULL;

	salvage->err = queue_db_error(sqlite3_prepare_v2(
		salvage->to.db, "SELECT key, envelope FROM message", -1, &messages, NULL));
	if (salvage->err == ERR_OK)
		salvage->err = queue_db_error(
			sqlite3_prepare_v2(salvage->to.db, find, -1, &candidate, NULL));
	while (salvage->err == ERR_OK && queue_db_row(messages) == ERR_OK)
		settle_message(salvage, candidate, sqlite3_column_int64(messages, 0),
			       queue_db_slice(messages, 1));
	sqlite3_finalize(messages);
	sqlite3_finalize(candidate);
}

/* ---- the whole --------------------------------------------------------------------------- */
static void count_lost(struct salvage *salvage)
{
	int64_t lost = 0;

	if (salvage->err != ERR_OK)
		return;
	salvage->err =
		queue_db_pragma(&salvage->to,
				"SELECT (SELECT count(*) FROM damaged) + (SELECT count(DISTINCT"
				" key) FROM candidate WHERE NOT EXISTS (SELECT 1 FROM message m"
				" WHERE m.key=candidate.key) AND NOT EXISTS (SELECT 1 FROM"
				" damaged d WHERE d.key=candidate.key))",
				&lost);
	salvage->report->lost = (uint64_t)lost;
}

static void fill(struct salvage *salvage)
{
	int64_t next_key = 0;

	/* The highest key first: it must be right even if little else is. */
	(void)queue_db_pragma(&salvage->from, "SELECT value FROM meta WHERE name='next_key'",
			      &next_key);
	take_messages(salvage);
	if (salvage->err == ERR_OK)
		take_rows(salvage);
	if (salvage->err == ERR_OK)
		take_named(salvage);
	if (salvage->err == ERR_OK)
		settle(salvage);
	count_lost(salvage);
	if (next_key < 0 || next_key > INT64_MAX / 4)
		next_key = 0;
	if (next_key <= salvage->top)
		next_key = salvage->top + 1;
	/* What was handed out since, but cannot be read any more, must not come again. */
	sqlite3_bind_int64(use(salvage, META_KEY), 1, next_key + QUEUE_KEY_BLOCK);
	put(salvage, use(salvage, META_KEY));
}

static void remove_parts(const char *folder)
{
	static const char *const parts[] = {"queue.db.salvage", "queue.db.salvage-wal",
					    "queue.db.salvage-shm", "queue.db.salvage-journal"};
	char path[QUEUE_PATH_MAX];

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		queue_path(folder, parts[i], path);
		(void)file_remove(path);
	}
}

static enum err sync_file(const char *path)
{
	uint64_t size;
	int fd;
	enum err err = file_open(path, &fd, &size);

	if (err != ERR_OK)
		return err;
	err = file_sync(fd);
	file_close(&fd);
	return err;
}

/* The new database, whole and synced, beside the old one. */
static enum err build(const char *folder, int64_t now, struct queue_report *report)
{
	/* Until it is whole nobody reads it: it is synced once, at the end. */
	static const char quick[] = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;";
	static const char begin[] =
		"CREATE TEMP TABLE candidate(key, n, destination, due, attempts, state, last,"
		" notice, PRIMARY KEY(key, n)) WITHOUT ROWID; BEGIN;";
	struct salvage salvage = {.now = now, .report = report};
	char path[QUEUE_PATH_MAX];
	enum err err;

	remove_parts(folder);
	queue_path(folder, "queue.db.salvage", path);
	if ((err = queue_db_open(&salvage.to, path, true)) != ERR_OK)
		return err;
	if ((err = queue_db_run(&salvage.to, quick)) != ERR_OK ||
	    (err = queue_db_create_schema(&salvage.to)) != ERR_OK ||
	    (err = queue_db_run(&salvage.to, begin)) != ERR_OK ||
	    (err = queue_db_prepare(&salvage.to, sql, STATEMENT_END)) != ERR_OK)
		goto out;
	queue_path(folder, "queue.db", path);
	if (queue_db_open_damaged(&salvage.from, path) == ERR_OK) {
		fill(&salvage);
		queue_db_close(&salvage.from);
	}
	if ((err = salvage.err) == ERR_OK)
		err = queue_db_run(&salvage.to, "COMMIT");
out:
	queue_db_close(&salvage.to);
	queue_path(folder, "queue.db.salvage", path);
	return err == ERR_OK ? sync_file(path) : err;
}

static enum err mark(const char *folder, const char *text)
{
	char path[QUEUE_PATH_MAX];

	queue_path(folder, MARK, path);
	return os_write_file(path, slice_str(text), 0600);
}

enum err queue_mark_damaged(const char *folder)
{
	return mark(folder, "damaged\n");
}

/* Old files away, new one in their place. Each step may have been done before. */
static enum err swap(const char *folder, int64_t now, char *aside_out)
{
	static const char *const suffixes[] = {"-wal", "-shm", ""};
	char from[QUEUE_PATH_MAX], to[QUEUE_PATH_MAX], name[64];
	enum err err;

	queue_path(folder, "queue.db.salvage", from);
	if (file_exists(from)) {
		for (size_t i = 0; i < 3; i++) {
			snprintf(name, sizeof(name), "queue.db%s", suffixes[i]);
			queue_path(folder, name, from);
			snprintf(name, sizeof(name), "queue.db.damaged-%" PRId64 "%s", now,
				 suffixes[i]);
			queue_path(folder, name, to);
			err = file_rename(from, to);
			if (err != ERR_OK && err != ERR_NOT_FOUND)
				return err;
		}
		if (aside_out != NULL)
			snprintf(aside_out, QUEUE_PATH_MAX, "%s", to);
		if ((err = file_sync_folder(folder)) != ERR_OK)
			return err;
		queue_path(folder, "queue.db.salvage", from);
		queue_path(folder, "queue.db", to);
		if ((err = file_rename(from, to)) != ERR_OK ||
		    (err = file_sync_folder(folder)) != ERR_OK)
			return err;
	}
	queue_path(folder, MARK, from);
	if ((err = file_remove(from)) != ERR_OK)
		return err;
	return file_sync_folder(folder);
}

enum err queue_salvage(const char *folder, int64_t now, struct queue_report *report)
{
	enum err err;

	report->set_aside = true;
	if ((err = queue_mark_damaged(folder)) != ERR_OK ||
	    (err = build(folder, now, report)) != ERR_OK ||
	    (err = mark(folder, "moved\n")) != ERR_OK)
		return err;
	return swap(folder, now, report->aside_path);
}

enum err queue_salvage_resume(const char *folder, int64_t now, bool *needed_out)
{
	struct buf text;
	char path[QUEUE_PATH_MAX];
	enum err err;

	queue_path(folder, MARK, path);
	buf_init(&text, 64);
	err = os_read_file(path, 64, &text);
	*needed_out = false;
	if (err == ERR_NOT_FOUND) {
		remove_parts(folder);
		err = ERR_OK;
	} else if (err == ERR_OK && slice_is(buf_data(&text), "moved\n")) {
		err = swap(folder, now, NULL);
	} else if (err == ERR_OK || err == ERR_RANGE) {
		*needed_out = true;
		err = ERR_OK;
	}
	buf_release(&text);
	return err;
}
