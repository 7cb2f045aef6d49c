"""Settings of the example server: flags over environment over file, secrets, reloads, readiness, the service manager."""

import json
import os
import re
import signal
import socket
import subprocess

import pytest

from conftest import BINARY, DEADLINE_S, ROOT, TOKEN, Server, environment, eventually, new_key

OTHER_TOKEN = "another-service-token-of-these-tests-0001"
STRIPE_KEY = "sk_test_canary0123456789"


def run(*arguments, env=None, cwd=None):
    done = subprocess.run([BINARY, *arguments], env=env or environment(), capture_output=True, text=True,
                          timeout=DEADLINE_S, check=False, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


def write_secret(path, *lines):
    path.write_text("".join(line + "\n" for line in lines))
    path.chmod(0o600)
    return str(path)


def write_config(path, text):
    path.write_text(text)
    return str(path)


def printed(*arguments, env=None):
    """What --print-config says, as {key: (value, origin)}."""
    code, out, err = run("serve", *arguments, "--print-config", env=env)
    assert (code, err) == (0, ""), err
    return {match[1]: (match[2], match[3]) for match in re.finditer(r"^(\w+) = (.*)  # (\w+)$", out, re.MULTILINE)}


# ---- where values come from ---------------------------------------------------------------------


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path):
    config = write_config(tmp_path / "server.conf", """
# what the file says
database = from-file.db   # of all three
drain_ms = 3
requests = 3
quiet = yes
""")
    env = environment(CAREFORALL_DRAIN_MS="2", CAREFORALL_REQUESTS="2")
    found = printed("--config", config, "--requests", "1", env=env)
    assert found["requests"] == ("1", "flag")
    assert found["drain_ms"] == ("2", "environment")
    assert found["database"] == ("from-file.db", "file")
    assert found["quiet"] == ("yes", "file")
    assert found["connections"] == ("1000", "default")
    assert printed("--quiet=no", env=environment(CAREFORALL_CONFIG=config))["quiet"] == ("no", "flag")


def test_memory_and_database_from_two_places_are_no_mistake(tmp_path):
    config = write_config(tmp_path / "server.conf", f"database = {tmp_path}/book.db\n")
    assert "database" not in printed("--config", config, "--memory")
    assert printed("--database", "x.db", env=environment(CAREFORALL_MEMORY="yes"))["memory"][0] == "no"


def test_a_printed_configuration_can_be_read_again_and_has_no_secret(tmp_path):
    token = write_secret(tmp_path / "token", TOKEN)
    flags = ["--database", str(tmp_path / "book.db"), "--admin-token-file", token, "--drain-ms", "7",
             "--return-urls", "https://a.example/x https://b.example"]
    env = environment(CAREFORALL_ADMIN_TOKEN=None, CAREFORALL_STRIPE_KEY=STRIPE_KEY)
    code, out, _ = run("serve", *flags, "--print-config", env=env)
    assert code == 0
    for secret in (TOKEN, STRIPE_KEY, environment()["CAREFORALL_WEBHOOK_SECRET"]):
        assert secret not in out
    assert "CAREFORALL_STRIPE_KEY is set" in out
    config = write_config(tmp_path / "again.conf", out)
    again = printed("--config", config, env=env)
    assert again["drain_ms"] == ("7", "file")
    assert again["return_urls"] == ("https://a.example/x https://b.example", "file")
    assert run("serve", "--config", config, "--check-config", env=env)[:2] == (0, "the configuration is good\n")


# name: (the file's text, words of the message behind "FILE:LINE: ")
BAD_FILES = {
    "unknown key": ("\n\ndatabse = x\n", 3, "unknown key databse: did you mean database?"),
    "key like no other": ("colour = red\n", 1, "unknown key colour: docs/server.md"),
    "given twice": ("quiet = yes\n# then\nquiet = no\n", 3, "first in line 1"),
    "no number": ("drain_ms = soon\n", 1, "drain_ms = soon: give a whole number from 0 to 600000"),
    "number too large": ("requests = 65537\n", 1, "from 1 to 65536"),
    "no switch": ("quiet = true\n", 1, "use yes or no"),
    "no choice": ("provider = paypal\n", 1, "use none, play or stripe"),
    "empty": ("listen =\n", 1, "it is empty"),
    "a secret": (f"stripe_key = {STRIPE_KEY}\n", 1, "give stripe_key_file"),
    "a section": ("[server]\n", 1, "remove it"),
    "no equals sign": ("quiet\n", 1, "no `key = value`"),
    "quotes": ('database = "book.db"\n', 1, "remove them"),
    "a flag": ("check_config = yes\n", 1, "remove the line"),
    "another file": ("config = other.conf\n", 1, "remove the line"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_line_with_file_line_key_and_fix(tmp_path, name):
    text, line, words = BAD_FILES[name]
    path = write_config(tmp_path / "bad.conf", text)
    code, out, err = run("serve", "--memory", "--config", path)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith(f"careforall-server: {path}:{line}: ") and words in err, err
    assert STRIPE_KEY not in err


@pytest.mark.parametrize("arguments, changes, words", [
    (["--config", "none.conf"], {}, "readable file"),
    (["--config", "/"], {}, "not a regular file"),
    ([], {"CAREFORALL_REQUESTS": "many"}, "CAREFORALL_REQUESTS=many: give a whole number"),
    (["--quiet", "--quiet"], {}, "given twice"),
    (["--admin-token", "canary-on-the-command-line"], {}, "--admin-token-file"),
    (["--drain_ms", "5"], {}, "did you mean --drain-ms?"),
    (["--dran-ms", "5"], {}, "did you mean --drain-ms?"),
    (["--title", "x"], {}, "this command takes no flag --title"),
    (["more"], {}, "one word too many"),
    (["--return-urls", "ftp://a.example"], {}, "https://"),
    (["--return-urls", "https://a.example/?x=1"], {}, "no query"),
    (["--return-url", "https://user@a.example/"], {}, "user name"),
    (["--provider", "stripe"], {}, "--return-url"),
    (["--provider", "stripe", "--stripe-mode", "intent"], {}, "--stripe-key-file"),
    (["--provider", "stripe", "--stripe-mode", "intent"],
     {"CAREFORALL_STRIPE_KEY": STRIPE_KEY, "CAREFORALL_WEBHOOK_SECRET": None}, "--webhook-secret-file"),
    (["--provider", "stripe", "--stripe-mode", "intent"], {"CAREFORALL_STRIPE_KEY": "pk_test_0123456789"}, "sk_test_"),
    (["--provider", "stripe", "--stripe-base-url", "http://api.stripe.com"], {}, "on this machine"),
    (["--provider", "stripe", "--stripe-account", "me"], {}, "acct_"),
    ([], {"CAREFORALL_ADMIN_TOKEN_FILE": "x"}, "both set: unset one"),
    ([], {"CAREFORALL_ADMIN_TOKEN": "x" * 513}, "longer than 512"),
    ([], {"CAREFORALL_ADMIN_TOKEN": "x" * 31 + " y"}, "visible ASCII"),
])
def test_a_wrong_setting_is_one_line_with_the_fix(arguments, changes, words):
    code, out, err = run("serve", "--memory", *arguments, env=environment(**changes))
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert words in err, err
    assert "canary" not in err


# ---- secrets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_secret_that_others_may_read_is_refused(tmp_path, mode):
    path = write_secret(tmp_path / "token", TOKEN)
    os.chmod(path, mode)
    code, _, err = run("serve", "--memory", "--admin-token-file", path, env=environment(CAREFORALL_ADMIN_TOKEN=None))
    assert code == 2 and f"chmod 600 {path}" in err and err.count("\n") == 1, err


@pytest.mark.parametrize("lines, words", [
    ([], "is empty"), (["# nothing"], "is empty"), ([TOKEN, "short"], "line 2"), (["with space " * 4], "line 1"),
    ([f"{TOKEN}{number}" for number in range(9)], "more than 8"),
])
def test_a_bad_file_of_secrets_names_the_line_and_no_secret(tmp_path, lines, words):
    path = write_secret(tmp_path / "token", *lines)
    code, _, err = run("serve", "--memory", "--admin-token-file", path, env=environment(CAREFORALL_ADMIN_TOKEN=None))
    assert code == 2 and words in err and err.count("\n") == 1, err
    assert TOKEN not in err and "with space" not in err


def test_checking_reads_secrets_and_makes_nothing(tmp_path):
    book = tmp_path / "book.db"
    flags = ["serve", "--database", str(book), "--check-config"]
    assert run(*flags)[:2] == (0, "the configuration is good\n")
    assert list(tmp_path.iterdir()) == []
    code, out, err = run(*flags, "--pledge-token-key-file", str(tmp_path / "none"))
    assert (code, out) == (2, "") and "key of pledge tokens" in err
    code, out, err = run(*flags, "--listen", "no-such-host.invalid:1")
    assert (code, out) == (2, "") and "no such address" in err


def authorized(server, token):
    return server.get("/api/v1/campaigns/cmp_01h455vb4pex5vsknk084sn02q",
                      headers={"Authorization": f"Bearer {token}"}).status != 401


def logged(server, event):
    return [line for line in map(json.loads, server.log().splitlines()) if line["event"] == event]


def test_service_tokens_roll_without_a_restart(tmp_path, start):
    path = tmp_path / "tokens"
    write_secret(path, TOKEN)
    server = start("--memory", "--admin-token-file", str(path), env=environment(CAREFORALL_ADMIN_TOKEN=None))
    assert authorized(server, TOKEN) and not authorized(server, OTHER_TOKEN)

    write_secret(path, "# both count while clients change over", OTHER_TOKEN, TOKEN)
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: authorized(server, OTHER_TOKEN), "the new token")
    assert authorized(server, TOKEN)

    write_secret(path, OTHER_TOKEN)
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: not authorized(server, TOKEN), "the old token's end")
    assert authorized(server, OTHER_TOKEN)
    assert len(logged(server, "secrets_rolled")) == 2
    assert TOKEN not in server.log() and OTHER_TOKEN not in server.log()


def test_a_bad_new_secret_keeps_the_old_one(tmp_path, start):
    path = tmp_path / "tokens"
    write_secret(path, TOKEN)
    server = start("--memory", "--admin-token-file", str(path), env=environment(CAREFORALL_ADMIN_TOKEN=None))
    for number, spoil in enumerate([lambda: write_secret(path, "short"), lambda: path.chmod(0o644), path.unlink], 1):
        spoil()
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: len(logged(server, "secrets_kept")) == number, "a line in the log")
        assert authorized(server, TOKEN)
    assert "check the path" in logged(server, "secrets_kept")[-1]["text"]


def test_a_reload_drops_no_request(tmp_path, start):
    path = tmp_path / "tokens"
    write_secret(path, TOKEN)
    server = start("--memory", "--admin-token-file", str(path), env=environment(CAREFORALL_ADMIN_TOKEN=None))
    campaign_id = server.campaign()
    for _ in range(50):
        server.process.send_signal(signal.SIGHUP)
        assert server.pledge(campaign_id).status == 201
    eventually(lambda: logged(server, "secrets_rolled"), "a reload")


# ---- the pledge's token -------------------------------------------------------------------------


def read_pledge(server, pledge_id, *tokens):
    lines = "".join(f"Careforall-Pledge-Token: {token}\r\n" for token in tokens)
    answer = server.raw(f"GET /api/v1/pledges/{pledge_id} HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n".encode())
    return int(answer.split()[1])


def test_only_the_right_token_shows_a_pledge(shared):
    campaign_id, key = shared.campaign(), new_key()
    pledge, other = shared.pledge(campaign_id, key), shared.pledge(campaign_id)
    pledge_id, token = pledge.json["id"], pledge.headers["careforall-pledge-token"]
    assert re.fullmatch(r"plt_[A-Za-z0-9_-]{43}", token)
    assert shared.pledge(campaign_id, key).headers["careforall-pledge-token"] == token
    assert token not in pledge.body.decode()
    assert read_pledge(shared, pledge_id, token) == 200
    flipped = token[:-1] + ("A" if token[-1] != "A" else "E")
    for wrong in ([], [other.headers["careforall-pledge-token"]], [flipped], [token[:-1]], [token + "A"], [""],
                  [token.upper()], [token, token]):
        assert read_pledge(shared, pledge_id, *wrong) == 404, wrong
    assert read_pledge(shared, other.json["id"], token) == 404


def test_the_key_of_pledge_tokens_is_made_once_beside_the_book(tmp_path, start):
    book = tmp_path / "book.db"
    key = tmp_path / "book.db.token-key"
    server = start("--database", str(book))
    pledge = server.pledge(server.campaign())
    assert key.stat().st_mode & 0o777 == 0o600
    made = key.read_bytes()
    server.stop()
    server = start("--database", str(book))
    assert server.own(pledge).status == 200 and key.read_bytes() == made


def test_keys_of_pledge_tokens_roll(tmp_path, start):
    first, second = "k" * 40, "l" * 40
    path = tmp_path / "keys"
    write_secret(path, first)
    server = start("--memory", "--pledge-token-key-file", str(path))
    campaign_id = server.campaign()
    old = server.pledge(campaign_id)
    write_secret(path, second, first)
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: logged(server, "secrets_rolled"), "a reload")
    new = server.pledge(campaign_id)
    assert server.own(old).status == server.own(new).status == 200
    write_secret(path, second)
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(logged(server, "secrets_rolled")) == 2, "a second reload")
    assert (server.own(old).status, server.own(new).status) == (404, 200)


# ---- return URLs --------------------------------------------------------------------------------

ALLOWED = "https://give.example/thanks http://127.0.0.1:3000 https://shop.example:8443/a/"


@pytest.fixture(scope="module")
def hosted():
    server = Server("--memory", "--return-urls", ALLOWED, "--return-url", "https://standard.example/done?x=1")
    server.id = server.campaign()
    yield server
    assert server.stop() == 0, server.log()


@pytest.mark.parametrize("url", [
    "https://give.example/thanks", "https://give.example/thanks/", "https://give.example/thanks/you?a=b#c",
    "https://give.example/thanks?session={CHECKOUT_SESSION_ID}", "https://GIVE.example:443/thanks",
    "http://127.0.0.1:3000", "http://127.0.0.1:3000/any/where", "https://shop.example:8443/a", "https://shop.example:8443/a/b",
    "https://standard.example/done?x=1",
])
def test_an_allowed_return_url_passes(hosted, url):
    assert hosted.pledge(hosted.id, return_url=url, cancel_url=url).status == 201


@pytest.mark.parametrize("url", [
    "https://give.example/thanksgiving", "https://give.example/", "http://give.example/thanks", "https://give.example:444/thanks",
    "https://give.example.evil.example/thanks", "https://evil.example/https://give.example/thanks", "//give.example/thanks",
    "https://give.example@evil.example/thanks", "https://give.example\\@evil.example/thanks", "https:/give.example/thanks",
    "https://give.example/thanks/../admin", "https://give.example/thanks/%2e%2E/admin", "https://give.example/thanks/.%2e/x",
    "https://give.example/thanks%2f..%2fadmin", "https://give.example/thanks/./x", "https://give.example:0443/thanks/../x",
    "https://give.example:/thanks", "https://give.example:99999/thanks", "https://give.example/thanks\t", "https://give.example /thanks",
    "javascript:alert(1)", "https://", "", "http://127.0.0.1:3001/", "http://127.0.0.1/", "https://standard.example/done?x=2",
    "https://standard.example/done", "HTTPS://give.example/thanks", "https://give.example./thanks", "https://gìve.example/thanks", "https://[::1/thanks",
])
@pytest.mark.parametrize("field", ["return_url", "cancel_url"])
def test_another_return_url_is_refused_by_its_field(hosted, url, field):
    before = hosted.totals(hosted.id)["currencies"][0]["pledged_minor"]
    answer = hosted.pledge(hosted.id, **{field: url})
    assert (answer.status, answer.json.get("field")) == (422, field), answer
    assert url == "" or url not in answer.json["detail"]
    assert hosted.totals(hosted.id)["currencies"][0]["pledged_minor"] == before


def test_without_a_list_every_return_url_is_refused(shared):
    answer = shared.pledge(shared.campaign(), return_url="https://give.example/")
    assert (answer.status, answer.json["field"]) == (422, "return_url")


# ---- readiness and the service manager ----------------------------------------------------------


def test_readiness_ends_before_answers_do(tmp_path, start):
    server = start("--database", str(tmp_path / "book.db"), "--drain-delay-ms", "60000")
    assert server.get("/health/ready").json == {"status": "ready"}
    campaign_id = server.campaign()
    server.process.send_signal(signal.SIGTERM)
    eventually(lambda: server.get("/health/ready").status == 503, "not ready any more")
    assert server.get("/health/ready").json == {"status": "draining"}
    assert server.pledge(campaign_id).status == 201
    server.process.send_signal(signal.SIGTERM)   # the second one does not wait
    server.process.wait(DEADLINE_S)


def test_an_unreachable_book_is_not_ready(tmp_path, start):
    path = tmp_path / "book.db"
    server = start("--database", str(path))
    server.campaign()
    for suffix in ("", "-wal", "-shm"):   # in place: the server has them open, and one mapped
        with open(f"{path}{suffix}", "r+b") as file:
            file.write(b"\xa5" * os.fstat(file.fileno()).st_size)
    eventually(lambda: server.get("/health/ready").status == 503, "not ready")
    assert server.get("/health/ready").json == {"status": "unreachable"}
    server.kill()


class Manager:
    """Stands where the service manager stands: a datagram socket, and a listening one to pass on."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.path)
        self.notify.settimeout(DEADLINE_S)
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)

    def said(self, wanted):
        """Read until a message that begins so."""
        while True:
            message = self.notify.recv(4096).decode()
            if message.startswith(wanted):
                return message

    def start(self, *flags, env=None, count=1, passed=None):
        """The first passed descriptor is 3, and the variables name the process that may take it."""
        descriptor = (passed or self.listener).fileno()
        return subprocess.Popen(["sh", "-c", f'LISTEN_PID=$$ LISTEN_FDS={count} exec "$0" "$@"', BINARY, "serve", *flags],
                                pass_fds=[3], preexec_fn=lambda: os.dup2(descriptor, 3),
                                env=environment(NOTIFY_SOCKET=self.path, **(env or {})),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def close(self):
        self.notify.close()
        self.listener.close()


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path)
    yield made
    made.close()


def test_a_passed_socket_is_used_and_the_manager_is_told(manager, tmp_path):
    token = write_secret(tmp_path / "token", TOKEN)
    process = manager.start("--memory", "--listen", "192.0.2.1:1", "--admin-token-file", token,
                            env={"WATCHDOG_USEC": "200000", "CAREFORALL_ADMIN_TOKEN": None})
    try:
        manager.said("READY=1")
        host, port = manager.listener.getsockname()
        assert process.stdout.readline() == f"listening on http://{host}:{port}\n"
        with socket.create_connection((host, port), timeout=DEADLINE_S) as peer:
            peer.sendall(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert peer.recv(4096).startswith(b"HTTP/1.1 200")
        manager.said("WATCHDOG=1")
        process.send_signal(signal.SIGHUP)
        assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", manager.said("RELOADING=1"))
        manager.said("READY=1")
        process.send_signal(signal.SIGTERM)
        manager.said("STOPPING=1")
        _, errors = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, errors
    finally:
        process.kill()
        process.communicate()


def test_a_wrongly_passed_socket_is_named(manager):
    with open(os.devnull) as nothing, socket.socket() as deaf:
        for words, more in (("one ListenStream", {"count": 2}), ("listening TCP socket", {"passed": nothing}),
                            ("listening TCP socket", {"passed": deaf}),
                            ("listening TCP socket", {"passed": manager.notify})):
            process = manager.start("--memory", **more)
            out, err = process.communicate(timeout=DEADLINE_S)
            assert (process.returncode, out, err.count("\n")) == (1, "", 1) and words in err, err


def test_sockets_passed_to_another_process_are_left_alone(start):
    server = start("--memory", env=environment(LISTEN_PID="1", LISTEN_FDS="1"))
    assert server.get("/health/ready").status == 200


def test_the_units_are_sound():
    folder = ROOT / "examples" / "systemd"
    unit = (folder / "careforall-server.service").read_text()
    for line in ("Type=notify", "NoNewPrivileges=yes", "ProtectSystem=strict", "WatchdogSec=", "ExecReload="):
        assert line in unit
    try:
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(folder / "careforall-server.service"),
                               str(folder / "careforall-server.socket")], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no systemd-analyze here")
    complaints = [line for line in done.stderr.splitlines()
                  if "careforall" in line and "is not executable" not in line and "not found" not in line]
    assert complaints == []


# ---- the documentation --------------------------------------------------------------------------


def test_every_setting_is_documented_and_no_other():
    code, out, _ = run("serve", "--help")
    assert code == 0
    helped = {flag.replace("-", "_") for flag in re.findall(r"^  --([a-z-]+)", out, re.MULTILINE)}
    document = (ROOT / "docs" / "server.md").read_text()
    table = re.search(r"## Settings\n(.*?)\n## ", document, re.DOTALL)[1]
    documented = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert documented == helped
