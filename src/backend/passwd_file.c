/* SPDX-License-Identifier: Apache-2.0 */
#include "passwd_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "os/os.h"
#include "store/account.h"
#include "store/foreign_file.h"

enum {
	TOLD = 3,          /* broken lines that are told with their number */
	SETTLED_MS = 1000, /* after that, a last line without its end is one all the same */
	READS = 2,         /* of a file that changes while it is read */
};

struct entry {
	uint32_t line;
	char *name;    /* canonical */
	char *hash;    /* NULL: nobody gets in by this line, and */
	char *problem; /* this is why */
	int64_t expires;
};

struct table {
	struct entry *entries; /* by name, then by line */
	size_t count;
	size_t broken;
	char first[BACKEND_WHY]; /* of the broken lines */
};

struct passwd_file {
	const char *path, *scheme, *domain;
	struct os_stamp stamp; /* of what was looked at last */
	bool loaded;
	struct table table;
	char note[BACKEND_WHY]; /* to be told with the next answer */
};

/* ---- lines ---------------------------------------------------------------------------------- */

static void drop(struct table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		struct entry *entry = &table->entries[i];

		if (entry->hash != NULL)
			explicit_bzero(entry->hash, strlen(entry->hash));
		mem_free(entry->name);
		mem_free(entry->hash);
		mem_free(entry->problem);
	}
	mem_free(table->entries);
	*table = (struct table){0};
}

static struct entry *add(struct table *table, uint32_t line, const char *name)
{
	if ((table->count & (table->count - 1)) == 0) /* grows by powers of two */
		table->entries =
			mem_resize(table->entries, (table->count == 0 ? 1 : table->count * 2) *
							   sizeof(*table->entries));
	table->entries[table->count] = (struct entry){.line = line, .name = mem_strdup(name)};
	return &table->entries[table->count++];
}

static void break_line(struct table *table, uint32_t line, const char *why)
{
	size_t len = strlen(table->first);

	if (table->broken++ < TOLD)
		(void)snprintf(table->first + len, sizeof(table->first) - len, "%sline %u: %.100s",
			       len > 0 ? "; " : "", line, why);
}

/* The hash of a line, with the scheme that it has; NULL, with why, if it is of no use. */
static char *read_hash(const struct passwd_file *file, struct slice text, char why[FOREIGN_WHY],
		       enum err *err_out)
{
	struct foreign foreign = {0};
	char *hash = NULL;

	*err_out = foreign_read(text, file->scheme, &foreign, why);
	if (*err_out == ERR_OK && foreign.scheme == FOREIGN_PLAIN) {
		(void)snprintf(why, FOREIGN_WHY,
			       "passwords in clear are not taken from a file: hash it (doveadm pw, "
			       "mkpasswd), or bring the accounts along with postern user import");
		*err_out = ERR_NOT_FOUND;
	}
	if (*err_out == ERR_OK)
		hash = mem_strdup(foreign.text);
	foreign_wipe(&foreign);
	return hash;
}

static void read_line(const struct passwd_file *file, struct table *table, uint32_t number,
		      struct slice text)
{
	struct foreign_line line = {0}, shadow;
	char why[ACCOUNT_WHY]; /* the larger of the two */
	char name[ACCOUNT_NAME_MAX + 1];
	struct entry *entry;
	enum err err = foreign_line_read(text, FOREIGN_DOVECOT, &line, why), hash_err;

	if (err == ERR_EOF)
		return;
	if (err == ERR_SYNTAX || account_name_read(line.name, file->domain, name, why) != ERR_OK) {
		break_line(table, number, why);
		return;
	}
	entry = add(table, number, name);
	if (err == ERR_OK) {
		entry->hash = read_hash(file, line.hash, why, &hash_err);
		if (hash_err != ERR_OK &&
		    hash_err != ERR_DENIED) /* locked is no fault of the file */
			break_line(table, number, why);
	}
	if (entry->hash == NULL)
		entry->problem = mem_strdup(why);
	/* What is a day there is no extra field of Dovecot's. */
	if (foreign_line_read(text, FOREIGN_SHADOW, &shadow, why) == ERR_OK)
		entry->expires = shadow.expires;
}

static int by_name(const void *a, const void *b)
{
	const struct entry *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	return order != 0 ? order : (left->line > right->line) - (left->line < right->line);
}

static void build(const struct passwd_file *file, struct slice text, struct table *table_out)
{
	struct slice line;
	uint32_t number = 0;

	while (text.len > 0 && slice_split(&text, '\n', &line))
		read_line(file, table_out, ++number, line);
	if (table_out->count > 1)
		qsort(table_out->entries, table_out->count, sizeof(struct entry), by_name);
	for (size_t i = 1; i < table_out->count; i++)
		if (strcmp(table_out->entries[i - 1].name, table_out->entries[i].name) == 0)
			break_line(table_out, table_out->entries[i].line,
				   "the name came before; the first line counts");
}

/* The first line of that name. */
static const struct entry *find(const struct table *table, const char *name)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(table->entries[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < table->count && strcmp(table->entries[low].name, name) == 0
		       ? &table->entries[low]
		       : NULL;
}

/* ---- the file ------------------------------------------------------------------------------- */

static bool same(const struct os_stamp *a, const struct os_stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->modified_ns == b->modified_ns;
}

/* Its bytes, if it did not change meanwhile. ERR_AGAIN: it did, each time. */
static enum err read_whole(struct passwd_file *file, struct os_stamp *stamp, struct buf *bytes)
{
	enum err err = ERR_AGAIN;

	for (int i = 0; i < READS && err == ERR_AGAIN; i++) {
		struct os_stamp after;

		buf_clear(bytes);
		*stamp = os_file_stamp(file->path);
		err = os_read_file(file->path, PASSWD_FILE_MAX, bytes);
		after = os_file_stamp(file->path);
		if (err == ERR_OK && !same(stamp, &after))
			err = ERR_AGAIN;
	}
	return err;
}

/* Whether somebody may be about to write the rest. */
static bool is_half(struct slice text, const struct os_stamp *stamp, int64_t now)
{
	return text.len > 0 && text.ptr[text.len - 1] != '\n' &&
	       now - stamp->modified_ns / 1000000 < SETTLED_MS;
}

static void take(struct passwd_file *file, struct slice text)
{
	struct table table = {0};

	build(file, text, &table);
	if (table.count == 0 && file->loaded && file->table.count > 0) {
		(void)snprintf(file->note, sizeof(file->note),
			       "%.200s has no accounts any more; those that were read before stay "
			       "in force until it has some",
			       file->path);
		drop(&table);
		return;
	}
	drop(&file->table);
	file->table = table;
	file->loaded = true;
	file->note[0] = '\0';
	if (table.broken > 0)
		(void)snprintf(file->note, sizeof(file->note),
			       "%.150s: %zu line%s of no use: %.250s%s", file->path, table.broken,
			       table.broken == 1 ? " is" : "s are", table.first,
			       table.broken > TOLD ? "; ..." : "");
}

static void explain(const struct passwd_file *file, enum err err, int error,
		    struct backend_answer *answer)
{
	char why[BACKEND_WHY - 100];

	if (err == ERR_NOT_FOUND) {
		backend_say(answer, IPC_CHECK_UNAVAILABLE,
			    "there is no %.200s; make it, with lines NAME:HASH, or set file",
			    file->path);
	} else if (err == ERR_AGAIN) {
		backend_say(answer, IPC_CHECK_UNAVAILABLE, "%.200s is just being written",
			    file->path);
	} else if (err == ERR_SYNTAX || err == ERR_RANGE) {
		backend_say(answer, IPC_CHECK_UNAVAILABLE, "%.200s is %s", file->path,
			    err == ERR_SYNTAX ? "not a regular file" : "larger than 128 MB");
	} else {
		os_explain_file(file->path, error, why, sizeof(why));
		backend_say(answer, IPC_CHECK_UNAVAILABLE, "%s%s", why,
			    err == ERR_DENIED ? "; or set group to one that may" : "");
	}
}

/* Reads it if it is another than before. false: nobody can be judged by it now. */
static bool refresh(struct passwd_file *file, int64_t now, struct backend_answer *answer)
{
	struct os_stamp stamp = os_file_stamp(file->path);
	struct buf bytes;
	bool usable = true;
	int error;
	enum err err;

	if (file->loaded && stamp.inode != 0 && same(&stamp, &file->stamp))
		return true;
	buf_init(&bytes, PASSWD_FILE_MAX);
	err = read_whole(file, &stamp, &bytes);
	error = errno;
	if (err == ERR_OK && is_half(buf_data(&bytes), &stamp, now))
		err = ERR_AGAIN; /* the stamp is not kept, so the next question looks again */
	if (err == ERR_OK) {
		take(file, buf_data(&bytes));
		file->stamp = stamp;
	} else if (!file->loaded || (err != ERR_AGAIN && err != ERR_IO)) {
		explain(file, err, error, answer);
		usable = false;
	}
	buf_wipe(&bytes);
	return usable;
}

/* ---- questions ------------------------------------------------------------------------------ */

/* So that a name that is not there, or has no hash, takes as long as one that has (C9). */
static void check_any(const struct table *table, struct slice password)
{
	struct foreign foreign = {0};
	char why[FOREIGN_WHY];
	size_t i = 0;

	while (i < table->count && table->entries[i].hash == NULL)
		i++;
	if (i < table->count &&
	    foreign_read(slice_str(table->entries[i].hash), "", &foreign, why) == ERR_OK)
		(void)foreign_check(&foreign, password);
	foreign_wipe(&foreign);
}

static void judge(const struct passwd_file *file, const struct entry *entry, struct slice password,
		  int64_t now, struct backend_answer *answer)
{
	struct foreign foreign = {0};
	char why[FOREIGN_WHY] = "";
	bool right = foreign_read(slice_str(entry->hash), "", &foreign, why) == ERR_OK &&
		     foreign_check(&foreign, password);

	foreign_wipe(&foreign);
	if (!right)
		backend_say(answer, IPC_CHECK_NO, "%.200s: password wrong", file->path);
	else if (entry->expires != 0 && entry->expires <= now)
		backend_say(answer, IPC_CHECK_NO, "%.200s:%u: password correct, but it has expired",
			    file->path, entry->line);
	else
		backend_say(answer, IPC_CHECK_YES, "%.200s: password correct", file->path);
}

void passwd_file_check(struct passwd_file *file, const struct backend_question *question,
		       int64_t now, struct backend_answer *answer)
{
	struct slice password = slice_str(question->password);
	const struct entry *entry;

	if (!refresh(file, now, answer))
		return;
	(void)snprintf(answer->note, sizeof(answer->note), "%s", file->note);
	file->note[0] = '\0';
	entry = find(&file->table, question->name);
	if (entry != NULL && entry->hash != NULL) {
		judge(file, entry, password, now, answer);
		return;
	}
	check_any(&file->table, password);
	if (entry == NULL)
		backend_say(answer, IPC_CHECK_UNKNOWN, "%.200s has no such name", file->path);
	else
		backend_say(answer, IPC_CHECK_NO, "%.200s:%u: %.250s", file->path, entry->line,
			    entry->problem);
}

struct passwd_file *passwd_file_new(const char *path, const char *scheme, const char *domain)
{
	struct passwd_file *file = mem_alloc(sizeof(*file));

	*file = (struct passwd_file){.path = path, .scheme = scheme, .domain = domain};
	return file;
}

void passwd_file_free(struct passwd_file **file)
{
	if (*file == NULL)
		return;
	drop(&(*file)->table);
	MEM_FREE(*file);
}
