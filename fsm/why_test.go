package fsm_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

var errNotMinimal = errors.New("the job is next before all changes are made")

// make makes the stated changes, in their order, and returns the lane that is to get the job.
func (s *still) make(a *fsm.WhyAnswer) (session uint64, lane uint32, ahead int64, err error) {
	if a.Lane != nil {
		session, lane = uint64(a.Lane.Session), a.Lane.Lane
	}
	freed := false
	if err := s.silence(a.Job); err != nil {
		return 0, 0, 0, err
	}
	for _, c := range a.Start {
		queue := &logv1.SetQueue{Name: c.Queue}
		switch c.Kind {
		case fsm.ChangeWait:
			err = s.wait(a.Job, c.UntilMs)
		case fsm.ChangeResumeQueue:
			queue.Paused = proto.Bool(false)
			_, err = s.do(&logv1.Command{Op: &logv1.Command_SetQueue{SetQueue: queue}})
		case fsm.ChangeRaiseQueueLimit:
			queue.Settings = &logv1.QueueSettings{MaxRunning: &c.Value}
			_, err = s.do(&logv1.Command{Op: &logv1.Command_SetQueue{SetQueue: queue}})
		case fsm.ChangeRaiseUserQueueLimit:
			queue.Settings = &logv1.QueueSettings{MaxRunningPerUser: &c.Value}
			_, err = s.do(&logv1.Command{Op: &logv1.Command_SetQueue{SetQueue: queue}})
		case fsm.ChangeRaiseUserLimit:
			_, err = s.do(settingsCommand(&logv1.Settings{MaxRunningPerUser: &c.Value}))
		case fsm.ChangeAddLane:
			session, err = s.fresh(c.Queue + ":1")
		case fsm.ChangeFreeSlot, fsm.ChangeFreeMemory:
			if !freed {
				err = s.free(a)
			}
			freed = true
		case fsm.ChangeClaimsAhead:
			ahead = c.Value
		case fsm.ChangeCoordinator:
			err = s.finishSequence(a.Job, c)
		}
		if err != nil {
			return 0, 0, 0, err
		}
	}
	return session, lane, ahead, nil
}

// wait lets the wall clock pass an instant at which nothing else becomes due: other jobs that would are cancelled.
func (s *still) wait(job *logv1.Job, until int64) error {
	for _, j := range s.all() {
		if j.GetState() == logv1.State_STATE_SCHEDULED && j.GetId() != job.GetId() && j.GetDueMs() <= until {
			if _, err := s.do(&logv1.Command{Op: &logv1.Command_Cancel{Cancel: &logv1.Cancel{Job: j.GetId()}}}); err != nil {
				return err
			}
		}
	}
	s.wall = max(s.wall, until)
	s.apply()
	return nil
}

// free lets the oldest claims of the lane end, as few as are enough, and checks the stated numbers.
func (s *still) free(a *fsm.WhyAnswer) error {
	fences, memory, view := s.laneClaims(a.Lane.Session, a.Lane.Lane)
	need := rounded(a.Job.GetMemoryBytes())
	slots, free := int64(view.Lane.GetSlots())-int64(view.Running), view.MemoryBudget-view.UsedMemory
	for _, c := range a.Start {
		if c.Kind == fsm.ChangeFreeSlot && c.Value != 1-slots || c.Kind == fsm.ChangeFreeMemory && c.Value != int64(need-free) {
			return fmt.Errorf("change %+v, but %d slots and %d bytes of %d are free", c, slots, free, need)
		}
	}
	for i, fence := range fences {
		if slots > 0 && (view.MemoryBudget == 0 || need <= free) {
			return nil
		}
		slots, free = slots+1, free+memory[i]
		if err := s.finish(uint64(a.Lane.Session), fence); err != nil {
			return err
		}
	}
	return nil
}

// comesNext claims until the job is handed out, which must be after exactly so many others.
func (s *still) comesNext(job fsm.JobID, session uint64, lane uint32, ahead int64) error {
	for n := int64(0); ; n++ {
		got, err := s.claimAndFinish(session, lane)
		switch {
		case err != nil:
			return err
		case got == job && n == ahead:
			return nil
		case got == job || got == 0 || n > ahead:
			return fmt.Errorf("claim %d of session %d lane %d got job %d; job %d should come after %d", n, session, lane, got, job, ahead)
		}
	}
}

// TestWhyIsTrue (D3): in a random state, for a random waiting job, exactly the stated changes are made; then the lane claims as many jobs as
// are said to go first, and the next is the job. Nothing happens meanwhile but what is stated; docs/why.md says what that means.
func TestWhyIsTrue(t *testing.T) {
	constraints, changes, states := map[fsm.ConstraintKind]int{}, map[fsm.ChangeKind]int{}, map[logv1.State]int{}
	asked, left := 0, 0
	eachSeed(t, func(seed uint64) error {
		h, m := newCoordinated(seed), fsm.New()
		for range 20 + h.below(*batches) {
			b := h.batch()
			h.observe(b, m.Apply(h.index, b))
		}
		s, err := stillAfter(h.history, m)
		if err == nil && h.one(3) {
			err = s.crowd(h.history)
		}
		if err != nil {
			return err
		}
		for range 4 {
			job := s.waiting(h.history)
			if job == nil {
				return nil
			}
			if _, _, live := s.holder(job.GetCoordinator()); !live { // nobody can let that claim end
				left++
				continue
			}
			a, ok := s.m.Insight().Why(fsm.JobID(job.GetId()))
			if !ok {
				return fmt.Errorf("job %d is not known", job.GetId())
			}
			asked++
			states[job.GetState()]++
			for _, c := range a.Constraints {
				constraints[c.Kind]++
			}
			for _, c := range a.Start {
				changes[c.Kind]++
			}
			if err := answerIsTrue(s, a); err != nil {
				return fmt.Errorf("job %v: %w\nanswer %+v\nstart %+v", job, err, a, a.Start)
			}
		}
		return nil
	})
	t.Logf("%d answers, %d left out since a claim of a gone worker lives in the coordinator; states %v, constraints %v, changes %v", asked, left, states,
		constraints, changes)
	for kind := fsm.BoundScheduled; kind <= fsm.BoundCoordinator; kind++ {
		if constraints[kind] == 0 && *histories >= 300 {
			t.Errorf("no answer with the constraint %d", kind)
		}
	}
	for kind := fsm.ChangeWait; kind <= fsm.ChangeCoordinator; kind++ {
		if changes[kind] == 0 && *histories >= 300 {
			t.Errorf("no answer with the change %d", kind)
		}
	}
}

func answerIsTrue(s *still, a *fsm.WhyAnswer) error {
	world, err := s.again()
	if err != nil {
		return err
	}
	if other, _ := world.m.Insight().Why(fsm.JobID(a.Job.GetId())); !sameAnswer(a, other) {
		return fmt.Errorf("a restored machine says %+v", other)
	}
	for _, line := range a.Lines {
		if err := lineIsTrue(s, a, line); err != nil {
			return fmt.Errorf("line %+v: %w", line, err)
		}
	}
	session, lane, ahead, err := world.make(a)
	if err != nil {
		return err
	}
	if err := world.comesNext(fsm.JobID(a.Job.GetId()), session, lane, ahead); err != nil {
		return err
	}
	return lastChangeIsNeeded(s, a)
}

// lineIsTrue: a new worker without limits, that takes from this line alone, gets as many jobs as are said to be ahead, then this one.
func lineIsTrue(s *still, a *fsm.WhyAnswer, line fsm.LinePlace) error {
	world, err := s.again()
	if err == nil {
		err = world.silence(a.Job)
	}
	if err != nil {
		return err
	}
	session, err := world.fresh(line.Line + ":1000")
	if err != nil {
		return err
	}
	return world.comesNext(fsm.JobID(a.Job.GetId()), session, 0, int64(line.Ahead))
}

// lastChangeIsNeeded: without any one of the changes that lift a gate or free the lane, the job is not the next. (Claims ahead are exact
// already; a wait is left out of this as the clock stands.)
func lastChangeIsNeeded(s *still, a *fsm.WhyAnswer) error {
	for i, c := range a.Start {
		if c.Kind == fsm.ChangeAddLane || c.Kind == fsm.ChangeClaimsAhead {
			continue
		}
		if c.Kind == fsm.ChangeFreeSlot || c.Kind == fsm.ChangeFreeMemory {
			if slices.ContainsFunc(a.Start, func(o fsm.Change) bool {
				return o.Kind != c.Kind && (o.Kind == fsm.ChangeFreeSlot || o.Kind == fsm.ChangeFreeMemory)
			}) {
				continue // one claim that ends can free both
			}
		}
		world, err := s.again()
		if err != nil {
			return err
		}
		less := *a
		less.Start = slices.Delete(slices.Clone(a.Start), i, i+1)
		if c.Kind == fsm.ChangeCoordinator {
			if err := world.staysOut(&less); err != nil {
				return err
			}
			continue
		}
		session, lane, ahead, err := world.make(&less)
		if err != nil {
			return err
		}
		if world.comesNext(fsm.JobID(a.Job.GetId()), session, lane, ahead) == nil {
			return fmt.Errorf("%w: without %+v", errNotMinimal, c)
		}
	}
	return nil
}

func sameAnswer(a, b *fsm.WhyAnswer) bool {
	x, y := *a, *b
	if string(wire(x.Job)) != string(wire(y.Job)) {
		return false
	}
	x.Job, y.Job = nil, nil
	return fmt.Sprintf("%+v", flat(&x)) == fmt.Sprintf("%+v", flat(&y))
}

// flat replaces pointers by what they point to.
func flat(a *fsm.WhyAnswer) []any {
	out := []any{a.Index, a.ClockMs, a.Lines, a.Start, a.Steps.String()}
	name := func(l *fsm.LaneName) any {
		if l == nil {
			return nil
		}
		return []any{l.Session, l.Worker, l.Lane, l.Spec.String()}
	}
	out = append(out, name(a.Lane))
	for _, c := range a.Constraints {
		lane := name(c.Lane)
		c.Lane = nil
		out = append(out, c, lane)
	}
	return out
}

// TestWhyOfOthers: a job that does not wait has no lines, constraints or changes, and an unknown one has no answer.
func TestWhyOfOthers(t *testing.T) {
	eachSeed(t, func(seed uint64) error {
		m := runHistory(seed, *batches)
		list, _ := m.Insight().Jobs(fsm.JobFilter{Limit: 1 << 20})
		in := m.Insight()
		if _, ok := in.Why(1 << 60); ok {
			return errors.New("a job that never was has an answer")
		}
		for _, j := range list {
			a, ok := in.Why(fsm.JobID(j.GetId()))
			if !ok || a.Job.GetId() != j.GetId() || a.Index != m.AppliedIndex() {
				return fmt.Errorf("job %v: %+v %v", j, a, ok)
			}
			waits := j.GetState() == logv1.State_STATE_PENDING || j.GetState() == logv1.State_STATE_SCHEDULED
			if !waits && (len(a.Lines)+len(a.Constraints)+len(a.Start) > 0 || a.Lane != nil) {
				return fmt.Errorf("job %v does not wait, but %+v", j, a)
			}
		}
		return nil
	})
}

// TestInsightIsACopy: an answer stays the same while the machine goes on, and may be worked out meanwhile (under -race).
func TestInsightIsACopy(t *testing.T) {
	h, m := newHistory(5), fsm.New()
	step := func() {
		b := h.batch()
		h.observe(b, m.Apply(h.index, b))
	}
	for len(waitingJobs(m)) < 5 {
		step()
	}
	id, in := fsm.JobID(waitingJobs(m)[0].GetId()), m.Insight()
	want, _ := in.Why(id)
	done := make(chan bool)
	go func() {
		same := true
		for range 100 {
			got, ok := in.Why(id)
			same = same && ok && sameAnswer(got, want)
		}
		done <- same
	}()
	for range 300 {
		step()
	}
	if !<-done {
		t.Error("the answer changed")
	}
}
