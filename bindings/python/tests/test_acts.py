"""The audit log: who did what other than giving, chained."""

import json
import sqlite3

import pytest

from careforall import ActFault, Engine, InvalidError


def run(engine):
    campaign = engine.create_campaign("Well", "EUR", actor="ann", reason="spring")
    changed = engine.update_campaign(campaign.id, campaign.version, title="Deep well", currencies="EUR", actor="ann")
    engine.end_campaign(campaign.id, changed.version, actor="bob", reason="it is dug")
    return campaign


def test_acts_tell_who_why_before_and_after(engine):
    campaign = run(engine)
    made, changed, ended = engine.acts()
    assert [act.action for act in (made, changed, ended)] == ["campaign.create", "campaign.update", "campaign.end"]
    assert (made.number, made.subject, made.actor, made.reason) == (1, campaign.id, "ann", "spring")
    assert made.before is None and made.previous_hash is None and changed.reason is None
    assert (json.loads(changed.before)["title"], json.loads(changed.after)["title"]) == ("Well", "Deep well")
    assert (ended.actor, ended.reason, ended.previous_hash) == ("bob", "it is dug", changed.hash)
    assert engine.acts(1, limit=1) == [changed] and engine.acts(3) == []
    report = engine.verify_acts()
    assert (report.count, report.head_count, report.head_agrees) == (3, 3, True)
    assert (report.fault, report.number, report.head_hash) == (ActFault.NONE, 0, ended.hash)


def test_every_call_takes_who_and_why(engine):
    for who in ({"actor": "x" * 201}, {"reason": "x" * 501}):
        for call in (lambda: engine.create_campaign("Well", "EUR", **who),
                     lambda: engine.end_campaign("cmp_01arz3ndektsv4rrffq69g5fav", 1, **who),
                     lambda: engine.erase_donor("plg_01arz3ndektsv4rrffq69g5fav", **who),
                     lambda: engine.capture_payment("pay_01arz3ndektsv4rrffq69g5fav", **who),
                     lambda: engine.cancel_payment("pay_01arz3ndektsv4rrffq69g5fav", **who),
                     lambda: engine.rewind("post", 0, expected=1, **who),
                     lambda: engine.requeue("post", **who), lambda: engine.resume("post", **who),
                     lambda: engine.pause("post", **{"reason": "why", **who})):
            with pytest.raises(InvalidError) as caught:
                call()
            assert (caught.value.name, caught.value.field) == ("CFA_ETOOLONG", next(iter(who)))
    assert engine.acts() == []


def test_a_changed_act_is_found(play, tmp_path):
    path = tmp_path / "book.db"
    with Engine.sqlite(path, provider=play) as engine:
        run(engine)
    with sqlite3.connect(path) as rows:
        rows.execute("UPDATE cfa_act SET actor = 'carol' WHERE number = 2")
    rows.close()
    with Engine.sqlite(path, provider=play) as engine:
        report = engine.verify_acts()
        assert (report.fault, report.number, report.head_agrees) == (ActFault.ALTERED, 2, True)
        assert report.fault.text
