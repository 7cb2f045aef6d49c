"""What the end-to-end tests share: a server on Stripe's adapter whose book can be read, and webhooks written by hand.

Built on the support code of tests/examples. Nothing here is a stand-in: server, sandbox and Stripe's package are the real ones.
"""

import json
import pathlib
import sqlite3
import subprocess
import sys
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "examples"))

# pylint: disable=wrong-import-position,unused-import
from conftest import (BINARY, DEADLINE_S, ROOT, Server, environment, eventually, new_key,  # noqa: E402, F401
                      while_it_lasts)
from test_server_stripe import SECURE, THANKS, Wire, path_of, post_webhook  # noqa: E402, F401

# What is known of donations. Operations, cursors and breakers move by themselves and are no part of it.
FACTS = {
    "pledge": "*", "donor": "*", "answer": "*", "key": "*", "key_recent": "*", "transition": "*", "contribution": "*",
    "totals": "*", "event": "*", "webhook": "*", "parked": "*", "provider_object": "*",
    "payment": "id, state, flags, durable, ref, authorized_minor, captured_minor, hold, canceled_us, volatile_fact, "
               "sequence",
}
APPLIED, DUPLICATE, STALE, PARKED, IGNORED, QUARANTINED, CONTRADICTION = range(1, 8)


def read(database, query, *arguments):
    book = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=DEADLINE_S)
    try:
        return book.execute(query, arguments).fetchall()
    finally:
        book.close()


def facts(database):
    return {table: sorted(map(repr, read(database, f"SELECT {columns} FROM cfa_{table}")))
            for table, columns in FACTS.items()}


def changed(before, after):
    """Per table that differs, how many rows came and went."""
    out = {}
    for table, rows in before.items():
        came, went = set(after[table]) - set(rows), set(rows) - set(after[table])
        if came or went:
            out[table] = (len(came), len(went))
    return out


class HandWire(Wire):
    """The provider's own webhooks are lost: every event is written, signed and posted by hand."""

    def __init__(self, folder, *flags):
        super().__init__(folder, "--stripe-mode", "intent", *flags, database=str(folder / "book.db"), thanks=False)
        self.database = str(folder / "book.db")
        self.sandbox.pull("faults", webhook_lost="100%")
        self.secret = self.endpoint["secret"]

    def facts(self):
        return facts(self.database)

    def webhook(self, event_id):
        """The verdict that is stored for an event, or None."""
        rows = read(self.database, "SELECT verdict FROM cfa_webhook WHERE event_id = ?", event_id)
        assert len(rows) < 2
        return rows[0][0] if rows else None


class Donation:
    """A pledge that the totals show, and its intent as the provider has it."""

    def __init__(self, wire, minor=2500):
        self.wire = wire
        self.campaign_id = wire.server.campaign()
        self.key = new_key()
        self.pledge = wire.server.pledge(self.campaign_id, self.key, minor=minor)
        assert self.pledge.status == 201, self.pledge
        self.intent_id = self.pledge.json["client_secret"].split("_secret_")[0]
        status, _, text = wire.sandbox.call("GET", f"/v1/payment_intents/{self.intent_id}")
        assert status == 200, text
        self.intent = json.loads(text)
        eventually(lambda: self.totals()["pledged_minor"] == minor, "the pledge in the totals")

    def totals(self):
        return (self.wire.server.totals(self.campaign_id)["currencies"] or [{"pledged_minor": 0}])[0]

    def state(self):
        return self.wire.server.get(f"/api/v1/pledges/{self.pledge.json['id']}", token=True).json["state"]

    def event(self, kind="payment_intent.succeeded", status="succeeded", changes=None, **envelope):
        """An event about the intent, in the shape that Stripe sends it. `changes` are the intent's."""
        more = {"succeeded": {"amount_received": self.intent["amount"]},
                "requires_capture": {"amount_capturable": self.intent["amount"]},
                "canceled": {"canceled_at": int(time.time()), "cancellation_reason": "requested_by_customer"}}
        return event(kind, {**self.intent, "status": status, **more.get(status, {}), **(changes or {})}, **envelope)


def event(kind, thing, **envelope):
    return {"id": f"evt_{uuid.uuid4().hex}", "object": "event", "api_version": "2026-10-28.endive",
            "created": int(time.time()), "data": {"object": thing}, "livemode": False, "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None}, "type": kind, **envelope}


def outbox(wire):
    """The newest thousand events, as the command line shows them."""
    after = max(0, read(wire.database, "SELECT max(position) FROM cfa_event")[0][0] - 1000)
    command = [BINARY, "outbox", "list", "--database", wire.database, "--limit", "1000", "--after", str(after), "--json"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    return json.loads(done.stdout)["events"]


def text_of(body):
    return json.dumps(body, indent=2)
