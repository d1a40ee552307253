/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/net.h"

static void reading_and_printing(void **state)
{
	static const struct {
		const char *in, *plain, *port;
	} table[] = {
		{"192.0.2.1", "192.0.2.1", "192.0.2.1:25"},
		{"2001:db8::1", "2001:db8::1", "[2001:db8::1]:25"},
		{"2001:0DB8:0:0::1", "2001:db8::1", "[2001:db8::1]:25"},
		{"::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1:25"},
		{"::", "::", "[::]:25"},
	};
	static const char *const bad[] = {"",      "192.0.2",   "192.0.2.256", "1.2.3.4 ",
					  "::g",   "[::1]",     "example.org", "0x7f.1",
					  "127.1", "fe80::1%lo"};
	struct net_address address;
	char text[NET_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(net_read(slice_str(table[i].in), 25, &address), ERR_OK);
		net_print(&address, text);
		assert_string_equal(text, table[i].plain);
		net_print_port(&address, text);
		assert_string_equal(text, table[i].port);
		assert_int_equal(net_port(&address), 25);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(net_read(slice_str(bad[i]), 25, &address), ERR_SYNTAX);
	assert_int_equal(net_read(SLICE_LIT("127.0.0.1\0x"), 25, &address), ERR_SYNTAX);
}

/* threats.md K4: every address that must not be reached through the DNS. */
static void private_addresses(void **state)
{
	static const char *const private[] = {
		"0.0.0.0",
		"0.1.2.3",
		"10.0.0.1",
		"10.255.255.255",
		"100.64.0.1",
		"100.127.255.255",
		"127.0.0.1",
		"127.255.0.1",
		"169.254.169.254",
		"172.16.0.1",
		"172.31.255.255",
		"192.0.0.1",
		"192.168.1.1",
		"198.18.0.1",
		"198.19.255.255",
		"224.0.0.1",
		"239.255.255.255",
		"240.0.0.1",
		"255.255.255.255",
		"::",
		"::1",
		"::127.0.0.1",
		"::10.1.2.3",
		"::ffff:10.0.0.1",
		"::ffff:127.0.0.1",
		"::ffff:169.254.169.254",
		"64:ff9b::10.0.0.1",
		"64:ff9b::7f00:1",
		"64:ff9b:1::1",
		"2002:7f00:1::1",
		"2002:a00:1::",
		"2002:c0a8:101::1",
		"2001:0:7f00:1::1",
		"2001:0:5db8:d822::80ff:fffe",
		"fc00::1",
		"fdff::1",
		"fe80::1",
		"febf::1",
		"fec0::1",
		"ff02::1",
		"100::1",
		"2001:db8::5efe:10.0.0.1",
		"2001:db8::200:5efe:10.0.0.1",
	};
	static const char *const public[] = {
		"1.1.1.1",         "9.255.255.255",   "11.0.0.0",       "100.63.255.255",
		"100.128.0.0",     "126.255.255.255", "128.0.0.1",      "169.253.255.255",
		"169.255.0.0",     "172.15.255.255",  "172.32.0.0",     "192.0.1.1",
		"192.167.255.255", "192.169.0.0",     "198.17.255.255", "198.20.0.0",
		"223.255.255.255", "2a00:1450::1",    "::ffff:1.1.1.1", "64:ff9b::1.1.1.1",
		"2002:101:101::1", "fbff::1",         "fe00::1",        "2001:db8::5efe:1.1.1.1",
		"2001:4860::8888",
	};
	struct net_address address;

	(void)state;
	for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
		assert_int_equal(net_read(slice_str(private[i]), 25, &address), ERR_OK);
		if (!net_is_private(&address))
			fail_msg("%s", private[i]);
	}
	for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++) {
		assert_int_equal(net_read(slice_str(public[i]), 25, &address), ERR_OK);
		if (net_is_private(&address))
			fail_msg("%s", public[i]);
	}
	assert_int_equal(net_read_local("/run/lmtp", &address), ERR_OK);
	assert_true(net_is_private(&address));
}

static void loopback(void **state)
{
	static const struct {
		const char *text;
		bool is;
	} cases[] = {{"127.0.0.1", true},
		     {"127.255.255.255", true},
		     {"::1", true},
		     {"::ffff:127.0.0.1", true},
		     {"126.255.255.255", false},
		     {"128.0.0.1", false},
		     {"10.0.0.1", false},
		     {"::", false},
		     {"::2", false},
		     {"::ffff:10.0.0.1", false},
		     {"::127.0.0.1", false},
		     {"0.0.0.0", false},
		     {"64:ff9b::7f00:1", false}};
	struct net_address address;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(net_read(slice_str(cases[i].text), 25, &address), ERR_OK);
		if (net_is_loopback(&address) != cases[i].is)
			fail_msg("%s", cases[i].text);
	}
	assert_int_equal(net_read_local("/run/lmtp", &address), ERR_OK);
	assert_true(net_is_loopback(&address));
}

static void listen_addresses(void **state)
{
	static const struct {
		const char *in, *first, *second;
	} table[] = {
		{"*:587", "0.0.0.0:587", "[::]:587"}, {"0.0.0.0:25", "0.0.0.0:25", NULL},
		{"[::1]:2525", "[::1]:2525", NULL},   {"127.0.0.1:smtp", "127.0.0.1:25", NULL},
		{"[::]:65535", "[::]:65535", NULL},   {"*:submission", "0.0.0.0:587", "[::]:587"},
	};
	static const struct {
		const char *in;
		enum err err;
		const char *word;
	} bad[] = {
		{"587", ERR_SYNTAX, "no port"},
		{"*", ERR_SYNTAX, "no port"},
		{"*:0", ERR_SYNTAX, "1 to 65535"},
		{"*:65536", ERR_SYNTAX, "1 to 65535"},
		{"*:25x", ERR_SYNTAX, "1 to 65535"},
		{"*:-1", ERR_NOT_FOUND, "service"},
		{"::1:25", ERR_SYNTAX, "[::1]:25"},
		{":25", ERR_SYNTAX, "no address"},
		{"*:nosuch", ERR_NOT_FOUND, "nosuch"},
		{"*:", ERR_NOT_FOUND, "service"},
		{"[]:25", ERR_SYNTAX, "no address"},
		{"", ERR_SYNTAX, "no port"},
		{"no.such.invalid:25", ERR_NOT_FOUND, "no.such.invalid"},
	};
	struct net_address addresses[8];
	char why[256], text[NET_TEXT_MAX];
	size_t count;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(net_listen_addresses(table[i].in, addresses, 8, &count, why),
				 ERR_OK);
		assert_int_equal(count, table[i].second != NULL ? 2 : 1);
		net_print_port(&addresses[0], text);
		assert_string_equal(text, table[i].first);
		if (table[i].second != NULL) {
			net_print_port(&addresses[1], text);
			assert_string_equal(text, table[i].second);
		}
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why[0] = 0;
		assert_int_equal(net_listen_addresses(bad[i].in, addresses, 8, &count, why),
				 bad[i].err);
		if (strstr(why, bad[i].word) == NULL)
			fail_msg("%s: %s", bad[i].in, why);
	}
	assert_int_equal(net_listen_addresses("localhost:2525", addresses, 8, &count, why), ERR_OK);
	assert_in_range(count, 1, 2);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(net_port(&addresses[i]), 2525);
		assert_true(net_is_private(&addresses[i]));
	}
}

static void connecting(void **state)
{
	struct net_address address, peer, mine;
	int listener, other, client, server = -1;
	char text[16], why[NET_TEXT_MAX];
	size_t len;
	enum err err;

	(void)state;
	assert_int_equal(net_read(SLICE_LIT("127.0.0.1"), 0, &address), ERR_OK);
	assert_int_equal(net_listen(&address, 8, &listener), ERR_OK);
	assert_int_equal(net_local_name(listener, &address), ERR_OK);
	assert_int_not_equal(net_port(&address), 0);
	assert_int_equal(net_listen(&address, 8, &other), ERR_BUSY);
	assert_int_equal(net_accept(listener, &server, &peer), ERR_AGAIN);
	assert_int_equal(net_connect(&address, &client), ERR_OK);
	for (int i = 0; i < 100 && net_connect_result(client) == ERR_AGAIN; i++)
		usleep(1000);
	assert_int_equal(net_connect_result(client), ERR_OK);
	while ((err = net_accept(listener, &server, &peer)) == ERR_AGAIN)
		;
	assert_int_equal(err, ERR_OK);
	assert_int_equal(net_local_name(client, &mine), ERR_OK);
	assert_int_equal(net_port(&mine), net_port(&peer));
	net_print(&peer, why);
	assert_string_equal(why, "127.0.0.1");
	assert_true(fcntl(server, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(server, F_GETFL) & O_NONBLOCK);
	net_no_delay(server);
	assert_int_equal(net_recv(server, text, sizeof(text), &len), ERR_AGAIN);
	assert_int_equal(net_send(client, "hello", 5, &len), ERR_OK);
	net_close(&client);
	while ((err = net_recv(server, text, sizeof(text), &len)) == ERR_AGAIN)
		;
	assert_int_equal(err, ERR_OK);
	assert_memory_equal(text, "hello", 5);
	while ((err = net_recv(server, text, sizeof(text), &len)) == ERR_AGAIN)
		;
	assert_int_equal(err, ERR_EOF);
	/* The peer is gone: no signal, an error. */
	while ((err = net_send(server, "x", 1, &len)) == ERR_OK)
		;
	assert_int_equal(err, ERR_EOF);
	net_close(&server);
	net_close(&server);
	net_close(&listener);
}

static void local_sockets(void **state)
{
	char path[] = "/tmp/postern-net-XXXXXX", name[64], longer[200], text[NET_TEXT_MAX];
	struct net_address address, peer;
	int listener, client, server;
	uid_t uid;
	pid_t pid;

	(void)state;
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = 0;
	assert_int_equal(net_read_local(longer, &address), ERR_RANGE);
	assert_non_null(mkdtemp(path));
	snprintf(name, sizeof(name), "%s/socket", path);
	assert_int_equal(net_read_local(name, &address), ERR_OK);
	net_print_port(&address, text);
	assert_string_equal(text, name);
	assert_int_equal(net_connect(&address, &client), ERR_IO);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(net_listen(&address, 8, &listener), ERR_OK);
	assert_int_equal(net_connect(&address, &client), ERR_OK);
	assert_int_equal(net_accept(listener, &server, &peer), ERR_OK);
	net_print(&peer, text);
	assert_string_equal(text, "local");
	assert_int_equal(net_peer_user(server, &uid, &pid), ERR_OK);
	assert_int_equal(uid, getuid());
	assert_int_equal(pid, getpid());
	net_close(&client);
	net_close(&server);
	net_close(&listener);
	unlink(name);
	rmdir(path);
}

static void parts_and_descriptors(void **state)
{
	struct slice parts[3] = {SLICE_LIT("ab"), SLICE_LIT(""), SLICE_LIT("cd")};
	int pair[2], fds[NET_FDS_MAX];
	size_t len, count;
	char text[16];

	(void)state;
	assert_int_equal(net_pair(pair), ERR_OK);
	assert_int_equal(net_send_parts(pair[0], parts, 3, -1, &len), ERR_OK);
	assert_int_equal(len, 4);
	assert_int_equal(net_send_parts(pair[0], parts, 3, pair[0], &len), ERR_OK);
	assert_int_equal(net_recv_fds(pair[1], text, sizeof(text), &len, fds, &count), ERR_OK);
	assert_memory_equal(text, "abcd", 4);
	if (count == 0)
		assert_int_equal(net_recv_fds(pair[1], text, sizeof(text), &len, fds, &count),
				 ERR_OK);
	assert_int_equal(count, 1);
	net_close(&fds[0]);
	assert_int_equal(net_recv_fds(pair[1], text, sizeof(text), &len, fds, &count), ERR_AGAIN);
	net_close(&pair[0]);
	assert_int_equal(net_recv_fds(pair[1], text, sizeof(text), &len, fds, &count), ERR_EOF);
	assert_int_equal(net_send_parts(pair[1], parts, 3, -1, &len), ERR_EOF);
	net_close(&pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_and_printing),
		cmocka_unit_test(private_addresses),
		cmocka_unit_test(loopback),
		cmocka_unit_test(listen_addresses),
		cmocka_unit_test(connecting),
		cmocka_unit_test(local_sockets),
		cmocka_unit_test(parts_and_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
