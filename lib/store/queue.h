/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue on disk: messages, their recipients and their destinations (recipient domains), in
 * batches. doc/queue-schema.md has the tables.
 *
 * Invariants:
 *  1. A message row never changes: it is put once and deleted once. What changes are the rows of
 *     its recipients, one for each that is still to be served, and "progress", how many ended.
 *  2. A body is either in the row or, above QUEUE_INLINE_MAX, in the file bodies/KEY, which is
 *     on disk before the row that names it.
 *  3. A checksum covers envelope and body, and one each chunk of a body file: what does not
 *     match is set aside and never delivered.
 *  4. There is one writer. It and each reader is used by one thread at a time; none of them by
 *     the thread that runs the loop, because everything here may block.
 *
 * A mail is handed from thread to thread with the job that works on it; only the loop's thread
 * counts references.
 */
#ifndef POSTERN_STORE_QUEUE_H
#define POSTERN_STORE_QUEUE_H

#include "base/buf.h"
#include "base/msgid.h"

enum {
	QUEUE_SCHEMA = 2,
	QUEUE_SCHEMA_MIN = 1,     /* an older one is brought to this version when it is opened */
	QUEUE_INLINE_MAX = 65536, /* largest body from a client that lies in the database */
	QUEUE_CHUNK = 65536,      /* of a body file: one checksum each */
	/* Bodies in the database at most: our own bounces can be larger than a client's. */
	QUEUE_BODY_MAX = 1024 * 1024,
	QUEUE_ENVELOPE_MAX = 32 * 1024 * 1024, /* 10 000 recipients of the longest kind */
	QUEUE_RECIPIENTS_MAX = 10000,
	QUEUE_NAME_MAX = 512,     /* of a destination */
	QUEUE_LAST_MAX = 512,     /* of a remote server's last words that are kept */
	QUEUE_KEY_BLOCK = 262144, /* keys put aside per step of the high-water mark */
	QUEUE_WAL_PAGES = 16000,  /* the writer checkpoints at about this many */
};

#define QUEUE_NEVER INT64_MAX
/* The due time of what an operator holds. */
#define QUEUE_HELD_DUE (INT64_MAX - 1)
/* The due time of what is held because its account is frozen; its state is QUEUE_HELD, too. */
#define QUEUE_FROZEN_DUE (INT64_MAX - 2)

/*
 * MT-PRIORITY (RFC 6710): a step above 0 counts as if the message had come so much earlier. Of what
 * is due the earliest goes first, so nothing waits for ever behind what is urgent.
 */
#define QUEUE_PRIORITY_MS (10 * 60 * 1000)

/* Bits of a row's notice: what the sender has been told about the delay. */
enum queue_notice {
	QUEUE_NOTICE_FIRST = 1 << 0,
	QUEUE_NOTICE_AGAIN = 1 << 1,
	QUEUE_NOTICE_BY = 1 << 2, /* that the time of DELIVERBY has passed */
};

enum queue_state { QUEUE_WAITING = 0, QUEUE_DEFERRED, QUEUE_UNCERTAIN, QUEUE_HELD };

/* ---- messages ---------------------------------------------------------------------------- */
struct queue_mail {
	struct msgid id;
	int64_t arrived, expires; /* ms since 1970 */
	uint64_t size;            /* of the body */
	uint32_t flags;           /* the caller's */
	uint32_t recipients;      /* all, those that ended included */
	bool in_file;
	uint32_t refs;
	char *envelope; /* encoded; the writer fills in the destinations */
	size_t envelope_len;
	char *body; /* NULL: not loaded, or a file, whose checksums lie here */
	size_t body_len;
};

enum { QUEUE_BY_RETURN = 1, QUEUE_BY_NOTIFY = 2 };

struct queue_envelope {
	struct slice sender, account, log_id;
	struct slice bounce; /* where bounces go; "" nowhere */
	struct slice envid;
	struct slice auth;  /* of MAIL AUTH=, xtext; "" none */
	int64_t release_at; /* not tried before; 0: at once */
	int64_t deliver_by; /* 0: no such wish */
	uint8_t ret;
	uint8_t by_mode; /* 0 none, QUEUE_BY_RETURN, QUEUE_BY_NOTIFY */
	bool by_trace;
	uint8_t priority; /* 0 none, else 10 + the value asked for */
	uint32_t count;
	struct slice recipients; /* encoded; see queue_envelope_next */
};
struct queue_recipient {
	uint32_t n;
	uint8_t notify;
	int64_t destination;
	struct slice address, orcpt;
	struct slice domain; /* of the address, as it was given; part of it */
};

/* Encodes an envelope: begin, then one call per recipient. Appended to out. ERR_FULL, ERR_RANGE. */
enum err queue_envelope_begin(struct buf *out, const struct queue_envelope *envelope);
enum err queue_envelope_add(struct buf *out, const struct queue_recipient *recipient);
/* ERR_CORRUPT. Slices point into the encoding. All recipients are checked. */
enum err queue_envelope_read(struct slice encoded, struct queue_envelope *envelope_out);
/* Takes the next recipient off *rest (envelope.recipients at first); false at the end. */
bool queue_envelope_next(struct slice *rest, struct queue_recipient *recipient_out);
/* Priority asked for: -9 to 9. */
int queue_envelope_priority(const struct queue_envelope *envelope);
/* When the recipients of a message are due at first: not before its release (RFC 4865). */
int64_t queue_envelope_due(const struct queue_envelope *envelope, int64_t arrived);
/*
 * When somebody must look after the time to deliver by (RFC 2852): that time, the arrival if it
 * lies before the release of a message that is to be returned; QUEUE_NEVER: it expires before.
 */
int64_t queue_envelope_deadline(const struct queue_envelope *envelope, int64_t arrived,
				int64_t expires);
/* The recipient numbered n; false if there is none. */
bool queue_envelope_find(const struct queue_envelope *envelope, uint32_t n,
			 struct queue_recipient *recipient_out);

/* One reference; envelope is copied, body too (its memory is one block with the mail). */
struct queue_mail *queue_mail_new(struct slice envelope, struct slice body);
struct queue_mail *queue_mail_ref(struct queue_mail *mail);
void queue_mail_unref(struct queue_mail **mail);

/* ---- rows: one recipient that is still to be served -------------------------------------- */
struct queue_row {
	int64_t destination;
	int64_t due;
	uint64_t key;
	uint32_t n;
	uint32_t attempts;
	enum queue_state state;
	uint8_t notice; /* enum queue_notice */
};

/* What becomes of a row. */
struct queue_change {
	/* As last seen. If its due is no longer right the row is looked for (slow, and rare). */
	struct queue_row row;
	bool end;     /* delivered, failed, dropped: the row goes */
	bool in_file; /* the message's body is a file: it goes with the message */
	bool force;   /* the operator's: else a row that is held stays held */
	/* Only these bits are added to its notice, wherever it is; all else stays as it is. */
	uint8_t notice;
	/* Otherwise: */
	int64_t due;
	uint32_t attempts;
	enum queue_state state;
	struct slice last; /* last words; NULL pointer: unchanged */
};

struct queue_put {
	struct queue_mail *mail;
	enum err err; /* ERR_EXISTS: the key was used before; the rest of the batch is unharmed */
};

/* A destination's own state: its due time while it is down. */
struct queue_destination {
	int64_t id;
	struct slice name; /* for reading only */
	int64_t due;       /* 0: not down */
	uint32_t failures;
	struct slice last;
	int64_t first_due; /* reading: of its rows; QUEUE_NEVER none */
};

/* A message's time to deliver by. */
struct queue_deadline {
	int64_t at;
	uint64_t key;
};

/* A message that failed its checksum: it goes to the table "damaged" with its rows. */
struct queue_aside {
	uint64_t key;
	const char *reason; /* constant text */
	bool in_file;
	const struct queue_row *rows; /* those known */
	size_t row_count;
};

/* ---- the writer -------------------------------------------------------------------------- */
struct queue_writer;

struct queue_report { /* what opening found, for the log */
	bool created;
	int upgraded_from;       /* the database was of this older schema; 0: it was not */
	bool set_aside;          /* the database was damaged */
	char aside_path[4096];   /* where the damaged one lies */
	uint64_t salvaged, lost; /* messages that could and could not be read from it */
	uint64_t orphans;        /* body files without a message that were removed */
	char why[256];           /* on error: what to do */
};

/*
 * Opens folder/queue.db and folder/bodies, makes them if they are not there, finishes what an
 * interrupted salvage began, and puts a block of keys aside. ERR_RANGE: the schema is another
 * version's; ERR_DENIED, ERR_NO_SPACE, ERR_IO: why says what to do. A damaged database is set
 * aside and salvaged, which is not an error. now: wall ms.
 */
enum err queue_writer_open(const char *folder, int64_t now, struct queue_writer **writer_out,
			   struct queue_report *report_out);
/* Checkpoints and closes. */
void queue_writer_close(struct queue_writer **writer);
/*
 * The database turned out to be damaged (ERR_CORRUPT from any call): the next open sets it
 * aside. May be called from any thread.
 */
enum err queue_mark_damaged(const char *folder);

struct queue_batch {
	struct queue_put *puts;
	size_t put_count;
	const struct queue_change *changes; /* those of one message together */
	size_t change_count;
	const struct queue_destination *destinations;
	size_t destination_count;
	const struct queue_aside *asides;
	size_t aside_count;
	/* Of messages whose time to deliver by has been dealt with. */
	const struct queue_deadline *deadlines;
	size_t deadline_count;
	bool want_keys; /* put another block aside */

	/* Results, valid on ERR_OK. */
	uint64_t first_key, key_count; /* of the block, if wanted */
	uint64_t *ended;               /* messages that are gone; queue_batch_release frees */
	size_t ended_count;
	size_t rows_ended; /* rows of changes that were there and went */
	/* On failure: the commit may yet be found after a restart, until another succeeds. */
	bool unsure;
};

/*
 * All or nothing, but for puts whose key exists. On ERR_OK it is on disk. Body files of what
 * ended are removed. ERR_NO_SPACE, ERR_BUSY (somebody holds the database), ERR_IO, ERR_CORRUPT;
 * then nothing was stored unless unsure is set.
 */
enum err queue_writer_commit(struct queue_writer *writer, struct queue_batch *batch);
void queue_batch_release(struct queue_batch *batch); /* what the writer allocated in it */
/*
 * Writes something small over what an unsure commit may have left, so that it can never be
 * found. ERR_OK: it is gone for certain.
 */
enum err queue_writer_overwrite(struct queue_writer *writer);
/* Removes destinations that no recipient waits for, and deadlines of messages that are gone. */
enum err queue_writer_tidy(struct queue_writer *writer);

/* ---- bodies in files --------------------------------------------------------------------- */
struct queue_upload; /* one body on its way to disk; each call on one thread at a time */

enum err queue_upload_open(const char *folder, uint64_t key, struct queue_upload **upload_out);
enum err queue_upload_write(struct queue_upload *upload, struct slice data);
/* Syncs the file. The folder is synced by the commit that names it. */
enum err queue_upload_finish(struct queue_upload *upload);
/* What goes into the mail as its body; valid until close. */
struct slice queue_upload_sums(const struct queue_upload *upload);
uint64_t queue_upload_size(const struct queue_upload *upload);
void queue_upload_close(struct queue_upload **upload, bool remove);
/* Removes the finished file of a message that was not stored, for certain: its client was told. */
void queue_body_discard(const char *folder, uint64_t key);

/*
 * Reads at most len bytes of a body in a file at offset, checked against the mail's sums (which
 * must be loaded). ERR_CORRUPT, ERR_NOT_FOUND, ERR_IO; ERR_RANGE: offset past the end.
 */
enum err queue_body_read(const char *folder, const struct queue_mail *mail, uint64_t offset,
			 size_t len, struct buf *out);

/* ---- readers ----------------------------------------------------------------------------- */
struct queue_reader;

enum err queue_reader_open(const char *folder, struct queue_reader **reader_out);
void queue_reader_close(struct queue_reader **reader);

/* Recipients of one message at one destination. */
struct queue_loaded {
	struct queue_mail *mail; /* NULL if it is damaged */
	const char *damage;      /* why; constant */
	bool in_file;
	struct queue_row *rows;
	size_t row_count;
};
struct queue_load {
	/* The question: */
	int64_t destination;
	struct slice name; /* instead of destination, if that is 0 */
	uint64_t key;      /* only this message, due or not; 0: all that are due */
	/* Only these messages, due or not, upwards: one pass over the destination. NULL: see above.
	 */
	const uint64_t *keys;
	size_t key_count;
	int64_t due;  /* up to and including */
	size_t limit; /* messages; of due ones at most 1000 rows each */
	bool bodies;  /* load bodies that lie in the database */
	/* The answer; queue_load_release frees what the caller did not take. */
	struct queue_loaded *loaded;
	size_t count;
	int64_t next_due; /* of the first row that was not read; QUEUE_NEVER none */
};
/* ERR_CORRUPT: the database is damaged; ERR_IO. A damaged message is not an error. */
enum err queue_reader_load(struct queue_reader *reader, struct queue_load *load);
void queue_load_release(struct queue_load *load);

/* The message with this key, body included if it lies in the database. ERR_NOT_FOUND, ERR_CORRUPT.
 */
enum err queue_reader_mail(struct queue_reader *reader, uint64_t key, struct queue_mail **mail_out);
enum err queue_reader_arrived(struct queue_reader *reader, uint64_t key, int64_t *arrived_out);
/* Whether the message is stored. */
enum err queue_reader_known(struct queue_reader *reader, const struct msgid *id, bool *known_out);

/* Destinations with id above *cursor (0 at first), at most max; ERR_EOF when there are no more. */
enum err queue_reader_destinations(struct queue_reader *reader, int64_t *cursor, size_t max,
				   void (*fn)(void *arg,
					      const struct queue_destination *destination),
				   void *arg);

/* A row as the operator sees it; slices are valid during the call. */
struct queue_view {
	struct queue_row row;
	struct slice destination; /* name */
	struct slice last;
	const struct queue_mail *mail; /* without its body */
	const struct queue_envelope *envelope;
	struct queue_recipient recipient;
};
struct queue_scan { /* zeroed at first; where the scan goes on */
	struct queue_row after;
	bool with_mail; /* set by the caller: mail, envelope and recipient are wanted */
};
/*
 * Visits at most max rows in the order of destination and due time, in one short read
 * transaction. ERR_EOF when there are no more. fn returns false to stop early.
 */
enum err queue_reader_scan(struct queue_reader *reader, struct queue_scan *scan, size_t max,
			   bool (*fn)(void *arg, const struct queue_view *view), void *arg);
/*
 * Up to max times to deliver by that stand behind "after" (zeroed: from the first on) and are at or
 * before now, and in *next_out the first that is later, or of those that found no room
 * (QUEUE_NEVER: none).
 */
enum err queue_reader_deadlines(struct queue_reader *reader, struct queue_deadline after,
				int64_t now, size_t max, struct queue_deadline *deadlines_out,
				size_t *count_out, int64_t *next_out);
/*
 * Of the destination of this name: its number (0: there is none), how many recipients are due there
 * now or were deferred, and up to max rows that were deferred and are due after now. What an
 * operator holds, what waits for its release and what is uncertain is due later, and not counted.
 */
enum err queue_reader_place(struct queue_reader *reader, struct slice name, int64_t now, size_t max,
			    int64_t *destination_out, uint64_t *waiting_out,
			    struct queue_row *rows_out, size_t *count_out);
/* Whether this very row is still there: not ended, not moved to another time. */
enum err queue_reader_has(struct queue_reader *reader, const struct queue_row *row, bool *has_out);
/* Rows in the whole queue: counted once, at start. */
enum err queue_reader_count(struct queue_reader *reader, uint64_t *rows_out);
/* Messages in the table "damaged". */
enum err queue_reader_damaged(struct queue_reader *reader, uint64_t *count_out);

#endif
