package fairlane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	// fencesPerBeat in one heartbeat; the cluster takes no more.
	fencesPerBeat = 1024
	// beatGap between two heartbeats, whatever is urgent.
	beatGap = 100 * time.Millisecond
	// A heartbeat that is not answered within three quarters of the interval, in these bounds, is sent to another node: a
	// server that hangs must not cost the leases.
	beatLimitLeast = 500 * time.Millisecond
	beatLimitMost  = 5 * time.Second
)

// pulse is the state of the heartbeats of one session. One goroutine owns it.
type pulse struct {
	life *life
	// ghosts are claims that the cluster says are ours and that we do not hold, with the number that the next call had when we
	// first heard of them: only a call below it can still bring them.
	ghosts map[uint64]uint64
}

// beats sends heartbeats until ctx ends. One is due an interval after the last, or when a claim wants one earlier. They go on a
// goroutine of their own and never wait for another call.
func (l *life) beats(ctx context.Context) {
	p := &pulse{life: l, ghosts: map[uint64]uint64{}}
	timer := time.NewTimer(l.heartbeat)
	defer timer.Stop()
	last, failures := l.client.clock.now(), 0
	for {
		gone := l.client.clock.now().since(last)
		due := max(l.claims.planBeat(l.heartbeat-gone), beatGap-gone)
		if failures > 0 {
			due = min(max(due, jitter(beatGap<<min(failures-1, 3))), l.heartbeat)
		}
		timer.Reset(max(due, 0))
		select {
		case <-ctx.Done():
			return
		case <-l.claims.beatPoke:
			continue // a new claim may want one earlier
		case <-timer.C:
		}
		last = l.client.clock.now()
		if err := p.beat(ctx); err != nil && ctx.Err() == nil {
			failures++
			l.logger.Debug("heartbeat failed", "err", err, "failures", failures)
			continue
		}
		failures = 0
	}
}

// beat sends one heartbeat for all claims, in parts if there are very many.
func (p *pulse) beat(ctx context.Context) error {
	listed := p.life.claims.listed()
	unlisted := map[uint64]bool{}
	for {
		part := listed[:min(len(listed), fencesPerBeat)]
		listed = listed[len(part):]
		res, sent, err := p.send(ctx, part)
		if err != nil {
			return err
		}
		p.take(part, res, sent)
		for _, fence := range res.GetUnlisted() {
			unlisted[fence] = true
		}
		if len(listed) == 0 {
			break
		}
	}
	p.settleGhosts(unlisted)
	return nil
}

// send makes one attempt. A heartbeat has no number and is never repeated: the next one says more.
func (p *pulse) send(ctx context.Context, part []*claim) (*fairlanev1.HeartbeatResponse, instant, error) {
	l := p.life
	req := &fairlanev1.HeartbeatRequest{Session: l.session, Fences: make([]uint64, len(part))}
	for i, c := range part {
		req.Fences[i] = c.fence
	}
	ctx, cancel := context.WithTimeout(ctx, l.beatLimit())
	defer cancel()
	target, _ := l.client.nodes.pick()
	k := &call{client: l.client, first: l.client.clock.now(), unknown: true, harmless: true} // counted from here, not from when it is written
	e := l.errand(k)
	e.call.Call, e.once, e.bytes = &fairlanev1.WorkCall_Heartbeat{Heartbeat: req}, true, smallCall+10*len(part)
	sent := k.first
	answer, streamed, err := l.carrier.carry(ctx, e)
	res := answer.GetHeartbeat()
	if streamed && err != nil {
		if ctx.Err() != nil {
			l.carrier.suspect()
		}
		if isSessionEnd(err) {
			l.end(ReasonOf(err))
		}
		return nil, sent, err
	}
	if !streamed {
		res, err = target.workers.Heartbeat(ctx, req)
	}
	if err != nil {
		e := fromWire(err)
		if errors.Is(err, context.DeadlineExceeded) && !connect.IsWireError(err) {
			l.client.nodes.suspect(target)
		}
		switch {
		case isSessionEnd(e):
			l.end(e.Reason)
		case e.judge() != verdictFinal && e.Reason != ErrBusy:
			l.client.nodes.leave(target, e.leader())
		}
		return nil, sent, e
	}
	if len(res.GetStatuses()) != len(part) {
		return nil, sent, fmt.Errorf("fairlane: %d statuses for %d claims", len(res.GetStatuses()), len(part))
	}
	return res, sent, nil
}

// beatLimit is how long one attempt of a heartbeat may take.
func (l *life) beatLimit() time.Duration {
	return min(max(l.heartbeat*3/4, beatLimitLeast), beatLimitMost)
}

// take hands the answer to the claims.
func (p *pulse) take(part []*claim, res *fairlanev1.HeartbeatResponse, sent instant) {
	l := p.life
	l.paused.Store(res.GetDraining())
	for i, c := range part {
		switch res.GetStatuses()[i] {
		case fairlanev1.ClaimStatus_CLAIM_STATUS_OK:
			l.claims.renew(c, sent)
		case fairlanev1.ClaimStatus_CLAIM_STATUS_CANCELLED:
			l.claims.renew(c, sent)
			c.cancel(ErrCancelled)
		case fairlanev1.ClaimStatus_CLAIM_STATUS_LOST:
			l.lost(c, ErrClaimLost)
		}
	}
}

// settleGhosts releases the claims that the cluster counts as ours although we do not hold them, as soon as no unanswered call
// can still bring them. Without that, an answer that never arrived would take a slot for as long as the worker lives.
func (p *pulse) settleGhosts(unlisted map[uint64]bool) {
	l := p.life
	known := make(map[uint64]uint64, len(unlisted))
	var release []uint64
	for fence := range unlisted {
		horizon, seen := p.ghosts[fence]
		if !seen {
			horizon = l.book.horizon()
		}
		// In this order: a call puts what it brings into the table before it counts as answered.
		switch {
		case l.book.claimOpenBelow(horizon):
			known[fence] = horizon
			if !seen {
				l.book.settleBelow(horizon) // over a stream a claim may wait for ever
			}
		case !l.claims.holds(fence):
			release = append(release, fence)
		}
	}
	p.ghosts = known
	for len(release) > 0 {
		part := release[:min(len(release), fencesPerBeat)]
		release = release[len(part):]
		l.aux.Go(func() {
			l.logger.Info("releasing claims whose answer never arrived", "fences", part)
			if err := l.release(l.ctx, part); err != nil && !errors.Is(err, context.Canceled) {
				l.logger.Debug("release failed", "err", err)
			}
		})
	}
}

// release gives claims back. It is repeated until answered or ctx ends.
func (l *life) release(ctx context.Context, fences []uint64) error {
	t, err := l.book.begin(ctx, false)
	if err != nil {
		return err
	}
	defer t.end()
	k := &call{client: l.client, limit: attemptLimit}
	e := l.errand(k)
	e.call.Call = &fairlanev1.WorkCall_Release{Release: &fairlanev1.ReleaseRequest{Fences: fences, Number: t.number}}
	e.bytes += 10 * len(fences)
	_, streamed, err := l.carrier.carry(ctx, e)
	if !streamed {
		_, err = do(ctx, k, releaseClaims, func(bool) *fairlanev1.ReleaseRequest {
			return &fairlanev1.ReleaseRequest{Session: l.session, Fences: fences, Number: t.number, Lowest: l.book.low()}
		})
	}
	l.sessionEnd(err)
	return err
}

func releaseClaims(n *node) func(context.Context, *fairlanev1.ReleaseRequest) (*fairlanev1.ReleaseResponse, error) {
	return n.workers.Release
}
