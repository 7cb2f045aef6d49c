"""A book that nobody needs to have open: its file, only read. Also for a copy of one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime

from . import errors, native
from .models import Audit
from .reconcile import ReconcileObject, Reconciliation, RecordSource, Stop, audited, borrowed, lent, window_named
from .times import to_us

__all__ = ["audit_file", "file_schema", "reconcile_file"]


def file_path(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"a path is str, not {type(text).__name__}")
    if not text or "\0" in text:
        raise errors.invalid(native.EINVAL, "path", "a path is not empty and holds no NUL")
    return text


def file_schema(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Which schema a book's file has, and which this library makes: an engine that opens it brings an older one up."""
    found, known = native.schema_of(file_path(path))
    return found, known


def audit_file(path: str | os.PathLike[str], campaign_id: str | None = None, *,
               record: RecordSource | Iterable[ReconcileObject] | None = None, since: datetime | None = None,
               until: datetime | None = None, all_ours: bool = False) -> Audit:
    """Recompute every total, contribution and fact of a book's file, as ``Engine.audit`` does. Ctrl-C ends it."""
    text, stop, source = file_path(path), Stop(), audited(record, since, until, all_ours)

    def work() -> Audit:
        with borrowed(source) as lent_source:
            return Audit._adopt(native.audit_file(
                text, campaign_id, lent_source, to_us(since), to_us(until), all_ours, stop.handle))

    with window_named():
        return stop.run(work)


def reconcile_file(path: str | os.PathLike[str], source: RecordSource | Iterable[ReconcileObject], *,
                   since: datetime | None = None, until: datetime | None = None,
                   all_ours: bool = False) -> Reconciliation:
    """Compare a book's file with the provider's record, as ``Engine.reconcile`` does."""
    text = file_path(path)
    with window_named(), lent(source) as handle:
        return Reconciliation._adopt(native.reconcile_file(text, handle, to_us(since), to_us(until), all_ours))
