/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the queue's store share. Nobody else includes it. */
#ifndef POSTERN_STORE_QUEUE_INTERNAL_H
#define POSTERN_STORE_QUEUE_INTERNAL_H

#include <sqlite3.h>

#include "store/queue.h"

enum {
	QUEUE_PATH_MAX = 4096,
	QUEUE_PAGE_SIZE = 8192, /* measured: doc/decisions/queue-store.md */
	QUEUE_BUSY_MS = 5000,   /* an administrator with sqlite3 may hold the lock this long */
};

/* A connection and its prepared statements. */
struct queue_db {
	sqlite3 *db;
	sqlite3_stmt **statements;
	size_t count;
};

enum err queue_db_error(int rc); /* of SQLite, in ours */
/* create: the writer's connection, which makes the database if need be. */
enum err queue_db_open(struct queue_db *db, const char *path, bool create);
/* Read-only and without any trust in what is there: for salvage. */
enum err queue_db_open_damaged(struct queue_db *db, const char *path);
enum err queue_db_prepare(struct queue_db *db, const char *const *sql, size_t count);
void queue_db_close(struct queue_db *db);
enum err queue_db_run(struct queue_db *db, const char *sql); /* constant SQL without results */
enum err queue_db_pragma(struct queue_db *db, const char *sql, int64_t *value_out);
/* Makes the tables of this version. */
enum err queue_db_create_schema(struct queue_db *db);
/* ERR_OK, ERR_NOT_FOUND: an empty database; ERR_RANGE: another version; ERR_CORRUPT. */
enum err queue_db_check_schema(struct queue_db *db, int64_t *version_out);
/* Brings the tables of an older version (at least QUEUE_SCHEMA_MIN) to this one; all or nothing. */
enum err queue_db_upgrade(struct queue_db *db);

/* Steps a statement that gives no rows and resets it. */
enum err queue_db_step(sqlite3_stmt *statement);
/* ERR_OK: a row is there; ERR_EOF: none. The caller resets. */
enum err queue_db_row(sqlite3_stmt *statement);
void queue_db_bind_slice(sqlite3_stmt *statement, int index, struct slice s, bool text);
struct slice queue_db_slice(sqlite3_stmt *statement, int column);

/* Over everything that a message row holds. */
uint64_t queue_mail_checksum(const struct queue_mail *mail);
uint64_t queue_chunk_checksum(struct slice chunk);
/* Writes the destination into the recipient at this position of an encoded envelope. */
void queue_envelope_set_destination(char *recipient, int64_t destination);

/*
 * Makes a mail of the columns random, arrived, expires, size, flags, recipients, in_file,
 * envelope, checksum, body, which start at column first. ERR_CORRUPT with the reason (constant) in
 * *damage_out if it does not match its checksum.
 */
enum err queue_mail_from_row(sqlite3_stmt *statement, int first, uint64_t key, bool body,
			     struct queue_mail **mail_out, const char **damage_out);
#define QUEUE_MAIL_COLUMNS                                                                         \
	"random, arrived, expires, size, flags, recipients, in_file, envelope, checksum, body"

void queue_path(const char *folder, const char *name, char path_out[QUEUE_PATH_MAX]);
void queue_body_path(const char *folder, uint64_t key, const char *suffix,
		     char path_out[QUEUE_PATH_MAX]);
/* Reads the key off the name of a body file; false if it is none. */
bool queue_body_name(const char *name, uint64_t *key_out);

/* Sets folder/queue.db aside and makes a new one of what can be read from it. */
enum err queue_salvage(const char *folder, int64_t now, struct queue_report *report);
/* Finishes or forgets what an interrupted salvage left. *needed_out: the mark is there. */
enum err queue_salvage_resume(const char *folder, int64_t now, bool *needed_out);

#endif
