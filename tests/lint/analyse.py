#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Static analysis of lib/ and src/: gcc -fanalyzer, clang-tidy, cppcheck.

usage: analyse.py BUILD TOOL      BUILD: a configured build folder; TOOL: gcc, tidy, cppcheck

Exit status 0: TOOL has nothing to say. Files are looked at side by side; one that was clean is not
looked at again until what the compiler makes of it, or this tool's configuration, has changed
(BUILD/analysis remembers).
"""
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# What a compiler is told about machine code, and what clang 14 does not know.
IRRELEVANT = re.compile(r"-fsanitize.*|-f(no-)?(omit-frame|stack-prot|trivial-auto|cf-prot|diagnostics).*|-O\d?|-g\d?|"
                        r"-Werror.*|-D_FORTIFY_SOURCE=.|-Winvalid-pch|-M[DMQF]*")
WITH_VALUE = {"-o", "-MF", "-MQ", "-MT"}
CPPCHECK = ["--quiet", "--enable=warning,performance,portability", "--inline-suppr", "--std=c11", "--library=posix",
            f"--library={HERE / 'cppcheck.cfg'}", f"--suppressions-list={HERE / 'cppcheck.txt'}",
            "--error-exitcode=1", "--template={file}:{line}: {severity}: {message} [{id}]"]


def commands(build):
    """(source, folder, arguments that matter to an analyser) of each file of lib/ and src/."""
    seen = set()
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = (Path(entry["directory"]) / entry["file"]).resolve()
        if source in seen or source.suffix != ".c" or not source.is_relative_to(ROOT) or \
                source.relative_to(ROOT).parts[0] not in ("lib", "src"):
            continue
        seen.add(source)
        arguments, words = [], iter(shlex.split(entry["command"]))
        for word in words:
            if word in WITH_VALUE:
                next(words)
            elif word.startswith("-") and word != "-c" and not IRRELEVANT.fullmatch(word):
                arguments.append(word)
        yield source, entry["directory"], arguments


def analysis(tool, source, build, arguments):
    """The command that looks at one file."""
    if tool == "gcc":
        return ["gcc", *arguments, "-O1", "-fanalyzer", "-Werror", "-Wno-maybe-uninitialized", "-c", str(source), "-o", "/dev/null"]
    if tool == "tidy":
        return ["clang-tidy", "--quiet", f"--config-file={ROOT / '.clang-tidy'}", str(source), "--", *arguments]
    places = [a for a in arguments if a.startswith(("-I", "-D"))]
    return ["cppcheck", *CPPCHECK, *places, str(source)]


def fingerprint(tool, source, folder, arguments):
    """Of all that the tool's words depend on."""
    digest = hashlib.sha256(" ".join(arguments).encode())
    for path in [Path(__file__), ROOT / ".clang-tidy", HERE / "cppcheck.cfg", HERE / "cppcheck.txt", source]:
        digest.update(path.read_bytes())
    text = subprocess.run(["gcc", *arguments, "-E", str(source)], cwd=folder, capture_output=True, check=False)
    digest.update(text.stdout)
    return f"{tool}-{digest.hexdigest()}"


def look(tool, build, source, folder, arguments):
    """What the tool says about one file; empty: nothing."""
    known = build / "analysis" / fingerprint(tool, source, folder, arguments)
    if known.exists():
        return ""
    done = subprocess.run(analysis(tool, source, build, arguments), cwd=folder, capture_output=True, text=True,
                          check=False)
    if done.returncode == 0:
        known.touch()
        return ""
    words = done.stdout + done.stderr
    return f"{source.relative_to(ROOT)}: exit status {done.returncode}\n" + \
        "\n".join(line for line in words.splitlines() if not re.match(r"\d+ warnings? ", line))


def main():
    if len(sys.argv) != 3 or sys.argv[2] not in ("gcc", "tidy", "cppcheck"):
        print(__doc__)
        return 2
    build, tool = Path(sys.argv[1]).resolve(), sys.argv[2]
    (build / "analysis").mkdir(exist_ok=True)
    files = list(commands(build))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        said = [text for text in pool.map(lambda file: look(tool, build, *file), files) if text]
    for text in said:
        print(text)
    print(f"{tool}: {len(files)} files, {len(said)} with something to mend")
    return 1 if said or not files else 0


if __name__ == "__main__":
    sys.exit(main())
