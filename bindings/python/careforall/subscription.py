"""Durable subscriptions: every event at least once, in order, acknowledged when the reader says so."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import errors, native
from .models import Event
from .times import to_ms

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["Subscription"]

_SLICE_SECONDS = 0.2


class Subscription:
    """A reader of the log whose place is kept in the database::

        with engine.subscribe("mailer") as subscription:
            for event in subscription:
                send(event)
                subscription.ack(event)

    What was not acknowledged comes again after the next ``subscribe``.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine   # kept from being forgotten while it is read from
        self._gate = engine._gate
        self._lock = threading.Lock()
        handle = self._gate.enter()
        try:
            self._handle = native.subscription_open(handle, name)
            self._finalizer = weakref.finalize(self, self._gate.abandon, self._gate.adopt(self._handle))
            self._finalizer.atexit = False   # the engine's own end comes then
        finally:
            self._gate.leave()

    def poll(self, limit: int = 100, timeout: float = 0.0) -> list[Event]:
        """Read the next events, waiting up to ``timeout`` seconds for the first."""
        until = time.monotonic() + timeout
        while True:
            left = until - time.monotonic()
            events = self._poll_once(limit, to_ms(min(left, _SLICE_SECONDS)))
            if events or left <= _SLICE_SECONDS:
                return events

    def _poll_once(self, limit: int, timeout_ms: int) -> list[Event]:
        self._gate.enter()
        try:
            with self._lock:
                self._check_open()
                made = native.subscription_next(self._handle, limit, timeout_ms)
                try:
                    return Event._read_list(made)
                finally:
                    native.event_list_free(made)
        finally:
            self._gate.leave()

    def ack(self, up_to: Event | int) -> None:
        """Acknowledge everything up to an event. ConflictError (CFA_EFENCED): another reader took over."""
        position = up_to.position if isinstance(up_to, Event) else up_to
        self._gate.enter()
        try:
            with self._lock:
                self._check_open()
                native.subscription_ack(self._handle, position)
        finally:
            self._gate.leave()

    def __iter__(self) -> Iterator[Event]:
        """All events as they come; ends when the subscription or its engine is closed."""
        while not self.closed:
            try:
                events = self.poll(timeout=_SLICE_SECONDS)
            except errors.InvalidError:
                if self.closed:
                    return
                raise
            yield from events

    @property
    def closed(self) -> bool:
        return self._gate.shut or not self._finalizer.alive

    def close(self) -> None:
        """Give the place up; what was acknowledged stays so. A repeat does nothing."""
        try:
            self._gate.enter()
        except errors.InvalidError:
            return   # the engine's close released it
        try:
            with self._lock:
                self._finalizer()
        finally:
            self._gate.leave()

    def _check_open(self) -> None:
        if not self._finalizer.alive:
            raise errors.invalid(native.EMISUSE, "", "the subscription is closed")

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
