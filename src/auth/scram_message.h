/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's two messages of SCRAM (RFC 5802 section 7), read strictly: each attribute in its
 * place, none twice, nothing but what the grammar allows, all of it bounded (C7). GNU SASL reads
 * them again after us; it is lenient where this is not.
 */
#ifndef POSTERN_AUTH_SCRAM_MESSAGE_H
#define POSTERN_AUTH_SCRAM_MESSAGE_H

#include "base/slice.h"

enum {
	SCRAM_MESSAGE_MAX = 4096, /* far above what any client sends: two nonces and a name */
	SCRAM_NONCE_MAX = 512,
	SCRAM_BINDING_NAME_MAX = 64,
};

enum scram_flag {
	SCRAM_BINDING_NO,       /* n: the client cannot bind to a channel */
	SCRAM_BINDING_UNSURE,   /* y: it could, and thinks that the server cannot */
	SCRAM_BINDING_REQUIRED, /* p: it does */
};

/* Slices of the message. */
struct scram_first {
	enum scram_flag flag;
	struct slice binding; /* name of the binding, after p= */
	bool has_authzid;
	struct slice authzid; /* encoded, as name is: scram_name */
	struct slice name;
	struct slice nonce;
	struct slice gs2_header; /* with its second comma */
};

struct scram_final {
	struct slice binding; /* after c=, in base64 */
	struct slice nonce;
	struct slice proof; /* after p=, in base64 */
};

/* ERR_SYNTAX; ERR_RANGE: longer than the bounds above. */
enum err scram_read_first(struct slice message, struct scram_first *first_out);
enum err scram_read_final(struct slice message, struct scram_final *final_out);
/* The name that "=2C" and "=3D" were written into; size counts a terminator. ERR_SYNTAX, ERR_RANGE.
 */
enum err scram_name(struct slice encoded, char *name_out, size_t size, size_t *len_out);

#endif
