package fairlane

import (
	"bytes"
	"context"
	"sync"

	"google.golang.org/protobuf/proto"
)

const (
	// maxManyBytes of the jobs in one call of a producer, encoded. The cluster takes 1 MiB of payloads; a larger job goes alone.
	maxManyBytes = 900 << 10
	// Bounds of a producer's queue when nothing else was said.
	usualQueueJobs  = 10_000
	usualQueueBytes = 16 << 20
)

// Enqueuer adds one job and returns when it is on a majority of disks: a [Client] does so in a call of its own, a [Producer]
// together with the jobs that others add meanwhile.
type Enqueuer interface {
	Enqueue(ctx context.Context, kind string, args any, options ...EnqueueOption) (*Handle, error)
}

// Producer enqueues for many goroutines and sends what they add together. One call is on its way at a time; while it flies the next
// one gathers, up to 1,000 jobs and 900 KiB. So a lone job does not wait for company, and a thousand goroutines share a call and a
// log entry.
//
// Each job has its own answer and its own error: one that the cluster refuses is taken out and the others go on. Jobs that one
// goroutine adds one after the other get rising ids. A call is repeated under its number through failovers until it is answered,
// so that each of its jobs is added once. There is no goroutine while nothing is to be sent. Safe for many goroutines.
type Producer struct {
	client            *Client
	maxJobs, maxBytes int

	life context.Context // ends when Close gives up
	end  context.CancelCauseFunc

	mu sync.Mutex
	// waiting for room in the queue, oldest first.
	waiting []*Pending
	// queue of what has not been sent. jobs and bytes are what it holds; 0 <= jobs <= maxJobs.
	queue       []*batch
	jobs, bytes int
	// flying is the batch on its way; nil: none.
	flying *batch
	// running: a goroutine sends. It ends when the queue is empty.
	running bool
	closed  bool
}

// ProducerOption changes how a producer works.
type ProducerOption func(*Producer)

// QueueLimit bounds what a producer holds and has not sent: a number of jobs and of bytes, each at least 1. Who adds more waits for
// room. A job larger than the bytes is taken when the queue is empty. Default: 10,000 jobs and 16 MiB.
func QueueLimit(jobs, bytes int) ProducerOption {
	return func(p *Producer) { p.maxJobs, p.maxBytes = max(jobs, 1), max(bytes, 1) }
}

// NewProducer makes a producer of the client. Close it, before the client, to have everything sent.
func NewProducer(c *Client, options ...ProducerOption) *Producer {
	p := &Producer{client: c, maxJobs: usualQueueJobs, maxBytes: usualQueueBytes}
	p.life, p.end = context.WithCancelCause(context.Background())
	for _, option := range options {
		option(p)
	}
	return p
}

// batch is what goes out in one call, or has gone. Producer.mu guards the fields.
type batch struct {
	jobs  []*Pending // in the order of their ids; complete from take-off on
	bytes int
	// ctx of the call and its end, from take-off on; live jobs are those for whose answer somebody may still wait. With the last one the
	// call ends.
	ctx    context.Context
	cancel context.CancelCauseFunc
	live   int
	over   bool
	done   chan struct{} // closed when all jobs are answered
}

// Pending is a job that was given to a producer. Safe for many goroutines.
type Pending struct {
	producer *Producer
	ctx      context.Context // of the job, until its answer
	message  *newJobMessage
	size     int // encoded, in bytes

	// joined is closed when a job that had to wait for room is in a batch, or answered. Nil: it had not to wait.
	joined chan struct{}
	batch  *batch
	// out: taken out of the queue, with the answer. gone: nobody waits, though it was sent. Producer.mu guards both.
	out, gone bool
	// answer is final once batch.done is closed, or out is set.
	answer Enqueued
}

// refusedAtOnce is the batch of jobs that never got into the queue.
var refusedAtOnce = func() *batch {
	b := &batch{over: true, done: make(chan struct{})}
	close(b.done)
	return b
}()

// Enqueue adds one job. When it returns without error the job is on a majority of disks. When ctx ends, a job that was not yet
// sent is taken out and the error is the context's; of one that was sent nobody can say, ErrUnknownOutcome.
func (p *Producer) Enqueue(ctx context.Context, kind string, args any, options ...EnqueueOption) (*Handle, error) {
	return p.Send(ctx, NewJob{Kind: kind, Args: args, Options: options}).wait(nil)
}

// Send gives a job to the producer and does not wait for its answer; it only waits for room in the queue. Arguments and a Raw payload
// are copied before it returns. ctx is the job's until the answer, as for Enqueue: it should not end when the caller returns. Every
// error, that of bad arguments and of a closed producer too, is the answer.
func (p *Producer) Send(ctx context.Context, job NewJob) *Pending {
	j := &Pending{producer: p, ctx: ctx}
	if raw, ok := job.Args.(Raw); ok {
		job.Args = Raw(bytes.Clone(raw)) // the call may outlive the caller's wait
	}
	var err error
	if j.message, err = job.message(); err != nil {
		return j.refuse(err)
	}
	if ctx.Err() != nil {
		return j.refuse(context.Cause(ctx))
	}
	j.size = proto.Size(j.message) + 4 // and the field's head
	p.mu.Lock()
	switch {
	case p.closed:
		j.refuse(ErrClosed)
	case len(p.waiting) == 0 && p.fits(j):
		p.join(j)
	default:
		j.joined = make(chan struct{})
		p.waiting = append(p.waiting, j)
	}
	p.mu.Unlock()
	if j.joined == nil {
		return j
	}
	select {
	case <-j.joined:
	case <-ctx.Done():
		p.leaveLine(j)
	}
	return j
}

// refuse answers a job that is in no batch.
func (j *Pending) refuse(err error) *Pending {
	j.batch, j.answer.Err = refusedAtOnce, err
	return j
}

// fits reports whether the queue has room for the job; p.mu is held.
func (p *Producer) fits(j *Pending) bool {
	return p.jobs == 0 || p.jobs < p.maxJobs && p.bytes+j.size <= p.maxBytes
}

// join puts a job at the end of the queue and sees to it that somebody sends; p.mu is held.
func (p *Producer) join(j *Pending) {
	var b *batch
	if n := len(p.queue); n > 0 {
		b = p.queue[n-1]
	}
	if b == nil || len(b.jobs) == maxMany || len(b.jobs) > 0 && b.bytes+j.size > maxManyBytes {
		b = &batch{done: make(chan struct{})}
		p.queue = append(p.queue, b)
	}
	j.batch = b
	b.jobs = append(b.jobs, j)
	b.bytes += j.size
	p.jobs++
	p.bytes += j.size
	if !p.running {
		p.running = true
		go p.run()
	}
}

// admit lets those in who wait for room, as far as there is some; p.mu is held.
func (p *Producer) admit() {
	n := 0
	for n < len(p.waiting) && p.fits(p.waiting[n]) {
		p.join(p.waiting[n])
		close(p.waiting[n].joined)
		n++
	}
	p.waiting = dropFirst(p.waiting, n)
}

// dropFirst n elements, and the memory behind them.
func dropFirst[T any](list []*T, n int) []*T {
	clear(list[:n])
	if n == len(list) {
		return list[:0]
	}
	return list[n:]
}

// Wait returns when the job is on a majority of disks, or with the error that kept it out. When ctx ends it returns the context's
// error, and the job goes on. It may be repeated.
func (j *Pending) Wait(ctx context.Context) (*Handle, error) {
	h, err := j.wait(ctx.Done())
	if err == errStoppedWaiting {
		return nil, context.Cause(ctx)
	}
	return h, err
}
