/* SPDX-License-Identifier: Apache-2.0 */
#include "login.h"

#include <gsasl.h>
#include <string.h>

#include "base/mem.h"

static const char *const mechanisms[] = {"PLAIN", "LOGIN"}; /* in order of preference */

struct login {
	Gsasl_session *session;
	const char *mechanism;
};

static const char *choose(struct slice offered)
{
	for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++) {
		struct slice rest = offered, word;

		while (slice_split(&rest, ' ', &word))
			if (slice_is_nocase(word, mechanisms[i]))
				return mechanisms[i];
	}
	return NULL;
}

struct Gsasl *login_library_new(void)
{
	Gsasl *library = NULL;

	return gsasl_init(&library) == GSASL_OK ? library : NULL;
}

void login_library_free(struct Gsasl **library)
{
	if (*library)
		gsasl_done(*library);
	*library = NULL;
}

enum err login_start(struct Gsasl *library, struct slice offered, const char *user,
		     struct slice password, struct login **login_out, struct buf *initial,
		     bool *has_initial_out)
{
	const char *mechanism = choose(offered);
	struct login *login;
	enum err err = ERR_OK;

	if (!mechanism)
		return ERR_NOT_FOUND;
	login = mem_alloc(sizeof(*login));
	login->mechanism = mechanism;
	if (gsasl_client_start(library, mechanism, &login->session) != GSASL_OK) {
		login_free(&login);
		return ERR_INTERNAL;
	}
	if (gsasl_property_set(login->session, GSASL_AUTHID, user) != GSASL_OK ||
	    gsasl_property_set_raw(login->session, GSASL_PASSWORD, password.ptr, password.len) !=
		    GSASL_OK)
		err = ERR_INTERNAL;
	/* Only PLAIN begins with the client's token. */
	*has_initial_out = !strcmp(mechanism, "PLAIN");
	if (err == ERR_OK && *has_initial_out)
		err = login_step(login, SLICE_LIT(""), initial);
	if (err != ERR_OK) {
		login_free(&login);
		return err;
	}
	*login_out = login;
	return ERR_OK;
}

const char *login_mechanism(const struct login *login)
{
	return login->mechanism;
}

enum err login_step(struct login *login, struct slice challenge, struct buf *response)
{
	char *token = NULL;
	size_t len = 0;
	enum err err = ERR_SYNTAX;
	int result = gsasl_step(login->session, challenge.ptr, challenge.len, &token, &len);

	if (result == GSASL_OK || result == GSASL_NEEDS_MORE)
		err = buf_append(response, token, len);
	if (token) {
		explicit_bzero(token, len);
		gsasl_free(token);
	}
	return err;
}

void login_free(struct login **login)
{
	struct login *l = *login;

	*login = NULL;
	if (!l)
		return;
	if (l->session)
		gsasl_finish(l->session);
	mem_free(l);
}
