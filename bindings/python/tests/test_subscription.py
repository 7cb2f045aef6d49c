"""Subscriptions: in order, again until acknowledged, one reader at a time."""

import threading

import pytest
from conftest import PATIENCE_S

from careforall import ConflictError, InvalidError


def make(engine, count):
    return [engine.create_campaign(f"Campaign {i}", "EUR").id for i in range(count)]


def test_events_come_in_order_and_again_until_acknowledged(engine):
    ids = make(engine, 3)
    with engine.subscribe("reader") as reader:
        events = reader.poll()
        assert [event.subject for event in events if event.type.endswith("campaign.created.v1")] == ids
        assert [event.position for event in events] == list(range(1, len(events) + 1))
        assert events[0].json() and events[0].id.startswith("evt_")
        reader.ack(events[0])
        assert reader.poll() == []
    with engine.subscribe("reader") as reader:
        assert reader.poll() == events[1:]
        reader.ack(events[-1].position)
        reader.ack(events[0])
    with engine.subscribe("reader") as reader:
        assert reader.poll() == []
    assert engine.events() == events
    assert engine.events(after=events[0].position, limit=1) == events[1:2]


def test_iterating_ends_when_the_engine_closes(engine):
    make(engine, 2)
    seen, both = [], threading.Event()

    def read():
        subscription = engine.subscribe("reader")
        for event in subscription:
            seen.append(event)
            subscription.ack(event)
            if len(seen) >= 2:
                both.set()

    thread = threading.Thread(target=read)
    thread.start()
    assert both.wait(timeout=PATIENCE_S)
    engine.close()
    thread.join(timeout=PATIENCE_S)
    assert not thread.is_alive()


def test_a_second_reader_fences_the_first(engine):
    make(engine, 1)
    first = engine.subscribe("reader")
    event = first.poll()[0]
    second = engine.subscribe("reader")
    with pytest.raises(ConflictError) as caught:
        first.ack(event)
    assert caught.value.name == "CFA_EFENCED"
    assert second.poll()[0] == event


def test_what_was_not_read_cannot_be_acknowledged(engine):
    make(engine, 1)
    with engine.subscribe("reader") as reader:
        with pytest.raises(InvalidError) as caught:
            reader.ack(10**9)
        assert caught.value.name == "CFA_ERANGE"


def test_a_closed_subscription_refuses(engine):
    reader = engine.subscribe("reader")
    reader.close()
    reader.close()
    assert reader.closed
    assert list(reader) == []
    with pytest.raises(InvalidError):
        reader.poll()
    with pytest.raises(InvalidError):
        engine.subscribe("Not a name")
