# SPDX-License-Identifier: Apache-2.0
"""Processes that a test starts: each in a session of its own, stopped by its own id, never by name."""
import atexit
import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("POSTERN_BUILD", ROOT / "build")).resolve()
# Sanitizers and a shared machine make everything slower; nothing waits this long when all is well.
PATIENCE = 20.0
# After this long it is worth telling what a process that has to end does instead.
LATE = 6.0

_running = set()


def wait_for(condition, what, seconds=PATIENCE, pause=0.02):
    """The first true value of condition(); an AssertionError that names what was waited for."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(pause)


def _port_range():
    """
    Ports below those that the kernel hands out by itself, or a connection that somebody makes meanwhile could get
    one; and of these a part for each process of a parallel run.
    """
    first, last = 10000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    if last - first < 2000:
        first, last = 49152, 65536
    share = (last - first) // 8
    mine = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    return range(first + mine * share, first + (mine + 1) * share)


def free_ports(count):
    """Ports of 127.0.0.1 that nobody has at this moment."""
    sockets = []
    try:
        for port in random.sample(_port_range(), 500):
            s = socket.socket()
            sockets.append(s)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                sockets.pop().close()
            if len(sockets) == count:
                return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()
    raise AssertionError(f"there are no {count} free ports")


def answers(port, greeting=b"220", host="127.0.0.1"):
    """Whether something there says its greeting (b"" for: takes connections)."""
    try:
        with socket.create_connection((host, port), 1) as s:
            s.settimeout(2)
            return s.recv(len(greeting)) == greeting if greeting else True
    except OSError:
        return False


class Process:
    """A program with its output in a file. One that is still there at the end of the tests is killed."""

    def __init__(self, arguments, log, **options):
        self.arguments = [str(a) for a in arguments]
        self.log_path = Path(log)
        with open(self.log_path, "ab") as output:
            options.setdefault("stdin", subprocess.DEVNULL)
            options.setdefault("stdout", output)
            self.popen = subprocess.Popen(self.arguments, stderr=output, start_new_session=True, **options)
        _running.add(self)

    @property
    def pid(self):
        return self.popen.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def running(self):
        return self.popen.poll() is None

    def wait_ready(self, condition, what="the start of the program", seconds=PATIENCE):
        def there():
            if not self.running():
                raise AssertionError(f"{self.arguments[0]} ended with status {self.popen.returncode}:\n"
                                     + self.log()[-4000:])
            return condition()
        return wait_for(there, lambda: f"{what}; its log:\n{self.log()[-4000:]}", seconds)

    def stop(self, number=signal.SIGTERM, seconds=PATIENCE):
        """Asks it to end, waits, and returns its exit status; what is left of its session is killed."""
        if self.running():
            self.popen.send_signal(number)
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(min(seconds, LATE))
            if self.running():
                for pid in [self.popen.pid, *children(self.popen.pid)]:
                    print(f"still there after {LATE} s: {name_of(pid)} {pid}: {whereabouts(pid)}")
            status = self.popen.wait(max(seconds - LATE, 1))
        except subprocess.TimeoutExpired:
            status = None
        self.kill()
        return status

    def kill(self):
        _running.discard(self)
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)  # our own session: nobody else is in it
        except (ProcessLookupError, PermissionError):
            pass
        self.popen.wait()
        if self.popen.stdin:
            self.popen.stdin.close()


@atexit.register
def kill_the_rest():
    for process in list(_running):
        process.kill()


def run(arguments, timeout=60, check=False, **options):
    """A program that ends by itself; text in and out."""
    options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
    if "input" in options:
        del options["stdin"]
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=options.pop("text", True),
                          timeout=timeout, check=False, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments[0]} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def children(pid):
    """Process ids of the children of pid, and theirs."""
    found = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *children(int(child))]
    except OSError:
        pass
    return found


def whereabouts(pid):
    """What each of its threads waits for, in the kernel's words; why it does not end may be seen from that."""
    found = []
    with contextlib.suppress(OSError):
        for task in sorted(Path(f"/proc/{pid}/task").iterdir()):
            state = (task / "stat").read_text().rsplit(")", 1)[1].split()[0]
            found.append(f"{task.name} {(task / 'comm').read_text().strip()} {state} in "
                         f"{(task / 'wchan').read_text()}, system call {(task / 'syscall').read_text().split()[0]}")
    return "; ".join(found)


def name_of(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def memory(pid, field="VmRSS"):
    """Bytes: VmRSS now, VmHWM the most so far, Pss shared pages by share; 0 if it is gone."""
    file = "smaps_rollup" if field == "Pss" else "status"
    try:
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def cpu_seconds(pid):
    """User and system time that the process has used, with that of children it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(int(f) for f in fields[11:15]) / os.sysconf("SC_CLK_TCK")
