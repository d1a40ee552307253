/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

enum { PATIENCE_MS = 20000 };

const char *world_program;
const struct slice world_small = {"Subject: x\r\n\r\nHello.\r\n", 22};

/* ---- ends -------------------------------------------------------------------------------- */
static enum err on_message(void *arg, struct channel *channel, uint16_t type, struct slice payload,
			   int fd)
{
	struct end *end = arg;
	struct got *got = mem_alloc(sizeof(*got) + payload.len);

	assert_int_equal(fd, -1);
	got->type = type;
	got->len = payload.len;
	memcpy(got->bytes, payload.ptr, payload.len);
	*end->last = got;
	end->last = &got->next;
	if (ipc_type_bulk(type))
		channel_done(channel, (uint32_t)payload.len, 1);
	loop_stop(end->world->loop);
	return ERR_OK;
}

static void on_ended(void *arg, struct channel *channel, enum channel_end how, const char *why)
{
	struct end *end = arg;

	(void)channel;
	if (how == CHANNEL_BROKEN)
		print_error("channel broken: %s\n", why);
	end->over = true;
	loop_stop(end->world->loop);
}

static const struct channel_handlers handlers = {.message = on_message, .ended = on_ended};

static void end_clear(struct end *end)
{
	struct got *got;

	while ((got = end->first) != NULL) {
		end->first = got->next;
		mem_free(got);
	}
	MEM_FREE(end->taken);
	end->last = &end->first;
}

static void end_open(struct world *world, struct end *end, int fd)
{
	end_clear(end);
	channel_free(&end->channel);
	end->world = world;
	end->over = false;
	end->channel = channel_new(world->loop, fd, "test", &handlers, end);
}

void world_hang_up(struct end *end)
{
	channel_free(&end->channel);
	end_clear(end);
}

void end_send(struct end *end, uint16_t type, const void *message)
{
	assert_int_equal(channel_send(end->channel, type, message), ERR_OK);
	channel_flush(end->channel);
}

static void on_late(void *arg)
{
	struct world *world = arg;

	world->late = true;
	loop_stop(world->loop);
}

bool end_wait(struct end *end, uint16_t type, uint64_t within_ms, void *message_out)
{
	struct world *world = end->world;

	world->late = false;
	timer_set(world->timer, within_ms);
	for (;;) {
		struct got *got;

		while ((got = end->first) != NULL) {
			end->first = got->next;
			if (end->first == NULL)
				end->last = &end->first;
			mem_free(end->taken);
			end->taken = got;
			if (got->type == type) {
				timer_stop(world->timer);
				assert_int_equal(ipc_decode(type, slice_of(got->bytes, got->len),
							    message_out),
						 ERR_OK);
				return true;
			}
		}
		if (world->late || end->over)
			return false;
		loop_run(world->loop);
	}
}

void end_expect(struct end *end, uint16_t type, void *message_out)
{
	if (!end_wait(end, type, PATIENCE_MS, message_out))
		fail_msg("%s did not come", ipc_type_name(type));
}

/* ---- the process ------------------------------------------------------------------------- */
struct world *world_new(void)
{
	struct world *world = mem_alloc(sizeof(*world));
	char path[] = "/tmp/postern-process-XXXXXX", queue[256];

	world->loop = loop_new();
	world->timer = timer_new(world->loop, on_late, world);
	assert_non_null(mkdtemp(path));
	world->folder = mem_strdup(path);
	world->config = config_new();
	mem_free(world->config->hostname);
	world->config->hostname = mem_strdup("mail.example.org");
	mem_free(world->config->state_dir);
	world->config->state_dir = mem_strdup(path);
	world->config->limits.disk_reserve = 0;
	world->config->limits.queue_load = 0; /* what else runs here is no matter of these tests */
	world->config->queue.retry_first = 1000;
	world->config->queue.retry_max = 2000;
	snprintf(queue, sizeof(queue), "%s/queue", path);
	assert_int_equal(os_make_folder(queue, 0700), ERR_OK);
	world->master.last = &world->master.first;
	world->auth.last = &world->auth.first;
	world->smtpd.last = &world->smtpd.first;
	world->relay.last = &world->relay.first;
	world->control.last = &world->control.first;
	return world;
}

static void remove_one(void *arg, const char *name)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
	if (unlink(path) != 0)
		(void)file_each(path, remove_one, path);
	(void)rmdir(path);
}

void world_free(struct world *world)
{
	if (world->pid != 0)
		world_kill(world);
	timer_free(&world->timer);
	loop_free(&world->loop);
	config_free(&world->config);
	(void)file_each(world->folder, remove_one, world->folder);
	(void)rmdir(world->folder);
	mem_free(world->folder);
	mem_free(world);
}

void world_start(struct world *world)
{
	static char name[] = "postern-queue", index[] = "--index", zero[] = "0";
	char *argv[] = {name, index, zero, NULL};
	struct msg_prepare prepare = {.generation = 1};
	struct msg_prepared prepared;
	struct msg_commit commit = {.generation = 1};
	struct buf bytes;
	int fds[2];

	assert_int_equal(net_pair(fds), ERR_OK);
	assert_int_equal(os_spawn(world_program, argv, fds[1], &world->pid), ERR_OK);
	net_close(&fds[1]);
	end_open(world, &world->master, fds[0]);
	buf_init(&bytes, 1048576);
	assert_int_equal(config_encode(world->config, &bytes), ERR_OK);
	prepare.config = buf_data(&bytes);
	end_send(&world->master, IPC_PREPARE, &prepare);
	end_expect(&world->master, IPC_PREPARED, &prepared);
	if (!prepared.ok)
		fail_msg("%.*s", SLICE_ARG(prepared.error));
	end_send(&world->master, IPC_COMMIT, &commit);
	buf_release(&bytes);
}

static void hang_up_all(struct world *world)
{
	world_hang_up(&world->master);
	world_hang_up(&world->auth);
	world_hang_up(&world->smtpd);
	world_hang_up(&world->control);
	world_hang_up(&world->relay);
}

void world_kill(struct world *world)
{
	int status;

	kill(world->pid, SIGKILL);
	assert_int_equal(waitpid(world->pid, &status, 0), world->pid);
	world->pid = 0;
	hang_up_all(world);
}

void world_shut_down(struct world *world)
{
	const struct msg_shutdown msg = {.within_in_ms = 5000};
	int status;

	world_hang_up(&world->smtpd); /* master ends these first */
	world_hang_up(&world->relay);
	end_send(&world->master, IPC_SHUTDOWN, &msg);
	assert_int_equal(waitpid(world->pid, &status, 0), world->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	world->pid = 0;
	hang_up_all(world);
}

void world_connect(struct world *world, struct end *end, enum ipc_role role, uint32_t incarnation)
{
	const struct msg_peer peer = {.role = (uint8_t)role, .incarnation = incarnation};
	int fds[2];

	assert_int_equal(net_pair(fds), ERR_OK);
	assert_int_equal(channel_send_fd(world->master.channel, IPC_PEER, &peer, fds[1]), ERR_OK);
	channel_flush(world->master.channel);
	end_open(world, end, fds[0]);
}

void world_grant(struct world *world, uint64_t number, const char *sender, const char *domain,
		 uint32_t budget)
{
	struct ipc_list_builder senders, domains, recipients;
	struct rec_pattern pattern;
	struct msg_grant_ack ack;

	ipc_list_begin(&senders, 1000);
	ipc_list_begin(&domains, 1000);
	ipc_list_begin(&recipients, 1000);
	if (sender != NULL) {
		pattern.text = slice_str(sender);
		assert_int_equal(ipc_list_add(&senders, IPC_REC_pattern, &pattern), ERR_OK);
	}
	if (domain != NULL) {
		pattern.text = slice_str(domain);
		assert_int_equal(ipc_list_add(strchr(domain, '@') != NULL ? &recipients : &domains,
					      IPC_REC_pattern, &pattern),
				 ERR_OK);
	}
	const struct msg_grant grant = {.grant = number,
					.account = SLICE_LIT("alice@example.org"),
					.smtpd_incarnation = 1,
					.any_sender = sender == NULL,
					.senders = ipc_list_view(&senders),
					.any_recipient = domain == NULL,
					.domains = ipc_list_view(&domains),
					.recipients = ipc_list_view(&recipients),
					.bounce = SLICE_LIT("alice@example.org"),
					.recipients_left = budget};

	end_send(&world->auth, IPC_GRANT, &grant);
	end_expect(&world->auth, IPC_GRANT_ACK, &ack);
	assert_int_equal(ack.grant, number);
	ipc_list_release(&senders);
	ipc_list_release(&domains);
	ipc_list_release(&recipients);
}

void world_connect_all(struct world *world)
{
	const struct msg_in_flight_end end = {.count = 0};
	struct msg_keys keys;

	world_connect(world, &world->auth, IPC_AUTH, 1);
	world_connect(world, &world->smtpd, IPC_SMTPD, 1);
	world_connect(world, &world->relay, IPC_RELAY, 1);
	world_connect(world, &world->control, IPC_CONTROL, 1);
	end_expect(&world->smtpd, IPC_KEYS, &keys);
	assert_true(keys.first > world->key); /* never one that was there before */
	world->key = keys.first;
	world->keys_left = keys.count;
	end_send(&world->relay, IPC_IN_FLIGHT_END, &end);
	world_grant(world, 1, NULL, NULL, 1000000);
}

/* ---- mail -------------------------------------------------------------------------------- */
void world_random(uint64_t key, unsigned char random_out[MSGID_RANDOM])
{
	for (int i = 0; i < MSGID_RANDOM; i++)
		random_out[i] = (unsigned char)(key + (uint64_t)i * 13);
}

static void list_recipients(const char *recipients, const struct rec_recipient *each,
			    struct ipc_list_builder *list)
{
	struct slice rest = slice_str(recipients), part;
	uint32_t n = 0;

	ipc_list_begin(list, 4 * 1024 * 1024);
	while (slice_split(&rest, ' ', &part)) {
		const struct rec_recipient recipient = {
			.n = n++, .address = part, .notify = each->notify, .orcpt = each->orcpt};

		assert_int_equal(ipc_list_add(list, IPC_REC_recipient, &recipient), ERR_OK);
	}
}

uint64_t world_ask(struct world *world, uint64_t grant, const struct rec_mail *terms,
		   const struct rec_recipient *each, const char *recipients, struct slice body)
{
	unsigned char random[MSGID_RANDOM];
	struct ipc_list_builder list;
	uint64_t key = world->key++;

	world_random(key, random);
	list_recipients(recipients, each, &list);
	const struct rec_submission submission = {
		.key = key,
		.random = slice_of(random, MSGID_RANDOM),
		.grant = grant,
		.log_id = SLICE_LIT("session1"),
		.mail = *terms,
		.recipients = ipc_list_view(&list),
	};
	if (body.len <= IPC_CHUNK) {
		const struct msg_submit msg = {.submission = submission, .body = body};

		end_send(&world->smtpd, IPC_SUBMIT, &msg);
	} else {
		const struct msg_submit_open open = {.submission = submission};
		const struct msg_submit_end end = {.key = key, .size = body.len};

		end_send(&world->smtpd, IPC_SUBMIT_OPEN, &open);
		for (struct slice rest = body; rest.len != 0; rest = slice_skip(rest, IPC_CHUNK)) {
			const struct msg_submit_chunk chunk = {.key = key,
							       .data = slice_head(rest, IPC_CHUNK)};
			struct msg_known never;

			while (!channel_can_send(world->smtpd.channel, IPC_CHUNK + 64))
				(void)end_wait(&world->smtpd, IPC_KNOWN, 5, &never);
			end_send(&world->smtpd, IPC_SUBMIT_CHUNK, &chunk);
		}
		end_send(&world->smtpd, IPC_SUBMIT_END, &end);
	}
	ipc_list_release(&list);
	return key;
}

uint64_t world_submit(struct world *world, uint64_t grant, const char *sender,
		      const char *recipients, struct slice body)
{
	const struct rec_mail terms = {
		.sender = slice_str(sender), .envid = SLICE_LIT(""), .auth = SLICE_LIT("")};
	const struct rec_recipient each = {.orcpt = SLICE_LIT("")};

	return world_ask(world, grant, &terms, &each, recipients, body);
}

enum ipc_verdict world_verdict(struct world *world, uint64_t key)
{
	struct msg_submitted msg;

	end_expect(&world->smtpd, IPC_SUBMITTED, &msg);
	assert_int_equal(msg.key, key);
	return (enum ipc_verdict)msg.verdict;
}

uint64_t world_mail(struct world *world, const char *recipients, struct slice body)
{
	uint64_t key = world_submit(world, 1, "alice@example.org", recipients, body);

	assert_int_equal(world_verdict(world, key), IPC_STORED);
	return key;
}

void world_result(struct world *world, const struct msg_deliver *deliver, enum ipc_outcome outcome,
		  const char *text, bool down)
{
	struct ipc_list recipients = deliver->recipients;
	struct ipc_list_builder list;
	struct rec_recipient recipient;
	bool good = outcome == IPC_DELIVERED, bad = outcome == IPC_FAILED;

	ipc_list_begin(&list, 4 * 1024 * 1024);
	while (ipc_list_next(&recipients, IPC_REC_recipient, &recipient)) {
		const struct rec_result result = {.n = recipient.n,
						  .outcome = (uint8_t)outcome,
						  .taken = world->taken,
						  .scope = down ? IPC_SCOPE_HOST
								: IPC_SCOPE_RECIPIENT,
						  .code = (uint16_t)(good  ? 250
								     : bad ? 550
									   : 451),
						  .status = slice_str(good  ? "2.0.0"
								      : bad ? "5.1.1"
									    : "4.3.0"),
						  .text = slice_str(text)};

		assert_int_equal(ipc_list_add(&list, IPC_REC_result, &result), ERR_OK);
	}
	const struct msg_results msg = {.claim = deliver->claim,
					.key = deliver->key,
					.destination = deliver->destination,
					.results = ipc_list_view(&list),
					.host = SLICE_LIT("mx.test"),
					.tls = SLICE_LIT(""),
					.destination_down = down};

	end_send(&world->relay, IPC_RESULTS, &msg);
	ipc_list_release(&list);
}

size_t world_op(struct world *world, enum ipc_op op, const char *subject, const char *key,
		const char *value, uint8_t *status_out, char *text)
{
	static uint64_t id;
	struct ipc_list_builder args;
	struct msg_op_row row;
	struct msg_op_end end;
	size_t rows = 0;

	ipc_list_begin(&args, 4096);
	if (key != NULL) {
		const struct rec_field field = {
			.key = slice_str(key), .kind = IPC_FIELD_TEXT, .value = slice_str(value)};

		assert_int_equal(ipc_list_add(&args, IPC_REC_field, &field), ERR_OK);
	}
	const struct msg_op msg = {.id = ++id,
				   .op = (uint16_t)op,
				   .subject = slice_str(subject),
				   .args = ipc_list_view(&args),
				   .secret = SLICE_LIT("")};

	end_send(&world->control, IPC_OP, &msg);
	ipc_list_release(&args);
	for (;;) {
		struct got *got = world->control.first;

		if (got == NULL) {
			world->late = false;
			timer_set(world->timer, PATIENCE_MS);
			loop_run(world->loop);
			assert_false(world->late || world->control.over);
			continue;
		}
		if (got->type == IPC_OP_ROW) {
			end_expect(&world->control, IPC_OP_ROW, &row);
			assert_int_equal(row.id, id);
			rows++;
			continue;
		}
		end_expect(&world->control, IPC_OP_END, &end);
		assert_int_equal(end.id, id);
		*status_out = end.status;
		snprintf(text, 1024, "%.*s", SLICE_ARG(slice_head(end.text, 1000)));
		return rows;
	}
}

size_t world_in_queue(struct world *world)
{
	uint8_t status;
	char text[1024];

	return world_op(world, IPC_OP_QUEUE_LIST, "", NULL, NULL, &status, text);
}

/* ---- for the tests' programs ------------------------------------------------------------- */
int world_setup(void **state)
{
	struct world *world = world_new();

	world_start(world);
	world_connect_all(world);
	*state = world;
	return 0;
}

int world_teardown(void **state)
{
	world_free(*state);
	return 0;
}

bool world_begin(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s PROGRAM [TEST]\n", argv[0]);
		return false;
	}
	world_program = argv[1];
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	/* As root the process would become a user that only an installed system has. */
	return !os_is_root() || (setgid(65534) == 0 && setuid(65534) == 0);
}
