/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCRAM (RFC 5802) against a client that knows the password and says what it likes. Input: a byte
 * of options (1 -PLUS, 2 -PLUS is offered, 4 tls-exporter, 8 tls-unique), then two records, the
 * client's messages; in the second, byte 1 stands for the nonce of both sides, byte 2 for the proof
 * that fits what is before it. Who is let in has said what a plain reading of both finds right
 * (threats C3, C7, C8), and nobody is without that proof.
 */
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/base64.h"
#include "base/mem.h"
#include "store/verifier.h"

#include "mechanism.h"
#include "scram_message.h"

#include "fuzz.h"

enum {
	PLUS = 1,
	OFFERED = 2,
	EXPORTER = 4,
	UNIQUE = 8,
	KEY = 32,
	ROOM = 1 << 16,
	NAME_ROOM = 4096
};

#define PASSWORD "correct horse battery"
static const unsigned char SALT[VERIFIER_SALT] = "salt of sixteen";
static const char *const BINDINGS[] = {"the exporter of this connection.", "its finished"};

/* One exchange as both sides see it. */
struct talk {
	unsigned options;
	struct exchange *exchange;
	struct slice first, server_first, nonce;
	struct buf final;
	bool proven; /* final ends with the proof that fits */
};

static void hmac(const unsigned char *key, struct slice text, unsigned char out[KEY])
{
	HOLDS(HMAC(EVP_sha256(), key, KEY, (const unsigned char *)text.ptr, text.len, out, NULL) !=
	      NULL);
}

/* What each side makes of the password (RFC 5802 3); the same each time. */
static struct {
	unsigned char client[KEY], server[KEY];
} keys;

static void make_keys(void)
{
	unsigned char salted[KEY];

	HOLDS(PKCS5_PBKDF2_HMAC(PASSWORD, strlen(PASSWORD), SALT, sizeof(SALT),
				VERIFIER_ITERATIONS_MIN, EVP_sha256(), KEY, salted) == 1);
	hmac(salted, SLICE_LIT("Client Key"), keys.client);
	hmac(salted, SLICE_LIT("Server Key"), keys.server);
}

static struct slice bare(struct slice first)
{
	first = slice_skip(first, slice_find(first, ',') + 1);
	return slice_skip(first, slice_find(first, ',') + 1);
}

static void auth_message(const struct talk *talk, struct slice without_proof, struct buf *out)
{
	HOLDS(buf_append_slice(out, bare(talk->first)) == ERR_OK);
	HOLDS(buf_append_byte(out, ',') == ERR_OK);
	HOLDS(buf_append_slice(out, talk->server_first) == ERR_OK);
	HOLDS(buf_append_byte(out, ',') == ERR_OK);
	HOLDS(buf_append_slice(out, without_proof) == ERR_OK);
}

/* Appends the proof that fits what final says up to ",p=". */
static void prove(struct talk *talk)
{
	unsigned char stored[KEY], signature[KEY];
	struct slice said = buf_data(&talk->final);
	struct buf message;

	buf_init(&message, ROOM);
	auth_message(talk, slice_head(said, slice_find_last(said, ',')), &message);
	HOLDS(EVP_Digest(keys.client, KEY, stored, NULL, EVP_sha256(), NULL) == 1);
	hmac(stored, buf_data(&message), signature);
	for (size_t i = 0; i < KEY; i++)
		signature[i] ^= keys.client[i];
	HOLDS(base64_encode(slice_of(signature, KEY), &talk->final) == ERR_OK);
	buf_release(&message);
}

static void write_final(struct talk *talk, struct slice template)
{
	for (size_t i = 0; i < template.len; i++) {
		talk->proven = template.ptr[i] == 2;
		if (template.ptr[i] == 1)
			HOLDS(buf_append_slice(&talk->final, talk->nonce) == ERR_OK);
		else if (template.ptr[i] == 2)
			prove(talk);
		else
			HOLDS(buf_append_byte(&talk->final, template.ptr[i]) == ERR_OK);
	}
}

/* c= says the header of the first message, and what the connection is bound to. */
static void check_binding(const struct talk *talk)
{
	struct slice first = talk->first, final = buf_data(&talk->final), said, bound = {"", 0};
	struct slice header = slice_head(first, first.len - bare(first).len);
	struct buf want, bytes;

	if ((talk->options & PLUS) != 0) {
		HOLDS(slice_starts(first, "p=tls-exporter,") ||
		      slice_starts(first, "p=tls-unique,"));
		bound = slice_str(BINDINGS[slice_starts(first, "p=tls-unique,")]);
		HOLDS((talk->options &
		       (slice_starts(first, "p=tls-unique,") ? UNIQUE : EXPORTER)) != 0);
	} else {
		HOLDS(first.ptr[0] == 'n' ||
		      (first.ptr[0] == 'y' && (talk->options & OFFERED) == 0));
	}
	buf_init(&want, ROOM);
	buf_init(&bytes, ROOM);
	HOLDS(buf_append_str(&want, "c=") == ERR_OK);
	HOLDS(buf_append_slice(&bytes, header) == ERR_OK);
	HOLDS(buf_append_slice(&bytes, bound) == ERR_OK);
	HOLDS(base64_encode(buf_data(&bytes), &want) == ERR_OK);
	HOLDS(slice_split(&final, ',', &said) && slice_equal(said, buf_data(&want)));
	HOLDS(slice_split(&final, ',', &said) && slice_starts(said, "r="));
	HOLDS(slice_equal(slice_skip(said, 2), talk->nonce));
	buf_release(&want);
	buf_release(&bytes);
}

/* The name is what n= says, and a= says nothing else. */
static void check_names(const struct talk *talk)
{
	char name[NAME_ROOM];
	struct slice rest = talk->first, flag, authzid, encoded;
	size_t len;

	HOLDS(slice_split(&rest, ',', &flag) && slice_split(&rest, ',', &authzid));
	HOLDS(slice_split(&rest, ',', &encoded) && slice_starts(encoded, "n="));
	HOLDS(scram_name(slice_skip(encoded, 2), name, sizeof(name), &len) == ERR_OK && len != 0);
	HOLDS(slice_equal(exchange_name(talk->exchange), slice_of(name, len)));
	if (authzid.len == 0)
		return;
	HOLDS(slice_starts(authzid, "a="));
	HOLDS(scram_name(slice_skip(authzid, 2), name, sizeof(name), &len) == ERR_OK);
	HOLDS(slice_equal(exchange_name(talk->exchange), slice_of(name, len)));
}

/* The server proves itself, too. */
static void check_last(const struct talk *talk)
{
	unsigned char signature[KEY];
	struct slice final = buf_data(&talk->final), last;
	struct buf message, want;

	buf_init(&message, ROOM);
	buf_init(&want, ROOM);
	auth_message(talk, slice_head(final, slice_find_last(final, ',')), &message);
	hmac(keys.server, buf_data(&message), signature);
	HOLDS(buf_append_str(&want, "v=") == ERR_OK);
	HOLDS(base64_encode(slice_of(signature, KEY), &want) == ERR_OK);
	HOLDS(exchange_last(talk->exchange, &last) && slice_equal(last, buf_data(&want)));
	buf_release(&message);
	buf_release(&want);
}

/* What is read lies in the message, in its order. */
static void check_reader(struct slice message)
{
	struct scram_first first;
	struct scram_final final;
	struct buf again;

	buf_init(&again, ROOM);
	if (scram_read_first(message, &first) == ERR_OK) {
		HOLDS(buf_append_slice(&again, first.gs2_header) == ERR_OK);
		HOLDS(buf_printf(&again, "n=%.*s,r=%.*s", SLICE_ARG(first.name),
				 SLICE_ARG(first.nonce)) == ERR_OK);
		HOLDS(slice_equal(buf_data(&again), slice_head(message, buf_len(&again))));
		HOLDS(buf_len(&again) == message.len || message.ptr[buf_len(&again)] == ',');
	}
	if (scram_read_final(message, &final) == ERR_OK) {
		buf_clear(&again);
		HOLDS(buf_printf(&again, "c=%.*s,r=%.*s,", SLICE_ARG(final.binding),
				 SLICE_ARG(final.nonce)) == ERR_OK);
		HOLDS(slice_equal(buf_data(&again), slice_head(message, buf_len(&again))));
		HOLDS(final.proof.ptr + final.proof.len == message.ptr + message.len);
	}
	buf_release(&again);
}

static enum exchange_result step(struct talk *talk, struct slice token, struct slice *challenge)
{
	char *copy = fuzz_copy(token);
	enum exchange_result result;

	check_reader(slice_of(copy, token.len));
	result = exchange_step(talk->exchange, true, slice_of(copy, token.len), challenge);
	mem_free(copy);
	return result;
}

static void converse(struct talk *talk, const struct verifier *verifier, struct slice template)
{
	struct slice challenge = {"", 0}, part;
	char *server_first;
	enum exchange_result result = step(talk, talk->first, &challenge);

	HOLDS(result == EXCHANGE_VERIFIER || result == EXCHANGE_REFUSED);
	if (result != EXCHANGE_VERIFIER ||
	    exchange_give_verifier(talk->exchange, verifier, &challenge) != EXCHANGE_CHALLENGE)
		return;
	server_first = mem_strndup(challenge.ptr, challenge.len);
	talk->server_first = slice_of(server_first, challenge.len);
	part = slice_head(talk->server_first, slice_find(talk->server_first, ','));
	HOLDS(slice_starts(part, "r="));
	talk->nonce = slice_skip(part, 2);
	write_final(talk, template);
	result = step(talk, buf_data(&talk->final), &challenge);
	HOLDS(result == EXCHANGE_PROVEN || result == EXCHANGE_REFUSED);
	HOLDS(result == EXCHANGE_PROVEN || exchange_why(talk->exchange)[0] != '\0');
	if (result == EXCHANGE_PROVEN) {
		HOLDS(talk->proven);
		check_binding(talk);
		check_names(talk);
		check_last(talk);
	}
	/* It is over, whatever comes. */
	HOLDS(step(talk, buf_data(&talk->final), &challenge) == EXCHANGE_REFUSED);
	mem_free(server_first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mechanisms *mechanisms;
	static struct verifier verifier;
	struct slice rest = slice_of(data, size), template = SLICE_LIT("");
	struct talk talk = {.options = fuzz_byte(&rest), .first = SLICE_LIT("")};
	const struct exchange_terms terms = {
		.plus_offered = (talk.options & OFFERED) != 0,
		.exporter = slice_str((talk.options & EXPORTER) != 0 ? BINDINGS[0] : ""),
		.unique = slice_str((talk.options & UNIQUE) != 0 ? BINDINGS[1] : ""),
	};
	struct slice name = (talk.options & PLUS) != 0 ? SLICE_LIT("SCRAM-SHA-256-PLUS")
						       : SLICE_LIT("SCRAM-SHA-256");

	if (mechanisms == NULL) {
		make_keys();
		HOLDS(mechanisms_new(&mechanisms) == ERR_OK);
		HOLDS(verifier_make(SLICE_LIT(PASSWORD), SALT, VERIFIER_ITERATIONS_MIN,
				    &verifier) == ERR_OK);
	}
	(void)slice_split(&rest, FUZZ_RECORD_END, &talk.first);
	(void)slice_split(&rest, FUZZ_RECORD_END, &template);
	template = slice_head(template, NAME_ROOM);
	HOLDS(exchange_new(mechanisms, name, &terms, &talk.exchange) == ERR_OK);
	buf_init(&talk.final, 16 * ROOM);
	converse(&talk, &verifier, template);
	buf_release(&talk.final);
	exchange_free(&talk.exchange);
	return 0;
}
