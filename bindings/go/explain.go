package careforall

import (
	"context"
	"encoding/json"
	"time"

	"careforall.org/go/internal/native"
)

const (
	explainText = 1
	explainJSON = 2
	explainHTML = 3
)

// Audit is a report on the books, recomputed.
type Audit struct {
	Differences int64  // all of them; 0: the books are clean
	Position    int64  // the newest of the log that was read
	JSON        []byte // the whole report, causes before what follows from them; docs/audit.md
	Text        string // for people
}

// AuditSpec says what is audited; the zero value: the whole book.
type AuditSpec struct {
	CampaignID string       // only its payments and totals, not the log
	Record     RecordSource // the provider's, compared with the whole book in the same snapshot; nil: none
	Compare    ReconcileSpec
}

// Audit recomputes every total, contribution and fact in one snapshot. A difference is in the report, not an error. Of a
// large book it takes minutes: the end of the context ends it, and so does Close.
func (e *Engine) Audit(ctx context.Context, spec AuditSpec) (*Audit, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	return audit(ctx, e.gate.shutting, spec, func(out *native.Audit, source native.Source, stop native.Stop) error {
		return native.Audit_engine(out, e.handle, spec.CampaignID, source, microseconds(spec.Compare.Since),
			microseconds(spec.Compare.Until), flag(spec.Compare.AllOurs), stop)
	})
}

func audit(ctx context.Context, shutting <-chan struct{}, spec AuditSpec,
	one func(out *native.Audit, source native.Source, stop native.Stop) error) (*Audit, error) {
	var source native.Source
	if spec.Record != nil {
		lent, giveBack, err := spec.Record.LendRecord()
		if err != nil {
			return nil, wrap(err)
		}
		defer giveBack()
		source = lent
	} else if spec.Compare != (ReconcileSpec{}) {
		return nil, failed(EINVAL, "Record", "Compare is of a record: give one")
	}
	stop, giveBack, err := newStop(ctx, shutting)
	if err != nil {
		return nil, err
	}
	defer giveBack()
	var handle native.Audit
	if err := one(&handle, source, stop); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, wrapWindow(err)
	}
	defer native.Audit_free(handle)
	return &Audit{native.Audit_differences(handle), native.Audit_position(handle), []byte(native.Audit_json(handle)),
		native.Audit_text(handle)}, nil
}

// newStop makes what ends a call that asks it, set by the end of the context or when the engine shuts.
func newStop(ctx context.Context, shutting <-chan struct{}) (stop native.Stop, giveBack func(), err error) {
	if err := native.Stop_new(&stop); err != nil {
		return nil, nil, wrap(err)
	}
	select { // what has ended already is set before the call begins
	case <-ctx.Done():
		native.Stop_set(stop)
	case <-shutting:
		native.Stop_set(stop)
	default:
	}
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-ctx.Done():
			native.Stop_set(stop)
		case <-shutting:
			native.Stop_set(stop)
		case <-done:
		}
	}()
	return stop, func() {
		close(done)
		<-watched
		native.Stop_free(stop)
	}, nil
}

// Story is everything that is known about one donation.
type Story struct {
	PaymentID string // "" when it is about none
	JSON      []byte // docs/explain.md; members are only ever added
	Text      string // for a terminal
	HTML      string // one page without scripts that loads nothing
}

// Explain tells one donation's story by any of its ids, ours or the provider's.
func (e *Engine) Explain(ctx context.Context, id string) (*Story, error) {
	limit, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var handle native.Story
	if err := native.Explain(&handle, e.handle, id, limit); err != nil {
		return nil, wrap(err)
	}
	defer native.Story_free(handle)
	forms, err := write(func(out *native.Text, format int32) error { return native.Story_write(out, handle, format) })
	if err != nil {
		return nil, err
	}
	return &Story{native.Story_payment_id(handle), []byte(forms[1]), forms[0], forms[2]}, nil
}

// write makes text, JSON and HTML of one handle.
func write(one func(out *native.Text, format int32) error) (forms [3]string, err error) {
	for i, format := range []int32{explainText, explainJSON, explainHTML} {
		var text native.Text
		if err := one(&text, format); err != nil {
			return forms, wrap(err)
		}
		forms[i], _ = native.Take(text)
	}
	return forms, nil
}

// Finding is one thing that is stuck or strange.
type Finding struct {
	Code     string        // "operation_in_doubt", ...: stable; docs/explain.md
	Severity string        // "note", "warning" or "critical"
	Count    int64         // of all that it is about
	IDs      []string      // the first of them
	Age      time.Duration // of the oldest; 0: it has no age
	Text     string
	Action   string // the next safe action
	Safe     bool   // DoctorDo does it
}

// Checkup is what is stuck or strange in a book, the most urgent first.
type Checkup struct {
	Findings []Finding
	JSON     []byte
	Text     string
	HTML     string
}

// Doctor lists what is stuck or strange; deep: however much there is to read.
func (e *Engine) Doctor(ctx context.Context, deep bool) (*Checkup, error) {
	limit, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var handle native.Checkup
	if err := native.Doctor(&handle, e.handle, flag(deep), limit); err != nil {
		return nil, wrap(err)
	}
	defer native.Checkup_free(handle)
	forms, err := write(func(out *native.Text, format int32) error { return native.Checkup_write(out, handle, format) })
	if err != nil {
		return nil, err
	}
	var report struct {
		Findings []struct {
			Kind, Severity, Text, Action string
			Count                        int64
			AgeS                         int64 `json:"age_s"`
			IDs                          []string
			Safe                         bool
		}
	}
	if err := json.Unmarshal([]byte(forms[1]), &report); err != nil {
		return nil, err
	}
	checkup := &Checkup{JSON: []byte(forms[1]), Text: forms[0], HTML: forms[2]}
	for _, f := range report.Findings {
		checkup.Findings = append(checkup.Findings, Finding{f.Kind, f.Severity, f.Count, f.IDs,
			time.Duration(f.AgeS) * time.Second, f.Text, f.Action, f.Safe})
	}
	return checkup, nil
}

// DoctorDo does the next safe action of a finding and returns how many things were acted on. It never charges or refunds.
func (e *Engine) DoctorDo(ctx context.Context, code string, deep bool, by Actor) (int64, error) {
	limit, err := e.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer e.gate.leave()
	var done int64
	err = native.Doctor_do(&done, e.handle, code, flag(deep), by.Actor, by.Reason, limit)
	return done, wrap(err)
}
