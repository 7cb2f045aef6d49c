"""kill -9 at any moment: what was answered is in the books, and nothing happens twice."""

import http.client
import random
import subprocess
import threading

from sandbox_support import BINARY, eventually, receiver, start  # noqa: F401

ROUNDS = 10
DONORS = 4


class Donor(threading.Thread):
    """Creates and confirms with fixed keys, again and again until both are answered."""

    def __init__(self, name, boxes, end):
        super().__init__()
        self.name_, self.boxes, self.end, self.done = name, boxes, end, []

    def call(self, path, key, **arguments):
        while not self.end.is_set():
            try:
                answer = self.boxes[-1].post(path, key, **arguments)
                assert answer.status == 200, answer
                return answer
            except (OSError, http.client.HTTPException):
                self.end.wait(0.01)
        return None

    def run(self):
        number = 0
        while not self.end.is_set():
            line = f"{self.name_}-{number}"
            intent = self.call("/v1/payment_intents", f"create-{line}", amount=2500, currency="eur",
                               metadata={"payment_id": line})
            paid = intent and self.call(f"/v1/payment_intents/{intent['id']}/confirm", f"confirm-{line}",
                                        payment_method="pm_card_visa")
            if paid:
                self.done.append(line)
            number += 1


def test_kill_crash_recovery(tmp_path, start):
    flags = ("--books", str(tmp_path / "books.db"))
    boxes, end = [start(*flags)], threading.Event()
    donors = [Donor(f"d{number}", boxes, end) for number in range(DONORS)]
    for donor in donors:
        donor.start()
    dice = random.Random(5)
    try:
        for _ in range(ROUNDS):
            wanted = sum(len(donor.done) for donor in donors) + dice.randrange(5, 60)
            eventually(lambda: sum(len(donor.done) for donor in donors) >= wanted, "donations")
            boxes[-1].kill()
            boxes.append(start(*flags))
    finally:
        end.set()
        for donor in donors:
            donor.join()
    rows = {row["payment_id"]: row for row in boxes[-1].panel("payments")["payments"]}
    done = [line for donor in donors for line in donor.done]
    assert len(done) > ROUNDS * 5
    for line in done:
        assert (rows[line]["intents"], rows[line]["captures"], rows[line]["captured"]) == (1, 1, 2500)
    assert boxes[-1].books()["charged_twice"] == 0


def test_webhooks_and_jobs_go_on_after_a_kill(tmp_path, start, receiver):
    flags = ("--books", str(tmp_path / "books.db"), "--webhook", receiver.url, "--webhook-secret", "whsec_x")
    receiver.status = 500
    box = start(*flags)
    session = box.session("s")
    intent = box.paid("p", capture_method="manual")
    eventually(lambda: len(receiver.requests) >= 3, "first attempts")
    box.advance(3600)
    box.kill()
    receiver.status = 200
    box = start(*flags)
    assert box.panel("clock")["advanced_s"] == 3600
    box.panel("webhooks/retry", {})
    eventually(lambda: box.books()["deliveries"]["due"] == 0, "delivered")
    box.advance(8 * 86400)
    assert box.get(f"/v1/payment_intents/{intent['id']}")["status"] == "canceled"
    assert box.get(f"/v1/checkout/sessions/{session['id']}")["status"] == "expired"


def test_a_restart_with_the_same_seed_makes_new_ids(tmp_path, start):
    flags = ("--books", str(tmp_path / "books.db"), "--seed", "1")
    first = start(*flags)
    made = first.intent("a")["id"]
    assert first.stop() == 0
    second = start(*flags)
    assert second.intent("b")["id"] != made
    assert second.get(f"/v1/payment_intents/{made}").status == 200


def test_two_processes_never_share_books(tmp_path, start):
    books = str(tmp_path / "books.db")
    start("--books", books)
    done = subprocess.run([BINARY, "--listen", "127.0.0.1:0", "--books", books], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 2 and "another process" in done.stderr
