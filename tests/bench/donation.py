#!/usr/bin/env python3
"""A whole donation over real wires: pledge, the provider's calls, its webhooks, the totals. Who spends how much CPU on it.

    donation.py [--quick] [--donations N] [--in-flight N] BUILD

Server, sandbox and donors share this machine; CPU seconds are each process's own, from the kernel. Half of the stages come
from a run in which nobody pays. With perf, also the server's ten costliest functions and the modules they are in. Judges
nothing but that every donation arrived. The donors are those of tests/e2e: a seventh clicks twice, some are declined first.
"""

import argparse
import collections
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from soak_support import Book, Donors, eventually  # noqa: E402  pylint: disable=wrong-import-position


class Profile:
    """perf on one process, if perf is here."""

    def __init__(self, pid, folder):
        self.file = f"{folder}/perf.data"
        self.process = None
        if shutil.which("perf"):
            self.process = subprocess.Popen(["perf", "record", "-q", "-F", "1999", "-o", self.file, "-p", str(pid)],
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def show(self):
        if not self.process:
            print("  # no profile: perf is missing; install linux-perf")
            return
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        for title, keys, count in (("module", "dso", 9), ("function", "symbol,dso", 10)):
            out = subprocess.run(["perf", "report", "--stdio", "-i", self.file, "--sort", keys], capture_output=True, text=True,
                                 check=False).stdout
            found = [line.split(None, 1) for line in out.splitlines() if re.match(r"\s+\d+\.\d+%", line)]
            for share, name in found[:count]:
                print(f"  # server, {title:<8} {share:>7}  {re.sub(r"( +-)+ *$", "", name).strip()}")


def client_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def stage(book, options, name, *flags, profile=False):
    """CPU microseconds per donation of server, sandbox and donors; seconds that it took."""
    programs = {"server": book.server_program, "sandbox": book.sandbox_program}
    before = {each: program.cpu_s() for each, program in programs.items()}
    started = time.monotonic()
    donors = Donors(book, options.donations, options.in_flight, len(name), f"{name}-of-the-bench", *flags)
    try:
        donors.finish()
    finally:
        donors.stop()
    paid = donors.summary["paid"]
    if paid:
        book.paid += paid
        eventually(lambda: sum(each["donation_count"] for each in book.totals()["currencies"]) == book.paid, "the total")
        eventually(lambda: book.panel("books")["deliveries"]["due"] == 0, "the last webhook")
    took = time.monotonic() - started
    cost = {each: (program.cpu_s() - before[each]) / options.donations * 1e6 for each, program in programs.items()}
    return collections.Counter(cost), took, donors.summary


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--donations", type=int, default=5000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.donations = 300
    with tempfile.TemporaryDirectory(dir=options.build) as folder:
        book = Book(options.build, folder, moving_clock=False)
        book.paid = 0
        try:
            stage(book, options, "warm-up")
            pledged, pledged_s, _ = stage(book, options, "pledges", "--no-pay")
            before = client_s()
            whole, whole_s, summary = stage(book, options, "donations")
            donors_us = (client_s() - before) / options.donations * 1e6
            webhooks = book.query("SELECT count(*) FROM cfa_webhook")[0][0] / (2 * options.donations)
            profile = Profile(book.server_program.process.pid, folder)
            stage(book, options, "profiled")
            print(f"  # {options.donations} donations, {options.in_flight} at once: {options.donations / whole_s:.0f} a second "
                  f"({options.donations / pledged_s:.0f} of pledges alone), {summary['2xx'] / options.donations:.2f} requests of "
                  f"donors and {webhooks:.2f} webhooks each")
            profile.show()
        finally:
            book.close()
    for what, value in (("server: pledge and the provider's call", pledged["server"]),
                        ("server: webhooks and totals", whole["server"] - pledged["server"]), ("server", whole["server"]),
                        ("sandbox", whole["sandbox"]), ("donors", donors_us)):
        print(f"{'cpu of a donation, ' + what:<58} {value:>7.0f} us")
    return 0


if __name__ == "__main__":
    sys.exit(main())
