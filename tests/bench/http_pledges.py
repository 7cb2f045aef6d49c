#!/usr/bin/env python3
"""Durable pledges over HTTP against the engine in process, with as many callers, turn by turn on the same disk.

    http_pledges.py [--quick] [--seconds N] [--repetitions N] [--callers N] BUILD

Both wait for the fixed answer: the pledge's commit, the call to the play provider, and the commit that binds its object; the
server never answers 201 before that. In process there are as many blocking threads; beside them, for comparison, one
thread that submits and polls, as the server's loop does. Needs wrk. Exit status 1: the goal was missed.
"""

import argparse
import os
import pathlib
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
GOAL_RATIO = 0.6
TOKEN = "0123456789abcdef0123456789abcdef-bench"


class Turn:
    """What one contestant did: pledges a second, CPU microseconds of its own per pledge."""

    def __init__(self, count, seconds, cpu_s):
        self.per_second, self.cpu_us = count / seconds, cpu_s / count * 1e6


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_server(build, folder):
    environment = {**os.environ, "CAREFORALL_ADMIN_TOKEN": TOKEN}
    server = subprocess.Popen([str(build / "examples/careforall-server"), "serve", "--database", f"{folder}/book.db", "--demo",
                               "--listen", "127.0.0.1:0", "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
                              text=True)
    campaign = None
    for line in server.stdout:
        campaign = campaign or (re.fullmatch(r"demo campaign (\S+)\n", line) or [None, None])[1]
        listening = re.fullmatch(r"listening on (\S+)\n", line)
        if listening:
            return server, listening[1], campaign
    sys.exit("http_pledges: the server did not start")


def over_http(options, folder):
    """A fresh book per turn, as the peer has."""
    with tempfile.TemporaryDirectory(dir=folder) as book:
        server, url, campaign = start_server(options.build, book)
        try:
            before, client = cpu_s(server.pid), resource.getrusage(resource.RUSAGE_CHILDREN)
            out = subprocess.run(["wrk", "-t1", f"-c{options.callers}", f"-d{options.seconds}s", "-s", str(HERE / "http/pledges.lua"),
                                  f"{url}/api/v1/pledges", "--", campaign], capture_output=True, text=True, check=True).stdout
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = cpu_s(server.pid) - before
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
    count, duration_us, errors = map(int, re.search(r"^result (\d+) (\d+) (\d+)$", out, re.MULTILINE).groups())
    if errors:
        sys.exit(f"http_pledges: errors under load\n{out}")
    turn = Turn(count, duration_us / 1e6, spent)
    turn.client_us = (after.ru_utime + after.ru_stime - client.ru_utime - client.ru_stime) / count * 1e6
    return turn


def in_process(options, folder, how):
    out = subprocess.run([str(options.build / "tests/bench/bench_http_pledges"), how, str(options.callers), str(options.seconds)],
                         capture_output=True, text=True, check=True, env={**os.environ, "CAREFORALL_BENCH_DIR": folder}).stdout
    count, seconds, spent = out.split()
    return Turn(int(count), float(seconds), float(spent))


def row(what, values, relation="", goal=""):
    value = statistics.median(values)
    met = goal == "" or value >= goal
    print(f"{what:<50} {'native':<7} {value:>9.4g} {'x':<5} {min(values):>8.4g} .. {max(values):<8.4g} {relation:<2} {goal:<6} "
          f"{'' if goal == '' else 'pass' if met else 'MISS'}".rstrip(), flush=True)
    return met


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        print("  # http_pledges: wrk is missing; install wrk")
        return 0
    if options.quick:
        options.seconds, options.repetitions = 1, 1
    contestants = {"http": lambda folder: over_http(options, folder), "blocking": lambda folder: in_process(options, folder, "blocking"),
                   "polled": lambda folder: in_process(options, folder, "polled")}
    turns = {name: [] for name in contestants}
    with tempfile.TemporaryDirectory(dir=os.environ.get("CAREFORALL_BENCH_DIR", options.build)) as folder:
        for repetition in range(options.repetitions):
            for name in list(contestants) if repetition % 2 == 0 else list(contestants)[::-1]:
                turns[name].append(contestants[name](folder))
            print("  # " + ", ".join(f"{name} {each[-1].per_second:.0f} a second, {each[-1].cpu_us:.0f} us of CPU each"
                                     for name, each in turns.items()) +
                  f"; the client {turns['http'][-1].client_us:.0f} us", flush=True)
    what = f"pledges over HTTP, {options.callers} callers"
    met = row(f"{what} / in process", [a.per_second / b.per_second for a, b in zip(turns["http"], turns["blocking"])], ">=", GOAL_RATIO)
    row(f"{what} / in process, polled", [a.per_second / b.per_second for a, b in zip(turns["http"], turns["polled"])])
    row(f"{what} / in process, CPU", [b.cpu_us / a.cpu_us for a, b in zip(turns["http"], turns["blocking"])])
    return 0 if met or options.quick else 1


if __name__ == "__main__":
    sys.exit(main())
