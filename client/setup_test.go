package fairlane

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
)

// fastClock is a machine's clock whose wall can be set.
type fastClock struct {
	machineClock
	wallAhead atomic.Int64
}

func (c *fastClock) now() instant {
	i := c.machineClock.now()
	i.wall += time.Duration(c.wallAhead.Load())
	return i
}

// world is a fake cluster of three nodes, a client of it, and what the worker's observer saw. It lives in a bubble, where time
// passes only while all goroutines wait.
type world struct {
	*fake
	t      *testing.T
	client *Client
	clock  *fastClock
	single bool // workers make single calls

	eventsMu sync.Mutex
	events   []Event
}

// inWorld runs the body twice: with workers that make single calls, and with workers on a stream.
func inWorld(t *testing.T, body func(*testing.T, *world)) {
	t.Helper()
	t.Run("single", func(t *testing.T) { inOneWorld(t, true, body) })
	t.Run("stream", func(t *testing.T) { inOneWorld(t, false, body) })
}

func inOneWorld(t *testing.T, single bool, body func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c, err := Open(Config{Endpoints: []string{"n1:1", "n2:1", "n3:1"}, HTTPClient: &http.Client{Transport: f}})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{fake: f, t: t, client: c, clock: &fastClock{machineClock: newMachineClock()}, single: single}
		c.streams.off.Store(single)
		c.clock = w.clock
		defer c.Close()
		body(t, w)
	})
}

func (w *world) observe(e Event) {
	w.eventsMu.Lock()
	defer w.eventsMu.Unlock()
	w.events = append(w.events, e)
}

func (w *world) count(kind EventKind) (n int) {
	w.eventsMu.Lock()
	defer w.eventsMu.Unlock()
	for _, e := range w.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// start runs a worker; stop ends it and gives what Run gave.
func (w *world) start(lanes string, handle RawHandler, options ...WorkerOption) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	worker := NewWorker(w.client, append([]WorkerOption{Lanes(lanes), WorkerName("w"), Observe(w.observe)}, options...)...)
	worker.HandleRest(handle)
	out := make(chan error, 1)
	go func() { out <- worker.Run(ctx) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() {
			cancel()
			err = <-out
		})
		return err
	}
	w.t.Cleanup(func() { _ = stop() })
	synctest.Wait()
	return stop
}

func (w *world) enqueue(queue string) JobID {
	w.t.Helper()
	h, err := w.client.Enqueue(w.t.Context(), "k", nil, To(queue))
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	return h.ID
}

func (w *world) job(id JobID) fakeJob {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tick()
	j := *w.jobs[uint64(id)]
	j.Job = proto.CloneOf(j.Job)
	return j
}

// requests gives what the cluster saw of a method.
func (w *world) requests(method string) []seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.log), func(s seen) bool { return s.method != method })
}

func (w *world) faults(plan func(seen) fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.plan = plan
}

func (w *world) wantState(id JobID, want State) {
	w.t.Helper()
	if got := w.job(id).State; got != want {
		w.t.Errorf("job %d is %v, want %v", id, got, want)
	}
}

// advance lets time pass and everything that it sets off come to rest.
func advance(d time.Duration) {
	time.Sleep(d) // virtual: the tests run in a bubble
	synctest.Wait()
}

func quick(context.Context, *RawJob) ([]byte, error) { return []byte(`"ok"`), nil }

// endings are why the contexts of handlers ended.
type endings struct {
	mu   sync.Mutex
	list []error
}

// untilEnd is a handler that runs until its context ends and then says why.
func (e *endings) untilEnd(ctx context.Context, _ *RawJob) ([]byte, error) {
	<-ctx.Done()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, context.Cause(ctx))
	return nil, ctx.Err()
}

func (e *endings) causes() []error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got error %v, want %v", got, want)
	}
}
