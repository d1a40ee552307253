/* SPDX-License-Identifier: Apache-2.0 */
/* What the TLS tests share: identities, and two streams on a socket pair. */
#ifndef POSTERN_TEST_TLS_H
#define POSTERN_TEST_TLS_H

#include "tls/tls.h"

struct made {
	struct buf certificate, key;
};

static inline struct tls_identity made_identity(struct made *made)
{
	return (struct tls_identity){buf_data(&made->certificate), buf_data(&made->key)};
}

static inline void make(struct made *made, const char *hostname, unsigned days)
{
	buf_init(&made->certificate, 65536);
	buf_init(&made->key, 65536);
	assert_int_equal(tls_make_self_signed(hostname, days, &made->certificate, &made->key),
			 ERR_OK);
}

static inline void unmake(struct made *made)
{
	buf_release(&made->certificate);
	buf_release(&made->key);
}

#endif
