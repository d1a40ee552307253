#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""doc/threats.md and the tests belong together.

usage: threats.py [--write] ROOT      exit status 0: every row that must has a test, and what the
                                      rows name is there

A test belongs to a row by its name: `static void a1_...(`, `def test_a1_...`, `a1-....txt`.
--write fills the last column in from those names.
"""
import re
import sys
from pathlib import Path

MUST = set("ABCDEFIMN")
# What there is nothing to test of, each with its reason.
EXCUSED = {
    "B13": "the key has no process of its own yet",
    "I4": "there are no tenants",
    "M2": "measured by the benchmark",
}
ROW = re.compile(r"^\| ([A-N]\d+) \| (.*) \| (.*) \| ?(.*?) ?\|$")
SHOWN = 3  # tests named in a row; the others can be found by their names
KINDS = [
    ("**/*.c", re.compile(r"^(?:static )?void (?P<name>(?:test_)?(?P<id>[a-n]\d+)_\w+)\(void \*\*", re.M)),
    ("**/*.py", re.compile(r"^\s*(?:async )?def (?P<name>test_(?P<id>[a-n]\d+)_\w+)\(", re.M)),
]


def tests(root):
    """ID -> ["file: name", ...] over all of tests/."""
    found = {}
    for pattern, name in KINDS:
        for path in sorted((root / "tests").glob(pattern)):
            for match in name.finditer(path.read_text(encoding="utf-8", errors="replace")):
                found.setdefault(match["id"].upper(), []).append(f"{path.relative_to(root)}: {match['name']}")
    for path in sorted((root / "tests/transcript").glob("**/*.txt")):
        match = re.match(r"([a-n]\d+)-", path.name)
        if match:
            found.setdefault(match[1].upper(), []).append(str(path.relative_to(root)))
    return found


def column(names):
    shown = ", ".join(f"`{name}`" for name in names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def write(path, found):
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = ROW.match(line)
        if row:
            tail = column(found.get(row[1], []))
            line = f"| {row[1]} | {row[2]} | {row[3]} | {tail + ' ' if tail else ''}|"
        lines.append(line)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def complaints(text, found):
    rows = {row[1]: row[4] for row in map(ROW.match, text.splitlines()) if row}
    known = {name for names in found.values() for name in names}
    for number in sorted(found.keys() - rows.keys()):
        yield f"{number}: {found[number][0]} bears an ID that doc/threats.md has no row for"
    for number, cell in rows.items():
        if number[0] in MUST and number not in found and number not in EXCUSED:
            yield f"{number}: no test bears this ID"
        for name in re.findall(r"`([^`]+)`", cell):
            if name not in known:
                yield f"{number}: there is no {name}: run tests/lint/threats.py --write ."
    for number in EXCUSED.keys() & found.keys():
        yield f"{number}: excused, and yet {found[number][0]} tests it"


def main():
    arguments = [a for a in sys.argv[1:] if a != "--write"]
    if len(arguments) != 1:
        print(__doc__)
        return 2
    root = Path(arguments[0])
    path = root / "doc/threats.md"
    found = tests(root)
    if "--write" in sys.argv:
        write(path, found)
    said = list(complaints(path.read_text(encoding="utf-8"), found))
    for line in said:
        print(line)
    print(f"{len(found)} rows with tests, {len(said)} things to mend")
    return 1 if said or not found else 0


if __name__ == "__main__":
    sys.exit(main())
