package bench

import (
	"context"
	"fmt"
	"time"
)

const (
	// calm is how long no job may be late for the leader's death to be over.
	calm = 2 * time.Second
	// leastLate is the least time from due to start that counts as late, whatever was usual before.
	leastLate = 20 * time.Millisecond
)

// killLeader kills the leader at its time in the window and starts the node again at once. restarted is closed in the end.
func (r *run) killLeader(ctx context.Context) error {
	defer close(r.restarted)
	if !r.reach(ctx, r.begun+int64(r.o.Warmup+r.o.Self.KillLeaderAt)) {
		return nil
	}
	_, leader, err := r.fleet.Leader(ctx)
	if err != nil {
		return fmt.Errorf("kill the leader: %w", err)
	}
	r.killed = r.ledger.now()
	leader.Process.Kill()
	r.note("killed the leader, %s", leader.Name)
	if err := r.fleet.Start(ctx, leader); err != nil {
		return fmt.Errorf("restart %s: %w", leader.Name, err)
	}
	r.note("%s is back after %v", leader.Name, time.Duration(r.ledger.now()-r.killed).Round(time.Millisecond))
	return nil
}

// phases cuts the window of a run into before, during and after the leader's death. A job is late when it started later than twice the
// p99.9 of before, and not within leastLate. The death lasts until the first acknowledgement of a job that was due after it, and on to the
// last late job before the first time of calm without one.
func phases(l *ledger, w window, killed, end int64) []Phase {
	before := window{w.from, killed}
	usual := open(l, before, end)
	late := int64(leastLate)
	if p := usual.start.percentiles(); p != nil {
		late = max(late, int64(2*p.P999*1e6))
	}
	over := w.to
	l.each(func(r *record) {
		if acked := r.acked.Load(); r.due >= killed && acked != 0 {
			over = min(over, acked)
		}
	})
	calmed := false
	l.each(func(r *record) { // in the order in which they were due
		if calmed || r.due < killed || r.due >= w.to {
			return
		}
		if r.due-over > int64(calm) {
			calmed = true
			return
		}
		started := r.started.Load()
		if started == 0 || started-r.due > late {
			over = max(over, r.due+1)
		}
	})
	list := []Phase{phase("before", l, w, before, end), phase("during", l, w, window{killed, over}, end)}
	return append(list, phase("after", l, w, window{over, w.to}, end))
}

func phase(name string, l *ledger, all, w window, end int64) Phase {
	s := open(l, w, end)
	return Phase{
		Name: name, From: round(float64(w.from-all.from) / 1e9), Seconds: round(w.seconds()), Jobs: s.due,
		EnqueueMs: s.enqueue.percentiles(), StartMs: s.start.percentiles(), CycleMs: s.cycle.percentiles(),
	}
}
