package demo

import (
	"context"
	"fmt"
	"io"
	"math/rand"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/fleet"
)

// Options of a run.
type Options struct {
	Binary   string // this binary
	Dir      string // whose files are hashed
	Files    int    // at most; 0: all
	Kills    int
	Seed     int64
	LogStore string
	Keep     bool // leave states and logs behind
	Out      io.Writer
	Terminal bool
	// OnAbort registers the clean-up of a process that is told to end at once.
	OnAbort func(func()) (done func())
}

// What the demonstration consists of.
const (
	serverCount = 3
	workerCount = 2
	// Lanes of each worker.
	Lanes = "fast_lane:1 manual>*:4"
	// patience is how long no job may end before the run is given up.
	patience = 30 * time.Second
)

// slotsOf the lanes above, in their order.
var slotsOf = []int{1, 4}

// run is one demonstration in progress.
type run struct {
	Options
	temp     string
	servers  *fleet.Fleet
	workers  *workers
	work     []Work
	ids      []uint64 // of the jobs, by position in work
	tally    *Tally
	progress *Progress
	verdict  *Verdict
	killer   killer
}

// Run does the demonstration and prints what it found. The error is nil only if every promise held. Whatever happens, no
// process and, unless Keep is set, no file is left behind.
func Run(ctx context.Context, o Options) (err error) {
	r := &run{Options: o, tally: NewTally(), verdict: &Verdict{Wanted: o.Kills}}
	if r.temp, err = os.MkdirTemp("", "fairlane-demo-"); err != nil {
		return err
	}
	defer o.OnAbort(r.cleanUp)()
	defer r.cleanUp()
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.drive(ctx); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	r.verdict.Print(o.Out)
	if n := len(r.verdict.Broken()); n > 0 {
		return fmt.Errorf("%d promises broken; run again with --keep to look at the logs", n)
	}
	return nil
}

// cleanUp may run twice, and beside the rest when the process is told to end at once.
func (r *run) cleanUp() {
	if r.workers != nil {
		r.workers.killAll()
	}
	if r.servers != nil {
		fleet.KillAll(r.servers.Processes())
	}
	if r.Keep {
		fmt.Fprintf(r.Out, "kept: %s\n", r.temp)
		return
	}
	os.RemoveAll(r.temp)
}

// prepare finds the input, starts the servers, enqueues everything and starts the workers. The jobs of all users wait before
// the first claim, so that the order of the claims can be checked claim for claim.
func (r *run) prepare(ctx context.Context) (err error) {
	if r.work, err = Find(r.Dir, r.Files, r.Seed); err != nil {
		return err
	}
	fmt.Fprintf(r.Out, "%d files below %s, seed %d, log store %s\n", len(r.work), r.Dir, r.Seed, r.LogStore)
	r.progress = NewProgress(r.Out, r.Terminal, len(r.work))
	if r.servers, err = fleet.Open(ctx, r.Binary, r.temp, r.LogStore, serverCount); err != nil {
		return err
	}
	r.progress.Note("%d servers are up: %s", serverCount, strings.Join(r.servers.Endpoints(), " "))
	began := time.Now()
	if r.ids, err = enqueue(ctx, r.servers.Endpoints(), r.work); err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	r.verdict.EnqueueTook = time.Since(began)
	r.progress.Note("enqueued: %s", share(r.work))
	r.workers, err = startWorkers(r.Binary, r.temp, Lanes, r.servers.Endpoints(), workerCount)
	if err != nil {
		return err
	}
	r.progress.Note("%d workers with lanes %q", workerCount, Lanes)
	r.killer = newKiller(r.Kills, len(r.work), rand.New(rand.NewSource(r.Seed)))
	return nil
}

// drive takes reports until every job has ended, and kills leaders on the way.
func (r *run) drive(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	lastDone, lastMove := 0, time.Now()
	for r.tally.Done() < len(r.work) {
		select {
		case report, open := <-r.workers.reports:
			if !open {
				return fmt.Errorf("all workers ended%s", r.workers.all[0].LastWords())
			}
			r.tally.Add(report)
		case <-tick.C:
			if done := r.tally.Done(); done > lastDone {
				lastDone, lastMove = done, time.Now()
			}
			if time.Since(lastMove) > patience {
				r.verdict.Stuck = fmt.Sprintf("no job ended for %v, %d of %d had", patience, lastDone, len(r.work))
				return nil
			}
			if err := r.checkChildren(); err != nil {
				return err
			}
			r.progress.Show(r.tally.Done(), r.killer.state())
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := r.killer.step(ctx, r); err != nil {
			return err
		}
	}
	r.progress.Show(r.tally.Done(), r.killer.state())
	r.progress.End()
	return nil
}

// checkChildren finds a process that ended although nobody killed it.
func (r *run) checkChildren() error {
	for _, c := range append(r.servers.Processes(), r.workers.all...) {
		if !c.Alive() && !r.killer.killed(c) {
			return fmt.Errorf("%s ended by itself: %v%s", c.Name, c.Err, c.LastWords())
		}
	}
	return nil
}

// settle compares the accounts, then ends everything in order: the workers drain, the servers hand over and close.
func (r *run) settle(ctx context.Context) error {
	if err := r.killer.finish(ctx, r); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	if err := r.judge(limit); err != nil {
		return err
	}
	for _, w := range r.workers.all {
		_ = w.Signal(syscall.SIGTERM)
	}
	r.lastReports(time.After(45 * time.Second))
	for _, c := range append(append([]*fleet.Child{}, r.workers.all...), r.servers.Processes()...) {
		if err := c.Stop(15 * time.Second); err != nil {
			r.verdict.Stops = append(r.verdict.Stops, err)
		}
	}
	r.judgeReports()
	return nil
}

// lastReports takes what the draining workers still report, until they have ended or the limit passes.
func (r *run) lastReports(limit <-chan time.Time) {
	for {
		select {
		case report, open := <-r.workers.reports:
			if !open {
				return
			}
			r.tally.Add(report)
		case <-limit:
			return // stop will say which one hangs
		}
	}
}
