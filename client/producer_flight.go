package fairlane

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// gatherYields bounds how often the sender steps aside, before a call, for goroutines that add jobs.
const gatherYields = 8

type newJobMessage = fairlanev1.NewJob

var (
	// errStoppedWaiting is what Pending.wait gives when the one who waits goes.
	errStoppedWaiting = errors.New("fairlane: not waited for")
	// errNobodyWaits ends a call whose jobs have all been left.
	errNobodyWaits = errors.New("fairlane: nobody waits for the call any more")
)

// wait for the answer, for the end of the job's context, or until the caller goes.
func (j *Pending) wait(gone <-chan struct{}) (*Handle, error) {
	select {
	case <-j.batch.done:
		return j.answer.Handle, j.answer.Err
	case <-j.ctx.Done():
		return j.leave()
	case <-gone:
		if j.ctx.Err() != nil { // often the same context
			return j.leave()
		}
		return nil, errStoppedWaiting
	}
}

// leave ends the job after its context has ended: it comes out of the queue, or is left to its fate.
func (j *Pending) leave() (*Handle, error) {
	p, b := j.producer, j.batch
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case b.over, j.out:
		return j.answer.Handle, j.answer.Err
	case b.cancel == nil:
		j.out, j.answer.Err = true, context.Cause(j.ctx)
		p.takeOut(j)
		return nil, j.answer.Err
	case !j.gone:
		j.gone = true
		if b.live--; b.live == 0 {
			b.cancel(errNobodyWaits)
		}
	}
	return nil, unknownOutcome(context.Cause(j.ctx))
}

// takeOut removes a job from the queue; p.mu is held.
func (p *Producer) takeOut(j *Pending) {
	b := j.batch
	i := slices.Index(b.jobs, j)
	b.jobs = slices.Delete(b.jobs, i, i+1)
	b.bytes -= j.size
	p.jobs--
	p.bytes -= j.size
	if len(b.jobs) == 0 {
		i := slices.Index(p.queue, b)
		p.queue = slices.Delete(p.queue, i, i+1)
		b.over = true
		close(b.done)
	}
	p.admit()
}

// leaveLine takes out a job that waits for room; it may have got in meanwhile.
func (p *Producer) leaveLine(j *Pending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, j); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		j.refuse(context.Cause(j.ctx))
		p.admit() // a smaller one behind it may fit
	}
}

// group is a part of a batch that goes in one call.
type group struct {
	jobs []*Pending
	// unknown: an earlier call may have added them. Their keys see to it that the next one does not do so again.
	unknown bool
}

// run sends one batch after the other until nothing is left.
func (p *Producer) run() {
	for b := p.takeOff(); b != nil; b = p.takeOff() {
		groups := []group{{jobs: b.jobs}}
		for len(groups) > 0 {
			again := p.send(b.ctx, groups[0])
			groups = append(again, groups[1:]...)
		}
		p.mu.Lock()
		b.over, p.flying = true, nil
		p.mu.Unlock()
		b.cancel(nil)
		close(b.done)
	}
}

// gather lets goroutines that are ready to run add their jobs: those whose jobs were just answered come back with the next ones.
// Without it two halves of them take turns. A timer was no better: it holds up a lone caller, and gathers fewer.
func (p *Producer) gather() {
	before := -1
	for range gatherYields {
		p.mu.Lock()
		jobs := p.jobs
		p.mu.Unlock()
		if jobs == before || jobs >= maxMany {
			return
		}
		before = jobs
		runtime.Gosched()
	}
}

// takeOff gives the next batch; nil: there is none, and the goroutine ends.
func (p *Producer) takeOff() *batch {
	p.gather()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.running = false
		return nil
	}
	b := p.queue[0]
	p.queue = dropFirst(p.queue, 1)
	p.jobs -= len(b.jobs)
	p.bytes -= b.bytes
	b.live = len(b.jobs)
	b.ctx, b.cancel = context.WithCancelCause(p.life)
	p.flying = b
	p.admit()
	return b
}

// send makes one call for the jobs and answers those that it decided. It gives the groups that are still to be sent, in order.
func (p *Producer) send(ctx context.Context, g group) (again []group) {
	jobs, keyed := g.jobs, 0
	messages := make([]*newJobMessage, len(jobs))
	for i, j := range jobs {
		messages[i] = j.message
		if j.keyed() {
			keyed++
		}
	}
	outcomes, err := p.client.sendMany(ctx, messages, keyed == len(jobs), false)
	if err == nil {
		for i, j := range jobs {
			j.answer = outcomes[i]
		}
		return nil
	}
	if g.unknown && !errors.Is(err, ErrUnknownOutcome) {
		err = unknownOutcome(err)
	}
	if i, bad := badJob(err, len(jobs)); bad {
		jobs[i].answer.Err = aboutOneJob(err, i)
		if len(jobs) == 1 {
			return nil
		}
		return []group{{jobs: slices.Concat(jobs[:i], jobs[i+1:])}}
	}
	switch {
	case errors.Is(err, ErrTooLarge) && len(jobs) > 1:
		half := len(jobs) / 2
		return []group{{jobs[:half], g.unknown}, {jobs[half:], g.unknown}}
	case errors.Is(err, ErrUnknownOutcome) && keyed > 0 && keyed < len(jobs) && ctx.Err() == nil:
		// The session is over. What a key protects may be sent again in another one.
		rest := group{unknown: true}
		for _, j := range jobs {
			if j.keyed() {
				rest.jobs = append(rest.jobs, j)
			} else {
				j.answer.Err = err
			}
		}
		return []group{rest}
	}
	for _, j := range jobs {
		j.answer.Err = err
	}
	return nil
}

func (j *Pending) keyed() bool { return j.message.GetIdempotencyKey() != "" }

// badJob finds the one job for which a whole call was refused, before anything was done.
func badJob(err error, jobs int) (index int, found bool) {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Reason != ErrInvalidArgument && e.Reason != ErrTooLarge {
		return 0, false
	}
	rest, ok := strings.CutPrefix(e.Metadata["field"], "jobs[")
	digits, _, closed := strings.Cut(rest, "]")
	index, wrong := strconv.Atoi(digits)
	return index, ok && closed && wrong == nil && index >= 0 && index < jobs
}

// aboutOneJob is the same error as the call of that job alone gets.
func aboutOneJob(err error, index int) error {
	e, _ := errors.AsType[*Error](err)
	one, name := *e, "jobs["+strconv.Itoa(index)+"]"
	one.Message = strings.Replace(e.Message, name, "job", 1)
	one.Metadata = maps.Clone(e.Metadata)
	one.Metadata["field"] = strings.Replace(e.Metadata["field"], name, "job", 1)
	return &one
}

// Flush returns when every job that was in the queue or on its way has its answer, or with the context's error. The answers are with the
// jobs. It sends nothing sooner: a producer never holds a job back.
func (p *Producer) Flush(ctx context.Context) error {
	p.mu.Lock()
	batches := slices.Clone(p.queue)
	if p.flying != nil {
		batches = append(batches, p.flying)
	}
	p.mu.Unlock()
	for _, b := range batches {
		select {
		case <-b.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Close refuses further jobs, and those that still wait for room, with ErrClosed, and returns when all others have their answers.
// When ctx ends before, what was not sent gets ErrClosed, what was sent ErrUnknownOutcome, and Close returns the context's error. It may
// be repeated.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	for _, j := range p.waiting {
		j.refuse(ErrClosed)
		close(j.joined)
	}
	p.waiting = nil
	p.mu.Unlock()
	err := p.Flush(ctx)
	if err != nil {
		p.end(ErrClosed)
		_ = p.Flush(context.Background()) // every call has ended
	}
	return err
}
