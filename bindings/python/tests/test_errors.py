"""Each class of failure is an exception of its own and carries what a caller needs."""

import pickle
import threading

import pytest

import careforall
from careforall import (CareForAllError, CircuitOpenError, ConflictError, Engine, InDoubtError, InternalError,
                        InvalidError, Money, PermanentError, PlayProvider, TransientError, new_key)
from careforall import errors, native

AMOUNT = Money(2500, "EUR")


def test_invalid_names_the_field(engine):
    with pytest.raises(InvalidError) as caught:
        engine.create_campaign("", "EUR")
    assert caught.value.field == "title"
    assert caught.value.status // 100 in (-1, -2)
    assert caught.value.message and caught.value.origin
    assert not caught.value.retryable


def test_permanent_for_what_does_not_exist(engine):
    missing = engine.create_campaign("Here", "EUR").id[:-3] + "000"
    with pytest.raises(PermanentError) as caught:
        engine.campaign(missing)
    assert caught.value.name == "CFA_ENOTFOUND"


def test_permanent_for_a_declined_card(engine, play, campaign):
    pledge = engine.create_pledge(campaign.id, AMOUNT)
    with pytest.raises(PermanentError) as caught:
        play.confirm(pledge.client_secret, "pm_declined")
    assert caught.value.name == "CFA_EDECLINED"


def test_conflict_for_a_reused_key(engine, campaign):
    key = new_key()
    engine.create_pledge(campaign.id, AMOUNT, key=key)
    with pytest.raises(ConflictError) as caught:
        engine.create_pledge(campaign.id, Money(2600, "EUR"), key=key)
    assert caught.value.name == "CFA_EKEYREUSE"
    assert caught.value.field.startswith("amount")
    assert caught.value.key == key


def test_conflict_for_a_stale_version(engine, campaign):
    engine.update_campaign(campaign.id, campaign.version, title="Cleaner water", currencies="EUR")
    with pytest.raises(ConflictError) as caught:
        engine.update_campaign(campaign.id, campaign.version, title="Too late", currencies="EUR")
    assert caught.value.name == "CFA_EVERSION"


def test_a_closed_campaign_takes_no_pledge(engine, campaign):
    engine.end_campaign(campaign.id, campaign.version)
    with pytest.raises(PermanentError) as caught:
        engine.create_pledge(campaign.id, AMOUNT)
    assert caught.value.name == "CFA_ECLOSED"


@pytest.mark.parametrize("status, kind, retryable", [
    ("EINVAL", InvalidError, False), ("ENOTFOUND", PermanentError, False), ("EKEYREUSE", ConflictError, False),
    ("ETIMEOUT", TransientError, True), ("ECIRCUIT", CircuitOpenError, True), ("EINDOUBT", InDoubtError, True), ("EBUG", InternalError, False),
])
def test_every_class_has_its_exception(status, kind, retryable):
    code = getattr(native, status)
    error = errors.from_detail(code, 5, "core", "field", "why", 1500)
    assert type(error) is kind and isinstance(error, CareForAllError)
    assert (error.status, error.name, error.retryable) == (code, "CFA_" + status, retryable)
    assert str(error) == f"CFA_{status} (field): why"
    error.key = "k"
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.key, copy.native_code) == (kind, str(error), "k", 5)
    assert error.retry_after == copy.retry_after == 1.5


def test_every_status_of_the_library_is_known():
    codes = [value for name, value in vars(native).items() if name.startswith("E") and isinstance(value, int)]
    assert len(codes) > 25
    for code in codes:
        assert errors.from_detail(code, 0, "", "", "").message


def test_messages_of_threads_are_never_mixed():
    wrong = []

    def ask(text, name):
        for _ in range(2000):
            try:
                Money.parse(text)
            except CareForAllError as error:
                if error.name != name:
                    wrong.append((text, error.name))

    cases = [("x", "CFA_EINVAL"), ("1.234 EUR", "CFA_EAMOUNT"), ("1 QQQ", "CFA_ECURRENCY")] * 3
    threads = [threading.Thread(target=ask, args=case) for case in cases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_book_without_provider_refuses_pledges():
    with Engine.memory() as engine:
        campaign = engine.create_campaign("Clean water", "EUR")
        with pytest.raises(InvalidError) as caught:
            engine.create_pledge(campaign.id, AMOUNT)
        assert caught.value.name == "CFA_ENOTSUP"


def test_a_book_is_pinned_to_its_mode(tmp_path):
    play = PlayProvider()
    Engine.sqlite(tmp_path / "book.db", provider=play).close()
    with pytest.raises(PermanentError) as caught:
        Engine.sqlite(tmp_path / "book.db", provider=play, livemode=True)
    assert caught.value.name == "CFA_EMODE"


def test_a_file_that_is_no_book_is_named(tmp_path):
    path = tmp_path / "missing" / "book.db"
    with pytest.raises(CareForAllError) as caught:
        Engine.sqlite(path)
    assert str(caught.value)
    with pytest.raises(InvalidError):
        Engine.sqlite("")
    with pytest.raises(InvalidError):
        Engine.sqlite("a\0b")


def test_the_version_is_the_librarys():
    assert careforall.__version__ == native.VERSION
