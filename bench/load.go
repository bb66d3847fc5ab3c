package main

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// warmUp before each measurement.
	warmUp = 500 * time.Millisecond
	// ahead bounds how many jobs wait, in calls of each producer and worker, but not below aheadLeast. Without a bound a queue that takes jobs
	// faster than it gives them out would pay for a growing backlog with the CPU that its workers need.
	ahead, aheadLeast = 2, 100
	// warmUpLimit for queues that take long for the first jobs.
	warmUpLimit = 15 * time.Second
)

// queue is a running peer.
type queue interface {
	// produce opens what one producer needs. put returns when all jobs are durable; it has one caller at a time.
	produce(ctx context.Context) (put func(ctx context.Context, payloads [][]byte) error, done func(), err error)
	// work with so many workers, each of which takes up to batch jobs at once, until ctx ends. started is called when a claim is in hand,
	// finished when the finish is confirmed; both from any goroutine.
	work(ctx context.Context, workers, batch int, started func(payload []byte), finished func(jobs int)) error
	// servers are the processes that were started.
	servers() []int
}

// measureQueue runs one step on a peer that was just started.
func measureQueue(ctx context.Context, q queue, s step, length time.Duration) (outcome, error) {
	switch {
	case s.sdk, s.referencesOnly:
		return outcome{}, errNotOffered
	case s.waiting > 0:
		if s.memory == "" {
			return outcome{}, errNotOffered
		}
		return measureWaiting(ctx, q, s.waiting)
	case s.rate > 0:
		return measureLatency(ctx, q, s, length)
	case s.workers == 0:
		return measureEnqueue(ctx, q, s, length)
	}
	return measureCycle(ctx, q, s, length)
}

// crew is goroutines that end together: the first failure ends all.
type crew struct {
	ctx  context.Context
	stop context.CancelFunc
	all  sync.WaitGroup

	mu  sync.Mutex
	err error
}

func newCrew(ctx context.Context) *crew {
	c := &crew{}
	c.ctx, c.stop = context.WithCancel(ctx)
	return c
}

// run f beside the others. An error after the end is not one: calls are cut off then.
func (c *crew) run(f func(context.Context) error) {
	c.all.Go(func() {
		err := f(c.ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil && c.ctx.Err() == nil {
			c.err = err
			c.stop()
		}
	})
}

// end all and wait for them.
func (c *crew) end() error {
	c.stop()
	c.all.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// payload of a job: when its enqueue began.
func payload(at time.Time) []byte {
	p := make([]byte, payloadBytes)
	binary.LittleEndian.PutUint64(p, uint64(at.UnixNano()))
	return p
}

func began(payload []byte) time.Time { return time.Unix(0, int64(binary.LittleEndian.Uint64(payload))) }

// measureCycle: producers put, workers take and finish, all as fast as they can.
func measureCycle(ctx context.Context, q queue, s step, length time.Duration) (outcome, error) {
	c := newCrew(ctx)
	defer c.end() //nolint:errcheck // a second time, on the way out of a failure
	room := make(chan struct{}, max(aheadLeast, (s.producers+s.workers)*s.batch*ahead))
	var finished atomic.Int64
	c.run(func(ctx context.Context) error {
		return q.work(ctx, s.workers, s.batch, func([]byte) {}, func(jobs int) {
			finished.Add(int64(jobs))
			for range jobs {
				select {
				case <-room:
				default: // a job that was given out twice
				}
			}
		})
	})
	for range s.producers {
		c.run(func(ctx context.Context) error {
			put, done, err := q.produce(ctx)
			if err != nil {
				return err
			}
			defer done()
			for {
				jobs := make([][]byte, s.batch)
				for i := range jobs {
					select {
					case room <- struct{}{}:
					case <-ctx.Done():
						return nil
					}
					jobs[i] = payload(time.Now())
				}
				if err := put(ctx, jobs); err != nil {
					return err
				}
			}
		})
	}
	pause(c.ctx, warmUp)
	// Until producers wait for workers the queue mostly takes; that is not how it goes on.
	for limit := time.Now().Add(warmUpLimit); finished.Load() < int64(cap(room)) && time.Now().Before(limit) && c.ctx.Err() == nil; {
		pause(c.ctx, warmUp/10)
	}
	begin, before := time.Now(), finished.Load()
	cpuBefore, cpuErr := cpuOf(q.servers())
	pause(c.ctx, length)
	took, jobs := time.Since(begin).Seconds(), float64(finished.Load()-before)
	cpuAfter, err := cpuOf(q.servers())
	out := outcome{perSecond: jobs / took}
	if cpuErr == nil && err == nil && jobs > 0 {
		out.cpuPer1000 = (cpuAfter - cpuBefore) / jobs * 1000
	}
	return out, c.end()
}

// measureEnqueue: producers alone, each with one call in flight.
func measureEnqueue(ctx context.Context, q queue, s step, length time.Duration) (outcome, error) {
	c := newCrew(ctx)
	defer c.end() //nolint:errcheck // a second time, on the way out of a failure
	var mu sync.Mutex
	var times []time.Duration
	from := time.Now().Add(warmUp)
	for range s.producers {
		c.run(func(ctx context.Context) error {
			put, done, err := q.produce(ctx)
			if err != nil {
				return err
			}
			defer done()
			for ctx.Err() == nil {
				begin := time.Now()
				if err := put(ctx, [][]byte{payload(begin)}); err != nil {
					return err
				}
				if begin.After(from) {
					mu.Lock()
					times = append(times, time.Since(begin))
					mu.Unlock()
				}
			}
			return nil
		})
	}
	pause(c.ctx, warmUp+length)
	err := c.end()
	return outcome{perSecond: float64(len(times)) / length.Seconds(), p50MS: positive(percentileMS(times, 0.5))}, err
}

// measureLatency: jobs come at a fixed rate, whether the queue keeps up or not, and the time of each runs from the moment when its call
// was due. So a stall counts for every job that it holds up; one that has not started in the end is as late as it is by then, at least.
func measureLatency(ctx context.Context, q queue, s step, length time.Duration) (outcome, error) {
	c := newCrew(ctx)
	defer c.end() //nolint:errcheck // a second time, on the way out of a failure
	var mu sync.Mutex
	var times []time.Duration
	first, gap := time.Now().Add(warmUp), time.Second/time.Duration(s.rate)
	from, until := first.Add(warmUp), first.Add(warmUp+length)
	counts := func(at time.Time) bool { return at.After(from) && at.Before(until) }
	wanted := 0
	for at := first; at.Before(until); at = at.Add(gap) {
		if counts(at) {
			wanted++
		}
	}
	c.run(func(ctx context.Context) error {
		return q.work(ctx, s.workers, s.batch, func(job []byte) {
			at := began(job)
			if counts(at) {
				mu.Lock()
				times = append(times, time.Since(at))
				mu.Unlock()
			}
		}, func(int) {})
	})
	due := make(chan time.Time)
	c.run(func(ctx context.Context) error {
		defer close(due)
		for at := first; at.Before(until); at = at.Add(gap) {
			pause(ctx, time.Until(at))
			select {
			case due <- at:
			case <-ctx.Done():
				return nil
			}
		}
		return nil
	})
	for range s.producers {
		c.run(func(ctx context.Context) error {
			put, done, err := q.produce(ctx)
			if err != nil {
				return err
			}
			defer done()
			for at := range due {
				if err := put(ctx, [][]byte{payload(at)}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	pause(c.ctx, time.Until(until)+warmUp) // the last jobs start
	err := c.end()
	if err == nil && float64(len(times)) < 0.9*float64(wanted) {
		err = errors.New("it did not start 90 % of the jobs in time")
	}
	for len(times) < wanted {
		times = append(times, warmUp)
	}
	return outcome{p50MS: positive(percentileMS(times, 0.5)), p99MS: positive(percentileMS(times, 0.99))}, err
}

// measureWaiting fills the queue and looks at the memory of its servers.
func measureWaiting(ctx context.Context, q queue, jobs int) (outcome, error) {
	const producers, batch = 16, 50
	c := newCrew(ctx)
	defer c.end() //nolint:errcheck // a second time, on the way out of a failure
	var given atomic.Int64
	for range producers {
		c.run(func(ctx context.Context) error {
			put, done, err := q.produce(ctx)
			if err != nil {
				return err
			}
			defer done()
			for given.Add(batch) <= int64(jobs) {
				batchOf := make([][]byte, batch)
				for i := range batchOf {
					batchOf[i] = payload(time.Now())
				}
				if err := put(ctx, batchOf); err != nil {
					return err
				}
			}
			return nil
		})
	}
	c.all.Wait()
	if err := c.end(); err != nil {
		return outcome{}, err
	}
	megabytes, err := memoryOf(q.servers())
	return outcome{memoryMB: megabytes}, err
}

// positive value, or 0 for none.
func positive(value float64) float64 {
	if math.IsNaN(value) {
		return 0
	}
	return value
}

// oneLine of a text of several.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
