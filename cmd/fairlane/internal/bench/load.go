package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// startLoad starts producers and workers. Producers begin nothing more when r.stop is closed; workers end with work. end closes what
// the load has open; it is to be called when all have ended, whatever the error.
func (r *run) startLoad(ctx, work context.Context, group *errgroup.Group, producing *sync.WaitGroup) (end func(), err error) {
	var ends []func()
	end = func() {
		for _, f := range ends {
			f()
		}
	}
	if r.o.Mode != Enqueue {
		f, err := r.startWorkers(ctx, work, group, producing)
		ends = append(ends, f)
		if err != nil || r.o.Mode == Claim {
			return end, err
		}
	}
	producers, f, err := r.newProducers(ctx)
	ends = append(ends, f)
	if err != nil {
		return end, err
	}
	if r.o.Mode == Latency {
		r.startArrivals(ctx, group, producing, producers)
		return end, nil
	}
	if r.works() {
		most := 4 * (len(producers)*r.o.Batch + max(r.o.Workers, r.o.Streams*r.o.Slots))
		r.backlog = semaphore.NewWeighted(int64(max(100, most)))
	}
	for _, p := range producers {
		producing.Add(1)
		group.Go(func() error {
			defer producing.Done()
			return r.produce(ctx, p)
		})
	}
	return end, nil
}

func (r *run) newProducers(ctx context.Context) (list []producer, end func(), err error) {
	list = make([]producer, r.o.Producers)
	if r.o.SDK {
		end, err = r.newSDKProducers(list)
		return list, end, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i := range list {
		group.Go(func() (err error) {
			list[i], err = r.newCaller(ctx)
			return err
		})
	}
	return list, func() {}, group.Wait()
}

// produce enqueues, call after call, until the run stops.
func (r *run) produce(ctx context.Context, p producer) error {
	room, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-r.stop:
			cancel() // also while it waits for room
		case <-room.Done():
		}
	}()
	for {
		select {
		case <-r.stop:
			return nil
		default:
		}
		if r.backlog != nil {
			if err := r.backlog.Acquire(room, int64(r.o.Batch)); err != nil {
				return nil
			}
		}
		first, err := r.ledger.begin(r.o.Batch, r.ledger.now())
		if err != nil {
			return err
		}
		if err := p.enqueue(ctx, first, r.o.Batch); err != nil {
			return err
		}
	}
}

// worker claims and finishes jobs.
type worker interface {
	// work until ctx ends, which is no error.
	work(ctx context.Context) error
	// end the session, after work has returned.
	end()
}

// startWorkers starts what claims and finishes. end ends their sessions.
func (r *run) startWorkers(ctx, work context.Context, group *errgroup.Group, producing *sync.WaitGroup) (end func(), err error) {
	n, open := r.o.Workers, func(ctx context.Context, i int) (worker, error) { return r.newUnaryWorker(ctx, i) }
	switch {
	case r.o.SDK:
		n, open = r.o.Streams, func(_ context.Context, i int) (worker, error) { return r.newSDKWorker(i) }
	case r.o.Stream:
		n, open = r.o.Streams, func(ctx context.Context, i int) (worker, error) { return r.newStreamWorker(ctx, i) }
	}
	workers := make([]worker, n)
	end = func() {
		var all errgroup.Group
		all.SetLimit(16)
		for _, w := range workers {
			all.Go(func() error {
				if w != nil {
					w.end()
				}
				return nil
			})
		}
		_ = all.Wait()
	}
	opening, opened := errgroup.WithContext(ctx)
	opening.SetLimit(16)
	for i := range workers {
		opening.Go(func() error {
			w, err := open(opened, i)
			if err == nil {
				workers[i] = w
			}
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		return end, err
	}
	if r.o.Mode == Claim {
		return end, r.startClaims(ctx, group, producing, workers)
	}
	for _, w := range workers {
		group.Go(func() error { return ended(work, w.work(work)) })
	}
	return end, nil
}

// ended is the error of a worker that was told to end when ctx did.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// refill is how many jobs a worker of the mode claim enqueues again at once.
const refill = 50

// startClaims fills the backlog and lets the workers claim one job after the other. Each puts as many jobs in as it took out, in a call
// of its own now and then, so that the backlog stays as it is within refill jobs for each worker.
func (r *run) startClaims(ctx context.Context, group *errgroup.Group, producing *sync.WaitGroup, workers []worker) error {
	r.note("enqueueing a backlog of %d jobs", r.o.Waiting)
	var filling errgroup.Group
	filling.SetLimit(4)
	left := r.o.Waiting + refill*len(workers)
	for left > 0 {
		n := min(left, mostBatch)
		left -= n
		filling.Go(func() error { return r.fill(ctx, nil, n) })
	}
	if err := filling.Wait(); err != nil {
		return fmt.Errorf("the backlog: %w", err)
	}
	for _, w := range workers {
		p, err := r.newCaller(ctx)
		if err != nil {
			return err
		}
		taken := 0
		after := func(ctx context.Context) error {
			select {
			case <-r.stop:
				return errStopped
			default:
			}
			if taken++; taken < refill {
				return nil
			}
			taken = 0
			return r.fill(ctx, p, refill)
		}
		producing.Add(1)
		group.Go(func() error {
			defer producing.Done()
			err := w.(*unaryWorker).loop(ctx, false, 0, after)
			if errors.Is(err, errStopped) {
				return nil // between two jobs
			}
			return err
		})
	}
	return nil
}

var errStopped = errors.New("the run stopped")

// fill enqueues n jobs in one call, by a caller or one of its own.
func (r *run) fill(ctx context.Context, p *caller, n int) (err error) {
	if p == nil {
		if p, err = r.newCaller(ctx); err != nil {
			return err
		}
	}
	first, err := r.ledger.begin(n, r.ledger.now())
	if err != nil {
		return err
	}
	return p.enqueue(ctx, first, n)
}
