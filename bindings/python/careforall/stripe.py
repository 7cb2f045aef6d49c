"""Payments through Stripe. The one part that is optional: it needs libcareforall-stripe."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from . import errors, native
from .files import file_path
from .provider import NativeProvider
from .reconcile import RecordSource
from .times import to_ms

try:
    from . import stripe_native
except ImportError as error:
    raise ImportError(f"careforall.stripe needs libcareforall-stripe: {error}") from error

__all__ = ["API_VERSION", "StripeExport", "StripeProvider"]

#: The version of Stripe's API that every request asks for; give the webhook endpoint the same one.
API_VERSION: str = stripe_native.STRIPE_API_VERSION

_MODES = {"checkout": stripe_native.STRIPE_CHECKOUT, "intent": stripe_native.STRIPE_INTENT}


def _texts(webhook_secrets: Iterable[str]) -> tuple[str, ...]:
    if isinstance(webhook_secrets, (str, bytes)):
        raise TypeError("webhook_secrets is a list of str, not one")
    return tuple(webhook_secrets)


class StripeProvider(NativeProvider):
    """Stripe, for one engine at a time. Lives as long as that engine; docs/stripe.md has all details.

    With ``mode="checkout"`` donors pay on Stripe's hosted page, at a pledge's ``redirect_url``; with ``"intent"`` in
    the host's own page, with its ``client_secret``. ``webhook_secrets``: any of them may have signed. ``account`` is
    a connected account; leave it out where the engine's own ``account`` is set. ``base_url`` is for sandboxes:
    ``http://`` only to a loopback address.
    """

    def __init__(self, *, secret_key: str, webhook_secrets: Iterable[str],
                 mode: Literal["checkout", "intent"] = "checkout", account: str | None = None,
                 base_url: str | None = None, product_name: str | None = None,
                 ca_file: str | os.PathLike[str] | None = None, connect_timeout: float | None = None,
                 response_limit_bytes: int = 0, in_flight_limit: int = 0) -> None:
        if mode not in _MODES:
            raise errors.invalid(native.EINVAL, "mode", "a mode is checkout or intent")
        self._handle = stripe_native.stripe_new(
            secret_key, _texts(webhook_secrets), account, base_url, _MODES[mode], product_name,
            None if ca_file is None else os.fspath(ca_file), to_ms(connect_timeout), response_limit_bytes,
            in_flight_limit)
        weakref.finalize(self, stripe_native.stripe_free, self._handle).atexit = False   # as for the play provider
        self._adapter = stripe_native.stripe_provider(self._handle)
        self._lock = threading.Lock()
        self._lent = False

    @property
    def livemode(self) -> bool:
        """True when the secret key moves real money: what the engine's ``livemode`` must say."""
        return bool(stripe_native.stripe_livemode(self._handle))

    def set_secrets(self, *, secret_key: str | None = None, webhook_secrets: Iterable[str] = ()) -> None:
        """Replace the API key, the webhook secrets, or both, while calls are made; what is not given stays.

        To roll a signing secret: give both, roll at Stripe, then give the new one alone.
        """
        stripe_native.stripe_secrets_set(self._handle, secret_key, _texts(webhook_secrets))

    def _lend(self) -> None:
        with self._lock:
            if self._lent:
                raise errors.invalid(native.EMISUSE, "provider", "a StripeProvider serves one engine at a time")
            self._lent = True

    def _take_back(self) -> None:
        with self._lock:
            self._lent = False


class StripeExport(RecordSource):
    """A file that was exported from Stripe, JSON or CSV, for ``Engine.reconcile`` and ``Engine.repair``: no network and
    no key is needed. docs/reconcile.md has the forms.

    Each use reads the file whole before anything is compared: one that cannot be read to its end is refused, with its
    line.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = file_path(path)

    @contextmanager
    def _lent(self) -> Iterator[Any]:
        file = stripe_native.stripe_export_open(self.path)
        try:
            source = stripe_native.stripe_source_new(file)
            try:
                yield source
            finally:
                stripe_native.source_free(source)
        finally:
            stripe_native.stripe_export_free(file)
