package bench

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/fairlane-scheduler/fairlane/client"
)

// sdkClient makes a client of the SDK, as a program of a user would.
func (r *run) sdkClient() (*fairlane.Client, error) {
	settings := fairlane.Config{Endpoints: r.target.endpoints, Name: "bench"}
	if r.target.tls != nil {
		t := newTransport(r.target.tls)
		t.Protocols.SetHTTP1(true)
		settings.HTTPClient = &http.Client{Transport: t}
	}
	return fairlane.Open(settings)
}

// sdkProducer enqueues through the SDK's producer, which all callers share: it sends together what they add at the same time, and repeats calls
// by their numbers until they are answered.
type sdkProducer struct {
	run    *run
	shared *fairlane.Producer
}

// newSDKProducers fills the list with callers of one client. end closes it.
func (r *run) newSDKProducers(list []producer) (end func(), err error) {
	c, err := r.sdkClient()
	if err != nil {
		return func() {}, err
	}
	shared := fairlane.NewProducer(c)
	for i := range list {
		list[i] = &sdkProducer{r, shared}
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = shared.Close(ctx) // nobody waits for what is unsent
		c.Close()
	}, nil
}

func (p *sdkProducer) enqueue(ctx context.Context, first uint64, n int) error {
	l := p.run.ledger
	pending := make([]*fairlane.Pending, n)
	for i := range pending {
		seq := first + uint64(i)
		pending[i] = p.shared.Send(ctx, fairlane.NewJob{Kind: kind, Args: fairlane.Raw(l.payload(seq, p.run.o.Payload)), Options: p.options(seq)})
	}
	for i, job := range pending {
		h, err := job.Wait(ctx)
		if err != nil {
			return fmt.Errorf("enqueue: job %d of %d: %w", i+1, n, err)
		}
		l.ack(first+uint64(i), uint64(h.ID), l.now())
	}
	return nil
}

func (p *sdkProducer) options(seq uint64) []fairlane.EnqueueOption {
	return []fairlane.EnqueueOption{fairlane.To(p.run.queue), fairlane.AsUser(p.run.user(seq))}
}

// sdkWorker is a worker of the SDK, in a client of its own, with a handler that does nothing.
type sdkWorker struct {
	run    *run
	client *fairlane.Client
	worker *fairlane.Worker

	mu      sync.Mutex
	running map[fairlane.JobID]uint64 // numbers of the jobs whose outcome is not accepted yet
}

func (r *run) newSDKWorker(i int) (*sdkWorker, error) {
	c, err := r.sdkClient()
	if err != nil {
		return nil, err
	}
	w := &sdkWorker{run: r, client: c, running: map[fairlane.JobID]uint64{}}
	w.worker = fairlane.NewWorker(c, fairlane.WorkerName(r.workerName(i)), fairlane.Lanes(fmt.Sprintf("%s:%d", r.queue, r.o.Slots)),
		fairlane.Observe(w.observe), fairlane.Grace(5*time.Second))
	w.worker.HandleRest(w.handle)
	return w, nil
}

func (w *sdkWorker) handle(_ context.Context, job *fairlane.RawJob) ([]byte, error) {
	seq, ok := w.run.ledger.start(job.Payload, uint64(job.ID), 0, w.run.ledger.now())
	if ok {
		w.mu.Lock()
		w.running[job.ID] = seq
		w.mu.Unlock()
	}
	return nil, nil // a job of somebody else is counted in the ledger, which fails the run
}

func (w *sdkWorker) observe(e fairlane.Event) {
	switch e.Kind {
	case fairlane.EventFinished:
		now := w.run.ledger.now()
		w.mu.Lock()
		seq, ok := w.running[e.Job]
		delete(w.running, e.Job)
		w.mu.Unlock()
		if ok {
			w.run.finished(seq, now)
		}
	case fairlane.EventLost, fairlane.EventRefused:
		w.run.target.errors.Add(1)
	}
}

func (w *sdkWorker) work(ctx context.Context) error {
	if err := w.worker.Run(ctx); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	return nil
}

func (w *sdkWorker) end() { w.client.Close() }
