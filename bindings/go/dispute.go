package careforall

import (
	"time"

	"careforall.org/go/internal/native"
)

// DisputeState is the furthest that was reported, in the order in which they can follow each other.
type DisputeState int32

const (
	DisputeInquiry       DisputeState = 1
	DisputeInquiryClosed DisputeState = 2
	DisputeOpen          DisputeState = 3
	DisputeUnderReview   DisputeState = 4
	DisputePrevented     DisputeState = 5
	DisputeWon           DisputeState = 6
	DisputeLost          DisputeState = 7
)

func (s DisputeState) String() string { return native.Dispute_state_name(int32(s)) }

// Dispute is a snapshot of money that a donor's bank asks back. What was withdrawn and reinstated is told apart from the
// state.
type Dispute struct {
	ID          string
	PaymentID   string
	Ref         string
	Amount      Money
	State       DisputeState
	Withdrawn   Money
	Reinstated  Money
	Fee         Money     // in the currency that the provider settles in; the zero value while unknown
	Reason      string    // "fraudulent", ...
	EvidenceDue time.Time // until when it can be answered; the zero value when that was not told
	Created     time.Time
	Updated     time.Time
}

// Dispute reads one dispute.
func (e *Engine) Dispute(id string) (*Dispute, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var handle native.Dispute
	if err := native.Dispute_get(&handle, e.handle, id); err != nil {
		return nil, wrap(err)
	}
	defer native.Dispute_free(handle)
	return readDispute(handle), nil
}

// Disputes reads a payment's disputes, oldest first. They come from the provider: none is ever made here.
func (e *Engine) Disputes(paymentID string) ([]*Dispute, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var list native.DisputeList
	if err := native.Dispute_list_of(&list, e.handle, paymentID); err != nil {
		return nil, wrap(err)
	}
	defer native.Dispute_list_free(list)
	var disputes []*Dispute
	for i, size := int64(0), native.Dispute_list_size(list); i < size; i++ {
		disputes = append(disputes, readDispute(native.Dispute_list_at(list, i)))
	}
	return disputes, nil
}

func readDispute(handle native.Dispute) *Dispute {
	return &Dispute{
		ID:          native.Dispute_id(handle),
		PaymentID:   native.Dispute_payment_id(handle),
		Ref:         native.Dispute_ref(handle),
		Amount:      moneyOf(native.Dispute_amount(handle)),
		State:       DisputeState(native.Dispute_state_of(handle)),
		Withdrawn:   moneyOf(native.Dispute_withdrawn(handle)),
		Reinstated:  moneyOf(native.Dispute_reinstated(handle)),
		Fee:         moneyOf(native.Dispute_fee(handle)),
		Reason:      native.Dispute_reason(handle),
		EvidenceDue: instant(native.Dispute_evidence_due_us(handle)),
		Created:     instant(native.Dispute_created_us(handle)),
		Updated:     instant(native.Dispute_updated_us(handle)),
	}
}
