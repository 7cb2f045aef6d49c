"""The engine: one book, free-threaded, closed by ``close`` or a ``with`` statement."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar

from . import errors, native
from .files import file_path
from .gate import Gate
from .models import (Act, ActReport, Audit, Campaign, Checkup, CircuitRule, Cursor, DeadLetter, Dispute, Event,
                     FraudRule, LateRule, Payment, Pledge, Refund, Story, Totals, Transition, Visibility, Wait,
                     WebhookVerdict, Work)
from .money import Money, to_pair
from .provider import Adapter, NativeProvider, Provider, Reply, Request, WebhookEvent
from .reconcile import ReconcileObject, Reconciliation, RecordSource, Stop, audited, borrowed, lent, window_named
from .subscription import Subscription
from .times import span_to_ms, to_ms, to_us

__all__ = ["Engine", "new_key"]

_T = TypeVar("_T")
_log = logging.getLogger("careforall")

#: No single native call waits longer, so that close and Ctrl-C are never far away.
_SLICE_SECONDS = 0.2


def new_key() -> str:
    """A fresh idempotency key, a time-ordered UUIDv7.

    Make it before the first attempt and keep it until an answer came: a repeat can never charge twice.
    """
    key: str = native.key_new()
    return key


def _same(value: _T) -> _T:
    return value


def _currencies(currencies: str | Iterable[str]) -> str:
    return currencies if isinstance(currencies, str) else ",".join(currencies)


class Engine:
    """One book: campaigns, pledges, payments, events and totals in one database.

    Any thread may call any method at once. ``close`` waits for the calls that run and refuses new ones.
    """

    def __init__(self, path: str | None, storage: Any, provider: NativeProvider | Provider | None, account: str,
                 livemode: bool, capture_manual: bool, queue_limit: int, batch_limit: int, timeout: float | None,
                 call_timeout: float | None, payment_expires: timedelta | None, answer_kept: timedelta | None,
                 totals_max_age: float | None, calls_in_flight: int, circuit_rule: CircuitRule,
                 circuit_failures: int, circuit_open: float | None, fraud_rule: FraudRule) -> None:
        adapter = Adapter(provider)
        try:
            handle = native.engine_open(path, storage, adapter.handle, account, livemode, capture_manual,
                                        queue_limit, batch_limit, to_ms(timeout), to_ms(call_timeout),
                                        span_to_ms(payment_expires), span_to_ms(answer_kept),
                                        to_ms(totals_max_age), calls_in_flight, circuit_rule, circuit_failures,
                                        to_ms(circuit_open), fraud_rule)
        except BaseException:
            adapter.release()
            native.storage_free(storage)
            raise
        self._gate = Gate(handle, storage, adapter)
        self._provider = provider
        self._serving: set[int] = set()
        self._finalizer = weakref.finalize(self, self._gate.release)

    # ---- opening and closing -----------------------------------------------------------------------

    @classmethod
    def sqlite(cls, path: str | os.PathLike[str], *, provider: NativeProvider | Provider | None = None,
               account: str = "", livemode: bool = False, capture_manual: bool = False, queue_limit: int = 0,
               batch_limit: int = 0, timeout: float | None = None, call_timeout: float | None = None,
               payment_expires: timedelta | None = None, answer_kept: timedelta | None = None,
               totals_max_age: float | None = None, calls_in_flight: int = 0,
               circuit_rule: CircuitRule = CircuitRule.REJECT, circuit_failures: int = 0,
               circuit_open: float | None = None, fraud_rule: FraudRule = FraudRule.FLAG) -> Engine:
        """Open a book in one SQLite file, created if needed. Mode, provider and account are pinned at the first
        start. Zero and None are the library's defaults; negative ``circuit_failures`` never open the breaker."""
        return cls(file_path(path), None, provider, account, livemode, capture_manual, queue_limit, batch_limit, timeout,
                   call_timeout, payment_expires, answer_kept, totals_max_age, calls_in_flight, circuit_rule,
                   circuit_failures, circuit_open, fraud_rule)

    @classmethod
    def memory(cls, *, provider: NativeProvider | Provider | None = None, account: str = "", livemode: bool = False,
               capture_manual: bool = False, queue_limit: int = 0, batch_limit: int = 0,
               timeout: float | None = None, call_timeout: float | None = None,
               payment_expires: timedelta | None = None, answer_kept: timedelta | None = None,
               totals_max_age: float | None = None, calls_in_flight: int = 0,
               circuit_rule: CircuitRule = CircuitRule.REJECT, circuit_failures: int = 0,
               circuit_open: float | None = None, fraud_rule: FraudRule = FraudRule.FLAG) -> Engine:
        """Open an empty book that lives in this process alone, for tests."""
        return cls(None, native.memory_storage_new(), provider, account, livemode, capture_manual, queue_limit,
                   batch_limit, timeout, call_timeout, payment_expires, answer_kept, totals_max_age,
                   calls_in_flight, circuit_rule, circuit_failures, circuit_open, fraud_rule)

    def close(self) -> None:
        """Refuse new calls, wait for those that run, and close. A repeat does nothing.

        Unfinished work is durable and goes on at the next open.
        """
        if threading.get_ident() in self._serving:
            raise errors.invalid(native.EMISUSE, "", "an engine cannot be closed by the provider it serves")
        self._gate.drain()
        self._finalizer()

    @property
    def closed(self) -> bool:
        return self._gate.shut

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, function: Callable[[Any], _T]) -> _T:
        handle = self._gate.enter()
        try:
            return function(handle)
        finally:
            self._gate.leave()

    def _stoppable(self, function: Callable[[Any, Any], _T]) -> _T:
        """Make a call that takes long: ``close`` and Ctrl-C end it. Its thread keeps the engine open by itself."""
        stop = Stop()

        def work() -> _T:
            handle = self._gate.enter(stop)
            try:
                return function(handle, stop.handle)
            finally:
                self._gate.leave(stop)

        return stop.run(work)

    def _read(self, function: Callable[[Any], Any], read: Callable[[Any], _T], free: Callable[[Any], None]) -> _T:
        """Make a call and turn the handle it returns into a copy."""
        handle = self._gate.enter()
        try:
            made = function(handle)
            try:
                return read(made)
            finally:
                free(made)
        finally:
            self._gate.leave()

    def _command(self, key: str | None, command: Callable[[Any, str], Any], read: Callable[[Any], _T],
                 free: Callable[[Any], None]) -> _T:
        """Make a call under an idempotency key, which an error carries along for the repeat."""
        used = new_key() if key is None else key
        try:
            return self._read(lambda handle: command(handle, used), read, free)
        except errors.CareForAllError as error:
            error.key = used
            raise

    # ---- campaigns -----------------------------------------------------------------------------------

    def create_campaign(self, title: str, currencies: str | Iterable[str], *, goal: Money | None = None,
                        deadline: datetime | None = None, late_rule: LateRule = LateRule.ACCEPT,
                        key: str | None = None, scope: str | None = None, actor: str | None = None,
                        reason: str | None = None, timeout: float | None = None) -> Campaign:
        """Create a campaign, once per (scope, key).

        Without ``key`` the call draws a fresh one, so that a repeat makes another campaign; see ``new_key``.
        ``actor`` and ``reason``, here and elsewhere, are for the audit log, which is never erased.
        """
        return self._command(
            key, lambda handle, used: native.campaign_create(
                handle, used, scope, title, _currencies(currencies), to_pair(goal), to_us(deadline), late_rule,
                actor, reason, to_ms(timeout)),
            Campaign._read, native.campaign_free)

    def update_campaign(self, campaign_id: str, expected_version: int, *, title: str,
                        currencies: str | Iterable[str], goal: Money | None = None,
                        deadline: datetime | None = None, late_rule: LateRule = LateRule.ACCEPT,
                        key: str | None = None, scope: str | None = None, actor: str | None = None,
                        reason: str | None = None, timeout: float | None = None) -> Campaign:
        """Replace a campaign's fields if its version still is ``expected_version``, else ConflictError."""
        return self._command(
            key, lambda handle, used: native.campaign_update(
                handle, campaign_id, expected_version, used, scope, title, _currencies(currencies), to_pair(goal),
                to_us(deadline), late_rule, actor, reason, to_ms(timeout)),
            Campaign._read, native.campaign_free)

    def end_campaign(self, campaign_id: str, expected_version: int, *, key: str | None = None,
                     scope: str | None = None, actor: str | None = None, reason: str | None = None) -> Campaign:
        """End a campaign: no pledge commits after it."""
        return self._command(
            key, lambda handle, used: native.campaign_end(handle, campaign_id, expected_version, scope, used, actor,
                                                          reason),
            Campaign._read, native.campaign_free)

    def campaign(self, campaign_id: str) -> Campaign:
        return self._read(lambda handle: native.campaign_get(handle, campaign_id), Campaign._read,
                          native.campaign_free)

    def campaign_with_totals(self, campaign_id: str) -> tuple[Campaign, Totals]:
        """Read a campaign and its totals from one snapshot."""
        def read(pair: tuple[Any, Any]) -> tuple[Campaign, Totals]:
            return Campaign._read(pair[0]), Totals._read(pair[1])

        def free(pair: tuple[Any, Any]) -> None:
            native.campaign_free(pair[0])
            native.totals_free(pair[1])

        return self._read(lambda handle: native.campaign_get_with_totals(handle, campaign_id), read, free)

    def campaigns(self, *, page_size: int = 100) -> Iterator[Campaign]:
        """All campaigns, oldest first, read page by page."""
        return self._pages(lambda handle, after: native.campaign_page(handle, after, page_size),
                           native.campaign_list_size, native.campaign_list_at, native.campaign_list_next,
                           Campaign._read, native.campaign_list_free)

    def _pages(self, page: Callable[[Any, str | None], Any], size: Callable[[Any], int],
               at: Callable[[Any, int], Any], following: Callable[[Any], str | None], read: Callable[[Any], _T],
               free: Callable[[Any], None]) -> Iterator[_T]:
        after: str | None = None
        while True:
            rows, after = self._read(
                lambda handle: page(handle, after),
                lambda made: ([read(at(made, index)) for index in range(size(made))], following(made)), free)
            yield from rows
            if after is None:
                return

    # ---- pledges and donors -----------------------------------------------------------------------------

    def create_pledge(self, campaign_id: str, amount: Money, *, key: str | None = None, scope: str | None = None,
                      payment_method: str | None = None, donor_reference: str | None = None,
                      donor_name: str | None = None, donor_email: str | None = None,
                      donor_message: str | None = None, visibility: Visibility = Visibility.PUBLIC,
                      wait: Wait = Wait.ANSWER, timeout: float | None = None,
                      traceparent: str | None = None, return_url: str | None = None,
                      cancel_url: str | None = None) -> Pledge:
        """Create a pledge and its payment, once per (scope, key). Durable when it returns.

        Pass the ``key`` that the donor's form was made with: a double click, a retry or a resend then returns
        the same pledge with ``replayed`` set and never charges again. Without it the call draws a fresh key,
        which protects this one call only; an error carries it in ``error.key`` for the repeat.
        ``return_url`` and ``cancel_url`` are where the provider's hosted page sends the donor afterwards.
        """
        return self._command(
            key, lambda handle, used: native.pledge_create(
                handle, used, scope, campaign_id, to_pair(amount), payment_method, donor_reference, donor_name,
                donor_email, donor_message, visibility, wait, to_ms(timeout), traceparent, return_url,
                cancel_url),
            Pledge._read, native.pledge_free)

    def pledge(self, pledge_id: str) -> Pledge:
        return self._read(lambda handle: native.pledge_get(handle, pledge_id), Pledge._read, native.pledge_free)

    def find_pledge(self, key: str, *, scope: str | None = None) -> Pledge:
        """Find the pledge that a key made; PermanentError (CFA_ENOTFOUND) when it made none."""
        return self._read(lambda handle: native.pledge_find(handle, scope, key), Pledge._read,
                          native.pledge_free)

    def pledges(self, campaign_id: str, *, page_size: int = 100) -> Iterator[Pledge]:
        """A campaign's pledges, oldest first, read page by page."""
        return self._pages(lambda handle, after: native.pledge_page(handle, campaign_id, after, page_size),
                           native.pledge_list_size, native.pledge_list_at, native.pledge_list_next, Pledge._read,
                           native.pledge_list_free)

    def erase_donor(self, pledge_id: str, *, actor: str | None = None, reason: str | None = None,
                    timeout: float | None = None) -> None:
        """Erase the personal data of a pledge's donor. Amounts stay."""
        self._call(lambda handle: native.donor_erase(handle, pledge_id, actor, reason, to_ms(timeout)))

    # ---- payments and webhooks ----------------------------------------------------------------------------

    def payment(self, payment_id: str) -> Payment:
        return self._read(lambda handle: native.payment_get(handle, payment_id), Payment._read,
                          native.payment_free)

    def wait_payment(self, payment_id: str, timeout: float = 10.0) -> Payment:
        """Wait until the payment is settled, doing its due work on this thread. Returns it as it stands at the
        end of ``timeout``, settled or not."""
        until = time.monotonic() + timeout
        while True:
            left = until - time.monotonic()
            payment = self._read(
                lambda handle: native.payment_wait(handle, payment_id, to_ms(min(left, _SLICE_SECONDS))),
                Payment._read, native.payment_free)
            if payment.state.settled or left <= _SLICE_SECONDS:
                return payment

    def accept_payment(self, payment_id: str, *, key: str | None = None, scope: str | None = None,
                       actor: str | None = None, reason: str | None = None) -> Payment:
        """Take late money that is held into the totals, for good."""
        return self._command(
            key, lambda handle, used: native.payment_accept(handle, payment_id, scope, used, actor, reason),
            Payment._read, native.payment_free)

    def capture_payment(self, payment_id: str, amount: Money | None = None, *, key: str | None = None,
                        scope: str | None = None, actor: str | None = None, reason: str | None = None,
                        timeout: float | None = None) -> Payment:
        """Capture an authorized payment, in full or in part."""
        return self._command(
            key, lambda handle, used: native.payment_capture(handle, payment_id, to_pair(amount), scope, used,
                                                             actor, reason, to_ms(timeout)),
            Payment._read, native.payment_free)

    def cancel_payment(self, payment_id: str, *, key: str | None = None, scope: str | None = None,
                       actor: str | None = None, reason: str | None = None,
                       timeout: float | None = None) -> Payment:
        """Cancel a payment that is not captured."""
        return self._command(
            key, lambda handle, used: native.payment_cancel(handle, payment_id, scope, used, actor, reason,
                                                            to_ms(timeout)),
            Payment._read, native.payment_free)

    def payment_history(self, payment_id: str) -> list[Transition]:
        """The payment's transitions, oldest first."""
        return self._read(
            lambda handle: native.payment_history(handle, payment_id),
            lambda made: [Transition._read(made, i) for i in range(native.transition_list_size(made))],
            native.transition_list_free)

    def receive_webhook(self, signature: bytes, body: bytes, *, timeout: float | None = None) -> WebhookVerdict:
        """Verify and apply one webhook, given as received. Durable when it returns: acknowledge it."""
        return WebhookVerdict(self._call(
            lambda handle: native.webhook_receive(handle, signature, body, to_ms(timeout))))

    def accept_webhook(self, event: WebhookEvent, *, timeout: float | None = None) -> WebhookVerdict:
        """Apply an event that the host verified itself, for providers written in Python."""
        with event.facts._lent() as facts:
            return WebhookVerdict(self._call(
                lambda handle: native.webhook_accept(handle, event.event_id, event.event_type, event.account,
                                                     event.livemode, event.relevant, facts, event.fetch,
                                                     to_ms(timeout))))

    # ---- refunds and disputes ---------------------------------------------------------------------------------

    def create_refund(self, payment_id: str, amount: Money | None = None, *, key: str | None = None,
                      scope: str | None = None, actor: str | None = None, reason: str | None = None,
                      timeout: float | None = None) -> Refund:
        """Give a payment's money back, all that is left (None) or a part, once per (scope, key).

        Durable when it returns: look at its state. No money goes twice, whoever asks: more than what refunds and
        disputes leave is InvalidError (CFA_ERANGE), nothing left is ConflictError (CFA_ESTATE).
        """
        return self._command(
            key, lambda handle, used: native.refund_create(handle, used, scope, payment_id, to_pair(amount), actor,
                                                           reason, to_ms(timeout)),
            Refund._read, native.refund_free)

    def refund(self, refund_id: str) -> Refund:
        return self._read(lambda handle: native.refund_get(handle, refund_id), Refund._read, native.refund_free)

    def refunds(self, payment_id: str) -> list[Refund]:
        """A payment's refunds, oldest first."""
        return self._read(
            lambda handle: native.refund_list_of(handle, payment_id),
            lambda made: [Refund._read(native.refund_list_at(made, i)) for i in range(native.refund_list_size(made))],
            native.refund_list_free)

    def dispute(self, dispute_id: str) -> Dispute:
        return self._read(lambda handle: native.dispute_get(handle, dispute_id), Dispute._read, native.dispute_free)

    def disputes(self, payment_id: str) -> list[Dispute]:
        """A payment's disputes, oldest first. They come from the provider: none is ever made here."""
        return self._read(
            lambda handle: native.dispute_list_of(handle, payment_id),
            lambda made: [Dispute._read(native.dispute_list_at(made, i))
                          for i in range(native.dispute_list_size(made))],
            native.dispute_list_free)

    # ---- totals and events ----------------------------------------------------------------------------------

    def totals(self, campaign_id: str, *, at_least: int = 0, max_age: float | None = None,
               timeout: float | None = None) -> Totals:
        """What a campaign raised. ``at_least`` is the ``position`` of a result that must be included."""
        return self._read(
            lambda handle: native.totals_get(handle, campaign_id, at_least, to_ms(max_age), to_ms(timeout)),
            Totals._read, native.totals_free)

    def verify_totals(self, campaign_id: str, *, timeout: float | None = None) -> bool:
        """Recompute the totals from the payments' facts and compare."""
        return bool(self._call(lambda handle: native.totals_verify(handle, campaign_id, to_ms(timeout))))

    def events(self, after: int = 0, *, limit: int = 100) -> list[Event]:
        """Events after a position. No cursor moves."""
        return self._read(lambda handle: native.event_page(handle, after, limit), Event._read_list,
                          native.event_list_free)

    def subscribe(self, name: str) -> Subscription:
        """Open the durable subscription ``name``; an earlier reader of that name is fenced off."""
        return Subscription(self, name)

    # ---- cursors and dead letters, for operators ----------------------------------------------------------------

    def cursors(self) -> list[Cursor]:
        """The cursors of all sinks and subscriptions, by name."""
        return list(self._pages(lambda handle, after: native.cursor_page(handle, after, 0), native.cursor_list_size,
                                Cursor._at, native.cursor_list_next, _same, native.cursor_list_free))

    def dead_letters(self, name: str, after: int = 0, *, limit: int = 100) -> list[DeadLetter]:
        """A sink's dead letters behind a position."""
        return self._read(lambda handle: native.letter_page(handle, name, after, limit), DeadLetter._read_list,
                          native.letter_list_free)

    def rewind(self, name: str, position: int, *, expected: int, key: str | None = None, scope: str | None = None,
               actor: str | None = None, reason: str | None = None) -> Cursor:
        """Deliver everything behind ``position`` again; whoever runs the sink starts over there.

        ``expected`` is where the cursor stands, so that nobody rewinds what moved meanwhile: pause a sink that runs.
        """
        return self._command(
            key, lambda handle, used: native.cursor_rewind(handle, name, expected, position, scope, used, actor,
                                                           reason),
            Cursor._read, native.cursor_list_free)

    def requeue(self, name: str, position: int = 0, *, key: str | None = None, scope: str | None = None,
                actor: str | None = None, reason: str | None = None) -> Cursor:
        """Deliver a dead letter again, out of order; 0: all of the sink's. What is refused again stays."""
        return self._command(
            key, lambda handle, used: native.letter_requeue(handle, name, position, scope, used, actor, reason),
            Cursor._read, native.cursor_list_free)

    def pause(self, name: str, reason: str, *, actor: str | None = None) -> Cursor:
        """Stop a sink in every process, also over restarts. A repeat changes nothing."""
        return self._read(lambda handle: native.cursor_pause(handle, name, actor, reason), Cursor._read,
                          native.cursor_list_free)

    def resume(self, name: str, *, actor: str | None = None, reason: str | None = None) -> Cursor:
        """Go on after a pause, whoever paused it. A repeat changes nothing."""
        return self._read(lambda handle: native.cursor_resume(handle, name, actor, reason), Cursor._read,
                          native.cursor_list_free)

    # ---- the audit log ----------------------------------------------------------------------------------------

    def acts(self, after: int = 0, *, limit: int = 100) -> list[Act]:
        """The acts behind a number, oldest first."""
        return self._read(lambda handle: native.act_page(handle, after, limit), Act._read_list, native.act_list_free)

    def verify_acts(self) -> ActReport:
        """Compute the audit log's chain anew. A fault is in the report, no exception."""
        return ActReport._read(self._call(native.act_verify))

    # ---- a book that explains itself --------------------------------------------------------------------------

    def audit(self, campaign_id: str | None = None, *, record: RecordSource | Iterable[ReconcileObject] | None = None,
              since: datetime | None = None, until: datetime | None = None, all_ours: bool = False) -> Audit:
        """Recompute every total, contribution and fact in one snapshot, of the whole book or of one campaign. A
        difference is in the report, no exception. Of a large book it takes minutes: ``close`` and Ctrl-C end it.

        With the provider's ``record`` the whole book is compared with it in the same snapshot; ``since``, ``until`` and
        ``all_ours`` are of it, as in ``reconcile``.
        """
        source = audited(record, since, until, all_ours)

        def work(handle: Any, stop: Any) -> Audit:
            with borrowed(source) as lent_source:
                return Audit._adopt(native.audit_engine(
                    handle, campaign_id, lent_source, to_us(since), to_us(until), all_ours, stop))

        with window_named():
            return self._stoppable(work)

    def explain(self, id: str, *, timeout: float | None = None) -> Story:
        """Tell one donation's story by any of its ids, ours or the provider's."""
        return self._read(lambda handle: native.explain(handle, id, to_ms(timeout)), Story._read, native.story_free)

    def doctor(self, *, deep: bool = False, timeout: float | None = None) -> Checkup:
        """List what is stuck or strange, with the next safe action; ``deep``: however much there is to read."""
        return self._read(lambda handle: native.doctor(handle, deep, to_ms(timeout)), Checkup._read,
                          native.checkup_free)

    def doctor_do(self, code: str, *, deep: bool = False, actor: str | None = None, reason: str | None = None,
                  timeout: float | None = None) -> int:
        """Do the next safe action of a finding; returns how many things were acted on. It never charges or refunds."""
        done: int = self._call(lambda handle: native.doctor_do(handle, code, deep, actor, reason, to_ms(timeout)))
        return done

    # ---- the books against the provider's ----------------------------------------------------------------------

    def reconcile(self, source: RecordSource | Iterable[ReconcileObject], *, since: datetime | None = None,
                  until: datetime | None = None, all_ours: bool = False) -> Reconciliation:
        """Compare the book with the provider's record: a ``Record``, an exported file, or any iterable of objects, which
        is read to its end first. A difference is in the report, no exception.

        What was made here from ``since`` to ``until`` must be in the record; without them, nothing must. ``all_ours``:
        objects that name no payment of ours are missing here, too; else they are only counted.
        """
        with window_named(), lent(source) as record:
            return Reconciliation._adopt(self._call(
                lambda handle: native.reconcile_engine(handle, record, to_us(since), to_us(until), all_ours)))

    def repair(self, source: RecordSource | Iterable[ReconcileObject], *, timeout: float | None = None) -> int:
        """Tell the engine every object of the record that says more than the book knows, as if its webhook came now;
        returns how many told it something. A repeat changes nothing. Begin with ``reconcile``; ``timeout`` is of each
        object."""
        with lent(source) as record:
            done: int = self._call(lambda handle: native.reconcile_repair(handle, record, to_ms(timeout)))
            return done

    def reconcile_live(self, since: datetime, until: datetime | None = None, *, repair: bool = False,
                       all_ours: bool = False, actor: str | None = None, reason: str | None = None,
                       timeout: float | None = None) -> Reconciliation:
        """Compare the book with what its provider created since, and before ``until`` (None: up to ten minutes ago), as
        the provider lists it; with ``repair``, tell the engine what it did not know, and compare again. Without a
        difference it is recorded, as ``record_reconciliation`` does.

        It may take long: an hour, without a ``timeout`` of all of it. ``close`` and Ctrl-C end it. InvalidError
        (CFA_ENOTSUP): the provider lists nothing, as those written in Python; give their objects to ``reconcile``.
        """
        def work(handle: Any, stop: Any) -> Reconciliation:
            report, repaired = native.reconcile_live(handle, to_us(since), to_us(until), repair, all_ours,
                                                     actor, reason, to_ms(timeout), stop)
            return Reconciliation._adopt(report, repaired)

        with window_named():
            return self._stoppable(work)

    def record_reconciliation(self, report: Reconciliation, *, actor: str | None = None, reason: str | None = None,
                              timeout: float | None = None) -> None:
        """Write down that the books were compared: an act, and, without a difference, the time that was found equal,
        until which ``doctor`` takes the books for compared. A repeat with the same report writes nothing."""
        self._call(lambda handle: native.reconcile_record(handle, report._handle, actor, reason, to_ms(timeout)))

    # ---- driving ----------------------------------------------------------------------------------------------

    def tick(self, work: Work = Work.ALL, budget: float = 0.01) -> int:
        """Do due work for about ``budget`` seconds; returns the number of steps done."""
        done: int = self._call(lambda handle: native.engine_tick(handle, work, max(to_ms(budget), 0)))
        return done

    def next_due(self, work: Work = Work.ALL) -> float:
        """Seconds until work is due, at most 1."""
        due: int = self._call(lambda handle: native.engine_next_due_ms(handle, work))
        return due / 1000

    def fileno(self) -> int:
        """A descriptor that is readable when work became due, for ``selectors`` and asyncio; -1 if none."""
        descriptor: int = self._call(native.engine_descriptor)
        return descriptor

    def start_runner(self, work: Work = Work.ALL) -> None:
        """Let two threads of the library do the work until ``stop_runner`` or ``close``."""
        self._call(lambda handle: native.runner_start(handle, work))

    def stop_runner(self) -> None:
        self._call(native.runner_stop)

    def statistics(self) -> dict[str, Any]:
        """Counters and gauges, as described in docs/statistics.md."""
        statistics: dict[str, Any] = json.loads(self._call(native.engine_statistics))
        return statistics

    def serve_provider(self, provider: Provider | None = None, budget: float = 0.0) -> int:
        """Bring the calls that are due to a provider written in Python, for about ``budget`` seconds; 0: those due
        now. Several threads may serve at once. Returns how many calls were made. TransientError: the store could
        not be reached, and the calls stay due."""
        serving = self._provider if provider is None else provider
        if isinstance(serving, NativeProvider) or not isinstance(serving, Provider):
            raise TypeError("serve_provider needs a provider with a method call")
        until = time.monotonic() + budget
        served = 0
        while True:
            left = until - time.monotonic()
            if self._serve_one(serving, to_ms(min(left, _SLICE_SECONDS))):
                served += 1
            elif left <= 0:
                return served

    def _serve_one(self, provider: Provider, timeout_ms: int) -> bool:
        handle = self._gate.enter()
        self._serving.add(threading.get_ident())
        try:
            call = native.call_next(handle, timeout_ms)
            if call is None:
                return False
            try:
                reply = _ask(provider, Request._read(native.pulled_call_view(call)))
                with reply.facts._lent() as facts:
                    native.call_done(handle, call, reply.outcome, reply.stored, facts, reply.client_secret,
                                     reply.code, int(reply.retry_after * 1000), reply.redirect_url,
                                     reply.unavailable, reply.unfinished, 0)
            except errors.ConflictError as error:
                if error.status != native.EFENCED:
                    raise
                _log.warning("provider %s: too late, another host made the call", provider.name)
            finally:
                native.pulled_call_free(call)
            return True
        finally:
            self._serving.discard(threading.get_ident())
            self._gate.leave()


def _ask(provider: Provider, request: Request) -> Reply:
    """Make one call. Whatever goes wrong in it, the honest answer is that nobody knows."""
    try:
        reply = provider.call(request)
        if not isinstance(reply, Reply):
            raise TypeError(f"a provider answers with careforall.Reply, not {type(reply).__name__}")
        with reply.facts._lent():   # what cannot be told raises here
            return reply
    except Exception:
        _log.exception("provider %s: the call %s is in doubt", provider.name, request.operation_id)
        return Reply()
