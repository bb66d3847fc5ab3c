package fsm

import "github.com/fairlane-scheduler/fairlane/scheduler"

// Insight is the state of one index for questions that take longer than Apply may wait. It may be used on another goroutine while the
// machine goes on, by one caller at a time.
type Insight struct {
	facts
	roll *scheduler.Roll
}

// Insight copies every tree in O(1). It must not run at the same time as Apply, Snapshot or another Insight.
func (m *Machine) Insight() *Insight {
	return &Insight{facts: m.Snapshot().facts, roll: m.board.Roll()}
}

// Index is the log index of the insight.
func (i *Insight) Index() uint64 { return i.index }
