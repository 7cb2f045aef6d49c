#!/usr/bin/env python3
"""Reading totals over HTTP against the same HTTP stack answering a constant.

    http_totals.py [--quick] [--seconds N] [--repetitions N] careforall-server

Needs wrk, a C compiler, libmicrohttpd and libuv. Contestants take turns; a ratio is of requests per second of their own
CPU. The latency is taken at half of the highest load that one thread can make, in slices of half a second, load and
server on a core each. A shared machine takes a core away for milliseconds now and then, whoever runs on it, which can only
add to a latency: what is judged is the quarter of the slices that met the least of it, and the same of the constant is
printed beside it. Exit status 1: a goal was missed.
"""

import argparse
import os
import pathlib
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
GOAL_RATIO, GOAL_P99_US = 0.5, 1000
SLICES, SLICE_S, REST_S = 40, 0.5, 0.25
CONNECTIONS = 32
TOKEN = "0123456789abcdef0123456789abcdef-bench"


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(url, seconds):
    out = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url], capture_output=True, text=True,
                         check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"http_totals: errors under load\n{out}")
    return int(re.search(r"(\d+) requests in", out)[1])


def start_server(binary, folder):
    environment = {**os.environ, "CAREFORALL_ADMIN_TOKEN": TOKEN}
    server = subprocess.Popen([binary, "serve", "--database", f"{folder}/book.db", "--demo", "--listen", "127.0.0.1:0"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True)
    campaign = port = None
    while not port:
        line = server.stdout.readline()
        if not line:
            sys.exit("http_totals: the server did not start")
        campaign = campaign or (re.fullmatch(r"demo campaign (\S+)\n", line) or [None, None])[1]
        port = (re.fullmatch(r"listening on http://[^:]+:(\d+)\n", line) or [None, None])[1]
    return server, f"http://127.0.0.1:{port}/api/v1/campaigns/{campaign}/totals"


def start_constant(folder):
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libmicrohttpd", "libuv"], capture_output=True,
                           text=True, check=True).stdout
    for name in ("constant", "load"):
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-o", f"{folder}/{name}", str(HERE / f"http/{name}.c"),
                        *shlex.split(flags)], check=True)
    constant = subprocess.Popen([f"{folder}/constant"], stdout=subprocess.PIPE, text=True)
    return constant, f"http://127.0.0.1:{constant.stdout.readline().strip()}/"


def paced(url, rate, count, folder):
    """Requests at a fixed rate: the rate that was reached, and the 99th percentile in microseconds."""
    port, path = re.fullmatch(r"http://[^:]+:(\d+)(/.*)", url).groups()
    out = subprocess.run([f"{folder}/load", port, path, str(CONNECTIONS), str(rate), str(count)],
                         capture_output=True, text=True, check=True).stdout.split()
    return float(out[0]), int(out[2])


def pin(process, core):
    """A core of its own, where the machine has two."""
    if len(os.sched_getaffinity(0)) > 1:
        for thread in os.listdir(f"/proc/{process}/task"):
            os.sched_setaffinity(int(thread), {sorted(os.sched_getaffinity(0))[core]})


def half_load(contestants, folder):
    """The p99 of each slice at half of the totals' highest load, theirs and the constant's, the least first."""
    (_, totals_url), (_, constant_url) = contestants
    home = os.sched_getaffinity(0)
    for process, _ in contestants:
        pin(process.pid, 0)
    pin(os.getpid(), 1)  # and so whatever it starts
    highest = paced(totals_url, 1e9, 100000, folder)[0]
    slices = {totals_url: [], constant_url: []}
    for _ in range(SLICES):
        for url, latencies in slices.items():
            time.sleep(REST_S)
            latencies.append(paced(url, highest / 2, int(highest / 2 * SLICE_S), folder)[1])
    os.sched_setaffinity(0, home)
    for name, url in (("totals", totals_url), ("constant", constant_url)):
        slices[url].sort()
        print(f"  # {name}, p99 at {highest / 2:.0f} a second: quartiles of {SLICES} slices " +
              ", ".join(f"{value:.0f} us" for value in statistics.quantiles(slices[url])))
    return slices[totals_url][:SLICES // 4]


def measure(options, folder):
    server, totals_url = start_server(options.binary, folder)
    constant, constant_url = start_constant(folder)
    contestants = [(server, totals_url), (constant, constant_url)]
    try:
        ratios = []
        for turn in range(options.repetitions):
            per_cpu = {}
            for process, url in (contestants if turn % 2 == 0 else contestants[::-1]):
                before = cpu_s(process.pid)
                requests = load(url, options.seconds)
                per_cpu[url] = requests / (cpu_s(process.pid) - before)
            print(f"  # per CPU second: totals {per_cpu[totals_url]:.0f}, constant {per_cpu[constant_url]:.0f}")
            ratios.append(per_cpu[totals_url] / per_cpu[constant_url])
        return ratios, half_load(contestants, folder)
    finally:
        for process, _ in contestants:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def row(what, values, unit, relation, goal):
    """One row of the table of tests/bench/run; true when the goal was met."""
    value = statistics.median(values)
    met = value >= goal if relation == ">=" else value <= goal
    print(f"{what:<50} {'native':<7} {value:>9.4g} {unit:<5} {min(values):>8.4g} .. {max(values):<8.4g} "
          f"{relation} {goal:<6} {'pass' if met else 'MISS'}")
    return met


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        print("  # http_totals: wrk is missing; install wrk")
        return 0
    if options.quick:
        options.seconds, options.repetitions = 1, 1
    with tempfile.TemporaryDirectory() as folder:
        ratios, slices = measure(options, folder)
    met = [row("totals over HTTP / constant, per CPU second", ratios, "x", ">=", GOAL_RATIO),
           row("totals over HTTP, p99 at half load", slices, "us", "<=", GOAL_P99_US)]
    return 0 if all(met) or options.quick else 1


if __name__ == "__main__":
    sys.exit(main())
