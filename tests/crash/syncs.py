# SPDX-License-Identifier: Apache-2.0
"""Reads what strace -f -y saw of queue and smtpd, and checks that each 250 came after its sync.

One strace watches both: it writes a line when a call begins and, if others come between, another when it
returns, and a process cannot go on before its line is written. So the order of lines is the order of causes.
"""
import re
import shutil
import subprocess
import time

from support.process import Process, wait_for

CALLS = "fsync,fdatasync,pwrite64,pwritev,write,writev,sendto,sendmsg,openat,rename,renameat,renameat2"
# "1234 fdatasync(7</x/queue.db-wal> <unfinished ...>" and "1234 <... fdatasync resumed>) = 0"
BEGUN = re.compile(r"^(\d+) +(?:[\d.:]+ )?(\w+)\((\d+)<([^>]*)>(.*)$")
RESUMED = re.compile(r"^(\d+) +(?:[\d.:]+ )?<\.\.\. (\w+) resumed>(.*)$")


class Call:
    """A call on a descriptor: path, what was written, the lines where it began and returned."""

    def __init__(self, pid, name, path, rest, begin):
        self.pid, self.name, self.path, self.rest, self.begin = pid, name, path, rest, begin
        self.end = None


def read(file):
    calls, open_calls = [], {}
    with open(file, encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines):
            begun = BEGUN.match(line)
            if begun:
                pid, name, _, path, rest = begun.groups()
                call = Call(int(pid), name, path, rest, number)
                calls.append(call)
                if "<unfinished ...>" in rest:
                    open_calls[call.pid] = call
                elif re.search(r"= \d+", rest):
                    call.end = number
                continue
            resumed = RESUMED.match(line)
            if resumed and int(resumed[1]) in open_calls:
                call = open_calls.pop(int(resumed[1]))
                call.rest += resumed[3]
                if re.search(r"= \d+", resumed[3]):
                    call.end = number
    return calls


def synced(calls, suffix, begin, end):
    """A sync of a file that ends so, begun after line begin and returned before line end."""
    return [c for c in calls if c.name in ("fsync", "fdatasync") and c.path.endswith(suffix)
            and c.begin > begin and c.end is not None and c.end < end]


def violations(calls, messages):
    """messages: (token in the body, the server's final reply). A list of what is wrong, empty if nothing."""
    wrong = []
    for token, reply in messages:
        answers = [c for c in calls if reply in c.rest and c.name in ("write", "sendto", "sendmsg", "writev")
                   and ("TCP" in c.path or "socket" in c.path)]
        if not answers:
            wrong.append(f"{token}: its reply was not seen on the wire")
            continue
        answer = answers[0].begin
        body = [c for c in calls if "/bodies/" in c.path and token in c.rest and c.begin < answer]
        if body:
            last = max(c.begin for c in calls if c.path == body[0].path and c.begin < answer and "write" in c.name)
            files = synced(calls, body[0].path, last, answer)
            folders = synced(calls, "/bodies", body[0].begin, answer)
            if not files or not folders:
                wrong.append(f"{token}: 250 without a sync of the body's {'folder' if files else 'file'}")
                continue
            start = max(files[0].end, folders[0].end)
        else:
            pages = [c for c in calls if c.path.endswith("queue.db-wal") and token in c.rest and c.begin < answer]
            if not pages:
                wrong.append(f"{token}: 250 before its body was written anywhere")
                continue
            start = pages[0].begin
        if not synced(calls, "queue.db-wal", start, answer):
            wrong.append(f"{token}: 250 before the sync of its commit")
    return wrong


class Strace:
    def __init__(self, pids, file):
        self.file = file
        command = ["strace", "-f", "-y", "-s", "70000", "-e", f"trace={CALLS}", "-o", file]
        for pid in pids:
            command += ["-p", pid]
        self.process = Process(command, f"{file}.log")
        self.process.wait_ready(lambda: self.process.log().count("attached") >= len(pids), "strace to attach")
        time.sleep(0.2)

    def stop(self):
        self.process.popen.send_signal(subprocess.signal.SIGINT)
        self.process.popen.wait(20)
        self.process.kill()


def available():
    return shutil.which("strace") is not None
