package careforall

import (
	"context"
	"sync"
	"time"

	"careforall.org/go/internal/native"
)

// Event is one event as it stands in the log; CloudEvents 1.0 names. Data is JSON, byte for byte.
type Event struct {
	Position    int64
	Source      string
	ID          string
	Type        string
	Subject     string
	Sequence    int64
	Time        time.Time
	Traceparent string
	Data        []byte
}

// Events reads events after a position, at most limit (0: 100). No cursor moves.
func (e *Engine) Events(after int64, limit int) ([]Event, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var list native.EventList
	if err := native.Event_page(&list, e.handle, after, clamp(int64(limit))); err != nil {
		return nil, wrap(err)
	}
	defer native.Event_list_free(list)
	return readEvents(list), nil
}

// Subscription is a reader of the log whose place is kept in the database. Every event comes at least once, in
// order; what was not acknowledged comes again after the next Subscribe.
type Subscription struct {
	engine *Engine
	mutex  sync.Mutex // the handle is used by one thread at a time
	handle native.Subscription
	closed bool
}

// Subscribe opens the durable subscription name; an earlier reader of that name is fenced off.
func (e *Engine) Subscribe(name string) (*Subscription, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var handle native.Subscription
	if err := native.Subscription_open(&handle, e.handle, name); err != nil {
		return nil, wrap(err)
	}
	subscription := &Subscription{engine: e, handle: handle}
	e.mutex.Lock()
	e.subscriptions[subscription] = struct{}{}
	e.mutex.Unlock()
	return subscription, nil
}

// Next reads the next events, at most limit (0: 100), and waits for the first until the context is done.
func (s *Subscription) Next(ctx context.Context, limit int) ([]Event, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		events, err := s.poll(limit, slice)
		if err != nil || len(events) > 0 {
			return events, err
		}
	}
}

// Poll reads the next events that are there now, at most limit (0: 100).
func (s *Subscription) Poll(limit int) ([]Event, error) { return s.poll(limit, -1) }

func (s *Subscription) poll(limit int, wait time.Duration) ([]Event, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	var list native.EventList
	if err := native.Subscription_next(&list, s.handle, clamp(int64(limit)), milliseconds(wait)); err != nil {
		return nil, wrap(err)
	}
	defer native.Event_list_free(list)
	return readEvents(list), nil
}

// Ack acknowledges everything up to a position. Durable when it returns. EFENCED: another reader took over, stop.
func (s *Subscription) Ack(position int64) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	return wrap(native.Subscription_ack(s.handle, position))
}

// Close gives the place up; what was acknowledged stays so. A repeat does nothing.
func (s *Subscription) Close() error {
	leave, err := s.enter()
	if err != nil {
		return nil // closed already, or by the engine's Close
	}
	defer leave()
	s.closed = true
	s.engine.mutex.Lock()
	delete(s.engine.subscriptions, s)
	s.engine.mutex.Unlock()
	native.Subscription_free(s.handle)
	return nil
}

// enter takes the subscription and keeps its engine open, until the function it returns is called.
func (s *Subscription) enter() (leave func(), err error) {
	if err := s.engine.enter(); err != nil {
		return nil, err
	}
	s.mutex.Lock()
	if s.closed {
		s.mutex.Unlock()
		s.engine.gate.leave()
		return nil, failed(EMISUSE, "", "the subscription is closed")
	}
	return func() {
		s.mutex.Unlock()
		s.engine.gate.leave()
	}, nil
}

func readEvents(list native.EventList) []Event {
	var events []Event
	for i, size := int64(0), native.Event_list_size(list); i < size; i++ {
		event := native.CopyEvent(native.Event_list_at(list, i))
		events = append(events, Event{event.Position, event.Source, event.ID, event.EventType, event.Subject,
			event.Sequence, instant(event.TimeUs), event.Traceparent, event.Data})
	}
	return events
}
