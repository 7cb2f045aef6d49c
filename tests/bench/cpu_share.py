#!/usr/bin/env python3
"""Whose CPU a durable pledge costs, sampled by perf with call stacks.

    cpu_share.py BENCH_CPU [--quick]

A sample in libc or in the kernel is charged to whoever called it: the engine or SQLite. "own" is the engine's own
code alone, which the goal is about; libc, kernel and libsodium on its behalf are shown beside it.
"""

import collections
import pathlib
import re
import subprocess
import sys
import tempfile

GOAL = 15.0
FRAME = re.compile(r"^\s+[0-9a-f]+ (.+?) \((.*)\)$")


def part_of(frame):
    """Which part of the process a frame belongs to."""
    name, image = frame
    if image.startswith("[kernel") or image == "[unknown]" and name.startswith("__x64_sys"):
        return "kernel"
    file = pathlib.PurePath(image).name
    if file.startswith("libsqlite3"):
        return "sqlite"
    if file.startswith("libsodium"):
        return "sodium"
    if file.startswith("bench_cpu"):
        name = name.split("+")[0]
        if name in ("sync_file", "fsync", "fdatasync"):     # libc's, replaced by disk.c: SQLite calls them
            return "libc"
        if name.startswith("bench_") or name in ("main", "call", "run_polled", "run_callers"):
            return "bench"
        return "engine"
    return "libc"


def charge(stack):
    """(what the CPU ran, for whom); None for the benchmark's own loop."""
    parts = [part_of(frame) for frame in stack]
    ran = parts[0]
    if any(frame[0].startswith(("sync_file", "fdatasync")) for frame in stack):
        return ran, "sqlite"    # stacks through SQLite break off: its frames have no names
    if any(frame[0].startswith("cfa_key_new") for frame in stack):
        return ran, "bench"     # the donor's device makes it
    for part in parts:
        if part in ("engine", "sqlite", "bench", "sodium"):
            return ran, "engine" if part == "sodium" else part
    return ran, "unknown"


def stacks(recording):
    text = subprocess.run(["perf", "script", "-i", recording, "-F", "ip,sym,dso"], check=True,
                          capture_output=True, text=True).stdout
    for block in text.split("\n\n"):
        frames = [match.groups() for match in map(FRAME.match, block.splitlines()) if match]
        frames = [frame for frame in frames if frame[1] != "inlined"]   # the frame it is inlined in follows
        if frames:
            yield frames


def measure(program, case, quick):
    with tempfile.TemporaryDirectory() as scratch:
        recording = f"{scratch}/perf.data"
        command = ["perf", "record", "-q", "-F", "499", "--call-graph", "dwarf,4096", "-o", recording,
                   program, "--disk", "native", "--only", case] + (["--quick"] if quick else [])
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"perf record: {done.stderr.strip()}")
        counts, own = collections.Counter(), collections.Counter()
        for stack in stacks(recording):
            counts[charge(stack)] += 1
            if part_of(stack[0]) == "engine":
                own[stack[0][0].split("+")[0]] += 1
    return counts, own


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program, quick = sys.argv[1], "--quick" in sys.argv
    missed = False
    for case, title in (("256", "256 in flight"), ("64", "64 callers")):
        counts, own = measure(program, case, quick)
        total = sum(count for (_, whom), count in counts.items() if whom != "bench") or 1
        shares = {key: 100.0 * count / total for key, count in counts.items() if key[1] != "bench"}
        share = shares.get(("engine", "engine"), 0.0)
        met = share <= GOAL
        missed = missed or not met
        print(f"{'cpu of a pledge, engine itself, ' + title:<50} {'native':<7} {share:9.4g} {'%':<5} "
              f"{'':>8}    {'':<8} <= {GOAL:<6g} {'pass' if met else 'MISS'}")
        print("  # " + ", ".join(f"{ran} for {whom} {value:.1f} %" for (ran, whom), value in
                                 sorted(shares.items(), key=lambda item: -item[1]) if value >= 0.5))
        print("  # own code: " + ", ".join(f"{name} {100.0 * count / total:.1f} %"
                                           for name, count in own.most_common(12)))
    sys.exit(1 if missed else 0)


main()
