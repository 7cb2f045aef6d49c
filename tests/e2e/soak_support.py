"""A book over real wires: careforall-server, careforall-sandbox and donors as processes of their own on free ports of this
machine, and one wall clock for both programs that a test can move (libfaketime).

It starts, kills, moves time and asks; what must be true is decided in soak_verify.py.
"""

import datetime
import http.client
import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.parse

TOKEN = "0123456789abcdef0123456789abcdef-test"
KEY = "sk_test_of_the_soak"
SECRET = "whsec_of_the_soak"
DEADLINE_S = 240   # only what is broken waits so long
CLOCK_CACHE_S = 1   # how late a program may see that its clock was moved


def find_faketime():
    for path in pathlib.Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"):
        return str(path)
    sys.exit("libfaketime is missing: install faketime")


def eventually(check, what, deadline_s=DEADLINE_S):
    """Asks until `check` gives something true, within a deadline."""
    end = time.monotonic() + deadline_s
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline_s} s: {what}")
        time.sleep(0.05)


def moment_us(text):
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1e6)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


class Program:
    """A process that says where it listens, can be killed at any moment and is started again on the same port."""

    def __init__(self, command, environment, log):
        self.command, self.environment, self.log = command, environment, log
        self.process = None

    def launch(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=log, env=self.environment)

    def start(self):
        self.launch()
        for line in self.process.stdout:
            if line.startswith(b"listening on "):
                return
        raise RuntimeError(f"{self.command[0]} ended with {self.process.wait()}: {self.log.read_text()[-2000:]}")

    def end(self, number):
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE_S)
        self.process.stdout.close()
        return code

    def kill(self):
        self.end(signal.SIGKILL)

    def stop(self):
        return self.end(signal.SIGTERM)

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Book:
    """One server, one sandbox, their files in one folder."""

    def __init__(self, build, folder, *server_flags, mode="checkout", moving_clock=True):
        self.build, self.folder = pathlib.Path(build).resolve(), pathlib.Path(folder)
        self.offset_s = 0
        self.provider = f"http://127.0.0.1:{free_port()}"
        self.server = f"http://127.0.0.1:{free_port()}"
        self.database, self.events = self.folder / "book.db", self.folder / "events.ndjson"
        self._write_clock()
        for name, text in (("stripe-key", KEY), ("webhook-secret", SECRET), ("admin-token", TOKEN)):
            (self.folder / name).write_text(text + "\n")
            (self.folder / name).chmod(0o600)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CAREFORALL_")}
        if moving_clock:
            environment |= {"LD_PRELOAD": find_faketime(), "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
                            "FAKETIME_CACHE_DURATION": str(CLOCK_CACHE_S), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        examples = self.build / "examples"
        self.sandbox_program = Program(
            [str(examples / "careforall-sandbox"), "--listen", self.provider[7:], "--books", str(self.folder / "sandbox.db"),
             "--secret-key-file", str(self.folder / "stripe-key"), "--webhook", self.server + "/webhooks/payment",
             "--webhook-secret", SECRET, "--async-ms", "200"], environment, self.folder / "sandbox.log")
        self.server_program = Program(
            [str(examples / "careforall-server"), "serve", "--listen", self.server[7:], "--database", str(self.database),
             "--provider", "stripe", "--stripe-base-url", self.provider, "--stripe-mode", mode,
             "--stripe-key-file", str(self.folder / "stripe-key"), "--webhook-secret-file", str(self.folder / "webhook-secret"),
             "--admin-token-file", str(self.folder / "admin-token"), "--return-url", "https://example.org/thanks",
             "--events", str(self.events), "--quiet", *server_flags], environment, self.folder / "server.log")
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        self.started_us = self.now_us()
        self.sandbox_program.start()
        self.server_program.start()
        self.campaign = self.ask("POST", "/api/v1/campaigns", {"title": "Clean water", "currencies": ["EUR"]},
                                 {"Idempotency-Key": "the-campaign"}, token=True)[1]["id"]

    # ---- the clock ----------------------------------------------------------------------------------

    def _write_clock(self):
        fresh = self.folder / "clock.new"
        fresh.write_text(f"+{self.offset_s}\n")
        fresh.replace(self.folder / "clock")

    def now_us(self):
        return int((time.time() + self.offset_s) * 1e6)

    def shift_clock(self, seconds):
        """Both programs see it within CLOCK_CACHE_S."""
        self.offset_s += seconds
        self._write_clock()

    def move_clock(self, seconds):
        """Returns when both programs know it, and the sandbox has done all that became due."""
        self.shift_clock(seconds)
        eventually(lambda: self.panel("clock")["now_us"] > self.now_us() - 5e6, "the sandbox's clock")
        eventually(lambda: moment_us(self.totals()["as_of"]) > self.now_us() - 5e6, "the server's clock")
        self.panel("clock", {"advance_s": 0})

    # ---- asking -------------------------------------------------------------------------------------

    def ask(self, method, path, body=None, headers=None, token=False, url=None):
        """Status and JSON of one request to the server, or to another address."""
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = f"Bearer {TOKEN}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(url or self.server).netloc, timeout=DEADLINE_S)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def panel(self, lever, wanted=None):
        """The sandbox's panel: GET without a body, POST with one."""
        status, answer = self.ask("GET" if wanted is None else "POST", f"/_sandbox/{lever}", wanted, url=self.provider)
        if status != 200:
            raise RuntimeError(f"/_sandbox/{lever}: {status} {answer}")
        return answer

    def faults(self, **wanted):
        """These faults and no others."""
        self.panel("faults", {"clear": True})
        if wanted:
            self.panel("faults", wanted)

    def query(self, sql, *arguments):
        """Rows of the server's database, read beside it."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=DEADLINE_S)
        try:
            return connection.execute(sql, arguments).fetchall()
        finally:
            connection.close()

    def totals(self, at_least=None):
        """As they are, or when they include all that has a position up to `at_least`."""
        path = f"/api/v1/campaigns/{self.campaign}/totals"
        if at_least is None:
            return self.ask("GET", path)[1]
        return eventually(lambda: (answer := self.ask("GET", f"{path}?at_least={at_least}"))[0] == 200 and answer[1],
                          f"totals at {at_least}")

    # ---- time goes on -------------------------------------------------------------------------------

    def unsettled(self):
        """What is still to do by now: provider calls in work or due, webhooks on their way."""
        due = self.query("SELECT count(*) FROM cfa_operation WHERE due_us <> 0 AND (due_us <= ? OR "
                         "ifnull(lease_owner, zeroblob(16)) <> zeroblob(16))", self.now_us())[0][0]
        self.panel("webhooks/retry", {})
        return due + self.panel("books")["deliveries"]["due"]

    def settle(self, *jumps, deadline_s=DEADLINE_S):
        """Move the clock step by step, and after each let everything happen that became due."""
        for seconds in jumps or (0,):
            if seconds:
                self.move_clock(seconds)
            eventually(lambda: self.unsettled() == 0, f"rest after {seconds} s", deadline_s)

    def open_count(self):
        return self.query("SELECT count(*) FROM cfa_operation WHERE due_us <> 0")[0][0]

    def close(self):
        """The exit codes of both programs, asked to end."""
        return [program.stop() for program in (self.server_program, self.sandbox_program)
                if program.process and program.process.poll() is None]


class Donors:
    """Many donors, as a process; `finish` waits for them, then there are `lines`, one per acknowledged donor, and `summary`."""

    def __init__(self, book, count, in_flight, seed, prefix, *flags, seconds=1800):
        self.lines, self.summary = [], None
        self.process = subprocess.Popen(
            [str(book.build / "tests/e2e/donors"), "--server", book.server, "--provider", book.provider,
             "--campaign", book.campaign, "--count", str(count), "--in-flight", str(in_flight), "--seed", str(seed),
             "--prefix", prefix, "--seconds", str(seconds), *flags], stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            if not line.endswith("\n"):   # it was killed
                return
            read = json.loads(line)
            if read.get("summary"):
                self.summary = read
            else:
                self.lines.append(read)

    def running(self):
        return self.process.poll() is None

    def close_door(self):
        """Nobody comes any more; who is here goes on."""
        self.process.send_signal(signal.SIGTERM)

    def finish(self, deadline_s=1900):
        code = self.process.wait(deadline_s)
        self.reader.join(DEADLINE_S)
        self.process.stdout.close()
        if code != 0 or not self.summary:
            raise RuntimeError(f"donors ended with {code}: a wrong answer, see above")

    def stop(self):
        if self.running():
            self.process.kill()
            self.process.wait(DEADLINE_S)
