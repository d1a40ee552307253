/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one event, one line, self-contained: time, process, event, then key=value pairs (or
 * one JSON object). Values that came from outside are escaped: a value is printed bare if it is
 * plain, else quoted; controls, invalid UTF-8 and characters that reorder text become \xNN or
 * \u{N}; 512 bytes at most. Lines are gathered and written at the end of the loop's iteration,
 * before sockets and channels.
 *
 *	log_event(LOG_INFO, "accepted", LOG_TEXT("id", id), LOG_SLICE("from", sender),
 *		  LOG_NUMBER("size", size));
 *
 * Programs log, libraries return errors. Passwords have no way in.
 */
#ifndef POSTERN_OS_LOG_H
#define POSTERN_OS_LOG_H

#include "base/buf.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

enum log_value_kind { LOG_VALUE_SKIP, LOG_VALUE_TEXT, LOG_VALUE_NUMBER, LOG_VALUE_BOOL };

struct log_value {
	const char *key;
	enum log_value_kind kind;
	struct slice text;
	int64_t number;
};

#define LOG_TEXT(key, value)   ((struct log_value){(key), LOG_VALUE_TEXT, slice_str(value), 0})
#define LOG_SLICE(key, value)  ((struct log_value){(key), LOG_VALUE_TEXT, (value), 0})
#define LOG_NUMBER(key, value) ((struct log_value){(key), LOG_VALUE_NUMBER, {0}, (int64_t)(value)})
#define LOG_BOOL(key, value)   ((struct log_value){(key), LOG_VALUE_BOOL, {0}, (value)})
/* Left out when the text is empty. */
#define LOG_TEXT_IF(key, value) log_text_if((key), slice_str(value))
#define LOG_SLICE_IF(key, value) log_text_if((key), (value))

#define log_event(level, event, ...)                                                               \
	log_values((level), (event),                                                               \
		   (const struct log_value[]){__VA_ARGS__, {.key = NULL}})

struct log_value log_text_if(const char *key, struct slice value);
void log_values(enum log_level level, const char *event, const struct log_value *values);
/* One sentence for people: event=note text="...". */
void log_note(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum log_output { LOG_OUTPUT_STREAM, LOG_OUTPUT_SYSLOG, LOG_OUTPUT_JOURNAL };
/* process: shown on each line; fd: where lines go (standard error, or a datagram socket). */
void log_open(const char *process, enum log_output output, int fd, bool json);
/* Changes the form only, which a process may still do when it can open nothing any more. */
void log_set_json(bool json);
void log_set_level(enum log_level level); /* default LOG_INFO */
/*
 * Writes what was gathered. It never waits: lines that the reader does not take are kept up to a
 * bound, then dropped and counted, and a later line says how many. log_pending: some are kept.
 */
void log_flush(void);
bool log_pending(void);
/* A datagram socket to the system's /dev/log, for LOG_OUTPUT_SYSLOG; -1: there is none, see errno. */
int log_syslog_socket(void);
/* Without a loop to flush (master's early life, the CLI) each line is written at once. */
void log_set_gathered(bool gathered);
/* For mem_when_out: says so without taking memory. */
void log_out_of_memory(void);
/* What one line looks like, for tests: appends it, newline included. wall: ms since 1970. */
enum err log_format_line(int64_t wall, const char *process, bool json, enum log_level level,
			 const char *event, const struct log_value *values, struct buf *out);

#endif
