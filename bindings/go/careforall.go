// Package careforall embeds libcareforall, a donation engine: campaigns, pledges that can be retried for ever and charge
// once, payments, events and totals, in one database of the host's own.
//
// An [Engine] is one book. Any goroutine may call any method at once; Close waits for the calls that run and refuses new
// ones. A context's deadline becomes the call's time limit; a context that is done before a call begins ends it
// with nothing done. A command that has begun is not torn apart by cancellation: it ends by itself, in bounded time.
//
// Errors are *[Error]; switch on the class with errors.Is:
//
//	ErrInvalid    fix the call          ErrPermanent  tell the user      ErrConflict  re-read, then decide
//	ErrTransient  retry: it certainly did not happen
//	ErrInDoubt    it may have happened: repeat with the same key, or ask
//	ErrInternal   report it
package careforall

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"careforall.org/go/internal/native"
)

// No single call into C waits longer where a wait can be cut in pieces, so that Close and cancellation are never far.
const slice = 200 * time.Millisecond

// Version returns the running library's version, such as "0.1.0".
func Version() string { return native.Version() }

// NewKey returns a fresh idempotency key, a time-ordered UUIDv7. Make it before the first attempt and keep it until
// an answer came: a repeat can never charge twice.
func NewKey() (string, error) {
	var text native.Text
	if err := native.Key_new(&text); err != nil {
		return "", wrap(err)
	}
	key, _ := native.Take(text)
	return key, nil
}

// Options of a book. The zero value of each field is the library's default.
type Options struct {
	Provider       Adapter // a *Play, a *stripe.Provider or Host(provider); nil: pledges are refused
	Account        string  // provider account; pinned with Livemode at the book's first start
	Livemode       bool
	CaptureManual  bool // authorize first, capture by CapturePayment
	QueueLimit     int
	BatchLimit     int
	Timeout        time.Duration // of calls whose context has no deadline
	CallTimeout    time.Duration // of one provider call
	PaymentExpires time.Duration // unpaid payments are cancelled after this
	AnswerKept     time.Duration
	TotalsMaxAge   time.Duration // how old a cached total may be; negative: not at all
	CallsInFlight  int           // of a provider that can have many

	CircuitRule     CircuitRule   // of pledges while the provider is out
	CircuitFailures int           // so many failed calls, if they are half of the newest, open the breaker; negative: never
	CircuitOpen     time.Duration // how long it stays open before one call tries
	FraudRule       FraudRule     // of payments whose card's issuer suspects fraud
}

// FraudRule says what happens when a card's issuer suspects fraud of money that was taken.
type FraudRule int32

const (
	FraudFlag   FraudRule = 0 // the payment's flag; a person decides
	FraudRefund FraudRule = 1 // what is left goes back as well, once, unless a dispute is known
)

// CircuitRule says what happens to a pledge while the provider's circuit breaker is open.
type CircuitRule int32

const (
	CircuitReject CircuitRule = 0 // kept; the call is ECIRCUIT, and only the same key makes the provider call
	CircuitQueue  CircuitRule = 1 // pending; the provider call follows by itself
)

// Adapter is what an engine takes as its payment provider: a *Play, a *Provider of the package stripe, or Host around a
// Provider written in Go.
type Adapter interface {
	// Lend is for engines: what the library calls, and how to give it back after the close.
	Lend() (provider native.Provider, giveBack func(), err error)
}

// Engine is one open book.
type Engine struct {
	gate     gate
	closing  sync.Once
	handle   native.Engine
	storage  native.Storage
	giveBack func() // the provider

	mutex         sync.Mutex
	subscriptions map[*Subscription]struct{}
}

// OpenSQLite opens a book in one SQLite file, created if needed. Mode, provider and account are pinned at the
// first start.
func OpenSQLite(path string, options Options) (*Engine, error) {
	if err := filePath(path); err != nil {
		return nil, err
	}
	return open(path, nil, options)
}

// OpenMemory opens an empty book that lives in this process alone, for tests.
func OpenMemory(options Options) (*Engine, error) {
	var storage native.Storage
	if err := native.Memory_storage_new(&storage); err != nil {
		return nil, wrap(err)
	}
	engine, err := open("", storage, options)
	if err != nil {
		native.Storage_free(storage)
	}
	return engine, err
}

func open(path string, storage native.Storage, options Options) (*Engine, error) {
	var provider native.Provider
	giveBack := func() {}
	if options.Provider != nil {
		var err error
		if provider, giveBack, err = options.Provider.Lend(); err != nil {
			return nil, err
		}
	}
	var handle native.Engine
	err := native.Engine_open(&handle, path, storage, provider, options.Account, flag(options.Livemode),
		flag(options.CaptureManual), clamp(int64(options.QueueLimit)), clamp(int64(options.BatchLimit)),
		milliseconds(options.Timeout), milliseconds(options.CallTimeout), options.PaymentExpires.Milliseconds(),
		options.AnswerKept.Milliseconds(), milliseconds(options.TotalsMaxAge), clamp(int64(options.CallsInFlight)),
		int32(options.CircuitRule), clamp(int64(options.CircuitFailures)), milliseconds(options.CircuitOpen),
		int32(options.FraudRule))
	if err != nil {
		giveBack()
		return nil, wrap(err)
	}
	engine := &Engine{handle: handle, storage: storage, giveBack: giveBack,
		subscriptions: map[*Subscription]struct{}{}}
	engine.gate.shutting, engine.gate.drained = make(chan struct{}), make(chan struct{})
	return engine, nil
}

// Close refuses new calls, waits for those that run, and closes. A repeat does nothing. Unfinished work is durable and
// goes on at the next open. Never call it from inside a Provider's Call.
func (e *Engine) Close() error {
	e.gate.shut()
	e.closing.Do(func() {
		e.mutex.Lock()
		defer e.mutex.Unlock()
		for subscription := range e.subscriptions {
			native.Subscription_free(subscription.handle)
		}
		e.subscriptions = nil
		native.Engine_close(e.handle)
		native.Storage_free(e.storage)
		e.giveBack()
	})
	return nil
}

// enter begins a call: the engine stays open until leave.
func (e *Engine) enter() error {
	if !e.gate.enter() {
		return failed(EMISUSE, "", "the engine is closed")
	}
	return nil
}

// begin is enter with a context, whose deadline becomes milliseconds.
func (e *Engine) begin(ctx context.Context) (int32, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var limit int32
	if deadline, ok := ctx.Deadline(); ok {
		limit = milliseconds(time.Until(deadline))
		if limit <= 0 {
			return 0, context.DeadlineExceeded
		}
	}
	return limit, e.enter()
}

// Work is what a tick or the runner may do.
type Work uint32

const (
	WorkCommands Work = 1 << iota
	WorkCalls
	WorkTotals
	WorkRelay
	WorkUpkeep
	WorkNoCommit // not work: leave every commit to other threads
	WorkAll      = WorkCommands | WorkCalls | WorkTotals | WorkRelay | WorkUpkeep
)

// Tick does due work for about budget and returns the number of steps done.
func (e *Engine) Tick(work Work, budget time.Duration) (int, error) {
	if err := e.enter(); err != nil {
		return 0, err
	}
	defer e.gate.leave()
	var done int32
	err := native.Engine_tick(&done, e.handle, uint32(work), milliseconds(budget))
	return int(done), wrap(err)
}

// NextDue returns how long nothing will be due, at most a second.
func (e *Engine) NextDue(work Work) (time.Duration, error) {
	if err := e.enter(); err != nil {
		return 0, err
	}
	defer e.gate.leave()
	return time.Duration(native.Engine_next_due_ms(e.handle, uint32(work))) * time.Millisecond, nil
}

// Descriptor returns a file descriptor that is readable when work became due; -1 if there is none.
func (e *Engine) Descriptor() (int, error) {
	if err := e.enter(); err != nil {
		return -1, err
	}
	defer e.gate.leave()
	return int(native.Engine_descriptor(e.handle)), nil
}

// Run does due work in this goroutine until the context is done, and then returns nil. A transient failure of the store
// leaves the work due and is not an end; any other error is.
func (e *Engine) Run(ctx context.Context, work Work) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if _, err := e.Tick(work, slice); err != nil && !retryable(err) {
			return err
		}
		wait, err := e.NextDue(work)
		if err != nil {
			return err
		}
		timer.Reset(wait)
	}
}

// StartRunner lets two threads of the library do the work until StopRunner or Close.
func (e *Engine) StartRunner(work Work) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.gate.leave()
	return wrap(native.Runner_start(e.handle, uint32(work)))
}

// StopRunner stops the library's threads.
func (e *Engine) StopRunner() error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.gate.leave()
	native.Runner_stop(e.handle)
	return nil
}

// Statistics returns the engine's counters and gauges as one JSON object.
func (e *Engine) Statistics() ([]byte, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var text native.Text
	if err := native.Engine_statistics(&text, e.handle); err != nil {
		return nil, wrap(err)
	}
	statistics, _ := native.Take(text)
	return []byte(statistics), nil
}

// gate counts the calls inside and lets none in once it is shut.
type gate struct {
	state    atomic.Int64  // the number of calls, and shutBit
	shutting chan struct{} // closed when no call can enter any more: those that take long end
	drained  chan struct{} // closed when none is inside either
}

const shutBit = int64(1) << 62

func (g *gate) enter() bool {
	for {
		state := g.state.Load()
		if state&shutBit != 0 {
			return false
		}
		if g.state.CompareAndSwap(state, state+1) {
			return true
		}
	}
}

func (g *gate) leave() {
	if g.state.Add(-1) == shutBit {
		close(g.drained)
	}
}

// shut returns when no call is inside and none can enter.
func (g *gate) shut() {
	for {
		state := g.state.Load()
		if state&shutBit != 0 {
			break
		}
		if g.state.CompareAndSwap(state, state|shutBit) {
			close(g.shutting)
			if state == 0 {
				close(g.drained)
			}
			break
		}
	}
	<-g.drained
}

func flag(value bool) int32 {
	if value {
		return 1
	}
	return 0
}

func clamp(value int64) int32 {
	if value > math.MaxInt32 {
		return math.MaxInt32
	}
	if value < math.MinInt32 {
		return math.MinInt32
	}
	return int32(value)
}

// milliseconds rounds up, so that a short time is not none; 0 stays 0 and less is negative.
func milliseconds(span time.Duration) int32 {
	if span < 0 {
		return -1
	}
	return clamp(int64((span + time.Millisecond - 1) / time.Millisecond))
}

func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func microseconds(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMicro()
}
