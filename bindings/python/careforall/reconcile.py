"""The books against the provider's own record: what is missing on either side, what differs, who knows more."""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from types import MappingProxyType
from typing import Any, TypeVar

from . import errors, native
from .provider import Facts
from .times import to_us

__all__ = [
    "Difference", "ReconcileKind", "ReconcileObject", "ReconcileRow", "Reconciliation", "Record", "RecordSource",
]

_T = TypeVar("_T")
_SLICE_SECONDS = 0.2


class ReconcileKind(IntEnum):
    """What an object of the record is about. OTHER and UNNAMED, something that a book has without a name to find it by,
    are only counted."""

    PAYMENT = native.RECONCILE_PAYMENT
    REFUND = native.RECONCILE_REFUND
    DISPUTE = native.RECONCILE_DISPUTE
    OTHER = native.RECONCILE_OTHER
    UNNAMED = native.RECONCILE_UNNAMED


class ReconcileRow(IntEnum):
    """Whether an object is the provider's own, or a row of a report, which is compared and never repaired from: about
    a payment as it stands, or about one MOVEMENT of the provider's balance."""

    NONE = 0
    REPORT = native.RECONCILE_REPORT
    MOVEMENT = native.RECONCILE_MOVEMENT


@dataclass(frozen=True, slots=True)
class ReconcileObject:
    """One object of the provider's record. ``facts`` are what it says, as a webhook would.

    ``whole``: it states all that the provider knows of the payment's money. ``refunded_minor``: of the payment so far.
    ``as_of``: it stood so then, or later; the book is not ahead for what it learnt since. ``line``: of the file that
    it was read from. None and 0: not told.
    """

    kind: ReconcileKind
    facts: Facts
    livemode: bool | None = None
    whole: bool = False
    row: ReconcileRow = ReconcileRow.NONE
    refunded_minor: int | None = None
    line: int = 0
    as_of: datetime | None = None


class RecordSource:
    """What can be compared with a book as often as one likes: a ``Record``, a ``careforall.stripe.StripeExport``."""

    def _lent(self) -> AbstractContextManager[Any]:
        """The source as C reads it from its beginning, until the end of the block."""
        raise NotImplementedError


class Record(RecordSource):
    """A provider's record made of objects, in any order; at most 16 million.

    They wait in a temporary file, so that the memory is that of one object. Threads that share a record take turns.
    """

    def __init__(self, objects: Iterable[ReconcileObject] = ()) -> None:
        self._handle = native.record_new()
        self._free = weakref.finalize(self, native.record_free, self._handle)
        self._lock = threading.Lock()
        self._count = 0
        for one in objects:
            self.add(one)

    def add(self, one: ReconcileObject) -> None:
        """Append an object. What cannot be a part of a record raises, and leaves the record as it was."""
        if not isinstance(one, ReconcileObject):
            raise TypeError(f"a record is made of careforall.ReconcileObject, not {type(one).__name__}")
        with self._lock, one.facts._lent() as facts:
            native.record_add(self._open(), facts, one.kind, -1 if one.livemode is None else one.livemode, one.whole,
                              one.row, -1 if one.refunded_minor is None else one.refunded_minor, one.line,
                              to_us(one.as_of))
            self._count += 1

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        """Forget the objects. A repeat does nothing; so does the garbage collector in the end."""
        with self._lock:
            self._free()

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> Any:
        if not self._free.alive:
            raise errors.invalid(native.EMISUSE, "source", "the record is closed")
        return self._handle

    @contextmanager
    def _lent(self) -> Iterator[Any]:
        with self._lock:
            yield native.record_source(self._open())


@contextmanager
def lent(source: RecordSource | Iterable[ReconcileObject]) -> Iterator[Any]:
    """Any source as C reads it. An iterable is read to its end before the block begins."""
    if isinstance(source, RecordSource):
        with source._lent() as handle:
            yield handle
    else:
        with Record(source) as record, record._lent() as handle:
            yield handle


def audited(record: RecordSource | Iterable[ReconcileObject] | None, *given: object) -> RecordSource | None:
    """What an audit compares with; what is ``given`` is of it. An iterable is read to its end."""
    if record is None and any(given):
        raise errors.invalid(native.EINVAL, "record", "since, until and all_ours are of a record: give one")
    return record if record is None or isinstance(record, RecordSource) else Record(record)


def borrowed(source: RecordSource | None) -> AbstractContextManager[Any]:
    """The same as C reads it, to be entered by the thread in which it does: that may go on after its caller."""
    return nullcontext() if source is None else source._lent()


_NAMES = {"from_us": "since", "until_us": "until"}


@contextmanager
def window_named() -> Iterator[None]:
    """What breaks a rule has the name that the caller knows it by."""
    try:
        yield
    except errors.CareForAllError as error:
        error.field = _NAMES.get(error.field, error.field)
        raise


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. ``id`` and ``payment_id`` are ours, ``ref`` is the provider's; ``expected`` is what the provider
    says, ``found`` what the book says. ``repairable``: ``Engine.repair`` with this record tells the engine."""

    code: str
    kind: str
    id: str | None
    payment_id: str | None
    ref: str | None
    field: str | None
    expected: str | None
    found: str | None
    line: int
    repairable: bool


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Reconciliation:
    """What a comparison found. ``differences`` counts all of them, 0: the books agree; ``counts`` by code, and
    ``listed`` are the first of each. ``objects`` were read; ``foreign`` of them name no payment of ours,
    ``other`` and ``unnamed`` are only counted, as ``ReconcileKind`` says.

    ``provider``, ``account`` and ``livemode`` are the book's. ``repaired``: of ``Engine.reconcile_live``, how many
    objects told the book something. ``text`` is for people; docs/reconcile.md lists the codes.
    """

    differences: int
    counts: Mapping[str, int]
    listed: tuple[Difference, ...]
    repairable: int
    objects: int
    foreign: int
    other: int
    unnamed: int
    provider: str
    account: str
    livemode: bool
    data: str = field(repr=False)
    text: str = field(repr=False)
    repaired: int = 0
    _handle: Any = field(default=None, repr=False, compare=False)

    def json(self) -> Any:
        """The whole report."""
        return json.loads(self.data)

    @classmethod
    def _adopt(cls, handle: Any, repaired: int = 0) -> Reconciliation:
        """Copy a report. Its handle is freed with the copy: ``Engine.record_reconciliation`` wants it."""
        try:
            data = native.reconciliation_json(handle)
            made = cls(
                differences=native.reconciliation_differences(handle),
                counts=MappingProxyType(json.loads(data)["counts"]),
                listed=tuple(Difference(*native.reconciliation_at(handle, i))
                             for i in range(native.reconciliation_size(handle))),
                repairable=native.reconciliation_repairable(handle),
                objects=native.reconciliation_objects(handle),
                foreign=native.reconciliation_foreign(handle),
                other=native.reconciliation_other(handle),
                unnamed=native.reconciliation_unnamed(handle),
                provider=native.reconciliation_provider(handle),
                account=native.reconciliation_account(handle),
                livemode=bool(native.reconciliation_livemode(handle)),
                data=data,
                text=native.reconciliation_text(handle),
                repaired=repaired,
                _handle=handle,
            )
        except BaseException:
            native.reconciliation_free(handle)
            raise
        weakref.finalize(made, native.reconciliation_free, handle)
        return made


class Stop:
    """Ends what another thread does."""

    def __init__(self) -> None:
        self.handle = native.stop_new()
        weakref.finalize(self, native.stop_free, self.handle)

    def set(self) -> None:
        native.stop_set(self.handle)

    def run(self, work: Callable[[], _T]) -> _T:
        """Do what asks this, in a thread of its own, so that Ctrl-C is heard meanwhile and ends it.

        ``work`` may go on a little longer than this call, so it must hold all that it uses."""
        answer: Future[_T] = Future()

        def body() -> None:
            try:
                answer.set_result(work())
            except BaseException as error:
                answer.set_exception(error)

        try:
            threading.Thread(target=body, name="careforall-stoppable").start()
            # In slices: a signal that comes just before a wait does not end it.
            while not wait([answer], _SLICE_SECONDS).done:
                pass
            return answer.result()
        except BaseException:
            self.set()
            raise
