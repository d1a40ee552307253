#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The libraries without I/O import no system call.

usage: imports.py ARCHIVE...

What the archives leave undefined among themselves must be on the list below: functions of libc
that compute. Anything else, a new harmless one included, fails here until somebody has looked.
"""
import re
import subprocess
import sys

# Memory and text; numbers; tables; the end of the process.
PURE = re.compile(r"""^(
    mem(chr|cmp|cpy|move|set|mem|rchr|pcpy) | explicit_bzero |
    str(n?len|n?cmp|n?casecmp|r?chr|chrnul|str|n?dup|c?spn|pbrk|sep) |
    v?snprintf | strto(u?ll?|[id]max) | inet_(pton|ntop) |
    qsort | bsearch | abs | labs |
    gmtime_r | timegm |
    idn2_(lookup_u8|to_unicode_8z8z|free) |
    abort | __assert_fail | __stack_chk_fail | __fortify_fail | __errno_location
)$""", re.X)
# base/mem.c alone takes memory from libc.
MEMORY = {"malloc", "calloc", "realloc", "free"}
# The compiler's and the sanitizers' own.
GENERATED = re.compile(r"^(_GLOBAL_OFFSET_TABLE_|__(asan|ubsan|tsan|msan|sanitizer|gcov)_\w+|"
                       r"__start_\w+|__stop_\w+|_Unwind_Resume|__tls_get_addr)$")


def plain(name):
    """__memcpy_chk is memcpy with a check."""
    match = re.match(r"^__(\w+)_chk$", name)
    return match.group(1) if match else name


def symbols(archive):
    """(object, kind, name) of each global symbol."""
    out = subprocess.run(["nm", "-A", "-g", archive], check=True, text=True, capture_output=True)
    for line in out.stdout.splitlines():
        match = re.match(r"^(.*?):\s*(?:[0-9a-f]+)?\s+([A-Za-z])\s+(\S+)$", line)
        if match:
            yield match.group(1), match.group(2), match.group(3)


def forbidden(archives):
    found = [(where, kind, name) for archive in archives for where, kind, name in symbols(archive)]
    defined = {name for _, kind, name in found if kind not in "Uw"}
    for where, kind, name in found:
        if kind not in "Uw" or name in defined or GENERATED.match(name) or PURE.match(plain(name)):
            continue
        if name in MEMORY and re.search(r"libbase\.a\b.*\bmem\.c", where):
            continue
        yield f"{where}: {name}"


def main():
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    found = sorted(set(forbidden(sys.argv[1:])))
    for line in found:
        print(line)
    total = sum(1 for archive in sys.argv[1:] for _ in symbols(archive))
    print(f"{len(sys.argv) - 1} archives, {total} symbols, {len(found)} not allowed")
    return 1 if found or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
