"""Money that goes back while donors give: an operator's script that refunds through the server, with one key per refund and
retries of it, people at the provider's own desk, and banks.

It acts and keeps what it was told; what must be true of it is decided in soak_verify_desk.py.
"""

import base64
import http.client
import json
import queue
import random
import threading
import time
import urllib.parse

from soak_support import DEADLINE_S, KEY

SHARE = 0.05   # of the donations
WORKERS = 3
RETRY_S = 0.1
REPEATED = 0.3   # of the refunds that were answered are asked for again
ANSWERED = (200, 201)
# What happens, and how often: refunds of all or a part, at our desk, at the provider's or first there; and banks.
OURS = (("refund", 1),)
EVERYWHERE = (("refund", 6), ("desk", 2), ("desk_then_refund", 1), ("dispute", 3))
# What a bank does, and what comes of it, to the end: an open one is asked about for ever. Money moves
# at "dispute" and "escalated", back at "won" and "reinstated".
CASES = (("dispute", "prevented"), ("dispute", "won"), ("dispute", "lost"), ("dispute", "under_review", "won"),
         ("dispute", "reinstated", "lost"), ("inquiry", "lost"), ("inquiry", "escalated", "lost"),
         ("inquiry", "escalated", "won"))


def provider(book, method, path, **form):
    """Status and JSON of one request to the provider's API."""
    headers = {"Authorization": "Basic " + base64.b64encode(f"{KEY}:".encode()).decode(),
               "Content-Type": "application/x-www-form-urlencoded"}
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(book.provider).netloc, timeout=DEADLINE_S)
    try:
        connection.request(method, path, urllib.parse.urlencode(form) if form else None, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def provider_list(book, what):
    """All objects of a kind, from page to page."""
    found, after = [], ""
    while True:
        status, page = provider(book, "GET", f"/v1/{what}?limit=100{after}")
        if status != 200:
            raise RuntimeError(f"/v1/{what}: {status} {page}")
        found += page["data"]
        if not page["has_more"]:
            return found
        after = f"&starting_after={found[-1]['id']}"


class Desk:
    """Watches donors who have paid; some of their money goes back. `asked` is what it wanted and what it was told."""

    def __init__(self, book, seed, share=SHARE):
        self.share, self.book, self.random = share, book, random.Random(seed)
        self.asked, self.wrong, self.counts = [], [], {}
        self.seen, self.outside = 0, False
        self.jobs, self.busy, self.lock = queue.Queue(), 0, threading.Lock()
        self.stopped = threading.Event()
        for _ in range(WORKERS):
            threading.Thread(target=self._work, daemon=True).start()

    def watch(self, lines):
        """Take what donors have printed since the last call."""
        for donor in lines[self.seen:]:
            if donor["paid"] and self.random.random() < self.share:
                self._plan(donor)
        self.seen = len(lines)

    def phase(self, outside):
        """A new list of donors; `outside`: also at the provider, whose word we have by webhooks alone."""
        self.seen, self.outside = 0, outside

    def _plan(self, donor):
        kinds = EVERYWHERE if self.outside else OURS
        kind = self.random.choices([name for name, _ in kinds], [weight for _, weight in kinds])[0]
        part = self.random.choice((None, max(1, donor["minor"] // 3)))
        job = {"kind": kind, "payment_id": donor["payment_id"], "key": f"refund-of-{donor['key']}", "minor": part,
               "repeats": self.random.random() < REPEATED, "case": self.random.choice(CASES), "due": 0.0,
               "captured": donor["minor"], "told": None, "asked": False, "desk_minor": max(1, donor["minor"] // 4)}
        self.counts[kind] = self.counts.get(kind, 0) + 1
        with self.lock:
            self.busy += 1
        self.jobs.put(job)

    def _work(self):
        while not self.stopped.is_set():
            try:
                job = self.jobs.get(timeout=0.2)
            except queue.Empty:
                continue
            over = False
            if job["due"] <= time.monotonic():
                try:
                    over = getattr(self, "_" + job["kind"])(job)
                except (OSError, http.client.HTTPException, json.JSONDecodeError):
                    pass   # no answer: the same again
                except Exception as error:   # of this job, not of the thread
                    self.wrong.append(f"{error!r} with {job}")
                    over = True
                job["due"] = time.monotonic() + RETRY_S
            else:
                time.sleep(0.01)   # it is not this one's turn yet
            if not over:
                self.jobs.put(job)
                continue
            with self.lock:
                self.busy -= 1

    def finish(self):
        """Until everybody was answered."""
        end = time.monotonic() + DEADLINE_S
        while self.busy:
            if time.monotonic() > end:
                raise TimeoutError(f"the desk waits for an answer: {list(self.jobs.queue)[:3]}")
            time.sleep(0.02)

    def stop(self):
        self.stopped.set()

    # ---- at our desk --------------------------------------------------------------------------------

    def _refund(self, job):
        if not job["asked"]:
            job["asked"] = True
            self.asked.append(job)
        body = {"reason": "asked by the donor"}
        if job["minor"]:
            body["amount"] = {"minor": job["minor"], "currency": "EUR"}
        status, answer = self.book.ask("POST", f"/api/v1/payments/{job['payment_id']}/refunds", body,
                                       {"Idempotency-Key": job["key"]}, token=True)
        if status in ANSWERED:
            if job["told"] not in (None, answer["id"]):
                self.wrong.append(f"key {job['key']} made {job['told']} and {answer['id']}")
            again = job["repeats"] and not job["told"]
            job["told"] = answer["id"]
            return not again
        if status == 409 and "only captured" in answer["detail"]:
            return False   # the payment is not known to be paid yet
        if status in (409, 422) and answer["code"] in ("cfa_estate", "cfa_erange") and not job["told"]:
            return True   # others took what was left
        if status not in (429, 503):
            self.wrong.append(f"key {job['key']}: {status} {answer}")
            return True
        return False

    # ---- at the provider ----------------------------------------------------------------------------

    def _charge(self, job):
        """The charge that was paid, or None if there was no good answer."""
        for intent in self.book.panel(f"payments/{job['payment_id']}")["intent_list"]:
            if intent["status"] == "succeeded":
                status, answer = provider(self.book, "GET", f"/v1/payment_intents/{intent['id']}")
                return answer["latest_charge"] if status == 200 else None
        return None

    def _desk(self, job):
        """Made by a person, who may well make a second one when the first answer was lost."""
        charge = self._charge(job)
        if not charge:
            return False
        status, answer = provider(self.book, "POST", "/v1/refunds", charge=charge, amount=job["desk_minor"])
        return status == 200 or answer["error"].get("code") == "charge_already_refunded" or (
            answer["error"].get("param") == "amount")

    def _desk_then_refund(self, job):
        """What is left at the provider is not what we believe to be left."""
        if self._desk(job):
            job["kind"], job["minor"] = "refund", None
        return False

    def _dispute(self, job):
        charge = self._charge(job)
        if not charge:
            return False
        opened, *verdicts = job["case"]
        if not job.get("opened"):
            part = {"amount": job["minor"]} if opened == "dispute" and job["minor"] else {}
            self.book.panel("disputes", {"charge": charge, "open": opened, **part})
            job["opened"] = True
        status, page = provider(self.book, "GET", f"/v1/disputes?charge={charge}")
        if status != 200:
            return False
        for verdict in verdicts:
            self.book.panel("disputes", {"dispute": page["data"][0]["id"], "verdict": verdict})
        return True
