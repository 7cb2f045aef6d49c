package careforall

import (
	"time"

	"careforall.org/go/internal/native"
)

// Play is a payment provider inside the process, for tests and for trying things out. No money moves.
//
// Payment methods: "pm_ok", "pm_declined", "pm_funds", "pm_action" (see Act), "pm_slow" (see Settle).
type Play struct {
	handle native.Play
	shared *native.Shared
}

// PlayOptions of a play provider. The zero value of each field is the default.
type PlayOptions struct {
	Seed                   uint64
	OneStep                bool // charge in the create call
	LookupNotAuthoritative bool
	WebhookSecret          string
}

// NewPlay makes a provider with empty books. Close it when done; engines that use it keep it alive.
func NewPlay(options PlayOptions) (*Play, error) {
	var handle native.Play
	err := native.Play_new(&handle, options.Seed, flag(options.OneStep), flag(options.LookupNotAuthoritative), 0,
		options.WebhookSecret)
	if err != nil {
		return nil, wrap(err)
	}
	return &Play{handle: handle, shared: native.Share(func() { native.Play_free(handle) })}, nil
}

// Lend is for engines.
func (p *Play) Lend() (native.Provider, func(), error) {
	if !p.shared.Acquire() {
		return nil, nil, failed(EMISUSE, "provider", "the provider is closed")
	}
	return native.Play_provider(p.handle), p.shared.Release, nil
}

// Close frees the provider, once the engines that use it are closed too. A repeat does nothing.
func (p *Play) Close() error {
	p.shared.GiveUp()
	return nil
}

// use runs a call while the provider cannot be freed.
func (p *Play) use(call func() error) error {
	if !p.shared.Acquire() {
		return failed(EMISUSE, "", "the provider is closed")
	}
	defer p.shared.Release()
	return wrap(call())
}

// Confirm confirms an intent as the donor's browser would. EDECLINED when declined.
func (p *Play) Confirm(clientSecret, paymentMethod string) error {
	return p.use(func() error { return native.Play_confirm(p.handle, clientSecret, paymentMethod) })
}

// Act finishes what "pm_action" asked for.
func (p *Play) Act(clientSecret string, approve bool) error {
	return p.use(func() error { return native.Play_act(p.handle, clientSecret, flag(approve)) })
}

// Settle finishes what "pm_slow" left processing.
func (p *Play) Settle(ref string, succeed bool) error {
	return p.use(func() error { return native.Play_settle(p.handle, ref, flag(succeed)) })
}

// Expire lets an unpaid intent or an uncaptured hold run out.
func (p *Play) Expire(ref string) error {
	return p.use(func() error { return native.Play_expire(p.handle, ref) })
}

// Payout pays out, once, every payment that is captured in full, and returns how many. Nobody is told: a live
// reconciliation finds it.
func (p *Play) Payout() (paid int64, err error) {
	err = p.use(func() error { return native.Play_payout(&paid, p.handle) })
	return paid, err
}

// RefundNext lets the next refund that is asked for begin in a state; then all succeed at once again.
func (p *Play) RefundNext(state RefundState) error {
	return p.use(func() error { return native.Play_refund_next(p.handle, int32(state)) })
}

// PlayRefund is a refund by hand, as at the provider's own desk, or a refund that moves on.
type PlayRefund struct {
	Ref         string // the payment's, to make one; the refund's, to move it on
	AmountMinor int64  // of a new one; 0: all that is left
	State       RefundState
	FailureCode string
}

// Refund makes a refund, or moves one on, and returns its Ref. State 0 is SUCCEEDED.
func (p *Play) Refund(spec PlayRefund) (string, error) {
	return p.ref(func(out *native.Text) error {
		return native.Play_refund(out, p.handle, spec.Ref, spec.AmountMinor, int32(spec.State), spec.FailureCode)
	})
}

// PlayDispute is how a dispute stands afterwards. What is zero stays as it is.
type PlayDispute struct {
	Ref                             string       // the payment's, to open one; the dispute's, to go on
	State                           DisputeState // of a new one: INQUIRY, OPEN (0) or PREVENTED
	AmountMinor                     int64        // of a new one; 0: all that was captured
	WithdrawnMinor, ReinstatedMinor int64        // in total
	Fee                             Money
	Reason                          string
	EvidenceDue                     time.Time
}

// Dispute lets a donor's bank dispute a payment, or carries a dispute on, and returns the dispute's Ref.
func (p *Play) Dispute(spec PlayDispute) (string, error) {
	return p.ref(func(out *native.Text) error {
		return native.Play_dispute(out, p.handle, spec.Ref, int32(spec.State), spec.AmountMinor, spec.WithdrawnMinor,
			spec.ReinstatedMinor, spec.Fee.native(), spec.Reason, microseconds(spec.EvidenceDue))
	})
}

func (p *Play) ref(call func(out *native.Text) error) (string, error) {
	var text native.Text
	if err := p.use(func() error { return call(&text) }); err != nil {
		return "", err
	}
	ref, _ := native.Take(text)
	return ref, nil
}

// Fee lets become known, once, what the provider keeps of a captured payment.
func (p *Play) Fee(ref string, fee Money) error {
	return p.use(func() error { return native.Play_fee(p.handle, ref, fee.native()) })
}

// FraudWarning lets the card's issuer suspect fraud, once. No money moves.
func (p *Play) FraudWarning(ref string) error {
	return p.use(func() error { return native.Play_fraud_warning(p.handle, ref) })
}

// PlayFault is what goes wrong with one call.
type PlayFault int32

const (
	PlayFaultNone        PlayFault = 0
	PlayFaultReplyLost   PlayFault = 1
	PlayFaultRequestLost PlayFault = 2
	PlayFaultErrorAfter  PlayFault = 3
	PlayFaultErrorBefore PlayFault = 4
	PlayFaultNotSent     PlayFault = 5
	PlayFaultRefused     PlayFault = 6
)

// FaultNext makes the next call that has no fault yet go wrong.
func (p *Play) FaultNext(fault PlayFault) error {
	return p.use(func() error { return native.Play_fault_next(p.handle, int32(fault)) })
}

// Weather sets the rates of misfortune, in parts per million.
type Weather struct {
	ReplyLost, RequestLost, ErrorAfter, ErrorBefore, NotSent int32
	WebhookLost, WebhookDuplicated, WebhookReordered         int32
	DelayMax                                                 time.Duration // real sleep inside a call
}

// SetWeather replaces the rates.
func (p *Play) SetWeather(weather Weather) error {
	return p.use(func() error {
		return native.Play_weather_set(p.handle, weather.ReplyLost, weather.RequestLost, weather.ErrorAfter,
			weather.ErrorBefore, weather.NotSent, weather.WebhookLost, weather.WebhookDuplicated,
			weather.WebhookReordered, milliseconds(weather.DelayMax))
	})
}

// Deliver delivers pending webhooks to an engine as HTTP would, at most limit (0: all), and returns how many.
func (p *Play) Deliver(engine *Engine, limit int) (int, error) {
	if err := engine.enter(); err != nil {
		return 0, err
	}
	defer engine.gate.leave()
	var delivered int32
	err := p.use(func() error {
		return native.Play_deliver(&delivered, p.handle, engine.handle, clamp(int64(limit)))
	})
	return int(delivered), err
}

// TakeWebhook takes the next pending webhook instead of delivering it; body is nil when there is none.
func (p *Play) TakeWebhook() (signature, body []byte, err error) {
	var signatureText, bodyText native.Text
	err = p.use(func() error { return native.Play_webhook_take(&signatureText, &bodyText, p.handle) })
	if err != nil {
		return nil, nil, err
	}
	if text, there := native.Take(signatureText); there {
		signature = []byte(text)
	}
	if text, there := native.Take(bodyText); there {
		body = []byte(text)
	}
	return signature, body, nil
}

// Sign signs any body, for tests.
func (p *Play) Sign(body []byte, at time.Time) ([]byte, error) {
	var text native.Text
	if err := p.use(func() error { return native.Play_sign(&text, p.handle, body, microseconds(at)) }); err != nil {
		return nil, err
	}
	signature, _ := native.Take(text)
	return []byte(signature), nil
}

// PlayBooks are the play provider's ground truth; ChargedTwice and RefundedTwice must be 0.
type PlayBooks struct {
	Intents, Charges, ChargedTwice, Calls, WebhooksPending int64
	Refunds, RefundedTwice, Disputes                       int64
}

// Books reads the ground truth.
func (p *Play) Books() (PlayBooks, error) {
	var books PlayBooks
	err := p.use(func() error {
		return native.Play_books_get(&books.Intents, &books.Charges, &books.ChargedTwice, &books.Calls,
			&books.WebhooksPending, &books.Refunds, &books.RefundedTwice, &books.Disputes, p.handle)
	})
	return books, err
}

// Charges returns the number of successful charges of one payment.
func (p *Play) Charges(paymentID string) (int64, error) {
	var charges int64
	err := p.use(func() error { return native.Play_payment(&charges, p.handle, paymentID) })
	return charges, err
}
