package bench

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// How jobs of an open loop arrive.
const (
	Poisson = "poisson" // independently of each other, as those of many users do
	Uniform = "uniform" // at even distances
)

// arrivals are the times at which jobs are due. They follow from the rate alone and never from how fast the cluster answers.
type arrivals struct {
	rate    float64 // in a second
	poisson bool
	rng     *rand.Rand
	n       float64 // even arrivals drawn
	next    float64 // seconds, of the next independent one
}

func newArrivals(rate float64, kind string, rng *rand.Rand) *arrivals {
	return &arrivals{rate: rate, poisson: kind == Poisson, rng: rng}
}

// draw gives the time of the next arrival, since the beginning.
func (a *arrivals) draw() time.Duration {
	at := a.next
	if a.poisson {
		a.next += a.rng.ExpFloat64() / a.rate
	} else {
		at = a.n / a.rate // a sum of distances would drift
		a.n++
	}
	return time.Duration(at * float64(time.Second))
}

// sleepUntil waits for a time of the ledger; false: ctx ended. Tests have their own.
type sleepUntil func(ctx context.Context, l *ledger, at int64) bool

// dispatch puts the number of each job into due at its time, until the given time. due has room for all of them, so that it never
// waits for a caller: a job that nobody is free to send is due nevertheless.
func dispatch(ctx context.Context, l *ledger, a *arrivals, begun, until int64, due chan<- uint64, sleep sleepUntil) error {
	for {
		at := begun + int64(a.draw())
		if at >= until {
			return nil
		}
		if !sleep(ctx, l, at) {
			return nil
		}
		seq, err := l.begin(1, at)
		if err != nil {
			return err
		}
		due <- seq
	}
}

// startArrivals starts the open loop: a clock, and the callers that send what is due.
func (r *run) startArrivals(ctx context.Context, group *errgroup.Group, producing *sync.WaitGroup, producers []producer) {
	begun := r.ledger.now()
	until := begun + int64(r.o.Warmup+r.o.Duration)
	due := make(chan uint64, mostDue(r.o))
	r.begun = begun
	producing.Add(1 + len(producers))
	group.Go(func() error {
		defer producing.Done()
		defer close(due)
		return dispatch(ctx, r.ledger, newArrivals(r.o.Rate, r.o.Arrivals, rand.New(rand.NewPCG(1, 2))), begun, until, due, preciseSleep)
	})
	sending, cancel := context.WithCancel(ctx)
	group.Go(func() error {
		defer cancel()
		// After the window nothing is due any more; what is still unsent when patience ends stays so, and counts.
		limit := time.Duration(until-r.ledger.now()) + r.o.Patience
		select {
		case <-time.After(limit):
		case <-allDone(producing):
		case <-ctx.Done():
		}
		return nil
	})
	for _, p := range producers {
		group.Go(func() error {
			defer producing.Done()
			return send(sending, p, due)
		})
	}
}

// send takes jobs as they become due.
func send(ctx context.Context, p producer, due <-chan uint64) error {
	for seq := range due {
		if ctx.Err() != nil {
			return nil
		}
		if err := p.enqueue(ctx, seq, 1); err != nil {
			return ended(ctx, err)
		}
	}
	return nil
}

// allDone gives a channel that closes when the group is done.
func allDone(group *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	return done
}

// mostDue bounds the jobs of an open loop: the rate's, and ten times what chance adds to them.
func mostDue(o Options) int {
	n := o.Rate * (o.Warmup + o.Duration).Seconds()
	return int(2*n) + 1000
}
