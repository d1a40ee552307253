/* SPDX-License-Identifier: Apache-2.0 */
/* Nobody is told that a recipient waits who has the message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "queue/delivery.h"
#include "queue/ended.h"
#include "queue/queue.h"

static struct dispatch *dispatch;

/* In the place of delivery.c. */
struct dispatch *deliveries_dispatch(struct deliveries *deliveries)
{
	(void)deliveries;
	return dispatch;
}

static void drop(void *arg, void *data)
{
	(void)arg;
	mem_free(data);
}

static int setup(void **state)
{
	const struct dispatch_options options = {.window = 16, .first_window = 4, .ready_max = 16};
	struct queue *queue = mem_alloc(sizeof(*queue));

	dispatch = dispatch_new(&options);
	queue->lately = ended_new();
	*state = queue;
	return 0;
}

static int teardown(void **state)
{
	struct queue *queue = *state;

	ended_free(&queue->lately);
	dispatch_free(&dispatch, drop, NULL);
	mem_free(queue);
	return 0;
}

static void what_ended_since_it_was_read(void **state)
{
	struct queue *queue = *state;
	struct queue_row row = {.destination = 3, .key = 7, .n = 1};
	uint64_t before = ended_count(queue->lately), after;

	assert_false(ended_since(queue, before, &row));
	ended_note(queue->lately, 7, 2);
	ended_note(queue->lately, 8, 1);
	assert_false(ended_since(queue, before, &row));
	ended_note(queue->lately, 7, 1);
	assert_true(ended_since(queue, before, &row));
	after = ended_count(queue->lately);
	assert_false(ended_since(queue, after, &row)); /* what is read from now on shows it */
	for (unsigned i = 0; i < ENDED_KEPT; i++)
		ended_note(queue->lately, 9, 0);
	assert_false(ended_since(queue, after, &row));
	ended_note(queue->lately, 9, 0); /* one more than is remembered */
	assert_true(ended_since(queue, after, &row));
}

static void a_result_on_its_way_to_disk(void **state)
{
	struct queue *queue = *state;
	struct queue_row row = {.destination = 3, .key = 7, .n = 1};
	struct delivery *delivery = mem_alloc(sizeof(*delivery) + 2 * sizeof(delivery->rows[0]));

	delivery->row_count = 2;
	delivery->rows[1].n = 1;
	assert_true(dispatch_adopt(dispatch, 3, 7, delivery));
	delivery->rows[0].settled = true;
	assert_false(ended_since(queue, ended_count(queue->lately), &row));
	delivery->rows[1].settled = true;
	assert_true(ended_since(queue, ended_count(queue->lately), &row));
	row.key = 8;
	assert_false(ended_since(queue, ended_count(queue->lately), &row));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_ended_since_it_was_read, setup, teardown),
		cmocka_unit_test_setup_teardown(a_result_on_its_way_to_disk, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
