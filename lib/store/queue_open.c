/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing the queue: what an interrupted salvage left, what a damaged database needs,
 * bodies that nobody names, and the keys of this life.
 */
#include "store/queue_writer.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "os/disk.h"
#include "os/os.h"

struct orphans {
	struct queue_writer *writer;
	sqlite3_stmt *find;
	uint64_t removed;
	enum err err;
};

static void orphan_check(void *arg, const char *name)
{
	struct orphans *orphans = arg;
	char path[QUEUE_PATH_MAX];
	uint64_t key;
	enum err err;

	if (orphans->err != ERR_OK || !queue_body_name(name, &key))
		return;
	sqlite3_bind_int64(orphans->find, 1, (int64_t)key);
	err = queue_db_row(orphans->find);
	sqlite3_reset(orphans->find);
	if (err == ERR_EOF) {
		queue_body_path(orphans->writer->folder, key, "", path);
		if (file_remove(path) == ERR_OK)
			orphans->removed++;
	} else if (err != ERR_OK) {
		orphans->err = err;
	}
}

static enum err remove_orphans(struct queue_writer *writer, struct queue_report *report)
{
	struct orphans orphans = {.writer = writer};
	char path[QUEUE_PATH_MAX];
	enum err err;

	err = queue_db_error(
		sqlite3_prepare_v2(writer->db.db,
				   "SELECT 1 FROM message WHERE key=?1 AND in_file UNION ALL"
				   " SELECT 1 FROM damaged WHERE key=?1",
				   -1, &orphans.find, NULL));
	if (err != ERR_OK)
		return err;
	queue_path(writer->folder, "bodies", path);
	err = file_each(path, orphan_check, &orphans);
	sqlite3_finalize(orphans.find);
	report->orphans = orphans.removed;
	return err != ERR_OK ? err : orphans.err;
}

static enum err meta_get(struct queue_writer *writer, const char *name, int64_t *value_out)
{
	sqlite3_stmt *statement;
	enum err err = queue_db_error(sqlite3_prepare_v2(
		writer->db.db, "SELECT value FROM meta WHERE name=?1", -1, &statement, NULL));

	if (err != ERR_OK)
		return err;
	queue_db_bind_slice(statement, 1, slice_str(name), true);
	if ((err = queue_db_row(statement)) == ERR_OK)
		*value_out = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return err == ERR_EOF ? ERR_CORRUPT : err;
}

/* Keys are never used twice, whatever was lost: above the mark and above all that are there. */
static enum err first_keys(struct queue_writer *writer)
{
	int64_t mark, top = 0;
	enum err err;

	if ((err = meta_get(writer, "next_key", &mark)) != ERR_OK ||
	    (err = meta_get(writer, "overwritten", &writer->overwritten)) != ERR_OK ||
	    (err = queue_db_pragma(&writer->db,
				   "SELECT max(coalesce((SELECT max(key) FROM message),0),"
				   "coalesce((SELECT max(key) FROM damaged),0))",
				   &top)) != ERR_OK)
		return err;
	if (mark < 1 || top < 0 || mark > INT64_MAX / 2 || top > INT64_MAX / 2)
		return ERR_CORRUPT;
	writer->next_key = top >= mark ? top + 1 : mark;
	return ERR_OK;
}

/* What to do about an error that has not been put into words yet. */
static void explain(const struct queue_writer *writer, const char *path, enum err err,
		    struct queue_report *report)
{
	int error = sqlite3_system_errno(writer->db.db);

	if (report->why[0] != '\0' || err == ERR_CORRUPT)
		return;
	if (error != 0)
		os_explain_file(path, error, report->why, sizeof(report->why));
	else
		snprintf(report->why, sizeof(report->why), "%.180s: %s%s", path, err_name(err),
			 err == ERR_NO_SPACE ? "; make room on its disk" : "");
}

static enum err open_database(struct queue_writer *writer, struct queue_report *report)
{
	char path[QUEUE_PATH_MAX];
	int64_t version = 0;
	enum err err;

	queue_path(writer->folder, "queue.db", path);
	if ((err = queue_db_open(&writer->db, path, true)) != ERR_OK)
		goto out;
	err = queue_db_check_schema(&writer->db, &version);
	if (err == ERR_NOT_FOUND) {
		report->created = true;
		err = queue_db_create_schema(&writer->db);
	}
	if (err == ERR_RANGE && version >= QUEUE_SCHEMA_MIN && version < QUEUE_SCHEMA) {
		report->upgraded_from = (int)version;
		err = queue_db_upgrade(&writer->db);
	}
	if (err == ERR_RANGE)
		snprintf(report->why, sizeof(report->why),
			 "queue.db has schema %lld, this postern needs %d: run the postern that "
			 "wrote it, or move the file away to start with an empty queue",
			 (long long)version, QUEUE_SCHEMA);
	if (err != ERR_OK || (err = queue_writer_prepare(writer)) != ERR_OK ||
	    (err = first_keys(writer)) != ERR_OK)
		goto out;
	if ((err = queue_writer_tidy(writer)) != ERR_OK ||
	    (err = remove_orphans(writer, report)) != ERR_OK)
		goto out;
	return ERR_OK;
out:
	explain(writer, path, err, report);
	queue_db_close(&writer->db);
	queue_names_clear(writer->names);
	return err;
}

enum err queue_writer_open(const char *folder, int64_t now, struct queue_writer **writer_out,
			   struct queue_report *report_out)
{
	struct queue_writer *writer = mem_alloc(sizeof(*writer));
	char path[QUEUE_PATH_MAX];
	bool damaged = false;
	enum err err;

	memset(report_out, 0, sizeof(*report_out));
	writer->names = queue_names_new();
	snprintf(writer->folder, sizeof(writer->folder), "%s", folder);
	queue_path(folder, "bodies", path);
	if ((err = file_make_folder(path)) != ERR_OK) {
		snprintf(report_out->why, sizeof(report_out->why),
			 "cannot make the folder for bodies in %.150s: %s", folder, err_name(err));
		goto out;
	}
	if ((err = queue_salvage_resume(folder, now, &damaged)) != ERR_OK)
		goto out;
	if (!damaged && (err = open_database(writer, report_out)) == ERR_CORRUPT)
		damaged = true;
	if (damaged && (err = queue_salvage(folder, now, report_out)) == ERR_OK)
		err = open_database(writer, report_out);
out:
	if (err != ERR_OK) {
		if (report_out->why[0] == '\0')
			snprintf(report_out->why, sizeof(report_out->why),
				 "cannot open the queue in %.150s: %s", folder, err_name(err));
		queue_names_free(&writer->names);
		mem_free(writer);
		return err;
	}
	*writer_out = writer;
	return ERR_OK;
}

void queue_writer_close(struct queue_writer **writer)
{
	if (*writer == NULL)
		return;
	(void)sqlite3_wal_checkpoint_v2((*writer)->db.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
					NULL);
	queue_db_close(&(*writer)->db);
	queue_names_free(&(*writer)->names);
	MEM_FREE(*writer);
}
