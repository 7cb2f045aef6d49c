// Package native is the generated layer over the C library: private, one function for each C function. native.go and
// native_wrap.c are made by bindings/swig/regenerate.sh; this file holds the Go types that they name.
package native

/*
#cgo pkg-config: careforall careforall-sqlite
#include <careforall/careforall.h>

#if CFA_VERSION_MAJOR == 0 && CFA_VERSION_MINOR < 1
#error "careforall: libcareforall 0.1 or newer is needed"
#endif
*/
import "C"

import (
	"strconv"
	"strings"
	"unsafe"
)

func init() {
	part := strings.SplitN(Version(), ".", 3)
	major, _ := strconv.Atoi(part[0])
	minor, _ := strconv.Atoi(part[1])
	if major*1000+minor < int(C.CFA_VERSION_MAJOR)*1000+int(C.CFA_VERSION_MINOR) {
		panic("careforall: built for libcareforall " + VERSION + ", found " + Version())
	}
}

// Failure is what a call that failed left on its thread, copied before the call returned.
type Failure struct {
	Status, NativeCode     int32
	RetryAfterMs           int64
	Origin, Field, Message string
}

func (f *Failure) Error() string { return f.Message }

func failure(text string) error {
	part := strings.SplitN(text, "\x00", 6)
	if len(part) != 6 {
		return &Failure{Status: int32(C.CFA_EBUG), Message: "an error without detail"}
	}
	status, _ := strconv.ParseInt(part[0], 10, 32)
	native, _ := strconv.ParseInt(part[1], 10, 32)
	retryAfter, _ := strconv.ParseInt(part[2], 10, 64)
	return &Failure{int32(status), int32(native), retryAfter, part[3], part[4], part[5]}
}

// Handles of the C library. Each is freed by its own function, once.
type (
	Storage        unsafe.Pointer
	Engine         unsafe.Pointer
	Provider       unsafe.Pointer
	Play           unsafe.Pointer
	Campaign       unsafe.Pointer
	CampaignList   unsafe.Pointer
	Pledge         unsafe.Pointer
	PledgeList     unsafe.Pointer
	Payment        unsafe.Pointer
	Refund         unsafe.Pointer
	RefundList     unsafe.Pointer
	Dispute        unsafe.Pointer
	DisputeList    unsafe.Pointer
	TransitionList unsafe.Pointer
	Totals         unsafe.Pointer
	EventList      unsafe.Pointer
	CursorList     unsafe.Pointer
	LetterList     unsafe.Pointer
	ActList        unsafe.Pointer
	Audit          unsafe.Pointer
	Story          unsafe.Pointer
	Checkup        unsafe.Pointer
	Reconciliation unsafe.Pointer
	Subscription   unsafe.Pointer
	PulledCall     unsafe.Pointer
	Facts          unsafe.Pointer
	Source         unsafe.Pointer
	Record         unsafe.Pointer
	Stop           unsafe.Pointer
	Rules          unsafe.Pointer
	Text           unsafe.Pointer
)

// Money is passed by value.
type Money = C.cfa_money

// MakeMoney packs an amount; a code that does not fit becomes an empty one, which C refuses.
func MakeMoney(minor int64, currency string) (money Money) {
	money.minor = C.int64_t(minor)
	if len(currency) == len(money.currency)-1 {
		for i := range currency {
			money.currency[i] = C.char(currency[i])
		}
	}
	return money
}

// Split unpacks an amount.
func Split(money Money) (minor int64, currency string) {
	return int64(money.minor), C.GoString(&money.currency[0])
}

// Take copies text that C allocated, and frees it. The second result is false for NULL.
func Take(text Text) (string, bool) {
	if text == nil {
		return "", false
	}
	taken := C.GoString((*C.char)(text))
	Free(uintptr(text))
	return taken, true
}

// Views of structs, valid as long as what they were read from.
type (
	EventView  = *C.cfa_event_view
	CursorView = *C.cfa_cursor_view
	LetterView = *C.cfa_letter_view
	ActView    = *C.cfa_act_view
	CallView   = *C.cfa_call
	TotalsRow  = *C.cfa_totals_row

	DifferenceView = *C.cfa_reconcile_difference
)

func bytes(slice C.cfa_slice) []byte { return C.GoBytes(slice.data, C.int(slice.size)) }

// Event is a copy of one event.
type Event struct {
	Position                       int64
	Source, ID, EventType, Subject string
	Sequence, TimeUs               int64
	Traceparent                    string
	Data                           []byte
}

func CopyEvent(view EventView) Event {
	return Event{
		int64(view.position), C.GoString(view.source), C.GoString(view.id), C.GoString(view.event_type),
		C.GoString(view.subject), int64(view.sequence), int64(view.time_us), C.GoString(view.traceparent),
		bytes(view.data),
	}
}

// Cursor is a copy of one cursor.
type Cursor struct {
	Name                                  string
	Head, Acknowledged, Lag, OldestUs     int64
	Epoch                                 int64
	Owned                                 bool
	Paused                                int32
	Reason                                string
	PausedUs, UpdatedUs                   int64
	Refused, RefusedTries, Dead, Requeued int64
}

func CopyCursor(view CursorView) Cursor {
	return Cursor{
		C.GoString(view.name), int64(view.head), int64(view.acknowledged), int64(view.lag), int64(view.oldest_us),
		int64(view.epoch), view.owned != 0, int32(view.paused), C.GoString(view.reason), int64(view.paused_us),
		int64(view.updated_us), int64(view.refused), int64(view.refused_tries), int64(view.dead_count),
		int64(view.requeued_count),
	}
}

// Letter is a copy of one dead letter.
type Letter struct {
	Position                    int64
	EventID, EventType, Subject string
	Tries, Code                 int64
	Reason                      string
	FirstUs, LastUs             int64
	Requeued                    bool
}

func CopyLetter(view LetterView) Letter {
	return Letter{
		int64(view.position), C.GoString(view.event_id), C.GoString(view.event_type), C.GoString(view.subject),
		int64(view.tries), int64(view.code), C.GoString(view.reason), int64(view.first_us), int64(view.last_us),
		view.requeued != 0,
	}
}

// Act is a copy of one act of the audit log.
type Act struct {
	Number                                        int64
	Action, Subject, Actor, Reason, Before, After string
	CreatedUs                                     int64
	PreviousHash, Hash                            string
}

func CopyAct(view ActView) Act {
	return Act{
		int64(view.number), C.GoString(view.action), C.GoString(view.subject), C.GoString(view.actor),
		C.GoString(view.reason), C.GoString(view.before), C.GoString(view.after), int64(view.created_us),
		C.GoString(view.previous_hash), C.GoString(view.hash),
	}
}

// ActReport is filled by Act_verify.
type ActReport = C.cfa_act_report

// NewActReport starts one as its _INIT macro does.
func NewActReport() (report ActReport) {
	report.struct_size = C.sizeof_cfa_act_report
	return report
}

// ActCheck is a copy of a report.
type ActCheck struct {
	Count, HeadCount int64
	HeadAgrees       bool
	Fault            int32
	Number           int64
	HeadHash         string
}

func CopyActReport(report *ActReport) ActCheck {
	return ActCheck{int64(report.count), int64(report.head_count), report.head_agrees != 0, int32(report.fault),
		int64(report.number), C.GoString(&report.head_hash[0])}
}

// Difference is a copy of one difference of a reconciliation.
type Difference struct {
	Code, Kind, ID, PaymentID, Ref, Field, Expected, Found string
	Line                                                   int64
	Repairable                                             bool
}

func CopyDifference(view DifferenceView) Difference {
	return Difference{
		C.GoString(view.code), C.GoString(view.kind), C.GoString(view.id), C.GoString(view.payment_id),
		C.GoString(view.ref), C.GoString(view.field), C.GoString(view.expected), C.GoString(view.found),
		int64(view.line), view.repairable != 0,
	}
}

// Call is a copy of one provider call.
type Call struct {
	Kind                                                 int32
	OperationID, PaymentID, IdempotencyKey, Account, Ref string
	AmountMinor                                          int64
	Currency, PaymentMethod                              string
	CaptureManual                                        bool
	Body                                                 []byte
	CreatedFromUs, CreatedUntilUs, NowUs                 int64
	TimeoutMs                                            int32
	RefundID                                             string
}

func CopyCall(view CallView) Call {
	minor, currency := Split(view.amount)
	return Call{
		int32(view.kind), C.GoString(view.operation_id), C.GoString(view.payment_id),
		C.GoString(view.idempotency_key), C.GoString(view.account), C.GoString(view.ref), minor, currency,
		C.GoString(view.payment_method), view.capture_manual != 0, bytes(view.body),
		int64(view.created_from_us), int64(view.created_until_us), int64(view.now_us), int32(view.timeout_ms),
		C.GoString(view.refund_id),
	}
}

// Row is a copy of one currency's totals.
type Row struct {
	Currency                                             string
	Pledged, Authorized, Raised, Refunded, Disputed, Net int64
	Donations, Donors                                    int64
}

func CopyRow(row TotalsRow) Row {
	return Row{
		C.GoString(&row.currency[0]), int64(row.pledged_minor), int64(row.authorized_minor),
		int64(row.raised_minor), int64(row.refunded_minor), int64(row.disputed_minor), int64(row.net_minor),
		int64(row.donation_count), int64(row.donor_count),
	}
}
