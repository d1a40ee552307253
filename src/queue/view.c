/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "queue.h"

static const char *const states[] = {[QUEUE_WAITING] = "waiting",
				     [QUEUE_DEFERRED] = "deferred",
				     [QUEUE_UNCERTAIN] = "uncertain",
				     [QUEUE_HELD] = "held"};

/* It has not been tried, and will not be before the time that its sender set (RFC 4865). */
static bool is_scheduled(const struct view *view, const struct queue_view *at)
{
	return at->row.state == QUEUE_WAITING && at->envelope != NULL &&
	       at->envelope->release_at > view->now && at->row.due >= at->envelope->release_at;
}

static const char *state_name(const struct view *view, const struct queue_view *at)
{
	if (is_scheduled(view, at))
		return "scheduled";
	return at->row.state <= QUEUE_HELD ? states[at->row.state] : "?";
}

void view_init(struct view *view, enum ipc_op op, const struct selector *selector, int64_t now)
{
	view->op = op;
	view->selector = *selector;
	view->now = now;
	view->scan.with_mail = op != IPC_OP_QUEUE_SUMMARY && !selector->by_id;
}

void view_release(struct view *view)
{
	rows_clear(&view->answer);
	queue_mail_unref(&view->mail);
	MEM_FREE(view->places);
}

/* What its sender asked for. */
static void add_terms(struct rows_row *row, const struct queue_view *at)
{
	static const char *const notify[] = {"never", "success", "failure", "delay"};
	const struct queue_envelope *envelope = at->envelope;
	char list[64] = "";

	for (size_t i = 0; i < 4; i++) {
		size_t used = slice_str(list).len;

		if ((at->recipient.notify & 1u << i) != 0)
			(void)snprintf(list + used, sizeof(list) - used, "%s%s",
				       used != 0 ? "," : "", notify[i]);
	}
	if (list[0] != '\0')
		rows_text(row, "notify", slice_str(list));
	if (at->recipient.orcpt.len != 0)
		rows_text(row, "orcpt", at->recipient.orcpt);
	if (envelope->ret != 0)
		rows_text(row, "ret", envelope->ret == 1 ? SLICE_LIT("full") : SLICE_LIT("hdrs"));
	if (envelope->priority != 0)
		rows_number(row, "priority", queue_envelope_priority(envelope));
	if (envelope->release_at != 0)
		rows_time(row, "release", envelope->release_at);
	if (envelope->deliver_by != 0) {
		rows_time(row, "deliver_by", envelope->deliver_by);
		rows_text(row, "late",
			  envelope->by_mode == QUEUE_BY_RETURN ? SLICE_LIT("goes back")
							       : SLICE_LIT("sender is told"));
	}
}

/* ---- rows of the answer ------------------------------------------------------------------ */
static void add_row(struct view *view, const struct queue_view *at)
{
	struct rows_row *row = rows_add(&view->answer);
	char id[MSGID_TEXT_MAX + 1];

	msgid_print(&at->mail->id, id);
	rows_text(row, "id", slice_str(id));
	rows_text(row, "from", at->envelope->sender);
	rows_text(row, "to", at->recipient.address);
	rows_text(row, "state", slice_str(state_name(view, at)));
	rows_text(row, "account", at->envelope->account);
	rows_number(row, "size", (int64_t)at->mail->size);
	rows_time(row, "arrived", at->mail->arrived);
	if (at->row.due < QUEUE_FROZEN_DUE)
		rows_time(row, "next", at->row.due);
	else
		rows_text(row, "next", SLICE_LIT(""));
	rows_number(row, "attempts", at->row.attempts);
	rows_text(row, "reason",
		  is_scheduled(view, at) ? SLICE_LIT("not before the time that its sender set")
		  : at->row.due == QUEUE_FROZEN_DUE
			  ? SLICE_LIT("its account is frozen (postern user thaw)")
			  : at->last);
	if (view->op != IPC_OP_QUEUE_SHOW)
		return;
	rows_time(row, "expires", at->mail->expires);
	rows_text(row, "session", at->envelope->log_id);
	rows_text(row, "bounce", at->envelope->bounce);
	rows_text(row, "envid", at->envelope->envid);
	rows_number(row, "recipients", at->mail->recipients);
	rows_bool(row, "body_in_file", at->mail->in_file);
	add_terms(row, at);
}

/* One that was chosen; false: no room for more in this step, or the limit is reached. */
static bool choose(struct view *view, const struct queue_view *at)
{
	view->seen++;
	if (view->op == IPC_OP_QUEUE_LIST || view->op == IPC_OP_QUEUE_SHOW) {
		add_row(view, at);
		if (view->selector.limit != 0 && view->seen >= view->selector.limit)
			view->limited = true;
		return !view->limited && view->answer.count < VIEW_ROWS;
	}
	struct view_row *row = &view->rows[view->row_count++];
	char lower[QUEUE_NAME_MAX];

	*row = (struct view_row){
		.row = at->row, .in_file = at->mail->in_file, .scheduled = is_scheduled(view, at)};
	if (at->envelope->release_at > view->now)
		row->release_at = at->envelope->release_at;
	msgid_print(&at->mail->id, row->id);
	(void)snprintf(row->to, sizeof(row->to), "%.*s",
		       SLICE_ARG(slice_head(at->recipient.address, VIEW_ADDRESS_MAX - 1)));
	(void)slice_copy(queue_domain(at->recipient.address, lower), row->domain,
			 sizeof(row->domain));
	if (view->selector.limit != 0 && view->seen >= view->selector.limit)
		view->limited = true;
	return !view->limited && view->row_count < VIEW_ROWS;
}

static bool visit(void *arg, const struct queue_view *at)
{
	struct view *view = arg;

	return !selector_fits(&view->selector, at) || choose(view, at);
}

/* ---- by ID ------------------------------------------------------------------------------- */
static int compare(const void *a, const void *b)
{
	int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;

	return first < second ? -1 : first > second;
}

/* The message, and where its recipients are. */
static enum err find_mail(struct view *view, struct queue_reader *reader)
{
	struct queue_envelope envelope;
	struct queue_recipient recipient;
	size_t count = 0;
	enum err err;

	if ((err = queue_reader_mail(reader, view->selector.id.key, &view->mail)) != ERR_OK)
		return err;
	if (!msgid_equal(&view->mail->id, &view->selector.id) ||
	    queue_envelope_read(slice_of(view->mail->envelope, view->mail->envelope_len),
				&envelope) != ERR_OK)
		return ERR_NOT_FOUND;
	view->places = mem_array(envelope.count, sizeof(*view->places));
	while (queue_envelope_next(&envelope.recipients, &recipient))
		view->places[count++] = recipient.destination;
	qsort(view->places, count, sizeof(*view->places), compare);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || view->places[i] != view->places[i - 1])
			view->places[view->place_count++] = view->places[i];
	}
	view->scan.after = (struct queue_row){.destination = view->places[0], .due = INT64_MIN};
	return ERR_OK;
}

struct place_visit {
	struct view *view;
	struct queue_envelope envelope;
	bool left; /* its rows are through */
};

static bool visit_place(void *arg, const struct queue_view *at)
{
	struct place_visit *place = arg;
	struct view *view = place->view;
	struct queue_view whole = *at;

	if (at->row.destination != view->places[view->place]) {
		place->left = true;
		return false;
	}
	if (at->row.key != view->mail->id.key ||
	    !queue_envelope_find(&place->envelope, at->row.n, &whole.recipient))
		return true;
	whole.mail = view->mail;
	whole.envelope = &place->envelope;
	return !selector_fits(&view->selector, &whole) || choose(view, &whole);
}

static enum err step_by_id(struct view *view, struct queue_reader *reader)
{
	struct place_visit place = {.view = view};
	enum err err = view->mail == NULL ? find_mail(view, reader) : ERR_OK;

	if (err != ERR_OK)
		return err == ERR_NOT_FOUND ? ERR_EOF : err;
	(void)queue_envelope_read(slice_of(view->mail->envelope, view->mail->envelope_len),
				  &place.envelope);
	err = queue_reader_scan(reader, &view->scan, VIEW_FAST_VISITS, visit_place, &place);
	if ((err == ERR_OK && place.left) || err == ERR_EOF) {
		if (++view->place == view->place_count)
			return ERR_EOF;
		view->scan.after = (struct queue_row){.destination = view->places[view->place],
						      .due = INT64_MIN};
		return ERR_OK;
	}
	return err;
}

/* ---- summary ----------------------------------------------------------------------------- */
struct place_state {
	struct queue_destination destination;
	char name[QUEUE_NAME_MAX + 1];
	char last[QUEUE_LAST_MAX + 1];
};

static void take_state(void *arg, const struct queue_destination *destination)
{
	struct place_state *state = arg;

	state->destination = *destination;
	(void)snprintf(state->name, sizeof(state->name), "%.*s",
		       SLICE_ARG(slice_head(destination->name, QUEUE_NAME_MAX)));
	(void)snprintf(state->last, sizeof(state->last), "%.*s",
		       SLICE_ARG(slice_head(destination->last, QUEUE_LAST_MAX)));
}

/* A destination's rows are through: its row of the answer. */
static enum err sum_up(struct view *view, struct queue_reader *reader)
{
	struct view_sum *sum = &view->sum;
	struct place_state state = {0};
	int64_t cursor = sum->destination - 1, arrived = 0, next = sum->next;
	struct rows_row *row;
	enum err err;

	if (sum->recipients == 0)
		return ERR_OK;
	err = queue_reader_destinations(reader, &cursor, 1, take_state, &state);
	if (err != ERR_OK && err != ERR_EOF)
		return err;
	if ((err = queue_reader_arrived(reader, sum->first_key, &arrived)) != ERR_OK &&
	    err != ERR_NOT_FOUND)
		return err;
	if (state.destination.failures != 0 && state.destination.due > next)
		next = state.destination.due;
	row = rows_add(&view->answer);
	rows_text(row, "destination", slice_str(state.name));
	rows_number(row, "recipients", (int64_t)sum->recipients);
	rows_number(row, "held", (int64_t)sum->held);
	rows_time(row, "oldest", arrived);
	if (next < QUEUE_FROZEN_DUE)
		rows_time(row, "next", next);
	else
		rows_text(row, "next", SLICE_LIT(""));
	rows_number(row, "failures", state.destination.failures);
	rows_text(row, "reason", slice_str(sum->last[0] != '\0' ? sum->last : state.last));
	view->destinations++;
	*sum = (struct view_sum){0};
	return ERR_OK;
}

static bool count(void *arg, const struct queue_view *at)
{
	struct view *view = arg;
	struct view_sum *sum = &view->sum;

	if (sum->recipients != 0 && sum->destination != at->row.destination)
		return false; /* summed up first; this row is visited again */
	if (sum->recipients++ == 0) {
		sum->destination = at->row.destination;
		sum->next = at->row.due;
		sum->first_key = at->row.key;
	}
	if (at->row.key < sum->first_key)
		sum->first_key = at->row.key;
	sum->held += at->row.state == QUEUE_HELD;
	if (at->last.len != 0)
		(void)snprintf(sum->last, sizeof(sum->last), "%.*s",
			       SLICE_ARG(slice_head(at->last, QUEUE_LAST_MAX)));
	view->seen++;
	return true;
}

static enum err step_summary(struct view *view, struct queue_reader *reader)
{
	size_t left = VIEW_FAST_VISITS;
	enum err err = ERR_OK;

	/* Many destinations with little each: several in one step. */
	while (err == ERR_OK && left != 0 && view->answer.count < VIEW_ROWS) {
		uint64_t before = view->seen;
		enum err sum = ERR_OK;

		struct queue_row after = view->scan.after;

		err = queue_reader_scan(reader, &view->scan, left, count, view);
		left -= view->seen - before < left ? view->seen - before : left;
		if (err == ERR_OK && left == 0)
			break; /* in the middle of one */
		/* The row that belongs to the next destination was not counted: back before it. */
		if (err == ERR_OK)
			view->scan.after = view->seen == before
						   ? after
						   : (struct queue_row){view->sum.destination,
									INT64_MAX,
									INT64_MAX,
									UINT32_MAX,
									0,
									0};
		sum = sum_up(view, reader);
		err = sum != ERR_OK ? sum : err;
	}
	return err;
}

/* ---- a step ------------------------------------------------------------------------------ */
void view_step(struct view *view, struct queue_reader *reader)
{
	view->row_count = 0;
	if (view->op == IPC_OP_QUEUE_SUMMARY)
		view->err = step_summary(view, reader);
	else if (view->selector.by_id)
		view->err = step_by_id(view, reader);
	else
		view->err = queue_reader_scan(reader, &view->scan, VIEW_VISITS, visit, view);
	if (view->err == ERR_OK && view->limited)
		view->err = ERR_EOF;
}
