package simulate

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/trace"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// history is what is drawn from a replay to live through its time again. Jobs and sessions have their recorded numbers here.
type history struct {
	from, to int64 // wall clock, ms
	// present are the workers that live when the window begins.
	present []*workerLife
	// held jobs ran in the hands of those when the window began.
	held  []uint64
	steps []step // by time
	plans map[uint64]*plan
	means map[meanKey]*mean
}

// step is one thing from outside. One field beside at is set.
type step struct {
	at      int64
	jobs    []arrival
	cancel  uint64
	operate *logv1.Command // settings of queues and of the cluster
	opens   *workerLife
	leaves  uint64
	drains  uint64 // or takes a drain back
	undo    bool
}

type arrival struct {
	id  uint64
	job *logv1.NewJob
}

// plan is how the runs of a job went, the first first. Runs that were given back are not in it: they are run again whole.
type plan struct {
	runs []planned
	// letGo is how long its worker took to let go after a cancel.
	letGo int64
}

type planned struct {
	ms int64
	// atLeast: it ran so long, and nobody saw how long it would have taken.
	atLeast bool
	outcome *logv1.Finish // its outcome alone; nil: success
}

// meanKey: an empty queue is the mean over all queues.
type meanKey struct{ kind, queue string }

type mean struct{ sum, count int64 }

// read replays the trace and gives its history and what was observed.
func read(ctx context.Context, path string, mostOrder int) (*history, *observer, trace.Summary, error) {
	h := &history{plans: map[uint64]*plan{}, means: map[meanKey]*mean{}}
	o := newObserver(mostOrder)
	summary, err := trace.Replay(path, trace.Visitor{
		Begin: func(m *fsm.Machine) {
			at, _ := m.Clocks()
			o.begin(m, at)
			for _, session := range sorted(o.workers) {
				copied := *o.workers[session]
				h.present = append(h.present, &copied)
			}
			for _, fence := range sorted(o.byFence) {
				if r := o.byFence[fence]; r.session != 0 && r.cancelled == 0 {
					h.held = append(h.held, r.job)
				}
			}
		},
		Batch: func(m *fsm.Machine, b *logv1.Batch, out *fsm.Outcome) error {
			_, ended := o.observe(m, b, out)
			for _, r := range ended {
				h.ran(r)
			}
			h.gather(m, b, out, o)
			return ctx.Err()
		},
	})
	if err != nil {
		return nil, nil, summary, err
	}
	for _, fence := range sorted(o.byFence) {
		if r := o.byFence[fence]; r.cancelled == 0 {
			h.planOf(r.job).add(planned{ms: o.now - r.start, atLeast: true})
		}
	}
	for _, session := range sorted(o.workers) {
		if w := o.workers[session]; w.closed {
			h.steps = append(h.steps, step{at: w.seen, leaves: session})
		}
	}
	slices.SortStableFunc(h.steps, func(a, b step) int { return int(a.at - b.at) })
	h.from, h.to = o.from, o.now
	return h, o, summary, nil
}

func (h *history) planOf(job uint64) *plan {
	p := h.plans[job]
	if p == nil {
		p = &plan{}
		h.plans[job] = p
	}
	return p
}

func (p *plan) add(r planned) { p.runs = append(p.runs, r) }

// ran notes a run that ended.
func (h *history) ran(r *run) {
	p, ms := h.planOf(r.job), r.end-r.start
	switch {
	case r.how == byRelease:
	case r.cancelled > 0:
		p.letGo = r.end - r.cancelled
		p.add(planned{ms: ms, atLeast: true})
	case r.how == byLoss:
		p.add(planned{ms: ms, outcome: failure(&logv1.Failure{Error: "lost", Discard: r.final, RetryAfterMs: proto.Int64(0)})})
	default:
		p.add(planned{ms: ms, outcome: outcomeOf(r.outcome)})
		if r.early {
			return // its beginning was not seen
		}
		for _, key := range []meanKey{{r.kind, r.queue}, {r.kind, ""}} {
			if h.means[key] == nil {
				h.means[key] = &mean{}
			}
			h.means[key].sum += ms
			h.means[key].count++
		}
	}
}

func failure(f *logv1.Failure) *logv1.Finish {
	return &logv1.Finish{Outcome: &logv1.Finish_Failure{Failure: f}}
}

// outcomeOf a finish without its results and texts: they decide nothing.
func outcomeOf(f *logv1.Finish) *logv1.Finish {
	switch o := f.GetOutcome().(type) {
	case *logv1.Finish_Failure:
		return failure(&logv1.Failure{Discard: o.Failure.GetDiscard(), RetryAfterMs: o.Failure.RetryAfterMs})
	case *logv1.Finish_Snooze:
		return &logv1.Finish{Outcome: o}
	}
	return nil
}

// gather what came from outside in this batch.
func (h *history) gather(m *fsm.Machine, b *logv1.Batch, out *fsm.Outcome, o *observer) {
	add := func(s step) {
		s.at = out.WallMs
		h.steps = append(h.steps, s)
	}
	for i := range out.Events {
		switch e := &out.Events[i]; e.Kind {
		case fsm.SessionOpened:
			if w := o.workers[uint64(e.Session)]; w != nil {
				copied := *w
				add(step{opens: &copied})
			}
		case fsm.WorkerDraining:
			if w := o.workers[uint64(e.Session)]; w != nil {
				add(step{drains: w.session, undo: !w.draining})
			}
		}
	}
	for i, c := range b.GetCommands() {
		res := out.Results[i]
		if res.GetRefusal() != nil || res.GetIndex() != out.Index || res.GetPlace() != uint32(i) {
			continue // nothing came of it, or it was a repeat
		}
		switch op := c.GetOp().(type) {
		case *logv1.Command_Enqueue:
			if jobs := arrivals(op.Enqueue, res.GetEnqueue()); len(jobs) > 0 {
				add(step{jobs: jobs})
			}
		case *logv1.Command_Retry:
			add(step{jobs: again(m, res.GetRetry().GetJob())})
		case *logv1.Command_RetryMany:
			for _, one := range res.GetMany().GetOutcomes() {
				if one.GetChanged() {
					add(step{jobs: again(m, one.GetNewJob())})
				}
			}
		case *logv1.Command_Cancel:
			if res.GetCancel().GetCancelled() {
				add(step{cancel: op.Cancel.GetJob()})
			}
		case *logv1.Command_CancelMany:
			for _, one := range res.GetMany().GetOutcomes() {
				if one.GetChanged() {
					add(step{cancel: one.GetJob()})
				}
			}
		case *logv1.Command_SetQueue, *logv1.Command_DeleteQueue, *logv1.Command_SetSettings:
			add(step{operate: &logv1.Command{Op: c.GetOp()}})
		}
	}
}

// arrivals of an enqueue: the jobs that it made. Keys that guard against repeats have done their work.
func arrivals(e *logv1.Enqueue, res *logv1.EnqueueResult) (jobs []arrival) {
	for k, outcome := range res.GetOutcomes() {
		if outcome.GetRefusal() != nil || outcome.GetDeduplicated() || k >= len(e.GetJobs()) {
			continue
		}
		job := proto.CloneOf(e.GetJobs()[k])
		job.IdempotencyKey = ""
		jobs = append(jobs, arrival{outcome.GetJob(), job})
	}
	return jobs
}

// again is a job that was retried by hand, as a new one.
func again(m *fsm.Machine, id uint64) []arrival {
	j, ok := m.Job(fsm.JobID(id))
	if !ok {
		return nil
	}
	return []arrival{{id, &logv1.NewJob{Kind: j.GetKind(), Queue: j.GetQueue(), User: j.GetUser(), Priority: j.GetPriority(), Payload: j.GetPayload(),
		PayloadIsJson: j.GetPayloadIsJson(), MemoryBytes: j.GetMemoryBytes(), Limits: j.GetLimits(), Labels: j.GetLabels()}}}
}

// meanOf the recorded runs of a kind, in its queue if there are any there.
func (h *history) meanOf(kind, queue string) (ms int64, ok bool) {
	for _, key := range []meanKey{{kind, queue}, {kind, ""}} {
		if m := h.means[key]; m != nil {
			return (m.sum + m.count/2) / m.count, true
		}
	}
	return 0, false
}
