#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the compiler is there to see: formats that are no literals do not compile (D15), and char may
have either sign (D17).

usage: test_compile.py BUILD      a configured build folder
"""
import json
import re
import shlex
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else ROOT / "build/check"
# Functions that expand or run what they are given, with data of others in reach.
EXPANDING = re.compile(r"\b(wordexp|system|popen|execlp|execvp|glob|regcomp|scanf|sscanf)\s*\(")
LIBRARIES = ["base", "smtp", "message"]


def flags():
    """Of the build, for a file of lib/smtp."""
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        if entry["file"].endswith("lib/smtp/reply.c"):
            words = shlex.split(entry["command"])
            return [w for w in words if re.match(r"-(W|std|f(?!sanitize|diagnostics)|D|O)", w)]
    raise AssertionError("lib/smtp/reply.c is not in compile_commands.json")


def compiles(code):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.c")
        path.write_text(code)
        return subprocess.run(["gcc", *flags(), "-c", str(path), "-o", f"{folder}/a.o"], capture_output=True,
                              check=False).returncode == 0


class Formats(unittest.TestCase):
    def test_d15_a_format_that_is_no_literal_does_not_compile(self):
        code = '#include <stdio.h>\nint f(const char *x);\nint f(const char *x)\n{{\n\treturn printf({});\n}}\n'
        self.assertTrue(compiles(code.format('"%s", x')))
        self.assertFalse(compiles(code.format("x")))
        self.assertFalse(compiles(code.format("x, x")))

    def test_d15_nothing_expands_what_others_sent(self):
        for path in [*ROOT.glob("lib/**/*.c"), *ROOT.glob("src/**/*.c")]:
            text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
            self.assertEqual(EXPANDING.findall(text), [], path)


class Chars(unittest.TestCase):
    """The libraries that read what comes from outside, with their tests, compiled both ways."""

    def run_both(self, sign):
        sources = [str(p) for name in LIBRARIES for p in sorted(ROOT.glob(f"lib/{name}/*.c"))]
        linked = subprocess.run(["pkg-config", "--libs", "cmocka", "libidn2"], capture_output=True, text=True, check=False)
        libraries = linked.stdout.split() or ["-lcmocka"]
        with tempfile.TemporaryDirectory() as folder:
            common = ["gcc", sign, "-O1", "-w", "-std=gnu17", "-D_GNU_SOURCE", f"-I{ROOT}/lib", f"-I{ROOT}/src"]
            objects = f"{folder}/libraries.o"
            subprocess.run([*common, "-r", "-nostdlib", "-o", objects, *sources], check=True)
            tests = [*sorted(ROOT.glob("tests/unit/smtp/test_*.c")), *sorted(ROOT.glob("tests/unit/message/test_*.c"))]
            self.assertGreater(len(tests), 10)
            for test in tests:
                peer = [str(ROOT / "tests/unit/smtp/peer.c")] if test.parent.name == "smtp" else []
                program = f"{folder}/{test.stem}"
                subprocess.run([*common, "-o", program, str(test), *peer, objects, *libraries], check=True)
                done = subprocess.run([program], capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, 0, f"{test} with {sign}:\n{done.stdout}{done.stderr}")

    def test_d17_char_is_signed(self):
        self.run_both("-fsigned-char")

    def test_d17_char_is_unsigned(self):
        self.run_both("-funsigned-char")


if __name__ == "__main__":
    unittest.main()
