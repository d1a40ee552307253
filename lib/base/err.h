/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one set of error codes. Functions that can fail return enum err and write their outputs
 * (last arguments, named *_out) only when they return ERR_OK. Libraries return errors and never
 * log; programs log once.
 */
#ifndef POSTERN_BASE_ERR_H
#define POSTERN_BASE_ERR_H

enum err {
	ERR_OK = 0,
	ERR_AGAIN,     /* nothing now; try again when more input or room is there */
	ERR_EOF,       /* the other end closed */
	ERR_FULL,      /* a bounded buffer, table or credit is used up */
	ERR_SYNTAX,    /* the input does not have the required form */
	ERR_RANGE,     /* a number or length is outside its bounds */
	ERR_NOT_FOUND, /* no such thing */
	ERR_EXISTS,    /* there is one already */
	ERR_DENIED,    /* permission or policy says no */
	ERR_IO,        /* the kernel said no; see errno where the function says so */
	ERR_NO_SPACE,  /* disk full, quota, no inodes */
	ERR_CORRUPT,   /* stored data does not match its checksum or schema */
	ERR_BUSY,      /* in use by somebody else */
	ERR_TIMEOUT,   /* a deadline passed */
	ERR_INTERNAL,  /* a library failed in a way that should not happen */
};

/* A short lower-case English name for err, for logs; never NULL. */
const char *err_name(enum err err);

#endif
