/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed messages between processes, made from messages.def. Encoding appends to a bounded
 * buffer; decoding checks every length and number and rejects what is left over. Slices of a
 * decoded message point into the frame and are valid until the handler returns.
 *
 *	struct msg_submit msg;
 *	if (ipc_decode(IPC_SUBMIT, payload, &msg) != ERR_OK) -> the channel ends
 *
 * Wire form of a frame: u32 payload length, u16 type, u16 descriptors that come with it (0 or 1),
 * then the fields in order; numbers in host byte order (both ends are one machine); TEXT, BYTES:
 * u32 length and bytes; REC: its fields; LIST: u32 count, u32 bytes, records.
 */
#ifndef POSTERN_IPC_MESSAGE_H
#define POSTERN_IPC_MESSAGE_H

#include "base/buf.h"

enum {
	IPC_VERSION = 1,
	IPC_HEADER = 8,
	/* The largest frame: a configuration, or 10 000 recipients of ordinary length. */
	IPC_FRAME_MAX = 4 * 1024 * 1024,
	IPC_CHUNK = 65536, /* most body bytes in one message */
};

struct ipc_list {
	uint32_t count;
	struct slice bytes; /* encoded records */
};

/* Records: struct rec_NAME. */
#define U8(name)                U8_(name)
#define U8_(name)               uint8_t name;
#define U16(name)               uint16_t name;
#define U32(name)               uint32_t name;
#define U64(name)               uint64_t name;
#define I64(name)               int64_t name;
#define BOOL(name)              bool name;
#define TEXT(name, max)         struct slice name;
#define BYTES(name, max)        struct slice name;
#define LIST(name, record, max) struct ipc_list name;
#define REC(name, record)       struct rec_##record name;
#define RECORD(name, ...)                                                                          \
	struct rec_##name {                                                                        \
		__VA_ARGS__                                                                        \
	};
#define MESSAGE(number, NAME, name, class, ...)                                                    \
	struct msg_##name {                                                                        \
		__VA_ARGS__                                                                        \
	};
#include "ipc/messages.def"
#undef U8
#undef U8_
#undef U16
#undef U32
#undef U64
#undef I64
#undef BOOL
#undef TEXT
#undef BYTES
#undef LIST
#undef REC
#undef RECORD
#undef MESSAGE

enum ipc_type {
#define RECORD(name, ...)
#define MESSAGE(number, NAME, name, class, ...) IPC_##NAME = number,
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
	IPC_TYPE_END = 160,
};

enum ipc_record {
#define RECORD(name, ...) IPC_REC_##name,
#define MESSAGE(number, NAME, name, class, ...)
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
	IPC_RECORD_END,
};

/* The processes, as they name each other. */
enum ipc_role {
	IPC_MASTER = 1,
	IPC_SMTPD,
	IPC_AUTH,
	IPC_QUEUE,
	IPC_RELAY,
	IPC_CONTROL,
	IPC_CLI,
	IPC_BACKEND,
	IPC_AGENT,
	IPC_ROLE_END,
};

enum ipc_outcome { /* of one recipient in one attempt */
		   IPC_DELIVERED = 1,
		   IPC_DEFERRED,  /* a later attempt may succeed */
		   IPC_FAILED,    /* for good: a bounce */
		   IPC_UNCERTAIN, /* the connection died after the final dot: wait, then try again
				   */
};

enum ipc_scope { /* whom the result is about, so that others need not be tried in vain */
		 IPC_SCOPE_RECIPIENT = 1,
		 IPC_SCOPE_MESSAGE,
		 IPC_SCOPE_HOST,
		 IPC_SCOPE_OURS, /* our own configuration: bounces nothing */
};

enum ipc_taken { /* by whom a delivered recipient was taken: who makes reports of success */
		 IPC_TAKEN_FINAL = 1, /* it lies in a mailbox (LMTP, capture) */
		 IPC_TAKEN_DSN,       /* a server that offers DSN and was told what is asked for */
		 IPC_TAKEN_PLAIN,     /* a server that does not: "relayed" is ours to report (RFC
					 3461 5.2.2) */
		 IPC_TAKEN_BY = 16, /* beside one of these two: it offers DELIVERBY and was told */
};

enum ipc_trait { /* of a session, for what it is offered */
		 IPC_TRAIT_TLS = 1,
		 IPC_TRAIT_BINDING = 2,     /* its TLS can be bound to (RFC 9266, RFC 5929) */
		 IPC_TRAIT_CERTIFICATE = 4, /* the client has a valid one */
		 IPC_TRAIT_NAMED = 8,       /* and it is made out to a mail address */
		 IPC_TRAIT_ALL = 15,
};

enum ipc_name {                     /* what became of the look-up of a client's name */
		IPC_NAME_NO_ANSWER, /* no name server gave one, or there is no time for it */
		IPC_NAME_NONE,      /* no name that has the address in turn */
		IPC_NAME_OF_HOST,
};

enum ipc_check { /* what a back end says of a name and a password */
		 IPC_CHECK_YES = 1,
		 IPC_CHECK_NO, /* it knows the name, or does not tell, and this is not the password
				*/
		 IPC_CHECK_UNKNOWN,     /* it knows no such name */
		 IPC_CHECK_UNAVAILABLE, /* it cannot be asked now */
};

enum ipc_verdict { /* of a submission */
		   IPC_STORED = 1,
		   IPC_NO_GRANT,   /* the grant is not live on this smtpd: 421 at the next MAIL */
		   IPC_BAD_SENDER, /* not within the grant */
		   IPC_BAD_RECIPIENT, /* not within the grant */
		   IPC_OVER_BUDGET,
		   IPC_DISK_FULL,    /* 452 */
		   IPC_STORE_ERROR,  /* 451: certainly not stored */
		   IPC_STORE_UNSURE, /* close without a reply: it may be found after a restart */
		   IPC_BAD_MESSAGE,  /* malformed: too large, key not this smtpd's */
};

enum ipc_mail_flag {
	IPC_MAIL_8BIT = 1u << 0,   /* BODY=8BITMIME was given, or it holds bytes above ASCII */
	IPC_MAIL_UTF8 = 1u << 1,   /* SMTPUTF8 was given */
	IPC_MAIL_BOUNCE = 1u << 2, /* made by us: never bounces itself */
	IPC_MAIL_LOGIN = 1u << 3,  /* submitted by somebody logged in */
	IPC_MAIL_REQUIRETLS = 1u << 4,
	IPC_MAIL_TLS_OPTIONAL = 1u << 5, /* the header says TLS-Required: No (RFC 8689 3) */
};

enum ipc_limit { /* that smtpd enforces by itself, in the order of STRUCK */
		 IPC_LIMIT_BAD_RECIPIENTS,
		 IPC_LIMIT_ERRORS,
		 IPC_LIMIT_MESSAGE_SIZE,
		 IPC_LIMIT_RECIPIENTS,
		 IPC_LIMIT_TIMEOUTS,
		 IPC_LIMIT_LOGIN_TIME,
		 IPC_LIMIT_HANDSHAKE_TIME,
		 IPC_LIMIT_MIN_RATE,
		 IPC_LIMIT_DESCRIPTORS,
		 IPC_LIMIT_HOPS,
		 IPC_LIMIT_FUTURE_RELEASE,
		 IPC_LIMIT_LONG_LINES,
		 IPC_LIMIT_PROXY_HEADERS,
		 IPC_LIMIT_COUNT,
};

enum ipc_alert { IPC_ALERT_ONCE = 1, IPC_ALERT_LASTS, IPC_ALERT_OVER };

enum ipc_field_kind { IPC_FIELD_TEXT = 1, IPC_FIELD_NUMBER, IPC_FIELD_BOOL, IPC_FIELD_TIME };

/*
 * What an operator can ask, and who does it. A field of args that is not named here is an error
 * (OP_END status 1). Rows are fields in the order in which people read them; the CLI shows any.
 */
enum ipc_op {
	/*
	 * master, auth, queue, relay: control asks each. Rows: what each finds worth telling;
	 * master has one per process, named by its field "process". Besides, a row for each limit:
	 * limit, value (as configured), now (how much is used, if that can be said), struck; and
	 * one for each back end: backend, type, state, since, processes, waiting, yes, no,
	 * unavailable, why.
	 */
	IPC_OP_STATUS = 1,
	IPC_OP_RELOAD = 2, /* master; ends when the new configuration is in force, or why not */
	/*
	 * auth. subject: the login name. send_as (TEXT, any number): what the account may send
	 * as; none: its own address. secret: the password. Rows: name, enabled, send_as (joined
	 * by ", "), created, changed, password_changed.
	 */
	IPC_OP_USER_ADD = 20, /* send_as, secret */
	IPC_OP_USER_LIST,     /* a row each */
	IPC_OP_USER_SHOW,     /* one row */
	IPC_OP_USER_PASSWORD, /* secret */
	IPC_OP_USER_DISABLE,
	IPC_OP_USER_ENABLE,
	IPC_OP_USER_DELETE,
	IPC_OP_USER_TEST, /* secret: status 0 if it would log in */
	/*
	 * send_as: instead of those before; message_size (TEXT: 100M, default), expires (TEXT:
	 * 2027-01-31, 30d, never), main_password (TEXT: on, off): the others stay.
	 */
	IPC_OP_USER_SET,
	IPC_OP_USER_FREEZE, /* reason (TEXT) */
	IPC_OP_USER_THAW,
	/* auth. subject: the login name. key (TEXT): its name. */
	IPC_OP_KEY_ADD,  /* send_as, network (TEXT, any number), expires, message_size */
	IPC_OP_KEY_LIST, /* a row each */
	IPC_OP_KEY_REMOVE,
	/* auth. subject: the login name. pattern (TEXT): that it may send as, with others. */
	IPC_OP_GROUP_ADD,
	IPC_OP_GROUP_REMOVE,
	IPC_OP_GROUP_LIST, /* subject: a pattern, "" for all. A row per member */
	/*
	 * auth. credentials: accounts to make. replace, dry_run (BOOL); source (TEXT): the back end
	 * that proves their passwords. Rows: line, name, result, password, note, one for each.
	 */
	IPC_OP_USER_IMPORT,
	/*
	 * queue. args that choose among messages: account, sender, recipient (TEXT: address, or
	 * pattern of policy/rights.h), destination (TEXT: domain), held (BOOL), older (TEXT:
	 * 90s, 5m, 2h, 3d); limit (NUMBER).
	 * RETRY, HOLD, RELEASE, DROP: subject is an ID; or "", and args choose, or all (BOOL).
	 */
	IPC_OP_QUEUE_SUMMARY = 40,
	IPC_OP_QUEUE_LIST, /* a row per message: id, ... */
	IPC_OP_QUEUE_SHOW, /* subject: ID. A row for the message, then one per recipient */
	IPC_OP_QUEUE_RETRY,
	IPC_OP_QUEUE_HOLD,
	IPC_OP_QUEUE_RELEASE,
	IPC_OP_QUEUE_DROP,
	/*
	 * auth. BLOCKED: a row for each: source (network, "" strangers), account ("" all), since,
	 * until, failures, reason. UNBLOCK: subject is an address, a network or a login name.
	 */
	IPC_OP_AUTH_BLOCKED = 50,
	IPC_OP_AUTH_UNBLOCK,
	IPC_OP_ALERT_TEST = 55,    /* master; ends when the program has ended */
	IPC_OP_TLS_SHOW = 60,      /* master. A row per certificate */
	IPC_OP_ROUTE_EXPLAIN = 80, /* relay. subject: a recipient */
	/*
	 * auth. SENDERS: a row for each address that an account used and may not: name, sent_as,
	 * envelope, from (how often), first, last, allow (the command). MECHS: a row for each
	 * mechanism of an account: name, mechanism, with_tls, in_clear, first, last.
	 */
	IPC_OP_REPORT_SENDERS = 90,
	IPC_OP_REPORT_MECHS,
};

/* The name of a message type, role or outcome, for logs and documents; "?" if unknown. */
const char *ipc_type_name(uint16_t type);
const char *ipc_role_name(enum ipc_role role);
bool ipc_type_known(uint16_t type);
bool ipc_type_bulk(uint16_t type);
/* Whether exactly one descriptor comes with each such message; none with any other. */
bool ipc_type_descriptor(uint16_t type);
/* Whether a password or a key may be in it: its bytes are wiped where they were read or sent from.
 */
bool ipc_type_secret(uint16_t type);

/*
 * Appends a whole frame (header and payload). message: the struct msg_ of type.
 * ERR_RANGE if a field is longer than its maximum, ERR_SYNTAX if a TEXT holds NUL, ERR_FULL if
 * out has no room; on error nothing is appended.
 */
enum err ipc_encode(uint16_t type, const void *message, uint16_t descriptors, struct buf *out);
/* Checks and unpacks one payload. ERR_SYNTAX, ERR_RANGE; *message_out is then undefined. */
enum err ipc_decode(uint16_t type, struct slice payload, void *message_out);

/* Builds a list: records are appended to bytes, which the caller owns and has bounded. */
struct ipc_list_builder {
	uint32_t count;
	struct buf bytes;
};
void ipc_list_begin(struct ipc_list_builder *builder, size_t max);
enum err ipc_list_add(struct ipc_list_builder *builder, enum ipc_record type, const void *record);
/* The list so far; valid until the builder changes. */
struct ipc_list ipc_list_view(const struct ipc_list_builder *builder);
void ipc_list_release(struct ipc_list_builder *builder);
/* Takes the next record off *list; false at the end. A decoded list is known to be well-formed. */
bool ipc_list_next(struct ipc_list *list, enum ipc_record type, void *record_out);

/* For doc/messages.md: writes the table as Markdown. ERR_FULL. */
enum err ipc_describe(struct buf *out);

#endif
