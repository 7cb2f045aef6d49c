#!/usr/bin/env python3
"""kill -9 of server and sandbox at random moments while donors give, each started again at once, over one book.

    kill.py [--cycles N] [--mode checkout|intent] [--seed N] [--keep FOLDER] BUILD

A fifth of the kills hits a program that is just starting. In the end the provider's books are compared with ours, payment by
payment, after the clock was moved until nothing was left to do. The last line is "N passed, N failed".
"""

import argparse
import pathlib
import random
import signal
import sys
import tempfile
import time

import soak_verify as verify
import soak_verify_desk as verify_desk
from soak_desk import Desk
from soak_support import Book, Donors

HOUR = 3600
IN_FLIGHT = 64
ALIVE_S = (0.02, 0.3)     # a program lives so long before it is killed
STARTING_S = (0.0, 0.06)   # or so long, when it is killed while it starts
CHECKED_EVERY = 25
LEASE_S, LEASES_END_EVERY = 45, 8   # calls of dead servers are taken over when their leases end: donors wait for that


class KillRun:
    def __init__(self, options, folder):
        self.options = options
        self.book = Book(options.build, folder, "--circuit-open-ms", "1000", mode=options.mode)
        self.verdicts = verify.Verdicts()
        self.desk = Desk(self.book, options.seed)
        self.random = random.Random(options.seed)
        self.kills = {"server": 0, "sandbox": 0, "both": 0, "starting": 0}

    def kill_some(self):
        """One cycle: who is killed comes back at once, perhaps only at the second try."""
        programs = {"server": [self.book.server_program], "sandbox": [self.book.sandbox_program],
                    "both": [self.book.sandbox_program, self.book.server_program]}
        who = self.random.choices(list(programs), (55, 30, 15))[0]
        time.sleep(self.random.uniform(*ALIVE_S))   # the random moment
        for program in programs[who]:
            program.kill()
        self.kills[who] += 1
        for program in programs[who]:
            if self.random.random() < 0.2:
                program.launch()
                time.sleep(self.random.uniform(*STARTING_S))
                program.kill()
                self.kills["starting"] += 1
            program.start()

    def run(self):
        donors = Donors(self.book, 1000000, IN_FLIGHT, self.options.seed, "kill-of-the-programs")
        started = time.monotonic()
        try:
            for cycle in range(1, self.options.cycles + 1):
                self.kill_some()
                self.desk.watch(donors.lines)
                if cycle % LEASES_END_EVERY == 0:
                    self.book.shift_clock(LEASE_S)
                if cycle % CHECKED_EVERY == 0:
                    self.verdicts.check(f"charged twice after {cycle} cycles", self.book.panel("books")["charged_twice_ids"],
                                        lambda each: verify.chain(self.book, each))
                if not donors.running():
                    break
            donors.close_door()
            for seconds in (0, *[LEASE_S] * 4, *[11 * 60] * 10):   # the last donors wait for what is in doubt
                if donors.running():
                    self.book.settle(seconds)
            donors.finish()
        finally:
            donors.stop()
        summary = donors.summary
        print(f"{self.options.cycles} cycles in {time.monotonic() - started:.1f} s, {self.kills}; "
              f"{ {key: value for key, value in summary.items() if value} }", flush=True)
        self.verdicts.expect("donors who gave up", 0, summary["given_up"])
        self.verdicts.expect("answers that are our fault", 0, summary["broken"])
        self.verdicts.expect("donors met dead programs", True, summary["no_answer"] > 0)
        self.desk.watch(donors.lines)
        self.book.settle(35, 130, 11 * 60)
        self.desk.finish()
        self.book.settle(35, 130, 11 * 60)
        for _ in range(10):
            if not self.book.open_count():
                break
            self.book.settle(25 * HOUR)
        verify.everything(self.book, self.verdicts, donors.lines, once=False, lost=False)
        verify_desk.everything(self.book, self.verdicts, self.desk)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--mode", choices=("checkout", "intent"), default="checkout")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=pathlib.Path)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # so that what was started is stopped
    with tempfile.TemporaryDirectory() as folder:
        if options.keep:
            options.keep.mkdir(parents=True)
        run = KillRun(options, options.keep or folder)
        try:
            run.run()
        finally:
            run.desk.stop()
            codes = run.book.close()
        run.verdicts.expect("both programs left in peace", [0, 0], codes)
        return run.verdicts.summary()


if __name__ == "__main__":
    sys.exit(main())
