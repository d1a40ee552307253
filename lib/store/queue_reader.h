/* SPDX-License-Identifier: Apache-2.0 */
/* The reader's state, which queue_read.c and queue_scan.c share. */
#ifndef POSTERN_STORE_QUEUE_READER_H
#define POSTERN_STORE_QUEUE_READER_H

#include "store/queue_internal.h"

enum queue_reader_statement {
	READ_BEGIN,
	READ_COMMIT,
	READ_NAME,
	READ_DUE,
	READ_KEY_ROWS,
	READ_MAIL,
	READ_IN_DAMAGED,
	READ_KNOWN,
	READ_DESTINATIONS,
	READ_DESTINATION_NAME,
	READ_SCAN,
	READ_MAIL_SEEN,
	READ_ARRIVED,
	READ_PLACE_ROWS,
	READ_DEADLINES,
	READ_PLACE_COUNT,
	READ_PLACE_LATER,
	READ_ROW,
	READ_STATEMENT_END
};

struct queue_reader {
	struct queue_db db;
};

sqlite3_stmt *queue_reader_use(struct queue_reader *reader, enum queue_reader_statement which);
enum err queue_reader_begin(struct queue_reader *reader);
void queue_reader_end(struct queue_reader *reader);
/* The row of recipient that a statement stands on. */
struct queue_row queue_reader_row(sqlite3_stmt *s);

#endif
