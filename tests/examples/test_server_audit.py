"""careforall-server audit: the books recomputed from the shell, on a file that it only reads."""

import hashlib
import json
import os
import sqlite3

import pytest

from test_server_commands import book, create, run  # noqa: F401  (book is a fixture)


@pytest.fixture
def filled(book, start):  # noqa: F811
    """A book with a campaign, served for a moment and closed again."""
    campaign_id = create(book).strip()
    server = start("--database", book.path)
    assert server.get("/health").status == 200
    code, out, err = run("audit", "--database", book.path)   # beside the running server
    assert (code, err) == (0, "") and out.startswith("audit: clean; "), (out, err)
    server.stop()
    return book.path, campaign_id


def audit(path, *more):
    return run("audit", "--database", path, *more)


def damage(path, sql):
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(sql).rowcount > 0
    connection.close()


def test_clean_books_say_so_and_exit_with_0(filled):
    path, campaign_id = filled
    for more in ((), ("--campaign", campaign_id)):
        code, out, err = audit(path, *more)
        assert (code, err) == (0, "") and out.startswith("audit: clean; "), (out, err)
    report = json.loads(audit(path, "--json")[1])
    assert report["clean"] is True and report["findings"] == [] and report["rows"]["campaign"] == 1


def test_a_difference_is_named_and_exits_with_1(filled):
    path, campaign_id = filled
    damage(path, "UPDATE cfa_totals SET raised_minor = 5 WHERE currency = 'EUR'")
    code, out, err = audit(path)
    assert (code, err) == (1, "") and f"1. totals.counter  {campaign_id} EUR  raised: expected 0, found 5" in out, out
    code, out, _ = audit(path, "--json")
    finding = json.loads(out)["findings"][0]
    assert code == 1 and finding["check"] == "totals.counter" and finding["campaign_id"] == campaign_id
    assert (finding["expected"], finding["found"], finding["severity"]) == ("0", "5", "error")


def test_what_cannot_be_audited_exits_with_2_and_is_not_made(filled, tmp_path):
    path, _ = filled
    absent = str(tmp_path / "absent.db")
    code, out, err = audit(absent)
    assert code == 2 and out == "" and "is not there to be read" in err and err.count("\n") == 1
    assert not os.path.exists(absent)
    code, _, err = audit(path, "--campaign", "cmp_01kdvdnht0e01rmaf47jqz13ta")
    assert code == 2 and "no such campaign" in err
    damage(path, "DELETE FROM cfa_schema WHERE version = (SELECT max(version) FROM cfa_schema)")
    code, _, err = audit(path)
    assert code == 2 and "careforall-server migrate" in err


def test_an_audit_leaves_every_byte(filled, tmp_path):
    path, _ = filled
    copy = str(tmp_path / "copy.db")
    connection = sqlite3.connect(path)
    connection.execute(f"VACUUM INTO '{copy}'")
    connection.close()
    with open(copy, "rb") as file:
        before = hashlib.sha256(file.read()).hexdigest()
    assert audit(copy)[0] == 0
    with open(copy, "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == before
    assert sorted(name for name in os.listdir(tmp_path) if name.startswith("copy")) == ["copy.db"]
