package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/fleet"
)

// run is one measurement in progress.
type run struct {
	o      Options
	target *target
	ledger *ledger
	queue  string
	made   bool // the queue was made by this run
	// backlog bounds the jobs of a closed loop that are enqueued and not finished; nil: no bound.
	backlog *semaphore.Weighted
	// stop is closed when producers shall begin nothing more.
	stop chan struct{}
	// begun is when the load began, in the time of the ledger.
	begun int64

	restarted chan struct{} // closed when the killed leader is back; nil: none is killed
	killed    int64         // when it was; read after restarted

	temp  string
	mu    sync.Mutex // guards fleet: the clean-up may run beside the start
	fleet *fleet.Fleet
}

// Run measures and gives the figures. With figures and an error the run did not keep what it checks: see AccountError and RateError.
// Whatever happens, no process and no file is left behind, and the queue is removed unless Keep is set.
func Run(ctx context.Context, o Options) (*Report, error) {
	r := &run{o: o, queue: o.Queue, stop: make(chan struct{})}
	if r.queue == "" {
		r.queue = fmt.Sprintf("bench_%08x", rand.Uint32())
	}
	defer o.OnAbort(r.cleanUp)()
	defer r.cleanUp()
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	defer r.target.http.CloseIdleConnections()
	if err := r.makeQueue(ctx); err != nil {
		return nil, err
	}
	r.ledger = newLedger(rand.Uint64())
	report, err := r.measure(ctx)
	if o.Self == nil && !o.Keep {
		r.note("removing what is left of queue %s", r.queue)
		if left := r.clearQueue(context.WithoutCancel(ctx)); left != nil {
			err = errors.Join(err, fmt.Errorf("queue %s could not be removed: %w", r.queue, left))
		}
	}
	return report, err
}

// open starts the cluster, if the run has one of its own, and finds the leader.
func (r *run) open(ctx context.Context) error {
	r.target = &target{http: unaryHTTP(r.o.TLS), tls: r.o.TLS, endpoints: r.o.Endpoints, patience: r.o.Patience}
	if r.o.Self != nil {
		if err := r.startFleet(ctx); err != nil {
			return err
		}
	}
	return r.target.find(ctx, nil, min(r.o.Patience, 10*time.Second))
}

func (r *run) startFleet(ctx context.Context) (err error) {
	if r.temp, err = os.MkdirTemp(r.o.Self.Dir, "fairlane-bench-"); err != nil {
		return err
	}
	if inMemory(r.temp) {
		r.note("%s is in memory: fsync costs nothing there, and the figures are not those of a disk. Name another directory with --dir", r.temp)
	}
	r.note("starting %d nodes with %s in %s", r.o.Self.Nodes, r.o.Self.LogStore, r.temp)
	started, err := fleet.Open(ctx, r.o.Self.Binary, r.temp, r.o.Self.LogStore, r.o.Self.Nodes)
	r.mu.Lock()
	r.fleet = started
	r.mu.Unlock()
	if err != nil {
		return err
	}
	for _, endpoint := range started.Endpoints() {
		r.target.endpoints = append(r.target.endpoints, "http://"+endpoint)
	}
	return nil
}

// cleanUp ends the processes and removes their files. It may run twice, and beside the rest when the process is told to end at once.
func (r *run) cleanUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fleet != nil {
		fleet.KillAll(r.fleet.Processes())
		http.DefaultClient.CloseIdleConnections() // the fleet's own calls
	}
	if r.temp != "" {
		os.RemoveAll(r.temp)
	}
}

func (r *run) note(format string, args ...any) {
	fmt.Fprintf(r.o.Progress, format+"\n", args...)
}

// measure runs the load and makes the report.
func (r *run) measure(ctx context.Context) (*Report, error) {
	alive, abandon := context.WithCancel(ctx)
	defer abandon()
	group, loadCtx := errgroup.WithContext(alive)
	workCtx, stopWork := context.WithCancel(loadCtx)
	defer stopWork()
	var producing sync.WaitGroup
	end, err := r.startLoad(loadCtx, workCtx, group, &producing)
	defer func() { end() }()
	if err != nil {
		abandon()
		if failed := group.Wait(); failed != nil {
			err = failed // the cause; the other says only that everything was stopped
		}
		return nil, err
	}
	if r.o.Mode != Latency {
		r.begun = r.ledger.now()
	}
	if r.o.Self != nil && r.o.Self.KillLeaderAt > 0 {
		r.restarted = make(chan struct{})
		group.Go(func() error { return r.killLeader(loadCtx) })
	}
	sees, err := r.watch(loadCtx)
	close(r.stop)
	if err == nil {
		producing.Wait()
		err = r.drain(loadCtx)
	}
	last := r.ledger.now()
	stopWork()
	if failed := group.Wait(); failed != nil {
		return nil, failed // as above
	}
	if err != nil {
		return nil, err
	}
	account := r.ledger.account(r.works())
	if r.o.Mode == Enqueue {
		if err := r.countWaiting(ctx, &account); err != nil {
			return nil, err
		}
	}
	report := r.report(sees, last, account)
	if err := account.Err(); err != nil {
		return report, err
	}
	return report, report.rateError()
}

// works reports whether there are workers that finish every job.
func (r *run) works() bool { return r.o.Mode == Cycle || r.o.Mode == Latency }

// view is what is seen of the cluster at one end of the window.
type view struct {
	at      int64
	index   uint64 // applied by the leader
	cpu     float64
	rss     []int64
	counted bool // cpu and rss are known
	store   string
	nodes   int
}

// watch waits for the warm-up and the window and looks at the cluster before and after.
func (r *run) watch(ctx context.Context) (sees [2]view, err error) {
	at := r.begun + int64(r.o.Warmup)
	r.note("warming up for %v, measuring for %v", r.o.Warmup, r.o.Duration)
	for i := range sees {
		if !r.reach(ctx, at) {
			return sees, ctx.Err()
		}
		if i == 1 && r.restarted != nil {
			<-r.restarted
		}
		if sees[i], err = r.look(ctx); err != nil {
			return sees, err
		}
		if r.o.Mode == Latency {
			sees[i].at = at // the window of an open loop is fixed beforehand
		}
		at = sees[i].at + int64(r.o.Duration)
	}
	return sees, nil
}

// reach waits until a time of the ledger, and says now and then how far the run is. false: ctx ended.
func (r *run) reach(ctx context.Context, at int64) bool {
	const every = 5 * time.Second
	before := r.ledger.finished.Load() + r.ledger.acked.Load()
	for {
		left := time.Duration(at - r.ledger.now())
		if left <= 0 {
			return ctx.Err() == nil
		}
		if !pause(ctx, min(left, every)) {
			return false
		}
		if left > every {
			now := r.ledger.finished.Load() + r.ledger.acked.Load()
			r.note("  %d jobs enqueued, %d finished; %.0f enqueues and finishes/s; %d calls repeated", r.ledger.acked.Load(), r.ledger.finished.Load(),
				float64(now-before)/every.Seconds(), r.target.errors.Load())
			before = now
		}
	}
}

func (r *run) look(ctx context.Context) (view, error) {
	var v view
	s, err := do(ctx, r.target, status)
	if err != nil {
		return v, fmt.Errorf("status of the leader: %w", err)
	}
	v.index, v.store, v.nodes = s.GetAppliedIndex(), s.GetLogStore(), len(s.GetMembers())
	if r.fleet != nil {
		v.counted = r.restarted == nil // the processor time of the process that was killed is gone
		for _, c := range r.fleet.Processes() {
			cpu, rss, ok := usageOf(c.PID())
			v.counted = v.counted && ok
			v.cpu += cpu
			v.rss = append(v.rss, megabytes(rss))
		}
	}
	v.at = r.ledger.now()
	return v, nil
}

// drain waits until every acknowledged job is finished. What is left when patience ends, the account shows.
func (r *run) drain(ctx context.Context) error {
	if !r.works() {
		return nil
	}
	end := time.Now().Add(r.o.Patience)
	for time.Now().Before(end) {
		if r.ledger.finished.Load() >= r.ledger.acked.Load() {
			return nil
		}
		if !pause(ctx, 10*time.Millisecond) {
			return ctx.Err()
		}
	}
	r.note("%d jobs are not finished after %v", r.ledger.acked.Load()-r.ledger.finished.Load(), r.o.Patience)
	return nil
}

// finished notes the end of a job and makes room for another.
func (r *run) finished(seq uint64, at int64) {
	if r.ledger.finish(seq, at) && r.backlog != nil {
		r.backlog.Release(1)
	}
}
