package fsm_test

import (
	"fmt"
	"slices"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// coordinated is a history of which most jobs have one of a few coordinators.
type coordinated struct {
	*history
	names []string
	given map[*logv1.NewJob]bool // a command that is sent again stays what it was
}

func newCoordinated(seed uint64) *coordinated {
	c := &coordinated{history: newHistory(seed), given: map[*logv1.NewJob]bool{}}
	c.names = []string{"", "i", "j", "k", "team/l.1"}[:2+c.below(4)]
	return c
}

func (c *coordinated) batch() *logv1.Batch {
	b := c.history.batch()
	for _, command := range b.Commands {
		for _, j := range command.GetEnqueue().GetJobs() {
			if !c.given[j] {
				c.given[j] = true
				j.Coordinator = pick(&c.dice, c.names...)
			}
		}
	}
	return b
}

// silence cancels what coordinators hold back, but for the line of one job: so no coordinator lets in its next job.
func (s *still) silence(job *logv1.Job) error {
	list, _ := s.m.Coordinators("", 1<<20)
	for _, v := range list {
		_, line, _, _ := s.m.Coordinator(v.Name, 1<<20)
		for _, id := range line {
			if v.Name == job.GetCoordinator() || v.Busy == 0 && id == v.Head {
				continue
			}
			if err := s.cancel(uint64(id)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *still) cancel(id uint64) error {
	_, err := s.do(&logv1.Command{Op: &logv1.Command_Cancel{Cancel: &logv1.Cancel{Job: id}}})
	return err
}

// holder is the session of the claim that lives in a coordinator, if it is live itself.
func (s *still) holder(coordinator string) (session, fence uint64, live bool) {
	v, _, _, _ := s.m.Coordinator(coordinator, 0)
	j, busy := s.m.Job(v.Busy)
	if !busy {
		return 0, 0, true
	}
	for _, w := range s.m.Workers(0, 1<<20) {
		for _, f := range w.Fences {
			if f == j.GetFence() {
				return uint64(w.Session), f, true
			}
		}
	}
	return 0, 0, false
}

// finishSequence ends what runs in the job's coordinator, and cancels what waits before the job.
func (s *still) finishSequence(job *logv1.Job, c fsm.Change) error {
	_, line, _, _ := s.m.Coordinator(c.Coordinator, 1<<20)
	ended := int64(0)
	if session, fence, _ := s.holder(c.Coordinator); fence != 0 {
		if err := s.finish(session, fence); err != nil {
			return err
		}
		ended++
	}
	for _, id := range line {
		j, _ := s.m.Job(id)
		if j.GetFirstDueMs() > job.GetFirstDueMs() || j.GetFirstDueMs() == job.GetFirstDueMs() && j.GetId() >= job.GetId() {
			break
		}
		if err := s.cancel(uint64(id)); err != nil {
			return err
		}
		ended++
	}
	if ended != c.Value && !c.More || c.More && ended <= c.Value {
		return fmt.Errorf("%d jobs of the coordinator ended, said was %+v", ended, c)
	}
	return nil
}

// staysOut: after all changes that do not lie in a lane, and as long as nothing of its coordinator ends, nobody gets the job, whatever else is
// claimed.
func (s *still) staysOut(a *fsm.WhyAnswer) error {
	a.Start = slices.DeleteFunc(a.Start, func(c fsm.Change) bool {
		return slices.Contains([]fsm.ChangeKind{fsm.ChangeAddLane, fsm.ChangeFreeSlot, fsm.ChangeFreeMemory, fsm.ChangeClaimsAhead}, c.Kind)
	})
	if _, _, _, err := s.make(a); err != nil {
		return err
	}
	session, err := s.fresh(a.Job.GetQueue() + ":1000")
	if err != nil {
		return err
	}
	for {
		res, err := s.do(&logv1.Command{Op: &logv1.Command_Claim{Claim: &logv1.Claim{Session: session}}})
		if err != nil || res.GetClaim().GetFence() == 0 {
			return err
		}
		if res.GetClaim().GetJob().GetId() == a.Job.GetId() {
			return fmt.Errorf("%w: nothing of its coordinator ended", errNotMinimal)
		}
	}
}
