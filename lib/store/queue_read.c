/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers: each has a connection of its own and reads in short transactions, so that the log can
 * be checkpointed. What a row says is believed only if the message's envelope, which is
 * checksummed, agrees: the recipient exists and goes to that destination.
 */
#include "store/queue_internal.h"

#include <string.h>

#include "base/mem.h"

enum { ROWS_PER_MESSAGE = 1000 };

enum statement {
	BEGIN,
	COMMIT,
	NAME,
	DUE,
	KEY_ROWS,
	MAIL,
	IN_DAMAGED,
	KNOWN,
	DESTINATIONS,
	DESTINATION_NAME,
	SCAN,
	MAIL_SEEN,
	ARRIVED,
	STATEMENT_END
};

#define ROW_COLUMNS "destination, due, key, n, attempts, state"

static const char *const sql[STATEMENT_END] = {
	[BEGIN] = "BEGIN",
	[COMMIT] = "COMMIT",
	[NAME] = "SELECT id FROM destination WHERE name=?1",
	[DUE] = "SELECT " ROW_COLUMNS " FROM recipient WHERE destination=?1 AND due<=?2"
		" ORDER BY due, key, n",
	[KEY_ROWS] = "SELECT " ROW_COLUMNS " FROM recipient WHERE destination=?1 AND key=?2",
	[MAIL] = "SELECT " QUEUE_MAIL_COLUMNS " FROM message WHERE key=?1",
	[IN_DAMAGED] = "SELECT 1 FROM damaged WHERE key=?1",
	[KNOWN] = "SELECT 1 FROM message WHERE key=?1 AND random=?2",
	[DESTINATIONS] = "SELECT id, name, due, failures, last, (SELECT min(due) FROM recipient"
			 " WHERE destination=id) FROM destination WHERE id>?1 ORDER BY id LIMIT ?2",
	[DESTINATION_NAME] = "SELECT name FROM destination WHERE id=?1",
	[SCAN] = "SELECT " ROW_COLUMNS ", last FROM recipient WHERE"
		 " (destination, due, key, n) > (?1, ?2, ?3, ?4)"
		 " ORDER BY destination, due, key, n LIMIT ?5",
	[MAIL_SEEN] = "SELECT random, arrived, expires, size, flags, recipients, in_file, envelope"
		      " FROM message WHERE key=?1",
	[ARRIVED] = "SELECT arrived FROM message WHERE key=?1",
};

struct queue_reader {
	struct queue_db db;
};

static sqlite3_stmt *use(struct queue_reader *reader, enum statement which)
{
	return reader->db.statements[which];
}

enum err queue_reader_open(const char *folder, struct queue_reader **reader_out)
{
	struct queue_reader *reader = mem_alloc(sizeof(*reader));
	char path[QUEUE_PATH_MAX];
	enum err err;

	queue_path(folder, "queue.db", path);
	if ((err = queue_db_open(&reader->db, path, false)) == ERR_OK &&
	    (err = queue_db_prepare(&reader->db, sql, STATEMENT_END)) != ERR_OK)
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

static enum err begin(struct queue_reader *reader)
{
	return queue_db_step(use(reader, BEGIN));
}

static void end(struct queue_reader *reader)
{
	/* Of a transaction that only read: nothing is lost if it fails. */
	(void)queue_db_step(use(reader, COMMIT));
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
	sqlite3_stmt *s = use(reader, MAIL);
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
	s = use(reader, IN_DAMAGED);
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
	sqlite3_stmt *s = use(reader, ARRIVED);
	enum err err;

	sqlite3_bind_int64(s, 1, (int64_t)key);
	if ((err = queue_db_row(s)) == ERR_OK)
		*arrived_out = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return err == ERR_EOF ? ERR_NOT_FOUND : err;
}

enum err queue_reader_known(struct queue_reader *reader, const struct msgid *id, bool *known_out)
{
	sqlite3_stmt *s = use(reader, KNOWN);
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
static struct queue_row row_at(sqlite3_stmt *s)
{
	return (struct queue_row){
		.destination = sqlite3_column_int64(s, 0),
		.due = sqlite3_column_int64(s, 1),
		.key = (uint64_t)sqlite3_column_int64(s, 2),
		.n = (uint32_t)sqlite3_column_int64(s, 3),
		.attempts = (uint32_t)sqlite3_column_int64(s, 4),
		.state = (enum queue_state)sqlite3_column_int64(s, 5),
	};
}

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

/* Gathers the rows of up to limit messages. */
static enum err gather(struct queue_reader *reader, struct queue_load *load)
{
	sqlite3_stmt *s = use(reader, load->key != 0 ? KEY_ROWS : DUE);
	enum err err;

	load->loaded = mem_array(load->limit, sizeof(*load->loaded));
	load->next_due = QUEUE_NEVER;
	sqlite3_bind_int64(s, 1, load->destination);
	sqlite3_bind_int64(s, 2, load->key != 0 ? (int64_t)load->key : load->due);
	while ((err = queue_db_row(s)) == ERR_OK) {
		struct queue_row row = row_at(s);
		struct queue_loaded *loaded = find_loaded(load, row.key);

		if (loaded == NULL && load->count == load->limit) {
			load->next_due = row.due;
			break;
		}
		if (loaded == NULL)
			loaded = &load->loaded[load->count++];
		add_row(loaded, &row, load->key != 0 ? QUEUE_RECIPIENTS_MAX : ROWS_PER_MESSAGE);
	}
	sqlite3_reset(s);
	return err == ERR_EOF ? ERR_OK : err;
}

/* The first row that is not due yet. */
static enum err after(struct queue_reader *reader, struct queue_load *load)
{
	sqlite3_stmt *s = use(reader, SCAN);
	enum err err;

	if (load->next_due != QUEUE_NEVER || load->key != 0)
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
		sqlite3_stmt *s = use(reader, NAME);

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
	enum err err = begin(reader);

	load->loaded = NULL;
	load->count = 0;
	load->next_due = QUEUE_NEVER;
	if (err != ERR_OK)
		return err;
	err = load_all(reader, load);
	end(reader);
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

/* ---- what the operator and the start look at ---------------------------------------------- */
enum err queue_reader_destinations(struct queue_reader *reader, int64_t *cursor, size_t max,
				   void (*fn)(void *arg,
					      const struct queue_destination *destination),
				   void *arg)
{
	sqlite3_stmt *s = use(reader, DESTINATIONS);
	enum err err;
	size_t count = 0;

	sqlite3_bind_int64(s, 1, *cursor);
	sqlite3_bind_int64(s, 2, (int64_t)max);
	while ((err = queue_db_row(s)) == ERR_OK) {
		struct queue_destination destination = {
			.id = sqlite3_column_int64(s, 0),
			.name = queue_db_slice(s, 1),
			.due = sqlite3_column_int64(s, 2),
			.failures = (uint32_t)sqlite3_column_int64(s, 3),
			.last = queue_db_slice(s, 4),
			.first_due = sqlite3_column_type(s, 5) == SQLITE_NULL
					     ? QUEUE_NEVER
					     : sqlite3_column_int64(s, 5),
		};

		*cursor = destination.id;
		count++;
		fn(arg, &destination);
	}
	sqlite3_reset(s);
	if (err != ERR_EOF)
		return err;
	return count < max ? ERR_EOF : ERR_OK;
}

/* What a scan keeps from row to row: many rows of one message or destination follow each other. */
struct scan_state {
	struct queue_mail *mail;
	struct queue_envelope envelope;
	int64_t destination;
	struct buf name;
};

static enum err scan_mail(struct queue_reader *reader, struct scan_state *state, uint64_t key)
{
	sqlite3_stmt *s = use(reader, MAIL_SEEN);
	struct slice random;
	enum err err;

	if (state->mail != NULL && state->mail->id.key == key)
		return ERR_OK;
	queue_mail_unref(&state->mail);
	sqlite3_bind_int64(s, 1, (int64_t)key);
	if ((err = queue_db_row(s)) == ERR_OK) {
		random = queue_db_slice(s, 0);
		state->mail = queue_mail_new(queue_db_slice(s, 7), (struct slice){0});
		state->mail->id.key = key;
		if (random.len == MSGID_RANDOM)
			memcpy(state->mail->id.random, random.ptr, MSGID_RANDOM);
		state->mail->arrived = sqlite3_column_int64(s, 1);
		state->mail->expires = sqlite3_column_int64(s, 2);
		state->mail->size = (uint64_t)sqlite3_column_int64(s, 3);
		state->mail->flags = (uint32_t)sqlite3_column_int64(s, 4);
		state->mail->recipients = (uint32_t)sqlite3_column_int64(s, 5);
		state->mail->in_file = sqlite3_column_int64(s, 6) != 0;
		if (queue_envelope_read(slice_of(state->mail->envelope, state->mail->envelope_len),
					&state->envelope) != ERR_OK)
			queue_mail_unref(&state->mail);
	}
	sqlite3_reset(s);
	return err == ERR_EOF ? ERR_OK : err;
}

static enum err scan_name(struct queue_reader *reader, struct scan_state *state, int64_t id)
{
	sqlite3_stmt *s = use(reader, DESTINATION_NAME);
	enum err err;

	if (state->destination == id)
		return ERR_OK;
	state->destination = id;
	buf_clear(&state->name);
	sqlite3_bind_int64(s, 1, id);
	if ((err = queue_db_row(s)) == ERR_OK)
		(void)buf_append_slice(&state->name,
				       slice_head(queue_db_slice(s, 0), QUEUE_NAME_MAX));
	sqlite3_reset(s);
	return err == ERR_EOF ? ERR_OK : err;
}

/* One row of the scan; *more_out: whether the visitor wants another. */
static enum err scan_row(struct queue_reader *reader, struct queue_scan *scan,
			 struct scan_state *state, bool (*fn)(void *, const struct queue_view *),
			 void *arg, bool *more_out)
{
	sqlite3_stmt *s = use(reader, SCAN);
	struct queue_view view = {.row = row_at(s), .last = queue_db_slice(s, 6)};
	enum err err;

	*more_out = true;
	if ((err = scan_name(reader, state, view.row.destination)) != ERR_OK)
		return err;
	view.destination = buf_data(&state->name);
	if (scan->with_mail) {
		if ((err = scan_mail(reader, state, view.row.key)) != ERR_OK)
			return err;
		if (state->mail == NULL ||
		    !queue_envelope_find(&state->envelope, view.row.n, &view.recipient)) {
			scan->after = view.row;
			return ERR_OK; /* damaged: it shows when it is claimed */
		}
		view.mail = state->mail;
		view.envelope = &state->envelope;
	}
	*more_out = fn(arg, &view);
	scan->after = view.row;
	return ERR_OK;
}

enum err queue_reader_scan(struct queue_reader *reader, struct queue_scan *scan, size_t max,
			   bool (*fn)(void *arg, const struct queue_view *view), void *arg)
{
	sqlite3_stmt *s = use(reader, SCAN);
	struct scan_state state = {.destination = -1};
	size_t count = 0;
	bool more = true;
	enum err err;

	if ((err = begin(reader)) != ERR_OK)
		return err;
	buf_init(&state.name, QUEUE_NAME_MAX);
	sqlite3_bind_int64(s, 1, scan->after.destination);
	sqlite3_bind_int64(s, 2, scan->after.due);
	sqlite3_bind_int64(s, 3, (int64_t)scan->after.key);
	sqlite3_bind_int64(s, 4, scan->after.n);
	sqlite3_bind_int64(s, 5, (int64_t)max);
	while (more && (err = queue_db_row(s)) == ERR_OK) {
		count++;
		if ((err = scan_row(reader, scan, &state, fn, arg, &more)) != ERR_OK)
			break;
	}
	sqlite3_reset(s);
	end(reader);
	queue_mail_unref(&state.mail);
	buf_release(&state.name);
	if (err == ERR_EOF)
		return count < max ? ERR_EOF : ERR_OK;
	return err;
}

enum err queue_reader_count(struct queue_reader *reader, uint64_t *rows_out)
{
	int64_t rows;
	enum err err = queue_db_pragma(&reader->db, "SELECT count(*) FROM recipient", &rows);

	if (err == ERR_OK)
		*rows_out = (uint64_t)rows;
	return err;
}

enum err queue_reader_damaged(struct queue_reader *reader, uint64_t *count_out)
{
	int64_t count;
	enum err err = queue_db_pragma(&reader->db, "SELECT count(*) FROM damaged", &count);

	if (err == ERR_OK)
		*count_out = (uint64_t)count;
	return err;
}
