package careforall

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"careforall.org/go/internal/native"
)

// CallKind is what a provider is asked to do.
type CallKind int32

const (
	CallCreate   CallKind = 1
	CallCapture  CallKind = 2
	CallCancel   CallKind = 3
	CallRetrieve CallKind = 4
	CallLookup   CallKind = 5
	CallRefund   CallKind = 6
)

// Outcome is what became of a call. Unknown is the safe reading, and the zero value.
type Outcome int32

const (
	OutcomeUnknown Outcome = 0 // it may have happened
	OutcomeDone    Outcome = 1 // it happened; Facts say what
	OutcomePending Outcome = 2 // accepted, the result comes later
	OutcomeRefused Outcome = 3 // it certainly will not happen
	OutcomeNotSent Outcome = 4 // nothing reached the provider
)

// FactFlags are a set of Fact values.
type FactFlags uint32

const (
	FactSucceeded FactFlags = 1
	FactCanceled  FactFlags = 2
	FactExpired   FactFlags = 4

	FactFraudWarning FactFlags = 8 // the card's issuer suspects fraud
	FactNeedsAction  FactFlags = 16
	FactProcessing   FactFlags = 32
	FactFailed       FactFlags = 64
	FactSettled      FactFlags = 128 // what was captured was paid out
)

// Facts are what the provider knows about a payment. They only grow, so their order does not matter.
type Facts struct {
	Ref             string
	PaymentID       string
	Amount          Money
	Flags           FactFlags
	AuthorizedMinor int64
	CapturedMinor   int64
	Attempt         int
	Occurred        time.Time
	FailureCode     string
	CancelReason    string
	OriginRef       string // the object that Ref grew out of, such as the hosted page
	Refunds         []RefundFacts
	Disputes        []DisputeFacts
	Fee             Money // what the provider keeps of the captured money; the zero value while unknown
}

// RefundFacts are one refund of a payment, told apart by Ref, the provider's id of it.
type RefundFacts struct {
	Ref         string
	RefundID    string // our id as the provider echoes it: with every report of a refund that was asked for, or with none
	Amount      Money
	State       RefundState
	FailureCode string
	Occurred    time.Time
}

// DisputeFacts are one dispute of a payment: its state, and apart from it the most that was ever taken and given back.
type DisputeFacts struct {
	Ref             string
	Amount          Money
	State           DisputeState
	WithdrawnMinor  int64
	ReinstatedMinor int64
	Fee             Money
	Reason          string
	EvidenceDue     time.Time
	Occurred        time.Time
}

// lend makes the facts as C has them, to be freed by native.Facts_free.
func (f Facts) lend() (made native.Facts, err error) {
	err = native.Facts_new(&made, f.Ref, f.PaymentID, f.Amount.native(), uint32(f.Flags), f.AuthorizedMinor,
		f.CapturedMinor, clamp(int64(f.Attempt)), microseconds(f.Occurred), f.FailureCode, f.CancelReason, f.OriginRef,
		f.Fee.native())
	for i := 0; err == nil && i < len(f.Refunds); i++ {
		r := f.Refunds[i]
		err = native.Facts_refund(made, r.Ref, r.RefundID, r.Amount.native(), int32(r.State), r.FailureCode,
			microseconds(r.Occurred))
	}
	for i := 0; err == nil && i < len(f.Disputes); i++ {
		d := f.Disputes[i]
		err = native.Facts_dispute(made, d.Ref, d.Amount.native(), int32(d.State), d.WithdrawnMinor, d.ReinstatedMinor,
			d.Fee.native(), d.Reason, microseconds(d.EvidenceDue), microseconds(d.Occurred))
	}
	if err != nil {
		native.Facts_free(made)
		return nil, wrap(err)
	}
	return made, nil
}

// Request is one provider call. Body was fixed before the call was committed: equal for every repeat, as is
// IdempotencyKey.
type Request struct {
	Kind           CallKind
	OperationID    string
	PaymentID      string
	IdempotencyKey string
	Account        string
	Ref            string
	Amount         Money
	PaymentMethod  string
	CaptureManual  bool
	Body           []byte
	CreatedFrom    time.Time
	CreatedUntil   time.Time
	Now            time.Time
	ReturnURL      string // where a hosted page sends the donor afterwards; as CancelURL, it stands in the Body of a create
	CancelURL      string
	RefundID       string // of a refund: our id of it, for the provider's metadata
}

// Reply is what a provider answered. The zero value: nobody knows, so it will be asked again.
type Reply struct {
	Outcome      Outcome
	Facts        Facts
	ClientSecret string
	Code         string
	Stored       bool
	RetryAfter   time.Duration
	RedirectURL  string // the provider's hosted page for the donor
	Unavailable  bool   // it could not be reached or was too busy: counts for the circuit breaker
	Unfinished   bool   // of a lookup that is unknown: it only ran out of time, and the next one goes on from there
}

// Capabilities are a set of Provider values.
type Capabilities uint32

const (
	ProviderTwoStep             Capabilities = 1 // create first, the donor confirms later
	ProviderLookupAuthoritative Capabilities = 2 // a lookup that finds nothing proves absence
	ProviderReadsReversals      Capabilities = 4 // a retrieve names every refund and dispute of the payment
)

// Provider is a payment provider written in Go. Engine.ServeProvider brings it the calls that are due.
type Provider interface {
	Name() string // part of every provider key: never change it
	Capabilities() Capabilities
	// Call makes one call before the context's deadline. A panic counts as unknown: it may have happened. It must not
	// close the engine.
	Call(ctx context.Context, request Request) Reply
}

// Host makes an Adapter of a Provider, for Options.
func Host(provider Provider) Adapter { return host{provider} }

type host struct{ provider Provider }

func (h host) Lend() (native.Provider, func(), error) {
	var made native.Provider
	if err := native.Provider_new(&made, h.provider.Name(), uint32(h.provider.Capabilities())); err != nil {
		return nil, nil, wrap(err)
	}
	return made, func() { native.Provider_free(made) }, nil
}

// ServeProvider brings the calls that are due to a provider until the context is done, and then returns nil. Several
// goroutines may serve at once. A transient failure of the store is not an end, nor is a reply that came after another
// host made the call; any other error is.
func (e *Engine) ServeProvider(ctx context.Context, provider Provider) error {
	for ctx.Err() == nil {
		_, err := e.ServeOne(ctx, provider, slice)
		if err != nil && !retryable(err) && !errors.Is(err, EFENCED) {
			return err
		}
	}
	return nil
}

// ServeOne waits up to wait for a call to become due and makes it; false when none did. EFENCED: the reply came too late,
// another host made the call.
func (e *Engine) ServeOne(ctx context.Context, provider Provider, wait time.Duration) (bool, error) {
	if err := e.enter(); err != nil {
		return false, err
	}
	defer e.gate.leave()
	if wait <= 0 {
		wait = -1
	}
	var call native.PulledCall
	if err := native.Call_next(&call, e.handle, milliseconds(wait)); err != nil {
		return false, wrap(err)
	}
	if call == nil {
		return false, nil
	}
	defer native.Pulled_call_free(call)
	reply := ask(ctx, provider, native.CopyCall(native.Pulled_call_view(call)))
	facts, err := reply.Facts.lend()
	if err != nil {
		return true, err
	}
	defer native.Facts_free(facts)
	err = native.Call_done(e.handle, call, int32(reply.Outcome), flag(reply.Stored), facts, reply.ClientSecret, reply.Code,
		reply.RetryAfter.Milliseconds(), reply.RedirectURL, flag(reply.Unavailable), flag(reply.Unfinished), 0)
	return true, wrap(err)
}

// ask makes one call. Whatever goes wrong in it, the honest answer is that nobody knows.
func ask(ctx context.Context, provider Provider, call native.Call) (reply Reply) {
	defer func() {
		if recover() != nil {
			reply = Reply{}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(call.TimeoutMs)*time.Millisecond)
	defer cancel()
	var pages struct {
		ReturnURL string `json:"return_url"`
		CancelURL string `json:"cancel_url"`
	}
	if CallKind(call.Kind) == CallCreate {
		if err := json.Unmarshal(call.Body, &pages); err != nil {
			return Reply{}
		}
	}
	return provider.Call(ctx, Request{
		Kind: CallKind(call.Kind), OperationID: call.OperationID, PaymentID: call.PaymentID,
		IdempotencyKey: call.IdempotencyKey, Account: call.Account, Ref: call.Ref,
		Amount: Money{call.AmountMinor, call.Currency}, PaymentMethod: call.PaymentMethod,
		CaptureManual: call.CaptureManual, Body: call.Body, CreatedFrom: instant(call.CreatedFromUs),
		CreatedUntil: instant(call.CreatedUntilUs), Now: instant(call.NowUs),
		ReturnURL: pages.ReturnURL, CancelURL: pages.CancelURL, RefundID: call.RefundID,
	})
}
