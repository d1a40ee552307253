/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smtpd in a hurry: linked with --wrap, its loop's time passes 400 times as fast, so that a test
 * sees what happens when the minutes that nobody may configure are over.
 */
#include <stdint.h>

enum { PACE = 400 };

struct loop;
struct timer;

int64_t __real_loop_now(const struct loop *loop);
int64_t __wrap_loop_now(const struct loop *loop);
void __real_timer_set(struct timer *timer, uint64_t in_ms);
void __wrap_timer_set(struct timer *timer, uint64_t in_ms);

int64_t __wrap_loop_now(const struct loop *loop)
{
	return __real_loop_now(loop) * PACE;
}

void __wrap_timer_set(struct timer *timer, uint64_t in_ms)
{
	__real_timer_set(timer, (in_ms + PACE - 1) / PACE);
}
