"""The hosted page, as a donor without scripts and as a donor in headless Chromium."""

import http.server
import re
import shutil
import subprocess
import threading
import urllib.parse

import pytest

from sandbox_support import box, eventually, start  # noqa: F401

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def submit(box, session, number="4242 4242 4242 4242", expiry="12 / 34", cvc="123"):
    body = urllib.parse.urlencode({"number": number, "expiry": expiry, "cvc": cvc})
    return box.request("POST", f"/pay/{session['id']}", body, key=None)


def row(box, line):
    return box.panel(f"payments/{line}")


def test_the_page_shows_amount_form_and_ways_back(box):
    session = box.session("show", submit_type="donate")
    answer = box.request("GET", f"/pay/{session['id']}", key=None)
    page = answer.body.decode()
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/html")
    assert "script" not in page and "default-src 'none'" in answer.headers["content-security-policy"]
    assert "Donate 25.00 EUR" in page and "Clean &lt;water&gt;" in page and 'lang="en"' in page
    for field in ("number", "expiry", "cvc"):
        assert f'<label for="{field}">' in page and f'id="{field}"' in page
    assert 'href="http://127.0.0.1:9/back"' in page
    assert box.request("GET", "/pay/cs_test_nothing", key=None).status == 404


def test_a_card_pays_and_goes_to_the_success_page(box):
    session = box.session("pays")
    answer = submit(box, session)
    assert answer.status == 303
    assert answer.headers["location"] == f"http://127.0.0.1:9/thanks?s={session['id']}"
    assert row(box, "pays")["captures"] == 1


def test_submitting_twice_charges_once(box):
    session = box.session("twice")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(submit(box, session))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.headers["location"] for answer in answers} == {f"http://127.0.0.1:9/thanks?s={session['id']}"}
    assert (row(box, "twice")["captures"], row(box, "twice")["intents"]) == (1, 1)


def test_a_declined_donor_tries_again_on_the_same_page(box):
    session = box.session("again")
    declined = submit(box, session, "4000 0000 0000 9995")
    assert declined.status == 402 and b'role="alert"' in declined.body
    assert b"insufficient funds" in declined.body
    assert b"insufficient funds" in box.request("GET", f"/pay/{session['id']}", key=None).body
    assert submit(box, session).status == 303
    assert (row(box, "again")["declines"], row(box, "again")["captures"]) == (1, 1)


@pytest.mark.parametrize("change,words", [
    ({"number": "4242424242424241"}, "card number is incorrect"), ({"number": ""}, "card number is incorrect"),
    ({"expiry": "13/34"}, "month is invalid"), ({"expiry": "12/20"}, "in the past"),
    ({"expiry": ""}, "month is invalid"), ({"cvc": "1"}, "security code is invalid"),
    ({"number": "4000056655665564"}, "test cards"), ({"number": "<script>"}, "card number is incorrect")])
def test_a_wrong_form_is_explained_and_takes_nothing(box, change, words):
    session = box.session("wrong")
    answer = submit(box, session, **change)
    assert answer.status == 402 and words in answer.body.decode() and b"<script>" not in answer.body
    assert box.get(f"/v1/checkout/sessions/{session['id']}")["payment_intent"] is None


@pytest.mark.parametrize("result,captures", [("pass", 1), ("fail", 0)])
def test_three_d_secure_has_a_page_of_its_own(box, result, captures):
    session = box.session(f"bank-{result}")
    bank = submit(box, session, "4000002500003155").headers["location"]
    assert re.fullmatch(r"/pay/pi_\w+/authenticate", bank)
    assert box.request("GET", f"/pay/{session['id']}", key=None).headers["location"] == bank
    assert b"25.00 EUR" in box.request("GET", bank, key=None).body
    away = box.request("POST", bank, f"result={result}", key=None).headers["location"]
    assert away == (f"http://127.0.0.1:9/thanks?s={session['id']}" if captures else f"/pay/{session['id']}")
    assert row(box, f"bank-{result}")["captures"] == captures
    if not captures:
        assert b"failed authentication" in box.request("GET", away, key=None).body
        assert submit(box, session).status == 303


def test_an_expired_session_refuses_what_the_bank_says(box):
    session = box.session("late")
    bank = submit(box, session, "4000002500003155").headers["location"]
    assert box.post(f"/v1/checkout/sessions/{session['id']}/expire")["status"] == "expired"
    away = box.request("POST", bank, "result=pass", key=None).headers["location"]
    assert away == f"/pay/{session['id']}" and box.request("GET", away, key=None).status == 410
    assert row(box, "late")["captures"] == 0


def test_card_numbers_are_kept_nowhere(tmp_path, start):
    books = tmp_path / "books.db"
    box = start("--books", str(books))
    session = box.session("secret")
    submit(box, session, "4000 0000 0000 9995")
    submit(box, session, "4242-4242-4242-4242")
    box.paid("api", idempotency_key="k", payment_method_data={
        "type": "card", "card": {"number": "5555555555554444", "exp_month": 12, "exp_year": 2034, "cvc": "123"}})
    method = box.post("/v1/payment_methods", "k2", type="card", card={
        "number": "378282246310005", "exp_month": 12, "exp_year": 2034})
    assert method["card"]["last4"] == "0005"
    assert box.stop() == 0
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert len(stored) > 10000
    for number in (b"4000000000009995", b"4000 0000 0000 9995", b"4242424242424242", b"4242-4242",
                   b"5555555555554444", b"378282246310005"):
        assert number not in stored


# ---- in a browser ---------------------------------------------------------------------------------

class Thanks:
    """The shop's own pages: serves a form that the browser submits by itself, and the page after."""

    def __init__(self, action):
        outer = self
        outer.seen = []
        form = ("<form id=f method=post action='{}'><input name=number value='4242 4242 4242 4242'>"
                "<input name=expiry value='12/34'><input name=cvc value=123></form>"
                "<script>document.getElementById('f').submit()</script>")

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.seen.append(self.path)
                page = form.format(action(self.path)) if self.path.startswith("/go") else "<h1>Thank you</h1>"
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(page.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()


def chromium(scratch, url, *more):
    return subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                           "--disable-background-networking", "--disable-component-update", "--disable-sync",
                           f"--user-data-dir={scratch}", "--virtual-time-budget=5000", *more, "--dump-dom", url],
                          capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium here")
def test_chromium_shows_the_page_and_pays(box, tmp_path):
    session = box.session("seen")
    page = chromium(tmp_path / "profile", session["url"]).stdout
    assert "25.00 EUR" in page and 'id="pay"' in page
    thanks = Thanks(lambda _: box.get(f"/v1/checkout/sessions/{paid['id']}")["url"])
    paid = box.post("/v1/checkout/sessions", mode="payment", line_items=[
        {"quantity": 1, "price_data": {"currency": "eur", "unit_amount": 900, "product_data": {"name": "Gift"}}}],
        success_url=f"{thanks.url}/thanks?s={{CHECKOUT_SESSION_ID}}", metadata={"payment_id": "browser"})
    page = chromium(tmp_path / "profile", f"{thanks.url}/go").stdout
    eventually(lambda: f"/thanks?s={paid['id']}" in thanks.seen, "the donor back at the shop")
    assert "Thank you" in page and row(box, "browser")["captures"] == 1
    thanks.server.shutdown()
    thanks.server.server_close()
