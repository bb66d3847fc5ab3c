package simulate

import (
	"context"
	"errors"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/trace"
)

// Options of a simulation.
type Options struct {
	Changes Changes
	// Resimulate also when nothing is changed: how near the model comes to the recording.
	Resimulate bool
	// RunMs is how long a run takes of which the recording tells nothing; 0: not said.
	RunMs int64
	// UntilMs ends the simulation so long after its beginning; 0: when all is done.
	UntilMs int64
	// Order is how many of the first claims are listed.
	Order int
}

// Run reads a trace (or a plain snapshot), replays it as it was, and lives through its time again with the changes. Errors:
// *trace.DamagedError, *trace.MismatchError, *RefusedError, *NoServiceTimeError, and those of ctx and of the file.
func Run(ctx context.Context, path string, o Options) (*Report, error) {
	h, seen, summary, err := read(ctx, path, o.Order)
	if err != nil {
		return nil, err
	}
	report := &Report{Replay: replayOf(summary), Recorded: seen.side(seen.left, 0)}
	if o.Changes.Empty() && !o.Resimulate {
		return report, nil
	}
	e, err := newEngine(path, h, o)
	if err != nil {
		return nil, err
	}
	if err := e.simulate(ctx); err != nil {
		return nil, err
	}
	side := e.obs.side(e.waiting(), e.refused)
	report.Simulated = &side
	return report, nil
}

// newEngine on the state with which the trace begins.
func newEngine(path string, h *history, o Options) (_ *engine, err error) {
	r, err := trace.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	m, err := r.Machine()
	if err != nil {
		return nil, err
	}
	e := &engine{
		m: m, h: h, changes: &o.Changes, run: o.RunMs, obs: newObserver(o.Order), beat: beatEvery, nonce: firstNonce,
		ids: map[uint64]uint64{}, former: map[uint64]uint64{}, done: map[uint64]int{}, live: map[uint64]*task{},
		workers: map[uint64]*worker{}, byOld: map[uint64]*worker{},
	}
	if o.UntilMs > 0 {
		e.until = h.from + o.UntilMs
	}
	return e, nil
}
