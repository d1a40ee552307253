/* SPDX-License-Identifier: Apache-2.0 */
#include "store/foreign.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/secret.h"
#include "store/foreign_internal.h"

enum err foreign_explain(char why[FOREIGN_WHY], enum err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(why, FOREIGN_WHY, format, args);
	va_end(args);
	return err;
}

bool foreign_number(struct slice text, uint32_t *number_out)
{
	uint64_t number = 0;

	if (text.len == 0 || (text.len > 1 && text.ptr[0] == '0') ||
	    slice_number(text, UINT32_MAX, &number) != ERR_OK)
		return false;
	*number_out = (uint32_t)number;
	return true;
}

/* ---- schemes -------------------------------------------------------------------------------- */

enum form { FORM_CRYPT, FORM_SALTED, FORM_PBKDF2, FORM_SCRAM, FORM_PLAIN };

/* Dovecot's names, which LDAP servers use, too. */
static const struct scheme {
	const char *name;
	enum form form;
	enum foreign_scheme scheme;
} SCHEMES[] = {
	{"CRYPT", FORM_CRYPT, FOREIGN_SHA512_CRYPT}, /* the text itself tells which */
	{"BLF-CRYPT", FORM_CRYPT, FOREIGN_BCRYPT},
	{"SHA512-CRYPT", FORM_CRYPT, FOREIGN_SHA512_CRYPT},
	{"SHA256-CRYPT", FORM_CRYPT, FOREIGN_SHA256_CRYPT},
	{"SSHA", FORM_SALTED, FOREIGN_SSHA},
	{"SSHA256", FORM_SALTED, FOREIGN_SSHA256},
	{"SSHA512", FORM_SALTED, FOREIGN_SSHA512},
	{"PBKDF2", FORM_PBKDF2, FOREIGN_PBKDF2},
	{"SCRAM-SHA-256", FORM_SCRAM, FOREIGN_SCRAM_SHA_256},
	{"SCRAM-SHA-1", FORM_SCRAM, FOREIGN_SCRAM_SHA_1},
	{"PLAIN", FORM_PLAIN, FOREIGN_PLAIN},
	{"CLEARTEXT", FORM_PLAIN, FOREIGN_PLAIN},
	{"CLEAR", FORM_PLAIN, FOREIGN_PLAIN},
};

/* Others that are known by name, and why they are not taken. */
static const struct {
	const char *name, *why;
} REFUSED[] = {
	{"MD5", "is too weak"},
	{"MD5-CRYPT", "is too weak"},
	{"DES-CRYPT", "is too weak"},
	{"SMD5", "is too weak"},
	{"PLAIN-MD5", "has no salt"},
	{"LDAP-MD5", "has no salt"},
	{"SHA", "has no salt"},
	{"SHA1", "has no salt"},
	{"SHA256", "has no salt"},
	{"SHA512", "has no salt"},
	{"CRAM-MD5", "is as good as the password"},
	{"HMAC-MD5", "is as good as the password"},
	{"DIGEST-MD5", "is as good as the password"},
	{"NTLM", "is as good as the password"},
	{"LANMAN", "is as good as the password"},
	{"ARGON2I", "is not supported"},
	{"ARGON2ID", "is not supported"},
};

static const struct scheme *find_scheme(struct slice name)
{
	for (size_t i = 0; i < sizeof(SCHEMES) / sizeof(SCHEMES[0]); i++)
		if (slice_is_nocase(name, SCHEMES[i].name))
			return &SCHEMES[i];
	return NULL;
}

const char *foreign_name(enum foreign_scheme scheme)
{
	static const char *const NAMES[] = {
		[FOREIGN_YESCRYPT] = "yescrypt",
		[FOREIGN_BCRYPT] = "bcrypt",
		[FOREIGN_SHA512_CRYPT] = "SHA-512 crypt",
		[FOREIGN_SHA256_CRYPT] = "SHA-256 crypt",
		[FOREIGN_SSHA] = "SSHA",
		[FOREIGN_SSHA256] = "SSHA256",
		[FOREIGN_SSHA512] = "SSHA512",
		[FOREIGN_PBKDF2] = "PBKDF2",
		[FOREIGN_SCRAM_SHA_256] = "SCRAM-SHA-256",
		[FOREIGN_SCRAM_SHA_1] = "SCRAM-SHA-1",
		[FOREIGN_PLAIN] = "clear text",
	};

	return NAMES[scheme];
}

static enum err refuse_scheme(struct slice name, char why[FOREIGN_WHY])
{
	for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++)
		if (slice_is_nocase(name, REFUSED[i].name))
			return foreign_explain(why, ERR_NOT_FOUND, "{%s} %s: set a new password",
					       REFUSED[i].name, REFUSED[i].why);
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '.')
			return foreign_explain(why, ERR_NOT_FOUND,
					       "what stands in braces before it is no scheme");
	return foreign_explain(why, ERR_NOT_FOUND, "the scheme {%.*s} is not known",
			       (int)slice_head(name, FOREIGN_SCHEME_MAX).len, name.ptr);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* "{SSHA.HEX}..." into name, coding and the rest; false: there is no scheme in front. */
static bool split_scheme(struct slice *text, struct slice *name_out, enum foreign_coding *coding)
{
	struct slice rest = *text, name, base;

	if (!slice_starts(rest, "{"))
		return false;
	rest = slice_skip(rest, 1);
	if (!slice_has_byte(rest, '}') || !slice_split(&rest, '}', &name))
		return false;
	*text = rest;
	*coding = FOREIGN_BASE64;
	*name_out = name;
	base = slice_head(name, slice_find_last(name, '.'));
	if (base.len < name.len && slice_is_nocase(slice_skip(name, base.len), ".HEX"))
		*coding = FOREIGN_HEX;
	else if (base.len == name.len || !slice_is_nocase(slice_skip(name, base.len), ".B64"))
		return true;
	*name_out = base;
	return true;
}

/* What programs write where no password is to fit. */
static enum err refuse_locked(struct slice text, char why[FOREIGN_WHY])
{
	if (text.len == 0)
		return foreign_explain(why, ERR_DENIED, "it has no password");
	if (slice_is(text, "x"))
		return foreign_explain(why, ERR_DENIED,
				       "its hash is elsewhere (x): in /etc/shadow, probably");
	if (text.ptr[0] == '!' || text.ptr[0] == '*' || slice_is(text, "NP"))
		return foreign_explain(why, ERR_DENIED, "it is locked");
	return ERR_OK;
}

static enum err read_plain(struct slice text, struct foreign *out, char why[FOREIGN_WHY])
{
	if (!password_well_formed(text))
		return foreign_explain(
			why, ERR_SYNTAX,
			"the password holds a control character, is not UTF-8, or is "
			"longer than %d bytes",
			PASSWORD_MAX);
	(void)slice_copy(text, out->text, sizeof(out->text));
	return ERR_OK;
}

/* text: without scheme and braces. */
static enum err read_form(const struct scheme *scheme, struct slice text,
			  enum foreign_coding coding, struct foreign *out, char why[FOREIGN_WHY])
{
	out->scheme = scheme->scheme;
	switch (scheme->form) {
	case FORM_CRYPT:
		return foreign_read_crypt(text, out, why);
	case FORM_SALTED:
		return foreign_read_salted(text, coding, out, why);
	case FORM_PBKDF2:
		return foreign_read_pbkdf2(text, out, why);
	case FORM_SCRAM:
		return foreign_read_scram(text, out, why);
	case FORM_PLAIN:
		return read_plain(text, out, why);
	}
	return foreign_explain(why, ERR_NOT_FOUND, "the scheme is not known");
}

static bool printable(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_print(text.ptr[i]) || text.ptr[i] == ' ')
			return false;
	return true;
}

/* As it is kept: with its scheme, but for those of crypt(3), which tell it themselves. */
static enum err keep_text(const struct scheme *scheme, struct slice text,
			  enum foreign_coding coding, struct foreign *out, char why[FOREIGN_WHY])
{
	int len;

	if (scheme->form == FORM_PLAIN)
		return ERR_OK;
	len = scheme->form == FORM_CRYPT
		      ? snprintf(out->text, sizeof(out->text), "%.*s", SLICE_ARG(text))
		      : snprintf(out->text, sizeof(out->text), "{%s%s}%.*s", scheme->name,
				 coding == FOREIGN_HEX ? ".HEX" : "", SLICE_ARG(text));
	if (len < 0 || len > FOREIGN_MAX)
		return foreign_explain(why, ERR_RANGE, "it is longer than %d bytes", FOREIGN_MAX);
	return ERR_OK;
}

static enum err read_text(struct slice text, const char *default_scheme, struct foreign *out,
			  char why[FOREIGN_WHY])
{
	struct slice name = slice_str(default_scheme[0] != '\0' ? default_scheme : "CRYPT");
	enum foreign_coding coding = FOREIGN_BASE64;
	const struct scheme *scheme;
	enum err err = refuse_locked(text, why);

	if (err != ERR_OK)
		return err;
	(void)split_scheme(&text, &name, &coding);
	if ((scheme = find_scheme(name)) == NULL)
		return refuse_scheme(name, why);
	if (scheme->form != FORM_PLAIN || text.len == 0) {
		if ((err = refuse_locked(text, why)) != ERR_OK)
			return err;
		if (text.len > FOREIGN_MAX)
			return foreign_explain(why, ERR_RANGE, "it is longer than %d bytes",
					       FOREIGN_MAX);
		if (!printable(text))
			return foreign_explain(why, ERR_SYNTAX,
					       "it holds bytes that no hash has; a password in "
					       "clear needs {PLAIN} before it");
	}
	err = read_form(scheme, text, coding, out, why);
	return err == ERR_OK ? keep_text(scheme, text, coding, out, why) : err;
}

enum err foreign_read(struct slice text, const char *scheme, struct foreign *out,
		      char why[FOREIGN_WHY])
{
	struct foreign read = {0};
	enum err err = read_text(text, scheme, &read, why);

	if (err == ERR_OK)
		*out = read;
	foreign_wipe(&read);
	return err;
}

/* ---- checking ------------------------------------------------------------------------------- */

bool foreign_check(const struct foreign *foreign, struct slice password)
{
	if (!password_well_formed(password))
		return false;
	switch (foreign->scheme) {
	case FOREIGN_YESCRYPT:
	case FOREIGN_BCRYPT:
	case FOREIGN_SHA512_CRYPT:
	case FOREIGN_SHA256_CRYPT:
		return foreign_check_crypt(foreign, password);
	case FOREIGN_SSHA:
	case FOREIGN_SSHA256:
	case FOREIGN_SSHA512:
	case FOREIGN_PBKDF2:
		return foreign_check_digest(foreign, password);
	case FOREIGN_SCRAM_SHA_256:
	case FOREIGN_SCRAM_SHA_1:
		return verifier_check(&foreign->verifier, password);
	case FOREIGN_PLAIN:
		return secret_equal(slice_str(foreign->text), password);
	}
	return false;
}

void foreign_wipe(struct foreign *foreign)
{
	OPENSSL_cleanse(foreign, sizeof(*foreign));
}
