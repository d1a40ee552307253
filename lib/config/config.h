/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of a running postern, as plain data. It is read from text by config/parse.h
 * (in master and the CLI only), travels to the other processes as bytes (config_encode), and is
 * never changed after it was made. settings.def defines each setting once: name, type, default,
 * bounds, help; the parser, the encoder, the effective listing, the commented file that setup
 * writes and the man page all come from that table.
 */
#ifndef POSTERN_CONFIG_CONFIG_H
#define POSTERN_CONFIG_CONFIG_H

#include "base/buf.h"

struct places;

enum tls_mode { TLS_MODE_NONE, TLS_MODE_STARTTLS, TLS_MODE_IMPLICIT };
enum tls_min { TLS_MIN_DEFAULT, TLS_MIN_1_0, TLS_MIN_1_1, TLS_MIN_1_2, TLS_MIN_1_3 };
enum tls_legacy { TLS_LEGACY_1_0, TLS_LEGACY_1_1 };
enum auth_mode { AUTH_MODE_OFF, AUTH_MODE_OPTIONAL, AUTH_MODE_REQUIRED };
enum relay_tls { RELAY_TLS_NONE, RELAY_TLS_OPPORTUNISTIC, RELAY_TLS_REQUIRED, RELAY_TLS_IMPLICIT };
enum route_kind { ROUTE_MX, ROUTE_RELAY, ROUTE_LMTP, ROUTE_CAPTURE };
enum address_family { FAMILY_ANY, FAMILY_IPV4, FAMILY_IPV6 };
enum long_lines { LONG_LINES_PASS, LONG_LINES_REFUSE };
enum bare_newline { BARE_NEWLINE_REPAIR, BARE_NEWLINE_REFUSE };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
enum log_target { LOG_TARGET_STDERR, LOG_TARGET_SYSLOG, LOG_TARGET_JOURNAL };
enum sender_check { SENDER_CHECK_REJECT, SENDER_CHECK_REWRITE, SENDER_CHECK_LOG };
enum backend_type {
	BACKEND_SASLAUTHD,
	BACKEND_SASLDB,
	BACKEND_PAM,
	BACKEND_LDAP,
	BACKEND_DOVECOT,
	BACKEND_PASSWD_FILE,
	BACKEND_EXEC,
};
enum ldap_scope { LDAP_SCOPE_OF_SUBTREE, LDAP_SCOPE_OF_ONE, LDAP_SCOPE_OF_BASE };
/* Of hashes that do not say what they are. */
enum hash_scheme {
	HASH_CRYPT,
	HASH_SSHA,
	HASH_SSHA256,
	HASH_SSHA512,
	HASH_PBKDF2,
	HASH_SCRAM_SHA_256,
	HASH_SCRAM_SHA_1,
};
enum received_shows { RECEIVED_FULL, RECEIVED_ACCOUNT, RECEIVED_MINIMAL };

/* Of a setting that is a load average: so many times the cores as its row says. */
#define CONFIG_LOAD_AUTO UINT32_MAX
enum { CONFIG_REFUSE_PER_CORE = 12, CONFIG_QUEUE_PER_CORE = 8 };

enum {
	CONFIG_BACKENDS_MAX = 16,
	CONFIG_BACKEND_PROCESSES_MAX = 16, /* of one back end */
	CONFIG_COMMAND_MAX = 17,           /* a program and its arguments */
};

struct strings {
	char **items;
	size_t count;
};

struct config_listen {
	char *name;
	struct strings address; /* "*:587", "[::1]:2587", "127.0.0.1:smtp" */
	enum tls_mode tls;
	enum auth_mode auth;
	enum tls_min tls_min;
	struct strings tls_legacy_from; /* networks that may go down to tls_legacy_min */
	enum tls_legacy tls_legacy_min;
	bool etrn;                 /* ETRN for those who are logged in */
	bool auth_equals;          /* EHLO also says "AUTH=" */
	struct strings mechanisms; /* for logins; empty: those of auth */
	char *client_ca; /* PEM of who vouches for clients' certificates; NULL: none is asked for */
	struct strings clear_auth_from; /* networks that may log in without TLS */
	struct strings proxy_from;      /* networks whose connections begin with a PROXY header */
};

struct config_relay {
	char *name;
	char *host; /* "smtp.isp.example:587" */
	char *user; /* NULL: no AUTH */
	char *password_file;
	enum relay_tls tls;
	char *ca_file; /* NULL: the system's */
};

struct config_route {
	char *name;
	struct strings to; /* recipient patterns; empty: all */
	enum route_kind kind;
	char *target; /* relay name, LMTP path or host:port, capture folder; NULL for mx */
};

struct config_submission { /* mail of accounts */
	enum sender_check sender_check;
	enum received_shows received;
	char *qualify; /* domain of bare addresses; NULL: they get none */
};

struct config_limits {
	uint64_t message_size;         /* bytes */
	uint32_t recipients;           /* per message */
	uint32_t sessions;             /* in total */
	uint32_t sessions_per_source;  /* IPv4 address or IPv6 /64; 0: a quarter of sessions */
	uint32_t sessions_per_account; /* 0: any number */
	/* Of an account, unless it has its own; 0: any number. */
	uint32_t recipients_per_message, recipients_per_hour, recipients_per_day;
	uint32_t new_recipients_per_day;
	uint32_t sessions_reserve;           /* percent, for who is logged in */
	uint32_t connection_rate;            /* per second in total; 0: any */
	uint32_t connection_rate_per_source; /* 0: any */
	uint32_t bad_recipients;             /* per session, then RCPT slows down; 0: never */
	uint64_t min_rate;                   /* bytes per second within a body; 0: any */
	uint32_t errors;                     /* per session, then 421 */
	uint32_t hops;                       /* Received fields */
	uint64_t disk_reserve;               /* bytes free below which mail is answered 452 */
	uint32_t inode_reserve;              /* the same for inodes */
	uint64_t memory_reserve;             /* the same for memory that can be had */
	uint32_t refuse_load;                /* load above which connections get 421: config_load */
	uint32_t queue_load;     /* load above which no delivery is started: config_load */
	uint64_t future_release; /* ms that a message may be held back at most */
	enum long_lines long_lines;
	enum bare_newline bare_newline;
};

struct config_timeouts {     /* milliseconds */
	uint64_t command;    /* server: next command */
	uint64_t data_block; /* server: next part of a body */
	uint64_t handshake;  /* TLS */
	uint64_t login;      /* from connect to AUTH on a listener that requires it */
	uint64_t connect;    /* client: TCP, per address */
	uint64_t greeting;   /* client: 220; RFC 5321 4.5.3.2.1 */
	uint64_t mail;       /* client: MAIL; 4.5.3.2.2 */
	uint64_t recipient;  /* client: RCPT; 4.5.3.2.3 */
	uint64_t data_init;  /* client: 354; 4.5.3.2.4 */
	uint64_t data_send;  /* client: a part of the body leaves; 4.5.3.2.5 */
	uint64_t data_final; /* client: reply to the final dot; 4.5.3.2.6 */
	uint64_t idle;       /* client: how long a connection is kept for reuse */
};

struct config_queue {
	uint64_t expire;       /* ms after which what is undelivered bounces */
	uint64_t retry_first;  /* ms to the second attempt */
	uint64_t retry_max;    /* ms, the longest pause */
	uint64_t retry_factor; /* percent by which each pause grows: 200 doubles */
	uint64_t delay_notice, delay_notice_again; /* ms; 0: no such notice */
};

struct config_delivery {
	uint32_t connections; /* to all destinations together */
	uint32_t connections_per_host;
	uint32_t messages_per_connection;
	enum address_family family;
	uint16_t port;            /* for mx: 25 */
	struct strings resolvers; /* "127.0.0.1" or "127.0.0.1@5353"; empty: the system's */
	bool allow_private;       /* deliver by mx to loopback and private addresses */
};

struct config_auth {
	uint32_t iterations;       /* PBKDF2 rounds of a new verifier */
	uint32_t workers;          /* threads that verify; 0: one per core */
	uint32_t waiting;          /* logins that may wait for one, then 454 */
	uint64_t cache;            /* ms that a proven password is remembered; 0: never */
	struct strings mechanisms; /* to offer, in this order; empty: what all accounts can use */
	char *keytab;              /* Kerberos keys of ours; NULL: no GSSAPI */
	uint32_t block_after;      /* failures of a source; 0: never */
	uint64_t block_time;       /* ms of the first block */
	struct strings never_block;
	uint32_t freeze_networks;   /* new ones within an hour; 0: never */
	uint32_t freeze_recipients; /* within an hour, from new networks; 0: never */
	uint32_t freeze_refused;    /* percent of recipients that do not exist; 0: never */
};

struct config_alert {     /* whom to tell what an administrator must know */
	char *command;    /* NULL: nobody */
	char *user;       /* NULL: user_prefix and "alert" */
	char *webhook;    /* instead of command; NULL: none */
	char *webhook_secret_file, *webhook_ca_file;
	uint64_t timeout; /* ms */
	uint64_t remind;  /* ms until the same is told again */
};

struct config_token { /* an issuer of bearer tokens */
	char *name;
	char *issuer;
	struct strings audience;
	char *jwks_file, *jwks_url, *introspect_url; /* one of them, the others NULL */
	char *client_id;                             /* NULL: without */
	char *client_secret_file;
	char *ca_file;    /* NULL: the system's */
	uint64_t timeout; /* ms */
	char *user_claim;
	struct strings accounts; /* patterns; none: see settings.def */
	char *scope;             /* NULL: any */
};

struct config_device { /* known by its address, logs in to nothing */
	char *name;
	struct strings from;
	struct strings send_as;                           /* the first is an address */
	struct strings to;                                /* none: of the server's own domain */
	struct strings listeners;                         /* names; none: all */
	uint32_t recipients_per_hour, recipients_per_day; /* 0: any number */
	bool i_know_this_is_open;
};

struct config_certificate {
	char *name;        /* for messages; which client gets it hangs on the names within */
	char *certificate; /* as in struct config_tls */
	char *key;         /* NULL: it lies in certificate */
};

struct config_ldap {            /* of a back end */
	struct strings servers; /* "ldaps://ldap.example.org", in order */
	bool starttls;
	char *ca_file; /* NULL: the system's */
	char *base;    /* NULL: bind_template is set */
	char *filter;  /* NULL: "(uid=%u)" */
	enum ldap_scope scope;
	char *bind_dn; /* NULL: the search is anonymous */
	char *bind_password_file;
	char *bind_template; /* NULL: base is set */
};

struct config_backend { /* somebody else who knows passwords */
	char *name;
	enum backend_type type;
	uint32_t processes;
	uint64_t timeout; /* ms */
	uint32_t waiting; /* logins that may wait for a process, then 454 */
	uint64_t cache;   /* ms, as of struct config_auth */
	char *user;       /* NULL: user_prefix and "backend" */
	char *group;      /* NULL: by type */
	char *socket;
	char *file;
	char *realm;
	char *application;
	char *config_path;
	char *service;
	enum hash_scheme scheme;
	struct strings command; /* program and arguments */
	struct config_ldap ldap;
};

struct config_tls {
	char *certificate; /* PEM chain; the key may follow in it */
	char *key;
	char *folder; /* of further ones, as certbot keeps them; NULL: none */
	bool min_1_3; /* "1.2" or "1.3" */
};

struct config {
	char *hostname;
	char *domain;             /* what a bare login name is completed with; NULL: hostname's */
	char *state_dir;          /* "/var/lib/postern" */
	char *runtime_dir;        /* "/run/postern" */
	char *user_prefix;        /* "postern-": users postern-smtpd ... */
	uint32_t smtpd_processes; /* 0: one per core */
	struct strings accept_for;
	struct config_listen *listens;
	size_t listen_count;
	struct config_relay *relays;
	size_t relay_count;
	struct config_route *routes; /* in order; the first match wins */
	size_t route_count;
	struct config_token *tokens;
	size_t token_count;
	struct config_device *devices;
	size_t device_count;
	struct config_certificate *certificates; /* beside that of tls */
	size_t certificate_count;
	struct config_backend *backends; /* in the order in which they are asked */
	size_t backend_count;
	struct config_tls tls;
	struct config_submission submission;
	struct config_limits limits;
	struct config_timeouts timeouts;
	struct config_queue queue;
	struct config_delivery delivery;
	struct config_auth auth;
	struct config_alert alert;
	enum log_format log_format;
	enum log_target log_target;
	bool reverse_lookup;   /* of clients, for the log */
	struct places *places; /* where its files say what (places.h); NULL: it came from none */
};

struct config *config_new(void); /* all defaults; hostname NULL */
void config_free(struct config **config);
enum err config_encode(const struct config *config, struct buf *out);   /* no secrets are in it */
enum err config_decode(struct slice bytes, struct config **config_out); /* ERR_SYNTAX, ERR_RANGE */
/* One of the caller's own, without its places. ERR_FULL: it is larger than any that processes get.
 */
enum err config_copy(const struct config *config, struct config **copy_out);
const struct config_relay *config_relay_find(const struct config *config, const char *name);
/*
 * The device that a client of this address is on this listener, by its number; device_count: none.
 * address as for config_networks_have.
 */
size_t config_device_find(const struct config *config, struct slice listener, struct slice address);
/* Appends all that the section says, for comparison. ERR_FULL. */
enum err config_device_encode(const struct config *config, size_t index, struct buf *out);
const char *config_backend_type(enum backend_type type); /* as in the file */
/* Whether back end number index is the same in both, with all its settings. */
bool config_backend_same(const struct config *a, const struct config *b, size_t index);
/*
 * Processes of back ends are numbered over all of them, in the order of the file. The back end that
 * process number index is for; NULL: none.
 */
uint16_t config_backend_process(size_t backend, uint32_t number);
const struct config_backend *config_backend_of(const struct config *config, uint16_t index);

/* Where things lie; the result is appended with a terminator to a buffer of PATH_MAX bytes. */
void config_state_path(const struct config *config, const char *name, char path_out[4096]);
void config_runtime_path(const struct config *config, const char *name, char path_out[4096]);
/*
 * The user that a process runs as when root starts it: user_prefix and its name. false: user_prefix
 * is empty, no process changes its user.
 */
bool config_user(const struct config *config, const char *process, char user_out[256]);
/* Who runs alert.command then. false: as the process that starts it. */
bool config_alert_user(const struct config *config, char user_out[256]);
/*
 * Does one of the networks of a NETWORKS setting have the address? Numeric, without port, as
 * logged; a zone (fe80::1%eth0) is not looked at.
 */
bool config_networks_have(const struct strings *networks, struct slice address);
/*
 * The load average, in hundredths as os_load has it, that refuse_load or queue_load stands for on
 * a machine with so many cores; 0: it is off.
 */
uint32_t config_load(uint32_t setting, uint32_t per_core, uint32_t cores);
/* A size as settings have it: "50M", in bytes. ERR_SYNTAX, ERR_RANGE. */
enum err config_read_size(struct slice text, uint64_t *bytes_out);
/* Appends it so: "50M". */
void config_print_size(uint64_t bytes, struct buf *out);
/* A SASL mechanism that a MECHANISMS setting may name, written as in EHLO; NULL: there is none. */
const char *config_mechanism(struct slice name);
/* "example.org" of account names: domain if set, else hostname. */
/* Whether anything in it takes the process that talks HTTPS to others. */
bool config_needs_agent(const struct config *config);
const char *config_domain(const struct config *config);

#endif
