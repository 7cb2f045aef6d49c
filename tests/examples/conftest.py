"""Starts the real careforall-server as a process of its own and talks to it over real sockets.

The binary is CAREFORALL_SERVER, or the first one found in build/*/examples.
"""

import http.client
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import threading
import time
import uuid

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKEN = "0123456789abcdef0123456789abcdef-test"
WEBHOOK_SECRET = "whsec_of_these_tests"
DEADLINE_S = 120   # only what is broken waits so long


def find_binary():
    named = os.environ.get("CAREFORALL_SERVER")
    if named:
        return named
    for preset in ("dev", "release", "asan"):
        path = ROOT / "build" / preset / "examples" / "careforall-server"
        if path.exists():
            return str(path)
    pytest.exit("build the project first, or set CAREFORALL_SERVER", returncode=2)


BINARY = find_binary()


def environment(**changes):
    out = {key: value for key, value in os.environ.items() if not key.startswith("CAREFORALL_")}
    out["CAREFORALL_ADMIN_TOKEN"] = TOKEN
    out["CAREFORALL_WEBHOOK_SECRET"] = WEBHOOK_SECRET
    # The preloaded checkers of other presets must find their options here too.
    for key, value in changes.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = value
    return out


def eventually(check, what):
    """Asks until `check` gives something true, within a deadline."""
    end = time.monotonic() + DEADLINE_S
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, f"not within {DEADLINE_S} s: {what}"
        select.select([], [], [], 0.01)


def promptly(limit_s, attempt):
    """What an attempt gives that must be over in so many seconds. One that was not is made again: a busy machine is late
    now and then, a defect each time."""
    for tries_left in (2, 1, 0):
        began = time.monotonic()
        out = attempt()
        took = time.monotonic() - began
        if took < limit_s or not tries_left:
            assert took < limit_s
            return out


def while_it_lasts(limit_s, attempt):
    """What an attempt gives that looks at something that lasts so many seconds. One that failed later saw nothing, and is
    made again."""
    for tries_left in (2, 1, 0):
        began = time.monotonic()
        try:
            return attempt()
        except (AssertionError, OSError, http.client.HTTPException):
            if time.monotonic() - began < limit_s or not tries_left:
                raise


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {key.lower(): value for key, value in headers}
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body!r}>"


class Server:
    """One process, and what it said."""

    def __init__(self, *flags, env=None):
        self.process = subprocess.Popen(
            [BINARY, "serve", "--listen", "127.0.0.1:0", *flags], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=env or environment(), bufsize=0)
        self.errors = bytearray()
        self.reader = threading.Thread(target=self._read_errors, daemon=True)
        self.reader.start()
        self.lines = []
        while True:
            line = self.process.stdout.readline().decode()
            assert line, f"the server ended: {self.process.wait()} {self.log()}"
            self.lines.append(line.rstrip("\n"))
            found = re.fullmatch(r"listening on http://127\.0\.0\.1:(\d+)\n", line)
            if found:
                self.port = int(found[1])
                return

    def _read_errors(self):
        for piece in iter(lambda: self.process.stderr.read(4096), b""):
            self.errors += piece

    def log(self):
        return self.errors.decode(errors="replace")

    def request(self, method, path, body=None, headers=None, token=False):
        """One request on a connection of its own; `body` is sent as JSON unless it is bytes."""
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = f"Bearer {TOKEN}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def raw(self, data, shut=False):
        """Send bytes as they are; return everything that comes back until the server closes or is silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S) as peer:
            out = b""
            try:
                peer.sendall(data)
                if shut:
                    peer.shutdown(socket.SHUT_WR)
                while piece := peer.recv(65536):
                    out += piece
            except OSError:   # reset while sending or reading: what came is what counts
                pass
            return out

    def campaign(self, **changes):
        body = {"title": "Clean water", "currencies": ["EUR"], **changes}
        answer = self.request("POST", "/api/v1/campaigns", body, {"Idempotency-Key": new_key()}, token=True)
        assert answer.status == 201, answer
        return answer.json["id"]

    def pledge(self, campaign_id, key=None, minor=2500, currency="EUR", headers=None, token=False, **more):
        body = {"campaign_id": campaign_id, "amount": {"minor": minor, "currency": currency}, **more}
        return self.request("POST", "/api/v1/pledges", body,
                            {"Idempotency-Key": key or new_key(), **(headers or {})}, token=token)

    def confirm(self, pledge_answer, method="pm_ok"):
        return self.request("POST", "/play/confirm", {
            "client_secret": pledge_answer.json["client_secret"], "payment_method": method})

    def own(self, pledge_answer):
        """A pledge as who made it sees it."""
        return self.get(f"/api/v1/pledges/{pledge_answer.json['id']}", headers={
            "Careforall-Pledge-Token": pledge_answer.headers["careforall-pledge-token"]})

    def wait_state(self, pledge_id, state):
        return eventually(
            lambda: self.get(f"/api/v1/pledges/{pledge_id}", token=True).json["state"] == state, state)

    def totals(self, campaign_id):
        answer = self.get(f"/api/v1/campaigns/{campaign_id}/totals")
        assert answer.status == 200, answer
        return answer.json

    def wait_raised(self, campaign_id, raised):
        return eventually(lambda: self.totals(campaign_id)["currencies"][0]["raised_minor"] == raised
                          and self.totals(campaign_id), f"{raised} raised")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE_S)
        self._close()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE_S)
        self._close()
        return code

    def _close(self):
        self.reader.join(DEADLINE_S)
        self.process.stdout.close()
        self.process.stderr.close()


def new_key():
    return str(uuid.uuid4())


@pytest.fixture
def start():
    """Start servers that are surely gone after the test."""
    started = []

    def run(*flags, env=None):
        server = Server(*flags, env=env)
        started.append(server)
        return server

    yield run
    for server in started:
        if server.process.poll() is None:
            assert server.stop() == 0, server.log()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One server on SQLite for the tests that leave nothing behind that others could see."""
    server = Server("--database", str(tmp_path_factory.mktemp("shared") / "book.db"))
    server.database = None
    yield server
    assert server.stop() == 0, server.log()
