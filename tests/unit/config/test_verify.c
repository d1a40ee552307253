/* SPDX-License-Identifier: Apache-2.0 */
/* What does not fit together in a configuration, told with file and line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "config/parse.h"

static char folder[] = "/tmp/postern-verify-XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* What is said of the file, with the folder cut off. */
static void verified(const char *text, const char *expected)
{
	struct config *config = NULL;
	struct buf errors;
	char path[256], *said, *cut;

	write_file("postern.conf", text);
	snprintf(path, sizeof(path), "%s/postern.conf", folder);
	buf_init(&errors, 65536);
	if (config_read(path, &config, &errors) != ERR_OK)
		fail_msg("%.*s", SLICE_ARG(buf_data(&errors)));
	assert_int_equal(config_verify(config, &errors), expected[0] != '\0' ? ERR_SYNTAX : ERR_OK);
	buf_append_byte(&errors, '\0');
	said = strdup(buf_data(&errors).ptr);
	while ((cut = strstr(said, folder)) != NULL)
		memmove(cut, cut + strlen(folder) + 1, strlen(cut + strlen(folder) + 1) + 1);
	assert_string_equal(said, expected);
	free(said);
	buf_release(&errors);
	config_free(&config);
}

#define PLAIN                                                                                      \
	"hostname = mail.example.org listen \"x\" { address = \"*:2525\" tls = none auth = off } "

#define BARE_TOKEN "token \"t\" { issuer = i audience = a "
#define TOKEN      "token \"t\" { issuer = i audience = a jwks_file = \"/dev/null\" }"

static void verify_tells_of_tokens(void **state)
{
	(void)state;
	verified(PLAIN TOKEN, "");
	verified(PLAIN TOKEN "\nauth { mechanisms = xoauth2 }", "");
	verified(PLAIN
		 "\nalert { command = \"/bin/true\"\nwebhook = \"https://a.example\" user = root }",
		 "postern.conf:3: alert: command and webhook are both set; one tells an alert on: "
		 "take one out, a command can call curl\n");
	verified(PLAIN "\nalert { webhook_ca_file = \"/dev/null\" }",
		 "postern.conf:2: alert: webhook_ca_file is of no use without webhook; take it "
		 "out\n");
	verified(PLAIN "\nauth { mechanisms = { PLAIN, xoauth2 } }",
		 "postern.conf:2: auth: mechanisms: tokens are of no use without a token section, "
		 "which says whose they are; take OAUTHBEARER and XOAUTH2 out, or add one\n");
	verified(PLAIN TOKEN "\ntoken \"u\" { audience = b jwks_file = \"/nowhere/k\"\n"
			     "issuer = j }",
		 "postern.conf:2: token \"u\": jwks_file: /nowhere/k: No such file or "
		 "directory\n");
	verified(PLAIN "\n" BARE_TOKEN "}",
		 "postern.conf:2: token \"t\": none of jwks_file, jwks_url and introspect_url is "
		 "set; exactly one says how tokens are checked\n");
	verified(PLAIN "\n" BARE_TOKEN "\njwks_url = \"https://a.example/\"\n"
		       "introspect_url = \"https://[::1]:8443/\" }",
		 "postern.conf:4: token \"t\": more than one of jwks_file, jwks_url and "
		 "introspect_url is set; exactly one says how tokens are checked\n");
	verified(PLAIN "\n" BARE_TOKEN "\nintrospect_url = \"https://a.example\"\nclient_id = x }",
		 "postern.conf:4: token \"t\": client_id and client_secret_file belong together; "
		 "set both, or none\n");
	verified(PLAIN "\n" BARE_TOKEN "jwks_url = \"https://a.example\" client_id = x\n"
		       "client_secret_file = \"/dev/null\" }",
		 "postern.conf:2: token \"t\": client_id is of no use without introspect_url; take "
		 "it out\n");
	verified(PLAIN "\n" BARE_TOKEN "jwks_file = \"/dev/null\"\nca_file = \"/dev/null\" }",
		 "postern.conf:3: token \"t\": ca_file is of no use without jwks_url or "
		 "introspect_url; take it out\n");
	verified(PLAIN TOKEN "\ntoken \"u\" { audience = b jwks_file = \"/dev/null\"\n"
			     "issuer = i }",
		 "postern.conf:3: token \"u\": token \"t\" has the same issuer; one section tells "
		 "all of it\n");
}

#define LDAP "user_prefix = \"\" \nbackend \"b\" { type = ldap servers = "
#define BASE " base = \"o=x\" "

static void verify_tells_of_directories(void **state)
{
	(void)state;
	verified(PLAIN LDAP "{ \"ldaps://a.example\", \"ldaps://[2001:db8::1]:6360/\" }" BASE "}",
		 "");
	verified(PLAIN LDAP
		 "{ \"ldap://localhost\", \"ldap://127.0.0.9:3890\", \"ldap://[::1]\" }" BASE "}",
		 "");
	verified(PLAIN LDAP "\"ldap://a.example\" starttls = yes bind_template = \"uid=%u,o=x\" }",
		 "");
	verified(PLAIN LDAP "\"ldap://127.0.0.1.example\"" BASE "}",
		 "postern.conf:2: backend \"b\": servers: \"ldap://127.0.0.1.example\" would get "
		 "passwords in clear over the network; use ldaps:// or set starttls = yes\n");
	verified(PLAIN LDAP "{ \"a.example\", \"ldaps://\", \"ldaps://a/o=x\" }" BASE "}",
		 "postern.conf:2: backend \"b\": servers: \"a.example\" does not begin with "
		 "ldaps:// "
		 "or ldap://\n"
		 "postern.conf:2: backend \"b\": servers: \"ldaps://\" is to be a host and perhaps "
		 "a "
		 "port, and nothing more: ldaps://ldap.example.org:636; the rest has settings of "
		 "its "
		 "own\n"
		 "postern.conf:2: backend \"b\": servers: \"ldaps://a/o=x\" is to be a host and "
		 "perhaps a port, and nothing more: ldaps://ldap.example.org:636; the rest has "
		 "settings of its own\n");
	verified(PLAIN LDAP "\"ldaps://a\" starttls = yes" BASE
			    "bind_dn = \"cn=x\" filter = \"uid=x\" }",
		 "postern.conf:2: backend \"b\": starttls is for ldap://; \"ldaps://a\" has TLS "
		 "from "
		 "the start\n"
		 "postern.conf:2: backend \"b\": filter: \"uid=x\" is the same for everybody; put "
		 "%u "
		 "where the name belongs\n"
		 "postern.conf:2: backend \"b\": filter: write it in parentheses: (uid=%u)\n"
		 "postern.conf:2: backend \"b\": bind_dn is set, and so bind_password_file must "
		 "be\n");
	verified(PLAIN LDAP "\"ldaps://a\" bind_template = \"%n\" }",
		 "postern.conf:2: backend \"b\": bind_template: after % comes u (name), d "
		 "(domain), s "
		 "(both) or % in \"%n\"\n");
	verified(PLAIN LDAP "\"ldaps://a\" scope = one bind_template = \"%u\" }",
		 "postern.conf:2: backend \"b\": with bind_template nothing is searched; take out "
		 "base, "
		 "filter, scope, bind_dn and bind_password_file, or bind_template\n");
	verified(
		PLAIN "user_prefix = \"\" \nbackend \"b\" { type = ldap }",
		"postern.conf:2: backend \"b\": servers is missing: servers = "
		"\"ldaps://ldap.example.org\"\n"
		"postern.conf:2: backend \"b\": say where people are: base, to search for them, or "
		"bind_template, if it is the same for all\n");
	verified(
		PLAIN
		"user_prefix = \"\" \nbackend \"b\" { type = pam starttls = yes scope = base }",
		"postern.conf:2: backend \"b\": starttls is of no use with type = \"pam\"; take it "
		"out\n"
		"postern.conf:2: backend \"b\": scope is of no use with type = \"pam\"; take it "
		"out\n");
}

#define DEVICE(from, rest) "device \"d\" { from = " from " send_as = d@example.org " rest "}"
#define ADVICE                                                                                     \
	"; name the device's own address, or set i_know_this_is_open = yes if all of these may "   \
	"send mail through this server\n"

static void i1_verify_tells_of_devices_that_others_could_be(void **state)
{
	(void)state;
	verified(PLAIN DEVICE("198.51.100.7", ""), "");
	verified(PLAIN DEVICE("{ 198.51.100.0/24, 2001:db8:1::/64 }", "listeners = x"), "");
	verified(PLAIN DEVICE("198.51.100.0/23", "i_know_this_is_open = yes"), "");
	verified(PLAIN "\n" DEVICE("198.51.100.0/23", ""),
		 "postern.conf:2: device \"d\": from = 198.51.100.0/23 is wider than a /24" ADVICE);
	verified(PLAIN "\n" DEVICE("{ 198.51.100.7, 2001:db8::/63 }", ""),
		 "postern.conf:2: device \"d\": from = 2001:db8::/63 is wider than a /64" ADVICE);
	verified(
		PLAIN "\n" DEVICE("127.0.0.9", ""),
		"postern.conf:2: device \"d\": from = 127.0.0.9 is this machine itself: every user "
		"and program of it" ADVICE);
	verified(
		"hostname = mail.example.org listen x { address = \"*:2525\" tls = none auth = off "
		"proxy_from = 198.51.100.4 }\n" DEVICE("198.51.100.0/24", ""),
		"postern.conf:2: device \"d\": from = 198.51.100.0/24 has balancers of listen "
		"\"x\" "
		"in it (proxy_from 198.51.100.4): clients whose address they do not tell" ADVICE);
	verified(
		PLAIN DEVICE("198.51.100.7", "listeners = x") "\ndevice e { from = 198.51.100.0/29 "
							      "send_as = e@example.org }",
		"postern.conf:2: device \"e\": from = 198.51.100.0/29 is device \"d\", too "
		"(198.51.100.7); an address can be one device only\n");
}

static void verify_tells_of_the_words_of_devices(void **state)
{
	(void)state;
	verified(PLAIN "\ndevice \"Scan 1\" { from = 198.51.100.7 send_as = s@example.org }",
		 "postern.conf:2: device \"Scan 1\": its name is to be of a-z, 0-9 and . _ -, at "
		 "most 32 of them: it is part of an account's\n");
	verified(PLAIN "\ndevice d { from = 198.51.100.7 send_as = { \"*@example.org\" } }",
		 "postern.conf:2: device \"d\": send_as begins with *@example.org; the first is to "
		 "be "
		 "a whole address, such as scan@example.org: it gets what comes back, and is put "
		 "where "
		 "From is missing\n");
	verified(PLAIN "\n" DEVICE("198.51.100.7", "listeners = { x, y }"),
		 "postern.conf:2: device \"d\": there is no listen \"y\"\n");
}

#define EXEC "user_prefix = \"\" \nbackend \"b\" { type = exec "

static void verify_tells_of_programs(void **state)
{
	(void)state;
	verified(PLAIN EXEC "command = { \"/bin/true\", \"x\" } }", "");
	verified(PLAIN EXEC "}", "postern.conf:2: backend \"b\": command is missing: command = "
				 "\"/usr/local/bin/checkpassword\"\n");
	verified(PLAIN EXEC "command = \"true\" }", "postern.conf:2: backend \"b\": command: write "
						    "where \"true\" lies: an absolute path; "
						    "there is no shell that would look for it\n");
	verified(PLAIN EXEC "command = \"/nowhere/x\" }",
		 "postern.conf:2: backend \"b\": command: /nowhere/x: No such file or directory\n");
	verified(PLAIN EXEC "command = \"/etc/services\" }",
		 "postern.conf:2: backend \"b\": command: /etc/services is not a program that can "
		 "be "
		 "run: chmod a+x makes one of a script\n");
	verified(PLAIN EXEC "command = \"/bin\" }", "postern.conf:2: backend \"b\": command: /bin "
						    "is not a program that can be run: chmod "
						    "a+x makes one of a script\n");
}

static void verify_tells_what_does_not_fit(void **state)
{
	(void)state;
	verified(PLAIN, "");
	verified(PLAIN "route \"r\" { via = \"relay:isp\" }",
		 "postern.conf:1: route \"r\": there is no relay \"isp\"; add relay \"isp\" { host "
		 "= ... }\n");
	verified(PLAIN "listen \"y\" { address = \"127.0.0.1:2525\" tls = none auth = optional }",
		 "postern.conf:1: listen \"y\": address 127.0.0.1:2525 is taken by *:2525 of "
		 "listen \"x\"; one of "
		 "them must "
		 "change\n");
	verified(PLAIN "listen \"y\" { address = { \"[::1]:25\", \"127.0.0.1:25\" } tls = none "
		       "auth = off }",
		 "");
	verified(
		PLAIN
		"listen \"y\" { address = { \"*:smtp\", \"127.0.0.1:25\" } tls = none auth = off }",
		"postern.conf:1: listen \"y\": address 127.0.0.1:25 is taken by *:smtp of listen "
		"\"y\"; one of "
		"them must "
		"change\n");
	verified(PLAIN "listen \"y\" { address = \"*:nosuchport\" tls = none auth = off }",
		 "postern.conf:1: listen \"y\": address *:nosuchport: /etc/services knows no such "
		 "port; write its "
		 "number\n");
	verified("hostname = mail.example.org listen \"x\" { address = \"*:1\" tls = none }",
		 "postern.conf:1: listen \"x\": nobody could log in: passwords are not taken "
		 "without TLS; set "
		 "tls = \"starttls\" or \"implicit\", or name the clients that may in "
		 "clear_auth_from\n");
	verified("hostname = mail.example.org listen \"x\" { address = \"*:1\" tls = none "
		 "clear_auth_from = 192.0.2.7 }",
		 "");
	verified(PLAIN "listen \"y\" { address = \"*:1\" tls = none auth = off "
		       "clear_auth_from = 192.0.2.7 }",
		 "postern.conf:1: listen \"y\": clear_auth_from is of no use with auth = \"off\"; "
		 "take it out, or "
		 "allow logins\n");
	verified(PLAIN "listen \"y\" { address = \"*:1\" tls = none auth = off etrn = yes "
		       "auth_equals = yes }",
		 "postern.conf:1: listen \"y\": etrn is of no use with auth = \"off\"; take it "
		 "out, or allow "
		 "logins\n"
		 "postern.conf:1: listen \"y\": auth_equals is of no use with auth = \"off\"; take "
		 "it out, or "
		 "allow logins\n");
	verified(PLAIN "listen \"y\" { address = \"*:1\" tls = none auth = off "
		       "tls_legacy_min = 1.1 }",
		 "postern.conf:1: listen \"y\": tls_legacy_min is of no use without "
		 "tls_legacy_from, which names "
		 "the clients that it is for\n");
	verified("hostname = mail.example.org tls { certificate = \"/nowhere/c.pem\" }",
		 "postern.conf:1: tls: certificate: /nowhere/c.pem: No such file or directory; "
		 "`postern setup` "
		 "makes one\n");
	verified(PLAIN "listen \"y\" { address = \"*:1\" tls = none auth = off tls_min = 1.1 }",
		 "postern.conf:1: listen \"y\": tls_min = \"1.1\" would weaken TLS for every "
		 "client; name those "
		 "that "
		 "need it instead: tls_legacy_from = \"192.0.2.7\" and tls_legacy_min = \"1.1\"\n");
	verified(PLAIN "listen \"y\" { address = \"*:1\" tls = none auth = off "
		       "tls_legacy_from = 192.0.2.7 }",
		 "postern.conf:1: listen \"y\": tls_legacy_from is of no use with tls = \"none\"; "
		 "set tls = "
		 "\"starttls\" or \"implicit\"\n");
	verified(PLAIN "relay \"a\" { host = \"a:25\" user = me }",
		 "postern.conf:1: relay \"a\": user is set, and so password_file must be\n");
	verified(PLAIN "relay \"a\" { host = \"a:25\" password_file = \"/dev/null\" }",
		 "postern.conf:1: relay \"a\": password_file is set, and so user must be\n");
	verified(
		PLAIN
		"relay \"a\" { host = \"a:25\" user = u password_file = \"/dev/null\" tls = none }",
		"postern.conf:1: relay \"a\": tls = \"none\" would send the password in clear; use "
		"\"required\" or "
		"\"implicit\"\n");
	verified("hostname = localhost listen \"x\" { address = \"*:2525\" tls = none auth = off }",
		 "postern.conf:1: hostname = \"localhost\" is no public name, and mail that goes "
		 "by MX is refused "
		 "for that; "
		 "set this server's full name, or a route that takes all mail elsewhere\n");
	verified("hostname = localhost listen \"x\" { address = \"*:2525\" tls = none auth = off } "
		 "route \"all\" { via = \"capture:/tmp\" }",
		 "");
	verified(PLAIN "queue { retry_first = 5h }",
		 "postern.conf:1: queue: retry_first is longer than retry_max\n");
}

/* The line of the setting; of the section, if the setting is a default; else the file alone. */
static void each_fault_names_its_line(void **state)
{
	(void)state;
	verified("hostname = mail.example.org\n"
		 "listen \"x\" {\n"
		 "\taddress = \"*:2525\"\n"
		 "\ttls = none\n"
		 "\tauth = off\n"
		 "}\n"
		 "listen \"y\" {\n"
		 "\ttls = none\n"
		 "\tauth = off\n"
		 "\taddress = {\n"
		 "\t\t\"127.0.0.1:2526\",\n"
		 "\t\t\"127.0.0.1:2525\" }\n"
		 "\tetrn = yes }\n",
		 "postern.conf:11: listen \"y\": address 127.0.0.1:2525 is taken by *:2525 of "
		 "listen "
		 "\"x\"; one of them must change\n"
		 "postern.conf:13: listen \"y\": etrn is of no use with auth = \"off\"; take it "
		 "out, "
		 "or allow logins\n");
	verified("hostname = mail.example.org\n"
		 "listen \"x\" { address = \"*:2525\"\n tls = none\n auth = off }\n"
		 "queue {\n"
		 "\texpire = 1h\n"
		 "\tretry_max = 1m }\n",
		 "postern.conf:6: queue: retry_first is longer than retry_max\n");
	/* Nothing of TLS is in it. */
	verified(
		"hostname = mail.example.org\n\nlisten \"x\" { address = \"*:2525\" }\n"
		"certificate \"c\" {\n"
		" certificate = \"/nowhere/one.pem\"\n"
		" key = \"/nowhere/two.pem\" }\n"
		"tls {\n"
		" certificate = \"/nowhere/c.pem\" }\n",
		"postern.conf:8: tls: certificate: /nowhere/c.pem: No such file or directory; "
		"`postern setup` makes one\n"
		"postern.conf:5: certificate \"c\": certificate: /nowhere/one.pem: No such file or "
		"directory\n"
		"postern.conf:6: certificate \"c\": key: /nowhere/two.pem: No such file or "
		"directory\n");
}

static void faults_of_included_files(void **state)
{
	(void)state;
	write_file("more.conf", "\nrelay \"a\" {\n host = \"a:25\"\n user = me\n}\n"
				"relay \"b\" { host = \"b:25\" }\n");
	verified("include(\"more.conf\")\nhostname = localhost\n"
		 "listen \"x\" { address = \"*:2525\" tls = none auth = off }\n"
		 "route \"r\" { to = \"*@b.example\"\n via = \"relay:c\" }\n",
		 "more.conf:4: relay \"a\": user is set, and so password_file must be\n"
		 "postern.conf:5: route \"r\": there is no relay \"c\"; add relay \"c\" { host = "
		 "... "
		 "}\n"
		 "postern.conf:2: hostname = \"localhost\" is no public name, and mail that goes "
		 "by MX "
		 "is refused for that; set this server's full name, or a route that takes all mail "
		 "elsewhere\n");
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
	static const char *const names[] = {"more.conf", "postern.conf", ""};
	char path[256];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		remove(path);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verify_tells_of_tokens),
		cmocka_unit_test(verify_tells_of_directories),
		cmocka_unit_test(i1_verify_tells_of_devices_that_others_could_be),
		cmocka_unit_test(verify_tells_of_the_words_of_devices),
		cmocka_unit_test(verify_tells_of_programs),
		cmocka_unit_test(verify_tells_what_does_not_fit),
		cmocka_unit_test(each_fault_names_its_line),
		cmocka_unit_test(faults_of_included_files),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
