/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "os/os.h"
#include "test_tls.h"

static const int64_t day = 86400000;

static void self_signed_is_usable(void **state)
{
	struct made made;
	char why[TLS_WHY_MAX] = "";
	struct tls_certificate_info info;
	struct tls_identity identity;
	int64_t now = os_wall_ms();

	(void)state;
	make(&made, "mail.example.org", 30);
	identity = made_identity(&made);
	assert_int_equal(tls_identity_check(&identity, "mail.example.org", now, why), ERR_OK);
	assert_int_equal(tls_identity_check(&identity, "MAIL.Example.ORG", now, why), ERR_OK);
	assert_int_equal(tls_identity_check(&identity, NULL, now, why), ERR_OK);
	assert_int_equal(tls_identity_info(&identity, &info), ERR_OK);
	assert_true(info.self_signed);
	assert_string_equal(info.subject, "CN=mail.example.org");
	assert_int_equal(strlen(info.fingerprint), 95);
	assert_int_equal(info.fingerprint[2], ':');
	assert_true(info.not_after > now + 29 * day && info.not_after < now + 31 * day);
	unmake(&made);
}

static void wrong_name_and_dates_are_told(void **state)
{
	struct made made;
	char why[TLS_WHY_MAX] = "";
	struct tls_identity identity;
	int64_t now = os_wall_ms();

	(void)state;
	make(&made, "mail.example.org", 30);
	identity = made_identity(&made);
	assert_int_equal(tls_identity_check(&identity, "other.example.org", now, why),
			 ERR_NOT_FOUND);
	assert_non_null(strstr(why, "other.example.org"));
	assert_int_equal(tls_identity_check(&identity, "mail.example.org.evil", now, why),
			 ERR_NOT_FOUND);
	assert_int_equal(tls_identity_check(&identity, "192.0.2.1", now, why), ERR_NOT_FOUND);
	assert_int_equal(tls_identity_check(&identity, "mail.example.org", now + 31 * day, why),
			 ERR_RANGE);
	assert_non_null(strstr(why, "expired on 2"));
	assert_int_equal(tls_identity_check(&identity, "mail.example.org", now - day, why),
			 ERR_RANGE);
	assert_non_null(strstr(why, "valid only from 2"));
	unmake(&made);
}

static void key_of_another_is_refused(void **state)
{
	struct made one, two;
	char why[TLS_WHY_MAX] = "";
	struct tls_context *context = NULL;
	struct tls_identity mixed;

	(void)state;
	make(&one, "mail.example.org", 30);
	make(&two, "mail.example.org", 30);
	mixed = made_identity(&one);
	mixed.key = buf_data(&two.key);
	assert_int_equal(tls_identity_check(&mixed, NULL, os_wall_ms(), why), ERR_DENIED);
	assert_non_null(strstr(why, "does not belong"));
	why[0] = '\0';
	assert_int_equal(tls_server_context_new(&mixed, &context, why), ERR_DENIED);
	assert_non_null(strstr(why, "does not belong"));
	assert_null(context);
	unmake(&one);
	unmake(&two);
}

static void one_file_may_hold_both(void **state)
{
	struct made made;
	char why[TLS_WHY_MAX] = "";
	struct tls_context *context = NULL;
	struct tls_identity identity;

	(void)state;
	make(&made, "mail.example.org", 30);
	assert_int_equal(buf_append_slice(&made.key, buf_data(&made.certificate)), ERR_OK);
	identity = (struct tls_identity){.certificate = buf_data(&made.key)};
	assert_int_equal(tls_identity_check(&identity, "mail.example.org", os_wall_ms(), why),
			 ERR_OK);
	assert_int_equal(tls_server_context_new(&identity, &context, why), ERR_OK);
	tls_context_free(&context);
	assert_null(context);
	unmake(&made);
}

/* Made for this test: openssl genpkey -algorithm EC -aes256. */
static const char locked_key[] =
	"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
	"MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhOCzghUai9pAICCAAw\n"
	"DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEOI4UuRl3nwwVYZHcpz22PcEgZAm\n"
	"gAEgvqbbOEOZLu9krWk9tFgQLoJLrxpz3YEUsbageBDXJAwSs4IyrHmiaDcL976u\n"
	"5EpjHBGqRySyp/tVbvbBbnxcOp8KGXya0LehSRT1tjm3SoTOkkxlua5oLZCsPjIx\n"
	"X3D3g7HbcqleGy1+dyw2/B2h7iJFSS6O35/OnuJWZXPzQOJMSSqVcwXSQrDPJl8=\n"
	"-----END ENCRYPTED PRIVATE KEY-----\n";

static void rubbish_is_told(void **state)
{
	struct made made;
	char why[TLS_WHY_MAX] = "";
	struct tls_certificate_info info;
	struct tls_identity identity;

	(void)state;
	make(&made, "mail.example.org", 30);
	identity = made_identity(&made);
	identity.certificate = SLICE_LIT("no certificate at all\n");
	assert_int_equal(tls_identity_check(&identity, NULL, 0, why), ERR_SYNTAX);
	assert_non_null(strstr(why, "no certificate"));
	assert_int_equal(tls_identity_info(&identity, &info), ERR_SYNTAX);
	identity = made_identity(&made);
	identity.key = SLICE_LIT("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
	assert_int_equal(tls_identity_check(&identity, NULL, 0, why), ERR_SYNTAX);
	assert_non_null(strstr(why, "no private key"));
	identity.key = slice_str(locked_key);
	assert_int_equal(tls_identity_check(&identity, NULL, 0, why), ERR_SYNTAX);
	assert_non_null(strstr(why, "passphrase"));
	unmake(&made);
}

static void address_and_bad_names(void **state)
{
	struct made made;
	char why[TLS_WHY_MAX] = "";
	struct tls_identity identity;

	(void)state;
	make(&made, "127.0.0.1", 30);
	identity = made_identity(&made);
	assert_int_equal(tls_identity_check(&identity, "127.0.0.1", os_wall_ms(), why), ERR_OK);
	assert_int_equal(tls_identity_check(&identity, "127.0.0.2", os_wall_ms(), why),
			 ERR_NOT_FOUND);
	size_t before = buf_len(&made.certificate);

	assert_int_equal(tls_make_self_signed("", 30, &made.certificate, &made.key), ERR_RANGE);
	assert_int_equal(tls_make_self_signed("a,DNS:b", 30, &made.certificate, &made.key),
			 ERR_RANGE);
	assert_int_equal(tls_make_self_signed("a\nb", 30, &made.certificate, &made.key), ERR_RANGE);
	assert_int_equal(buf_len(&made.certificate), before);
	unmake(&made);
	make(&made,
	     "a-name-that-is-longer-than-what-a-common-name-can-hold.department.university.example",
	     30);
	unmake(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(self_signed_is_usable),
		cmocka_unit_test(wrong_name_and_dates_are_told),
		cmocka_unit_test(key_of_another_is_refused),
		cmocka_unit_test(one_file_may_hold_both),
		cmocka_unit_test(rubbish_is_told),
		cmocka_unit_test(address_and_bad_names),
	};

	return cmocka_run_group_tests_name("tls-identity", tests, NULL, NULL);
}
