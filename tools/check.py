#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The part of ./check that builds, runs every suite and counts."""
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

QUICK = sys.argv[1] == "yes"
ROOT = Path.cwd()
BUILD = ROOT / "build"
SANITIZED = BUILD / "check"  # ASan and UBSan: unit tests and everything that talks to it
RELEASE = BUILD / "release"  # as it is shipped: with the system call filter
# halt_on_error: a finding of UBSan fails the test that hit it.
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1:exitcode=99",
}


class Count:
    passed = 0
    failed = 0

    def add(self, name, ok, detail=""):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED  {name}", flush=True)
            if detail:
                print("\n".join("    " + line for line in detail.splitlines()[-60:]), flush=True)


COUNT = Count()


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def build(folder, *options):
    """Configures if need be, compiles, stages an installation; a failure counts and ends the run."""
    if not (folder / "build.ninja").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        steps = [["meson", "setup", str(folder), *options]]
    else:
        steps = []
    steps.append(["ninja", "-C", str(folder)])
    steps.append(["meson", "install", "-C", str(folder), "--quiet", "--destdir", "stage"])
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            COUNT.add(" ".join(step), False, done.stdout + done.stderr)
            return False
    return True


def meson_tests(folder, *options):
    # Twice the cores: half of them wait for time to pass, or for another process.
    subprocess.run(["meson", "test", "-C", str(folder), "--no-rebuild", "--quiet",
                    "--num-processes", str(2 * os.cpu_count()), *options],
                   env={**os.environ, **SANITIZER_ENV}, stdout=subprocess.DEVNULL, check=False)
    log = folder / "meson-logs/testlog.json"
    if not log.exists():
        COUNT.add("meson test", False, "it left no log")
        return
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        ok = entry["result"] in ("OK", "EXPECTEDFAIL")
        if entry["result"] == "SKIP":
            print(f"SKIPPED {entry['name']}", flush=True)
            continue
        COUNT.add(entry["name"], ok, entry.get("stdout", "") + entry.get("stderr", ""))


def pytest(name, stage, paths, timeout):
    report = BUILD / f"{name}.xml"
    report.unlink(missing_ok=True)
    environment = {**os.environ, **SANITIZER_ENV, "POSTERN_BUILD": str(stage), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        # A file of tests stays together: its tests may share a server.
        done = subprocess.run(["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider",
                               "--numprocesses", str(os.cpu_count() + 1), "--dist", "loadfile",
                               f"--junitxml={report}", *map(str, paths)], env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout,
                              check=False)
        output = done.stdout
    except subprocess.TimeoutExpired as expired:
        COUNT.add(name, False, f"not done after {timeout} s\n" + (expired.stdout or b"").decode(errors="replace"))
        return
    if not report.exists():
        COUNT.add(name, False, output)
        return
    cases = list(ElementTree.parse(report).iter("testcase"))
    if not cases:
        COUNT.add(name, False, "no test ran\n" + output)
    for case in cases:
        bad = [e for e in case if e.tag in ("failure", "error")]
        if any(e.tag == "skipped" for e in case):
            print(f"SKIPPED {name} {case.get('name')}: {case.find('skipped').get('message')}", flush=True)
            continue
        COUNT.add(f"{name}: {case.get('classname')}.{case.get('name')}", not bad,
                  bad[0].text or bad[0].get("message") if bad else "")


def main():
    say("building with sanitizers")
    if build(SANITIZED, "-Db_sanitize=address,undefined", "-Dbuildtype=debugoptimized"):
        say("unit tests, transcripts, lint, scenarios")
        meson_tests(SANITIZED, *(["--no-suite", "compile"] if QUICK else []))
        if not QUICK:
            full()
    print(f"{COUNT.passed} passed, {COUNT.failed} failed", flush=True)
    return 0 if COUNT.failed == 0 and COUNT.passed > 0 else 1


def analysis():
    """Each analyser is one test; its configuration is in .clang-tidy and tests/lint."""
    for tool, name in [("gcc", "gcc -fanalyzer"), ("tidy", "clang-tidy"), ("cppcheck", "cppcheck")]:
        done = subprocess.run(["/usr/bin/python3", "-B", str(ROOT / "tests/lint/analyse.py"), str(SANITIZED), tool],
                              capture_output=True, text=True, check=False)
        COUNT.add(f"analysis: {name}", done.returncode == 0, done.stdout + done.stderr)


def full():
    say("static analysis")
    analysis()
    say("building as shipped")
    if not build(RELEASE, "-Dbuildtype=release"):
        return
    say("unit tests that sanitizers are in the way of")
    meson_tests(RELEASE, "--suite", "unsanitized")
    say("end to end, with sanitizers: real clients and servers")
    pytest("e2e-sanitized", SANITIZED, [ROOT / "tests/e2e"], 900)
    say("end to end, as shipped")
    pytest("e2e", RELEASE, [ROOT / "tests/e2e"], 900)
    say("deaths under load")
    pytest("crash", RELEASE, [ROOT / "tests/crash"], 600)


if __name__ == "__main__":
    sys.exit(main())
