# SPDX-License-Identifier: Apache-2.0
"""The table of what was measured, with the ratio of postern to Postfix."""
import platform
import statistics
import time
from pathlib import Path

# Column: case, key, how it is shown, whether more is better.
COLUMNS = [
    ("laptop, messages/s", "laptop", "rate", "{:.0f}", True),
    ("bulk: accepted/s", "bulk", "rate", "{:.0f}", True),
    ("bulk: end to end/s", "bulk", "through", "{:.0f}", True),
    ("big (2 MB), messages/s", "big", "rate", "{:.0f}", True),
    ("CPU ms: laptop", "laptop", "cpu_ms", "{:.2f}", False),
    ("CPU ms: bulk", "bulk", "cpu_ms", "{:.3f}", False),
    ("CPU ms: big", "big", "cpu_ms", "{:.1f}", False),
    ("idle connection, KiB", "idle", "kib", "{:.0f}", False),
    ("dot to 250, p99 ms at 70 %", "steady", "p99", "{:.1f}", False),
]


def line(measured):
    shown = {k: round(v, 3) if isinstance(v, float) else v for k, v in measured.items() if k != "told"}
    return ", ".join(f"{k} {v}" for k, v in shown.items())


def median(results, name, case, key):
    values = results.get(name, {}).get(case)
    if not values:
        return None
    if key == "kib":
        return statistics.median(v["bytes"] / 1024 for v in values)
    return statistics.median(v[key] for v in values)


def ratio(ours, theirs, more):
    if not ours or not theirs:
        return ""
    value = ours / theirs if more else theirs / ours
    return f"{value:.1f} x" + ("" if value >= 1 else " (behind)")


def table(results):
    """Rows are columns of the aim: what is measured, each server, and how many times better ours is."""
    names = list(results)
    lines = ["| | " + " | ".join(names) + " | postern is better by |", "|---" * (len(names) + 2) + "|"]
    for title, case, key, form, more in COLUMNS:
        values = {name: median(results, name, case, key) for name in names}
        if all(v is None for v in values.values()):
            continue
        cells = [form.format(v) if v is not None else "" for v in values.values()]
        lines.append(f"| {title} | " + " | ".join(cells) + " | "
                     + ratio(values.get("postern"), values.get("Postfix"), more) + " |")
    return "\n".join(lines)


def machine():
    cpu = next((row.split(":", 1)[1].strip() for row in Path("/proc/cpuinfo").read_text().splitlines()
                if row.startswith("model name")), "unknown")
    cores = sum(row.startswith("processor") for row in Path("/proc/cpuinfo").read_text().splitlines())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1048576
    return f"{cores} cores ({cpu}), {memory} GiB, Linux {platform.release()}"


def page(rows, results, rounds, short, load):
    note = "; short runs: orders of magnitude only" if short else ""
    parts = ["# postern and Postfix, measured", "",
             f"Made by `bench/run` on {time.strftime('%Y-%m-%d')}: {machine()}. Medians of {rounds} "
             f"round{'s' if rounds != 1 else ''}, one server after the other{note}. The load average was {load:.1f} "
             "before it began" + (": others were using the machine, so no figure here is to be relied on."
                                  if load > 0.5 else "."), "",
             "laptop: one message of 10 kB per login, 50 connections at once. bulk: 100 messages of 10 kB per login,",
             "20 at once. big: 2 MB, 10 at once. TLS 1.3, AUTH PLAIN, every message durably queued before 250, then",
             "relayed in clear to a sink on the same machine. CPU is that of the server's processes alone.", "", rows, ""]
    told = [v["told"] for v in results.get("postern", {}).get("bulk", []) if v.get("told")]
    if told:
        parts += ["## What `postern status` says after bulk", "", "```", told[-1].strip(), "```", ""]
    return "\n".join(parts)
