/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers: each has a connection of its own and reads in short transactions, so that the log can
 * be checkpointed. What a row says is believed only if the message's envelope, which is
 * checksummed, agrees: the recipient exists and goes to that destination.
 */
#include "store/queue_reader.h"

#include <string.h>

#include "base/mem.h"

enum { ROWS_PER_MESSAGE = 1000 };

#define ROW_COLUMNS "destination, due, key, n, attempts, state, notice"

static const char *const sql[READ_STATEMENT_END] = {
	[READ_BEGIN] = "BEGIN",
	[READ_COMMIT] = "COMMIT",
	[READ_NAME] = "SELECT id FROM destination WHERE name=?1",
	[READ_DUE] = "SELECT " ROW_COLUMNS " FROM recipient WHERE destination=?1 AND due<=?2"
		     " ORDER BY due, key, n",
	[READ_KEY_ROWS] = "SELECT " ROW_COLUMNS " FROM recipient WHERE destination=?1 AND key=?2",
	[READ_MAIL] = "SELECT " QUEUE_MAIL_COLUMNS " FROM message WHERE key=?1",
	[READ_IN_DAMAGED] = "SELECT 1 FROM damaged WHERE key=?1",
	[READ_KNOWN] = "SELECT 1 FROM message WHERE key=?1 AND random=?2",
	[READ_DESTINATIONS] =
		"SELECT id, name, due, failures, last, (SELECT min(due) FROM recipient"
		" WHERE destination=id) FROM destination WHERE id>?1 ORDER BY id LIMIT ?2",
	[READ_DESTINATION_NAME] = "SELECT name FROM destination WHERE id=?1",
	[READ_SCAN] = "SELECT " ROW_COLUMNS ", last FROM recipient WHERE"
		      " (destination, due, key, n) > (?1, ?2, ?3, ?4)"
		      " ORDER BY destination, due, key, n LIMIT ?5",
	[READ_MAIL_SEEN] =
		"SELECT random, arrived, expires, size, flags, recipients, in_file, envelope"
		" FROM message WHERE key=?1",
	[READ_PLACE_ROWS] = "SELECT " ROW_COLUMNS " FROM recipient WHERE destination=?1",
	[READ_DEADLINES] = "SELECT at, key FROM deadline WHERE (at, key) > (?1, ?2)"
			   " ORDER BY at, key LIMIT ?3",
	[READ_PLACE_COUNT] =
		"SELECT count(*) FROM recipient WHERE destination=?1 AND (due<=?2 OR state=1)",
	[READ_PLACE_LATER] =
		("SELECT " ROW_COLUMNS " FROM recipient WHERE destination=?1 AND due>?2"
		 " AND state=1 ORDER BY due, key, n LIMIT ?3"),
	[READ_ROW] = "SELECT 1 FROM recipient WHERE destination=?1 AND due=?2 AND key=?3 AND n=?4",
	[READ_ARRIVED] = "SELECT arrived FROM message WHERE key=?1",
};

sqlite3_stmt *queue_reader_use(struct queue_reader *reader, enum queue_reader_statement which)
{
	return reader->db.statements[which];
}

enum err queue_reader_begin(struct queue_reader *reader)
{
	return queue_db_step(queue_reader_use(reader, READ_BEGIN));
}

void queue_reader_end(struct queue_reader *reader)
{
	/* Of a transaction that only read: nothing is lost if it fails. */
	(void)queue_db_step(queue_reader_use(reader, READ_COMMIT));
}

struct queue_row queue_reader_row(sqlite3_stmt *s)
{
	return (struct queue_row){
		.destination = sqlite3_column_int64(s, 0),
		.due = sqlite3_column_int64(s, 1),
		.key = (uint64_t)sqlite3_column_int64(s, 2),
		.n = (uint32_t)sqlite3_column_int64(s, 3),
		.attempts = (uint32_t)sqlite3_column_int64(s, 4),
		.state = (enum queue_state)sqlite3_column_int64(s, 5),
		.notice = (uint8_t)sqlite3_column_int64(s, 6),
	};
}

enum err queue_reader_open(const char *folder, struct queue_reader **reader_out)
{
	struct queue_reader *reader = mem_alloc(sizeof(*reader));
	char path[QUEUE_PATH_MAX];
	enum err err;

	queue_path(folder, "queue.db", path);
	if ((err = queue_db_open(&reader->db, path, false)) == ERR_OK &&
	    (err = queue_db_prepare(&reader->db, sql, READ_STATEMENT_END)) != ERR_OK)
		queue_db_close(&reader->db);
	if (err != ERR_OK) {
		mem_free(reader);
		return err;
	}
	*reader_out = reader;
	return ERR_OK;
}

void queue_reader_close(struct queue_reader **reader)
{
	if (*reader == NULL)
		return;
	queue_db_close(&(*reader)->db);
	MEM_FREE(*reader);
}

/* ---- messages ---------------------------------------------------------------------------- */
enum err queue_mail_from_row(sqlite3_stmt *s, int first, uint64_t key, bool body,
			     struct queue_mail **mail_out, const char **damage_out)
{
	struct slice random = queue_db_slice(s, first);
	struct slice envelope = queue_db_slice(s, first + 7);
	struct queue_mail view = {.id.key = key, .refs = 1}, *mail;
	struct queue_envelope read;
	struct slice bytes = queue_db_slice(s, first + 9);

	if (random.len != MSGID_RANDOM) {
		*damage_out = "its name is damaged";
		return ERR_CORRUPT;
	}
	memcpy(view.id.random, random.ptr, MSGID_RANDOM);
	view.arrived = sqlite3_column_int64(s, first + 1);
	view.expires = sqlite3_column_int64(s, first + 2);
	view.size = (uint64_t)sqlite3_column_int64(s, first + 3);
	view.flags = (uint32_t)sqlite3_column_int64(s, first + 4);
	view.recipients = (uint32_t)sqlite3_column_int64(s, first + 5);
	view.in_file = sqlite3_column_int64(s, first + 6) != 0;
	mail = queue_mail_new(envelope, bytes);
	view.envelope = mail->envelope;
	view.envelope_len = mail->envelope_len;
	view.body = mail->body;
	view.body_len = mail->body_len;
	*mail = view;
	if (queue_mail_checksum(mail) != (uint64_t)sqlite3_column_int64(s, first + 8)) {
		*damage_out = "its checksum does not match";
	} else if (queue_envelope_read(slice_of(mail->envelope, mail->envelope_len), &read) !=
			   ERR_OK ||
		   read.count != mail->recipients || (!mail->in_file && bytes.len != mail->size)) {
		*damage_out = "its envelope cannot be read";
	} else {
		if (!body && !mail->in_file) { /* not the memory, but the promise */
			struct queue_mail *small = queue_mail_new(
				slice_of(mail->envelope, mail->envelope_len), (struct slice){0});

			view.envelope = small->envelope;
			view.body = NULL;
			view.body_len = 0;
			*small = view;
			queue_mail_unref(&mail);
			mail = small;
		}
		*mail_out = mail;
		return ERR_OK;
	}
	queue_mail_unref(&mail);
	return ERR_CORRUPT;
}

/* ERR_NOT_FOUND: no such message; a damaged one gives ERR_OK with loaded->damage. */
static enum err load_mail(struct queue_reader *reader, uint64_t key, bool body,
			  struct queue_loaded *loaded)
{
	sqlite3_stmt *s = queue_reader_use(reader, READ_MAIL);
	enum err err;

	sqlite3_bind_int64(s, 1, (int64_t)key);
	err = queue_db_row(s);
	if (err == ERR_OK) {
		loaded->in_file = sqlite3_column_int64(s, 6) != 0;
		(void)queue_mail_from_row(s, 0, key, body, &loaded->mail, &loaded->damage);
	}
	sqlite3_reset(s);
	if (err != ERR_EOF)
		return err;
	s = queue_reader_use(reader, READ_IN_DAMAGED);
	sqlite3_bind_int64(s, 1, (int64_t)key);
	err = queue_db_row(s);
	sqlite3_reset(s);
	if (err == ERR_OK)
		loaded->damage = "it was set aside before";
	return err == ERR_EOF ? ERR_NOT_FOUND : err;
}

enum err queue_reader_mail(struct queue_reader *reader, uint64_t key, struct queue_mail **mail_out)
{
	struct queue_loaded loaded = {0};
	enum err err;

	if (key == 0 || key > INT64_MAX)
		return ERR_NOT_FOUND;
	if ((err = load_mail(reader, key, true, &loaded)) != ERR_OK)
		return err;
	if (loaded.mail == NULL)
		return ERR_NOT_FOUND; /* set aside, or about to be when it is claimed */
	*mail_out = loaded.mail;
	return ERR_OK;
}

enum err queue_reader_arrived(struct queue_reader *reader, uint64_t key, int64_t *arrived_out)
{
	sqlite3_stmt *s = queue_reader_use(reader, READ_ARRIVED);
	enum err err;

	sqlite3_bind_int64(s, 1, (int64_t)key);
	if ((err = queue_db_row(s)) == ERR_OK)
		*arrived_out = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return err == ERR_EOF ? ERR_NOT_FOUND : err;
}

enum err queue_reader_known(struct queue_reader *reader, const struct msgid *id, bool *known_out)
{
	sqlite3_stmt *s = queue_reader_use(reader, READ_KNOWN);
	enum err err;

	if (id->key > INT64_MAX) {
		*known_out = false;
		return ERR_OK;
	}
	sqlite3_bind_int64(s, 1, (int64_t)id->key);
	queue_db_bind_slice(s, 2, slice_of(id->random, MSGID_RANDOM), false);
	err = queue_db_row(s);
	sqlite3_reset(s);
	if (err != ERR_OK && err != ERR_EOF)
		return err;
	*known_out = err == ERR_OK;
	return ERR_OK;
}

/* ---- claims ------------------------------------------------------------------------------ */
static struct queue_loaded *find_loaded(struct queue_load *load, uint64_t key)
{
	for (size_t i = load->count; i > 0; i--) {
		if (load->loaded[i - 1].rows[0].key == key)
			return &load->loaded[i - 1];
	}
	return NULL;
}

static void add_row(struct queue_loaded *loaded, const struct queue_row *row, size_t max)
{
	if (loaded->row_count == max)
		return; /* the rest when these have ended */
	if ((loaded->row_count & (loaded->row_count - 1)) == 0)
		loaded->rows = mem_resize(
			loaded->rows,
			sizeof(*row) * (loaded->row_count == 0 ? 1 : loaded->row_count * 2));
	loaded->rows[loaded->row_count++] = *row;
}

static bool has_key(const struct queue_load *load, uint64_t key)
{
	size_t low = 0, high = load->key_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (load->keys[middle] == key)
			return true;
		if (load->keys[middle] < key)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* Gathers the rows of up to limit messages. */
static enum err gather(struct queue_reader *reader, struct queue_load *load)
{
	sqlite3_stmt *s = queue_reader_use(reader, load->keys != NULL ? READ_PLACE_ROWS
						   : load->key != 0   ? READ_KEY_ROWS
								      : READ_DUE);
	enum err err;

	load->loaded = mem_array(load->limit, sizeof(*load->loaded));
	load->next_due = QUEUE_NEVER;
	sqlite3_bind_int64(s, 1, load->destination);
	if (load->keys == NULL)
		sqlite3_bind_int64(s, 2, load->key != 0 ? (int64_t)load->key : load->due);
	while ((err = queue_db_row(s)) == ERR_OK) {
		struct queue_row row = queue_reader_row(s);
		struct queue_loaded *loaded;

		if (load->keys != NULL && !has_key(load, row.key))
			continue;
		loaded = find_loaded(load, row.key);
		if (loaded == NULL && load->count == load->limit) {
			load->next_due = row.due;
			break;
		}
		if (loaded == NULL)
			loaded = &load->loaded[load->count++];
		add_row(loaded, &row,
			load->key != 0 || load->keys != NULL ? QUEUE_RECIPIENTS_MAX
							     : ROWS_PER_MESSAGE);
	}
	sqlite3_reset(s);
	return err == ERR_EOF ? ERR_OK : err;
}

/* The first row that is not due yet. */
static enum err after(struct queue_reader *reader, struct queue_load *load)
{
	sqlite3_stmt *s = queue_reader_use(reader, READ_SCAN);
	enum err err;

	if (load->next_due != QUEUE_NEVER || load->key != 0 || load->keys != NULL)
		return ERR_OK;
	sqlite3_bind_int64(s, 1, load->destination);
	sqlite3_bind_int64(s, 2, load->due);
	sqlite3_bind_int64(s, 3, INT64_MAX);
	sqlite3_bind_int64(s, 4, INT64_MAX);
	sqlite3_bind_int64(s, 5, 1);
	err = queue_db_row(s);
	if (err == ERR_OK && sqlite3_column_int64(s, 0) == load->destination)
		load->next_due = sqlite3_column_int64(s, 1);
	sqlite3_reset(s);
	return err == ERR_EOF ? ERR_OK : err;
}

/* Rows that the envelope does not know: only damage makes them. */
static bool rows_agree(const struct queue_loaded *loaded)
{
	struct queue_envelope envelope;
	struct queue_recipient recipient;
	struct slice rest;

	if (queue_envelope_read(slice_of(loaded->mail->envelope, loaded->mail->envelope_len),
				&envelope) != ERR_OK)
		return false;
	rest = envelope.recipients;
	for (size_t i = 0; i < loaded->row_count; i++) {
		const struct queue_row *row = &loaded->rows[i];
		bool found = false;

		/* Nearly always they are in order: one pass over the envelope. */
		while (!found && queue_envelope_next(&rest, &recipient))
			found = recipient.n == row->n;
		if (!found && !queue_envelope_find(&envelope, row->n, &recipient))
			return false;
		if (recipient.destination != row->destination || row->state > QUEUE_HELD)
			return false;
	}
	return true;
}

static enum err load_all(struct queue_reader *reader, struct queue_load *load)
{
	enum err err = ERR_OK;

	if (load->destination == 0) {
		sqlite3_stmt *s = queue_reader_use(reader, READ_NAME);

		queue_db_bind_slice(s, 1, load->name, true);
		err = queue_db_row(s);
		if (err == ERR_OK)
			load->destination = sqlite3_column_int64(s, 0);
		sqlite3_reset(s);
		if (err != ERR_OK)
			return err == ERR_EOF ? ERR_OK : err; /* no rows */
	}
	if ((err = gather(reader, load)) != ERR_OK || (err = after(reader, load)) != ERR_OK)
		return err;
	for (size_t i = 0; i < load->count; i++) {
		struct queue_loaded *loaded = &load->loaded[i];

		err = load_mail(reader, loaded->rows[0].key, load->bodies, loaded);
		/* A row without its message: the tables do not fit together. */
		if (err != ERR_OK)
			return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
		if (loaded->mail != NULL && !rows_agree(loaded))
			return ERR_CORRUPT;
	}
	return ERR_OK;
}

enum err queue_reader_load(struct queue_reader *reader, struct queue_load *load)
{
	enum err err = queue_reader_begin(reader);

	load->loaded = NULL;
	load->count = 0;
	load->next_due = QUEUE_NEVER;
	if (err != ERR_OK)
		return err;
	err = load_all(reader, load);
	queue_reader_end(reader);
	return err;
}

void queue_load_release(struct queue_load *load)
{
	for (size_t i = 0; i < load->count; i++) {
		queue_mail_unref(&load->loaded[i].mail);
		MEM_FREE(load->loaded[i].rows);
	}
	MEM_FREE(load->loaded);
	load->count = 0;
}
