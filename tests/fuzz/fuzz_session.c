/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole sessions: the smtpd process as it is, with the harness in the place of master, auth,
 * queue, the clients, the clock and the log (session/world.h says what each checks). Input: a
 * byte of options, a byte that seeds chance, then records, each a letter and what belongs to it:
 *
 *	c L A   connect to listener L (0 to 3) from address A (0 to 7)
 *	0 1     the client meant from now on
 *	s ...   send bytes            p ...   send them in clear although TLS is on
 *	t       start TLS             n       close_notify
 *	e       end of input          r       reset
 *	d D     read nothing / again  w T     let time pass: 100 ms times 2^T
 *	a ...   plan of auth          q ...   plan of queue         b ...   act (session/backend.c)
 *	l       a new configuration comes into force
 *	x T     master stops smtpd, which has 100 ms times 2^T (0 to 7): the end
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/parse.h"
#include "os/loop.h"
#include "os/net.h"
#include "tls/tls.h"

#include "accept.h"
#include "knock.h"
#include "auth_link.h"
#include "names_link.h"
#include "queue_link.h"
#include "refusals.h"
#include "session.h"
#include "sessions.h"
#include "smtpd.h"

#include "fuzz.h"
#include "session/child.h"
#include "session/client.h"
#include "session/sim.h"
#include "session/world.h"

enum { CONFIGS = 2, OPS_MAX = 200, MEMORY_MAX = 24 << 20 };

static const char common[] =
	"hostname = \"mail.example.org\"\n"
	"accept_for = {\"example.org\", \"*.ours.example\"}\n"
	"tls { certificate = \"/c\" key = \"/k\" }\n"
	"listen mta { address = \"*:25\" tls = starttls auth = optional }\n"
	"listen submission { address = \"*:587\" tls = starttls auth = required }\n"
	"listen submissions { address = \"*:465\" tls = implicit auth = required }\n"
	"listen devices { address = \"*:2525\" tls = starttls auth = optional\n"
	"	clear_auth_from = {\"192.0.2.0/24\"} proxy_from = {\"2001:db8::/32\"} }\n"
	"device box { from = 203.0.113.9 send_as = box@example.org }\n"
	"route all { via = \"capture:/capture\" }\n";
static const char *const limits[CONFIGS] = {
	"",
	"limits { message_size = 64K recipients = 3 errors = 5 hops = 10 sessions = 3 }\n"
	"timeouts { command = 5s data_block = 5s handshake = 2s login = 10s }\n",
};
static const char *const addresses[] = {"192.0.2.1",   "192.0.2.2", "198.51.100.7", "127.0.0.1",
					"2001:db8::1", "fe80::1",   "203.0.113.9",  "::1"};

struct world the_world;
static struct config *configs[CONFIGS];
static struct tls_identity identity;

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t memory(void)
{
	return __sanitizer_get_current_allocated_bytes != NULL
		       ? __sanitizer_get_current_allocated_bytes()
		       : 0;
}

static struct config *read_config(const char *more)
{
	char path[] = "/tmp/postern-fuzz-XXXXXX";
	int fd = mkstemp(path);
	struct config *config = NULL;
	struct buf errors;

	buf_init(&errors, 65536);
	HOLDS(fd != -1 && write(fd, common, strlen(common)) == (ssize_t)strlen(common) &&
	      write(fd, more, strlen(more)) == (ssize_t)strlen(more));
	if (config_read(path, &config, &errors) != ERR_OK)
		fprintf(stderr, "%.*s\n", SLICE_ARG(buf_data(&errors)));
	HOLDS(config != NULL);
	close(fd);
	unlink(path);
	buf_release(&errors);
	return config;
}

/* What is the same in each run. */
static void prepare(void)
{
	static struct buf certificate, key;

	if (configs[0] != NULL)
		return;
	signal(SIGPIPE, SIG_IGN); /* as every process of ours does */
	for (unsigned i = 0; i < CONFIGS; i++)
		configs[i] = read_config(limits[i]);
	buf_init(&certificate, 65536);
	buf_init(&key, 65536);
	HOLDS(tls_make_self_signed("mail.example.org", 1, &certificate, &key) == ERR_OK);
	identity = (struct tls_identity){buf_data(&certificate), buf_data(&key)};
}

enum err __wrap_tls_make_self_signed(const char *hostname, unsigned days, struct buf *certificate,
				     struct buf *key);
enum err __real_tls_make_self_signed(const char *hostname, unsigned days, struct buf *certificate,
				     struct buf *key);

/* smtpd warms OpenSSL up with a key of its own at each start: one is enough. */
enum err __wrap_tls_make_self_signed(const char *hostname, unsigned days, struct buf *certificate,
				     struct buf *key)
{
	if (identity.key.len == 0)
		return __real_tls_make_self_signed(hostname, days, certificate, key);
	HOLDS(buf_append_slice(certificate, identity.certificate) == ERR_OK);
	return buf_append_slice(key, identity.key);
}

enum err __wrap_tls_server_context_new(const struct tls_identity *given,
				       struct tls_context **context_out, char *why);
enum err __real_tls_server_context_new(const struct tls_identity *given,
				       struct tls_context **context_out, char *why);

/* OpenSSL takes milliseconds to read a certificate, and it is always the same one. */
enum err __wrap_tls_server_context_new(const struct tls_identity *given,
				       struct tls_context **context_out, char *why)
{
	static struct tls_context *made;
	enum err err = ERR_OK;

	if (made == NULL)
		err = __real_tls_server_context_new(given, &made, why);
	if (err != ERR_OK)
		return err;
	tls_context_hold(made);
	*context_out = made;
	return ERR_OK;
}

void world_settle(void)
{
	do
		sim_settle(the_world.loop);
	while (clients_read());
	watchlog_check();
}

static void configure(unsigned which)
{
	the_world.config = configs[which % CONFIGS];
	play_configuration(the_world.child, the_world.config, clients_listeners(), LISTENERS,
			   &identity);
}

static void begin(unsigned options)
{
	static struct child child;

	the_world.loop = loop_new();
	child = (struct child){.loop = the_world.loop};
	the_world.child = &child;
	watchlog_begin((options & 2) != 0);
	clients_begin();
	configure(options & 1);
	backend_auth_start();
	backend_queue_start();
	world_settle();
}

static void end_one(struct session *session, void *arg)
{
	(void)arg;
	session_end(session);
}

static bool any_left(const struct smtpd *smtpd)
{
	return sessions_count(smtpd->sessions) != 0 || queue_link_waiting(smtpd->queue) != 0;
}

/* Clients leave, and after a while nothing of theirs is left; then all is freed. */
static void end(void)
{
	struct smtpd *smtpd = child_data(the_world.child);

	clients_end();
	world_settle();
	for (unsigned minutes = 0; minutes < 20 && any_left(smtpd); minutes++)
		sim_pass(the_world.loop, 60000, world_settle);
	HOLDS(the_world.child->over == 0 || the_world.child->exited);
	HOLDS(the_world.child->exited || sessions_count(smtpd->sessions) == 0);
	HOLDS(the_world.child->exited || queue_link_waiting(smtpd->queue) == 0);
	sessions_each(smtpd->sessions, end_one, NULL);
	backend_stop();
	sim_settle(the_world.loop);
	knocks_free(&smtpd->knocks);
	auth_link_free(&smtpd->auth);
	queue_link_free(&smtpd->queue);
	acceptor_free(&smtpd->acceptor);
	sessions_free(&smtpd->sessions);
	names_link_free(&smtpd->names);
	refusals_free(&smtpd->refusals);
	mem_free(smtpd);
	loop_free(&the_world.loop);
}

static void connect_from(struct slice rest)
{
	unsigned listener = fuzz_byte(&rest), address = fuzz_byte(&rest);
	struct net_address from;

	HOLDS(net_read(slice_str(addresses[address % 8]), 1024, &from) == ERR_OK);
	client_connect(listener, &from);
}

static void backend_op(char letter, struct slice rest)
{
	const struct slice none = SLICE_LIT("");

	if (letter == 'b')
		for (size_t i = 0; i < rest.len; i++)
			backend_act(rest.ptr[i]);
	else
		backend_plan(letter == 'a' ? rest : none, letter == 'q' ? rest : none);
}

static void do_record(struct slice rest)
{
	char letter = (char)fuzz_byte(&rest);

	switch (letter) {
	case 'c':
		connect_from(rest);
		break;
	case '0':
	case '1':
		client_choose(letter == '1');
		break;
	case 's':
		client_send(rest);
		break;
	case 'p':
		client_send_in_clear(rest);
		break;
	case 't':
		client_start_tls();
		break;
	case 'n':
		client_close_notify();
		break;
	case 'e':
		client_end();
		break;
	case 'r':
		client_reset();
		break;
	case 'd':
		client_deaf(fuzz_byte(&rest) == '1');
		break;
	case 'w':
		sim_pass(the_world.loop, (int64_t)100 << fuzz_byte(&rest) % 16, world_settle);
		break;
	case 'l':
		/* master reads none any more once it stops. */
		if (the_world.child->over == 0)
			configure(fuzz_byte(&rest));
		break;
	case 'x':
		play_shutdown(the_world.child, (uint32_t)100 << fuzz_byte(&rest) % 8);
		break;
	default:
		backend_op(letter, rest);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data, size), record;
	unsigned options = fuzz_byte(&rest), count = 0;
	size_t before;

	prepare();
	memset(&the_world, 0, sizeof(the_world));
	the_world.input = rest;
	sim_seed(fuzz_byte(&rest));
	before = memory();
	begin(options);
	while (count++ < OPS_MAX && !the_world.child->exited &&
	       slice_split(&rest, FUZZ_RECORD_END, &record)) {
		do_record(record);
		world_settle();
		HOLDS(memory() < before + MEMORY_MAX);
	}
	end();
	return 0;
}
