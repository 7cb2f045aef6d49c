"""Instants are aware datetimes in UTC, durations are seconds; the library's integers stay inside."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_MILLISECOND = timedelta(milliseconds=1)
_MS_MAX = 2**31 - 1


def from_us(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def maybe_from_us(us: int) -> datetime | None:
    return from_us(us) if us else None


def to_us(at: datetime | None) -> int:
    if at is None:
        return 0
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise TypeError("an instant is a datetime with a time zone")
    return (at - EPOCH) // _MICROSECOND


def to_ms(timeout: float | None) -> int:
    """Seconds to the library's milliseconds: None is its default, 0 or less does not wait."""
    if timeout is None:
        return 0
    if timeout <= 0:
        return -1
    return math.ceil(min(timeout * 1000, _MS_MAX))


def span_to_ms(span: timedelta | None) -> int:
    return 0 if span is None else span // _MILLISECOND
