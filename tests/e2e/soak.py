#!/usr/bin/env python3
"""Donations in great number through server, Stripe adapter and sandbox, with every fault of the sandbox's panel in turn.

    soak.py [--donations N] [--mode checkout|intent] [--seed N] [--only PHASE] [--keep FOLDER] BUILD

Between phases the clock of both programs is moved until nothing is left to do; at the end the provider's books are compared
with ours, payment by payment. The last line is "N passed, N failed".
"""

import argparse
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

import soak_verify as verify
import soak_verify_desk as verify_desk
from soak_desk import Desk
from soak_support import Book, Donors, eventually

MINUTE, HOUR = 60, 3600
IN_FLIGHT = 96
DONORS_MIN = 100   # of a phase
MINOR = 1234
FAULTS_S = 6   # so long a fault lasts at most, in each phase
PROBED_S = 160       # the standing probe has come by then
DAY_S = 27 * HOUR    # ends what is unpaid; and look-ups of the next phase do not list the objects of this one

# name, share of the donations in a thousand, faults
PHASES = [
    ("clean", 250, {}),
    ("replies_lost", 90, {"reply_lost": "6%"}),
    ("errors_stored", 50, {"error_before": "3%", "error_after": "3%"}),
    ("resets", 90, {"reset_before": "3%", "reset_after": "3%", "reset_middle": "3%"}),
    ("drip", 60, {"drip": "4%", "drip_ms": 1500}),
    ("refusals", 60, {"rate_limited": "6%", "unavailable": "4%"}),
    ("webhooks_lost", 120, {"webhook_lost": "100%"}),
    ("webhooks_twisted", 100, {"webhook_duplicated": "50%", "webhook_copies": 5, "webhook_reordered": "100%"}),
    ("webhooks_late", 70, {"webhook_delayed": "100%", "webhook_delay_s": 25 * HOUR}),
    ("everything", 60, {"reply_lost": "2%", "error_before": "1%", "error_after": "1%", "reset_before": "1%", "reset_after": "1%",
                        "reset_middle": "1%", "drip": "1%", "drip_ms": 1000, "rate_limited": "2%", "unavailable": "1%",
                        "webhook_lost": "10%", "webhook_duplicated": "20%", "webhook_reordered": "50%",
                        "webhook_delayed": "30%", "webhook_delay_s": 2 * HOUR}),
    ("outages", 50, {}),
]


class TotalsWatch:
    """Reads totals all the time: neither their version nor what was raised ever goes back."""

    def __init__(self, book):
        self.book, self.wrong, self.reads = book, [], 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        version = raised = 0
        while not self.stopped.wait(0.1):
            try:
                now = self.book.totals()
            except OSError:
                continue
            now_raised = sum(each["raised_minor"] for each in now.get("currencies", []))
            if now.get("version", version) < version or now_raised < raised:
                self.wrong.append(f"version {version} raised {raised}, then {now}")
            version, raised = now.get("version", version), now_raised
            self.reads += 1

    def stop(self):
        self.stopped.set()
        self.thread.join()


class Soak:
    def __init__(self, options, folder):
        self.options = options
        self.book = Book(options.build, folder, "--circuit-failures", "14", "--circuit-open-ms", "1000", mode=options.mode)
        self.verdicts, self.donors = verify.Verdicts(), []
        self.turned_away = 0
        self.desk = Desk(self.book, options.seed)
        self.random = random.Random(options.seed)

    def meanwhile(self, name, donors):
        """What happens to the provider while donors are at it."""
        for number in range(2 if name == "outages" else 0):
            if donors.running():
                self.outage(f"outage-{number}-of-the-soak")
                time.sleep(1.0)   # between outages
        if name == "everything":
            time.sleep(0.5)
            self.book.move_clock(10 * MINUTE)   # also under load: leases end early, and nothing happens twice
        # Who waits for an answer that needs a look-up over many pages waits until the provider is well again.
        end = time.monotonic() + FAULTS_S
        while donors.running() and time.monotonic() < end:
            self.desk.watch(donors.lines)
            time.sleep(0.05)
        happened = self.book.panel("faults")["happened"]
        self.book.faults()
        for seconds in (0, 5, 30, *[11 * MINUTE] * 30):
            if not donors.running():
                break
            self.book.settle(seconds)
        donors.finish()
        return {fault: times for fault, times in happened.items() if times}

    def pledge(self, key, minor):
        return self.book.ask("POST", "/api/v1/pledges", {
            "campaign_id": self.book.campaign, "amount": {"minor": minor, "currency": "EUR"}}, {"Idempotency-Key": key})

    def outage(self, name):
        """Lasts until the breaker has turned somebody away; the same key succeeds after it."""
        keys = []

        def turned_away():
            if self.book.query("SELECT state FROM cfa_breaker") != [(2,)]:
                return False
            keys.append(f"{name}-{len(keys)}")
            status, answer = self.pledge(keys[-1], MINOR)
            return status == 503 and answer["code"] == "cfa_ecircuit"

        self.book.panel("faults", {"outage": True})
        eventually(turned_away, "an open circuit")
        self.book.panel("faults", {"outage": False})
        for key in keys:
            eventually(lambda key=key: self.pledge(key, MINOR)[0] in (200, 201), "the same key's success")
        self.turned_away += 1

    def phase(self, number, name, share, faults):
        count = max(DONORS_MIN, self.options.donations * share // 1000)
        started = time.monotonic()
        self.book.faults(**faults)
        # What is made at the provider is known by webhooks alone: none where they are lost for ever.
        self.desk.phase(outside="webhook_lost" not in faults)
        donors = Donors(self.book, count, IN_FLIGHT, self.options.seed * 1000 + number, f"{name}-of-the-soak")
        try:
            happened = self.meanwhile(name, donors)
        finally:
            donors.stop()
        took = time.monotonic() - started
        self.donors += donors.lines
        self.after_phase(name, donors, count)
        summary = {key: value for key, value in donors.summary.items() if value and key not in ("summary", "donors", "took_ms")}
        print(f"{name}: {count} donors in {took:.1f} s, settled after {time.monotonic() - started:.1f} s; {summary}; faults "
              f"{happened}", flush=True)

    def after_phase(self, name, donors, count):
        verdicts, summary = self.verdicts, donors.summary
        verdicts.expect(f"{name}: donors who gave up", 0, summary["given_up"])
        verdicts.expect(f"{name}: donors who were answered or went", count, summary["acknowledged"] + summary["gone"])
        verdicts.expect(f"{name}: answers that are our fault", 0, summary["broken"])
        verdicts.expect(f"{name}: told to come again, but not when", 0, summary["hurried"])
        if name == "outages":
            verdicts.expect(f"{name}: donors were turned away, and came again", True, self.turned_away > 0)
        self.desk.watch(donors.lines)
        self.book.settle(PROBED_S)
        self.desk.finish()
        self.book.settle()
        self.paid_are_complete(name, donors)
        self.book.settle(DAY_S)

    def paid_are_complete(self, name, donors):
        """Long before a day is over, by webhooks or by probes alone."""
        complete = {row[0] for row in self.book.query("SELECT id FROM cfa_payment WHERE state = 6")}
        self.verdicts.check(f"{name}: paid, but not COMPLETED within minutes", (
            each["payment_id"] for each in donors.lines
            if each["paid"] and verify.blob_of(each["payment_id"]) not in complete), lambda each: verify.chain(self.book, each))

    def same_answers(self):
        """Days later, the same key still is the same pledge."""
        wrong = []
        for donor in self.random.sample(self.donors, min(50, len(self.donors))):
            status, answer = self.pledge(donor["key"], donor["minor"])
            if (status, answer.get("id"), answer.get("payment_id")) != (200, donor["pledge_id"], donor["payment_id"]):
                wrong.append((donor, status, answer))
        self.verdicts.check("a key that finds another pledge", wrong)

    def run(self):
        watch = TotalsWatch(self.book)
        for number, (name, share, faults) in enumerate(PHASES):
            if self.options.only in (None, name):
                self.phase(number, name, share, faults)
        self.same_answers()
        self.book.settle(0)
        for _ in range(10):   # a look at what is left: a refused cancel, a doubt of days
            if not self.book.open_count():
                break
            self.book.settle(25 * HOUR)
        watch.stop()
        self.verdicts.check("totals that went back", watch.wrong)
        self.verdicts.expect("totals were read meanwhile", True, watch.reads > 0)
        verify.everything(self.book, self.verdicts, self.donors)
        verify_desk.everything(self.book, self.verdicts, self.desk)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--donations", type=int, default=20000)
    parser.add_argument("--mode", choices=("checkout", "intent"), default="checkout")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=[name for name, *_ in PHASES])
    parser.add_argument("--keep", type=pathlib.Path)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # so that what was started is stopped
    with tempfile.TemporaryDirectory() as folder:
        if options.keep:
            options.keep.mkdir(parents=True)
        soak = Soak(options, options.keep or folder)
        try:
            soak.run()
        finally:
            soak.desk.stop()
            codes = soak.book.close()
        soak.verdicts.expect("both programs left in peace", [0, 0], codes)
        return soak.verdicts.summary()


if __name__ == "__main__":
    sys.exit(main())
