package cluster

import (
	"sync/atomic"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// latenessBounds of the histogram, in milliseconds, inclusive. What is later is in one more bucket.
var latenessBounds = [...]int64{5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000}

const (
	tickResults = int(logv1.TickResult_TICK_RESULT_COALESCED) + 1
	tickReasons = int(logv1.TickReason_TICK_REASON_NEWER) + 1
)

// ticks counts what became of the ticks of schedules in the batches that this node proposed. So over all nodes each counts once, but for the
// ones of a batch whose answer was lost with a leadership.
type ticks struct {
	counts   [tickResults][tickReasons]atomic.Uint64
	lateness [len(latenessBounds) + 1]atomic.Uint64
	lateMs   atomic.Int64
}

// TickCount is how many ticks had one outcome.
type TickCount struct {
	Result logv1.TickResult
	Reason logv1.TickReason
	Count  uint64
}

// TickStats is what this node saw, since it started, while it led.
type TickStats struct {
	// Counts of the outcomes that there were. A trigger and a backfill count too, under their reasons.
	Counts []TickCount
	// Late counts the fires of the grid by lateness: Late[i] was at most LateBounds[i] ms late and later than the bound before; the last of
	// Late has no bound.
	LateBounds []int64
	Late       []uint64
	// LateSumMs is the lateness of all of them together.
	LateSumMs int64
}

// TickStats of this node.
func (n *Node) TickStats() TickStats {
	s := TickStats{LateBounds: latenessBounds[:], LateSumMs: n.ticks.lateMs.Load()}
	for result := range n.ticks.counts {
		for reason := range n.ticks.counts[result] {
			if count := n.ticks.counts[result][reason].Load(); count > 0 {
				s.Counts = append(s.Counts, TickCount{logv1.TickResult(result), logv1.TickReason(reason), count})
			}
		}
	}
	for i := range n.ticks.lateness {
		s.Late = append(s.Late, n.ticks.lateness[i].Load())
	}
	return s
}

// watchTicks counts the ticks of an applied batch, and tells the duty to fire of changes that may bring one forward.
func (l *leadership) watchTicks(outcome *fsm.Outcome) {
	for i := range outcome.Events {
		switch e := &outcome.Events[i]; {
		case e.Kind == fsm.ScheduleChanged:
			poke(l.fires.earlier)
		case e.Tick != nil:
			l.node.ticks.count(e.Tick)
		}
	}
}

func (t *ticks) count(tick *logv1.TickRecord) {
	result, reason := int(tick.GetResult()), int(tick.GetReason())
	if result >= tickResults || reason >= tickReasons {
		return
	}
	t.counts[result][reason].Add(uint64(max(tick.GetCount(), 1)))
	switch tick.GetReason() {
	case logv1.TickReason_TICK_REASON_ON_TIME, logv1.TickReason_TICK_REASON_CAUGHT_UP:
		late := max(tick.GetLateMs(), 0)
		bucket := 0
		for bucket < len(latenessBounds) && late > latenessBounds[bucket] {
			bucket++
		}
		t.lateness[bucket].Add(1)
		t.lateMs.Add(late)
	}
}
