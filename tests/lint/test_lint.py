#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The lint tests find what they are there for: each rule is broken once, in a tree made for it."""
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import imports  # noqa: E402
import source  # noqa: E402

SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def found(files):
    """(rule, line) of each breach in a tree of these files."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        return [(breach.rule, breach.line) for breach in source.breaches(root)]


def function(lines):
    return SPDX + "int f(void)\n{\n" + "\tx();\n" * (lines - 2) + "}\n"


class Source(unittest.TestCase):
    def expect(self, path, text, *breaches):
        self.assertEqual(found({path: text}), list(breaches))

    def test_clean(self):
        self.expect("lib/smtp/a.c", SPDX + '#include "base/buf.h"\nint f(void)\n{\n\treturn 0;\n}\n')

    def test_never(self):
        for name in source.NEVER:
            self.expect("src/auth/a.c", SPDX + f"int x = {name}(y);\n", ("never", 2))
        self.expect("tests/unit/a.c", SPDX + "int x = atoi(y);\n", ("never", 2))
        self.expect("src/auth/a.c", SPDX + "\tsystem(x);\n", ("never", 2))
        self.expect("tests/unit/a.c", SPDX + "\tsystem(x);\n")

    def test_not_code(self):
        self.expect("lib/smtp/a.c", SPDX + '/* strcpy(a, b)\n sprintf(c) */ // gets(x)\n"free(x)";\n')
        self.expect("lib/smtp/a.c", SPDX + "my_free(x); p->free(x); s.open(y); mem_free(z);\n")

    def test_memory(self):
        self.expect("lib/smtp/a.c", SPDX + "\n\tfree(x);\n", ("memory", 3))
        self.expect("lib/smtp/a.c", SPDX + "\tp = (char *)malloc(3);\n", ("memory", 2))
        self.expect("lib/base/mem.c", SPDX + "\tfree(x);\n")
        self.expect("tests/unit/a.c", SPDX + "\tfree(x);\n")

    def test_files(self):
        self.expect("lib/store/a.c", SPDX + "\tif (open(x, 0) < 0)\n", ("files", 2))
        self.expect("src/relay/a.c", SPDX + "\t(void)write(1, x, 2);\n", ("files", 2))
        self.expect("lib/os/a.c", SPDX + "\topen(x);\n")

    def test_c10_compare(self):
        self.expect("src/auth/a.c", SPDX + "\tif (memcmp(a, b, 32) == 0)\n", ("compare", 2))
        self.expect("lib/store/verifier.c", SPDX + "\tstrcmp(a, b);\n", ("compare", 2))
        self.expect("src/auth/a.c", SPDX + "\tif (CRYPTO_memcmp(a, b, 32) == 0)\n")

    def test_spdx(self):
        self.expect("lib/smtp/a.c", "int x;\n", ("spdx", 1))
        self.expect("tools/run", "#!/bin/sh\ntrue\n", ("spdx", 1))
        self.expect("src/auth/meson.build", "subdir('x')\n", ("spdx", 1))

    def test_lengths(self):
        self.expect("lib/smtp/a.c", function(100))
        self.expect("lib/smtp/a.c", function(101), ("function-length", 3))
        self.expect("lib/smtp/a.c", SPDX + "int x;\n" * 799)
        self.expect("lib/smtp/a.c", SPDX + "int x;\n" * 800, ("file-length", 801))

    def test_places(self):
        for place in source.PLACES:
            self.expect("doc/a.md", f"see {place}x\n", ("places", 1))

    def test_layers(self):
        self.expect("lib/smtp/a.c", SPDX + '#include "os/os.h"\n', ("layers", 2))
        self.expect("lib/base/a.c", SPDX + '#include "smtp/reply.h"\n', ("layers", 2))
        self.expect("lib/os/a.c", SPDX + '#include "ipc/channel.h"\n', ("layers", 2))
        self.expect("src/auth/a.c", SPDX + '#include "queue/queue.h"\n', ("layers", 2))
        self.expect("src/auth/a.c", SPDX + '#include "../queue/queue.h"\n', ("layers", 2))
        self.expect("src/auth/a.c", SPDX + '#include "store/accounts.h"\n#include "auth.h"\n')


class Imports(unittest.TestCase):
    def forbidden(self, code):
        with tempfile.TemporaryDirectory() as folder:
            def path(name):
                return os.path.join(folder, name)

            with open(path("a.c"), "w", encoding="utf-8") as file:
                file.write(code)
            subprocess.run(["cc", "-O0", "-fno-builtin", "-w", "-c", "-o", path("a.o"), path("a.c")],
                           check=True)
            subprocess.run(["ar", "rcs", path("liba.a"), path("a.o")], check=True)
            return [line.split(": ")[-1] for line in imports.forbidden([path("liba.a")])]

    def test_pure(self):
        self.assertEqual(self.forbidden(
            "#include <string.h>\nint g(char *); int f(char *a) { return strlen(a) + g(a); }\n"
            "int g(char *a) { return memcmp(a, a, 1); }\n"), [])

    def test_system_calls(self):
        for name in ("open", "read", "write", "socket", "time", "clock_gettime", "getenv", "printf",
                     "malloc", "gettimeofday", "rand", "setlocale", "isalpha", "fopen", "getrandom"):
            self.assertEqual(self.forbidden(f"extern int {name}(); int f(void) {{ return {name}(); }}\n"),
                             [name])

    def test_variable(self):
        self.assertEqual(self.forbidden("extern int stderr; int f(void) { return stderr; }\n"),
                         ["stderr"])


if __name__ == "__main__":
    unittest.main()
