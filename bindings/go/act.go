package careforall

import (
	"time"

	"careforall.org/go/internal/native"
)

// Actor says who asks for an administrative act and why, for the audit log, which is never erased: name an account, not
// a person. The zero value says nothing of either.
type Actor struct {
	Actor  string
	Reason string
}

// Act is what somebody did other than giving. Each holds the hash of the one before it.
type Act struct {
	Number       int64  // 1, 2, 3, ... per book
	Action       string // "campaign.end", "refund.create", ...
	Subject      string // an id, or a cursor's name
	Actor        string
	Reason       string
	Before       string // JSON; "": none
	After        string // JSON; "": none
	Created      time.Time
	PreviousHash string // "": of the first
	Hash         string
}

// ActFault is what is wrong with the audit log.
type ActFault int32

const (
	ActNone     ActFault = 0
	ActAltered  ActFault = 1
	ActUnlinked ActFault = 2
	ActMissing  ActFault = 3
	ActAdded    ActFault = 4
	ActHead     ActFault = 5
)

func (f ActFault) String() string { return native.Act_fault_name(int32(f)) }

// ActReport is what VerifyActs found: the first fault in order of numbers. HeadHash is of the newest act: kept elsewhere,
// it also proves the log against those who can write to the database.
type ActReport struct {
	Count      int64 // acts that were read
	HeadCount  int64 // acts that the book counts
	HeadAgrees bool  // the last act is the newest one of the book
	Fault      ActFault
	Number     int64 // of the act it is about; 0: none
	HeadHash   string
}

// Acts reads the audit log behind a number, oldest first, at most limit (0: 100).
func (e *Engine) Acts(after int64, limit int) ([]Act, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var list native.ActList
	if err := native.Act_page(&list, e.handle, after, clamp(int64(limit))); err != nil {
		return nil, wrap(err)
	}
	defer native.Act_list_free(list)
	var acts []Act
	for i, size := int64(0), native.Act_list_size(list); i < size; i++ {
		act := native.CopyAct(native.Act_list_at(list, i))
		acts = append(acts, Act{act.Number, act.Action, act.Subject, act.Actor, act.Reason, act.Before, act.After,
			instant(act.CreatedUs), act.PreviousHash, act.Hash})
	}
	return acts, nil
}

// VerifyActs computes the audit log's chain anew. A fault is in the report, not an error.
func (e *Engine) VerifyActs() (ActReport, error) {
	if err := e.enter(); err != nil {
		return ActReport{}, err
	}
	defer e.gate.leave()
	made := native.NewActReport()
	if err := native.Act_verify(&made, e.handle); err != nil {
		return ActReport{}, wrap(err)
	}
	report := native.CopyActReport(&made)
	return ActReport{report.Count, report.HeadCount, report.HeadAgrees, ActFault(report.Fault), report.Number,
		report.HeadHash}, nil
}
