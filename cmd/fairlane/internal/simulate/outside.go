package simulate

import (
	"container/heap"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// prepare the machine. Recorded workers whose lanes stay go on as they are. The others give back what they run and leave, the changes of
// settings are made, and the virtual workers register; what was given back runs for what was left of its time. None of this is observed.
func (e *engine) prepare() error {
	var list []*logv1.Command
	var others []*workerLife
	for _, w := range e.h.present {
		if !e.changes.WithoutRecorded && slices.EqualFunc(w.lanes, e.changes.lanesOf(w), sameLane) {
			e.add(w.session, &worker{session: w.session, name: w.name, drains: w.draining}, w.lanes)
			continue
		}
		others = append(others, w)
		list = append(list, &logv1.Command{Op: &logv1.Command_Deregister{Deregister: &logv1.Deregister{Session: w.session}}})
	}
	first := len(list)
	list = append(list, e.changes.commands()...)
	out := e.m.Apply(e.m.AppliedIndex()+1, e.batch(list))
	for i, res := range out.Results {
		if r := res.GetRefusal(); r != nil && i >= first {
			return &RefusedError{"a change of settings", reasonText(r)}
		}
	}
	e.obs.begin(e.m, e.now)
	if err := e.adopt(); err != nil {
		return err
	}
	for _, w := range others {
		if err := e.opens(w); err != nil {
			return err
		}
	}
	for _, w := range e.changes.Workers {
		if err := e.register(0, w.Name, "", w.Lanes); err != nil {
			return err
		}
	}
	e.park()
	e.look = true
	return nil
}

func sameLane(a, b *logv1.Lane) bool { return proto.Equal(a, b) }

// adopt the runs that went on when the window began, and note those that were given back.
func (e *engine) adopt() error {
	for _, fence := range sorted(e.obs.byFence) {
		if err := e.began(e.obs.byFence[fence]); err != nil {
			return err
		}
	}
	for _, job := range e.h.held {
		if e.obs.byJob[job] == nil {
			e.obs.held[job] = true
		}
	}
	return nil
}

func (e *engine) batch(commands []*logv1.Command) *logv1.Batch {
	return &logv1.Batch{Rules: fsm.Rules, NowMs: e.now, MonotonicMs: e.now, Leadership: leadership, Commands: commands}
}

// outside does one recorded thing from outside.
func (e *engine) outside(s *step) error {
	switch {
	case s.jobs != nil:
		return e.enqueue(s.jobs)
	case s.cancel != 0:
		return e.cancel(s.cancel)
	case s.operate != nil: // the changes stay, whatever was set meanwhile
		return e.apply(append([]*logv1.Command{s.operate}, e.changes.commands()...))
	case s.opens != nil:
		return e.opens(s.opens)
	case s.leaves != 0:
		w := e.byOld[s.leaves]
		if w == nil {
			return nil
		}
		if err := e.claims(); err != nil { // what it was still there for
			return err
		}
		delete(e.byOld, s.leaves)
		e.leaving = append(e.leaving, w)
		return e.drain(w, false)
	case s.drains != 0 && e.byOld[s.drains] != nil:
		return e.drain(e.byOld[s.drains], s.undo)
	}
	return nil
}

func (e *engine) enqueue(jobs []arrival) error {
	c := &logv1.Enqueue{}
	for _, one := range jobs {
		c.Jobs = append(c.Jobs, one.job)
	}
	results, err := e.applied([]*logv1.Command{{Op: &logv1.Command_Enqueue{Enqueue: c}}})
	if err != nil {
		return err
	}
	for i, outcome := range results[0].GetEnqueue().GetOutcomes() {
		if outcome.GetRefusal() != nil {
			e.refused++
			continue
		}
		e.ids[jobs[i].id], e.former[outcome.GetJob()] = outcome.GetJob(), jobs[i].id
	}
	return nil
}

// numberNow of a recorded job. It is another one when a job before it was refused.
func (e *engine) numberNow(recorded uint64) uint64 {
	if id, ok := e.ids[recorded]; ok {
		return id
	}
	return recorded
}

func (e *engine) numberThen(simulated uint64) uint64 {
	if id, ok := e.former[simulated]; ok {
		return id
	}
	return simulated
}

func (e *engine) cancel(recorded uint64) error {
	id := e.numberNow(recorded)
	if err := e.apply([]*logv1.Command{{Op: &logv1.Command_Cancel{Cancel: &logv1.Cancel{Job: id}}}}); err != nil {
		return err
	}
	r := e.obs.byJob[id]
	if r == nil {
		return nil
	}
	if t := e.live[r.fence]; t != nil && r.cancelled > 0 {
		t.ends = min(t.ends, e.now+e.letGo(recorded))
		heap.Fix(&e.due, t.index)
	}
	return nil
}

// opens a recorded worker.
func (e *engine) opens(w *workerLife) error {
	if e.changes.WithoutRecorded {
		return nil
	}
	if err := e.register(w.session, w.name, w.user, e.changes.lanesOf(w)); err != nil {
		return err
	}
	if w.draining {
		return e.drain(e.byOld[w.session], false)
	}
	return nil
}

// register a virtual worker. If one of its name still has jobs to end, it gets another name.
func (e *engine) register(recorded uint64, name, user string, lanes []*logv1.Lane) error {
	free := name
	for n := 2; slices.ContainsFunc(e.names(), func(taken string) bool { return taken == free }); n++ {
		free = name + "~" + strconv.Itoa(n)
	}
	e.nonce++
	results, err := e.applied([]*logv1.Command{{Op: &logv1.Command_Register{Register: &logv1.Register{Name: free, Nonce: e.nonce, User: user, Lanes: lanes}}}})
	if err != nil {
		return err
	}
	if r := results[0].GetRefusal(); r != nil {
		return &RefusedError{"worker " + name, reasonText(r)}
	}
	e.add(recorded, &worker{session: results[0].GetSession().GetSession(), name: free}, lanes)
	e.park()
	return nil
}

// add a worker whose session lives.
func (e *engine) add(recorded uint64, w *worker, lanes []*logv1.Lane) {
	for i, l := range lanes {
		w.lanes = append(w.lanes, &lane{of: w, at: uint32(i), slots: int(l.GetSlots())})
	}
	e.workers[w.session] = w
	if recorded != 0 {
		e.byOld[recorded] = w
	}
	e.touched = append(e.touched, w.lanes...)
}

func (e *engine) names() []string {
	names := make([]string, 0, len(e.workers))
	for _, w := range e.workers {
		names = append(names, w.name)
	}
	return names
}

// drain a worker, or take it back.
func (e *engine) drain(w *worker, undo bool) error {
	w.drains = !undo
	if undo {
		e.touched = append(e.touched, w.lanes...)
	}
	return e.apply([]*logv1.Command{{Op: &logv1.Command_Drain{Drain: &logv1.Drain{Session: w.session, Undo: undo}}}})
}

// depart ends the sessions of leaving workers that have nothing left to do.
func (e *engine) depart() error {
	var list []*logv1.Command
	e.leaving = slices.DeleteFunc(e.leaving, func(w *worker) bool {
		if w.live > 0 {
			return false
		}
		delete(e.workers, w.session)
		list = append(list, &logv1.Command{Op: &logv1.Command_Deregister{Deregister: &logv1.Deregister{Session: w.session}}})
		return true
	})
	if list == nil {
		return nil
	}
	return e.apply(list)
}
