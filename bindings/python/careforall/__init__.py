"""libcareforall: an embeddable donation engine. See ``Engine``; examples/quickstart.py is the five-line tour."""

from . import native
from .engine import Engine, new_key
from .errors import (CareForAllError, CircuitOpenError, ConflictError, InDoubtError, InternalError, InvalidError,
                     PermanentError, TransientError)
from .models import (Act, ActFault, ActReport, Audit, Campaign, CampaignState, Checkup, CircuitRule, Cursor,
                     CursorState, DeadLetter, Dispute, DisputeState, Event, Finding, LateRule, Payment, PaymentFlag,
                     PaymentState, Pledge, Refund, RefundOrigin, RefundState, Story, Totals, TotalsRow, Transition,
                     Visibility, Wait, WebhookVerdict, Work)
from .money import Money
from .provider import (Books, CallKind, DisputeFacts, Fact, Facts, Outcome, PlayFault, PlayProvider, Provider,
                       RefundFacts, Reply, Request, WebhookEvent)
from .subscription import Subscription

__version__: str = native.version()

__all__ = [
    "Act", "ActFault", "ActReport", "Audit", "Books", "CallKind", "Campaign", "CampaignState",
    "CareForAllError", "Checkup", "CircuitOpenError", "CircuitRule", "ConflictError", "Cursor", "CursorState",
    "DeadLetter", "Dispute", "DisputeFacts", "DisputeState", "Engine", "Event", "Fact", "Facts", "Finding",
    "InDoubtError", "InternalError", "InvalidError", "LateRule", "Money", "Outcome", "Payment", "PaymentFlag",
    "PaymentState", "PermanentError", "PlayFault", "PlayProvider", "Pledge", "Provider", "Refund",
    "RefundFacts", "RefundOrigin", "RefundState", "Reply", "Request", "Story", "Subscription", "Totals",
    "TotalsRow", "TransientError", "Transition", "Visibility", "Wait", "WebhookEvent", "WebhookVerdict", "Work",
    "new_key",
]
