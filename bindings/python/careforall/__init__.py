"""libcareforall: an embeddable donation engine. See ``Engine``; examples/quickstart.py is the five-line tour."""

from . import native
from .engine import Engine, new_key
from .errors import (CareForAllError, CircuitOpenError, ConflictError, InDoubtError, InternalError, InvalidError,
                     PermanentError, TransientError)
from .files import audit_file, file_schema, reconcile_file
from .models import (Act, ActFault, ActReport, Audit, Campaign, CampaignState, Checkup, CircuitRule, Cursor,
                     CursorState, DeadLetter, Dispute, DisputeState, Event, Finding, FraudRule, LateRule, Payment,
                     PaymentFlag, PaymentState, Pledge, Refund, RefundOrigin, RefundState, Story, Totals, TotalsRow,
                     Transition, Visibility, Wait, WebhookVerdict, Work)
from .money import Money
from .provider import (Books, CallKind, DisputeFacts, Fact, Facts, Outcome, PlayFault, PlayProvider, Provider,
                       RefundFacts, Reply, Request, WebhookEvent)
from .reconcile import (Difference, ReconcileKind, ReconcileObject, ReconcileRow, Reconciliation, Record,
                        RecordSource)
from .subscription import Subscription

__version__: str = native.version()

__all__ = [
    "Act", "ActFault", "ActReport", "Audit", "Books", "CallKind", "Campaign", "CampaignState",
    "CareForAllError", "Checkup", "CircuitOpenError", "CircuitRule", "ConflictError", "Cursor",
    "CursorState", "DeadLetter", "Difference", "Dispute", "DisputeFacts", "DisputeState", "Engine", "Event",
    "Fact", "Facts", "Finding", "FraudRule", "InDoubtError", "InternalError", "InvalidError", "LateRule",
    "Money", "Outcome", "Payment", "PaymentFlag", "PaymentState", "PermanentError", "PlayFault",
    "PlayProvider", "Pledge", "Provider", "ReconcileKind", "ReconcileObject", "ReconcileRow",
    "Reconciliation", "Record", "RecordSource", "Refund", "RefundFacts", "RefundOrigin", "RefundState",
    "Reply", "Request", "Story", "Subscription", "Totals", "TotalsRow", "TransientError", "Transition",
    "Visibility", "Wait", "WebhookEvent", "WebhookVerdict", "Work", "audit_file", "file_schema", "new_key",
    "reconcile_file",
]
