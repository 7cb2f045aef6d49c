"""A donation in headless Chromium: the server's redirect, the provider's page, the bank's page, back at the shop, the totals.

A screenshot is kept, and named, only when a test fails.
"""

import http.server
import os
import pathlib
import shutil
import threading

import pytest

from e2e_support import DEADLINE_S, ROOT, Wire, eventually

webdriver = pytest.importorskip("selenium.webdriver")
# pylint: disable=wrong-import-position
from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with its driver here")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=900,900")
DECLINED, SECURE, GOOD = "4000 0000 0000 0002", "4000 0025 0000 3155", "4242 4242 4242 4242"


class Shop:
    """Where donors come back to."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                page = b"<!doctype html><title>Shop</title><h1 id=shop>Welcome back</h1>"
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Browser:
    def __init__(self, profile):
        options = Options()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        self.driver.set_page_load_timeout(DEADLINE_S)

    def see(self, element_id):
        return WebDriverWait(self.driver, DEADLINE_S, 0.02).until(lambda driver: driver.find_elements(By.ID, element_id))[0]

    def click(self, element_id):
        self.see(element_id).click()

    def pay(self, number):
        for field, text in (("number", number), ("expiry", "12 / 34"), ("cvc", "123")):
            self.see(field).clear()
            self.see(field).send_keys(text)
        self.click("pay")


def kept_screenshot(name):
    folder = pathlib.Path(os.environ.get("CAREFORALL_SCREENSHOTS", ROOT / "build" / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.png"


@pytest.fixture
def browser(request, tmp_path):
    made = Browser(tmp_path / "profile")
    failed = request.session.testsfailed
    yield made
    try:
        if request.session.testsfailed > failed:
            path = kept_screenshot(request.node.name)
            made.driver.save_screenshot(str(path))
            print(f"what the browser showed at {made.driver.current_url}: {path}")
    finally:
        made.driver.quit()


@pytest.fixture(scope="module")
def shop():
    made = Shop()
    yield made
    made.close()


@pytest.fixture(scope="module")
def wire(shop, tmp_path_factory):
    made = Wire(tmp_path_factory.mktemp("wire"), "--return-urls", f"{shop.url}/give", "--cancel-url", f"{shop.url}/give/back",
                thanks=False)
    yield made
    made.close()


def pledge_of(wire, shop, **more):
    campaign_id = wire.server.campaign()
    pledge = wire.server.pledge(campaign_id, return_url=f"{shop.url}/give/thanks?cart=7", **more)
    assert pledge.status == 201, pledge
    return campaign_id, pledge


def test_a_declined_card_then_one_with_three_d_secure(wire, shop, browser):
    campaign_id, pledge = pledge_of(wire, shop, donor={"name": "Ada"})
    browser.driver.get(pledge.json["redirect_url"])
    assert browser.see("amount").text == "25.00 EUR"
    browser.pay(DECLINED)
    assert "declined" in browser.see("problem").text
    browser.pay(SECURE)
    assert browser.see("pass") and wire.server.totals(campaign_id)["currencies"][0]["raised_minor"] == 0
    browser.click("pass")
    assert browser.see("shop").text == "Welcome back"
    assert browser.driver.current_url == f"{shop.url}/give/thanks?cart=7"
    totals = wire.server.wait_raised(campaign_id, 2500)["currencies"][0]
    assert (totals["donation_count"], totals["pledged_minor"], totals["net_minor"]) == (1, 0, 2500)
    assert wire.server.own(pledge).json["state"] == "COMPLETED"
    # Back to the page that is paid already: it leads to the shop again and takes nothing.
    browser.driver.get(pledge.json["redirect_url"])
    assert browser.see("shop") and browser.driver.current_url == f"{shop.url}/give/thanks?cart=7"
    assert wire.sandbox.books()["charged_twice"] == 0


def test_a_bank_that_says_no_leads_back_to_the_page_for_another_card(wire, shop, browser):
    campaign_id, pledge = pledge_of(wire, shop)
    browser.driver.get(pledge.json["redirect_url"])
    browser.pay(SECURE)
    browser.click("fail")
    assert "authentication" in browser.see("problem").text
    browser.pay(GOOD)
    assert browser.see("shop").text == "Welcome back"
    assert wire.server.wait_raised(campaign_id, 2500)["currencies"][0]["donation_count"] == 1


def test_a_donor_who_turns_back_has_given_nothing_and_may_come_again(wire, shop, browser):
    campaign_id, pledge = pledge_of(wire, shop)
    browser.driver.get(pledge.json["redirect_url"])
    browser.click("cancel")
    assert browser.see("shop") and browser.driver.current_url == f"{shop.url}/give/back"
    assert wire.server.totals(campaign_id)["currencies"][0]["raised_minor"] == 0
    browser.driver.get(pledge.json["redirect_url"])
    browser.pay(GOOD)
    assert browser.see("shop")
    wire.server.wait_raised(campaign_id, 2500)


def test_two_tabs_of_one_click_are_one_donation(wire, shop, browser):
    campaign_id, pledge = pledge_of(wire, shop)
    tabs = [browser.driver.current_window_handle]
    browser.driver.switch_to.new_window("tab")
    tabs.append(browser.driver.current_window_handle)
    for tab in tabs:
        browser.driver.switch_to.window(tab)
        browser.driver.get(pledge.json["redirect_url"])
        assert browser.see("amount").text == "25.00 EUR"
    for tab in tabs:
        browser.driver.switch_to.window(tab)
        browser.pay(GOOD)
        assert browser.see("shop")
    totals = wire.server.wait_raised(campaign_id, 2500)["currencies"][0]
    assert totals["donation_count"] == 1
    books = eventually(lambda: wire.sandbox.books()["deliveries"]["due"] == 0 and wire.sandbox.books(), "all webhooks")
    assert books["charged_twice"] == 0 and wire.server.totals(campaign_id)["currencies"][0]["raised_minor"] == 2500
