/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One AUTH command inside auth, and what its parts call of each other: login.c has the exchange
 * with the client, login_verify.c finds out whether it is true, login_backends.c asks others,
 * login_grant.c ends it, well or badly. A login is freed by whoever ends it; nothing may touch it
 * after that.
 */
#ifndef POSTERN_AUTH_LOGIN_INTERNAL_H
#define POSTERN_AUTH_LOGIN_INTERNAL_H

#include "base/hash.h"
#include "defence.h"
#include "ipc/message.h"
#include "store/accounts.h"

struct backend_ask;
struct exchange;
struct front;
struct grant;
struct login;
struct token_check;
struct verify_job;

enum { LOGIN_CLIENT_MAX = 63 }; /* its address */

/* HELD: its refusal waits. LAST: the client has proven who it is, and must answer the last
 * challenge with nothing. */
enum login_state { LOGIN_EXCHANGING, LOGIN_VERIFYING, LOGIN_LAST, LOGIN_GRANTING, LOGIN_HELD };

/* What a job of verify is for. */
enum login_question {
	LOGIN_PASSWORD, /* is it right? */
	LOGIN_VERIFIER, /* the mechanism needs it */
	LOGIN_ACCOUNT,  /* the client is proven to be; is there such an account, as it was? */
	LOGIN_VOUCHED,  /* a back end says so; what account is that? */
	LOGIN_TOKEN,    /* a token says so; what account is that? */
};

struct login {
	UT_hash_handle hh; /* in front->logins, by session */
	uint64_t session;
	struct front *front;
	enum login_state state;
	struct exchange *exchange;
	struct verify_job *job; /* with a thread, or waiting for one */
	enum login_question question;
	unsigned runs;           /* of the job */
	uint64_t changes;        /* auth->changes when the job began */
	struct backend_ask *ask; /* put to the back ends */
	bool tls;
	bool looked_up;     /* for a mechanism that takes no password: */
	const char *nobody; /* why the verifier was nobody's, if it was */
	bool known;         /* there is such an account, and */
	struct account row; /* it was this when changes was as above */
	struct ticket ticket;
	struct token_check *token_check; /* under way */
	char token_section[64 + 1];      /* whose token it was; empty: none was good */
	struct grant *grant;             /* that queue has not acknowledged yet */
	char client[LOGIN_CLIENT_MAX + 1];
	struct account_login who; /* as the client calls itself, canonical */
	/* Once it is proven: */
	int64_t account_id, key_id; /* key_id 0: the main password */
	char account[ACCOUNT_NAME_MAX + 1];
	char key[ACCOUNT_KEY_NAME_MAX + 1];
	char address[ACCOUNT_NAME_MAX + 1];
	uint64_t message_size; /* of the key or the account */
	struct ipc_list_builder senders;
};

/* A reply to AUTH that is not 235 (RFC 4954 section 6). */
struct login_refusal {
	uint16_t code;
	const char *status;
	const char *text;
};

extern const struct login_refusal LOGIN_INVALID, LOGIN_UNAVAILABLE, LOGIN_NEEDS_TLS, LOGIN_UNKNOWN;
extern const struct login_refusal LOGIN_ENOUGH;

void login_free(struct login *login);

/*
 * The one way out for those who do not get in: reply and reason go to smtpd, which logs them.
 * login_refuse is for an AUTH command that never became a login; account may be empty.
 */
void login_fail(struct login *login, const struct login_refusal *refusal, const char *reason);
void login_refuse(struct front *front, uint64_t session, const struct login_refusal *refusal,
		  struct slice account, const char *reason);

/* Says so at once, and frees it; no penalty follows. */
void login_refuse_now(struct login *login, const struct login_refusal *refusal, const char *reason);

/* The client was told that it is refused, and left before the reply: counts and is logged alike. */
void login_abandoned(struct login *login);

/* Why this account does not get in, though it is who it says; NULL: it does. */
const char *login_barred(const struct login *login, const struct account *account);

/* The exchange has brought a name and a password: ends in login_fail or login_succeed. */
void login_verify(struct login *login);
/* It has brought a name and needs the verifier: goes on with a challenge, or login_fail. */
void login_look_up(struct login *login);
/* It has proven who the client is: ends as login_verify, after the last challenge if there is one.
 */
void login_proven(struct login *login);
/* The client has answered that. */
void login_confirm(struct login *login);
void login_challenge(struct login *login, struct slice challenge);

/*
 * The exchange has brought a bearer token: ends in login_fail, login_succeed, or a dialogue first.
 * login_look_up_token reads the account of login->who, and login_judge_token takes what it found.
 */
void login_check_token(struct login *login);
void login_look_up_token(struct login *login);
void login_judge_token(struct login *login, const struct verify_job *job);

/*
 * The store does not know the password: asks the back end that the account has, or, if source is
 * "", all. Ends as login_verify does.
 */
void login_ask_backends(struct login *login, const char *source);
/* This back end has said yes. */
void login_vouched(struct login *login, const char *backend);

/*
 * Who it is has been proven, however that was: refuses whom the account bars (account_barred), else
 * asks queue to hold the grant, and then tells smtpd. account has the key that was used, if any.
 */
void login_succeed(struct login *login, const struct account *account);

#endif
