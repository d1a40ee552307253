/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "config/parse.h"
#include "config/settings.h"

static char folder[] = "/tmp/postern-config-XXXXXX";

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

/* Reads text as postern.conf; what is said goes into errors, with the folder cut off. */
static enum err read_text(const char *text, struct config **config_out, char errors[4096])
{
	struct buf buf;
	char path[256], line[4096];
	enum err err;

	write_file("postern.conf", text);
	snprintf(path, sizeof(path), "%s/postern.conf", folder);
	buf_init(&buf, 65536);
	err = config_read(path, config_out, &buf);
	snprintf(line, sizeof(line), "%.*s", SLICE_ARG(buf_data(&buf)));
	errors[0] = '\0';
	for (char *at = line, *end; *at != '\0'; at = end) {
		char *cut;

		end = strchr(at, '\n');
		assert_non_null(end);
		*end++ = '\0';
		while ((cut = strstr(at, folder)) != NULL)
			memmove(cut, cut + strlen(folder) + 1,
				strlen(cut + strlen(folder) + 1) + 1);
		snprintf(errors + strlen(errors), 4096 - strlen(errors), "%s\n", at);
	}
	buf_release(&buf);
	return err;
}

static void fails(const char *text, const char *expected)
{
	struct config *config = NULL;
	char errors[4096];

	assert_int_equal(read_text(text, &config, errors), ERR_SYNTAX);
	assert_null(config);
	assert_string_equal(errors, expected);
}

static struct config *reads(const char *text)
{
	struct config *config = NULL;
	char errors[4096];

	if (read_text(text, &config, errors) != ERR_OK)
		fail_msg("%s", errors);
	assert_string_equal(errors, "");
	return config;
}

static const char full[] =
	"# a comment, { with \" everything\n"
	"hostname = \"mail.example.org\" // another\n"
	"/* and\n a third */ domain = example.org\n"
	"listen \"submission\"  { address = \"*:587\"  tls = \"starttls\"  auth = \"required\" }\n"
	"listen \"submissions\" { address = { \"*:465\", # in a list\n \"[::1]:smtp\" }  tls = "
	"implicit }\n"
	"listen \"mta\" { address = \"*:25\" auth = \"optional\"\n"
	"  clear_auth_from = { \"192.0.2.0/24\", \"2001:db8::/64\" } }\n"
	"accept_for = { \"example.org\", \"*.example.net\" }\n"
	"tls { certificate = \"/c.pem\" min_version = \"1.3\" }\n"
	"limits { message_size = 1G sessions = 7 disk_reserve = 0\n"
	"  inode_reserve = 7 memory_reserve = 64M refuse_load = 12 queue_load = 0.5 }\n"
	"timeouts { command = 90s idle = 0 data_final = 1h }\n"
	"relay \"isp\" { host = \"smtp.isp.example:587\" user = \"de\\\"pt\\\\\" password_file = "
	"\"/p\" }\n"
	"relay \"old\" { host = \"[2001:db8::1]:465\" }\n"
	"route \"ours\" { to = \"*@example.org\" via = \"lmtp:/run/dovecot/lmtp\" }\n"
	"route \"away\" { to = { \"@a.example\", \"b@c.example\" } via = \"lmtp:store.example:24\" "
	"}\n"
	"route \"rest\" { via = \"relay:isp\" }\n"
	"queue { expire = 5d retry_factor = 150 }\n"
	"delivery { family = ipv4 port = 2525 resolvers = { 127.0.0.1@5353, ::1 } allow_private = "
	"yes }\n"
	"auth { cache = 0 iterations = 4096 }\n"
	"token \"staff\" { issuer = \"https://idp.example/r\" audience = { postern, \"a b\" }\n"
	"  introspect_url = \"https://idp.example:8443/i?x=1\" client_id = me\n"
	"  client_secret_file = \"/s\" accounts = \"*@example.org\" scope = \"mail.send\" }\n"
	"device \"scanner-3f\" { from = { 192.0.2.7, \"2001:db8::/64\" } send_as = "
	"scan@example.org\n"
	"  to = \"*@example.org\" listeners = { mta, submission } recipients_per_day = 0 }\n"
	"log { format = json target = journal }\n"
	"user_prefix = \"\"\n";

static void reads_everything(void **state)
{
	struct config *c = reads(full);

	(void)state;
	assert_string_equal(c->hostname, "mail.example.org");
	assert_string_equal(config_domain(c), "example.org");
	assert_int_equal(c->listen_count, 3);
	assert_string_equal(c->listens[0].address.items[0], "*:587");
	assert_int_equal(c->listens[1].address.count, 2);
	assert_string_equal(c->listens[1].address.items[1], "[::1]:smtp");
	assert_int_equal(c->listens[1].tls, TLS_MODE_IMPLICIT);
	assert_int_equal(c->listens[2].auth, AUTH_MODE_OPTIONAL);
	assert_int_equal(c->listens[2].tls, TLS_MODE_STARTTLS);
	assert_int_equal(c->listens[2].clear_auth_from.count, 2);
	assert_true(config_networks_have(&c->listens[2].clear_auth_from, SLICE_LIT("192.0.2.9")));
	assert_true(config_networks_have(&c->listens[2].clear_auth_from, SLICE_LIT("2001:db8::9")));
	assert_false(config_networks_have(&c->listens[2].clear_auth_from, SLICE_LIT("192.0.3.9")));
	assert_false(config_networks_have(&c->listens[0].clear_auth_from, SLICE_LIT("192.0.2.9")));
	assert_int_equal(c->accept_for.count, 2);
	assert_string_equal(c->tls.key, "/c.pem"); /* both in one file */
	assert_true(c->tls.min_1_3);
	assert_int_equal(c->limits.message_size, 1 << 30);
	assert_int_equal(c->limits.disk_reserve, 0);
	assert_int_equal(c->limits.inode_reserve, 7);
	assert_int_equal(c->limits.memory_reserve, 64 * 1024 * 1024);
	assert_int_equal(config_load(c->limits.refuse_load, CONFIG_REFUSE_PER_CORE, 4), 1200);
	assert_int_equal(config_load(c->limits.queue_load, CONFIG_QUEUE_PER_CORE, 4), 50);
	assert_int_equal(config_load(0, CONFIG_QUEUE_PER_CORE, 4), 0);
	assert_int_equal(c->timeouts.command, 90000);
	assert_int_equal(c->timeouts.data_final, 3600000);
	assert_string_equal(c->relays[0].user, "de\"pt\\");
	assert_int_equal(c->relays[0].tls, RELAY_TLS_REQUIRED);
	assert_int_equal(c->relays[1].tls, RELAY_TLS_IMPLICIT);
	assert_int_equal(c->route_count, 3);
	assert_int_equal(c->routes[0].kind, ROUTE_LMTP);
	assert_string_equal(c->routes[0].target, "/run/dovecot/lmtp");
	assert_string_equal(c->routes[1].target, "store.example:24");
	assert_int_equal(c->routes[2].kind, ROUTE_RELAY);
	assert_ptr_equal(config_relay_find(c, c->routes[2].target), &c->relays[0]);
	assert_null(config_relay_find(c, "nobody"));
	assert_int_equal(c->delivery.port, 2525);
	assert_int_equal(c->delivery.family, FAMILY_IPV4);
	assert_true(c->delivery.allow_private);
	assert_int_equal(c->auth.cache, 0);
	assert_int_equal(c->devices[0].recipients_per_hour, 60);
	assert_int_equal(c->devices[0].recipients_per_day, 0);
	assert_int_equal(c->log_target, LOG_TARGET_JOURNAL);
	assert_string_equal(c->user_prefix, "");
	config_free(&c);
	assert_null(c);
}

static void i1_a_device_is_its_address_on_its_listeners(void **state)
{
	static const struct {
		const char *listener, *address;
		size_t device; /* 1: none */
	} clients[] = {
		{"mta", "192.0.2.7", 0},
		{"submission", "192.0.2.7", 0},
		{"submissions", "192.0.2.7", 1},
		{"", "192.0.2.7", 1},
		{"mta", "::ffff:192.0.2.7", 0},
		{"mta", "192.0.2.6", 1},
		{"mta", "192.0.2.8", 1},
		{"mta", "192.0.2.70", 1},
		{"mta", "2001:db8::ffff:1", 0},
		{"mta", "2001:db8:0:1::1", 1},
		{"mta", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", 1},
		{"mta", "local", 1},
		{"mta", "", 1},
	};
	struct config *c = reads(full);

	(void)state;
	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++)
		if (config_device_find(c, slice_str(clients[i].listener),
				       slice_str(clients[i].address)) != clients[i].device)
			fail_msg("%s at %s", clients[i].address, clients[i].listener);
	config_free(&c);
}

static void defaults_are_those_of_the_manual(void **state)
{
	struct config *c = reads("hostname = mail.example.org\n");
	char path[4096];

	(void)state;
	assert_int_equal(c->listen_count, 2);
	assert_string_equal(c->listens[0].name, "submission");
	assert_string_equal(c->listens[1].address.items[0], "*:465");
	assert_int_equal(c->listens[1].auth, AUTH_MODE_REQUIRED);
	assert_string_equal(c->tls.certificate, "/etc/postern/tls/cert.pem");
	assert_string_equal(c->tls.key, "/etc/postern/tls/key.pem");
	assert_int_equal(c->limits.message_size, 52428800);
	assert_int_equal(c->limits.disk_reserve, 100 * 1024 * 1024);
	assert_int_equal(config_load(c->limits.refuse_load, CONFIG_REFUSE_PER_CORE, 4), 4800);
	assert_int_equal(config_load(c->limits.queue_load, CONFIG_QUEUE_PER_CORE, 4), 3200);
	assert_int_equal(c->timeouts.data_init, 120000);
	assert_int_equal(c->queue.expire, 3 * 86400000LL);
	assert_int_equal(c->auth.iterations, 15000);
	assert_string_equal(config_domain(c), "mail.example.org");
	config_state_path(c, "lock", path);
	assert_string_equal(path, "/var/lib/postern/lock");
	config_runtime_path(c, "control.sock", path);
	assert_string_equal(path, "/run/postern/control.sock");
	config_free(&c);
}

static struct buf encoded(const struct config *config)
{
	struct buf buf;

	buf_init(&buf, 1 << 20);
	assert_int_equal(config_encode(config, &buf), ERR_OK);
	return buf;
}

static void fresh_is_as_a_file_of_one_line(void **state)
{
	struct config *read = reads("hostname = mail.example.org\n"), *fresh = NULL;
	struct buf x, y;
	char why[512];

	(void)state;
	assert_int_equal(config_fresh("mail.example.org", &fresh, why), ERR_OK);
	x = encoded(read);
	y = encoded(fresh);
	assert_true(slice_equal(buf_data(&x), buf_data(&y)));
	buf_release(&x);
	buf_release(&y);
	config_free(&read);
	config_free(&fresh);
	assert_int_equal(config_fresh("no\"name", &fresh, why), ERR_SYNTAX);
	assert_string_equal(why, "is \"no\"name\"; expected a host name such as mail.example.org");
	assert_null(fresh);
}

static void each_error_names_place_and_remedy(void **state)
{
	(void)state;
	fails("", "postern.conf:1: hostname is not set; it takes a host name such as "
		  "mail.example.org\n");
	fails("hostname = a.example\nhostnme = b\n",
	      "postern.conf:2: unknown setting hostnme; did you mean hostname?\n");
	fails("hostname = a.example\nlistne \"x\" { address = 1 }\n",
	      "postern.conf:2: unknown setting listne; did you mean listen?\n");
	fails("hostname = a.example\nzzzzzzz { a = 1 b = { 2, 3 } }\n",
	      "postern.conf:2: unknown setting zzzzzzz; see postern.conf(5) for those there are\n");
	fails("hostname = a.example\nlimits {\n\tmesage_size = 1M\n}\n",
	      "postern.conf:3: unknown setting mesage_size in section limits; did you mean "
	      "message_size?\n");
	fails("hostname = a.example\nmessage_size = 1M\n",
	      "postern.conf:2: unknown setting message_size; it belongs into section limits\n");
	fails("limits { hostname = a.example }\n", "postern.conf:1: unknown setting hostname in "
						   "section limits; it stands outside of sections\n"
						   "postern.conf:1: hostname is not set; it takes "
						   "a host name such as mail.example.org\n");
	fails("hostname = a.example\n\nhostname = b.example\n",
	      "postern.conf:3: hostname is set a second time; the first is at postern.conf:1\n");
	fails("hostname = a.example\naccept_for = { a.example }\naccept_for = b.example\n",
	      "postern.conf:3: accept_for is set a second time; the first is at postern.conf:2\n");
	fails("hostname = a.example\nlog { }\nlog { format = json }\n",
	      "postern.conf:3: section log is here a second time; the first is at "
	      "postern.conf:2\n");
	fails("hostname = a.example\nrelay \"x\" { host = \"a:25\" }\nrelay \"x\" { host = "
	      "\"b:25\" }\n",
	      "postern.conf:3: relay \"x\" is defined a second time; names must differ\n");
	fails("hostname = a.example\nrelay \"x\" { user = me }\n",
	      "postern.conf:2: relay \"x\" has no host; it takes a host and port such as "
	      "smtp.isp.example:587\n");
	fails("hostname = a.example\nlisten { }\n",
	      "postern.conf:2: a section listen needs a name: listen \"NAME\" { ... }\n");
	fails("hostname = a.example\ntls \"x\" { }\n",
	      "postern.conf:2: tls is a section: tls { ... }\n");
	fails("hostname = a.example\nlimits = 5\n",
	      "postern.conf:2: limits is a section: limits { ... }\n");
	fails("hostname mail\n", "postern.conf:1: after hostname there must be = and a value\n"
				 "postern.conf:1: hostname is not set; it takes a host name such "
				 "as mail.example.org\n");
	fails("hostname = { a }\n", "postern.conf:1: { is not expected here: a setting is written "
				    "name = value, a list name = { "
				    "value, value }\n"
				    "postern.conf:1: hostname is not set; it takes a host name "
				    "such as mail.example.org\n");
	fails("hostname =\n", "postern.conf:1: hostname is not set; it takes a host name such as "
			      "mail.example.org\n"
			      "postern.conf:2: the file ends where a value should be\n");
}

static void each_type_names_its_form(void **state)
{
	static const struct {
		const char *line, *expected;
	} cases[] = {
		{"limits { message_size = 5X }",
		 "message_size is \"5X\"; expected a size in bytes, or with K, M or G: 50M"},
		{"limits { message_size = 5 }", "message_size is 5; it must be between 1K and 4G"},
		{"limits { message_size = 99999999999G }",
		 "message_size is 99999999999G; it must be between 1K and 4G"},
		{"limits { recipients = 0 }", "recipients is 0; it must be between 1 and 10000"},
		{"limits { recipients = -1 }", "recipients is \"-1\"; expected a whole number"},
		{"timeouts { command = 300 }",
		 "command is \"300\"; expected a time with its unit ms, s, m, h or d: 5m"},
		{"timeouts { command = 2d }", "command is 2d; it must be between 1s and 1h"},
		{"auth { iterations = 1000 }",
		 "iterations is 1000; it must be between 4096 and 10000000"},
		{"delivery { family = ipv5 }", "family is \"ipv5\"; expected any, ipv4 or ipv6"},
		{"delivery { allow_private = maybe }",
		 "allow_private is \"maybe\"; expected yes or no"},
		{"delivery { resolvers = ns.example }",
		 "resolvers is \"ns.example\"; expected an address such as 127.0.0.1 or "
		 "127.0.0.1@5353"},
		{"listen \"x\" { address = \"*:587\" clear_auth_from = \"192.0.2.7/24\" }",
		 "clear_auth_from is \"192.0.2.7/24\", an address within a network; write "
		 "192.0.2.0/24 for the network, or the address without /"},
		{"listen \"x\" { address = \"*:587\" clear_auth_from = { 10.0.0.0/8, localhost } }",
		 "clear_auth_from is \"localhost\"; expected a network such as 192.0.2.0/24 or "
		 "2001:db8::/32, or an address"},
		{"state_dir = var", "state_dir is \"var\"; expected an absolute path"},
		{"user_prefix = \"a b\"",
		 "user_prefix is \"a b\"; expected a word of letters, digits, - and _"},
		{"domain = \"a..b\"",
		 "domain is \"a..b\"; expected a host name such as mail.example.org"},
		{"domain = \"\"", "domain is empty; expected a host name such as mail.example.org"},
		{"accept_for = \"@x.example\"", "accept_for is \"@x.example\"; expected a domain "
						"such as example.org or *.example.org"},
		{"listen \"x\" { address = 587 }",
		 "address is \"587\"; expected an address and port such as *:587, 192.0.2.1:25 or "
		 "[::1]:smtp"},
		{"listen \"x\" { address = \"*:99999\" }",
		 "address is \"*:99999\"; expected an address and port such as *:587, 192.0.2.1:25 "
		 "or [::1]:smtp"},
		{"route \"x\" { to = x.example via = mx }",
		 "to is \"x.example\"; for all addresses of the domain write *@x.example"},
		{"route \"x\" { via = smtp }",
		 "via is \"smtp\"; expected mx, relay:NAME, lmtp:/path/of/socket, lmtp:host:port "
		 "or capture:/folder"},
		{"relay \"x\" { host = a.example }",
		 "host is \"a.example\"; expected a host and port such as smtp.isp.example:587"},
		{"token \"x\" { jwks_url = \"http://a.example/\" }",
		 "jwks_url is \"http://a.example/\"; expected an address such as "
		 "https://idp.example.org/keys"},
		{"token \"x\" { jwks_url = \"https://me:pw@a.example/\" }",
		 "jwks_url is \"https://me:pw@a.example/\"; expected an address such as "
		 "https://idp.example.org/keys"},
		{"token \"x\" { jwks_url = \"https:///keys\" }",
		 "jwks_url is \"https:///keys\"; expected an address such as "
		 "https://idp.example.org/keys"},
		{"token \"x\" { issuer = a }",
		 "token \"x\" has no audience; it takes a text, or a list of them"},
		{"domain = \"a\\x01\"",
		 "domain has a character that cannot be in it (a control character, or no UTF-8)"},
		{"log { format = \"two",
		 "a string begins in this line and does not end in it: a quote is missing"},
		{"log {", "a { in this line is never closed: a } is missing"},
		{"listen \"x\" { address = *:587 }",
		 "a value with * or + must stand in quotes, as in address = \"*:587\""},
		{"}", "a } without its {"},
		{"/* ", "a comment begins with /* in this line and does not end"},
		{"a\001", "a control character: this is not a text file"},
		{"include()", "include takes one file: include(\"file\")"},
		{"include(\"gone.conf\")", "include: gone.conf: No such file or directory"},
	};
	char text[512], expected[512];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "hostname = a.example\n# one\n%s\n", cases[i].line);
		snprintf(expected, sizeof(expected), "postern.conf:3: %s\n", cases[i].expected);

		struct config *config = NULL;
		char errors[4096];

		assert_int_equal(read_text(text, &config, errors), ERR_SYNTAX);
		/* What stops the reading also leaves hostname unset, which is told as well. */
		if (strstr(errors, expected) == NULL)
			fail_msg("%s\n gives\n%s", text, errors);
	}
}

static void many_errors_in_one_run(void **state)
{
	(void)state;
	fails("hostname = a_b\nfoo = 1\nlimits { sesions = 5 hops = 1 }\nbar \"x\" { y = 1 }\n"
	      "timeouts { command = 5 }\n",
	      "postern.conf:1: hostname is \"a_b\"; expected a host name such as mail.example.org\n"
	      "postern.conf:2: unknown setting foo; see postern.conf(5) for those there are\n"
	      "postern.conf:3: unknown setting sesions in section limits; did you mean sessions?\n"
	      "postern.conf:3: hops is 1; it must be between 10 and 1000\n"
	      "postern.conf:4: unknown setting bar; see postern.conf(5) for those there are\n"
	      "postern.conf:5: command is \"5\"; expected a time with its unit ms, s, m, h or d: "
	      "5m\n");
}

static void includes_are_relative_and_ordered(void **state)
{
	struct config *config;
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/conf.d", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	write_file("conf.d/one.conf", "route \"b\" { via = mx }\ninclude(\"two.conf\")\n");
	write_file("conf.d/two.conf", "route \"c\" { via = mx }\n");
	config = reads(
		"hostname = a.example\nroute \"a\" { via = mx }\ninclude(\"conf.d/one.conf\")\n"
		"route \"d\" { via = mx }\n");
	assert_int_equal(config->route_count, 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(config->routes[i].name[0], 'a' + (int)i);
	config_free(&config);
	write_file("conf.d/two.conf", "\nhostname = b.example\nxyz = 1\n");
	fails("hostname = a.example\ninclude(\"conf.d/one.conf\")\nlimits { hops = x }\n",
	      "postern.conf:3: hops is \"x\"; expected a whole number\n"
	      "conf.d/two.conf:2: hostname is set a second time; the first is at postern.conf:1\n"
	      "conf.d/two.conf:3: unknown setting xyz; see postern.conf(5) for those there are\n");
	write_file("conf.d/two.conf", "include(\"one.conf\")\n");

	char errors[4096];

	config = NULL;
	assert_int_equal(
		read_text("hostname = a.example\ninclude(\"conf.d/one.conf\")\n", &config, errors),
		ERR_SYNTAX);
	assert_non_null(strstr(errors, "files include each other more than 8 deep"));
	/* A failure leaves nothing behind that the next reading would meet. */
	for (int i = 0; i < 20; i++) {
		assert_int_equal(read_text("hostname = a.example\ninclude(\"conf.d/one.conf\")\n",
					   &config, errors),
				 ERR_SYNTAX);
		config = reads("hostname = a.example\n");
		config_free(&config);
	}
}

static void missing_file(void **state)
{
	struct config *config = NULL;
	struct buf errors;

	(void)state;
	buf_init(&errors, 4096);
	assert_int_equal(config_read("/nowhere/postern.conf", &config, &errors), ERR_NOT_FOUND);
	assert_true(
		slice_is(buf_data(&errors), "/nowhere/postern.conf: No such file or directory\n"));
	buf_clear(&errors);
	assert_int_equal(config_read("/", &config, &errors), ERR_IO);
	assert_true(slice_is(buf_data(&errors), "/: not a regular file\n"));
	buf_release(&errors);
	assert_null(config);
}

static void assert_same(const struct config *a, const struct config *b)
{
	struct buf x = encoded(a), y = encoded(b);

	assert_true(slice_equal(buf_data(&x), buf_data(&y)));
	buf_release(&x);
	buf_release(&y);
}

static void encoding_goes_round(void **state)
{
	struct config *config = reads(full), *again = NULL, *none = NULL;
	struct buf bytes = encoded(config), small;

	(void)state;
	assert_int_equal(config_decode(buf_data(&bytes), &again), ERR_OK);
	assert_same(config, again);
	assert_string_equal(again->routes[1].target, "store.example:24");
	assert_int_equal(again->listens[1].address.count, 2);
	for (size_t len = 0; len < buf_len(&bytes); len++)
		assert_int_not_equal(config_decode(slice_head(buf_data(&bytes), len), &none),
				     ERR_OK);
	assert_int_equal(buf_append_byte(&bytes, 0), ERR_OK);
	assert_int_equal(config_decode(buf_data(&bytes), &none), ERR_SYNTAX);
	assert_null(none);
	buf_init(&small, buf_len(&bytes) / 2);
	assert_int_equal(config_encode(config, &small), ERR_FULL);
	assert_int_equal(buf_len(&small), 0);
	buf_release(&small);
	buf_release(&bytes);
	config_free(&config);
	config_free(&again);
}

/* Whatever is decoded is within the bounds: it can be printed and read again. */
static void mutations_are_refused_or_valid(void **state)
{
	struct config *config = reads(full);
	struct buf bytes = encoded(config);
	unsigned seed = 1, valid = 0;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		size_t len = buf_len(&bytes);
		char *copy = mem_strndup(buf_data(&bytes).ptr, len);
		struct config *decoded = NULL;

		for (unsigned n = 0; n <= round % 3; n++)
			copy[(size_t)rand_r(&seed) % len] = (char)rand_r(&seed);
		if (config_decode(slice_of(copy, len), &decoded) == ERR_OK) {
			struct buf back = encoded(decoded);

			assert_true(slice_equal(buf_data(&back), slice_of(copy, len)));
			assert_in_range(decoded->limits.hops, 10, 1000);
			assert_in_range(decoded->delivery.port, 1, 65535);
			assert_in_range(decoded->log_target, LOG_TARGET_STDERR, LOG_TARGET_JOURNAL);
			buf_release(&back);
			config_free(&decoded);
			valid++;
		}
		mem_free(copy);
	}
	assert_in_range(valid, 1, 19999);
	buf_release(&bytes);
	config_free(&config);
}

static void what_is_printed_reads_the_same(void **state)
{
	struct config *config = reads(full), *simple = reads("hostname = a.example\n");

	(void)state;
	for (int i = 0; i < 4; i++) {
		const struct config *from = i < 2 ? config : simple;
		struct config *again;
		struct buf text;

		buf_init(&text, 1 << 20);
		assert_int_equal(config_print(from, i % 2 == 0, &text), ERR_OK);
		assert_int_equal(buf_append_byte(&text, '\0'), ERR_OK);
		again = reads(buf_data(&text).ptr);
		assert_same(from, again);
		config_free(&again);
		buf_release(&text);
	}
	config_free(&config);
	config_free(&simple);
}

static void each_setting_is_in_the_manual(void **state)
{
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	assert_int_equal(config_manual(&text), ERR_OK);
	assert_int_equal(buf_append_byte(&text, '\0'), ERR_OK);
	for (size_t i = 0; i < config_section_count; i++)
		for (const struct setting *s = setting_first(&config_sections[i]); s != NULL;
		     s = setting_next(s)) {
			char item[128];

			snprintf(item, sizeof(item), "\n.It Ic %s No =\n", s->name);
			assert_non_null(strstr(buf_data(&text).ptr, item));
			assert_true(strlen(s->help) > 5);
		}
	assert_non_null(strstr(buf_data(&text).ptr, "Default: 50M; from 1K to 4G."));
	buf_release(&text);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
	static const char *const names[] = {"conf.d/one.conf", "conf.d/two.conf", "postern.conf",
					    "conf.d", ""};
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
		cmocka_unit_test(reads_everything),
		cmocka_unit_test(i1_a_device_is_its_address_on_its_listeners),
		cmocka_unit_test(defaults_are_those_of_the_manual),
		cmocka_unit_test(fresh_is_as_a_file_of_one_line),
		cmocka_unit_test(each_error_names_place_and_remedy),
		cmocka_unit_test(each_type_names_its_form),
		cmocka_unit_test(many_errors_in_one_run),
		cmocka_unit_test(includes_are_relative_and_ordered),
		cmocka_unit_test(missing_file),
		cmocka_unit_test(encoding_goes_round),
		cmocka_unit_test(mutations_are_refused_or_valid),
		cmocka_unit_test(what_is_printed_reads_the_same),
		cmocka_unit_test(each_setting_is_in_the_manual),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
