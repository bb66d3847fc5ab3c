package harness

import (
	"sync"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Session numbers the calls of one party. Safe for many goroutines.
type Session struct {
	ID uint64

	mu   sync.Mutex
	last uint64
	open map[uint64]bool
}

// NewSession starts to number at 1.
func NewSession(id uint64) *Session { return &Session{ID: id, open: make(map[uint64]bool)} }

// Begin draws the number of a new call.
func (s *Session) Begin() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.open[s.last] = true
	return s.last
}

// End says that the answer to the number has arrived and is never asked for again.
func (s *Session) End(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, number)
}

// Lowest gives the lowest number still unanswered, or the next one to be drawn.
func (s *Session) Lowest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	lowest := s.last + 1
	for number := range s.open {
		lowest = min(lowest, number)
	}
	return lowest
}

// Repeat is what a call with this number carries.
func (s *Session) Repeat(number uint64) *fairlanev1.Repeat {
	return &fairlanev1.Repeat{Session: s.ID, Number: number, Lowest: s.Lowest()}
}

// Last gives the number drawn last.
func (s *Session) Last() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}
