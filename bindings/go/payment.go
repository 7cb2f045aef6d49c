package careforall

import (
	"context"
	"time"

	"careforall.org/go/internal/native"
)

// PaymentState is computed from the provider's facts. FAILED is soft: a later success wins.
type PaymentState int32

const (
	PaymentPending        PaymentState = 1
	PaymentRequiresAction PaymentState = 2
	PaymentProcessing     PaymentState = 3
	PaymentAuthorized     PaymentState = 4
	PaymentCaptured       PaymentState = 5
	PaymentCompleted      PaymentState = 6
	PaymentFailed         PaymentState = 7
	PaymentCanceled       PaymentState = 8
	PaymentExpired        PaymentState = 9
)

func (s PaymentState) String() string { return native.Payment_state_name(int32(s)) }

// Settled is true when waiting longer would bring nothing.
func (s PaymentState) Settled() bool { return s >= PaymentCompleted && s <= PaymentExpired }

// PaymentFlags are a set of PaymentFlag values.
type PaymentFlags uint32

const (
	PaymentFlagUnknown  PaymentFlags = 1 // a provider call's outcome is in doubt; probes run
	PaymentFlagConflict PaymentFlags = 2 // the provider's amounts contradict ours
	PaymentFlagSettled  PaymentFlags = 4 // paid out and reconciled
	PaymentFlagLate     PaymentFlags = 8 // success came after cancel, expiry or the campaign's end

	PaymentFlagFraudWarning PaymentFlags = 16 // the card's issuer suspects fraud; no money moved
	PaymentFlagHeld         PaymentFlags = 32 // late money that the campaign's rule holds: in no total
)

// Payment is a snapshot of one payment.
type Payment struct {
	ID          string
	PledgeID    string
	CampaignID  string
	State       PaymentState
	Flags       PaymentFlags
	Amount      Money
	Authorized  Money
	Captured    Money
	Refunded    Money  // by refunds that are under way or done
	Disputed    Money  // what disputes hold of it now
	Refundable  Money  // what may still be given back
	Fee         Money  // the provider's, in the currency it settles in; the zero value while unknown
	Ref         string // the provider's id, "" while unknown
	FailureCode string
	Sequence    int64
	Created     time.Time
	Updated     time.Time
	Position    int64
}

// Held is true for late money that its campaign's rule holds: it is in no total.
func (p *Payment) Held() bool { return p.Flags&PaymentFlagHeld != 0 }

// Transition is one step of a payment; From is 0 for its first. Rule is a row of docs/payment-states.md.
type Transition struct {
	From, To PaymentState
	Rule     string
	Implied  bool
	At       time.Time
}

// Payment reads one payment.
func (e *Engine) Payment(id string) (*Payment, error) {
	return e.payment(context.Background(), "", func(out *native.Payment, _ int32) error {
		return native.Payment_get(out, e.handle, id)
	})
}

// WaitPayment waits until the payment is settled, doing its due work in this goroutine. When the context ends first, the
// answer is the payment as it stands, not an error: look at its state.
func (e *Engine) WaitPayment(ctx context.Context, id string) (*Payment, error) {
	for {
		wait := slice
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			wait = time.Until(deadline)
		}
		if ctx.Err() != nil || wait <= 0 {
			wait = -1
		}
		payment, err := e.payment(context.Background(), "", func(out *native.Payment, _ int32) error {
			return native.Payment_wait(out, e.handle, id, milliseconds(wait))
		})
		if err != nil || payment.State.Settled() || ctx.Err() != nil {
			return payment, err
		}
	}
}

// AcceptPayment takes late money that is held into the totals, for good, once per (scope, key).
func (e *Engine) AcceptPayment(ctx context.Context, id, scope, key string, by Actor) (*Payment, error) {
	key, err := keyOr(key)
	if err != nil {
		return nil, err
	}
	return e.payment(ctx, key, func(out *native.Payment, _ int32) error {
		return native.Payment_accept(out, e.handle, id, scope, key, by.Actor, by.Reason)
	})
}

// CapturePayment captures an authorized payment, in full (the zero amount) or in part, once per (scope, key).
func (e *Engine) CapturePayment(ctx context.Context, id string, amount Money, scope, key string,
	by Actor) (*Payment, error) {
	key, err := keyOr(key)
	if err != nil {
		return nil, err
	}
	return e.payment(ctx, key, func(out *native.Payment, limit int32) error {
		return native.Payment_capture(out, e.handle, id, amount.native(), scope, key, by.Actor, by.Reason, limit)
	})
}

// CancelPayment cancels a payment that is not captured, once per (scope, key).
func (e *Engine) CancelPayment(ctx context.Context, id, scope, key string, by Actor) (*Payment, error) {
	key, err := keyOr(key)
	if err != nil {
		return nil, err
	}
	return e.payment(ctx, key, func(out *native.Payment, limit int32) error {
		return native.Payment_cancel(out, e.handle, id, scope, key, by.Actor, by.Reason, limit)
	})
}

func (e *Engine) payment(ctx context.Context, key string,
	call func(out *native.Payment, limit int32) error) (*Payment, error) {
	limit, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var handle native.Payment
	if err := call(&handle, limit); err != nil {
		return nil, wrapKey(err, key)
	}
	defer native.Payment_free(handle)
	return &Payment{
		ID:          native.Payment_id(handle),
		PledgeID:    native.Payment_pledge_id(handle),
		CampaignID:  native.Payment_campaign_id(handle),
		State:       PaymentState(native.Payment_state_of(handle)),
		Flags:       PaymentFlags(native.Payment_flags(handle)),
		Amount:      moneyOf(native.Payment_amount(handle)),
		Authorized:  moneyOf(native.Payment_authorized(handle)),
		Captured:    moneyOf(native.Payment_captured(handle)),
		Refunded:    moneyOf(native.Payment_refunded(handle)),
		Disputed:    moneyOf(native.Payment_disputed(handle)),
		Refundable:  moneyOf(native.Payment_refundable(handle)),
		Fee:         moneyOf(native.Payment_fee(handle)),
		Ref:         native.Payment_ref(handle),
		FailureCode: native.Payment_failure_code(handle),
		Sequence:    native.Payment_sequence(handle),
		Created:     instant(native.Payment_created_us(handle)),
		Updated:     instant(native.Payment_updated_us(handle)),
		Position:    native.Payment_position(handle),
	}, nil
}

// PaymentHistory reads a payment's transitions, oldest first.
func (e *Engine) PaymentHistory(id string) ([]Transition, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var list native.TransitionList
	if err := native.Payment_history(&list, e.handle, id); err != nil {
		return nil, wrap(err)
	}
	defer native.Transition_list_free(list)
	var steps []Transition
	for i, size := int64(0), native.Transition_list_size(list); i < size; i++ {
		steps = append(steps, Transition{
			From:    PaymentState(native.Transition_from(list, i)),
			To:      PaymentState(native.Transition_to(list, i)),
			Rule:    native.Transition_rule(list, i),
			Implied: native.Transition_implied(list, i) != 0,
			At:      instant(native.Transition_at_us(list, i)),
		})
	}
	return steps, nil
}

// WebhookVerdict says what became of a webhook.
type WebhookVerdict int32

const (
	WebhookApplied       WebhookVerdict = 1
	WebhookDuplicate     WebhookVerdict = 2
	WebhookStale         WebhookVerdict = 3
	WebhookParked        WebhookVerdict = 4
	WebhookIgnored       WebhookVerdict = 5
	WebhookQuarantined   WebhookVerdict = 6
	WebhookContradiction WebhookVerdict = 7
)

func (v WebhookVerdict) String() string { return native.Webhook_verdict_name(int32(v)) }

// ReceiveWebhook verifies and applies one webhook, given as received. Durable when it returns: acknowledge it.
func (e *Engine) ReceiveWebhook(ctx context.Context, signature, body []byte) (WebhookVerdict, error) {
	limit, err := e.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer e.gate.leave()
	var verdict int32
	err = native.Webhook_receive(&verdict, e.handle, signature, body, limit)
	return WebhookVerdict(verdict), wrap(err)
}

// WebhookEvent is an event that the host verified itself.
type WebhookEvent struct {
	EventID    string
	EventType  string
	Account    string
	Livemode   bool
	Irrelevant bool // authentic, but nothing for us
	Fetch      bool // Facts only name the object, whose state is to be read
	Facts      Facts
}

// AcceptWebhook applies an event that the host verified itself, for providers written in Go.
func (e *Engine) AcceptWebhook(ctx context.Context, event WebhookEvent) (WebhookVerdict, error) {
	limit, err := e.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer e.gate.leave()
	facts, err := event.Facts.lend()
	if err != nil {
		return 0, err
	}
	defer native.Facts_free(facts)
	var verdict int32
	err = native.Webhook_accept(&verdict, e.handle, event.EventID, event.EventType, event.Account,
		flag(event.Livemode), flag(!event.Irrelevant), facts, flag(event.Fetch), limit)
	return WebhookVerdict(verdict), wrap(err)
}
