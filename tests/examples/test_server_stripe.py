"""Donations over real wires: the server and its Stripe adapter against careforall-sandbox, hosted page and signed webhooks."""

import hashlib
import hmac
import http.client
import json
import pathlib
import re
import signal
import subprocess
import time
import urllib.parse

import pytest

from conftest import BINARY, DEADLINE_S, TOKEN, Server, environment, eventually, new_key

SANDBOX = pathlib.Path(BINARY).with_name("careforall-sandbox")
KEY = "sk_test_canary_of_these_tests"
THANKS = "https://give.example/thanks"
GOOD, DECLINED, SECURE = "4242424242424242", "4000000000000002", "4000000000003220"

pytestmark = pytest.mark.skipif(not SANDBOX.exists(), reason="this build has no sandbox")


class Sandbox:
    """The provider as a process of its own."""

    def __init__(self, *flags):
        self.process = subprocess.Popen([str(SANDBOX), "--listen", "127.0.0.1:0", "--secret-key", KEY, "--async-ms", "20", *flags],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if line.startswith("listening on "):
                self.url = line.split()[-1]
                self.port = urllib.parse.urlsplit(self.url).port
                return
        raise AssertionError(f"the sandbox ended: {self.process.wait()}")

    def call(self, method, path, body=None, form=None, key=KEY):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if form is not None:
            body = urllib.parse.urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif body is not None:
            body = json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read().decode()
        finally:
            connection.close()

    def books(self):
        return json.loads(self.call("GET", "/_sandbox/books")[2])

    def pull(self, lever, **wanted):
        status, _, text = self.call("POST", f"/_sandbox/{lever}", body=wanted)
        assert status == 200, text
        return json.loads(text)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(DEADLINE_S) == 0
        self.process.stdout.close()


def path_of(url):
    parts = urllib.parse.urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


class Wire:
    """A sandbox, a server that uses it, and the webhook's secret carried over as an operator would."""

    def __init__(self, folder, *flags, database=None, thanks=True):
        self.sandbox = Sandbox()
        self.folder = folder
        self.hooks = folder / "webhook-secret"
        self.write_secrets("whsec_before_the_endpoint_is_known")
        self.stripe_key = folder / "stripe-key"
        self.stripe_key.write_text(KEY + "\n")
        self.stripe_key.chmod(0o600)
        self.flags = [*(["--database", database] if database else ["--memory"]), "--provider", "stripe",
                      "--stripe-base-url", self.sandbox.url, "--stripe-key-file", str(self.stripe_key),
                      "--webhook-secret-file", str(self.hooks), *(["--return-url", THANKS] if thanks else []), *flags]
        self.endpoint = None
        self.start()

    def start(self):
        self.server = Server(*self.flags, env=environment(CAREFORALL_WEBHOOK_SECRET=None))
        url = f"http://127.0.0.1:{self.server.port}/webhooks/payment"
        path = "/v1/webhook_endpoints" + (f"/{self.endpoint['id']}" if self.endpoint else "")
        events = {} if self.endpoint else {"enabled_events[]": "*"}
        status, _, text = self.sandbox.call("POST", path, form={"url": url, **events})
        assert status == 200, text
        if not self.endpoint:
            self.endpoint = json.loads(text)
            self.roll(self.endpoint["secret"])

    def write_secrets(self, *secrets):
        self.hooks.write_text("".join(secret + "\n" for secret in secrets))
        self.hooks.chmod(0o600)

    def rolled(self):
        return self.server.log().count('"secrets_rolled"')

    def roll(self, *secrets):
        before = self.rolled()
        self.write_secrets(*secrets)
        self.server.process.send_signal(signal.SIGHUP)
        eventually(lambda: self.rolled() > before, "new secrets")

    def pay(self, pledge, number=GOOD):
        """What the donor's browser posts; returns the status and where it is sent next."""
        page = path_of(pledge.json["redirect_url"])
        status, headers, _ = self.sandbox.call("POST", page, form={"number": number, "expiry": "12 / 34", "cvc": "123"}, key=None)
        return status, headers.get("Location")

    def wait_missed(self):
        """What the sandbox has to tell was tried and nobody took it: from here on it waits for "webhooks/retry"."""
        def tried():
            deliveries = json.loads(self.sandbox.call("GET", "/_sandbox/webhooks")[2])["deliveries"]
            return all(each["state"] != "due" or each["attempts"] > 0 for each in deliveries)

        eventually(tried, "webhooks that nobody took")

    def close(self):
        assert self.server.stop() == 0, self.server.log()
        self.sandbox.stop()


@pytest.fixture(scope="module")
def wire(tmp_path_factory):
    made = Wire(tmp_path_factory.mktemp("wire"), "--return-urls", "https://shop.example/give")
    yield made
    made.close()


@pytest.fixture
def own_wire(tmp_path):
    made = []

    def make(*flags, **more):
        made.append(Wire(tmp_path, *flags, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


# ---- the hosted page ----------------------------------------------------------------------------


def test_a_donation_from_the_pledge_over_the_hosted_page_to_the_total(wire):
    campaign_id = wire.server.campaign()
    pledge = wire.server.pledge(campaign_id, donor={"name": "Ada"})
    assert pledge.status == 201 and "client_secret" not in pledge.json
    assert pledge.json["redirect_url"].startswith(wire.sandbox.url + "/pay/")
    assert wire.sandbox.call("GET", path_of(pledge.json["redirect_url"]), key=None)[0] == 200
    assert wire.pay(pledge) == (303, THANKS)
    wire.server.wait_state(pledge.json["id"], "COMPLETED")
    wire.server.wait_raised(campaign_id, 2500)
    assert wire.server.own(pledge).json["donor"]["name"] == "Ada"


def test_a_double_click_is_one_page_and_one_charge(wire):
    before = wire.sandbox.books()
    campaign_id, key = wire.server.campaign(), new_key()
    first, second = wire.server.pledge(campaign_id, key), wire.server.pledge(campaign_id, key)
    assert (first.status, second.status) == (201, 200) and first.body == second.body
    assert wire.pay(first)[0] == 303
    wire.server.wait_raised(campaign_id, 2500)
    wire.pay(second)
    after = wire.sandbox.books()
    assert after["sessions"] - before["sessions"] == 1 and after["captures"] - before["captures"] == 1
    assert after["charged_twice"] == 0
    assert wire.server.totals(campaign_id)["currencies"][0]["raised_minor"] == 2500


def test_another_callers_scope_cannot_read_the_answer(wire):
    campaign_id, key = wire.server.campaign(), new_key()
    anonymous = wire.server.pledge(campaign_id, key)
    service = wire.server.pledge(campaign_id, key, token=True)
    assert (anonymous.status, service.status) == (201, 201)
    assert anonymous.json["id"] != service.json["id"] and anonymous.json["redirect_url"] != service.json["redirect_url"]
    stolen = wire.server.get(f"/api/v1/pledges/{service.json['id']}", headers={
        "Careforall-Pledge-Token": anonymous.headers["careforall-pledge-token"]})
    assert stolen.status == 404


def test_a_declined_card_may_be_followed_by_another(wire):
    campaign_id = wire.server.campaign()
    pledge = wire.server.pledge(campaign_id)
    assert wire.pay(pledge, DECLINED)[0] == 402
    assert wire.pay(pledge) == (303, THANKS)
    wire.server.wait_raised(campaign_id, 2500)


def test_the_donor_comes_back_where_the_pledge_says(wire):
    campaign_id = wire.server.campaign()
    pledge = wire.server.pledge(campaign_id, return_url="https://shop.example/give/done?cart=7")
    assert wire.pay(pledge) == (303, "https://shop.example/give/done?cart=7")


def test_a_foreign_return_url_reaches_no_provider(wire):
    campaign_id, before = wire.server.campaign(), wire.sandbox.books()["sessions"]
    for url in ("https://evil.example/", "https://shop.example/given", "https://shop.example@evil.example/give"):
        answer = wire.server.pledge(campaign_id, return_url=url)
        assert (answer.status, answer.json["code"], answer.json["field"]) == (422, "cfa_einval", "return_url")
    assert wire.sandbox.books()["sessions"] == before


def test_without_a_standard_a_pledge_must_say_where_to_return(own_wire):
    wire = own_wire("--return-urls", THANKS, thanks=False)
    campaign_id = wire.server.campaign()
    answer = wire.server.pledge(campaign_id)
    assert (answer.status, answer.json["code"], answer.json["field"]) == (400, "http_missing_field", "return_url")
    pledge = wire.server.pledge(campaign_id, return_url=THANKS)
    assert pledge.status == 201 and wire.pay(pledge) == (303, THANKS)
    wire.server.wait_raised(campaign_id, 2500)


# ---- intents ------------------------------------------------------------------------------------


def test_the_hosts_own_page_confirms_an_intent(own_wire):
    wire = own_wire("--stripe-mode", "intent", thanks=False)
    campaign_id = wire.server.campaign()
    pledge = wire.server.pledge(campaign_id)
    assert pledge.status == 201 and "redirect_url" not in pledge.json
    secret = pledge.json["client_secret"]
    intent_id = secret.split("_secret_")[0]
    status, _, text = wire.sandbox.call("POST", f"/v1/payment_intents/{intent_id}/confirm",
                                        form={"payment_method": "pm_card_visa", "return_url": THANKS})
    assert status == 200, text
    wire.server.wait_raised(campaign_id, 2500)


# ---- webhooks -----------------------------------------------------------------------------------


def signed(body, secret, at=None):
    at = int(time.time()) if at is None else at
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def event(wire, kind):
    """The newest event of a kind as the provider would send it again."""
    status, _, text = wire.sandbox.call("GET", f"/v1/events?type={kind}&limit=1")
    assert status == 200, text
    return json.dumps(json.loads(text)["data"][0], indent=2).encode()


def post_webhook(wire, body, *signatures):
    lines = "".join(f"Stripe-Signature: {signature}\r\n" for signature in signatures)
    answer = wire.server.raw(f"POST /webhooks/payment HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n"
                             "Connection: close\r\n\r\n".encode() + body)
    head, _, text = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(text)


def test_webhooks_are_verified_over_their_bytes(wire):
    campaign_id = wire.server.campaign()
    pledge = wire.server.pledge(campaign_id)
    wire.pay(pledge)
    wire.server.wait_raised(campaign_id, 2500)
    secret = wire.endpoint["secret"]
    body = event(wire, "checkout.session.completed")
    assert post_webhook(wire, body, signed(body, secret)) == (200, {"verdict": "DUPLICATE"})
    flipped = body.replace(b"2500", b"2501", 1)
    assert flipped != body
    for bytes_sent, signature in ((flipped, signed(body, secret)), (body + b"\n", signed(body, secret)),
                                  (body, signed(body, "whsec_somebody_elses_secret")),
                                  (body, signed(body, secret, int(time.time()) - 3600)),
                                  (body, signed(body, secret, int(time.time()) + 3600)), (body, "t=1,v1=00"), (body, "")):
        status, answer = post_webhook(wire, bytes_sent, signature)
        assert (status, answer["code"], answer["field"]) == (400, "cfa_esignature", "Stripe-Signature"), answer
        assert answer["status"] == 400
    malformed = b'{"id": "evt_1", "object": "ev'
    status, answer = post_webhook(wire, malformed, signed(malformed, secret))
    assert status == answer["status"] == 400 and answer["code"] == "cfa_einval", answer
    assert post_webhook(wire, body)[0] == 400
    assert post_webhook(wire, body, signed(body, secret), signed(body, secret))[0] == 400
    assert wire.server.totals(campaign_id)["currencies"][0]["raised_minor"] == 2500


def test_webhook_secrets_roll_while_donations_go_on(own_wire):
    wire = own_wire()
    old, campaign_id = wire.endpoint["secret"], wire.server.campaign()
    new = wire.sandbox.pull("secret/roll", id=wire.endpoint["id"], keep_s=3600)["secret"]
    wire.roll(new, old)
    pledge = wire.server.pledge(campaign_id)
    assert wire.pay(pledge)[0] == 303
    wire.server.wait_raised(campaign_id, 2500)
    body = event(wire, "payment_intent.succeeded")
    assert post_webhook(wire, body, signed(body, old))[0] == post_webhook(wire, body, signed(body, new))[0] == 200
    wire.roll(new)
    assert post_webhook(wire, body, signed(body, old))[0] == 400
    assert post_webhook(wire, body, signed(body, new))[0] == 200


def test_a_stripe_key_rolls_within_its_mode_only(own_wire):
    wire = own_wire()
    campaign_id = wire.server.campaign()
    wire.stripe_key.write_text("sk_live_" + "x" * 20)
    wire.server.process.send_signal(signal.SIGHUP)
    eventually(lambda: '"secrets_kept"' in wire.server.log(), "a line in the log")
    assert wire.server.pledge(campaign_id).status == 201
    assert "sk_live_" + "x" * 20 not in wire.server.log()


def test_a_wrong_stripe_key_is_seen_in_the_log_and_its_right_one_goes_on(own_wire):
    wire = own_wire()
    campaign_id, key = wire.server.campaign(), new_key()
    before = wire.rolled()
    for text in ("sk_test_this_is_not_the_key", KEY):
        wire.stripe_key.write_text(text)
        wire.server.process.send_signal(signal.SIGHUP)
        eventually(lambda: wire.rolled() > before, "a new key")
        before = wire.rolled()
        if text != KEY:
            assert wire.server.pledge(campaign_id, key).status == 202
            line = eventually(lambda: next((line for line in map(json.loads, wire.server.log().splitlines())
                                            if line["event"] == "provider_trouble"), None), "a line in the log")
            assert line["level"] == "warning" and "nothing was done" in line["text"], line
    made = eventually(lambda: (again := wire.server.pledge(campaign_id, key)).status in (200, 201) and again, "an answer")
    assert wire.pay(made)[0] == 303


# ---- misfortune ---------------------------------------------------------------------------------


def test_an_outage_is_503_or_202_and_the_same_key_succeeds_after_it(own_wire):
    wire = own_wire()
    campaign_id, key = wire.server.campaign(), new_key()
    wire.sandbox.pull("faults", outage=True)
    answer = wire.server.pledge(campaign_id, key)
    assert answer.status in (202, 503) and int(answer.headers["retry-after"]) >= 1, answer
    wire.sandbox.pull("faults", outage=False)
    made = eventually(lambda: (again := wire.server.pledge(campaign_id, key)).status in (200, 201) and again, "an answer")
    assert wire.pay(made)[0] == 303
    wire.server.wait_raised(campaign_id, 2500)
    assert wire.sandbox.books()["charged_twice"] == 0


def open_circuit(wire, campaign_id):
    """Pledges until the breaker opens; the keys of those that were not made."""
    wire.sandbox.pull("faults", outage=True)
    keys = []

    def rejected():
        keys.append(new_key())
        answer = wire.server.pledge(campaign_id, keys[-1])
        return answer if answer.status == 503 and answer.json["code"] == "cfa_ecircuit" else None

    return keys, eventually(rejected, "an open circuit")


def circuit_events(wire):
    done = subprocess.run([BINARY, "outbox", "list", "--database", wire.database, "--limit", "1000", "--json"],
                          env=environment(), capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    return " ".join(event["type"].split(".")[3] for event in json.loads(done.stdout)["events"] if ".provider." in event["type"])


def test_an_outage_opens_the_circuit_and_the_same_keys_succeed_after_it(own_wire, tmp_path):
    wire = own_wire("--circuit-failures", "2", "--circuit-open-ms", "1000", database=str(tmp_path / "book.db"))
    wire.database = str(tmp_path / "book.db")
    campaign_id = wire.server.campaign()
    keys, answer = open_circuit(wire, campaign_id)
    assert int(answer.headers["retry-after"]) >= 1
    wire.sandbox.pull("faults", outage=False)
    for key in keys:
        made = eventually(lambda key=key: (again := wire.server.pledge(campaign_id, key)).status in (200, 201) and again,
                          "the same key's success")
        assert wire.pay(made)[0] == 303
    wire.server.wait_raised(campaign_id, 2500 * len(keys))
    books = wire.sandbox.books()
    assert books["captures"] == len(keys) and books["charged_twice"] == 0
    seen = circuit_events(wire)   # one per transition: an open circuit is probed before it opens or closes again
    assert re.fullmatch(r"(unavailable probed )+available", seen), seen


def test_an_open_circuit_shows_in_the_health_of_a_server_that_is_well(own_wire):
    wire = own_wire("--circuit-failures", "2", "--circuit-open-ms", "3600000")

    def circuit():
        answer = wire.server.get("/health")
        assert answer.status == 200 and answer.json["status"] == "ok"
        return answer.json["circuit"]

    assert circuit() == {"state": "CLOSED"}
    open_circuit(wire, wire.server.campaign())
    seen = eventually(lambda: (now := circuit())["state"] == "OPEN" and now, "an open circuit in view")
    assert 0 < seen["retry_ms"] <= 3600000, seen
    assert wire.server.get("/health/ready").status == 200


def test_declines_do_not_open_the_circuit(own_wire):
    wire = own_wire("--circuit-failures", "1", "--circuit-open-ms", "3600000")
    campaign_id = wire.server.campaign()
    for _ in range(5):
        assert wire.pay(wire.server.pledge(campaign_id), DECLINED)[0] == 402
    assert wire.server.pledge(campaign_id).status == 201


def test_a_killed_server_learns_what_was_paid_meanwhile(own_wire, tmp_path):
    wire = own_wire(database=str(tmp_path / "book.db"))
    campaign_id, key = wire.server.campaign(), new_key()
    pledge = wire.server.pledge(campaign_id, key)
    wire.server.kill()
    assert wire.pay(pledge)[0] == 303
    wire.wait_missed()
    wire.start()
    again = wire.server.pledge(campaign_id, key)
    assert again.status == 200 and again.body == pledge.body
    wire.sandbox.pull("webhooks/retry")
    wire.server.wait_raised(campaign_id, 2500)
    assert wire.sandbox.books()["charged_twice"] == 0


def test_a_book_stays_with_its_provider(own_wire, tmp_path):
    wire = own_wire(database=str(tmp_path / "book.db"))
    wire.server.stop()
    done = subprocess.run([BINARY, "serve", "--database", str(tmp_path / "book.db"), "--provider", "play"], env=environment(),
                          capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "the provider" in done.stderr, done
    wire.start()


def test_no_secret_is_logged(own_wire):
    wire = own_wire()
    campaign_id = wire.server.campaign()
    pledge = wire.server.pledge(campaign_id, donor={"name": "Log Canary", "email": "log.canary@example.org"})
    wire.pay(pledge, SECURE)
    wire.pay(pledge)
    body = b'{"id": "evt_canary"}'
    post_webhook(wire, body, signed(body, "whsec_wrong"))
    wire.server.own(pledge)
    assert wire.server.stop() == 0
    for secret in (KEY, TOKEN, wire.endpoint["secret"], "anary", pledge.headers["careforall-pledge-token"],
                   re.search(r"cs_test_\w+", pledge.json["redirect_url"])[0]):
        assert secret not in wire.server.log(), secret
