package careforall

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"

	"careforall.org/go/internal/native"
)

// The constants of this package are written by hand, so that they are constants; here they meet the library's.
var constants = []struct {
	name         string
	ours, theirs int
}{
	{"OK", int(0), native.OK},
	{"EINVAL", int(EINVAL), native.EINVAL},
	{"ERANGE", int(ERANGE), native.ERANGE},
	{"ECURRENCY", int(ECURRENCY), native.ECURRENCY},
	{"EAMOUNT", int(EAMOUNT), native.EAMOUNT},
	{"ENOTSUP", int(ENOTSUP), native.ENOTSUP},
	{"EABI", int(EABI), native.EABI},
	{"EMISUSE", int(EMISUSE), native.EMISUSE},
	{"ETOOLONG", int(ETOOLONG), native.ETOOLONG},
	{"EENCODING", int(EENCODING), native.EENCODING},
	{"ECARD", int(ECARD), native.ECARD},
	{"EKEY", int(EKEY), native.EKEY},
	{"ENOTFOUND", int(ENOTFOUND), native.ENOTFOUND},
	{"EDECLINED", int(EDECLINED), native.EDECLINED},
	{"ECLOSED", int(ECLOSED), native.ECLOSED},
	{"ESIGNATURE", int(ESIGNATURE), native.ESIGNATURE},
	{"ESCHEMA", int(ESCHEMA), native.ESCHEMA},
	{"EREADONLY", int(EREADONLY), native.EREADONLY},
	{"EMODE", int(EMODE), native.EMODE},
	{"EREFUSED", int(EREFUSED), native.EREFUSED},
	{"EEXISTS", int(EEXISTS), native.EEXISTS},
	{"EKEYREUSE", int(EKEYREUSE), native.EKEYREUSE},
	{"ESTATE", int(ESTATE), native.ESTATE},
	{"EVERSION", int(EVERSION), native.EVERSION},
	{"EFENCED", int(EFENCED), native.EFENCED},
	{"EBUSY", int(EBUSY), native.EBUSY},
	{"EIO", int(EIO), native.EIO},
	{"ETIMEOUT", int(ETIMEOUT), native.ETIMEOUT},
	{"EUNAVAILABLE", int(EUNAVAILABLE), native.EUNAVAILABLE},
	{"EQUEUE", int(EQUEUE), native.EQUEUE},
	{"ENOSPACE", int(ENOSPACE), native.ENOSPACE},
	{"ECLOSING", int(ECLOSING), native.ECLOSING},
	{"ECIRCUIT", int(ECIRCUIT), native.ECIRCUIT},
	{"EINDOUBT", int(EINDOUBT), native.EINDOUBT},
	{"ENOMEM", int(ENOMEM), native.ENOMEM},
	{"ECORRUPT", int(ECORRUPT), native.ECORRUPT},
	{"EBUG", int(EBUG), native.EBUG},
	{"CLASS_OK", int(0), native.CLASS_OK},
	{"CLASS_INVALID", int(ErrInvalid), native.CLASS_INVALID},
	{"CLASS_PERMANENT", int(ErrPermanent), native.CLASS_PERMANENT},
	{"CLASS_CONFLICT", int(ErrConflict), native.CLASS_CONFLICT},
	{"CLASS_TRANSIENT", int(ErrTransient), native.CLASS_TRANSIENT},
	{"CLASS_IN_DOUBT", int(ErrInDoubt), native.CLASS_IN_DOUBT},
	{"CLASS_INTERNAL", int(ErrInternal), native.CLASS_INTERNAL},
	{"RECONCILE_PAYMENT", int(ReconcilePayment), native.RECONCILE_PAYMENT},
	{"RECONCILE_REFUND", int(ReconcileRefund), native.RECONCILE_REFUND},
	{"RECONCILE_DISPUTE", int(ReconcileDispute), native.RECONCILE_DISPUTE},
	{"RECONCILE_OTHER", int(ReconcileOther), native.RECONCILE_OTHER},
	{"RECONCILE_UNNAMED", int(ReconcileUnnamed), native.RECONCILE_UNNAMED},
	{"RECONCILE_REPORT", int(ReconcileReport), native.RECONCILE_REPORT},
	{"RECONCILE_MOVEMENT", int(ReconcileMovement), native.RECONCILE_MOVEMENT},
	{"FACT_SUCCEEDED", int(FactSucceeded), native.FACT_SUCCEEDED},
	{"FACT_CANCELED", int(FactCanceled), native.FACT_CANCELED},
	{"FACT_EXPIRED", int(FactExpired), native.FACT_EXPIRED},
	{"FACT_FRAUD_WARNING", int(FactFraudWarning), native.FACT_FRAUD_WARNING},
	{"FACT_NEEDS_ACTION", int(FactNeedsAction), native.FACT_NEEDS_ACTION},
	{"FACT_PROCESSING", int(FactProcessing), native.FACT_PROCESSING},
	{"FACT_FAILED", int(FactFailed), native.FACT_FAILED},
	{"FACT_SETTLED", int(FactSettled), native.FACT_SETTLED},
	{"CALL_CREATE", int(CallCreate), native.CALL_CREATE},
	{"CALL_CAPTURE", int(CallCapture), native.CALL_CAPTURE},
	{"CALL_CANCEL", int(CallCancel), native.CALL_CANCEL},
	{"CALL_RETRIEVE", int(CallRetrieve), native.CALL_RETRIEVE},
	{"CALL_LOOKUP", int(CallLookup), native.CALL_LOOKUP},
	{"CALL_REFUND", int(CallRefund), native.CALL_REFUND},
	{"OUTCOME_UNKNOWN", int(OutcomeUnknown), native.OUTCOME_UNKNOWN},
	{"OUTCOME_DONE", int(OutcomeDone), native.OUTCOME_DONE},
	{"OUTCOME_PENDING", int(OutcomePending), native.OUTCOME_PENDING},
	{"OUTCOME_REFUSED", int(OutcomeRefused), native.OUTCOME_REFUSED},
	{"OUTCOME_NOT_SENT", int(OutcomeNotSent), native.OUTCOME_NOT_SENT},
	{"PROVIDER_TWO_STEP", int(ProviderTwoStep), native.PROVIDER_TWO_STEP},
	{"PROVIDER_LOOKUP_AUTHORITATIVE", int(ProviderLookupAuthoritative), native.PROVIDER_LOOKUP_AUTHORITATIVE},
	{"PROVIDER_READS_REVERSALS", int(ProviderReadsReversals), native.PROVIDER_READS_REVERSALS},
	{"WORK_COMMANDS", int(WorkCommands), native.WORK_COMMANDS},
	{"WORK_CALLS", int(WorkCalls), native.WORK_CALLS},
	{"WORK_TOTALS", int(WorkTotals), native.WORK_TOTALS},
	{"WORK_RELAY", int(WorkRelay), native.WORK_RELAY},
	{"WORK_UPKEEP", int(WorkUpkeep), native.WORK_UPKEEP},
	{"WORK_ALL", int(WorkAll), native.WORK_ALL},
	{"WORK_NO_COMMIT", int(WorkNoCommit), native.WORK_NO_COMMIT},
	{"FRAUD_FLAG", int(FraudFlag), native.FRAUD_FLAG},
	{"FRAUD_REFUND", int(FraudRefund), native.FRAUD_REFUND},
	{"CIRCUIT_REJECT", int(CircuitReject), native.CIRCUIT_REJECT},
	{"CIRCUIT_QUEUE", int(CircuitQueue), native.CIRCUIT_QUEUE},
	{"CAMPAIGN_OPEN", int(CampaignOpen), native.CAMPAIGN_OPEN},
	{"CAMPAIGN_ENDED", int(CampaignEnded), native.CAMPAIGN_ENDED},
	{"LATE_ACCEPT", int(LateAccept), native.LATE_ACCEPT},
	{"LATE_REFUSE", int(LateRefuse), native.LATE_REFUSE},
	{"LATE_REFUND", int(LateRefund), native.LATE_REFUND},
	{"LATE_HOLD", int(LateHold), native.LATE_HOLD},
	{"PAYMENT_PENDING", int(PaymentPending), native.PAYMENT_PENDING},
	{"PAYMENT_REQUIRES_ACTION", int(PaymentRequiresAction), native.PAYMENT_REQUIRES_ACTION},
	{"PAYMENT_PROCESSING", int(PaymentProcessing), native.PAYMENT_PROCESSING},
	{"PAYMENT_AUTHORIZED", int(PaymentAuthorized), native.PAYMENT_AUTHORIZED},
	{"PAYMENT_CAPTURED", int(PaymentCaptured), native.PAYMENT_CAPTURED},
	{"PAYMENT_COMPLETED", int(PaymentCompleted), native.PAYMENT_COMPLETED},
	{"PAYMENT_FAILED", int(PaymentFailed), native.PAYMENT_FAILED},
	{"PAYMENT_CANCELED", int(PaymentCanceled), native.PAYMENT_CANCELED},
	{"PAYMENT_EXPIRED", int(PaymentExpired), native.PAYMENT_EXPIRED},
	{"PAYMENT_FLAG_UNKNOWN", int(PaymentFlagUnknown), native.PAYMENT_FLAG_UNKNOWN},
	{"PAYMENT_FLAG_CONFLICT", int(PaymentFlagConflict), native.PAYMENT_FLAG_CONFLICT},
	{"PAYMENT_FLAG_SETTLED", int(PaymentFlagSettled), native.PAYMENT_FLAG_SETTLED},
	{"PAYMENT_FLAG_LATE", int(PaymentFlagLate), native.PAYMENT_FLAG_LATE},
	{"PAYMENT_FLAG_FRAUD_WARNING", int(PaymentFlagFraudWarning), native.PAYMENT_FLAG_FRAUD_WARNING},
	{"PAYMENT_FLAG_HELD", int(PaymentFlagHeld), native.PAYMENT_FLAG_HELD},
	{"REFUND_REQUESTED", int(RefundRequested), native.REFUND_REQUESTED},
	{"REFUND_PENDING", int(RefundPending), native.REFUND_PENDING},
	{"REFUND_REQUIRES_ACTION", int(RefundRequiresAction), native.REFUND_REQUIRES_ACTION},
	{"REFUND_SUCCEEDED", int(RefundSucceeded), native.REFUND_SUCCEEDED},
	{"REFUND_FAILED", int(RefundFailed), native.REFUND_FAILED},
	{"REFUND_CANCELED", int(RefundCanceled), native.REFUND_CANCELED},
	{"REFUND_REJECTED", int(RefundRejected), native.REFUND_REJECTED},
	{"REFUND_ASKED", int(RefundAsked), native.REFUND_ASKED},
	{"REFUND_EXTERNAL", int(RefundExternal), native.REFUND_EXTERNAL},
	{"REFUND_LATE", int(RefundLate), native.REFUND_LATE},
	{"REFUND_FRAUD", int(RefundFraud), native.REFUND_FRAUD},
	{"DISPUTE_INQUIRY", int(DisputeInquiry), native.DISPUTE_INQUIRY},
	{"DISPUTE_INQUIRY_CLOSED", int(DisputeInquiryClosed), native.DISPUTE_INQUIRY_CLOSED},
	{"DISPUTE_OPEN", int(DisputeOpen), native.DISPUTE_OPEN},
	{"DISPUTE_UNDER_REVIEW", int(DisputeUnderReview), native.DISPUTE_UNDER_REVIEW},
	{"DISPUTE_PREVENTED", int(DisputePrevented), native.DISPUTE_PREVENTED},
	{"DISPUTE_WON", int(DisputeWon), native.DISPUTE_WON},
	{"DISPUTE_LOST", int(DisputeLost), native.DISPUTE_LOST},
	{"CURSOR_RUNS", int(CursorRuns), native.CURSOR_RUNS},
	{"CURSOR_PAUSED", int(CursorPaused), native.CURSOR_PAUSED},
	{"CURSOR_STOPPED", int(CursorStopped), native.CURSOR_STOPPED},
	{"ACT_NONE", int(ActNone), native.ACT_NONE},
	{"ACT_ALTERED", int(ActAltered), native.ACT_ALTERED},
	{"ACT_UNLINKED", int(ActUnlinked), native.ACT_UNLINKED},
	{"ACT_MISSING", int(ActMissing), native.ACT_MISSING},
	{"ACT_ADDED", int(ActAdded), native.ACT_ADDED},
	{"ACT_HEAD", int(ActHead), native.ACT_HEAD},
	{"EXPLAIN_TEXT", explainText, native.EXPLAIN_TEXT},
	{"EXPLAIN_JSON", explainJSON, native.EXPLAIN_JSON},
	{"EXPLAIN_HTML", explainHTML, native.EXPLAIN_HTML},
	{"WEBHOOK_APPLIED", int(WebhookApplied), native.WEBHOOK_APPLIED},
	{"WEBHOOK_DUPLICATE", int(WebhookDuplicate), native.WEBHOOK_DUPLICATE},
	{"WEBHOOK_STALE", int(WebhookStale), native.WEBHOOK_STALE},
	{"WEBHOOK_PARKED", int(WebhookParked), native.WEBHOOK_PARKED},
	{"WEBHOOK_IGNORED", int(WebhookIgnored), native.WEBHOOK_IGNORED},
	{"WEBHOOK_QUARANTINED", int(WebhookQuarantined), native.WEBHOOK_QUARANTINED},
	{"WEBHOOK_CONTRADICTION", int(WebhookContradiction), native.WEBHOOK_CONTRADICTION},
	{"VISIBILITY_PUBLIC", int(VisibilityPublic), native.VISIBILITY_PUBLIC},
	{"VISIBILITY_OWNER", int(VisibilityOwner), native.VISIBILITY_OWNER},
	{"VISIBILITY_HIDDEN", int(VisibilityHidden), native.VISIBILITY_HIDDEN},
	{"WAIT_ANSWER", int(WaitAnswer), native.WAIT_ANSWER},
	{"WAIT_COMMIT", int(WaitCommit), native.WAIT_COMMIT},
	{"WAIT_PAID", int(WaitPaid), native.WAIT_PAID},
	{"PLAY_FAULT_NONE", int(PlayFaultNone), native.PLAY_FAULT_NONE},
	{"PLAY_FAULT_REPLY_LOST", int(PlayFaultReplyLost), native.PLAY_FAULT_REPLY_LOST},
	{"PLAY_FAULT_REQUEST_LOST", int(PlayFaultRequestLost), native.PLAY_FAULT_REQUEST_LOST},
	{"PLAY_FAULT_ERROR_AFTER", int(PlayFaultErrorAfter), native.PLAY_FAULT_ERROR_AFTER},
	{"PLAY_FAULT_ERROR_BEFORE", int(PlayFaultErrorBefore), native.PLAY_FAULT_ERROR_BEFORE},
	{"PLAY_FAULT_NOT_SENT", int(PlayFaultNotSent), native.PLAY_FAULT_NOT_SENT},
	{"PLAY_FAULT_REFUSED", int(PlayFaultRefused), native.PLAY_FAULT_REFUSED},
}

func TestConstantsAreTheLibrarys(t *testing.T) {
	for _, constant := range constants {
		if constant.ours != constant.theirs {
			t.Errorf("%s is %d, the library says %d", constant.name, constant.ours, constant.theirs)
		}
	}
}

func TestNoConstantOfTheLibraryIsMissing(t *testing.T) {
	known := map[string]bool{}
	for _, constant := range constants {
		known[constant.name] = true
	}
	file, err := parser.ParseFile(token.NewFileSet(), "internal/native/native.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, object := range file.Scope.Objects {
		value, ok := object.Decl.(*ast.ValueSpec)
		if object.Kind != ast.Var || !ast.IsExported(name) || !ok || !isInt(value) {
			continue
		}
		if !known[name] {
			t.Errorf("%s is not in the table above", name)
		}
		delete(known, name)
	}
	for name := range known {
		t.Errorf("%s is not in the library", name)
	}
}

func isInt(value *ast.ValueSpec) bool {
	kind, ok := value.Type.(*ast.Ident)
	return ok && kind.Name == "int"
}
