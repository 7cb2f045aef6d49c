"""Starts the real careforall-sandbox as a process of its own, and a real receiver of its webhooks."""

import hashlib
import hmac
import http.client
import http.server
import json
import os
import select
import signal
import subprocess
import threading
import time
import urllib.parse

import pytest

BINARY = os.environ.get("CAREFORALL_SANDBOX")
if not BINARY:
    pytest.skip("run tests/examples/sandbox.sh, or set CAREFORALL_SANDBOX", allow_module_level=True)
KEY = "sk_test_careforall"
DEADLINE_S = 120   # only what is broken waits so long


def eventually(check, what):
    """Asks until `check` gives something true, within a deadline."""
    end = time.monotonic() + DEADLINE_S
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, f"not within {DEADLINE_S} s: {what}"
        select.select([], [], [], 0.01)


def encode(value, prefix=""):
    """Nested arguments as Stripe's clients write them."""
    if isinstance(value, dict):
        return [pair for key, item in value.items()
                for pair in encode(item, f"{prefix}[{key}]" if prefix else key)]
    if isinstance(value, list):
        return [pair for number, item in enumerate(value) for pair in encode(item, f"{prefix}[{number}]")]
    return [(prefix, str(value).lower() if isinstance(value, bool) else str(value))]


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {key.lower(): value for key, value in headers}
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]

    def __getitem__(self, name):
        return self.json[name]

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body!r}>"


class Sandbox:
    def __init__(self, *flags):
        self.flags = flags
        self.process = subprocess.Popen([BINARY, "--listen", "127.0.0.1:0", "--async-ms", "20", *flags],
                                        stdout=subprocess.PIPE)
        while True:
            line = self.process.stdout.readline().decode()
            assert line, f"the sandbox ended: {self.process.wait()}"
            if line.startswith("listening on "):
                self.url = line.split()[-1]
                self.port = int(self.url.rsplit(":", 1)[1])
                return

    def request(self, method, path, body=None, headers=None, key=KEY):
        headers = dict(headers or {})
        if key:
            headers["Authorization"] = f"Bearer {key}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def post(self, path, idempotency_key=None, headers=None, key=KEY, **arguments):
        headers = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        return self.request("POST", path, urllib.parse.urlencode(encode(arguments)), headers, key)

    def get(self, path, headers=None, key=KEY, **arguments):
        query = urllib.parse.urlencode(encode(arguments))
        return self.request("GET", f"{path}?{query}" if query else path, None, headers, key)

    def panel(self, lever, wanted=None):
        """GET without a body, POST with one."""
        answer = self.request("GET" if wanted is None else "POST", f"/_sandbox/{lever}",
                              None if wanted is None else json.dumps(wanted), key=None)
        assert answer.status == 200, answer
        return answer.json

    def faults(self, **wanted):
        return self.panel("faults", wanted)

    def next_fault(self, fault, **more):
        return self.faults(next={"fault": fault, **more})

    def advance(self, seconds):
        return self.panel("clock", {"advance_s": seconds})

    def books(self):
        return self.panel("books")

    def intent(self, payment_id="p", amount=2500, idempotency_key=None, **more):
        return self.post("/v1/payment_intents", idempotency_key, amount=amount, currency="eur",
                         metadata={"payment_id": payment_id}, **more)

    def paid(self, payment_id="p", method="pm_card_visa", **more):
        return self.intent(payment_id, confirm=True, payment_method=method, **more)

    def session(self, payment_id="p", amount=2500, **more):
        return self.post("/v1/checkout/sessions", mode="payment", line_items=[
            {"quantity": 1, "price_data": {"currency": "eur", "unit_amount": amount,
                                           "product_data": {"name": "Clean <water>"}}}],
            success_url="http://127.0.0.1:9/thanks?s={CHECKOUT_SESSION_ID}",
            cancel_url="http://127.0.0.1:9/back", metadata={"payment_id": payment_id},
            **{"payment_intent_data": {"metadata": {"payment_id": payment_id}}, **more})

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE_S)
        self.process.stdout.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE_S)
        self.process.stdout.close()
        return code


class Receiver:
    """Collects webhooks; answers with what `status` says at that moment."""

    def __init__(self):
        self.status = 200
        self.requests = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((self.headers["Stripe-Signature"], body))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhooks"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def events(self, kind=None):
        found = [json.loads(body) for _, body in list(self.requests)]
        return [event for event in found if kind in (None, event["type"])]

    def wait(self, kind, count=1):
        eventually(lambda: len(self.events(kind)) >= count, f"{count} × {kind}")
        return self.events(kind)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def signatures(header, body, *secrets):
    """Which of the secrets signed."""
    pieces = [piece.split("=", 1) for piece in header.split(",")]
    stamp = dict(pieces)["t"]
    sent = [value for name, value in pieces if name == "v1"]
    return [secret for secret in secrets if hmac.new(
        secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest() in sent]


@pytest.fixture
def start():
    started = []

    def run(*flags):
        sandbox = Sandbox(*flags)
        started.append(sandbox)
        return sandbox

    yield run
    for sandbox in started:
        if sandbox.process.poll() is None:
            assert sandbox.stop() == 0


@pytest.fixture
def receiver():
    out = Receiver()
    yield out
    out.stop()


@pytest.fixture(scope="module")
def box():
    """One sandbox for tests that leave nothing behind that others could see."""
    sandbox = Sandbox()
    yield sandbox
    assert sandbox.stop() == 0
