"""Snapshots: immutable copies of what the engine knew at one moment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, IntFlag
from typing import Any

from . import native
from .money import Money, from_pair
from .times import from_us, maybe_from_us

__all__ = [
    "Act", "ActFault", "ActReport", "Audit", "Campaign", "CampaignState", "Checkup", "CircuitRule", "Cursor",
    "CursorState", "DeadLetter", "Dispute", "DisputeState", "Event", "Finding", "LateRule", "Payment", "PaymentFlag",
    "PaymentState", "Pledge", "Refund", "RefundOrigin", "RefundState", "Story", "Totals", "TotalsRow", "Transition", "Visibility", "Wait", "WebhookVerdict", "Work",
]


class CampaignState(IntEnum):
    OPEN = native.CAMPAIGN_OPEN
    ENDED = native.CAMPAIGN_ENDED


class LateRule(IntEnum):
    """What becomes of money that is captured after the campaign's end, or after a cancel or expiry."""

    ACCEPT = native.LATE_ACCEPT
    REFUSE = native.LATE_REFUSE   #: unpaid payments are cancelled; paid money still counts
    REFUND = native.LATE_REFUND   #: as REFUSE, and money that comes all the same is given back
    HOLD = native.LATE_HOLD       #: it is held, in no total, until ``Engine.accept_payment`` or a refund


class CircuitRule(IntEnum):
    """What happens to a pledge while the provider's circuit breaker is open."""

    REJECT = native.CIRCUIT_REJECT   #: kept; CircuitOpenError, and only the same key makes the provider call
    QUEUE = native.CIRCUIT_QUEUE     #: pending; the provider call follows by itself


class FraudRule(IntEnum):
    """What happens when a card's issuer suspects fraud of money that was taken."""

    FLAG = native.FRAUD_FLAG       #: the payment's flag; a person decides
    REFUND = native.FRAUD_REFUND   #: what is left goes back as well, once, unless a dispute is known


class PaymentState(IntEnum):
    PENDING = native.PAYMENT_PENDING
    REQUIRES_ACTION = native.PAYMENT_REQUIRES_ACTION
    PROCESSING = native.PAYMENT_PROCESSING
    AUTHORIZED = native.PAYMENT_AUTHORIZED
    CAPTURED = native.PAYMENT_CAPTURED
    COMPLETED = native.PAYMENT_COMPLETED
    FAILED = native.PAYMENT_FAILED
    CANCELED = native.PAYMENT_CANCELED
    EXPIRED = native.PAYMENT_EXPIRED

    @property
    def settled(self) -> bool:
        """True when waiting longer would bring nothing. FAILED is soft: a later success wins."""
        return self in _SETTLED


_SETTLED = frozenset({PaymentState.COMPLETED, PaymentState.FAILED, PaymentState.CANCELED, PaymentState.EXPIRED})


class PaymentFlag(IntFlag):
    UNKNOWN = native.PAYMENT_FLAG_UNKNOWN
    CONFLICT = native.PAYMENT_FLAG_CONFLICT
    SETTLED = native.PAYMENT_FLAG_SETTLED
    LATE = native.PAYMENT_FLAG_LATE
    FRAUD_WARNING = native.PAYMENT_FLAG_FRAUD_WARNING
    HELD = native.PAYMENT_FLAG_HELD


class RefundState(IntEnum):
    """FAILED is for ever, even after SUCCEEDED: the money did not reach the donor and is ours again."""

    REQUESTED = native.REFUND_REQUESTED
    PENDING = native.REFUND_PENDING
    REQUIRES_ACTION = native.REFUND_REQUIRES_ACTION
    SUCCEEDED = native.REFUND_SUCCEEDED
    FAILED = native.REFUND_FAILED
    CANCELED = native.REFUND_CANCELED
    REJECTED = native.REFUND_REJECTED


class RefundOrigin(IntEnum):
    """Who made a refund: ``create_refund``, somebody at the provider, the campaign's late rule or the fraud rule."""

    ASKED = native.REFUND_ASKED
    EXTERNAL = native.REFUND_EXTERNAL
    LATE = native.REFUND_LATE
    FRAUD = native.REFUND_FRAUD


class DisputeState(IntEnum):
    """In the order in which they can follow each other: the furthest that was reported is the state."""

    INQUIRY = native.DISPUTE_INQUIRY
    INQUIRY_CLOSED = native.DISPUTE_INQUIRY_CLOSED
    OPEN = native.DISPUTE_OPEN
    UNDER_REVIEW = native.DISPUTE_UNDER_REVIEW
    PREVENTED = native.DISPUTE_PREVENTED
    WON = native.DISPUTE_WON
    LOST = native.DISPUTE_LOST


class CursorState(IntEnum):
    """Whether a cursor moves. STOPPED: by its sink's own failure, which an engine that opens tries once more."""

    RUNS = native.CURSOR_RUNS
    PAUSED = native.CURSOR_PAUSED
    STOPPED = native.CURSOR_STOPPED


class ActFault(IntEnum):
    """What is wrong with the audit log."""

    NONE = native.ACT_NONE
    ALTERED = native.ACT_ALTERED
    UNLINKED = native.ACT_UNLINKED
    MISSING = native.ACT_MISSING
    ADDED = native.ACT_ADDED
    HEAD = native.ACT_HEAD

    @property
    def text(self) -> str:
        text: str = native.act_fault_text(self)
        return text


class Visibility(IntEnum):
    PUBLIC = native.VISIBILITY_PUBLIC
    OWNER = native.VISIBILITY_OWNER
    HIDDEN = native.VISIBILITY_HIDDEN


class Wait(IntEnum):
    """How far ``create_pledge`` waits."""

    ANSWER = native.WAIT_ANSWER
    COMMIT = native.WAIT_COMMIT
    PAID = native.WAIT_PAID


class WebhookVerdict(IntEnum):
    APPLIED = native.WEBHOOK_APPLIED
    DUPLICATE = native.WEBHOOK_DUPLICATE
    STALE = native.WEBHOOK_STALE
    PARKED = native.WEBHOOK_PARKED
    IGNORED = native.WEBHOOK_IGNORED
    QUARANTINED = native.WEBHOOK_QUARANTINED
    CONTRADICTION = native.WEBHOOK_CONTRADICTION


class Work(IntFlag):
    """What a tick or the runner may do. NO_COMMIT is no work: it leaves every commit to other threads."""

    COMMANDS = native.WORK_COMMANDS
    CALLS = native.WORK_CALLS
    TOTALS = native.WORK_TOTALS
    RELAY = native.WORK_RELAY
    UPKEEP = native.WORK_UPKEEP
    ALL = native.WORK_ALL
    NO_COMMIT = native.WORK_NO_COMMIT


@dataclass(frozen=True, slots=True)
class Campaign:
    id: str
    title: str
    currencies: tuple[str, ...]
    goal: Money | None
    deadline: datetime | None
    late_rule: LateRule
    state: CampaignState
    version: int
    created: datetime
    updated: datetime
    replayed: bool
    position: int

    @classmethod
    def _read(cls, handle: Any) -> Campaign:
        return cls(
            id=native.campaign_id(handle),
            title=native.campaign_title(handle),
            currencies=tuple(native.campaign_currencies(handle).split(",")),
            goal=from_pair(native.campaign_goal(handle)),
            deadline=maybe_from_us(native.campaign_deadline_us(handle)),
            late_rule=LateRule(native.campaign_late_rule(handle)),
            state=CampaignState(native.campaign_state_of(handle)),
            version=native.campaign_version(handle),
            created=from_us(native.campaign_created_us(handle)),
            updated=from_us(native.campaign_updated_us(handle)),
            replayed=bool(native.campaign_replayed(handle)),
            position=native.campaign_position(handle),
        )


@dataclass(frozen=True, slots=True)
class Pledge:
    """A promise and its payment. ``answer`` is fixed once: equal bytes for every repeat of the key. The donor
    pays with ``client_secret`` in the host's page, or at ``redirect_url``, the provider's."""

    id: str
    campaign_id: str
    payment_id: str
    amount: Money
    state: PaymentState
    created: datetime
    donor_id: str | None
    donor_name: str | None
    donor_email: str | None
    donor_message: str | None
    visibility: Visibility
    replayed: bool
    pending: bool
    answer: bytes
    client_secret: str | None
    redirect_url: str | None
    position: int

    @classmethod
    def _read(cls, handle: Any) -> Pledge:
        return cls(
            id=native.pledge_id(handle),
            campaign_id=native.pledge_campaign_id(handle),
            payment_id=native.pledge_payment_id(handle),
            amount=Money._trusted(*native.pledge_amount(handle)),
            state=PaymentState(native.pledge_state(handle)),
            created=from_us(native.pledge_created_us(handle)),
            donor_id=native.pledge_donor_id(handle),
            donor_name=native.pledge_donor_name(handle),
            donor_email=native.pledge_donor_email(handle),
            donor_message=native.pledge_donor_message(handle),
            visibility=Visibility(native.pledge_visibility(handle)),
            replayed=bool(native.pledge_replayed(handle)),
            pending=bool(native.pledge_pending(handle)),
            answer=native.pledge_answer(handle),
            client_secret=native.pledge_client_secret(handle),
            redirect_url=native.pledge_redirect_url(handle),
            position=native.pledge_position(handle),
        )


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment at the provider. ``refunded`` counts refunds that are under way or done, ``disputed`` what disputes
    hold now; ``refundable`` may still be given back. ``fee`` is the provider's, in the currency it settles in; None
    while it is not known."""

    id: str
    pledge_id: str
    campaign_id: str
    state: PaymentState
    flags: PaymentFlag
    amount: Money
    authorized: Money
    captured: Money
    refunded: Money
    disputed: Money
    refundable: Money
    fee: Money | None
    ref: str | None
    failure_code: str | None
    sequence: int
    created: datetime
    updated: datetime
    position: int

    @property
    def held(self) -> bool:
        """True for late money that its campaign's rule holds: it is in no total."""
        return PaymentFlag.HELD in self.flags

    @classmethod
    def _read(cls, handle: Any) -> Payment:
        return cls(
            id=native.payment_id(handle),
            pledge_id=native.payment_pledge_id(handle),
            campaign_id=native.payment_campaign_id(handle),
            state=PaymentState(native.payment_state_of(handle)),
            flags=PaymentFlag(native.payment_flags(handle)),
            amount=Money._trusted(*native.payment_amount(handle)),
            authorized=Money._trusted(*native.payment_authorized(handle)),
            captured=Money._trusted(*native.payment_captured(handle)),
            refunded=Money._trusted(*native.payment_refunded(handle)),
            disputed=Money._trusted(*native.payment_disputed(handle)),
            refundable=Money._trusted(*native.payment_refundable(handle)),
            fee=from_pair(native.payment_fee(handle)),
            ref=native.payment_ref(handle),
            failure_code=native.payment_failure_code(handle),
            sequence=native.payment_sequence(handle),
            created=from_us(native.payment_created_us(handle)),
            updated=from_us(native.payment_updated_us(handle)),
            position=native.payment_position(handle),
        )


@dataclass(frozen=True, slots=True)
class Refund:
    """Money that goes back to a donor. ``ref`` is the provider's id of it, ``failure_code`` the provider's words."""

    id: str
    payment_id: str
    amount: Money
    state: RefundState
    origin: RefundOrigin
    ref: str | None
    failure_code: str | None
    reason: str | None
    created: datetime
    updated: datetime
    replayed: bool
    position: int

    @classmethod
    def _read(cls, handle: Any) -> Refund:
        return cls(
            id=native.refund_id(handle),
            payment_id=native.refund_payment_id(handle),
            amount=Money._trusted(*native.refund_amount(handle)),
            state=RefundState(native.refund_state_of(handle)),
            origin=RefundOrigin(native.refund_origin_of(handle)),
            ref=native.refund_ref(handle),
            failure_code=native.refund_failure_code(handle),
            reason=native.refund_reason(handle),
            created=from_us(native.refund_created_us(handle)),
            updated=from_us(native.refund_updated_us(handle)),
            replayed=bool(native.refund_replayed(handle)),
            position=native.refund_position(handle),
        )


@dataclass(frozen=True, slots=True)
class Dispute:
    """Money that a donor's bank asks back. What was withdrawn and reinstated is told apart from the state.

    ``evidence_due`` is until when it can be answered, None when that was not told.
    """

    id: str
    payment_id: str
    ref: str
    amount: Money
    state: DisputeState
    withdrawn: Money
    reinstated: Money
    fee: Money | None
    reason: str | None
    evidence_due: datetime | None
    created: datetime
    updated: datetime

    @classmethod
    def _read(cls, handle: Any) -> Dispute:
        return cls(
            id=native.dispute_id(handle),
            payment_id=native.dispute_payment_id(handle),
            ref=native.dispute_ref(handle),
            amount=Money._trusted(*native.dispute_amount(handle)),
            state=DisputeState(native.dispute_state_of(handle)),
            withdrawn=Money._trusted(*native.dispute_withdrawn(handle)),
            reinstated=Money._trusted(*native.dispute_reinstated(handle)),
            fee=from_pair(native.dispute_fee(handle)),
            reason=native.dispute_reason(handle),
            evidence_due=maybe_from_us(native.dispute_evidence_due_us(handle)),
            created=from_us(native.dispute_created_us(handle)),
            updated=from_us(native.dispute_updated_us(handle)),
        )


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of a payment; ``before`` is None for its first. ``rule`` is a row of docs/payment-states.md."""

    before: PaymentState | None
    after: PaymentState
    rule: str
    implied: bool
    at: datetime

    @classmethod
    def _read(cls, handle: Any, index: int) -> Transition:
        before = native.transition_from(handle, index)
        return cls(
            before=PaymentState(before) if before else None,
            after=PaymentState(native.transition_to(handle, index)),
            rule=native.transition_rule(handle, index),
            implied=bool(native.transition_implied(handle, index)),
            at=from_us(native.transition_at_us(handle, index)),
        )


@dataclass(frozen=True, slots=True)
class TotalsRow:
    """One currency's numbers; net = raised - refunded - disputed."""

    currency: str
    pledged: Money
    authorized: Money
    raised: Money
    refunded: Money
    disputed: Money
    net: Money
    donations: int
    donors: int

    @classmethod
    def _read(cls, row: tuple[Any, ...]) -> TotalsRow:
        currency = row[0]
        pledged, authorized, raised, refunded, disputed, net = (
            Money._trusted(minor, currency) for minor in row[1:7])
        return cls(currency, pledged, authorized, raised, refunded, disputed, net, row[7], row[8])


@dataclass(frozen=True, slots=True)
class Totals(Mapping[str, TotalsRow]):
    """What a campaign raised: a mapping from currency to its row, in alphabetical order."""

    campaign_id: str
    position: int
    version: int
    as_of: datetime
    stale: bool
    rows: tuple[TotalsRow, ...]

    def __getitem__(self, currency: str) -> TotalsRow:
        for row in self.rows:
            if row.currency == currency:
                return row
        raise KeyError(currency)

    def __iter__(self) -> Iterator[str]:
        return (row.currency for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def _read(cls, handle: Any) -> Totals:
        return cls(
            campaign_id=native.totals_campaign_id(handle),
            position=native.totals_position(handle),
            version=native.totals_version(handle),
            as_of=from_us(native.totals_as_of_us(handle)),
            stale=bool(native.totals_stale(handle)),
            rows=tuple(TotalsRow._read(native.totals_at(handle, i)) for i in range(native.totals_size(handle))),
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it stands in the log; CloudEvents 1.0 names. ``data`` is JSON, byte for byte."""

    position: int
    source: str
    id: str
    type: str
    subject: str
    sequence: int
    time: datetime
    traceparent: str | None
    data: bytes

    def json(self) -> Any:
        return json.loads(self.data)

    @classmethod
    def _read_list(cls, handle: Any) -> list[Event]:
        events = []
        for index in range(native.event_list_size(handle)):
            (position, source, id_, type_, subject, sequence, time_us, traceparent,
             data) = native.event_list_at(handle, index)
            events.append(cls(position, source, id_, type_, subject, sequence, from_us(time_us), traceparent, data))
        return events


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a sink or subscription has come in the log, as it stood when it was read.

    ``name`` is a sink's, "totals" of the projector, "sub.NAME" of a subscription. Everything up to ``acknowledged``
    was delivered, or is a dead letter; ``oldest`` is when the first event behind that was made. ``replayed`` is of a
    command whose key was used before: nothing was done now.
    """

    name: str
    head: int
    acknowledged: int
    lag: int
    oldest: datetime | None
    epoch: int
    owned: bool
    state: CursorState
    reason: str | None
    paused: datetime | None
    updated: datetime | None
    refused: int
    refused_tries: int
    dead_count: int
    requeued_count: int
    replayed: bool = False

    @classmethod
    def _at(cls, handle: Any, index: int, replayed: bool = False) -> Cursor:
        (name, head, acknowledged, lag, oldest_us, epoch, owned, state, reason, paused_us, updated_us, refused,
         refused_tries, dead_count, requeued_count) = native.cursor_list_at(handle, index)
        return cls(name, head, acknowledged, lag, maybe_from_us(oldest_us), epoch, owned, CursorState(state), reason,
                   maybe_from_us(paused_us), maybe_from_us(updated_us), refused, refused_tries, dead_count,
                   requeued_count, replayed)

    @classmethod
    def _read(cls, handle: Any) -> Cursor:
        return cls._at(handle, 0, bool(native.cursor_list_replayed(handle)))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a sink refused, set aside. ``code`` and ``reason`` are the sink's own, of the newest refusal."""

    position: int
    event_id: str
    event_type: str
    subject: str
    tries: int
    code: int
    reason: str | None
    first: datetime
    last: datetime
    requeued: bool

    @classmethod
    def _read_list(cls, handle: Any) -> list[DeadLetter]:
        letters = []
        for index in range(native.letter_list_size(handle)):
            (position, event_id, event_type, subject, tries, code, reason, first_us, last_us,
             requeued) = native.letter_list_at(handle, index)
            letters.append(cls(position, event_id, event_type, subject, tries, code, reason, from_us(first_us),
                               from_us(last_us), requeued))
        return letters


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did other than giving: ``actor`` and ``reason`` as the host said, ``before`` and ``after`` as JSON.

    Each act holds the hash of the one before it.
    """

    number: int
    action: str
    subject: str
    actor: str | None
    reason: str | None
    before: str | None
    after: str | None
    created: datetime
    previous_hash: str | None
    hash: str

    @classmethod
    def _read_list(cls, handle: Any) -> list[Act]:
        acts = []
        for index in range(native.act_list_size(handle)):
            (number, action, subject, actor, reason, before, after, created_us, previous_hash,
             hash_) = native.act_list_at(handle, index)
            acts.append(cls(number, action, subject, actor, reason, before, after, from_us(created_us), previous_hash,
                            hash_))
        return acts


@dataclass(frozen=True, slots=True)
class ActReport:
    """What a check of the audit log found: the first fault in order of numbers, and the act it is about (0: none).

    ``head_hash`` is of the newest act: kept elsewhere, it also proves the log against those who can write to the
    database.
    """

    count: int
    head_count: int
    head_agrees: bool
    fault: ActFault
    number: int
    head_hash: str

    @classmethod
    def _read(cls, made: tuple[Any, ...]) -> ActReport:
        count, head_count, head_agrees, fault, number, head_hash = made
        return cls(count, head_count, head_agrees, ActFault(fault), number, head_hash)


@dataclass(frozen=True, slots=True)
class Audit:
    """The books recomputed. ``differences`` counts all of them, 0: the books are clean. ``text`` is for people."""

    differences: int
    position: int
    data: str
    text: str

    def json(self) -> Any:
        """The whole report, causes before what follows from them; docs/audit.md."""
        return json.loads(self.data)

    @classmethod
    def _adopt(cls, handle: Any) -> Audit:
        try:
            return cls(native.audit_differences(handle), native.audit_position(handle), native.audit_json(handle),
                       native.audit_text(handle))
        finally:
            native.audit_free(handle)


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that is known about one donation, for a terminal, as JSON, and as a page that loads nothing."""

    payment_id: str | None
    data: str
    text: str
    html: str

    def json(self) -> Any:
        """The members are in docs/explain.md; more may come."""
        return json.loads(self.data)

    @classmethod
    def _read(cls, handle: Any) -> Story:
        return cls(native.story_payment_id(handle), native.story_write(handle, native.EXPLAIN_JSON),
                   native.story_write(handle, native.EXPLAIN_TEXT), native.story_write(handle, native.EXPLAIN_HTML))


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is stuck or strange. ``count`` counts all that it is about, ``ids`` are the first of them.

    ``age`` is of the oldest, None without one. ``safe``: ``Engine.doctor_do`` does the next ``action``.
    """

    code: str
    severity: str
    count: int
    ids: tuple[str, ...]
    age: timedelta | None
    text: str
    action: str
    safe: bool


@dataclass(frozen=True, slots=True)
class Checkup:
    """What is stuck or strange in a book, the most urgent first."""

    findings: tuple[Finding, ...]
    data: str
    text: str
    html: str

    def json(self) -> Any:
        return json.loads(self.data)

    @classmethod
    def _read(cls, handle: Any) -> Checkup:
        data = native.checkup_write(handle, native.EXPLAIN_JSON)
        findings = tuple(
            Finding(row["kind"], row["severity"], row["count"], tuple(row["ids"]),
                    timedelta(seconds=row["age_s"]) if row.get("age_s") is not None else None, row["text"],
                    row["action"], row["safe"])
            for row in json.loads(data)["findings"])
        return cls(findings, data, native.checkup_write(handle, native.EXPLAIN_TEXT),
                   native.checkup_write(handle, native.EXPLAIN_HTML))
