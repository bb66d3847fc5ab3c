package fairlane

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// DefaultLanes of a worker that was told nothing.
const DefaultLanes = "manual>*:5"

// Worker runs jobs in lanes. Register handlers, then call Run once.
//
// A handler's context ends when the claim is lost (cause ErrClaimLost), the job is cancelled (ErrCancelled) or the worker's
// grace time is over (ErrDraining); the handler should return soon then. Its error decides what comes next: nil is success,
// Discard, RetryAfter and Snooze say so themselves, any other error is a failed attempt, and so is a panic.
type Worker struct {
	client *Client
	config workerConfig

	handlers map[string]RawHandler
	fallback RawHandler
	declared []declared // that are not put yet; while the worker runs, its life has them
	running  bool
}

type workerConfig struct {
	name       string
	lanes      string
	user       string
	formerGone bool
	single     bool
	grace      time.Duration
	stubborn   time.Duration
	observe    func(Event)
	logger     *slog.Logger
}

// WorkerOption is something a worker may be told.
type WorkerOption func(*workerConfig)

// Lanes in the grammar of docs/lanes.md, for example "fast_lane:1 manual>*:4".
func Lanes(lanes string) WorkerOption { return func(c *workerConfig) { c.lanes = lanes } }

// WorkerName is unique among live workers, 1 to 128 bytes; a new worker takes the place of an old one with the same name.
// Default: host, process and a random number.
func WorkerName(name string) WorkerOption { return func(c *workerConfig) { c.name = name } }

// FormerGone says that the process that had this name before is dead, so that its claims need not wait for their leases.
func FormerGone() WorkerOption { return func(c *workerConfig) { c.formerGone = true } }

// OnlyUser makes the worker serve one user.
func OnlyUser(user string) WorkerOption { return func(c *workerConfig) { c.user = user } }

// SingleCalls makes the worker send each call alone, as it does where no stream can be had. For measurements, and for proxies that take streams and
// carry them badly.
func SingleCalls() WorkerOption { return func(c *workerConfig) { c.single = true } }

// Grace is how long handlers may go on after Run's context has ended; default 30 s.
func Grace(d time.Duration) WorkerOption { return func(c *workerConfig) { c.grace = d } }

// StopWithin is how long Run waits for handlers after their contexts have ended; default 10 s.
func StopWithin(d time.Duration) WorkerOption { return func(c *workerConfig) { c.stubborn = d } }

// Observe calls f for each event of the worker, on the goroutine where it happens. f must be quick and safe for many
// goroutines.
func Observe(f func(Event)) WorkerOption { return func(c *workerConfig) { c.observe = f } }

// WorkerLogger replaces the client's logger.
func WorkerLogger(l *slog.Logger) WorkerOption { return func(c *workerConfig) { c.logger = l } }

// NewWorker makes a worker of the client; it does nothing before Run.
func NewWorker(c *Client, options ...WorkerOption) *Worker {
	cfg := workerConfig{
		lanes:    DefaultLanes,
		name:     fmt.Sprintf("%s-%d-%08x", processName(), os.Getpid(), uint32(newNonce())),
		grace:    30 * time.Second,
		stubborn: 10 * time.Second,
		observe:  func(Event) {},
		logger:   c.logger,
	}
	for _, option := range options {
		option(&cfg)
	}
	cfg.logger = cfg.logger.With("worker", cfg.name)
	return &Worker{client: c, config: cfg, handlers: map[string]RawHandler{}}
}

// HandleFunc makes the worker run jobs of the kind with f. It panics when there is a handler for the kind, or the worker runs.
func (w *Worker) HandleFunc(kind string, f RawHandler) {
	if w.running || w.handlers[kind] != nil {
		panic(fmt.Sprintf("fairlane: handler for %q: the worker has one already, or runs", kind))
	}
	w.handlers[kind] = f
}

// HandleRest makes the worker run jobs of all kinds that have no handler with f. Without it such a job is a failed attempt.
func (w *Worker) HandleRest(f RawHandler) {
	if w.running || w.fallback != nil {
		panic("fairlane: handler for the rest: the worker has one already, or runs")
	}
	w.fallback = f
}

// handler of the kind; nil: there is none.
func (w *Worker) handler(kind string) RawHandler {
	if f := w.handlers[kind]; f != nil {
		return f
	}
	return w.fallback
}

// Run claims and runs jobs until ctx ends. Then it takes no more, lets handlers finish within the grace time, gives the rest
// back without charging an attempt, and returns nil: pass a context of signal.NotifyContext to drain on SIGTERM.
//
// Other ends: ErrSessionReplaced when another process took this worker's name, ErrBadLanes and other refusals of the
// registration or of a schedule that it declares, ErrHandlersLeft when handlers ignored the end of their contexts.
func (w *Worker) Run(ctx context.Context) error {
	if w.running {
		panic("fairlane: Run of a worker that ran already")
	}
	w.running = true
	return w.run(ctx)
}
