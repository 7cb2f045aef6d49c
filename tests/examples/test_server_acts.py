"""The audit log over HTTP: what the service asked for, by whom and why; pages; who may read it."""

import sqlite3
import subprocess

import pytest

from conftest import BINARY, DEADLINE_S, Server, environment, new_key


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server("--database", str(tmp_path_factory.mktemp("acts") / "book.db"), "--provider", "play")
    yield server
    assert server.stop() == 0, server.log()


def ask(server, method, path, body=None, actor=None, reason=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in (("Careforall-Actor", actor), ("Careforall-Reason", reason)):
        if value is not None:
            headers[name] = value
    return server.request(method, path, body, {"Idempotency-Key": new_key(), **headers}, token=True)


def acts(server, query=""):
    answer = server.get(f"/api/v1/admin/acts{query}", token=True)
    assert answer.status == 200, answer
    return answer


def test_a_campaigns_life_is_told_with_who_and_why(server):
    before = acts(server, "?limit=1000").json["acts"]
    spec = {"title": "Well", "currencies": ["EUR"]}
    made = ask(server, "POST", "/api/v1/campaigns", spec, "ann", "spring")
    assert made.status == 201, made
    path = f"/api/v1/campaigns/{made.json['id']}"
    changed = ask(server, "PUT", path, {**spec, "title": "Deep well"}, actor="bob", If_Match=made.headers["etag"])
    assert changed.status == 200, changed
    ended = ask(server, "POST", f"{path}/end", reason="it is dug", If_Match=changed.headers["etag"])
    assert ended.status == 200, ended
    create, update, end = acts(server, "?limit=1000").json["acts"][len(before):]
    assert [act["action"] for act in (create, update, end)] == ["campaign.create", "campaign.update", "campaign.end"]
    assert {act["subject"] for act in (create, update, end)} == {made.json["id"]}
    assert [(act["actor"], act["reason"]) for act in (create, update, end)] == [
        ("ann", "spring"), ("bob", None), (None, "it is dug")]
    assert create["before"] is None and create["after"]["title"] == update["before"]["title"] == "Well"
    assert (end["before"]["state"], end["after"]["state"]) == ("OPEN", "ENDED")
    assert update["previous_hash"] == create["hash"] and end["previous_hash"] == update["hash"]


def test_pages_lead_to_each_other_and_end(server):
    while len(acts(server, "?limit=1000").json["acts"]) < 4:
        assert ask(server, "POST", "/api/v1/campaigns", {"title": "Well", "currencies": ["EUR"]}).status == 201
    every = acts(server, "?limit=1000").json
    assert every["next"] is None and [act["number"] for act in every["acts"]] == list(range(1, len(every["acts"]) + 1))
    seen, path = [], "/api/v1/admin/acts?limit=2"
    while path:
        page = server.get(path, token=True)
        assert page.status == 200 and len(page.json["acts"]) in (1, 2), page
        seen += page.json["acts"]
        link = page.headers.get("link")
        path = link and link[1:link.index(">")]
        assert (page.json["next"] is None) == (link is None)
    assert seen == every["acts"]
    assert acts(server, "?after=9999").json == {"acts": [], "next": None}


def test_only_the_service_reads_it_and_nonsense_is_refused(server):
    assert server.get("/api/v1/admin/acts").status == 401
    for query in ("?after=x", "?after=-1", "?limit=0", "?limit=1001", "?subject=x"):
        assert server.get(f"/api/v1/admin/acts{query}", token=True).status in (400, 422), query
    count = len(acts(server, "?limit=1000").json["acts"])
    answer = ask(server, "POST", "/api/v1/campaigns", {"title": "Well", "currencies": ["EUR"]}, actor="x" * 201)
    assert answer.status == 422 and answer.json["field"] == "actor", answer
    assert len(acts(server, "?limit=1000").json["acts"]) == count


def test_commands_tell_who_and_why(tmp_path):
    path = tmp_path / "book.db"
    by = ("--database", str(path), "--actor", "ann", "--reason", "spring")

    def run(*words):
        subprocess.run([BINARY, *words, *by], env=environment(), timeout=DEADLINE_S, check=True, capture_output=True)
    run("campaign", "create", "--title", "Well", "--currencies", "EUR")
    with sqlite3.connect(path) as rows:
        (campaign,) = rows.execute("SELECT subject FROM cfa_act").fetchone()
    run("campaign", "end", campaign)
    told = rows.execute("SELECT action, actor, reason FROM cfa_act ORDER BY number").fetchall()
    rows.close()
    assert told == [("campaign.create", "ann", "spring"), ("campaign.end", "ann", "spring")]
