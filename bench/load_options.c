/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/mem.h"
#include "net.h"

#define MESSAGE_MAX (1u << 30)
#define CLIENTS_MAX 100000u

static const char help[] =
	"postern-load --to ADDRESS:PORT [options]\n"
	"  --tls none|starttls|implicit      default starttls; certificates are not checked\n"
	"  --user NAME --password-file FILE  AUTH PLAIN; left out: no login\n"
	"  --from ADDRESS --rcpt ADDRESS     default load@load.example, sink@sink.example\n"
	"  --recipients N                    of each message, default 1\n"
	"  --messages N, --seconds N         the end, whichever comes first\n"
	"  --per-login N                     messages on each connection, default 1\n"
	"  --concurrency N                   connections at once, default 1\n"
	"  --size BYTES                      of each message, default 10000\n"
	"  --rate N                          messages a second in total, default as fast as it "
	"goes\n"
	"  --pipelining none|grouped|full    default grouped: MAIL RCPT DATA in one write\n"
	"  --hold                            log all connections in, say so, keep them idle until\n"
	"                                    standard input ends or the time is over\n"
	"  --starting N                      with --hold: logins at once, default 50\n"
	"  --ledger FILE                     what became of each message\n"
	"  --run NAME                        what ids of messages start with, default the process "
	"id\n"
	"  --expect-breaks                   go on when connections break: the server is being "
	"killed\n";

static const struct option options[] = {
	{"to", required_argument, NULL, 't'},
	{"tls", required_argument, NULL, 'T'},
	{"user", required_argument, NULL, 'u'},
	{"password-file", required_argument, NULL, 'p'},
	{"from", required_argument, NULL, 'f'},
	{"rcpt", required_argument, NULL, 'r'},
	{"recipients", required_argument, NULL, 'R'},
	{"messages", required_argument, NULL, 'm'},
	{"seconds", required_argument, NULL, 's'},
	{"per-login", required_argument, NULL, 'l'},
	{"concurrency", required_argument, NULL, 'c'},
	{"size", required_argument, NULL, 'z'},
	{"rate", required_argument, NULL, 'a'},
	{"pipelining", required_argument, NULL, 'P'},
	{"hold", no_argument, NULL, 'H'},
	{"starting", required_argument, NULL, 'S'},
	{"ledger", required_argument, NULL, 'L'},
	{"run", required_argument, NULL, 'n'},
	{"expect-breaks", no_argument, NULL, 'x'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int choice(const char *name, const char *text, const char *const words[3])
{
	for (int i = 0; i < 3; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	die("--%s: not %s, %s or %s: \"%s\"", name, words[0], words[1], words[2], text);
}

static char *auth_command(const char *user, const char *password_file)
{
	struct buf token, out;
	char *command;
	char password[256] = "";
	FILE *file = fopen(password_file, "re");

	if (file == NULL || fgets(password, sizeof(password), file) == NULL)
		die("%s: %s", password_file, errno != 0 ? strerror(errno) : "empty");
	fclose(file);
	password[strcspn(password, "\r\n")] = '\0';
	buf_init(&token, 1024);
	buf_init(&out, 2048);
	if (buf_append_byte(&token, '\0') != ERR_OK || buf_append_str(&token, user) != ERR_OK ||
	    buf_append_byte(&token, '\0') != ERR_OK || buf_append_str(&token, password) != ERR_OK ||
	    buf_append_str(&out, "AUTH PLAIN ") != ERR_OK ||
	    base64_encode(buf_data(&token), &out) != ERR_OK ||
	    buf_append_byte(&out, '\0') != ERR_OK)
		die("user name or password too long");
	command = mem_strdup(buf_data(&out).ptr);
	buf_release(&token);
	buf_release(&out);
	return command;
}

/* Lines of 72 letters and digits that look alike to no compressor; the same in each run. */
static void make_body(struct plan *plan, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t lines = size > 450 ? (size - 400) / 74 : 1;
	char *body = mem_alloc(lines * 74 + 1), *at = body;
	uint64_t state = 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < lines; i++) {
		for (int j = 0; j < 72; j++) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			*at++ = digits[state >> 58];
		}
		*at++ = '\r';
		*at++ = '\n';
	}
	plan->body = body;
	plan->body_len = lines * 74;
}

struct texts {
	const char *to, *user, *password_file;
};

static void set_text(struct run *run, int letter, const char *text, struct texts *texts)
{
	static const char *const tls[] = {"none", "starttls", "implicit"};
	static const char *const pipelining[] = {"none", "grouped", "full"};
	struct plan *plan = &run->plan;

	switch (letter) {
	case 't':
		texts->to = text;
		break;
	case 'T':
		plan->tls = (enum client_tls)choice("tls", text, tls);
		break;
	case 'u':
		texts->user = text;
		break;
	case 'p':
		texts->password_file = text;
		break;
	case 'f':
		plan->sender = mem_strdup(text);
		break;
	case 'r':
		plan->recipient = mem_strdup(text);
		break;
	case 'P':
		plan->pipelining = (enum pipelining)choice("pipelining", text, pipelining);
		break;
	case 'L':
		plan->ledger = fopen(text, "we");
		if (plan->ledger == NULL)
			die("%s: %s", text, strerror(errno));
		break;
	case 'n':
		plan->run = mem_strndup(text, 32);
		break;
	case 'H':
		run->hold = true;
		break;
	case 'x':
		run->expect_breaks = true;
		break;
	case 'h':
		fputs(help, stdout);
		exit(0);
	default:
		fputs(help, stderr);
		exit(2);
	}
}

static void parse(struct run *run, int argc, char **argv, uint64_t *size_out, struct texts *texts)
{
	int letter;

	while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (letter) {
		case 'R':
			run->plan.recipients = (unsigned)number_option("recipients", optarg, 1000);
			break;
		case 'm':
			run->tally.wanted = number_option("messages", optarg, UINT64_MAX / 2);
			break;
		case 's':
			run->seconds = number_option("seconds", optarg, 86400);
			break;
		case 'l':
			run->plan.per_login = number_option("per-login", optarg, UINT32_MAX);
			break;
		case 'c':
			run->count = (unsigned)number_option("concurrency", optarg, CLIENTS_MAX);
			break;
		case 'z':
			*size_out = number_option("size", optarg, MESSAGE_MAX);
			break;
		case 'a':
			run->rate = number_option("rate", optarg, 1000000);
			break;
		case 'S':
			run->starting = number_option("starting", optarg, CLIENTS_MAX);
			break;
		default:
			set_text(run, letter, optarg, texts);
		}
	}
}

/* Says what is missing or does not go together. */
static void check(const struct run *run, const struct texts *texts)
{
	if (texts->to == NULL)
		die("what is the server? --to ADDRESS:PORT (--help lists all options)");
	if (run->tally.wanted == UINT64_MAX / 2 && run->seconds == 0 && !run->hold)
		die("when is it over? --messages N or --seconds N");
	if ((texts->user == NULL) != (texts->password_file == NULL))
		die("--user and --password-file go together");
	if (run->count == 0 || run->plan.recipients == 0 || run->plan.per_login == 0)
		die("--concurrency, --recipients and --per-login are at least 1");
}

void load_options(struct run *run, int argc, char **argv)
{
	struct texts texts = {0};
	struct plan *plan = &run->plan;
	uint64_t size = 10000;
	char pid[32];

	snprintf(pid, sizeof(pid), "r%d", (int)getpid());
	*run = (struct run){.count = 1, .starting = 50};
	*plan = (struct plan){.tls = CLIENT_TLS_STARTTLS,
			      .pipelining = PIPELINING_GROUPED,
			      .recipients = 1,
			      .per_login = 1};
	run->tally.wanted = UINT64_MAX / 2;
	parse(run, argc, argv, &size, &texts);
	if (optind != argc)
		die("\"%s\" is one too many", argv[optind]);
	check(run, &texts);
	plan->sender = plan->sender != NULL ? plan->sender : mem_strdup("load@load.example");
	if (plan->recipient == NULL)
		plan->recipient = mem_strdup("sink@sink.example");
	plan->run = plan->run != NULL ? plan->run : mem_strdup(pid);
	plan->address_len = net_address(texts.to, &plan->address);
	if (texts.user != NULL)
		plan->login = auth_command(texts.user, texts.password_file);
	make_body(plan, (size_t)size);
	plan->tls_context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_mode(plan->tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE |
						    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
						    SSL_MODE_RELEASE_BUFFERS);
}
