package native

import "sync"

// Shared counts who needs something of C's: its maker, until GiveUp, and those who acquired it. It is freed after the
// last of them.
type Shared struct {
	mutex   sync.Mutex
	users   int
	givenUp bool
	free    func()
}

// Share begins with the maker as its user.
func Share(free func()) *Shared { return &Shared{users: 1, free: free} }

// Acquire begins a use; false once the last one ended.
func (s *Shared) Acquire() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.users == 0 {
		return false
	}
	s.users++
	return true
}

// Release ends one use.
func (s *Shared) Release() {
	s.mutex.Lock()
	s.users--
	last := s.users == 0
	s.mutex.Unlock()
	if last {
		s.free()
	}
}

// GiveUp ends the maker's own use; a repeat does nothing.
func (s *Shared) GiveUp() {
	s.mutex.Lock()
	first := !s.givenUp
	s.givenUp = true
	s.mutex.Unlock()
	if first {
		s.Release()
	}
}
