"""The commands of the example server beside serve: they share its book, also while it is running."""

import json
import os
import re
import subprocess
import uuid

import pytest

from conftest import BINARY, DEADLINE_S, environment, eventually

CAMPAIGN_ID = r"cmp_[0-7][0-9a-hjkmnp-tv-z]{25}"


def run(*arguments, env=None, cwd=None):
    done = subprocess.run([BINARY, *arguments], env=env or environment(), capture_output=True, text=True,
                          timeout=DEADLINE_S, check=False, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def book(tmp_path):
    """Runs a command on a book of the test's own."""
    path = str(tmp_path / "book.db")

    def command(*arguments, want=0):
        code, out, err = run(*arguments, "--database", path)
        assert code == want, (code, out, err)
        assert err == "" if want == 0 else err.count("\n") == 1 and out == "", (out, err)
        return out if want == 0 else err

    command.path = path
    return command


def create(book, *more):
    return book("campaign", "create", "--title", "Clean water", "--currencies", "EUR,USD", *more)


def test_a_campaign_from_its_making_to_its_end(book):
    campaign_id = create(book, "--goal", "10000.00 EUR", "--deadline", "2999-12-31T23:59:59Z", "--late-rule", "refuse").strip()
    assert re.fullmatch(CAMPAIGN_ID, campaign_id)
    assert book("campaign", "list") == f"{campaign_id}\tOPEN\tEUR,USD\tClean water\n"
    shown = book("campaign", "show", campaign_id)
    for line in ("title       Clean water", "goal        10000.00 EUR", "deadline    2999-12-31T23:59:59.000000Z",
                 "raised      0.00 EUR (net 0.00 EUR) from 0 donations"):
        assert line in shown.splitlines(), shown
    assert book("campaign", "end", campaign_id) == f"{campaign_id} ENDED\n"
    assert book("campaign", "end", campaign_id) == f"{campaign_id} ENDED\n"


def test_json_is_what_http_answers(book, start):
    made = json.loads(create(book, "--goal", "1.00 USD", "--late-rule", "hold", "--json"))
    assert made["goal"] == {"minor": 100, "currency": "USD"}
    assert (made["state"], made["late_rule"]) == ("OPEN", "hold")
    shown = json.loads(book("campaign", "show", made["id"], "--json"))
    listed = json.loads(book("campaign", "list", "--json"))
    assert listed == {"campaigns": [made], "next": None}
    server = start("--database", book.path)
    over_http = server.get(f"/api/v1/campaigns/{made['id']}").json
    assert {key: over_http[key] for key in made} == made == {key: shown[key] for key in made}
    assert shown["totals"]["currencies"] == over_http["totals"]["currencies"]


def test_a_repeat_with_the_key_makes_nothing_new(book):
    first = create(book, "--key", "water-2030")
    assert create(book, "--key", "water-2030") == first
    assert create(book) != first
    err = book("campaign", "create", "--title", "Dirty water", "--currencies", "EUR,USD", "--key", "water-2030", want=1)
    assert "used with another title" in err
    assert book("campaign", "list").count("\n") == 2


def test_ids_are_taken_in_every_form(book):
    campaign_id = create(book).strip()
    value = 0
    for character in campaign_id[4:]:
        value = value * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(character)
    as_uuid = uuid.UUID(int=value)
    for form in (str(as_uuid), as_uuid.hex):
        assert json.loads(book("campaign", "show", form, "--json"))["id"] == campaign_id
    assert book("campaign", "end", as_uuid.hex) == f"{campaign_id} ENDED\n"


def test_lists_go_on_where_they_ended(book):
    ids = [create(book).strip() for _ in range(5)]
    first = book("campaign", "list", "--limit", "2").splitlines()
    assert [line.split("\t")[0] for line in first[:2]] == ids[:2]
    assert first[2] == f"more: careforall-server campaign list --after {ids[1]}"
    second = json.loads(book("campaign", "list", "--limit", "3", "--after", ids[1], "--json"))
    assert [row["id"] for row in second["campaigns"]] == ids[2:] and second["next"] is None


def test_the_outbox_lists_what_was_committed_and_moves_no_cursor(book):
    for _ in range(3):
        create(book)
    lines = book("outbox", "list", "--limit", "2").splitlines()
    assert [line.split("\t")[0] for line in lines[:2]] == ["1", "2"]
    assert lines[0].split("\t")[2] == "org.careforall.campaign.created.v1"
    assert lines[2] == "more: careforall-server outbox list --after 2"
    rest = json.loads(book("outbox", "list", "--after", "2", "--json"))
    assert [event["position"] for event in rest["events"]] == [3] and rest["last"] == 3 and rest["more"] is False
    assert rest["events"][0]["data"]["title"] == "Clean water"
    assert json.loads(book("outbox", "list", "--after", "3", "--json"))["events"] == []
    assert rest["head"] == 3
    assert len(re.findall(r"^\d+\t", book("outbox", "list"), re.MULTILINE)) == 3


def cursor_of(log, name):
    return next(cursor for cursor in log["cursors"] if cursor["name"] == name)


def test_a_sink_is_paused_rewound_and_goes_on_beside_a_running_server(book, start, tmp_path):
    events = tmp_path / "events.ndjson"
    server = start("--database", book.path, "--events", str(events))
    server.campaign()
    server.campaign()

    def delivered():
        return [json.loads(line)["id"] for line in events.read_text().splitlines()]

    def cursor():
        return cursor_of(json.loads(book("outbox", "list", "--json")), "events")

    eventually(lambda: cursor()["acknowledged"] == 2, "delivery")
    first = delivered()
    assert "paused at 2 of 2 (the consumer lost its disk)" in book("outbox", "pause", "events", "--reason", "the consumer lost its disk")
    assert (cursor()["state"], cursor()["reason"]) == ("paused", "the consumer lost its disk")
    assert "the cursor is at 2" in book("outbox", "rewind", "events", "--to", "0", "--expected", "1", want=1)
    assert "to before it" in book("outbox", "rewind", "events", "--to", "9", want=1)
    rewound = json.loads(book("outbox", "rewind", "events", "--to", "0", "--expected", "2", "--key", "disk-1", "--json"))
    assert (rewound["acknowledged"], rewound["lag"]) == (0, 2)
    server.campaign()
    book("outbox", "resume", "events")
    eventually(lambda: cursor()["acknowledged"] == 3, "delivery of all")
    again = delivered()
    assert again[:2] == first and set(first) <= set(again[2:]) and len(set(again)) == 3
    book("outbox", "rewind", "events", "--to", "0", "--expected", "2", "--key", "disk-1")   # a repeat does not rewind again
    assert cursor()["acknowledged"] == 3


def test_a_sink_without_dead_letters_has_none(book, start, tmp_path):
    start("--database", book.path, "--events", str(tmp_path / "events.ndjson")).campaign()
    assert book("outbox", "dead", "events") == "" and json.loads(book("outbox", "dead", "events", "--json")) == []
    assert json.loads(book("outbox", "requeue", "events", "--json"))["dead"] == 0
    assert "no dead letter at this position" in book("outbox", "requeue", "events", "--position", "1", want=1)


def test_commands_work_beside_a_running_server(book, start):
    server = start("--database", book.path)
    campaign_id = create(book).strip()
    assert server.get(f"/api/v1/campaigns/{campaign_id}").status == 200
    pledge = server.pledge(campaign_id)
    server.confirm(pledge)
    server.wait_raised(campaign_id, 2500)
    assert "raised      25.00 EUR (net 25.00 EUR) from 1 donations" in book("campaign", "show", campaign_id)
    log = json.loads(book("outbox", "list", "--json"))
    assert cursor_of(log, "totals")["acknowledged"] == log["head"] == log["last"] > 3
    book("campaign", "end", campaign_id)
    assert server.pledge(campaign_id).json["code"] == "cfa_eclosed"


def test_making_campaigns_leaves_the_provider_to_the_server(book, start):
    book("migrate")
    create(book)
    assert start("--database", book.path, "--provider", "none").get("/health").json["provider"] == "none"
    assert start("--database", book.path, "--provider", "play").get("/health").json["provider"] == "play"
    create(book)


def test_the_database_comes_from_file_and_environment_too(tmp_path):
    (tmp_path / "server.conf").write_text(f"database = {tmp_path}/book.db\nlisten = 127.0.0.1:0\n")
    config = str(tmp_path / "server.conf")
    assert run("migrate", "--config", config)[0] == 0
    code, out, _ = run("campaign", "list", "--json", env=environment(CAREFORALL_CONFIG=config))
    assert (code, json.loads(out)) == (0, {"campaigns": [], "next": None})
    assert run("campaign", "list", env=environment(CAREFORALL_DATABASE=str(tmp_path / "book.db")))[0] == 0
    (tmp_path / "server.conf").write_text("memory = yes\n")   # of serve alone
    code, out, err = run("campaign", "list", "--config", config)
    assert (code, out) == (2, "") and "give --database PATH" in err


WRONG = {
    "no title": (["campaign", "create"], 2, "--title TEXT and --currencies LIST"),
    "bad goal": (["campaign", "create", "--title", "x", "--currencies", "EUR", "--goal", "1,00"], 2, "10000.00 EUR"),
    "bad deadline": (["campaign", "create", "--title", "x", "--currencies", "EUR", "--deadline", "soon"], 2, "2030-12-31T"),
    "bad currency": (["campaign", "create", "--title", "x", "--currencies", "EURO"], 1, "ISO 4217"),
    "bad late rule": (["campaign", "create", "--title", "x", "--currencies", "EUR", "--late-rule", "no"], 2, "use accept, refuse, refund or hold"),
    "no id": (["campaign", "show"], 2, "campaign show ID"),
    "bad id": (["campaign", "show", "cmp_x"], 1, "26 base32 characters, a UUID, or 32 hex digits"),
    "unknown id": (["campaign", "end", "cmp_01h455vb4pex5vsknk084sn02q"], 1, "no such campaign"),
    "two ids": (["campaign", "show", "a", "b"], 2, "one word too many"),
    "bad limit": (["campaign", "list", "--limit", "0"], 2, "from 1 to 1000"),
    "bad position": (["outbox", "list", "--after", "-1"], 2, "whole number"),
    "flag of serve": (["campaign", "list", "--listen", "x"], 2, "this command takes no flag --listen"),
    "no verb": (["campaign"], 2, "create, list, show, end"),
    "wrong verb": (["campaign", "delete"], 2, "create, list, show, end"),
    "verb of another group": (["outbox", "create"], 2, "use outbox list, dead, requeue, rewind, pause, resume"),
    "rewind without a place": (["outbox", "rewind", "events"], 2, "--to N"),
    "rewind that cannot be repeated": (["outbox", "rewind", "events", "--to", "0", "--key", "k"], 2, "--expected N"),
    "rewind to nowhere": (["outbox", "rewind", "events", "--to", "start"], 2, "whole number"),
    "pause without a reason": (["outbox", "pause", "events"], 2, "--reason TEXT"),
    "unknown cursor": (["outbox", "resume", "nobody"], 1, "cursor"),
    "unknown cursor to rewind": (["outbox", "rewind", "nobody", "--to", "0"], 1, "no such cursor"),
    "the projector": (["outbox", "pause", "totals", "--reason", "x"], 1, "totals cannot be paused"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_command_is_one_line_with_the_fix(tmp_path, name):
    arguments, want, words = WRONG[name]
    env = environment(CAREFORALL_DATABASE=str(tmp_path / "book.db"))
    assert run("migrate", env=env)[0] == 0
    code, out, err = run(*arguments, env=env)
    assert (code, out, err.count("\n")) == (want, "", 1) and words in err, (code, err)


def test_a_command_without_a_database_says_so():
    for command in (["migrate"], ["campaign", "list"], ["outbox", "list"]):
        code, out, err = run(*command)
        assert (code, out) == (2, "") and "give --database PATH" in err and "--memory" not in err


@pytest.mark.parametrize("words", [("campaign", "list"), ("campaign", "show", "cmp_01kdvdnht0e01rmaf47jqz13ta"),
                                   ("campaign", "end", "cmp_01kdvdnht0e01rmaf47jqz13ta"), ("outbox", "list"),
                                   ("outbox", "dead", "files"), ("outbox", "pause", "files", "--reason", "a test"),
                                   ("outbox", "resume", "files"), ("outbox", "rewind", "files", "--to", "0"),
                                   ("outbox", "requeue", "files"), ("explain", "1"), ("doctor",), ("audit",)])
def test_a_mistyped_path_makes_no_book(tmp_path, words):
    path = tmp_path / "mistyped.db"
    code, out, err = run(*words, "--database", str(path))
    assert code != 0 and out == "" and err.count("\n") == 1 and str(path) in err, (code, out, err)
    assert not path.exists()


def test_a_version_that_passed_is_named(book):
    campaign_id = create(book).strip()
    assert "at version 1" in book("campaign", "end", campaign_id, "--version", "7", want=1)
    book("campaign", "end", campaign_id, "--version", "1")


@pytest.mark.parametrize("group", ["", "campaign", "secret", "outbox", "serve", "campaign create", "outbox list", "secret new"])
def test_everything_has_help(group):
    code, out, err = run(*group.split(), "--help")
    assert (code, err) == (0, "") and "careforall-server" in out
    assert max(map(len, out.splitlines())) <= 120


# ---- secrets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, shape", [
    ("admin-token", r"[0-9a-f]{64}\n"), ("pledge-token-key", r"[0-9a-f]{64}\n"), ("webhook-secret", r"whsec_[0-9a-f]{64}\n"),
])
def test_a_new_secret_is_its_owners_alone_and_never_replaces_one(tmp_path, kind, shape):
    path = tmp_path / "secret"
    old_mask = os.umask(0)
    try:
        code, out, err = run("secret", "new", kind, str(path))
    finally:
        os.umask(old_mask)
    assert (code, err) == (0, "") and path.stat().st_mode & 0o777 == 0o600
    made = path.read_text()
    assert re.fullmatch(shape, made) and made.strip() not in out
    code, out, err = run("secret", "new", kind, str(path))
    assert (code, out) == (1, "") and "left as it is" in err and path.read_text() == made
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]
    assert json.loads(run("secret", "check", kind, str(path), "--json")[1]) == {"file": str(path), "kind": kind, "secrets": 1}
    path.chmod(0o640)
    code, out, err = run("secret", "check", kind, str(path))
    assert (code, out) == (1, "") and f"chmod 600 {path}" in err


def test_a_link_is_not_followed_to_make_a_secret(tmp_path):
    (tmp_path / "secret").symlink_to(tmp_path / "elsewhere")
    code, _, err = run("secret", "new", "admin-token", str(tmp_path / "secret"))
    assert code == 1 and "left as it is" in err and not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("arguments, want, words", [
    (["secret", "new"], 2, "KIND FILE"), (["secret", "new", "admin-token"], 2, "KIND FILE"),
    (["secret", "new", "password", "x"], 2, "admin-token, webhook-secret, stripe-key or pledge-token-key"),
    (["secret", "new", "stripe-key", "x"], 1, "comes from the provider"),
    (["secret", "new", "admin-token", "/nowhere/x"], 1, "writable directory"),
    (["secret", "check", "admin-token", "/nowhere/x"], 1, "check the path"),
    (["secret", "check", "admin-token", "/dev/null"], 1, "not a regular file"),
])
def test_a_wrong_word_about_secrets_is_one_line_with_the_fix(arguments, want, words):
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n")) == (want, "", 1) and words in err, err
