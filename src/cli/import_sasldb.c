/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cyrus SASL's sasldb2: a Berkeley DB hash whose keys are USER NUL REALM NUL PROPERTY; the property
 * userPassword is the password in clear. libsasl2 can ask for a user, but does not tell who there
 * is, so the database is read as sasldblistusers2 does it.
 */
#include "cli/import.h"

#include <db.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "os/os.h"

/* One pair of the database. */
static void take(struct import *import, struct slice key, struct slice value, struct buf *name)
{
	struct slice user, realm;
	struct buf secret;

	if (!slice_split(&key, '\0', &user) || !slice_split(&key, '\0', &realm) ||
	    !slice_is(key, "userPassword") || !import_name(import, user, realm, name))
		return;
	buf_init(&secret, PASSWORD_MAX + sizeof("{PLAIN}"));
	if (buf_append_str(&secret, "{PLAIN}") == ERR_OK &&
	    buf_append_slice(&secret, value) == ERR_OK)
		import_add(import, (uint32_t)import->count + 1, buf_data(name), buf_data(&secret),
			   0, NULL);
	else
		import_add(import, (uint32_t)import->count + 1, buf_data(name), SLICE_LIT(""), 0,
			   "its password is too long");
	buf_wipe(&secret);
}

static int each(struct import *import, DB *db)
{
	DBT key = {0}, value = {0};
	DBC *cursor = NULL;
	struct buf name;
	int code = db->cursor(db, NULL, &cursor, 0);

	buf_init(&name, 1024);
	while (code == 0 && (code = cursor->get(cursor, &key, &value, DB_NEXT)) == 0)
		take(import, slice_of(key.data, key.size), slice_of(value.data, value.size), &name);
	if (cursor != NULL)
		(void)cursor->close(cursor);
	buf_release(&name);
	return code == DB_NOTFOUND ? 0 : code;
}

enum err import_read_sasldb(struct import *import, char why[IMPORT_WHY])
{
	DB *db = NULL;
	struct buf head;
	enum err err;
	int code;

	/* Berkeley DB's own words for these are of little help. */
	buf_init(&head, 16);
	err = os_read_head(import->path, 16, &head);
	if (err == ERR_SYNTAX)
		(void)snprintf(why, IMPORT_WHY, "%.500s is not a regular file", import->path);
	else if (err != ERR_OK)
		os_explain_file(import->path, errno, why, IMPORT_WHY);
	else if (buf_len(&head) == 0) {
		(void)snprintf(why, IMPORT_WHY, "%.500s is empty: it has no users", import->path);
		err = ERR_NOT_FOUND;
	}
	buf_release(&head);
	if (err != ERR_OK)
		return err;
	code = db_create(&db, NULL, 0);
	if (code == 0) {
		db->set_errcall(db, NULL);
		db->set_errfile(db, NULL);
		code = db->open(db, NULL, import->path, NULL, DB_HASH, DB_RDONLY, 0);
	}
	if (code == 0)
		code = each(import, db);
	if (db != NULL)
		(void)db->close(db, 0);
	if (code == 0)
		return ERR_OK;
	(void)snprintf(
		why, IMPORT_WHY,
		"%.400s cannot be read as Cyrus SASL's database (%s); if it comes from another "
		"system or version, sasldblistusers2 there prints its names",
		import->path, db_strerror(code));
	return ERR_CORRUPT;
}
