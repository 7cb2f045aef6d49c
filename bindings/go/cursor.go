package careforall

import (
	"time"

	"careforall.org/go/internal/native"
)

// CursorState says whether a cursor moves.
type CursorState int32

const (
	CursorRuns    CursorState = 0
	CursorPaused  CursorState = 1 // by an operator, until it is resumed
	CursorStopped CursorState = 2 // by the sink's own failure: an engine that opens tries it once more
)

// Cursor is how far a sink or subscription has come in the log, as it stood when it was read.
type Cursor struct {
	Name          string // of a sink, "totals" of the projector, "sub.NAME" of a subscription
	Head          int64  // newest position of the log
	Acknowledged  int64  // everything up to here was delivered, or is a dead letter
	Lag           int64
	Oldest        time.Time // when the first event behind that was made; zero: there is none
	Epoch         int64
	Owned         bool // a living owner leads it
	State         CursorState
	Reason        string // why it does not run
	PausedAt      time.Time
	UpdatedAt     time.Time
	Refused       int64 // position that the sink refuses for now; 0: none
	RefusedTries  int64
	DeadCount     int64 // requeued ones included
	RequeuedCount int64
	Replayed      bool // of a command: its key was used before, and nothing was done now
}

// DeadLetter is an event that a sink refused, set aside.
type DeadLetter struct {
	Position  int64
	EventID   string
	EventType string
	Subject   string
	Tries     int64
	Code      int64 // the sink's own, of the newest refusal
	Reason    string
	First     time.Time
	Last      time.Time
	Requeued  bool // will be delivered again
}

// Cursors lists the cursors of all sinks and subscriptions, by name.
func (e *Engine) Cursors() ([]Cursor, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var cursors []Cursor
	for after := ""; ; {
		var list native.CursorList
		if err := native.Cursor_page(&list, e.handle, after, 0); err != nil {
			return nil, wrap(err)
		}
		for i, size := int64(0), native.Cursor_list_size(list); i < size; i++ {
			cursors = append(cursors, readCursor(list, i))
		}
		after = native.Cursor_list_next(list)
		native.Cursor_list_free(list)
		if after == "" {
			return cursors, nil
		}
	}
}

// DeadLetters lists a sink's dead letters behind a position, at most limit (0: 100).
func (e *Engine) DeadLetters(name string, after int64, limit int) ([]DeadLetter, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var list native.LetterList
	if err := native.Letter_page(&list, e.handle, name, after, clamp(int64(limit))); err != nil {
		return nil, wrap(err)
	}
	defer native.Letter_list_free(list)
	var letters []DeadLetter
	for i, size := int64(0), native.Letter_list_size(list); i < size; i++ {
		letter := native.CopyLetter(native.Letter_list_at(list, i))
		letters = append(letters, DeadLetter{letter.Position, letter.EventID, letter.EventType, letter.Subject,
			letter.Tries, letter.Code, letter.Reason, instant(letter.FirstUs), instant(letter.LastUs), letter.Requeued})
	}
	return letters, nil
}

// RewindCursor delivers everything behind position again; whoever runs the sink starts over there. expected is where the
// cursor stands, so that nobody rewinds what moved meanwhile: pause a sink that runs. A repeat with the key rewinds once.
func (e *Engine) RewindCursor(name string, expected, position int64, scope, key string, by Actor) (*Cursor, error) {
	return e.cursorCommand(key, func(out *native.CursorList, key string) error {
		return native.Cursor_rewind(out, e.handle, name, expected, position, scope, key, by.Actor, by.Reason)
	})
}

// Requeue delivers the dead letter at position again, out of order; 0: all of the sink's. What is refused again stays.
func (e *Engine) Requeue(name string, position int64, scope, key string, by Actor) (*Cursor, error) {
	return e.cursorCommand(key, func(out *native.CursorList, key string) error {
		return native.Letter_requeue(out, e.handle, name, position, scope, key, by.Actor, by.Reason)
	})
}

// PauseCursor stops a sink in every process, also over restarts, for a reason, which is required. A repeat changes nothing.
func (e *Engine) PauseCursor(name string, by Actor) (*Cursor, error) {
	return e.cursorCommand("", func(out *native.CursorList, _ string) error {
		return native.Cursor_pause(out, e.handle, name, by.Actor, by.Reason)
	})
}

// ResumeCursor goes on after a pause, whoever paused it. A repeat changes nothing.
func (e *Engine) ResumeCursor(name string, by Actor) (*Cursor, error) {
	return e.cursorCommand("", func(out *native.CursorList, _ string) error {
		return native.Cursor_resume(out, e.handle, name, by.Actor, by.Reason)
	})
}

func (e *Engine) cursorCommand(key string, command func(out *native.CursorList, key string) error) (*Cursor, error) {
	key, err := keyOr(key)
	if err != nil {
		return nil, err
	}
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.gate.leave()
	var list native.CursorList
	if err := command(&list, key); err != nil {
		return nil, wrapKey(err, key)
	}
	defer native.Cursor_list_free(list)
	cursor := readCursor(list, 0)
	cursor.Replayed = native.Cursor_list_replayed(list) != 0
	return &cursor, nil
}

func readCursor(list native.CursorList, index int64) Cursor {
	cursor := native.CopyCursor(native.Cursor_list_at(list, index))
	return Cursor{Name: cursor.Name, Head: cursor.Head, Acknowledged: cursor.Acknowledged, Lag: cursor.Lag,
		Oldest: instant(cursor.OldestUs), Epoch: cursor.Epoch, Owned: cursor.Owned, State: CursorState(cursor.Paused),
		Reason: cursor.Reason, PausedAt: instant(cursor.PausedUs), UpdatedAt: instant(cursor.UpdatedUs),
		Refused: cursor.Refused, RefusedTries: cursor.RefusedTries, DeadCount: cursor.Dead, RequeuedCount: cursor.Requeued}
}
