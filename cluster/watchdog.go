package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// giveAwayPause between two attempts to give the leadership away; it doubles up to giveAwayPauseMax.
	giveAwayPause    = 2 * time.Second
	giveAwayPauseMax = 30 * time.Second
	// wedged so long after its limit, a transfer of leadership still keeps raft from taking anything (hashicorp/raft #696).
	wedged = 5 * time.Second
	// idleLeader is how long a leader may get nothing done that waits to be done.
	idleLeader = 10 * time.Second
	// barrierPause between two barriers, if raft did not take one.
	barrierPause = 100 * time.Millisecond
)

// giveAway the leadership because of what keeps this node from leading. The attempt is bounded; whether it has come off shows when raft says so.
func (n *Node) giveAway(ctx context.Context, why string, forClock bool) error {
	to, found := n.heir(forClock)
	if !found {
		return errNoHeir
	}
	n.log.Warn("the leadership is given away", "to", to.ID, "reason", why)
	limit, cancel := context.WithTimeout(ctx, transferLimit)
	defer cancel()
	if err := await(limit, n.raft.LeadershipTransferToServer(to.ID, to.Address)); err != nil && ctx.Err() == nil {
		return fmt.Errorf("transfer to node %s: %w", to.ID, err)
	}
	return nil
}

// barrier waits until the machine holds everything that former leaders committed. As long as the machine moves it may take its time: a node that
// starts reads its whole log. When nothing moves, another node shall lead, and if that does not help either, this one starts again.
func (l *leadership) barrier() error {
	n := l.node
	limit := int(idleLeader / healthLook)
	still, applied := 0, n.machine.applied()
	done := l.askBarrier()
	look := time.NewTicker(healthLook)
	defer look.Stop()
	for {
		select {
		case err := <-done:
			if err == nil || l.ctx.Err() != nil {
				return err
			}
			n.log.Warn("raft took no barrier from its leader", "error", err)
			l.pause(barrierPause)
			done = l.askBarrier()
		case <-l.ctx.Done():
			return l.ctx.Err()
		case <-look.C:
			still++
			if now := n.machine.applied(); now != applied {
				still, applied = 0, now
			}
		}
		switch still {
		case limit:
			still++
			n.log.Error("the leader's barrier is not done and nothing moves: the leadership is given away", "after", idleLeader)
			go func() { // raft may not answer at all
				limit, cancel := context.WithTimeout(l.ctx, transferLimit)
				defer cancel()
				_ = await(limit, n.raft.LeadershipTransfer())
			}()
		case 2 * limit:
			n.fatal(&RestartError{fmt.Errorf("this node leads, but in %v its machine took nothing and nobody else took over", 2*idleLeader)})
			return ErrShutdown
		}
	}
}

func (l *leadership) askBarrier() <-chan error {
	done := make(chan error, 1)
	go func() { done <- await(l.ctx, l.node.raft.Barrier(0)) }()
	return done
}

// fit waits, before the duties begin, until this node may lead or has given the leadership away; false: the leadership has ended. What the
// disk forbids is not waited for: a leader with little room is better than none. A wrong clock would move the cluster's for good: as long as somebody
// else answers whose clock is right, the duties do not begin.
func (l *leadership) fit() bool {
	pause := healthLook
	for l.ctx.Err() == nil {
		clock, disk := l.node.unfit()
		if clock == "" && disk == "" {
			return true
		}
		err := l.node.giveAway(l.ctx, clock+disk, clock != "")
		if err != nil && (clock == "" || errors.Is(err, errNoHeir)) {
			l.node.log.Warn("this node leads though it should not", "reason", clock+disk, "error", err)
			return true
		}
		l.pause(pause)
	}
	return false
}

func (n *Node) unfit() (clock, disk string) {
	n.health.mu.Lock()
	defer n.health.mu.Unlock()
	return n.health.clock.reason, n.health.disk
}

// keepFit gives the leadership away when something keeps this node from leading, and ends the process when it leads without effect.
func (l *leadership) keepFit() {
	var dog watchdog
	pause, wait := giveAwayPause, time.Duration(0)
	look := time.NewTicker(healthLook)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-l.ctx.Done():
			return
		}
		if err := dog.look(l.vitals()); err != nil {
			l.node.fatal(&RestartError{err})
			return
		}
		if wait -= healthLook; wait > 0 {
			continue
		}
		clock, reason := l.node.unfit()
		if reason = clock + reason; reason == "" {
			reason = l.node.cutOff()
		}
		if reason == "" {
			pause, wait = giveAwayPause, 0
			continue
		}
		if err := l.node.giveAway(l.ctx, reason, clock != ""); err != nil {
			l.node.log.Warn("the leadership was not given away", "reason", reason, "error", err)
		}
		wait, pause = pause, min(2*pause, giveAwayPauseMax)
	}
}

// vitals of a leadership at one look.
type vitals struct {
	applied   uint64
	waiting   bool // something waits to be proposed
	inHandOff bool // raft refused the last batch because of a transfer
}

func (l *leadership) vitals() vitals {
	l.mu.Lock()
	defer l.mu.Unlock()
	return vitals{
		applied:   l.node.machine.applied(),
		waiting:   l.closed == nil && (l.queued() > 0 || len(l.readers) > 0 || time.Now().After(l.nextTick)),
		inHandOff: l.inHandOff,
	}
}

// watchdog counts looks at which a leadership had no effect.
type watchdog struct {
	applied           uint64
	idle, handingOver int
}

// look tells why the process must end; nil: it goes on.
func (d *watchdog) look(v vitals) error {
	if v.applied != d.applied {
		*d = watchdog{applied: v.applied}
	}
	d.idle++
	if !v.waiting {
		d.idle = 0
	}
	d.handingOver++
	if !v.inHandOff {
		d.handingOver = 0
	}
	switch {
	case d.handingOver > int((transferLimit+wedged)/healthLook):
		return fmt.Errorf("a transfer of leadership is stuck: for more than %v raft takes nothing from this leader, and nobody else leads", transferLimit+wedged)
	case d.idle > int(idleLeader/healthLook):
		return fmt.Errorf("this node leads, but for more than %v nothing was done of what waits", idleLeader)
	}
	return nil
}

// noteRefusal of a batch by raft. The caller holds mu.
func (l *leadership) noteRefusal(err error) {
	l.inHandOff = errors.Is(err, raft.ErrLeadershipTransferInProgress)
}
