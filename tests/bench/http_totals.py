#!/usr/bin/env python3
"""Reading totals over HTTP against the same HTTP stack answering a constant.

    http_totals.py [--quick] [--seconds N] [--repetitions N] careforall-server

Needs wrk, a C compiler, libmicrohttpd and libuv. Contestants take turns; a ratio is of requests per second of their own
CPU. The latency is taken at half of the highest load that one thread can make. Exit status 1: a goal was missed.
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

HERE = pathlib.Path(__file__).resolve().parent
GOAL_RATIO, GOAL_P99_US = 0.5, 1000
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


def half_load(url, seconds, folder):
    """The latency at half of the highest load that one caller's thread can make: five slices."""
    highest = paced(url, 1e9, 100000, folder)[0]
    return highest, [paced(url, highest / 2, int(highest / 2 * seconds), folder)[1] for _ in range(5)]


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
        highest, slices = half_load(constant_url, options.seconds, folder)
        print(f"  # constant: highest {highest:.0f} a second, p99 at half of it {statistics.median(slices)} us")
        return ratios, *half_load(totals_url, options.seconds, folder)
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
        ratios, highest, slices = measure(options, folder)
    print(f"  # totals: highest {highest:.0f} a second")
    met = [row("totals over HTTP / constant, per CPU second", ratios, "x", ">=", GOAL_RATIO),
           row("totals over HTTP, p99 at half load", slices, "us", "<=", GOAL_P99_US)]
    return 0 if all(met) or options.quick else 1


if __name__ == "__main__":
    sys.exit(main())
