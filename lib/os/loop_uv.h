/* SPDX-License-Identifier: Apache-2.0 */
/* The libuv loop inside a struct loop, for the other files of this folder only. */
#ifndef POSTERN_OS_LOOP_UV_H
#define POSTERN_OS_LOOP_UV_H

struct loop;
struct uv_loop_s;

struct uv_loop_s *loop_uv(struct loop *loop);

#endif
