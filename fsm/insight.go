package fsm

import (
	"github.com/tidwall/btree"

	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// Insight is the state of one index for questions that take longer than Apply may wait. It may be used on another goroutine while the
// machine goes on, by one caller at a time.
type Insight struct {
	facts
	roll         *scheduler.Roll
	excluded     *btree.BTreeG[lapse]
	coordinators *btree.Map[string, coordination]
}

// Insight copies every tree in O(1): a few microseconds, and afterwards each batch copies what it touches, once. It must not run at the
// same time as Apply, Snapshot or another Insight.
func (m *Machine) Insight() *Insight {
	return &Insight{facts: m.Snapshot().facts, roll: m.board.Roll(), excluded: m.excluded.Copy(), coordinators: m.coordinators.Copy()}
}

// Index is the log index of the insight.
func (i *Insight) Index() uint64 { return i.index }

// reader is a machine without anything derived, for what needs facts alone.
func (i *Insight) reader() *Machine { return &Machine{facts: i.facts} }
