package fairlane

import (
	"context"
	"fmt"
	"sync"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	// appendParts and appendBytes of output in one call.
	appendParts = 1024
	appendBytes = 256 << 10
	// appendGap from the beginning of one call to that of the next: a worker never makes more than 100 in a second.
	appendGap = 10 * time.Millisecond
	// The pause after a refusal doubles from the first to the most.
	appendPauseFirst = 250 * time.Millisecond
	appendPauseMost  = 5 * time.Second
)

// sender carries the output and the progress of all runs of one session to the cluster. At most one call is in flight; what
// becomes ready meanwhile goes with the next one. A call is repeated as it is until there is an answer, which is harmless: every part
// says at which offset it begins. It has a goroutine of its own, so that neither heartbeats nor outcomes wait for it.
//
// An output is in waiting while a part of it becomes ready by time alone, and in queue while a part is ready.
type sender struct {
	life *life
	poke chan struct{} // something new waits or is ready

	mu      sync.Mutex
	waiting map[*output]struct{}
	queue   []*output
}

// flight is one part on its way.
type flight struct {
	out  *output
	part *fairlanev1.OutputPart
}

func newSender(l *life) *sender {
	return &sender{life: l, poke: make(chan struct{}, 1), waiting: map[*output]struct{}{}}
}

// enqueue puts an output with a ready part in the queue. s.mu is held, as for all below that do not say otherwise.
func (s *sender) enqueue(o *output) {
	if !o.queued {
		o.queued = true
		s.queue = append(s.queue, o)
		poke(s.poke)
	}
}

// wait makes the sender look at the output when something of it becomes ready by time.
func (s *sender) wait(o *output) {
	s.waiting[o] = struct{}{}
	poke(s.poke)
}

// run sends until ctx ends. s.mu is not held.
func (s *sender) run(ctx context.Context) {
	timer := time.NewTimer(flushAfter)
	defer timer.Stop()
	pause := time.Duration(0)
	for ctx.Err() == nil {
		flights, next := s.gather()
		if len(flights) == 0 {
			var due <-chan time.Time
			if next > 0 {
				timer.Reset(next)
				due = timer.C
			}
			select {
			case <-due:
			case <-s.poke:
			case <-ctx.Done():
			}
			continue
		}
		began := s.life.client.clock.now()
		if s.deliver(ctx, flights) {
			pause = 0
			sleep(ctx, appendGap-s.life.client.clock.now().since(began))
			continue
		}
		pause = min(max(2*pause, appendPauseFirst), appendPauseMost)
		sleep(ctx, jitter(pause))
	}
}

// gather takes from the queue what fits into one call. Without anything it gives how long until something is ready; 0: nothing
// waits. s.mu is not held.
func (s *sender) gather() (flights []flight, next time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for o := range s.waiting {
		if s.dead(o) {
			continue
		}
		if wait := o.ripen(now); wait == 0 {
			delete(s.waiting, o)
		} else if next == 0 || wait < next {
			next = wait
		}
	}
	room := appendBytes
	for len(s.queue) > 0 && len(flights) < appendParts && room > 0 {
		o := s.queue[0]
		s.queue[0] = nil
		s.queue = s.queue[1:]
		o.queued = false
		if s.dead(o) {
			continue
		}
		p := o.part(room, now)
		if p != nil {
			flights = append(flights, flight{o, p})
			room -= len(p.Data)
		}
		if p == nil && o.ready > 0 {
			s.enqueue(o) // not even one character fits
			break
		}
	}
	return flights, next
}

// dead ends an output that nobody wants any more.
func (s *sender) dead(o *output) bool {
	err := o.over()
	if err != nil {
		o.fail(err)
		delete(s.waiting, o)
	}
	return err != nil
}

// deliver sends the parts until they are answered, and reports whether all were taken. The rest of them is ready again. s.mu is
// not held.
func (s *sender) deliver(ctx context.Context, flights []flight) bool {
	l := s.life
	req := &fairlanev1.AppendOutputRequest{Session: l.session, Parts: make([]*fairlanev1.OutputPart, len(flights))}
	for i, f := range flights {
		req.Parts[i] = f.part
	}
	// The nudge never comes; with one, the attempt is given up when the node is suspected.
	k := &call{client: l.client, limit: l.beatLimit(), harmless: true, nudge: make(chan struct{})}
	e := l.errand(k)
	e.call.Call, e.bytes = &fairlanev1.WorkCall_Output{Output: req}, smallCall*len(flights)+appendBytes
	answer, streamed, err := l.carrier.carry(ctx, e)
	res := answer.GetOutput()
	if !streamed {
		res, err = do(ctx, k, appendOutput, func(bool) *fairlanev1.AppendOutputRequest { return req })
	}
	if err == nil && len(res.GetStatuses()) != len(flights) {
		err = fmt.Errorf("fairlane: %d statuses for %d parts of output", len(res.GetStatuses()), len(flights))
	}
	if err != nil {
		l.sessionEnd(err)
		if ctx.Err() == nil {
			l.logger.Warn("output refused, it is kept and sent again", "err", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, f := range flights {
			s.again(f.out)
		}
		return false
	}
	refused := 0
	for i, f := range flights {
		if e := s.settle(f, res.GetStatuses()[i], k.first); e != nil {
			refused, err = refused+1, e
		}
	}
	if refused > 0 {
		l.logger.Warn("output refused", "parts", refused, "of", len(flights), "err", err)
	}
	return refused == 0
}

// settle hands the answer to one part to its output and to its claim. The error is a refusal of the part. s.mu is not held.
func (s *sender) settle(f flight, status *fairlanev1.OutputStatus, sent instant) error {
	l, c := s.life, f.out.claim
	var over error
	switch status.GetStatus() {
	case fairlanev1.ClaimStatus_CLAIM_STATUS_OK:
		l.claims.renew(c, sent)
	case fairlanev1.ClaimStatus_CLAIM_STATUS_CANCELLED:
		l.claims.renew(c, sent)
		c.cancel(ErrCancelled)
		over = ErrCancelled
	case fairlanev1.ClaimStatus_CLAIM_STATUS_LOST:
		l.lost(c, ErrClaimLost)
		over = ErrClaimLost
	}
	refused := fromBody(status.GetError())
	if refused == nil && status.GetStatus() == fairlanev1.ClaimStatus_CLAIM_STATUS_UNSPECIFIED {
		refused = fmt.Errorf("fairlane: a part of output without a status")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case over != nil:
		f.out.fail(over)
		return nil
	case refused == nil:
		if !f.out.acknowledge(status.GetEnd(), f.part.Progress) {
			refused = fmt.Errorf("fairlane: the cluster has output up to %d, and had acknowledged %d", status.GetEnd(), f.out.base)
			f.out.fail(refused)
		}
	case ReasonOf(refused) == ErrStateFull:
		// Kept until there is room.
	case ReasonOf(refused) == ErrOutputGap && f.out.acknowledge(status.GetEnd(), nil):
		// Sent again from there.
	default:
		f.out.fail(refused)
	}
	s.again(f.out)
	return refused
}

// again queues what is ready of an output, and waits for the rest.
func (s *sender) again(o *output) {
	if o.err != nil {
		return
	}
	if o.ready > 0 {
		s.enqueue(o)
	}
	if !o.due.IsZero() || o.progress != nil {
		s.wait(o)
	}
}

func appendOutput(n *node) func(context.Context, *fairlanev1.AppendOutputRequest) (*fairlanev1.AppendOutputResponse, error) {
	return n.workers.AppendOutput
}
