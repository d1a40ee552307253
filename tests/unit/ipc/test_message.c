/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message of messages.def, made from the table itself: at its lower and upper bounds there
 * and back, past them refused, and each truncation and many mutations of its frame refused or
 * decoded within the frame (the sanitizers look on).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "ipc/message.h"

enum { LIST_BYTES = 200000, LONGEST = 1048576 };

static char *filler;                     /* LONGEST + 1 bytes of text */
static struct ipc_list_builder lists[3]; /* a message has at most three */
static unsigned list_turn;
static bool high; /* fill with the largest values, else with the smallest */

static struct slice text_of(size_t len)
{
	return slice_of(filler, len);
}

#define U8(f)             m->f = high ? UINT8_MAX : 0;
#define U16(f)            m->f = high ? UINT16_MAX : 0;
#define U32(f)            m->f = high ? UINT32_MAX : 0;
#define U64(f)            m->f = high ? UINT64_MAX : 0;
#define I64(f)            m->f = high ? INT64_MAX : INT64_MIN;
#define BOOL(f)           m->f = high;
#define TEXT(f, max)      m->f = text_of(high ? (max) : 0);
#define BYTES(f, max)     m->f = text_of(high ? (max) : 0);
#define LIST(f, rec, max) m->f = list_of_##rec(max);
#define REC(f, rec)       fill_rec_##rec(&m->f);
#define RECORD(name, ...)                                                                          \
	static void fill_rec_##name(struct rec_##name *m)                                          \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}                                                                                          \
	__attribute__((unused)) static struct ipc_list list_of_##name(uint32_t max)                \
	{                                                                                          \
		struct ipc_list_builder *list = &lists[list_turn++ % 3];                           \
		struct rec_##name record;                                                          \
                                                                                                   \
		ipc_list_release(list);                                                            \
		ipc_list_begin(list, LIST_BYTES);                                                  \
		fill_rec_##name(&record);                                                          \
		while (list->count < max && ipc_list_add(list, IPC_REC_##name, &record) == ERR_OK) \
			;                                                                          \
		return ipc_list_view(list);                                                        \
	}
#define MESSAGE(number, NAME, name, class, ...)                                                    \
	static void fill_##name(struct msg_##name *m)                                              \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#include "ipc/messages.def"
#undef U8
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

#define NUMBER(f)         assert_true(a->f == b->f);
#define U8(f)             NUMBER(f)
#define U16(f)            NUMBER(f)
#define U32(f)            NUMBER(f)
#define U64(f)            NUMBER(f)
#define I64(f)            NUMBER(f)
#define BOOL(f)           NUMBER(f)
#define TEXT(f, max)      assert_true(slice_equal(a->f, b->f));
#define BYTES(f, max)     assert_true(slice_equal(a->f, b->f));
#define LIST(f, rec, max) same_list_of_##rec(a->f, b->f);
#define REC(f, rec)       same_rec_##rec(&a->f, &b->f);
#define RECORD(name, ...)                                                                          \
	static void same_rec_##name(const struct rec_##name *a, const struct rec_##name *b)        \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}                                                                                          \
	__attribute__((unused)) static void same_list_of_##name(struct ipc_list a,                 \
								struct ipc_list b)                 \
	{                                                                                          \
		struct rec_##name ra, rb;                                                          \
		uint32_t count = a.count;                                                          \
                                                                                                   \
		assert_int_equal(a.count, b.count);                                                \
		while (ipc_list_next(&a, IPC_REC_##name, &ra)) {                                   \
			assert_true(ipc_list_next(&b, IPC_REC_##name, &rb));                       \
			same_rec_##name(&ra, &rb);                                                 \
			count--;                                                                   \
		}                                                                                  \
		assert_int_equal(count, 0);                                                        \
		assert_false(ipc_list_next(&b, IPC_REC_##name, &rb));                              \
	}
#define MESSAGE(number, NAME, name, class, ...)                                                    \
	static void same_##name(const struct msg_##name *a, const struct msg_##name *b)            \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#include "ipc/messages.def"
#undef U8
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

/* Anything decoded must lie within the payload: touch it all. */
static uint64_t touched;
static void touch(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		touched += (unsigned char)s.ptr[i];
}

#define U8(f)   touched += m->f;
#define U16(f)  touched += m->f;
#define U32(f)  touched += m->f;
#define U64(f)  touched += m->f;
#define I64(f)  touched += (uint64_t)m->f;
#define BOOL(f) touched += m->f;
#define TEXT(f, max)                                                                               \
	assert_true(m->f.len <= (max));                                                            \
	touch(m->f);
#define BYTES(f, max)                                                                              \
	assert_true(m->f.len <= (max));                                                            \
	touch(m->f);
#define LIST(f, rec, max)                                                                          \
	assert_true(m->f.count <= (max));                                                          \
	touch_list_of_##rec(m->f);
#define REC(f, rec) touch_rec_##rec(&m->f);
#define RECORD(name, ...)                                                                          \
	static void touch_rec_##name(const struct rec_##name *m)                                   \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}                                                                                          \
	__attribute__((unused)) static void touch_list_of_##name(struct ipc_list l)                \
	{                                                                                          \
		struct rec_##name record;                                                          \
                                                                                                   \
		while (ipc_list_next(&l, IPC_REC_##name, &record))                                 \
			touch_rec_##name(&record);                                                 \
		assert_int_equal(l.count, 0);                                                      \
	}
#define MESSAGE(number, NAME, name, class, ...)                                                    \
	static void touch_##name(const struct msg_##name *m)                                       \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#include "ipc/messages.def"
#undef U8
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

static int setup(void **state)
{
	(void)state;
	filler = mem_alloc(LONGEST + 1);
	memset(filler, 'x', LONGEST + 1);
	for (int i = 0; i < 3; i++)
		ipc_list_begin(&lists[i], LIST_BYTES);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		ipc_list_release(&lists[i]);
	MEM_FREE(filler);
	return 0;
}

static struct slice check_header(struct slice frame, uint16_t type, uint16_t descriptors)
{
	uint32_t len;
	uint16_t got_type, got_descriptors;

	assert_true(frame.len >= IPC_HEADER);
	memcpy(&len, frame.ptr, 4);
	memcpy(&got_type, frame.ptr + 4, 2);
	memcpy(&got_descriptors, frame.ptr + 6, 2);
	assert_int_equal(len, frame.len - IPC_HEADER);
	assert_int_equal(got_type, type);
	assert_int_equal(got_descriptors, descriptors);
	return slice_skip(frame, IPC_HEADER);
}

static void there_and_back(void **state)
{
	struct buf out;

	(void)state;
	for (int i = 0; i < 2; i++) {
		high = i == 1;
#define RECORD(name, ...)
#define MESSAGE(number, NAME, name, class, ...)                                                    \
	{                                                                                          \
		struct msg_##name sent, got;                                                       \
                                                                                                   \
		buf_init(&out, IPC_FRAME_MAX);                                                     \
		fill_##name(&sent);                                                                \
		assert_int_equal(ipc_encode(number, &sent, 1, &out), ERR_OK);                      \
		assert_int_equal(                                                                  \
			ipc_decode(number, check_header(buf_data(&out), number, 1), &got),         \
			ERR_OK);                                                                   \
		same_##name(&sent, &got);                                                          \
		buf_release(&out);                                                                 \
	}
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
	}
}

/* The payload is copied to the end of a block of its own, so that a byte too far is seen. */
static enum err decode_copy(uint16_t type, struct slice payload, void *message_out, char **copy_out)
{
	char *copy = mem_alloc(payload.len != 0 ? payload.len : 1);

	if (payload.len != 0)
		memcpy(copy, payload.ptr, payload.len);
	*copy_out = copy;
	return ipc_decode(type, slice_of(copy, payload.len), message_out);
}

static void truncated_is_refused(void **state)
{
	struct buf out;
	char *copy;

	(void)state;
	for (int i = 0; i < 2; i++) {
		high = i == 1;
#define RECORD(name, ...)
#define MESSAGE(number, NAME, name, class, ...)                                                    \
	{                                                                                          \
		struct msg_##name msg;                                                             \
		struct slice payload;                                                              \
                                                                                                   \
		buf_init(&out, IPC_FRAME_MAX);                                                     \
		fill_##name(&msg);                                                                 \
		assert_int_equal(ipc_encode(number, &msg, 0, &out), ERR_OK);                       \
		payload = slice_skip(buf_data(&out), IPC_HEADER);                                  \
		for (size_t cut = 0; cut < payload.len; cut += cut < 400 ? 1 : payload.len / 50) { \
			assert_int_equal(                                                          \
				decode_copy(number, slice_head(payload, cut), &msg, &copy),        \
				ERR_SYNTAX);                                                       \
			mem_free(copy);                                                            \
		}                                                                                  \
		assert_int_equal(buf_append_byte(&out, 'x'), ERR_OK);                              \
		payload = slice_skip(buf_data(&out), IPC_HEADER);                                  \
		assert_int_equal(decode_copy(number, payload, &msg, &copy), ERR_SYNTAX);           \
		mem_free(copy);                                                                    \
		buf_release(&out);                                                                 \
	}
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
	}
}

static uint32_t seed = 1;
static uint32_t chance(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(seed >> 8) * below >> 24);
}

/* One to four bytes of a frame take another value, at small places more often: lengths are there.
 */
static void mutate(char *bytes, size_t len)
{
	static const unsigned char values[] = {0, 1, 2, 0x7f, 0x80, 0xff};
	unsigned count = 1 + chance(4);

	while (count-- != 0 && len != 0) {
		size_t at = chance((uint32_t)(chance(2) == 0 && len > 64 ? 64 : len));

		bytes[at] = (char)(chance(2) == 0 ? values[chance(sizeof(values))] : chance(256));
	}
}

static void mutated_stays_inside(void **state)
{
	unsigned fine = 0, refused = 0;
	struct buf out;
	char *copy;

	(void)state;
	for (int i = 0; i < 2; i++) {
		high = i == 1;
#define RECORD(name, ...)
#define MESSAGE(number, NAME, name, class, ...)                                                    \
	{                                                                                          \
		struct msg_##name msg;                                                             \
		struct slice payload;                                                              \
		char *work;                                                                        \
                                                                                                   \
		buf_init(&out, IPC_FRAME_MAX);                                                     \
		fill_##name(&msg);                                                                 \
		assert_int_equal(ipc_encode(number, &msg, 0, &out), ERR_OK);                       \
		payload = slice_skip(buf_data(&out), IPC_HEADER);                                  \
		work = mem_alloc(payload.len);                                                     \
		for (int round = 0; round < (payload.len > 5000 ? 60 : 1000); round++) {           \
			memcpy(work, payload.ptr, payload.len);                                    \
			mutate(work, payload.len);                                                 \
			if (decode_copy(number, slice_of(work, payload.len), &msg, &copy) ==       \
			    ERR_OK) {                                                              \
				touch_##name(&msg);                                                \
				fine++;                                                            \
			} else {                                                                   \
				refused++;                                                         \
			}                                                                          \
			mem_free(copy);                                                            \
		}                                                                                  \
		mem_free(work);                                                                    \
		buf_release(&out);                                                                 \
	}
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
	}
	assert_true(fine > 1000 && refused > 1000); /* else the test sees one side only */
}

static void bounds_of_the_sender(void **state)
{
	struct msg_prepared msg = {.ok = true, .error = text_of(1025)};
	struct msg_submit submit = {.submission = {.key = 1}};
	struct buf out;

	(void)state;
	buf_init(&out, 200);
	assert_int_equal(ipc_encode(IPC_PREPARED, &msg, 0, &out), ERR_RANGE);
	msg.error = SLICE_LIT("a\0b");
	assert_int_equal(ipc_encode(IPC_PREPARED, &msg, 0, &out), ERR_SYNTAX);
	msg.error = text_of(300);
	assert_int_equal(ipc_encode(IPC_PREPARED, &msg, 0, &out), ERR_FULL);
	submit.submission.recipients.count = 10001;
	assert_int_equal(ipc_encode(IPC_SUBMIT, &submit, 0, &out), ERR_RANGE);
	assert_int_equal(ipc_encode(0, &submit, 0, &out), ERR_RANGE);
	assert_int_equal(ipc_encode(IPC_TYPE_END, &submit, 0, &out), ERR_RANGE);
	assert_int_equal(buf_len(&out), 0);
	buf_release(&out);
}

static void bounds_of_the_reader(void **state)
{
	struct msg_prepared msg;
	struct msg_auth_start start;
	char frame[64] = {0};

	(void)state;
	/* generation, ok = 2 */
	frame[4] = 2;
	assert_int_equal(ipc_decode(IPC_PREPARED, slice_of(frame, 9), &msg), ERR_SYNTAX);
	frame[4] = 1;
	assert_int_equal(ipc_decode(IPC_PREPARED, slice_of(frame, 9), &msg), ERR_OK);
	/* error of length 2 that holds NUL */
	frame[5] = 2;
	assert_int_equal(ipc_decode(IPC_PREPARED, slice_of(frame, 11), &msg), ERR_SYNTAX);
	/* a length near the end of the numbers must not wrap */
	memset(frame + 5, 0xff, 4);
	assert_int_equal(ipc_decode(IPC_PREPARED, slice_of(frame, 11), &msg), ERR_SYNTAX);
	assert_int_equal(ipc_decode(200, slice_of(frame, 11), &start), ERR_SYNTAX);
	/* longer than the field may be, though the bytes are there */
	char *large = mem_alloc(9 + 1025);

	large[4] = 1;
	memcpy(large + 5, &(uint32_t){1025}, 4);
	memset(large + 9, 'x', 1025);
	assert_int_equal(ipc_decode(IPC_PREPARED, slice_of(large, 9 + 1025), &msg), ERR_RANGE);
	mem_free(large);
}

static void list_counts(void **state)
{
	struct msg_at_dot sent = {.claim = 5}, got;
	struct ipc_list_builder numbers;
	struct buf out;
	char *at;

	(void)state;
	buf_init(&out, 1000);
	ipc_list_begin(&numbers, 12);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(ipc_list_add(&numbers, IPC_REC_number, &(struct rec_number){i}),
				 ERR_OK);
	assert_int_equal(ipc_list_add(&numbers, IPC_REC_number, &(struct rec_number){9}), ERR_FULL);
	sent.numbers = ipc_list_view(&numbers);
	assert_int_equal(sent.numbers.count, 3);
	assert_int_equal(ipc_encode(IPC_AT_DOT, &sent, 0, &out), ERR_OK);
	assert_int_equal(buf_len(&out), IPC_HEADER + 8 + 8 + 12);
	at = out.mem + out.start + IPC_HEADER + 8;
	for (uint32_t count = 0; count < 6; count++) {
		memcpy(at, &count, 4);
		assert_int_equal(
			ipc_decode(IPC_AT_DOT, slice_skip(buf_data(&out), IPC_HEADER), &got),
			count == 3 ? ERR_OK : ERR_SYNTAX);
	}
	ipc_list_release(&numbers);
	buf_release(&out);
}

static void names_and_description(void **state)
{
	struct buf out;

	(void)state;
	assert_string_equal(ipc_type_name(IPC_SUBMIT), "SUBMIT");
	assert_string_equal(ipc_type_name(0), "?");
	assert_string_equal(ipc_type_name(65535), "?");
	assert_true(ipc_type_bulk(IPC_SUBMIT));
	assert_false(ipc_type_bulk(IPC_SUBMITTED));
	assert_true(ipc_type_descriptor(IPC_PEER));
	assert_false(ipc_type_descriptor(IPC_OP));
	assert_string_equal(ipc_role_name(IPC_RELAY), "relay");
	assert_string_equal(ipc_role_name((enum ipc_role)77), "?");
	buf_init(&out, 20000);
	assert_int_equal(ipc_describe(&out), ERR_OK);
	assert_true(
		slice_search(buf_data(&out), SLICE_LIT("| 63 | SUBMIT | BULK | "
						       "submission: submission, body: bytes ")) <
		buf_len(&out));
	assert_true(slice_search(buf_data(&out), SLICE_LIT("recipients: 10000 × recipient")) <
		    buf_len(&out));
	assert_true(slice_search(buf_data(&out), SLICE_LIT("| number | value: u32 |")) <
		    buf_len(&out));
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),        cmocka_unit_test(truncated_is_refused),
		cmocka_unit_test(mutated_stays_inside),  cmocka_unit_test(bounds_of_the_sender),
		cmocka_unit_test(bounds_of_the_reader),  cmocka_unit_test(list_counts),
		cmocka_unit_test(names_and_description),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
