"""Cursors and dead letters, as an operator sees them beside the processes that run the sinks."""

import sqlite3

import pytest

from careforall import ConflictError, CursorState, Engine, InvalidError, PermanentError


def make(engine, count):
    for i in range(count):
        engine.create_campaign(f"Campaign {i}", "EUR")


def test_a_subscription_is_listed_and_rewound_once_per_key(engine):
    make(engine, 3)
    reader = engine.subscribe("reader")
    assert len(reader.poll()) == 3
    reader.ack(2)
    (before,) = engine.cursors()
    assert (before.name, before.head, before.acknowledged, before.lag) == ("sub.reader", 3, 2, 1)
    assert before.owned and before.state is CursorState.RUNS and before.reason is None and before.oldest is not None
    with pytest.raises(ConflictError) as caught:
        engine.rewind("sub.reader", 0, expected=1)
    assert (caught.value.name, caught.value.field) == ("CFA_EVERSION", "expected") and caught.value.key
    after = engine.rewind("sub.reader", 0, expected=2, key="back")
    assert (after.acknowledged, after.lag, after.owned, after.replayed) == (0, 3, False, False)
    assert after.epoch > before.epoch
    with pytest.raises(ConflictError) as caught:
        reader.ack(3)
    assert caught.value.name == "CFA_EFENCED"
    reader = engine.subscribe("reader")
    assert len(reader.poll()) == 3
    reader.ack(2)
    again = engine.rewind("sub.reader", 0, expected=2, key="back")
    assert again.replayed and again.acknowledged == 2
    with pytest.raises(ConflictError):
        engine.rewind("sub.reader", 1, expected=2, key="back")


def test_many_cursors_are_listed_by_name(memory):
    names = sorted(f"reader-{i:03}" for i in range(130))
    for name in names:
        memory.subscribe(name).close()
    assert [cursor.name for cursor in memory.cursors()] == [f"sub.{name}" for name in names]


def test_what_has_no_cursor_or_cannot_be_done_says_so(memory):
    make(memory, 1)
    memory.subscribe("reader").close()
    memory.tick()
    for call in (lambda: memory.pause("nobody", "why"), lambda: memory.resume("nobody"),
                 lambda: memory.dead_letters("nobody"), lambda: memory.requeue("sub.reader", 1)):
        with pytest.raises(PermanentError) as caught:
            call()
        assert caught.value.name == "CFA_ENOTFOUND"
    for call in (lambda: memory.pause("sub.reader", "why"), lambda: memory.pause("totals", "why"),
                 lambda: memory.rewind("totals", 0, expected=1)):
        with pytest.raises(InvalidError) as caught:
            call()
        assert caught.value.name == "CFA_ENOTSUP"


def test_a_sink_of_another_process_is_paused_and_its_dead_letters_are_requeued(play, tmp_path):
    path = tmp_path / "book.db"
    with Engine.sqlite(path, provider=play) as engine:
        make(engine, 2)
    # As the process that runs the sink leaves them.
    with sqlite3.connect(path) as rows:
        rows.execute("INSERT INTO cfa_sink (name, acknowledged, epoch, lease_until_us, updated_us, version, dead_count) "
                     "VALUES ('post', 2, 1, 0, 1, 1, 1)")
        rows.execute("INSERT INTO cfa_dead_letter (sink, position, requeued, tries, code, reason, first_us, last_us, version) "
                     "VALUES ('post', 1, 0, 5, 422, 'no room', 1000000, 2000000, 1)")
    rows.close()
    with Engine.sqlite(path, provider=play) as engine:
        paused = engine.pause("post", "the receiver moves house")
        assert (paused.state, paused.reason) == (CursorState.PAUSED, "the receiver moves house") and paused.paused
        resumed = engine.resume("post")
        assert (resumed.state, resumed.reason, resumed.paused) == (CursorState.RUNS, None, None)
        (letter,) = engine.dead_letters("post")
        assert (letter.position, letter.tries, letter.code, letter.reason) == (1, 5, 422, "no room")
        assert letter.event_id == engine.events()[0].id and letter.event_type == engine.events()[0].type
        assert letter.first < letter.last and not letter.requeued
        assert engine.dead_letters("post", 1) == []
        assert engine.requeue("post", key="again").requeued_count == 1
        assert engine.requeue("post", key="again").replayed
        assert engine.dead_letters("post")[0].requeued
