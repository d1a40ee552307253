/* SPDX-License-Identifier: Apache-2.0 */
#include "store/account_certificates.h"

#include "store/accounts_internal.h"

enum err account_fingerprint_read(struct slice text, char out[ACCOUNT_FINGERPRINT + 1])
{
	size_t equals = slice_find(text, '='), len = 0;

	if (equals < text.len) /* "sha256 Fingerprint=..." */
		text = slice_starts_nocase(text, "sha256") ? slice_skip(text, equals + 1)
							   : SLICE_LIT("");
	else if (slice_starts_nocase(text, "sha256:"))
		text = slice_skip(text, 7);
	for (size_t i = 0; i < text.len; i++) {
		char c = ascii_lower(text.ptr[i]);

		if (c == ':' && len % 2 == 0 && len > 0)
			continue;
		if ((!ascii_is_digit(c) && (c < 'a' || c > 'f')) || len == ACCOUNT_FINGERPRINT)
			return ERR_SYNTAX;
		out[len++] = c;
	}
	out[len] = '\0';
	return len == ACCOUNT_FINGERPRINT ? ERR_OK : ERR_SYNTAX;
}

static enum err put(struct accounts *accounts, enum accounts_statement number,
		    const char *fingerprint, int64_t account)
{
	sqlite3_stmt *stmt = NULL;
	enum err err = accounts_prepare(accounts, number, &stmt);

	if (err != ERR_OK)
		return err;
	accounts_bind(stmt, 1, fingerprint);
	(void)sqlite3_bind_int64(stmt, 2, account);
	return accounts_finish_change(accounts, stmt, "certificate of the account");
}

enum err accounts_add_certificate(struct accounts *accounts, int64_t account,
				  const char *fingerprint, int64_t now)
{
	int64_t count = 0;
	enum err err = accounts_run(accounts, ACCOUNTS_BEGIN);

	if (err != ERR_OK)
		return err;
	if ((err = accounts_touch(accounts, account, now)) == ERR_OK &&
	    (err = accounts_number(accounts, ACCOUNTS_CERTIFICATE_COUNT, account, &count)) ==
		    ERR_OK &&
	    count >= ACCOUNT_CERTIFICATES) {
		accounts_explain(accounts, "the account has %d certificates already",
				 ACCOUNT_CERTIFICATES);
		err = ERR_FULL;
	}
	if (err == ERR_OK)
		err = put(accounts, ACCOUNTS_ADD_CERTIFICATE, fingerprint, account);
	if (err == ERR_EXISTS)
		accounts_explain(accounts, "this certificate is registered already, for this "
					   "account or another: take it back there first");
	return accounts_end(accounts, err);
}

enum err accounts_remove_certificate(struct accounts *accounts, int64_t account,
				     const char *fingerprint, int64_t now)
{
	enum err err = accounts_run(accounts, ACCOUNTS_BEGIN);

	if (err != ERR_OK)
		return err;
	if ((err = accounts_touch(accounts, account, now)) == ERR_OK)
		err = put(accounts, ACCOUNTS_REMOVE_CERTIFICATE, fingerprint, account);
	return accounts_end(accounts, err);
}

enum err accounts_certificates(struct accounts *accounts, int64_t account, char ***texts_out,
			       size_t *count_out)
{
	return accounts_read_texts(accounts, ACCOUNTS_CERTIFICATES, account, ACCOUNT_CERTIFICATES,
				   texts_out, count_out);
}

enum err accounts_all_certificates(struct accounts *accounts, char ***texts_out, size_t *count_out)
{
	return accounts_read_texts(accounts, ACCOUNTS_ALL_CERTIFICATES, 0, ACCOUNT_CERTIFICATES_ALL,
				   texts_out, count_out);
}
