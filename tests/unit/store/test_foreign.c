/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes of other programs: made by libcrypt, OpenSSL and Dovecot's doveadm pw. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "os/os.h"
#include "store/foreign.h"
#include "store/foreign_file.h"

#define GOOD "correct horse battery"
#define HASH86                                                                                     \
	"G9wFFnnUFCPffgjGaIp8t6onbqx3zGbMIn93ecLfBFGJpBV3/0HPLZ17qYbjb.WJDtXbmuMlQ9NnvzVms5ZXj."
#define SCRAM                                                                                      \
	"8LGyGpMbKTEQJmtxmXinCw==,UC7+zQ8PJXcR/8iKRbp1pTCvXQ9UrYPvjTg1vch5enc=,"                   \
	"J0WLEwEhiYz3dyC9rs6hQbw0tgVIdZ43fRwVZ3To3kk="
#define SCRAM_1                                                                                    \
	"4096,wQxEsOSZqV1dGvWbjeLvnQ==,6smTsHGlYgbSssqNxJ7WbLDokkw=,pTmSsXmlWv4gWgOID0auObeH9VI="

static const struct {
	const char *text, *name;
} HASHES[] = {
	{"$6$saltsalt$" HASH86, "SHA-512 crypt"},
	{"$6$rounds=10000$NaCl$0gzaD8g1r3ir/"
	 "9ZrOUDowXPxCUM7rwpPuTWdUhkFAOFiA1KRvUcR.8YrToKfEt1aO7kV."
	 "83iYypyEIc.Nu9Zo.",
	 "SHA-512 crypt"},
	{"{SHA512-CRYPT}$6$lfrGQV/okJktnfrJ$aR50SqBkzOvpZefSR3t.cqRD/"
	 "ppwS9z8qgSQIHRAEdyX8lWUY1RCnHrakfWMKYefbOC7tLhaNXLz./tbZWz720",
	 "SHA-512 crypt"},
	{"$5$saltsalt$lJBntEo62mus/ovk43htFvkabtoMEkzjosQqenAm4h8", "SHA-256 crypt"},
	{"$5$rounds=1000$x$X3VSyPeSnfHmlJBg7fZsqy/dcpERGJan04fRXm2aSs8", "SHA-256 crypt"},
	{"{SHA256-CRYPT}$5$ymuJKlV8Q6zz7AP/$q4Li3505DdBOcMR8igj3uE4RsO4Xezd.5kD9rjRmoU/",
	 "SHA-256 crypt"},
	{"$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", "bcrypt"},
	{"$2y$05$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.", "bcrypt"},
	{"$2a$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", "bcrypt"},
	{"{BLF-CRYPT}$2y$05$mbcLjvfEBcESUSoGuHo6IeKm.0sOcMsbU1MQlQDNEDjueZkkEy1Ei", "bcrypt"},
	{"{CRYPT}$2y$05$cteMrwEUqg2EGl2uvheK4e/nrl/1YwQ.Jllt4DRGZJQzdolBWyzt2", "bcrypt"},
	{"$y$j9T$saltsaltsalt$.Ohwvs8H9sSIOzP5.c.yfW9uxko8cKlb8XmDfdW.nQ5", "yescrypt"},
	{"$y$j75$saltsaltsalt$5P4vmC4weXEJP9rD92pYwdyh.ftGNIMLstORp5YTJK/", "yescrypt"},
	{"{SSHA}UsmGpvM70+cOJQoX0erT3L6Jwfk8bcME", "SSHA"},
	{"{ssha}UsmGpvM70+cOJQoX0erT3L6Jwfk8bcME", "SSHA"},
	{"{SSHA.HEX}3b9795150271b954b2f7cdd3380ecdf6bbbbeb7383cc2254", "SSHA"},
	{"{SSHA256}paLEDhIpR6s6mN1JkbTZlj5VYuVlulrPNjk9XZlas4qC3XcW", "SSHA256"},
	{"{SSHA256.HEX}c9d0cb445dfde6689c8fcbd1f4ced7d0638e9680671a168bcc19b51ab6ed45ffbeb7a1ec",
	 "SSHA256"},
	{"{SSHA512}mBIZauHc62KsQCwAuOAUpSPgSiGQJliRUEUQN9flOGO6PvRvqOEAZyKtqpJFqZ2+707k2oI2b3ExAF/"
	 "SirWgYU37cPE=",
	 "SSHA512"},
	{"{SSHA512.b64}NsMAlDwsl6Ut4SZKJK0DF2B9lgaZRfApZYt25HCzfj6VTqpS6RsQ8rWqBF6dWWTy6sNL5v3kedlB"
	 "ORl2PfghB2ztMqs=",
	 "SSHA512"},
	{"{PBKDF2}$1$xhcMOhB22qJHZ9.l$5000$696d2bf32d778ddb4f87c7b1e9a2c900a37210bb", "PBKDF2"},
	{"{SCRAM-SHA-256}4096," SCRAM, "SCRAM-SHA-256"},
	{"{SCRAM-SHA-1}" SCRAM_1, "SCRAM-SHA-1"},
	{"{PLAIN}" GOOD, "clear text"},
	{"{CLEARTEXT}" GOOD, "clear text"},
};
enum { HASH_COUNT = sizeof(HASHES) / sizeof(HASHES[0]) };

static void read_good(const char *text, const char *scheme, struct foreign *out)
{
	char why[FOREIGN_WHY] = "";

	if (foreign_read(slice_str(text), scheme, out, why) != ERR_OK)
		fail_msg("%s: %s", text, why);
}

static void test_each_is_read_and_checked(void **state)
{
	struct foreign foreign, again;

	(void)state;
	for (size_t i = 0; i < HASH_COUNT; i++) {
		read_good(HASHES[i].text, "", &foreign);
		assert_string_equal(foreign_name(foreign.scheme), HASHES[i].name);
		if (!foreign_check(&foreign, SLICE_LIT(GOOD)))
			fail_msg("%s", HASHES[i].text);
		assert_false(foreign_check(&foreign, SLICE_LIT("correct horse batterz")));
		assert_false(foreign_check(&foreign, SLICE_LIT(GOOD " ")));
		if (foreign.scheme == FOREIGN_PLAIN)
			continue;
		/* What is kept of it is read as the same. */
		read_good(foreign.text, "PLAIN", &again);
		if (foreign.scheme >= FOREIGN_SSHA) /* the others say by themselves what they are */
			assert_int_equal(again.scheme, foreign.scheme);
	}
}

static void test_default_scheme(void **state)
{
	char why[FOREIGN_WHY];
	struct foreign foreign;

	(void)state;
	read_good("UsmGpvM70+cOJQoX0erT3L6Jwfk8bcME", "SSHA", &foreign);
	assert_string_equal(foreign.text, "{SSHA}UsmGpvM70+cOJQoX0erT3L6Jwfk8bcME");
	assert_true(foreign_check(&foreign, SLICE_LIT(GOOD)));
	read_good(GOOD, "plain", &foreign);
	assert_int_equal(foreign.scheme, FOREIGN_PLAIN);
	assert_int_equal(foreign_read(SLICE_LIT(GOOD), "", &foreign, why), ERR_SYNTAX);
	assert_int_equal(foreign_read(SLICE_LIT("secret12"), "", &foreign, why), ERR_NOT_FOUND);
	assert_non_null(strstr(why, "{PLAIN}"));
	assert_int_equal(foreign_read(SLICE_LIT("x1"), "ROT13", &foreign, why), ERR_NOT_FOUND);
}

static const struct {
	const char *text;
	enum err err;
	const char *words;
} NO_HASHES[] = {
	{"", ERR_DENIED, "no password"},
	{"x", ERR_DENIED, "/etc/shadow"},
	{"*", ERR_DENIED, "locked"},
	{"!", ERR_DENIED, "locked"},
	{"!!", ERR_DENIED, "locked"},
	{"!*", ERR_DENIED, "locked"},
	{"*LK*", ERR_DENIED, "locked"},
	{"!$6$saltsalt$" HASH86, ERR_DENIED, "locked"},
	{"{CRYPT}*", ERR_DENIED, "locked"},
	{"{CRYPT}", ERR_DENIED, "no password"},
	{"{PLAIN}", ERR_DENIED, "no password"},
	{"*0", ERR_DENIED, "locked"},
	{"{}abc", ERR_NOT_FOUND, ""},
	{"{NOPE}abc", ERR_NOT_FOUND, "{NOPE}"},
	{"{\n}abc", ERR_NOT_FOUND, "no scheme"},
	{"{SSHA", ERR_NOT_FOUND, ""},
	{"{MD5-CRYPT}$1$abc$OjV.pZyPkj1rdFoTIdfbY0", ERR_NOT_FOUND, "too weak"},
	{"$1$abc$OjV.pZyPkj1rdFoTIdfbY0", ERR_NOT_FOUND, "too weak"},
	{"$apr1$abc$OjV.pZyPkj1rdFoTIdfbY0", ERR_NOT_FOUND, "too weak"},
	{"abJnggxhB/yWI", ERR_NOT_FOUND, "DES"},
	{"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", ERR_NOT_FOUND, "no salt"},
	{"{SHA256}kCjqDRXeyqNbLaIcApCvOxpboKMKWRkG+JtQdOIJ6nI=", ERR_NOT_FOUND, "no salt"},
	{"{CRAM-MD5}ab", ERR_NOT_FOUND, "as good as the password"},
	{"$argon2id$v=19$m=65536,t=3,p=1$2S$rw", ERR_NOT_FOUND, "Argon2"},
	{"$6$", ERR_SYNTAX, "whole"},
	{"$6$saltsalt", ERR_SYNTAX, "whole"},
	{"$6$saltsalt$", ERR_SYNTAX, "whole"},
	{"$6$saltsalt$abc", ERR_SYNTAX, "whole"},
	{"$6$saltsalt$" HASH86 ".", ERR_SYNTAX, "whole"},
	{"$6$saltsaltsaltsalts$" HASH86, ERR_SYNTAX, "whole"},
	{"$6$rounds=x$saltsalt$" HASH86, ERR_SYNTAX, "whole"},
	{"$6$rounds=10$saltsalt$" HASH86, ERR_SYNTAX, "whole"},
	{"$6$rounds=-1$saltsalt$" HASH86, ERR_SYNTAX, "whole"},
	{"$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQo", ERR_SYNTAX, "whole"},
	{"$2b$4$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", ERR_SYNTAX, "whole"},
	{"$2b$00$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", ERR_SYNTAX, "whole"},
	{"$2x$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", ERR_NOT_FOUND, ""},
	{"$y$j9T$$.Ohwvs8H9sSIOzP5.c.yfW9uxko8cKlb8XmDfdW.nQ5", ERR_SYNTAX, "whole"},
	{"$y$", ERR_SYNTAX, "whole"},
	{"{SSHA}", ERR_DENIED, "no password"},
	{"{SSHA}AAAA", ERR_SYNTAX, "damaged"},
	{"{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", ERR_SYNTAX, "damaged"}, /* no salt in it */
	{"{SSHA.HEX}3b9", ERR_SYNTAX, "damaged"},
	{"{SSHA}UsmGpvM70+cOJQoX0erT3L6Jwfk8bcM*", ERR_SYNTAX, "damaged"},
	{"{PBKDF2}$1$salt$0$696d2bf32d778ddb4f87c7b1e9a2c900a37210bb", ERR_SYNTAX, ""},
	{"{PBKDF2}$1$salt$5000$696d2b", ERR_SYNTAX, "damaged"},
	{"{PBKDF2}$2$salt$5000$696d2bf32d778ddb4f87c7b1e9a2c900a37210bb", ERR_SYNTAX, ""},
	{"{SCRAM-SHA-256}4096,AA==,BB==", ERR_SYNTAX, "damaged"},
	{"{SCRAM-SHA-256}1," SCRAM, ERR_RANGE, "rounds"},
	{"{SCRAM-SHA-256}" SCRAM_1, ERR_SYNTAX, "damaged"},
	{"{PLAIN}tab\there", ERR_SYNTAX, "control"},
};

static void c6_what_is_no_hash_lets_nobody_in(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(NO_HASHES) / sizeof(NO_HASHES[0]); i++) {
		struct foreign foreign = {.scheme = FOREIGN_PLAIN, .text = "untouched"};
		char why[FOREIGN_WHY] = "";
		enum err err = foreign_read(slice_str(NO_HASHES[i].text), "", &foreign, why);

		if (err != NO_HASHES[i].err || strstr(why, NO_HASHES[i].words) == NULL ||
		    why[0] == '\0')
			fail_msg("%s: %s, \"%s\"", NO_HASHES[i].text, err_name(err), why);
		assert_string_equal(foreign.text, "untouched");
	}
}

/* crypt(3) says no by NULL, or by a text that others compare with what they have. */
static void c6_a_failure_of_crypt_is_no_match(void **state)
{
	struct foreign foreign = {.scheme = FOREIGN_SHA512_CRYPT};
	static const char *const TEXTS[] = {"*0", "*1", "", "$6$", "$9$abc", "*"};
	static char longest[PASSWORD_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
		(void)snprintf(foreign.text, sizeof(foreign.text), "%s", TEXTS[i]);
		assert_false(foreign_check(&foreign, SLICE_LIT("*0")));
		assert_false(foreign_check(&foreign, SLICE_LIT(GOOD)));
	}
	read_good("$6$saltsalt$" HASH86, "", &foreign);
	memset(longest, 'a', PASSWORD_MAX + 1);
	assert_false(
		foreign_check(&foreign, slice_of(longest, PASSWORD_MAX))); /* crypt takes 512 */
	assert_false(foreign_check(&foreign, slice_of(longest, PASSWORD_MAX + 1)));
	assert_false(foreign_check(&foreign, SLICE_LIT("")));
	assert_false(foreign_check(&foreign, slice_of(GOOD "\0", sizeof(GOOD))));
}

static void c12_what_would_take_long_is_not_taken(void **state)
{
	static const char *const TEXTS[] = {
		"$6$rounds=1000001$saltsalt$" HASH86,
		"$6$rounds=999999999$saltsalt$" HASH86,
		"$2b$15$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS",
		"$2b$31$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS",
		"$y$jCT$abcdefgh$pAIrA6idMUJO3FQJ5aerPeHzD.gKIbIkoHkiWG6Z5f7",
		"$y$jzz$abcdefgh$pAIrA6idMUJO3FQJ5aerPeHzD.gKIbIkoHkiWG6Z5f7",
		"{PBKDF2}$1$salt$1000001$696d2bf32d778ddb4f87c7b1e9a2c900a37210bb",
		"{SCRAM-SHA-256}1000001," SCRAM,
	};
	char why[FOREIGN_WHY], large[FOREIGN_MAX + 64];
	struct foreign foreign;

	(void)state;
	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++)
		if (foreign_read(slice_str(TEXTS[i]), "", &foreign, why) != ERR_RANGE)
			fail_msg("%s", TEXTS[i]);
	memset(large, 'A', sizeof(large));
	assert_int_equal(foreign_read(slice_of(large, sizeof(large)), "SSHA512", &foreign, why),
			 ERR_RANGE);
	/* The dearest that are taken end soon. */
	read_good("$y$jBT$abcdefgh$udEw78Hc6.TozDtRiKY3B/dsyuBQ0EFCjS7RWRTgor/", "", &foreign);
	assert_true(foreign_check(&foreign, SLICE_LIT(GOOD)));
}

static void test_a_password_beyond_ascii(void **state)
{
	struct foreign foreign;

	(void)state;
	read_good("$2b$04$abcdefghijklmnopqrstuuXK9YgGLMroYrAHNTC358XbHdTJd6mY6", "", &foreign);
	assert_true(foreign_check(&foreign, SLICE_LIT("éééééééééé")));
	assert_false(foreign_check(&foreign, SLICE_LIT("ééééééééé")));
}

static void test_lines(void **state)
{
	static const struct {
		const char *line;
		enum foreign_file form;
		enum err err;
		const char *name, *hash;
		int64_t expires;
	} CASES[] = {
		{"alice:$6$a$b", FOREIGN_PASSWD_FILE, ERR_OK, "alice", "$6$a$b", 0},
		{"alice:$6$a$b\r", FOREIGN_PASSWD_FILE, ERR_OK, "alice", "$6$a$b", 0},
		{"alice:$6$a$b:1000:1000:A,,:/srv/a:/bin/sh", FOREIGN_PASSWD_FILE, ERR_OK, "alice",
		 "$6$a$b", 0},
		{"alice:", FOREIGN_PASSWD_FILE, ERR_OK, "alice", "", 0},
		{"", FOREIGN_PASSWD_FILE, ERR_EOF, "", "", 0},
		{"  ", FOREIGN_SHADOW, ERR_EOF, "", "", 0},
		{"# alice:x", FOREIGN_DOVECOT, ERR_EOF, "", "", 0},
		{"alice", FOREIGN_PASSWD_FILE, ERR_SYNTAX, "", "", 0},
		{":$6$a$b", FOREIGN_PASSWD_FILE, ERR_SYNTAX, "", "", 0},
		{"alice:$y$x:19000:0:99999:7:::", FOREIGN_SHADOW, ERR_OK, "alice", "$y$x", 0},
		{"alice:$y$x:19000:0:99999:7::20000:", FOREIGN_SHADOW, ERR_OK, "alice", "$y$x",
		 INT64_C(1728000000000)},
		{"alice:$y$x:19000:0:99999:7::soon:", FOREIGN_SHADOW, ERR_SYNTAX, "", "", 0},
		{"alice:$y$x:19000:0:99999:7::99999999999:", FOREIGN_SHADOW, ERR_SYNTAX, "", "", 0},
		{"alice:{SSHA}x:1:1::/srv/a::userdb_mail=x", FOREIGN_DOVECOT, ERR_OK, "alice",
		 "{SSHA}x", 0},
		{"alice:{SSHA}x::::::", FOREIGN_DOVECOT, ERR_OK, "alice", "{SSHA}x", 0},
		{"alice:{SSHA}x::::::nopassword=y", FOREIGN_DOVECOT, ERR_DENIED, "alice", "{SSHA}x",
		 0},
		{"alice:{SSHA}x::::::userdb_x=1 nologin", FOREIGN_DOVECOT, ERR_DENIED, "alice",
		 "{SSHA}x", 0},
		{"alice:{SSHA}x::::::allow_nets=::1/128", FOREIGN_DOVECOT, ERR_DENIED, "alice",
		 "{SSHA}x", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct foreign_line line = {0};
		char why[FOREIGN_WHY] = "";
		enum err err =
			foreign_line_read(slice_str(CASES[i].line), CASES[i].form, &line, why);

		if (err != CASES[i].err)
			fail_msg("%s: %s", CASES[i].line, err_name(err));
		assert_true(slice_is(line.name, CASES[i].name));
		assert_true(slice_is(line.hash, CASES[i].hash));
		assert_int_equal(line.expires, CASES[i].expires);
		assert_int_equal(why[0] != '\0', err == ERR_SYNTAX || err == ERR_DENIED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_is_read_and_checked),
		cmocka_unit_test(test_default_scheme),
		cmocka_unit_test(c6_what_is_no_hash_lets_nobody_in),
		cmocka_unit_test(c6_a_failure_of_crypt_is_no_match),
		cmocka_unit_test(c12_what_would_take_long_is_not_taken),
		cmocka_unit_test(test_a_password_beyond_ascii),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
