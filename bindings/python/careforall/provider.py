"""Payment providers: one written in Python, whose calls are pulled, and the play provider."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from . import native
from .models import DisputeState, RefundState
from .money import Money, from_pair, to_pair
from .times import maybe_from_us, to_us

if TYPE_CHECKING:
    from .engine import Engine

__all__ = [
    "Books", "CallKind", "DisputeFacts", "Fact", "Facts", "Outcome", "PlayFault", "PlayProvider", "Provider",
    "RefundFacts", "Reply", "Request", "WebhookEvent",
]


class CallKind(IntEnum):
    CREATE = native.CALL_CREATE
    CAPTURE = native.CALL_CAPTURE
    CANCEL = native.CALL_CANCEL
    RETRIEVE = native.CALL_RETRIEVE
    LOOKUP = native.CALL_LOOKUP
    REFUND = native.CALL_REFUND


class Outcome(IntEnum):
    """What became of a call. UNKNOWN is the safe reading, and the default."""

    UNKNOWN = native.OUTCOME_UNKNOWN
    DONE = native.OUTCOME_DONE
    PENDING = native.OUTCOME_PENDING
    REFUSED = native.OUTCOME_REFUSED
    NOT_SENT = native.OUTCOME_NOT_SENT


class Fact(IntFlag):
    NONE = 0
    SUCCEEDED = native.FACT_SUCCEEDED
    CANCELED = native.FACT_CANCELED
    EXPIRED = native.FACT_EXPIRED
    FRAUD_WARNING = native.FACT_FRAUD_WARNING
    NEEDS_ACTION = native.FACT_NEEDS_ACTION
    PROCESSING = native.FACT_PROCESSING
    FAILED = native.FACT_FAILED
    SETTLED = native.FACT_SETTLED


@dataclass(frozen=True, slots=True)
class RefundFacts:
    """One refund of a payment, told apart by ``ref``, the provider's id of it. ``refund_id`` is our id, as the provider
    echoes it: with every report of a refund that was asked for, or with none."""

    ref: str
    amount: Money
    state: RefundState
    refund_id: str | None = None
    failure_code: str | None = None
    occurred: datetime | None = None


@dataclass(frozen=True, slots=True)
class DisputeFacts:
    """One dispute of a payment: its state, and apart from it the most that was ever taken and given back."""

    ref: str
    amount: Money
    state: DisputeState
    withdrawn_minor: int = 0
    reinstated_minor: int = 0
    fee: Money | None = None
    reason: str | None = None
    evidence_due: datetime | None = None
    occurred: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the provider knows about a payment. Facts only grow, so their order does not matter. ``origin_ref``
    is the object that ``ref`` grew out of, such as the hosted page that the payment was made on. ``refunds`` and
    ``disputes`` are those that the report names; ``fee`` is what the provider keeps, once it is known."""

    ref: str | None = None
    payment_id: str | None = None
    amount: Money | None = None
    flags: Fact = Fact.NONE
    authorized_minor: int = 0
    captured_minor: int = 0
    attempt: int = 0
    occurred: datetime | None = None
    failure_code: str | None = None
    cancel_reason: str | None = None
    origin_ref: str | None = None
    refunds: Sequence[RefundFacts] = ()
    disputes: Sequence[DisputeFacts] = ()
    fee: Money | None = None

    @contextmanager
    def _lent(self) -> Iterator[Any]:
        """The facts as C has them, until the end of the block."""
        handle = native.facts_new(
            self.ref, self.payment_id, to_pair(self.amount), int(self.flags), self.authorized_minor,
            self.captured_minor, self.attempt, to_us(self.occurred), self.failure_code, self.cancel_reason,
            self.origin_ref, to_pair(self.fee))
        try:
            for refund in self.refunds:
                native.facts_refund(handle, refund.ref, refund.refund_id, to_pair(refund.amount), refund.state,
                                    refund.failure_code, to_us(refund.occurred))
            for dispute in self.disputes:
                native.facts_dispute(handle, dispute.ref, to_pair(dispute.amount), dispute.state,
                                     dispute.withdrawn_minor, dispute.reinstated_minor, to_pair(dispute.fee),
                                     dispute.reason, to_us(dispute.evidence_due), to_us(dispute.occurred))
            yield handle
        finally:
            native.facts_free(handle)


@dataclass(frozen=True, slots=True)
class Request:
    """One provider call. ``body`` was fixed before the call was committed: equal for every repeat, as is
    ``idempotency_key``."""

    kind: CallKind
    operation_id: str
    payment_id: str
    idempotency_key: str
    account: str
    ref: str | None
    amount: Money | None
    payment_method: str | None
    capture_manual: bool
    body: bytes
    created_from: datetime | None
    created_until: datetime | None
    now: datetime | None
    timeout: float
    refund_id: str | None = None   #: REFUND: our id of it, for the provider's metadata

    @property
    def return_url(self) -> str | None:
        """Where a hosted page sends the donor afterwards; as ``cancel_url``, it stands in the ``body`` of a CREATE."""
        return self._page("return_url")

    @property
    def cancel_url(self) -> str | None:
        return self._page("cancel_url")

    def _page(self, name: str) -> str | None:
        url: str | None = json.loads(self.body)[name] if self.kind == CallKind.CREATE else None
        return url

    @classmethod
    def _read(cls, view: tuple[Any, ...]) -> Request:
        (kind, operation_id, payment_id, key, account, ref, amount, method, manual, body, created_from,
         created_until, now, timeout_ms, refund_id) = view
        return cls(CallKind(kind), operation_id, payment_id, key, account, ref, from_pair(amount), method,
                   manual, body, maybe_from_us(created_from), maybe_from_us(created_until), maybe_from_us(now),
                   timeout_ms / 1000, refund_id)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a provider answered. Without arguments: nobody knows, so it will be asked again. ``redirect_url`` is its
    hosted page; ``unavailable``, that it could not be reached or was too busy, counts for the circuit breaker. ``unfinished``, of a LOOKUP that is
    UNKNOWN: it only ran out of time, and the next one goes on from there."""

    outcome: Outcome = Outcome.UNKNOWN
    facts: Facts = field(default_factory=Facts)
    client_secret: str | None = None
    code: str | None = None
    stored: bool = False
    retry_after: float = 0
    redirect_url: str | None = None
    unavailable: bool = False
    unfinished: bool = False


@runtime_checkable
class Provider(Protocol):
    """A payment provider written in Python; ``Engine.serve_provider`` brings it the calls that are due.

    ``name`` becomes part of every provider key: never change it. Three attributes are optional: ``two_step`` (True:
    the donor confirms after the create), ``lookup_authoritative`` (False: a LOOKUP that finds nothing proves
    nothing) and ``reads_reversals`` (False: a RETRIEVE may leave out refunds and disputes that exist). An
    exception from ``call`` counts as UNKNOWN: it may have happened.
    """

    name: str

    def call(self, request: Request) -> Reply: ...


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """An event that the host verified itself, for ``Engine.accept_webhook``. ``fetch``: its facts only name the
    object, whose state is to be read."""

    event_id: str
    event_type: str
    facts: Facts = field(default_factory=Facts)
    account: str = ""
    livemode: bool = False
    relevant: bool = True
    fetch: bool = False


class PlayFault(IntEnum):
    NONE = native.PLAY_FAULT_NONE
    REPLY_LOST = native.PLAY_FAULT_REPLY_LOST
    REQUEST_LOST = native.PLAY_FAULT_REQUEST_LOST
    ERROR_AFTER = native.PLAY_FAULT_ERROR_AFTER
    ERROR_BEFORE = native.PLAY_FAULT_ERROR_BEFORE
    NOT_SENT = native.PLAY_FAULT_NOT_SENT
    REFUSED = native.PLAY_FAULT_REFUSED


@dataclass(frozen=True, slots=True)
class Books:
    """The play provider's ground truth; ``charged_twice`` and ``refunded_twice`` must be 0."""

    intents: int
    charges: int
    charged_twice: int
    calls: int
    webhooks_pending: int
    refunds: int
    refunded_twice: int
    disputes: int


class NativeProvider:
    """A provider that the library brings: ``PlayProvider``, ``careforall.stripe.StripeProvider``."""

    _adapter: Any

    def _lend(self) -> None:
        """An engine begins to use it."""

    def _take_back(self) -> None:
        """That engine is closed."""


class PlayProvider(NativeProvider):
    """A provider inside the process, for tests and for trying things out. No money moves.

    Payment methods: ``pm_ok``, ``pm_declined``, ``pm_funds``, ``pm_action`` (see ``act``), ``pm_slow`` (see
    ``settle``). Lives as long as an engine uses it.
    """

    def __init__(self, *, seed: int = 0, one_step: bool = False, lookup_authoritative: bool = True,
                 webhook_secret: str | None = None) -> None:
        self._handle = native.play_new(seed, one_step, not lookup_authoritative, 0, webhook_secret)
        weakref.finalize(self, native.play_free, self._handle).atexit = False   # engines may still run then
        self._adapter = native.play_provider(self._handle)

    def confirm(self, client_secret: str, payment_method: str = "pm_ok") -> None:
        """Confirm an intent as the donor's browser would. PermanentError when declined."""
        native.play_confirm(self._handle, client_secret, payment_method)

    def act(self, client_secret: str, *, approve: bool = True) -> None:
        """Finish what ``pm_action`` asked for."""
        native.play_act(self._handle, client_secret, approve)

    def settle(self, ref: str, *, succeed: bool = True) -> None:
        """Finish what ``pm_slow`` left processing."""
        native.play_settle(self._handle, ref, succeed)

    def expire(self, ref: str) -> None:
        """Let an unpaid intent or an uncaptured hold run out."""
        native.play_expire(self._handle, ref)

    def refund_next(self, state: RefundState) -> None:
        """Let the next refund that is asked for begin in ``state``; then all succeed at once again."""
        native.play_refund_next(self._handle, state)

    def refund(self, ref: str, *, amount_minor: int = 0, state: RefundState = RefundState.SUCCEEDED,
               failure_code: str | None = None) -> str:
        """Refund a payment by hand, as at the provider's own desk (``ref``: the payment's; 0: all that is left), or
        move a refund on (``ref``: its own). Returns the refund's ``ref``."""
        made: str = native.play_refund(self._handle, ref, amount_minor, state, failure_code)
        return made

    def dispute(self, ref: str, *, state: DisputeState | None = None, amount_minor: int = 0, withdrawn_minor: int = 0,
                reinstated_minor: int = 0, fee: Money | None = None, reason: str | None = None,
                evidence_due: datetime | None = None) -> str:
        """Let the donor's bank dispute a payment (``ref``: the payment's), or carry a dispute on (``ref``: its own).
        What is left out stays as it is; a new one is OPEN, over all that was captured. Returns the dispute's ``ref``."""
        made: str = native.play_dispute(self._handle, ref, state or 0, amount_minor, withdrawn_minor, reinstated_minor,
                                        to_pair(fee), reason, to_us(evidence_due))
        return made

    def fee(self, ref: str, fee: Money) -> None:
        """Let become known, once, what the provider keeps of a captured payment."""
        native.play_fee(self._handle, ref, to_pair(fee))

    def fraud_warning(self, ref: str) -> None:
        """Let the card's issuer suspect fraud, once. No money moves."""
        native.play_fraud_warning(self._handle, ref)

    def payout(self) -> int:
        """Pay out, once, every payment that is captured in full; returns how many. Nobody is told: a live reconciliation
        finds it."""
        paid: int = native.play_payout(self._handle)
        return paid

    def fault_next(self, fault: PlayFault) -> None:
        """Make the next call that has no fault yet go wrong."""
        native.play_fault_next(self._handle, fault)

    def weather(self, *, reply_lost_ppm: int = 0, request_lost_ppm: int = 0, error_after_ppm: int = 0,
                error_before_ppm: int = 0, not_sent_ppm: int = 0, webhook_lost_ppm: int = 0,
                webhook_duplicated_ppm: int = 0, webhook_reordered_ppm: int = 0, delay_ms_max: int = 0) -> None:
        """Set the rates of misfortune, in parts per million."""
        native.play_weather_set(self._handle, reply_lost_ppm, request_lost_ppm, error_after_ppm,
                                error_before_ppm, not_sent_ppm, webhook_lost_ppm, webhook_duplicated_ppm,
                                webhook_reordered_ppm, delay_ms_max)

    def deliver(self, engine: Engine, limit: int = 0) -> int:
        """Deliver pending webhooks to an engine as HTTP would; returns how many."""
        delivered: int = engine._call(lambda handle: native.play_deliver(self._handle, handle, limit))
        return delivered

    def take_webhook(self) -> tuple[bytes, bytes] | None:
        """Take the next pending webhook's signature and body instead of delivering it."""
        signature, body = native.play_webhook_take(self._handle)
        return None if body is None else (signature.encode(), body.encode())

    def sign(self, body: bytes, at: datetime) -> bytes:
        """Sign any body, for tests."""
        signature: str = native.play_sign(self._handle, body, to_us(at))
        return signature.encode()

    @property
    def books(self) -> Books:
        return Books(*native.play_books_get(self._handle))

    def charges(self, payment_id: str) -> int:
        """The number of successful charges of one payment."""
        count: int = native.play_payment(self._handle, payment_id)
        return count


class Adapter:
    """What an engine holds of its provider: the native adapter, and whatever keeps that alive."""

    def __init__(self, provider: NativeProvider | Provider | None) -> None:
        self.owner = provider
        if provider is None:
            self.handle = None
        elif isinstance(provider, NativeProvider):
            provider._lend()
            self.handle = provider._adapter
        elif isinstance(provider, Provider):
            capabilities = native.PROVIDER_TWO_STEP if getattr(provider, "two_step", True) else 0
            if getattr(provider, "lookup_authoritative", False):
                capabilities |= native.PROVIDER_LOOKUP_AUTHORITATIVE
            if getattr(provider, "reads_reversals", False):
                capabilities |= native.PROVIDER_READS_REVERSALS
            self.handle = native.provider_new(provider.name, capabilities)
            weakref.finalize(self, native.provider_free, self.handle).atexit = False
        else:
            raise TypeError(f"a provider has a name and a method call, {type(provider).__name__} has not")

    def release(self) -> None:
        """The engine does not use it any more. Called once."""
        if isinstance(self.owner, NativeProvider):
            self.owner._take_back()
        self.owner = None
