"""What lets calls run side by side and an engine close behind the last of them."""

from __future__ import annotations

import threading
from typing import Any

from . import errors, native
from .provider import Adapter
from .reconcile import Stop


class Gate:
    """Counts the calls inside, lets none in once it is shut, and owns the native handles."""

    def __init__(self, engine: Any, storage: Any, adapter: Adapter) -> None:
        self._engine = engine
        self._storage = storage
        self._adapter = adapter   # alive until the engine is closed
        self._subscriptions: dict[int, Any] = {}
        self._condition = threading.Condition()
        self._calls = 0
        self._stops: set[Stop] = set()
        self.shut = False

    def enter(self, stop: Stop | None = None) -> Any:
        """Begin a call: the engine, which is returned, stays open until ``leave``. ``stop`` ends a long one."""
        with self._condition:
            if self.shut:
                raise errors.invalid(native.EMISUSE, "", "the engine is closed")
            self._calls += 1
            if stop is not None:
                self._stops.add(stop)
        return self._engine

    def leave(self, stop: Stop | None = None) -> None:
        with self._condition:
            self._calls -= 1
            if stop is not None:
                self._stops.discard(stop)
            if self.shut and self._calls == 0:
                self._condition.notify_all()

    def drain(self) -> None:
        """Let no call in, and return when none is inside."""
        with self._condition:
            self.shut = True
            for stop in self._stops:
                stop.set()
            self._condition.wait_for(lambda: self._calls == 0)

    def adopt(self, subscription: Any) -> int:
        """Take over a subscription's handle; the number is for ``abandon``."""
        number = id(subscription)
        self._subscriptions[number] = subscription
        return number

    def abandon(self, number: int) -> None:
        """Free a subscription, unless that was done."""
        subscription = self._subscriptions.pop(number, None)
        if subscription is not None:
            native.subscription_free(subscription)

    def release(self) -> None:
        """Close in the order that borrowing demands. At the interpreter's exit a daemon thread may still be inside a
        call: then nothing is closed, which loses nothing, since all that was acknowledged is durable."""
        with self._condition:
            self.shut = True
            if self._calls > 0:
                return
        for number in list(self._subscriptions):
            self.abandon(number)
        native.engine_close(self._engine)
        native.storage_free(self._storage)
        self._adapter.release()
