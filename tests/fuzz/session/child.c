/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include "config/config.h"
#include "fuzz.h"
#include "ipc/message.h"
#include "os/loop.h"
#include "os/net.h"
#include "tls/tls.h"

int smtpd_main(int argc, char **argv);

static const struct child_role *role;

int child_main(int argc, char **argv, const struct child_role *given)
{
	(void)argc;
	(void)argv;
	role = given;
	return 0;
}

const struct child_role *play_role(void)
{
	if (role == NULL)
		HOLDS(smtpd_main(0, NULL) == 0 && role != NULL);
	return role;
}

struct loop *child_loop(struct child *child)
{
	return child->loop;
}

const struct config *child_config(struct child *child)
{
	return child->config;
}

uint16_t child_index(const struct child *child)
{
	(void)child;
	return 0;
}

uint32_t child_incarnation(const struct child *child)
{
	(void)child;
	return 1;
}

struct channel *child_master(struct child *child)
{
	(void)child;
	return NULL;
}

void child_exit(struct child *child, int status)
{
	HOLDS(status == 0 && child->over != 0 && loop_now(child->loop) <= child->over);
	child->exited = true;
	loop_stop(child->loop);
}

void child_set_data(struct child *child, void *data)
{
	child->data = data;
}

void *child_data(struct child *child)
{
	return child->data;
}

void play_configuration(struct child *child, const struct config *config, const int *listeners,
			size_t count, const struct tls_identity *identity)
{
	const struct child_role *smtpd = play_role();
	const struct msg_identity certificate = {
		.generation = 1, .certificate = identity->certificate, .key = identity->key};
	char why[512] = "";

	if (child->config == NULL) {
		HOLDS(smtpd->start(child, config, why) == ERR_OK);
		HOLDS(smtpd->open(child, config, why) == ERR_OK);
	} else {
		HOLDS(smtpd->prepare(child, config, why) == ERR_OK);
	}
	for (size_t i = 0; i < count; i++) {
		const struct msg_listener msg = {
			.generation = 1, .index = (uint16_t)i, .address = SLICE_LIT("*:25")};
		int fd;

		HOLDS(net_dup(listeners[i], &fd) == ERR_OK);
		smtpd->listener(child, &msg, fd);
	}
	HOLDS(smtpd->identity(child, &certificate, why) == ERR_OK);
	child->config = config;
	smtpd->commit(child, config);
}

void play_shutdown(struct child *child, uint32_t within_ms)
{
	if (child->over == 0)
		child->over = loop_now(child->loop) + (int64_t)within_ms;
	play_role()->shutdown(child, within_ms);
}
