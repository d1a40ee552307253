/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "os/os.h"

enum { SECRET_MAX = 1100 /* as in the message */ };

void import_add(struct import *import, uint32_t line, struct slice name, struct slice secret,
		int64_t expires, const char *problem)
{
	struct import_entry *entry;

	if ((import->count & (import->count - 1)) == 0) /* grows by powers of two */
		import->entries =
			mem_resize(import->entries, (import->count == 0 ? 1 : import->count * 2) *
							    sizeof(*import->entries));
	entry = &import->entries[import->count++];
	*entry = (struct import_entry){
		.line = line,
		.name = mem_strndup(name.ptr, name.len),
		.expires = expires,
		.problem = problem != NULL ? mem_strdup(problem) : NULL,
	};
	secret_set(&entry->secret, secret);
}

void import_release(struct import *import)
{
	for (size_t i = 0; i < import->count; i++) {
		mem_free(import->entries[i].name);
		mem_free(import->entries[i].problem);
		secret_clear(&import->entries[i].secret);
	}
	MEM_FREE(import->entries);
	import->count = 0;
}

/*
 * saslpasswd2 takes the name of the machine for the realm, and "localhost.localdomain" if it has
 * none. Such names, and that of the server, say nothing about the address.
 */
static bool is_ours(const struct import *import, struct slice realm)
{
	return realm.len == 0 || !slice_has_byte(realm, '.') ||
	       slice_is_nocase(realm, "localhost.localdomain") ||
	       slice_is_nocase(realm, import->config->hostname) ||
	       slice_is_nocase(realm, config_domain(import->config));
}

bool import_name(const struct import *import, struct slice user, struct slice realm,
		 struct buf *name_out)
{
	buf_clear(name_out);
	(void)buf_append_slice(name_out, user);
	if (import->realm != NULL)
		return slice_is_nocase(realm, import->realm);
	if (!is_ours(import, realm)) {
		(void)buf_append_byte(name_out, '@');
		(void)buf_append_slice(name_out, realm);
	}
	return true;
}

/* ---- text files ----------------------------------------------------------------------------- */

static enum err read_whole(const char *path, struct buf *bytes, char why[IMPORT_WHY])
{
	enum err err = os_read_file(path, IMPORT_FILE_MAX, bytes);

	if (err == ERR_RANGE)
		(void)snprintf(why, IMPORT_WHY, "%.500s: larger than %d MB", path,
			       IMPORT_FILE_MAX / (1024 * 1024));
	else if (err == ERR_SYNTAX)
		(void)snprintf(why, IMPORT_WHY, "%.500s is not a regular file", path);
	else if (err != ERR_OK)
		os_explain_file(path, errno, why, IMPORT_WHY);
	return err;
}

/* A hash that does not say what it is gets the scheme that was named for such. */
static void add_hash(struct import *import, uint32_t number, const struct foreign_line *line,
		     const char *problem)
{
	struct slice hash = line->hash;
	struct buf text;

	buf_init(&text, SECRET_MAX);
	if (import->scheme[0] != '\0' && hash.len > 0 && hash.ptr[0] != '{' && hash.ptr[0] != '$' &&
	    hash.ptr[0] != '!' && hash.ptr[0] != '*')
		(void)buf_printf(&text, "{%s}", import->scheme);
	if (buf_append_slice(&text, hash) != ERR_OK && problem == NULL)
		problem = "its hash is too long";
	import_add(import, number, line->name, problem == NULL ? buf_data(&text) : SLICE_LIT(""),
		   line->expires, problem);
	buf_wipe(&text);
}

static void read_line(struct import *import, enum foreign_file form, uint32_t number,
		      struct slice text)
{
	struct foreign_line line = {0};
	char problem[FOREIGN_WHY];
	enum err err = foreign_line_read(text, form, &line, problem);

	if (err == ERR_EOF)
		return;
	if (err != ERR_OK)
		import_add(import, number, line.name, SLICE_LIT(""), 0, problem);
	else if (form == FOREIGN_SHADOW && slice_is(line.name, "root"))
		import_add(import, number, line.name, SLICE_LIT(""), 0,
			   "the machine's own password is not for mail");
	else
		add_hash(import, number, &line, NULL);
}

enum err import_read_file(struct import *import, enum foreign_file form, char why[IMPORT_WHY])
{
	struct slice rest, line;
	struct buf bytes;
	uint32_t number = 0;
	enum err err;

	buf_init(&bytes, IMPORT_FILE_MAX);
	err = read_whole(import->path, &bytes, why);
	rest = buf_data(&bytes);
	while (err == ERR_OK && rest.len > 0 && slice_split(&rest, '\n', &line))
		read_line(import, form, ++number, line);
	buf_wipe(&bytes);
	return err;
}

/* "alice@mail.example.org: userPassword" */
static void read_listed(struct import *import, uint32_t number, struct slice line, struct buf *name)
{
	size_t colon = slice_search(line, SLICE_LIT(": ")), at;
	struct slice user, property;

	line = slice_trim(line);
	if (line.len == 0)
		return;
	if (colon >= line.len) {
		import_add(import, number, SLICE_LIT(""), SLICE_LIT(""), 0,
			   "expected NAME@REALM: userPassword");
		return;
	}
	user = slice_head(line, colon);
	property = slice_trim(slice_skip(line, colon + 2));
	at = slice_find_last(user, '@');
	if (!import_name(import, slice_head(user, at),
			 slice_skip(user, at < user.len ? at + 1 : at), name))
		return;
	if (slice_is(property, "userPassword"))
		import_add(import, number, buf_data(name), SLICE_LIT(""), 0, NULL);
}

enum err import_read_list(struct import *import, char why[IMPORT_WHY])
{
	struct buf bytes, name;
	struct slice rest, line;
	uint32_t number = 0;
	enum err err;

	buf_init(&bytes, IMPORT_FILE_MAX);
	buf_init(&name, 1024);
	err = read_whole(import->path, &bytes, why);
	rest = buf_data(&bytes);
	while (err == ERR_OK && rest.len > 0 && slice_split(&rest, '\n', &line))
		read_listed(import, ++number, line, &name);
	buf_wipe(&bytes);
	buf_release(&name);
	return err;
}
