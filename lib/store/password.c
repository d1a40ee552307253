/* SPDX-License-Identifier: Apache-2.0 */
#include "store/password.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "os/os.h"

/*
 * What is tried first against every mail server: the head of the published lists, at least
 * PASSWORD_MIN long (shorter ones are refused for that). Compared without case, and without
 * digits and marks at the end, so "Password123!" falls under "password".
 */
static const char *const WORST[] = {
	"password",   "passwort",   "passw0rd", "p@ssword", "p@ssw0rd", "pa55word", "qwertyui",
	"qwerty",     "qwertyuiop", "qwertz",   "azerty",   "asdfghjk", "asdfgh",   "zxcvbnm",
	"abcd",       "abc",        "abcdefgh", "letmein",  "welcome",  "iloveyou", "administrator",
	"admin",      "changeme",   "change",   "default",  "computer", "football", "baseball",
	"princess",   "sunshine",   "superman", "trustno",  "whatever", "michelle", "jennifer",
	"starwars",   "dragon",     "master",   "monkey",   "shadow",   "summer",   "winter",
	"spring",     "autumn",     "secret",   "test",     "testtest", "temp",     "guest",
	"user",       "root",       "toor",     "mail",     "email",    "smtp",     "postern",
	"postmaster", "webmaster",  "scanner",  "printer",  "office",   "company",  "qazwsx",
	"qaz",        "letmein!",   "login",    "hello",    "internet", "pass",     "aa",
};

bool password_well_formed(struct slice password)
{
	if (password.len == 0 || password.len > PASSWORD_MAX || !utf8_valid(password))
		return false;
	for (size_t i = 0; i < password.len; i++)
		if ((unsigned char)password.ptr[i] < 0x20 || password.ptr[i] == 0x7f)
			return false;
	return true;
}

/* The part before trailing digits and marks. */
static struct slice stem(struct slice password)
{
	while (password.len > 0 && !ascii_is_alpha(password.ptr[password.len - 1]) &&
	       (unsigned char)password.ptr[password.len - 1] < 0x80)
		password.len--;
	return password;
}

static bool all_one_byte(struct slice password)
{
	for (size_t i = 1; i < password.len; i++)
		if (password.ptr[i] != password.ptr[0])
			return false;
	return true;
}

static bool is_among_worst(struct slice password)
{
	struct slice word = stem(password);

	/* Digits only: dates, telephone numbers, 12345678. */
	if ((word.len == 0 && password.len < 12) || all_one_byte(password))
		return true;
	for (size_t i = 0; i < sizeof(WORST) / sizeof(WORST[0]); i++)
		if (slice_is_nocase(word, WORST[i]) || slice_is_nocase(password, WORST[i]))
			return true;
	return false;
}

enum err password_acceptable(struct slice password, struct slice name, char why[PASSWORD_WHY])
{
	struct slice local = slice_head(name, slice_find(name, '@'));
	char tag[PASSWORD_KEY_TAG + 1];

	if (password.len > PASSWORD_MAX) {
		(void)snprintf(why, PASSWORD_WHY, "the password is longer than %d bytes",
			       PASSWORD_MAX);
		return ERR_RANGE;
	}
	if (password.len > 0 && !password_well_formed(password)) {
		(void)snprintf(why, PASSWORD_WHY,
			       "the password holds a control character or is not UTF-8");
		return ERR_SYNTAX;
	}
	if (password.len < PASSWORD_MIN) {
		(void)snprintf(why, PASSWORD_WHY,
			       "the password is shorter than %d characters; --generate makes one",
			       PASSWORD_MIN);
		return ERR_RANGE;
	}
	if (password_key_tag(password, tag)) {
		(void)snprintf(why, PASSWORD_WHY,
			       "the password has the form of an application's key; choose another, "
			       "or --generate makes one");
		return ERR_DENIED;
	}
	if (slice_equal_nocase(password, name) || slice_equal_nocase(password, local) ||
	    slice_equal_nocase(stem(password), local)) {
		(void)snprintf(why, PASSWORD_WHY,
			       "the password is the login name; --generate makes a good one");
		return ERR_DENIED;
	}
	if (is_among_worst(password)) {
		(void)snprintf(why, PASSWORD_WHY,
			       "the password is among the first that attackers try; --generate "
			       "makes a good one");
		return ERR_DENIED;
	}
	return ERR_OK;
}

static const char LETTERS[] = "abcdefghjkmnpqrstuvwxyz23456789"; /* no 0 o 1 i l */

static void generate(char *text_out, size_t len)
{
	enum { COUNT = sizeof(LETTERS) - 1, FAIR = 256 / COUNT * COUNT };
	size_t at = 0;

	while (at < len) {
		unsigned char byte;

		if (at % 5 == 4) {
			text_out[at++] = '-';
			continue;
		}
		os_random(&byte, 1);
		if (byte < FAIR) /* else some letters would come more often */
			text_out[at++] = LETTERS[byte % COUNT];
	}
	text_out[at] = '\0';
}

void password_generate(char text_out[PASSWORD_GENERATED + 1])
{
	generate(text_out, PASSWORD_GENERATED);
}

void password_generate_key(char text_out[PASSWORD_KEY + 1])
{
	generate(text_out, PASSWORD_KEY);
}

bool password_key_tag(struct slice password, char tag_out[PASSWORD_KEY_TAG + 1])
{
	if (password.len != PASSWORD_KEY)
		return false;
	for (size_t i = 0; i < PASSWORD_KEY; i++)
		if (i % 5 == 4
			    ? password.ptr[i] != '-'
			    : password.ptr[i] == '\0' || strchr(LETTERS, password.ptr[i]) == NULL)
			return false;
	memcpy(tag_out, password.ptr, PASSWORD_KEY_TAG);
	tag_out[PASSWORD_KEY_TAG] = '\0';
	return true;
}
