/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator and the start look at: destinations, rows in their order, counts. */
#include "store/queue_reader.h"

#include <string.h>

#include "base/mem.h"

enum err queue_reader_destinations(struct queue_reader *reader, int64_t *cursor, size_t max,
				   void (*fn)(void *arg,
					      const struct queue_destination *destination),
				   void *arg)
{
	sqlite3_stmt *s = queue_reader_use(reader, READ_DESTINATIONS);
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
	sqlite3_stmt *s = queue_reader_use(reader, READ_MAIL_SEEN);
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
	sqlite3_stmt *s = queue_reader_use(reader, READ_DESTINATION_NAME);
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
	sqlite3_stmt *s = queue_reader_use(reader, READ_SCAN);
	struct queue_view view = {.row = queue_reader_row(s), .last = queue_db_slice(s, 7)};
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
	sqlite3_stmt *s = queue_reader_use(reader, READ_SCAN);
	struct scan_state state = {.destination = -1};
	size_t count = 0;
	bool more = true;
	enum err err;

	if ((err = queue_reader_begin(reader)) != ERR_OK)
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
	queue_reader_end(reader);
	queue_mail_unref(&state.mail);
	buf_release(&state.name);
	if (err == ERR_EOF)
		return count < max ? ERR_EOF : ERR_OK;
	return err;
}

/* ---- what has a time of its own ---------------------------------------------------------- */
enum err queue_reader_deadlines(struct queue_reader *reader, struct queue_deadline after,
				int64_t now, size_t max, struct queue_deadline *deadlines_out,
				size_t *count_out, int64_t *next_out)
{
	sqlite3_stmt *s = queue_reader_use(reader, READ_DEADLINES);
	int64_t next = QUEUE_NEVER;
	size_t count = 0;
	enum err err;

	sqlite3_bind_int64(s, 1, after.at);
	sqlite3_bind_int64(s, 2, (int64_t)after.key);
	sqlite3_bind_int64(s, 3, (int64_t)max + 1);
	while ((err = queue_db_row(s)) == ERR_OK) {
		struct queue_deadline deadline = {.at = sqlite3_column_int64(s, 0),
						  .key = (uint64_t)sqlite3_column_int64(s, 1)};

		if (deadline.at > now || count == max) {
			next = deadline.at;
			break;
		}
		deadlines_out[count++] = deadline;
	}
	sqlite3_reset(s);
	if (err != ERR_OK && err != ERR_EOF)
		return err;
	*count_out = count;
	*next_out = next;
	return ERR_OK;
}

static enum err place_rows(struct queue_reader *reader, int64_t destination, int64_t now,
			   size_t max, uint64_t *waiting_out, struct queue_row *rows_out,
			   size_t *count_out)
{
	sqlite3_stmt *s = queue_reader_use(reader, READ_PLACE_COUNT);
	enum err err;

	sqlite3_bind_int64(s, 1, destination);
	sqlite3_bind_int64(s, 2, now);
	if ((err = queue_db_row(s)) == ERR_OK)
		*waiting_out = (uint64_t)sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	if (err != ERR_OK)
		return err;
	s = queue_reader_use(reader, READ_PLACE_LATER);
	sqlite3_bind_int64(s, 1, destination);
	sqlite3_bind_int64(s, 2, now);
	sqlite3_bind_int64(s, 3, (int64_t)max);
	while ((err = queue_db_row(s)) == ERR_OK)
		rows_out[(*count_out)++] = queue_reader_row(s);
	sqlite3_reset(s);
	return err == ERR_EOF ? ERR_OK : err;
}

enum err queue_reader_place(struct queue_reader *reader, struct slice name, int64_t now, size_t max,
			    int64_t *destination_out, uint64_t *waiting_out,
			    struct queue_row *rows_out, size_t *count_out)
{
	sqlite3_stmt *s = queue_reader_use(reader, READ_NAME);
	enum err err;

	*destination_out = 0;
	*waiting_out = 0;
	*count_out = 0;
	if ((err = queue_reader_begin(reader)) != ERR_OK)
		return err;
	queue_db_bind_slice(s, 1, name, true);
	if ((err = queue_db_row(s)) == ERR_OK)
		*destination_out = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	if (err == ERR_OK)
		err = place_rows(reader, *destination_out, now, max, waiting_out, rows_out,
				 count_out);
	queue_reader_end(reader);
	return err == ERR_EOF ? ERR_OK : err;
}

enum err queue_reader_has(struct queue_reader *reader, const struct queue_row *row, bool *has_out)
{
	sqlite3_stmt *s = queue_reader_use(reader, READ_ROW);
	enum err err;

	sqlite3_bind_int64(s, 1, row->destination);
	sqlite3_bind_int64(s, 2, row->due);
	sqlite3_bind_int64(s, 3, (int64_t)row->key);
	sqlite3_bind_int64(s, 4, row->n);
	err = queue_db_row(s);
	sqlite3_reset(s);
	if (err != ERR_OK && err != ERR_EOF)
		return err;
	*has_out = err == ERR_OK;
	return ERR_OK;
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
