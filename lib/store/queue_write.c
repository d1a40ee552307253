/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer. A batch is one transaction. What is unusual about it is only what happens when the
 * commit itself fails: the frames may lie in the log, whole, and be found by the next recovery.
 * Frames of a log are chained by checksums, so any later commit, which starts at the same place,
 * makes them unreadable: queue_writer_overwrite is the smallest such commit.
 */
#include "store/queue_writer.h"

#include <string.h>

#include "base/mem.h"
#include "os/disk.h"
#include "os/os.h"

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	META_SET,
	PUT_MESSAGE,
	PUT_ROW,
	PUT_DEADLINE,
	DESTINATION_FIND,
	DESTINATION_NEW,
	DESTINATION_SET,
	ROW_END,
	ROW_SET,
	ROW_FIND,
	ROW_NOTICE,
	MESSAGE_END,
	PROGRESS_ADD,
	PROGRESS_MESSAGE_END,
	PROGRESS_END,
	ASIDE_MESSAGE,
	ASIDE_ROW,
	MESSAGE_GONE,
	DEADLINE_END,
	STATEMENT_END
};

static const char *const sql[STATEMENT_END] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[META_SET] = "UPDATE meta SET value=?2 WHERE name=?1",
	[PUT_MESSAGE] = "INSERT INTO message(key, " QUEUE_MAIL_COLUMNS
			") VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)",
	[PUT_ROW] = "INSERT INTO recipient VALUES(?1,?2,?3,?4,0,0,'',0)",
	[PUT_DEADLINE] = "INSERT OR IGNORE INTO deadline VALUES(?1,?2)",
	[DESTINATION_FIND] = "SELECT id FROM destination WHERE name=?1",
	[DESTINATION_NEW] = "INSERT INTO destination(name,due,failures,last) VALUES(?1,0,0,'')",
	[DESTINATION_SET] = "UPDATE destination SET due=?2, failures=?3, last=coalesce(?4,last)"
			    " WHERE id=?1",
	[ROW_END] = "DELETE FROM recipient WHERE destination=?1 AND due=?2 AND key=?3 AND n=?4",
	[ROW_SET] = "UPDATE recipient SET due=?5, attempts=?6, state=?7, last=coalesce(?8,last)"
		    " WHERE destination=?1 AND due=?2 AND key=?3 AND n=?4",
	[ROW_FIND] = "SELECT due, state FROM recipient WHERE destination=?1 AND key=?2 AND n=?3",
	[ROW_NOTICE] = ("UPDATE recipient SET notice=notice|?5"
			" WHERE destination=?1 AND due=?2 AND key=?3 AND n=?4"),
	[MESSAGE_END] = "DELETE FROM message WHERE key=?1 AND recipients<=?2",
	[PROGRESS_ADD] = "INSERT INTO progress VALUES(?1,?2)"
			 " ON CONFLICT(key) DO UPDATE SET ended=ended+excluded.ended",
	[PROGRESS_MESSAGE_END] = "DELETE FROM message WHERE key=?1 AND recipients<="
				 "(SELECT ended FROM progress WHERE key=?1)",
	[PROGRESS_END] = "DELETE FROM progress WHERE key=?1",
	[ASIDE_MESSAGE] = "INSERT OR IGNORE INTO damaged SELECT key, ?2, ?3, " QUEUE_MAIL_COLUMNS
			  " FROM message WHERE key=?1",
	[ASIDE_ROW] = "INSERT OR IGNORE INTO damaged_recipient VALUES(?1,?2,?3,?4)",
	[MESSAGE_GONE] = "DELETE FROM message WHERE key=?1",
	[DEADLINE_END] = "DELETE FROM deadline WHERE at=?1 AND key=?2",
};

static sqlite3_stmt *use(struct queue_writer *writer, enum statement which)
{
	return writer->db.statements[which];
}

static enum err run(struct queue_writer *writer, enum statement which)
{
	return queue_db_step(use(writer, which));
}

static enum err meta_set(struct queue_writer *writer, const char *name, int64_t value)
{
	sqlite3_stmt *statement = use(writer, META_SET);

	queue_db_bind_slice(statement, 1, slice_str(name), true);
	sqlite3_bind_int64(statement, 2, value);
	return queue_db_step(statement);
}

/* ---- destinations ------------------------------------------------------------------------ */
static enum err destination_id(struct queue_writer *writer, struct slice domain, int64_t *id_out)
{
	char lower[QUEUE_NAME_MAX];
	struct slice text;
	sqlite3_stmt *find = use(writer, DESTINATION_FIND);
	enum err err;

	if (domain.len == 0 || domain.len > sizeof(lower))
		return ERR_RANGE;
	for (size_t i = 0; i < domain.len; i++)
		lower[i] = ascii_lower(domain.ptr[i]);
	text = slice_of(lower, domain.len);
	if (queue_names_find(writer->names, text, id_out))
		return ERR_OK;
	queue_db_bind_slice(find, 1, text, true);
	err = queue_db_row(find);
	if (err == ERR_OK)
		*id_out = sqlite3_column_int64(find, 0);
	sqlite3_reset(find);
	if (err == ERR_EOF) {
		queue_db_bind_slice(use(writer, DESTINATION_NEW), 1, text, true);
		if ((err = run(writer, DESTINATION_NEW)) == ERR_OK)
			*id_out = sqlite3_last_insert_rowid(writer->db.db);
	}
	if (err == ERR_OK)
		queue_names_add(writer->names, text, *id_out);
	return err;
}

static enum err destination_set(struct queue_writer *writer, const struct queue_destination *item)
{
	sqlite3_stmt *statement = use(writer, DESTINATION_SET);

	sqlite3_bind_int64(statement, 1, item->id);
	sqlite3_bind_int64(statement, 2, item->due);
	sqlite3_bind_int64(statement, 3, item->failures);
	if (item->last.ptr != NULL)
		queue_db_bind_slice(statement, 4, slice_head(item->last, QUEUE_LAST_MAX), true);
	else
		sqlite3_bind_null(statement, 4);
	return queue_db_step(statement);
}

/* ---- messages ---------------------------------------------------------------------------- */
static enum err put_message(struct queue_writer *writer, const struct queue_mail *mail)
{
	sqlite3_stmt *s = use(writer, PUT_MESSAGE);
	struct slice body = slice_of(mail->body, mail->body_len);

	sqlite3_bind_int64(s, 1, (int64_t)mail->id.key);
	queue_db_bind_slice(s, 2, slice_of(mail->id.random, MSGID_RANDOM), false);
	sqlite3_bind_int64(s, 3, mail->arrived);
	sqlite3_bind_int64(s, 4, mail->expires);
	sqlite3_bind_int64(s, 5, (int64_t)mail->size);
	sqlite3_bind_int64(s, 6, mail->flags);
	sqlite3_bind_int64(s, 7, mail->recipients);
	sqlite3_bind_int64(s, 8, mail->in_file);
	queue_db_bind_slice(s, 9, slice_of(mail->envelope, mail->envelope_len), false);
	sqlite3_bind_int64(s, 10, (int64_t)queue_mail_checksum(mail));
	queue_db_bind_slice(s, 11, body, false);
	return queue_db_step(s);
}

static enum err put_rows(struct queue_writer *writer, const struct queue_mail *mail,
			 const struct queue_envelope *envelope)
{
	int64_t deadline = queue_envelope_deadline(envelope, mail->arrived, mail->expires);
	int64_t due = queue_envelope_due(envelope, mail->arrived);
	struct slice rest = envelope->recipients;
	struct queue_recipient recipient;
	sqlite3_stmt *s = use(writer, PUT_DEADLINE);
	enum err err = ERR_OK;

	if (deadline != QUEUE_NEVER) {
		sqlite3_bind_int64(s, 1, deadline);
		sqlite3_bind_int64(s, 2, (int64_t)mail->id.key);
		err = queue_db_step(s);
	}
	s = use(writer, PUT_ROW);

	while (err == ERR_OK && queue_envelope_next(&rest, &recipient)) {
		sqlite3_bind_int64(s, 1, recipient.destination);
		sqlite3_bind_int64(s, 2, due);
		sqlite3_bind_int64(s, 3, (int64_t)mail->id.key);
		sqlite3_bind_int64(s, 4, recipient.n);
		err = queue_db_step(s);
	}
	return err;
}

/* ERR_EXISTS, ERR_RANGE: nothing of this one is stored; the transaction goes on. */
static enum err put(struct queue_writer *writer, struct queue_mail *mail)
{
	struct queue_envelope envelope;
	struct queue_recipient recipient;
	struct slice rest;
	int64_t before = -1;
	enum err err;

	if (mail->id.key > INT64_MAX || mail->id.key == 0 || mail->body == NULL)
		return ERR_RANGE;
	if (queue_envelope_read(slice_of(mail->envelope, mail->envelope_len), &envelope) !=
		    ERR_OK ||
	    envelope.count == 0 || envelope.count != mail->recipients)
		return ERR_RANGE;
	rest = envelope.recipients;
	for (char *at = mail->envelope + (rest.ptr - mail->envelope);
	     queue_envelope_next(&rest, &recipient);
	     at = mail->envelope + (rest.ptr - mail->envelope)) {
		int64_t id;

		if (recipient.n <= before)
			return ERR_RANGE; /* they count upwards, so none comes twice */
		before = recipient.n;
		if ((err = destination_id(writer, recipient.domain, &id)) != ERR_OK)
			return err;
		queue_envelope_set_destination(at, id);
	}
	if ((err = put_message(writer, mail)) != ERR_OK)
		return err;
	/* A row without its message: only damage makes one. */
	if ((err = put_rows(writer, mail, &envelope)) == ERR_EXISTS)
		return ERR_CORRUPT;
	return err;
}

/* ---- changes ----------------------------------------------------------------------------- */
static void bind_row(sqlite3_stmt *s, const struct queue_row *row, int64_t due)
{
	sqlite3_bind_int64(s, 1, row->destination);
	sqlite3_bind_int64(s, 2, due);
	sqlite3_bind_int64(s, 3, (int64_t)row->key);
	sqlite3_bind_int64(s, 4, row->n);
}

static enum err change_at(struct queue_writer *writer, const struct queue_change *change,
			  int64_t due, bool held, bool *found_out)
{
	sqlite3_stmt *s = use(writer, change->end           ? ROW_END
				      : change->notice != 0 ? ROW_NOTICE
							    : ROW_SET);
	bool stays = held && !change->force;
	enum err err;

	bind_row(s, &change->row, due);
	if (!change->end && change->notice != 0) {
		sqlite3_bind_int64(s, 5, change->notice);
	} else if (!change->end) {
		sqlite3_bind_int64(s, 5, stays ? due : change->due);
		sqlite3_bind_int64(s, 6, change->attempts);
		sqlite3_bind_int64(s, 7, stays ? QUEUE_HELD : change->state);
		if (change->last.ptr != NULL)
			queue_db_bind_slice(s, 8, slice_head(change->last, QUEUE_LAST_MAX), true);
		else
			sqlite3_bind_null(s, 8);
	}
	err = queue_db_step(s);
	if (err == ERR_OK)
		*found_out = sqlite3_changes(writer->db.db) != 0;
	return err;
}

static enum err change_row(struct queue_writer *writer, const struct queue_change *change,
			   bool *found_out)
{
	sqlite3_stmt *find = use(writer, ROW_FIND);
	bool held = false;
	int64_t due = 0;
	enum err err;

	err = change_at(writer, change, change->row.due, change->row.state == QUEUE_HELD,
			found_out);
	if (err != ERR_OK || *found_out)
		return err;
	/* It moved since: the operator held or retried it, or this result is old news. */
	sqlite3_bind_int64(find, 1, change->row.destination);
	sqlite3_bind_int64(find, 2, (int64_t)change->row.key);
	sqlite3_bind_int64(find, 3, change->row.n);
	err = queue_db_row(find);
	if (err == ERR_OK) {
		due = sqlite3_column_int64(find, 0);
		held = sqlite3_column_int64(find, 1) == QUEUE_HELD;
	}
	sqlite3_reset(find);
	if (err == ERR_EOF)
		return ERR_OK; /* gone already */
	return err == ERR_OK ? change_at(writer, change, due, held, found_out) : err;
}

/* ended recipients of one message: the message goes with the last. */
static enum err message_progress(struct queue_writer *writer, struct queue_batch *batch,
				 uint64_t key, uint32_t ended)
{
	sqlite3_stmt *s = use(writer, MESSAGE_END);
	bool gone;
	enum err err;

	sqlite3_bind_int64(s, 1, (int64_t)key);
	sqlite3_bind_int64(s, 2, ended);
	if ((err = queue_db_step(s)) != ERR_OK)
		return err;
	gone = sqlite3_changes(writer->db.db) != 0;
	if (!gone) {
		sqlite3_bind_int64(use(writer, PROGRESS_ADD), 1, (int64_t)key);
		sqlite3_bind_int64(use(writer, PROGRESS_ADD), 2, ended);
		sqlite3_bind_int64(use(writer, PROGRESS_MESSAGE_END), 1, (int64_t)key);
		sqlite3_bind_int64(use(writer, PROGRESS_END), 1, (int64_t)key);
		if ((err = run(writer, PROGRESS_ADD)) != ERR_OK ||
		    (err = run(writer, PROGRESS_MESSAGE_END)) != ERR_OK)
			return err;
		gone = sqlite3_changes(writer->db.db) != 0;
		if (gone && (err = run(writer, PROGRESS_END)) != ERR_OK)
			return err;
	}
	if (gone)
		batch->ended[batch->ended_count++] = key;
	return ERR_OK;
}

static enum err changes(struct queue_writer *writer, struct queue_batch *batch)
{
	enum err err = ERR_OK;

	for (size_t i = 0; i < batch->change_count && err == ERR_OK;) {
		uint64_t key = batch->changes[i].row.key;
		uint32_t ended = 0;

		for (; i < batch->change_count && batch->changes[i].row.key == key; i++) {
			bool found = false;

			if ((err = change_row(writer, &batch->changes[i], &found)) != ERR_OK)
				return err;
			ended += found && batch->changes[i].end;
		}
		batch->rows_ended += ended;
		if (ended != 0)
			err = message_progress(writer, batch, key, ended);
	}
	return err;
}

static enum err set_aside(struct queue_writer *writer, const struct queue_aside *aside)
{
	sqlite3_stmt *s = use(writer, ASIDE_MESSAGE);
	enum err err;

	sqlite3_bind_int64(s, 1, (int64_t)aside->key);
	sqlite3_bind_int64(s, 2, os_wall_ms());
	queue_db_bind_slice(s, 3, slice_str(aside->reason), true);
	if ((err = queue_db_step(s)) != ERR_OK)
		return err;
	for (size_t i = 0; i < aside->row_count; i++) {
		s = use(writer, ASIDE_ROW);
		sqlite3_bind_int64(s, 1, (int64_t)aside->key);
		sqlite3_bind_int64(s, 2, aside->rows[i].destination);
		sqlite3_bind_int64(s, 3, aside->rows[i].n);
		sqlite3_bind_int64(s, 4, aside->rows[i].attempts);
		if ((err = queue_db_step(s)) != ERR_OK)
			return err;
		bind_row(use(writer, ROW_END), &aside->rows[i], aside->rows[i].due);
		if ((err = run(writer, ROW_END)) != ERR_OK)
			return err;
	}
	sqlite3_bind_int64(use(writer, MESSAGE_GONE), 1, (int64_t)aside->key);
	sqlite3_bind_int64(use(writer, PROGRESS_END), 1, (int64_t)aside->key);
	if ((err = run(writer, MESSAGE_GONE)) != ERR_OK)
		return err;
	return run(writer, PROGRESS_END);
}

/* ---- a batch ----------------------------------------------------------------------------- */
static enum err puts_(struct queue_writer *writer, struct queue_batch *batch, bool *files_out)
{
	for (size_t i = 0; i < batch->put_count; i++) {
		struct queue_put *item = &batch->puts[i];

		item->err = put(writer, item->mail);
		if (item->err == ERR_EXISTS || item->err == ERR_RANGE)
			continue; /* that one only */
		if (item->err != ERR_OK)
			return item->err;
		*files_out = *files_out || item->mail->in_file;
	}
	return ERR_OK;
}

static enum err apply(struct queue_writer *writer, struct queue_batch *batch)
{
	bool files = false;
	enum err err = puts_(writer, batch, &files);

	if (err != ERR_OK || (err = changes(writer, batch)) != ERR_OK)
		return err;
	for (size_t i = 0; i < batch->destination_count; i++) {
		if ((err = destination_set(writer, &batch->destinations[i])) != ERR_OK)
			return err;
	}
	for (size_t i = 0; i < batch->deadline_count; i++) {
		sqlite3_bind_int64(use(writer, DEADLINE_END), 1, batch->deadlines[i].at);
		sqlite3_bind_int64(use(writer, DEADLINE_END), 2, (int64_t)batch->deadlines[i].key);
		if ((err = run(writer, DEADLINE_END)) != ERR_OK)
			return err;
	}
	for (size_t i = 0; i < batch->aside_count; i++) {
		if ((err = set_aside(writer, &batch->asides[i])) != ERR_OK)
			return err;
	}
	if (batch->want_keys &&
	    (err = meta_set(writer, "next_key", writer->next_key + QUEUE_KEY_BLOCK)) != ERR_OK)
		return err;
	if (files) {
		char path[QUEUE_PATH_MAX];

		queue_path(writer->folder, "bodies", path);
		err = file_sync_folder(path);
	}
	return err;
}

static int note_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct queue_writer *writer = arg;

	(void)db;
	(void)name;
	writer->wal_pages = pages;
	return SQLITE_OK;
}

static void rollback(struct queue_writer *writer)
{
	if (sqlite3_get_autocommit(writer->db.db) == 0)
		(void)run(writer, ROLLBACK);
	/* Destinations made in it are gone with it. */
	queue_names_clear(writer->names);
}

/* Bodies of what ended; what cannot be removed now is an orphan at the next start. */
static void remove_files(struct queue_writer *writer, const struct queue_batch *batch)
{
	size_t next = 0;

	for (size_t i = 0; i < batch->change_count && next < batch->ended_count; i++) {
		const struct queue_change *change = &batch->changes[i];

		if (change->row.key != batch->ended[next])
			continue;
		if (change->in_file) {
			char path[QUEUE_PATH_MAX];

			queue_body_path(writer->folder, change->row.key, "", path);
			(void)file_remove(path);
		}
		next++;
	}
	for (size_t i = 0; i < batch->aside_count; i++) {
		char from[QUEUE_PATH_MAX], to[QUEUE_PATH_MAX];

		if (!batch->asides[i].in_file)
			continue;
		queue_body_path(writer->folder, batch->asides[i].key, "", from);
		queue_body_path(writer->folder, batch->asides[i].key, ".damaged", to);
		(void)file_rename(from, to);
	}
}

static enum err checkpoint(struct queue_writer *writer)
{
	int rc;

	if (writer->wal_pages < QUEUE_WAL_PAGES)
		return ERR_OK;
	rc = sqlite3_wal_checkpoint_v2(writer->db.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	/* A reader that is still in the log: the next commit tries again. */
	return rc == SQLITE_BUSY ? ERR_OK : queue_db_error(rc);
}

enum err queue_writer_commit(struct queue_writer *writer, struct queue_batch *batch)
{
	enum err err;

	batch->ended = mem_array(batch->change_count, sizeof(*batch->ended));
	batch->ended_count = 0;
	batch->rows_ended = 0;
	batch->unsure = false;
	if ((err = run(writer, BEGIN)) != ERR_OK)
		return err;
	if ((err = apply(writer, batch)) != ERR_OK) {
		rollback(writer);
		return err;
	}
	if ((err = run(writer, COMMIT)) != ERR_OK) {
		rollback(writer);
		batch->unsure = err == ERR_IO || err == ERR_INTERNAL;
		return err;
	}
	if (batch->want_keys) {
		batch->first_key = (uint64_t)writer->next_key;
		batch->key_count = QUEUE_KEY_BLOCK;
		writer->next_key += QUEUE_KEY_BLOCK;
	}
	remove_files(writer, batch);
	/*
	 * The batch is on disk whatever becomes of the checkpoint. One that fails is tried again
	 * after the next commit; a damaged page shows when it is read.
	 */
	(void)checkpoint(writer);
	return ERR_OK;
}

void queue_batch_release(struct queue_batch *batch)
{
	MEM_FREE(batch->ended);
	batch->ended_count = 0;
}

enum err queue_writer_overwrite(struct queue_writer *writer)
{
	enum err err = run(writer, BEGIN);

	if (err != ERR_OK)
		return err;
	if ((err = meta_set(writer, "overwritten", writer->overwritten + 1)) != ERR_OK ||
	    (err = run(writer, COMMIT)) != ERR_OK) {
		rollback(writer);
		return err;
	}
	writer->overwritten++;
	return ERR_OK;
}

enum err queue_writer_tidy(struct queue_writer *writer)
{
	enum err err = run(writer, BEGIN);

	if (err != ERR_OK)
		return err;
	queue_names_clear(writer->names);
	err = queue_db_run(&writer->db,
			   "DELETE FROM destination WHERE NOT EXISTS"
			   " (SELECT 1 FROM recipient WHERE recipient.destination=destination.id);"
			   "DELETE FROM deadline WHERE NOT EXISTS"
			   " (SELECT 1 FROM message WHERE message.key=deadline.key)");
	if (err != ERR_OK || (err = run(writer, COMMIT)) != ERR_OK)
		rollback(writer);
	return err;
}

enum err queue_writer_prepare(struct queue_writer *writer)
{
	enum err err = queue_db_prepare(&writer->db, sql, STATEMENT_END);

	if (err == ERR_OK)
		sqlite3_wal_hook(writer->db.db, note_wal, writer);
	return err;
}
