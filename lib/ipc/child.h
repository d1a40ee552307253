/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every process that master starts has in common. main() of each fills in struct child_role
 * and calls child_main, which talks to master on descriptor 3, takes configurations in two
 * steps, hands over channels to peers, and ends the process on SHUTDOWN or when master is gone.
 *
 * Life: HELLO to master; then come LISTENER, IDENTITY, AUTHORITIES, SECRET and FILE messages, which are
 * kept, and
 * PREPARE. For the first configuration child calls start, drops privileges (as root: user
 * user_prefix + name), closes the sandbox, calls open, hands over what was kept (listener,
 * identity, secret, file) and answers PREPARED; on COMMIT it calls commit. For later ones: prepare,
 * what was kept, PREPARED; then commit or rollback. PEERs come after the first COMMIT, and again
 * whenever a peer was started anew.
 */
#ifndef POSTERN_IPC_CHILD_H
#define POSTERN_IPC_CHILD_H

#include "ipc/channel.h"

struct config;
struct loop;
struct sandbox;
struct child;

/* Who a process runs as when root starts it. */
struct child_user {
	char name[256];  /* "": it stays root */
	char group[256]; /* one group more; "": none */
	bool may_be_root;
};

struct child_role {
	const char *name; /* "smtpd" */
	enum ipc_role role;
	/*
	 * Called once with the first configuration, before privileges are dropped: start worker
	 * threads and read what the sandbox will hide. On error: text in why (512 bytes) and not
	 * ERR_OK; the process then ends, and master says why.
	 */
	enum err (*start)(struct child *child, const struct config *config, char *why);
	/* Called once after privileges are dropped and the sandbox is closed: open the store. */
	enum err (*open)(struct child *child, const struct config *config, char *why);
	/*
	 * A new configuration is checked and made ready beside the old one (never called for the
	 * first); then commit or rollback is called. config stays valid until replaced by the
	 * next commit.
	 */
	enum err (*prepare)(struct child *child, const struct config *config, char *why);
	void (*commit)(struct child *child, const struct config *config);
	void (*rollback)(struct child *child);
	/* A channel to a peer: the role owns the descriptor and makes a channel of it. */
	void (*peer)(struct child *child, enum ipc_role role, uint16_t index, uint32_t incarnation,
		     int fd);
	/*
	 * What the process may do once privileges are dropped; called after start, with the first
	 * configuration. What it points to must stay valid until open is called.
	 */
	void (*sandbox)(struct child *child, const struct config *config,
			struct sandbox *sandbox_out);
	/* Changes what user_prefix + name would make of it; may be NULL. After start. */
	void (*user)(struct child *child, const struct config *config, struct child_user *user);
	bool empty_root; /* as root: chroot to the empty folder runtime_dir/empty */
	/* Those that only some roles have; NULL: such a message is an error. */
	void (*listener)(struct child *child, const struct msg_listener *msg, int fd);
	enum err (*identity)(struct child *child, const struct msg_identity *msg, char *why);
	enum err (*authorities)(struct child *child, const struct msg_authorities *msg, char *why);
	void (*secret)(struct child *child, const struct msg_secret *msg);
	enum err (*file)(struct child *child, const struct msg_file *msg, char *why);
	enum err (*message)(struct child *child, uint16_t type, struct slice payload, int fd);
	/* Finish within the time, then call child_exit. */
	void (*shutdown)(struct child *child, uint32_t within_ms);
};

/* Runs the process; returns its exit status. arguments: as main() got them ("--index N",
 * --incarnation,
 * --name: what it is called in the log). */
int child_main(int argc, char **argv, const struct child_role *role);

struct loop *child_loop(struct child *child);
/* The committed configuration. */
const struct config *child_config(struct child *child);
uint16_t child_index(const struct child *child);
uint32_t child_incarnation(const struct child *child);
struct channel *child_master(struct child *child); /* to send to master */
void child_exit(struct child *child, int status);  /* ends the loop; child_main returns status */
/* The role's own state: set in start. */
void child_set_data(struct child *child, void *data);
void *child_data(struct child *child);

#endif
