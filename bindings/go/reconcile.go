package careforall

import (
	"context"
	"encoding/json"
	"runtime"
	"strings"
	"sync"
	"time"

	"careforall.org/go/internal/native"
)

// ReconcileKind is what an object of a provider's record is about.
type ReconcileKind int32

const (
	ReconcilePayment ReconcileKind = 0
	ReconcileRefund  ReconcileKind = 1
	ReconcileDispute ReconcileKind = 2
	ReconcileOther   ReconcileKind = 3 // nothing that a book has: it is only counted
	ReconcileUnnamed ReconcileKind = 4 // one of the first three without a name to find it by: only counted
)

// ReconcileRow says whether an object is the provider's own, the zero value, or a row of a report, which is compared and
// never repaired from.
type ReconcileRow int32

const (
	ReconcileReport   ReconcileRow = 1 // about a payment as it stands
	ReconcileMovement ReconcileRow = 2 // about one movement of the provider's balance
)

// ReconcileObject is one object of a provider's record.
type ReconcileObject struct {
	Kind          ReconcileKind
	Facts         Facts // what it says, as a webhook would
	Livemode      *bool // nil: not told
	Whole         bool  // it states all that the provider knows of the payment's money
	Row           ReconcileRow
	RefundedMinor *int64    // of the payment so far; nil: not told
	Line          int64     // of the file that it was read from; 0: none
	AsOf          time.Time // it stood so then, or later: the book is not ahead for what it learnt since
}

// RecordSource is what can be compared with a book, as often as one likes: a *Record, a *stripe.Export.
type RecordSource interface {
	// LendRecord is for engines: what the library reads from its beginning, and how to give it back.
	LendRecord() (source native.Source, giveBack func(), err error)
}

// Record is a provider's record made of objects, in any order; at most 16 million. They wait in a temporary file, so that
// the memory is that of one object. Goroutines that share a record take turns.
type Record struct {
	mutex  sync.Mutex
	handle native.Record
	count  int
}

// NewRecord makes an empty record. Close it when done.
func NewRecord() (*Record, error) {
	record := &Record{}
	if err := native.Record_new(&record.handle); err != nil {
		return nil, wrap(err)
	}
	return record, nil
}

// Add appends objects. One that cannot be a part of a record is an error, and is left out with those behind it.
func (r *Record) Add(objects ...ReconcileObject) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, object := range objects {
		if r.handle == nil {
			return failed(EMISUSE, "source", "the record is closed")
		}
		if err := r.add(object); err != nil {
			return err
		}
		r.count++
	}
	return nil
}

func (r *Record) add(o ReconcileObject) error {
	livemode, refunded := int32(-1), int64(-1)
	if o.Livemode != nil {
		livemode = flag(*o.Livemode)
	}
	if o.RefundedMinor != nil {
		refunded = *o.RefundedMinor
	}
	facts, err := o.Facts.lend()
	if err != nil {
		return err
	}
	defer native.Facts_free(facts)
	return wrap(native.Record_add(r.handle, facts, int32(o.Kind), livemode, flag(o.Whole), int32(o.Row), refunded,
		o.Line, microseconds(o.AsOf)))
}

// Len returns the number of objects.
func (r *Record) Len() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.count
}

// LendRecord is for engines.
func (r *Record) LendRecord() (native.Source, func(), error) {
	r.mutex.Lock()
	if r.handle == nil {
		r.mutex.Unlock()
		return nil, nil, failed(EMISUSE, "source", "the record is closed")
	}
	var source native.Source
	if err := native.Record_source(&source, r.handle); err != nil {
		r.mutex.Unlock()
		return nil, nil, wrap(err)
	}
	return source, r.mutex.Unlock, nil
}

// Close forgets the objects. A repeat does nothing.
func (r *Record) Close() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	native.Record_free(r.handle)
	r.handle = nil
	return nil
}

// ReconcileSpec says what must be in a record. What was made here from Since to Until must be in it; the zero values:
// nothing must. AllOurs: objects that name no payment of ours are missing here, too; else they are only counted.
type ReconcileSpec struct {
	Since, Until time.Time
	AllOurs      bool
}

// Difference is one difference between the book and the provider's record; "" is not known, or not told.
type Difference struct {
	Code      string // "missing_here", ...: stable; docs/reconcile.md
	Kind      string // "payment", "refund" or "dispute"
	ID        string // ours
	PaymentID string // ours, of the payment
	Ref       string // the provider's id
	Field     string // "" when it is about the whole
	Expected  string // what the provider says
	Found     string // what the book says
	Line      int64
	// Repairable: Repair with this record tells the engine.
	Repairable bool
}

// Reconciliation is what a comparison found.
type Reconciliation struct {
	Differences int64            // all of them; 0: the books agree
	Counts      map[string]int64 // of them by code
	Listed      []Difference     // the first of each code
	Repairable  int64            // objects that a repair would tell the engine about
	Objects     int64            // that were read
	Foreign     int64            // of them, those that name no payment of ours
	Other       int64            // of them, those of ReconcileOther
	Unnamed     int64            // of them, those of ReconcileUnnamed
	Repaired    int64            // of ReconcileLive: objects that told the book something
	Provider    string           // the book's, as are Account and Livemode
	Account     string
	Livemode    bool
	JSON        []byte // the whole report
	Text        string // for people

	handle native.Reconciliation
}

// adopt copies a report, whose handle is freed with the copy: RecordReconciliation wants it.
func adopt(handle native.Reconciliation) (*Reconciliation, error) {
	report := &Reconciliation{Differences: native.Reconciliation_differences(handle),
		Repairable: native.Reconciliation_repairable(handle), Objects: native.Reconciliation_objects(handle),
		Foreign: native.Reconciliation_foreign(handle), Other: native.Reconciliation_other(handle),
		Unnamed: native.Reconciliation_unnamed(handle), Provider: native.Reconciliation_provider(handle),
		Account: native.Reconciliation_account(handle), Livemode: native.Reconciliation_livemode(handle) != 0,
		JSON: []byte(native.Reconciliation_json(handle)), Text: native.Reconciliation_text(handle), handle: handle}
	for i := int64(0); i < native.Reconciliation_size(handle); i++ {
		report.Listed = append(report.Listed, Difference(native.CopyDifference(native.Reconciliation_at(handle, i))))
	}
	runtime.SetFinalizer(report, func(r *Reconciliation) { native.Reconciliation_free(r.handle) })
	var data struct{ Counts map[string]int64 }
	err := json.Unmarshal(report.JSON, &data)
	report.Counts = data.Counts
	return report, err
}

// Reconcile compares the book with the provider's record. A difference is in the report, not an error.
func (e *Engine) Reconcile(source RecordSource, spec ReconcileSpec) (*Reconciliation, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	return compare(source, func(out *native.Reconciliation, record native.Source) error {
		return native.Reconcile_engine(out, e.handle, record, microseconds(spec.Since), microseconds(spec.Until),
			flag(spec.AllOurs))
	})
}

func compare(source RecordSource, one func(out *native.Reconciliation, record native.Source) error) (*Reconciliation,
	error) {
	record, giveBack, err := source.LendRecord()
	if err != nil {
		return nil, wrap(err)
	}
	defer giveBack()
	var handle native.Reconciliation
	if err := one(&handle, record); err != nil {
		return nil, wrapWindow(err)
	}
	return adopt(handle)
}

// wrapWindow gives what breaks a rule the name that the caller knows it by.
func wrapWindow(err error) error {
	err = wrap(err)
	if failure, ok := err.(*Error); ok {
		switch failure.Field {
		case "from_us":
			failure.Field = "Since"
		case "until_us":
			failure.Field = "Until"
		}
	}
	return err
}

// Repair tells the engine every object of the record that says more than the book knows, as if its webhook came now, and
// returns how many told it something. A repeat changes nothing. Begin with Reconcile. The context's deadline is of each
// object.
func (e *Engine) Repair(ctx context.Context, source RecordSource) (int64, error) {
	limit, err := e.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer e.gate.leave()
	record, giveBack, err := source.LendRecord()
	if err != nil {
		return 0, wrap(err)
	}
	defer giveBack()
	var repaired int64
	err = native.Reconcile_repair(&repaired, e.handle, record, limit)
	return repaired, wrap(err)
}

// LiveSpec says what of a provider's lists is compared: what it created since Since, and before Until (the zero value: up
// to ten minutes ago). Repair: tell the engine what it did not know, and compare again. AllOurs is as in ReconcileSpec. By
// is who asks.
type LiveSpec struct {
	Since, Until    time.Time
	Repair, AllOurs bool
	By              Actor
}

// ReconcileLive compares the book with what its provider lists, and records it when there is no difference, as
// RecordReconciliation does. It may take long: an hour, without a deadline. The end of the context ends it, and so does
// Close. ENOTSUP: the provider lists nothing, as those written in Go; make a Record of
// their objects.
func (e *Engine) ReconcileLive(ctx context.Context, spec LiveSpec) (*Reconciliation, error) {
	limit, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer e.gate.leave()
	stop, giveBack, err := newStop(ctx, e.gate.shutting)
	if err != nil {
		return nil, err
	}
	defer giveBack()
	var handle native.Reconciliation
	var repaired int64
	err = native.Reconcile_live(&handle, &repaired, e.handle, microseconds(spec.Since), microseconds(spec.Until),
		flag(spec.Repair), flag(spec.AllOurs), spec.By.Actor, spec.By.Reason, limit, stop)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, wrapWindow(err)
	}
	report, err := adopt(handle)
	report.Repaired = repaired
	return report, err
}

// RecordReconciliation writes down that the books were compared: an act, and, without a difference, the time that was
// found equal, until which Doctor takes the books for compared. A repeat with the same report writes nothing.
func (e *Engine) RecordReconciliation(ctx context.Context, report *Reconciliation, by Actor) error {
	limit, err := e.begin(ctx)
	if err != nil {
		return err
	}
	defer e.gate.leave()
	err = native.Reconcile_record(e.handle, report.handle, by.Actor, by.Reason, limit)
	runtime.KeepAlive(report)
	return wrap(err)
}

// ReconcileFile compares a book's file, only read, with the provider's record. Nobody needs to have it open; also for a
// copy.
func ReconcileFile(path string, source RecordSource, spec ReconcileSpec) (*Reconciliation, error) {
	if err := filePath(path); err != nil {
		return nil, err
	}
	return compare(source, func(out *native.Reconciliation, record native.Source) error {
		return native.Reconcile_file(out, path, record, microseconds(spec.Since), microseconds(spec.Until),
			flag(spec.AllOurs))
	})
}

// FileSchema returns which schema a book's file has, and which this library makes: an engine that opens it brings an older
// one up.
func FileSchema(path string) (found, known int, err error) {
	if err := filePath(path); err != nil {
		return 0, 0, err
	}
	var f, k int32
	err = native.Schema_of(&f, &k, path)
	return int(f), int(k), wrap(err)
}

// AuditFile recomputes a book's file, only read, as Audit does. Nobody needs to have it open; also for a copy.
func AuditFile(ctx context.Context, path string, spec AuditSpec) (*Audit, error) {
	if err := filePath(path); err != nil {
		return nil, err
	}
	return audit(ctx, nil, spec, func(out *native.Audit, source native.Source, stop native.Stop) error {
		return native.Audit_file(out, path, spec.CampaignID, source, microseconds(spec.Compare.Since),
			microseconds(spec.Compare.Until), flag(spec.Compare.AllOurs), stop)
	})
}

func filePath(path string) error {
	if path == "" || strings.IndexByte(path, 0) >= 0 {
		return failed(EINVAL, "path", "a path is not empty and holds no NUL")
	}
	return nil
}
