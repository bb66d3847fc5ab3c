package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"time"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/fleet"
)

// killer kills the leader when a share of the work is done, waits until claims come again, and brings the node back. Its
// steps are taken between reports, by the one goroutine of the run.
type killer struct {
	at      []int // numbers of ended jobs at which the leader dies
	victim  *fleet.Node
	dead    *fleet.Child // the process that was killed last
	phase   phase
	since   int64 // Unix microseconds of the last kill
	next    time.Time
	windows []window
	fence   uint64 // highest before the first kill
}

// window is the time in which the silence after a kill must begin, in Unix microseconds.
type window struct{ killed, until int64 }

type phase int

const (
	calm    phase = iota // all nodes up, and level
	silent               // killed; no claim from a new leader yet
	running              // claims come again; the node is still down
	behind               // the node is back and catches up
)

// quiet is the silence that tells a claim of the new leader from the last words of the old one.
const quiet = 100 * time.Millisecond

// newKiller spreads the kills over the work, each a little off its even place.
func newKiller(kills, jobs int, rng *rand.Rand) killer {
	k := killer{}
	for i := range kills {
		even := float64(i+1) / float64(kills+1)
		off := (rng.Float64() - 0.5) / float64(2*(kills+1))
		k.at = append(k.at, int((even+off)*float64(jobs)))
	}
	return k
}

// step does what is due. It asks nodes only now and then: it is called for every report.
func (k *killer) step(ctx context.Context, r *run) error {
	if k.phase == calm && (len(k.at) == 0 || r.tally.Done() < k.at[0]) || time.Now().Before(k.next) {
		return nil
	}
	k.next = time.Now().Add(50 * time.Millisecond)
	switch k.phase {
	case calm:
		return k.kill(ctx, r)
	case silent:
		if r.tally.ClaimAfter(k.since+quiet.Microseconds()) || time.Since(time.UnixMicro(k.since)) > patience/2 {
			k.windows[len(k.windows)-1].until = time.Now().UnixMicro()
			k.phase = running
		}
	case running:
		if err := r.servers.Start(ctx, k.victim); err != nil {
			return fmt.Errorf("restart %s: %w", k.victim.Name, err)
		}
		k.phase = behind
	case behind:
		if r.servers.CaughtUp(ctx, k.victim) {
			r.progress.Note("%s is back and level with the others", k.victim.Name)
			k.phase = calm
		}
	}
	return nil
}

func (k *killer) kill(ctx context.Context, r *run) error {
	_, leader, err := r.servers.Leader(ctx)
	if errors.Is(err, fleet.ErrNoLeader) {
		return nil // an election that nobody forced; a later step tries again
	}
	if err != nil {
		return err
	}
	if len(k.windows) == 0 {
		k.fence = r.tally.HighestFence()
	}
	k.victim, k.dead = leader, leader.Process
	k.since = time.Now().UnixMicro()
	leader.Process.Kill()
	k.at = k.at[1:]
	k.windows = append(k.windows, window{killed: k.since})
	k.phase = silent
	r.verdict.Kills++
	r.progress.Note("killed the leader, %s (SIGKILL), at %d of %d", leader.Name, r.tally.Done(), len(r.work))
	return nil
}

// finish brings the last victim back, so that all nodes can be compared.
func (k *killer) finish(ctx context.Context, r *run) error {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	limit := time.After(20 * time.Second)
	k.at = nil
	for k.phase != calm && k.victim != nil {
		if k.phase == silent {
			k.windows[len(k.windows)-1].until, k.phase = time.Now().UnixMicro(), running
		}
		select {
		case <-look.C:
		case <-limit:
			return fmt.Errorf("%s did not catch up within 20 s of its restart", k.victim.Name)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := k.step(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// killed reports that the process died by this hand.
func (k *killer) killed(c *fleet.Child) bool { return c == k.dead }

// state of the cluster in a word, for the progress line.
func (k *killer) state() string {
	switch k.phase {
	case silent:
		return "leader killed"
	case running:
		return "2 of 3 nodes"
	case behind:
		return "catching up"
	}
	return "3 nodes"
}
