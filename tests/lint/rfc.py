#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""doc/rfc.md has a line for every RFC that the code cites, and names only what is there.

usage: rfc.py ROOT     exit status 0: it is so
"""
import re
import sys
from pathlib import Path

ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| (.+) \| (.+) \|$", re.M)


def cited(root):
    """Number -> one file that cites it."""
    found = {}
    for path in [*root.glob("lib/**/*"), *root.glob("src/**/*")]:
        if path.is_file() and path.suffix in (".c", ".h", ".def"):
            for number in re.findall(r"RFC ?(\d{3,5})\b", path.read_text(encoding="utf-8")):
                found.setdefault(number, path.relative_to(root))
    return found


def complaints(root):
    rows = ROW.findall((root / "doc/rfc.md").read_text(encoding="utf-8"))
    numbers = [row[0] for row in rows]
    for number, path in sorted(cited(root).items(), key=lambda item: int(item[0])):
        if number not in numbers:
            yield f"RFC {number}, cited in {path}, has no line"
    if sorted(numbers, key=int) != numbers:
        yield "the lines are not in the order of their numbers"
    for number, *_, files, tests in rows:
        for column in (files, tests):
            names = re.findall(r"`([^`]+)`", column)
            if not names:
                yield f"RFC {number}: {column!r} names nothing"
            for name in names:
                if not (root / name).is_file():
                    yield f"RFC {number}: there is no {name}"


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    said = list(complaints(Path(sys.argv[1])))
    for line in said:
        print(line)
    print(f"{len(said)} things to mend in doc/rfc.md")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
