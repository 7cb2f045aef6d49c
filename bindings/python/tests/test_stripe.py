"""Donations over real wires: the Stripe provider against careforall-sandbox, with its signed webhooks.

$CAREFORALL_SANDBOX names that program's binary."""

import http.client
import http.server
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import PATIENCE_S

import careforall
from careforall import (CareForAllError, CircuitOpenError, CircuitRule, Engine, InvalidError, Money, PaymentState,
                        PermanentError, WebhookVerdict, new_key)

try:
    from careforall.stripe import StripeProvider
except ImportError as error:
    pytest.skip(str(error), allow_module_level=True)

SANDBOX = os.environ.get("CAREFORALL_SANDBOX")
KEY, SECRET = "sk_test_of_these_tests", "whsec_of_these_tests"
AMOUNT = Money(2500, "EUR")
PAGES = {"return_url": "https://give.example/thanks", "cancel_url": "https://give.example/back"}

needs_sandbox = pytest.mark.skipif(not SANDBOX, reason="CAREFORALL_SANDBOX does not name careforall-sandbox")


def eventually(check):
    end = time.monotonic() + PATIENCE_S
    while not (value := check()):
        assert time.monotonic() < end
        select.select([], [], [], 0.01)
    return value


class Sandbox:
    """The provider as a process, and a receiver of its webhooks in this one."""

    def __init__(self):
        self.engine, self.webhooks, self.verdicts = None, [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                signature = self.headers["Stripe-Signature"].encode()
                try:
                    outer.verdicts.append(outer.engine.receive_webhook(signature, body))
                    outer.webhooks.append((signature, body))
                    self.send_response(200)
                except CareForAllError:   # a late one: its secret was rolled, or the engine is closed
                    self.send_response(503)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.receiver.serve_forever, args=(0.01,))
        self.thread.start()
        self.process = subprocess.Popen(
            [SANDBOX, "--listen", "127.0.0.1:0", "--quiet", "--async-ms", "20", "--secret-key", KEY,
             "--webhook", f"http://127.0.0.1:{self.receiver.server_port}/", "--webhook-secret", SECRET],
            stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert "http://" in line, f"the sandbox ended: {self.process.wait()}"
        self.url = line.split()[-1]

    def panel(self, lever, **wanted):
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=PATIENCE_S)
        try:
            connection.request("POST" if wanted else "GET", f"/_sandbox/{lever}",
                               json.dumps(wanted) if wanted else None)
            response = connection.getresponse()
            answer = json.loads(response.read())
            assert response.status == 200, answer
            return answer
        finally:
            connection.close()

    def pay(self, pledge, method="pm_card_visa"):
        """What the donor does on the page."""
        self.panel("pay", payment_id=pledge.payment_id, payment_method=method)

    def provider(self, **options):
        return StripeProvider(secret_key=KEY, webhook_secrets=[SECRET], base_url=self.url, **options)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(PATIENCE_S) == 0
        self.process.stdout.close()
        self.receiver.shutdown()
        self.thread.join()
        self.receiver.server_close()


@pytest.fixture
def sandbox():
    started = Sandbox()
    yield started
    started.stop()


def opened(sandbox, path, provider, **options):
    sandbox.engine = Engine.sqlite(path / "book.db", provider=provider, livemode=provider.livemode, **options)
    return sandbox.engine


@needs_sandbox
@pytest.mark.parametrize("mode", ["checkout", "intent"])
def test_a_donation_with_a_double_click_is_paid_once(sandbox, tmp_path, mode):
    with opened(sandbox, tmp_path, sandbox.provider(mode=mode)) as engine:
        campaign = engine.create_campaign("Clean water", "EUR")
        key, barrier = new_key(), threading.Barrier(10)

        def click(_):
            barrier.wait()
            return engine.create_pledge(campaign.id, AMOUNT, key=key, **PAGES)

        with ThreadPoolExecutor(10) as pool:
            pledges = list(pool.map(click, range(10)))
        pledge = pledges[0]
        assert len({(each.id, each.answer, each.redirect_url, each.client_secret) for each in pledges}) == 1
        assert sum(not each.replayed for each in pledges) == 1
        if mode == "checkout":
            assert pledge.redirect_url.startswith(sandbox.url)
        else:
            assert pledge.client_secret.startswith("pi_") and pledge.redirect_url is None

        sandbox.pay(pledge)
        eventually(lambda: engine.payment(pledge.payment_id).state == PaymentState.COMPLETED)
        payment = engine.payment(pledge.payment_id)
        assert payment.captured == AMOUNT and payment.ref.startswith("pi_")
        assert engine.totals(campaign.id, at_least=payment.position)["EUR"].raised == AMOUNT
        books = sandbox.panel(f"payments/{pledge.payment_id}")
        assert (books["charges"], books["captured"]) == (1, 2500)
        assert sandbox.panel("books")["charged_twice"] == 0


@needs_sandbox
def test_webhooks_are_verified_with_secrets_that_can_be_rolled(sandbox, tmp_path):
    provider = sandbox.provider()
    with opened(sandbox, tmp_path, provider) as engine:
        campaign = engine.create_campaign("Clean water", "EUR")
        pledge = engine.create_pledge(campaign.id, AMOUNT, **PAGES)
        sandbox.pay(pledge)
        eventually(lambda: engine.payment(pledge.payment_id).state == PaymentState.COMPLETED and sandbox.webhooks)
        assert set(sandbox.verdicts) <= {WebhookVerdict.APPLIED, WebhookVerdict.PARKED, WebhookVerdict.STALE}
        signature, body = sandbox.webhooks[0]
        assert engine.receive_webhook(signature, body) == WebhookVerdict.DUPLICATE

        def refused(signature, body):
            with pytest.raises(PermanentError) as caught:
                engine.receive_webhook(signature, body)
            return caught.value.name == "CFA_ESIGNATURE"

        assert refused(signature, body + b" ") and refused(b"", body)
        provider.set_secrets(webhook_secrets=["whsec_of_tomorrow", SECRET])
        assert engine.receive_webhook(signature, body) == WebhookVerdict.DUPLICATE
        provider.set_secrets(webhook_secrets=["whsec_of_tomorrow"])
        assert refused(signature, body)


@needs_sandbox
def test_an_api_key_can_be_rolled_while_a_pledge_waits(sandbox, tmp_path):
    provider = sandbox.provider()
    provider.set_secrets(secret_key="sk_test_revoked")
    with pytest.raises(PermanentError) as caught:
        provider.set_secrets(secret_key="sk_live_of_the_other_mode")
    assert caught.value.name == "CFA_EMODE"
    with opened(sandbox, tmp_path, provider) as engine:
        campaign = engine.create_campaign("Clean water", "EUR")
        key = new_key()
        assert engine.create_pledge(campaign.id, AMOUNT, key=key, timeout=0.3, **PAGES).pending
        provider.set_secrets(secret_key=KEY)
        pledge = eventually(
            lambda: (made := engine.create_pledge(campaign.id, AMOUNT, key=key, **PAGES)).redirect_url and made)
        assert pledge.replayed and sandbox.panel(f"payments/{pledge.payment_id}")["sessions"] == 1


@needs_sandbox
def test_an_open_circuit_says_when_to_come_back(sandbox, tmp_path):
    with opened(sandbox, tmp_path, sandbox.provider(), circuit_rule=CircuitRule.REJECT, circuit_failures=1,
                circuit_open=1, calls_in_flight=8) as engine:
        campaign = engine.create_campaign("Clean water", "EUR")
        sandbox.panel("faults", outage=True)

        def refusal():
            try:
                assert engine.create_pledge(campaign.id, AMOUNT, timeout=0.2, **PAGES).pending
            except CircuitOpenError as error:
                return error

        error = eventually(refusal)
        assert error.name == "CFA_ECIRCUIT" and error.key and error.retryable
        assert 0 < error.retry_after <= 1
        sandbox.panel("faults", clear=True)

        def again():
            try:
                return engine.create_pledge(campaign.id, AMOUNT, key=error.key, **PAGES).redirect_url
            except CircuitOpenError:
                return None

        assert eventually(again).startswith(sandbox.url)


def test_options_are_checked_by_name():
    def refused(**options):
        with pytest.raises(InvalidError) as caught:
            StripeProvider(**{"secret_key": KEY, "webhook_secrets": [SECRET], **options})
        assert KEY not in str(caught.value) and SECRET not in str(caught.value)
        return caught.value.field

    assert refused(secret_key="pk_test_published") == "secret_key"
    assert refused(webhook_secrets=[]) == "webhook_secrets"
    assert refused(webhook_secrets=[SECRET] * 9) == "webhook_secrets"
    assert refused(webhook_secrets=[SECRET + "\0"]) == "webhook_secrets"
    assert refused(base_url="http://give.example") == "base_url"
    assert refused(mode="cash") == "mode"
    for secrets in (SECRET, [SECRET.encode()], None):
        with pytest.raises(TypeError):
            StripeProvider(secret_key=KEY, webhook_secrets=secrets)


def test_the_mode_is_read_from_the_key():
    assert not StripeProvider(secret_key=KEY, webhook_secrets=[SECRET]).livemode
    assert StripeProvider(secret_key="rk_live_of_these_tests", webhook_secrets=(SECRET,)).livemode


def test_a_provider_serves_one_engine_at_a_time(tmp_path):
    provider = StripeProvider(secret_key=KEY, webhook_secrets=[SECRET])
    with Engine.memory(provider=provider) as engine:
        with pytest.raises(InvalidError) as caught:
            Engine.memory(provider=provider)
        assert (caught.value.name, caught.value.field) == ("CFA_EMISUSE", "provider")
        with pytest.raises(TypeError):
            engine.serve_provider()
    with pytest.raises(CareForAllError):
        Engine.sqlite(tmp_path / "missing" / "book.db", provider=provider)
    Engine.memory(provider=provider).close()


def test_everything_else_works_where_the_library_is_absent(tmp_path):
    package = pathlib.Path(careforall.__file__).parent
    shutil.copytree(package, tmp_path / "careforall", ignore=shutil.ignore_patterns("*stripe_native*", "__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", "import careforall; careforall.Engine.memory().close(); import careforall.stripe"],
        capture_output=True, text=True, timeout=PATIENCE_S, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 1 and "ImportError: careforall.stripe needs libcareforall-stripe" in done.stderr
