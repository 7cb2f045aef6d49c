package careforall

import (
	"context"
	"time"

	"careforall.org/go/internal/native"
)

// RefundState follows from facts. FAILED is for ever, even after SUCCEEDED: the money is ours again.
type RefundState int32

const (
	RefundRequested      RefundState = 1
	RefundPending        RefundState = 2
	RefundRequiresAction RefundState = 3
	RefundSucceeded      RefundState = 4
	RefundFailed         RefundState = 5
	RefundCanceled       RefundState = 6
	RefundRejected       RefundState = 7
)

func (s RefundState) String() string { return native.Refund_state_name(int32(s)) }

// RefundOrigin says who made a refund.
type RefundOrigin int32

const (
	RefundAsked    RefundOrigin = 1 // by CreateRefund
	RefundExternal RefundOrigin = 2 // at the provider
	RefundLate     RefundOrigin = 3 // by the campaign's late rule
	RefundFraud    RefundOrigin = 4 // by the engine's fraud rule
)

// Refund is a snapshot of money that goes back to a donor.
type Refund struct {
	ID          string
	PaymentID   string
	Amount      Money
	State       RefundState
	Origin      RefundOrigin
	Ref         string // the provider's id, "" while unknown
	FailureCode string // why it failed or was rejected, in the provider's words
	Reason      string
	Created     time.Time
	Updated     time.Time
	Replayed    bool  // the answer repeats an earlier one with the same key
	Position    int64 // for Totals' AtLeast; 0 for reads
}

// RefundSpec is what a refund is asked for with.
type RefundSpec struct {
	Key       string // the idempotency key; "": a fresh one, which protects this one call
	Scope     string // whose key it is
	PaymentID string
	Amount    Money // the zero value: all that is left
	By        Actor
}

// CreateRefund gives a payment's money back, once per (scope, key). Durable when it returns: look at its state. No money
// goes twice, whoever asks: more than refunds and disputes leave is ERANGE, nothing left is ESTATE.
func (e *Engine) CreateRefund(ctx context.Context, spec RefundSpec) (*Refund, error) {
	key, err := keyOr(spec.Key)
	if err != nil {
		return nil, err
	}
	return e.refund(ctx, key, func(out *native.Refund, limit int32) error {
		return native.Refund_create(out, e.handle, key, spec.Scope, spec.PaymentID, spec.Amount.native(), spec.By.Actor,
			spec.By.Reason, limit)
	})
}

// Refund reads one refund.
func (e *Engine) Refund(id string) (*Refund, error) {
	return e.refund(context.Background(), "", func(out *native.Refund, _ int32) error {
		return native.Refund_get(out, e.handle, id)
	})
}

func (e *Engine) refund(ctx context.Context, key string,
	call func(out *native.Refund, limit int32) error) (*Refund, error) {
	limit, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var handle native.Refund
	if err := call(&handle, limit); err != nil {
		return nil, wrapKey(err, key)
	}
	defer native.Refund_free(handle)
	return readRefund(handle), nil
}

// Refunds reads a payment's refunds, oldest first.
func (e *Engine) Refunds(paymentID string) ([]*Refund, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var list native.RefundList
	if err := native.Refund_list_of(&list, e.handle, paymentID); err != nil {
		return nil, wrap(err)
	}
	defer native.Refund_list_free(list)
	var refunds []*Refund
	for i, size := int64(0), native.Refund_list_size(list); i < size; i++ {
		refunds = append(refunds, readRefund(native.Refund_list_at(list, i)))
	}
	return refunds, nil
}

func readRefund(handle native.Refund) *Refund {
	return &Refund{
		ID:          native.Refund_id(handle),
		PaymentID:   native.Refund_payment_id(handle),
		Amount:      moneyOf(native.Refund_amount(handle)),
		State:       RefundState(native.Refund_state_of(handle)),
		Origin:      RefundOrigin(native.Refund_origin_of(handle)),
		Ref:         native.Refund_ref(handle),
		FailureCode: native.Refund_failure_code(handle),
		Reason:      native.Refund_reason(handle),
		Created:     instant(native.Refund_created_us(handle)),
		Updated:     instant(native.Refund_updated_us(handle)),
		Replayed:    native.Refund_replayed(handle) != 0,
		Position:    native.Refund_position(handle),
	}
}
