package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	// kind of all jobs.
	kind = "bench"
	// claimWait of an empty claim on the server, in milliseconds. Shorter than a session lives without a call.
	claimWait = 10_000
)

// producer enqueues jobs. Each is used by one goroutine.
type producer interface {
	// enqueue adds n jobs, whose numbers follow on first, and acknowledges them in the ledger. An error ends the run.
	enqueue(ctx context.Context, first uint64, n int) error
}

// caller is a producer that makes unary calls in a session of its own.
type caller struct {
	run     *run
	session uint64
	number  uint64
}

func (r *run) newCaller(ctx context.Context) (*caller, error) {
	nonce := rand.Uint64() | 1
	res, err := do(ctx, r.target, func(ctx context.Context, n *node) (*fairlanev1.OpenSessionResponse, error) {
		return n.jobs.OpenSession(ctx, &fairlanev1.OpenSessionRequest{Nonce: nonce, Name: "bench"})
	})
	if err != nil {
		return nil, fmt.Errorf("open a session: %w", err)
	}
	return &caller{run: r, session: res.GetSession()}, nil
}

func (r *run) job(seq uint64) *fairlanev1.NewJob {
	return &fairlanev1.NewJob{
		Kind: kind, Queue: r.queue, User: r.user(seq),
		Payload: &fairlanev1.NewJob_Data{Data: r.ledger.payload(seq, r.o.Payload)},
	}
}

func (r *run) user(seq uint64) string { return "u" + strconv.FormatUint(seq%uint64(r.o.Users), 10) }

func (c *caller) enqueue(ctx context.Context, first uint64, n int) error {
	c.number++
	repeat := &fairlanev1.Repeat{Session: c.session, Number: c.number, Lowest: c.number}
	l := c.run.ledger
	if n == 1 {
		req := &fairlanev1.EnqueueRequest{Job: c.run.job(first), Repeat: repeat}
		res, err := do(ctx, c.run.target, func(ctx context.Context, n *node) (*fairlanev1.EnqueueResponse, error) {
			return n.jobs.Enqueue(ctx, req)
		})
		if err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
		l.ack(first, res.GetId(), l.now())
		return nil
	}
	req := &fairlanev1.EnqueueManyRequest{Repeat: repeat, Jobs: make([]*fairlanev1.NewJob, n)}
	for i := range req.Jobs {
		req.Jobs[i] = c.run.job(first + uint64(i))
	}
	res, err := do(ctx, c.run.target, func(ctx context.Context, n *node) (*fairlanev1.EnqueueManyResponse, error) {
		return n.jobs.EnqueueMany(ctx, req)
	})
	if err != nil {
		return fmt.Errorf("enqueue %d jobs: %w", n, err)
	}
	if len(res.GetResults()) != n {
		return fmt.Errorf("enqueue: %d results for %d jobs", len(res.GetResults()), n)
	}
	at := l.now()
	for i, result := range res.GetResults() {
		if e := result.GetError(); e != nil {
			return fmt.Errorf("enqueue: job %d of %d: %s (%s %s)", i+1, n, e.GetMessage(), e.GetReason(), e.GetCode())
		}
		l.ack(first+uint64(i), result.GetId(), at)
	}
	return nil
}

// unaryWorker is a session with one slot whose jobs are done at once.
type unaryWorker struct {
	run     *run
	session uint64
	number  uint64
}

func (r *run) newUnaryWorker(ctx context.Context, i int) (*unaryWorker, error) {
	session, err := r.register(ctx, i, 1)
	if err != nil {
		return nil, err
	}
	return &unaryWorker{run: r, session: session}, nil
}

// register gives the session of a worker with one lane.
func (r *run) register(ctx context.Context, i, slots int) (session uint64, err error) {
	req := &fairlanev1.RegisterRequest{Name: r.workerName(i), Nonce: rand.Uint64() | 1, Lanes: fmt.Sprintf("%s:%d", r.queue, slots)}
	res, err := do(ctx, r.target, func(ctx context.Context, n *node) (*fairlanev1.RegisterResponse, error) {
		return n.workers.Register(ctx, req)
	})
	if err != nil {
		return 0, fmt.Errorf("register a worker: %w", err)
	}
	return res.GetSession(), nil
}

// deregister ends a session, so that nothing of the run is left.
func (r *run) deregister(session uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, _ = r.target.leader.Load().workers.Deregister(ctx, &fairlanev1.DeregisterRequest{Session: session})
}

func (r *run) workerName(i int) string { return fmt.Sprintf("%s_w%d", r.queue, i) }

// strangeJob is the error of a claim that brought a job of somebody else.
func (r *run) strangeJob(c *fairlanev1.Claim) error {
	return &finalError{fmt.Errorf("queue %s holds jobs of somebody else, such as job %d: choose a queue that is not used, with --queue",
		r.queue, c.GetJob().GetId())}
}

// loop claims and finishes until ctx ends. next: each finish claims the following job in the same call. wait of a claim, in
// milliseconds; 0: it is measured. after, if not nil, is called after each job.
func (w *unaryWorker) loop(ctx context.Context, next bool, wait int64, after func(context.Context) error) error {
	l := w.run.ledger
	var held *fairlanev1.Claim
	for ctx.Err() == nil {
		asked := int64(0)
		if held == nil {
			asked = l.now()
			res, err := w.claim(ctx, wait)
			if err != nil {
				return err
			}
			if held = res.GetClaim(); held == nil {
				continue
			}
		}
		if wait != 0 {
			asked = 0 // it waited for a job: not the time of a claim
		}
		seq, ok := l.start(held.GetJob().GetData(), held.GetJob().GetId(), asked, l.now())
		if !ok {
			return w.run.strangeJob(held)
		}
		res, err := w.finish(ctx, held.GetFence(), next)
		if err != nil {
			return err
		}
		w.run.finished(seq, l.now())
		held = res.GetNext().GetClaim()
		if after != nil {
			if err := after(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *unaryWorker) claim(ctx context.Context, wait int64) (*fairlanev1.ClaimResponse, error) {
	w.number++
	req := &fairlanev1.ClaimRequest{Session: w.session, WaitMs: wait, Number: w.number, Lowest: w.number}
	res, err := do(ctx, w.run.target, func(ctx context.Context, n *node) (*fairlanev1.ClaimResponse, error) {
		return n.workers.Claim(ctx, req)
	})
	if err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	return res, nil
}

func (w *unaryWorker) finish(ctx context.Context, fence uint64, next bool) (*fairlanev1.FinishResponse, error) {
	w.number++
	req := &fairlanev1.FinishRequest{
		Session: w.session, Fence: fence, Number: w.number, Lowest: w.number,
		Outcome: success,
	}
	if next {
		req.Next = claimNext
	}
	res, err := do(ctx, w.run.target, func(ctx context.Context, n *node) (*fairlanev1.FinishResponse, error) {
		return n.workers.Finish(ctx, req)
	})
	if err != nil {
		return nil, fmt.Errorf("finish: %w", err)
	}
	if e := res.GetError(); e != nil {
		return nil, refusedBody("finish of a claim", e)
	}
	return res, nil
}

func (w *unaryWorker) work(ctx context.Context) error { return w.loop(ctx, true, claimWait, nil) }

func (w *unaryWorker) end() { w.run.deregister(w.session) }
