/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts of other programs. Each is judged by itself and told in a row of its own; those that are
 * taken are written in one transaction. What is there already stays, unless it is to be replaced,
 * so the same import may be run again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mechanism.h"
#include "operation_internal.h"
#include "os/os.h"
#include "store/account_import.h"
#include "store/foreign.h"

/* One credential. */
struct candidate {
	const char *result; /* "imported", "replaced", "kept", "left out" */
	const char *password;
	char name[ACCOUNT_NAME_MAX + 1];
	char note[ACCOUNT_WHY];
	bool taken;
	bool clear; /* foreign is the password itself */
	struct foreign foreign;
	struct account_import import;
};

static void leave_out(struct candidate *candidate, const char *why)
{
	candidate->result = "left out";
	(void)snprintf(candidate->note, sizeof(candidate->note), "%s", why);
}

/* ---- judging -------------------------------------------------------------------------------- */

static bool make_verifier(const struct operation *operation, struct candidate *candidate)
{
	unsigned char salt[VERIFIER_SALT];
	struct secret prepared = {0};
	enum err err = password_prepare(slice_str(candidate->foreign.text), &prepared);

	os_random(salt, sizeof(salt));
	if (err != ERR_OK)
		leave_out(candidate, "the password holds characters that mail programs send in "
				     "more than one way: set a new one");
	else if (verifier_make(secret_value(&prepared), salt, operation->iterations,
			       &candidate->import.verifier) != ERR_OK)
		leave_out(candidate, "no verifier can be made");
	else
		candidate->import.has_verifier = true;
	secret_clear(&prepared);
	return candidate->import.has_verifier;
}

/* What is to be kept of its password. */
static bool read_secret(const struct operation *operation,
			const struct operation_credential *credential, struct candidate *candidate)
{
	struct account_import *import = &candidate->import;
	char why[FOREIGN_WHY];

	import->hash = import->source = "";
	if (operation->args.source[0] != '\0' && credential->secret.len == 0) {
		import->source = operation->args.source;
		candidate->password = import->source;
		return true;
	}
	if (foreign_read(secret_value(&credential->secret), "", &candidate->foreign, why) !=
	    ERR_OK) {
		leave_out(candidate, why);
		return false;
	}
	candidate->clear = candidate->foreign.scheme == FOREIGN_PLAIN;
	if (candidate->clear) {
		candidate->password = "verifier";
	} else if (candidate->foreign.scheme == FOREIGN_SCRAM_SHA_256) {
		candidate->password = "verifier";
		import->verifier = candidate->foreign.verifier;
		import->has_verifier = true;
	} else {
		candidate->password = foreign_name(candidate->foreign.scheme);
		import->hash = candidate->foreign.text;
	}
	return true;
}

/* Nothing is to be done about an account that is as the file has it. */
static bool is_same(const struct candidate *candidate, const struct account *there)
{
	const struct account_import *import = &candidate->import;

	if (candidate->clear)
		return there->verifier.iterations != 0 &&
		       verifier_check(&there->verifier, slice_str(candidate->foreign.text));
	if (import->has_verifier)
		return secret_equal(slice_of(import->verifier.stored_key, VERIFIER_KEY),
				    slice_of(there->verifier.stored_key, VERIFIER_KEY));
	return import->hash[0] != '\0' &&
	       secret_equal(slice_str(import->hash), slice_str(there->hash));
}

/* The account that has the name already; false: it stays as it is. */
static bool meet(const struct operation *operation, struct candidate *candidate,
		 const struct account *there)
{
	candidate->import.id = there->id;
	candidate->result = "kept";
	if (is_same(candidate, there))
		(void)snprintf(candidate->note, sizeof(candidate->note),
			       "has this password already");
	else if (!operation->args.replace)
		(void)snprintf(candidate->note, sizeof(candidate->note),
			       "there is an account already; --replace gives it this password");
	else if (candidate->import.source[0] != '\0')
		(void)snprintf(candidate->note, sizeof(candidate->note),
			       "there is an account already, and its password is known here");
	else
		candidate->result = "replaced";
	return slice_is(slice_str(candidate->result), "replaced");
}

static bool is_twice(const struct candidate *candidates, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (candidates[i].taken &&
		    slice_is(slice_str(candidates[i].name), candidates[count].name))
			return true;
	return false;
}

static enum err judge(const struct operation *operation, struct accounts *accounts,
		      struct candidate *candidates, size_t at, int64_t now)
{
	const struct operation_credential *credential = &operation->credentials[at];
	struct candidate *candidate = &candidates[at];
	struct account there = {0};
	char why[ACCOUNT_WHY];
	enum err err;

	candidate->password = "";
	candidate->result = "imported";
	(void)snprintf(candidate->name, sizeof(candidate->name), "%s", credential->name);
	candidate->import.expires = credential->expires;
	if (account_name_read(slice_str(credential->name), operation->domain, candidate->name,
			      why) != ERR_OK) {
		leave_out(candidate, why);
		return ERR_OK;
	}
	if (!read_secret(operation, credential, candidate))
		return ERR_OK;
	if (credential->expires != 0 && credential->expires <= now) {
		leave_out(candidate, "it has expired");
		return ERR_OK;
	}
	if (is_twice(candidates, at)) {
		leave_out(candidate, "the name came before");
		return ERR_OK;
	}
	candidate->import.name = candidate->name;
	err = accounts_find(accounts, candidate->name, operation->domain, &there);
	if (err != ERR_OK && err != ERR_NOT_FOUND)
		return err;
	candidate->taken = err == ERR_NOT_FOUND || meet(operation, candidate, &there);
	account_release(&there);
	/* Made only now, as it takes its time. */
	if (candidate->taken && candidate->clear)
		candidate->taken = make_verifier(operation, candidate);
	return ERR_OK;
}

/* ---- doing it ------------------------------------------------------------------------------- */

static void tell(struct operation *operation, const struct candidate *candidates)
{
	for (size_t i = 0; i < operation->credential_count; i++) {
		struct ipc_list_builder *row = operation_row(operation);

		row_number(row, "line", operation->credentials[i].line);
		row_text(row, "name", candidates[i].name);
		row_text(row, "result", candidates[i].result);
		row_text(row, "password", candidates[i].password);
		row_text(row, "note", candidates[i].note);
	}
}

static void note_changes(struct operation *operation, struct accounts *accounts,
			 const struct candidate *candidates)
{
	operation->replaced = mem_array(operation->credential_count, sizeof(*operation->replaced));
	for (size_t i = 0; i < operation->credential_count; i++) {
		const struct candidate *candidate = &candidates[i];

		if (!candidate->taken)
			continue;
		operation->changed = candidate->import.id;
		if (slice_is(slice_str(candidate->result), "replaced"))
			operation->replaced[operation->replaced_count++] = candidate->import.id;
		if (candidate->clear)
			operation_extras(operation, accounts, candidate->import.id, 0,
					 slice_str(candidate->foreign.text));
	}
}

static enum err write_all(struct operation *operation, struct accounts *accounts,
			  struct candidate *candidates, int64_t now)
{
	size_t count = operation->credential_count, taken = 0;
	struct account_import *imports = mem_array(count, sizeof(*imports));
	enum err err;

	for (size_t i = 0; i < count; i++)
		if (candidates[i].taken)
			imports[taken++] = candidates[i].import;
	err = taken > 0 ? accounts_import(accounts, imports, taken, now) : ERR_OK;
	taken = 0;
	for (size_t i = 0; err == ERR_OK && i < count; i++)
		if (candidates[i].taken)
			candidates[i].import.id = imports[taken++].id;
	explicit_bzero(imports, count * sizeof(*imports));
	mem_free(imports);
	return err;
}

void operation_user_import(struct operation *operation, struct accounts *accounts, int64_t now)
{
	size_t count = operation->credential_count;
	struct candidate *candidates;
	enum err err = ERR_OK;

	if (count == 0 || count > ACCOUNT_IMPORTS) {
		operation_refuse(operation, "expected 1 to %d accounts at a time", ACCOUNT_IMPORTS);
		return;
	}
	candidates = mem_array(count, sizeof(*candidates));
	for (size_t i = 0; err == ERR_OK && i < count; i++)
		err = judge(operation, accounts, candidates, i, now);
	if (err == ERR_OK && !operation->args.dry_run)
		err = write_all(operation, accounts, candidates, now);
	if (err != ERR_OK)
		operation_refuse(operation, "%s", accounts_why(accounts));
	else
		tell(operation, candidates);
	if (err == ERR_OK && !operation->args.dry_run)
		note_changes(operation, accounts, candidates);
	explicit_bzero(candidates, count * sizeof(*candidates));
	mem_free(candidates);
}
