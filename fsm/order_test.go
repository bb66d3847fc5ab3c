package fsm_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// TestOrderIsTrue (D4): in random states the preview of a random lane, and of a random queue, is what claims then get, each job ending well
// before the next claim while nothing else happens. A full lane first lets go of its oldest claim, as its preview says.
func TestOrderIsTrue(t *testing.T) {
	states, lanes, full, jobs := 0, 0, 0, 0
	eachSeed(t, func(seed uint64) error {
		h, m := newCoordinated(seed), fsm.New()
		for range 4 { // states of each history
			for range 5 + h.below(*batches/3) {
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
			states++
			n := pick(&h.dice, 1, 5, 1000)
			queue := pick(&h.dice, drawnQueues...)
			if list, known := s.m.OrderOfQueue(queue, n); known {
				if err := queueOrderIsTrue(s, queue, list, n); err != nil {
					return fmt.Errorf("queue %s: %w", queue, err)
				}
			}
			workers := s.m.Workers(0, 100)
			if len(workers) == 0 {
				continue
			}
			w := pick(&h.dice, workers...)
			lane := uint32(h.below(len(w.Lanes)))
			list, known := s.m.OrderOfLane(w.Name, lane, n)
			if !known {
				return fmt.Errorf("worker %s lane %d is not known", w.Name, lane)
			}
			lanes++
			jobs += len(list)
			if w.Lanes[lane].Running == w.Lanes[lane].Lane.GetSlots() && !w.Draining {
				full++
				fences, _, _ := s.laneClaims(w.Session, lane)
				if err := s.finish(uint64(w.Session), fences[0]); err != nil {
					return err
				}
			}
			if err := s.claimsAre(uint64(w.Session), lane, list, n); err != nil {
				return fmt.Errorf("worker %s lane %d: %w", w.Name, lane, err)
			}
		}
		return nil
	})
	t.Logf("%d states; %d lanes, %d of them full, %d jobs", states, lanes, full, jobs)
	if *histories >= 300 && (states < 1000 || full == 0 || jobs == 0) {
		t.Error("too few states")
	}
}

func queueOrderIsTrue(s *still, queue string, list []fsm.OrderedJob, n int) error {
	world, err := s.again()
	if err != nil {
		return err
	}
	session, err := world.fresh(queue + ":1")
	if err != nil {
		return err
	}
	return world.claimsAre(session, 0, list, n)
}

// claimsAre compares a preview with the claims that follow.
func (s *still) claimsAre(session uint64, lane uint32, list []fsm.OrderedJob, n int) error {
	for i := 0; i < n; i++ {
		got, err := s.claimAndFinish(session, lane)
		if err != nil {
			return err
		}
		want := fsm.JobID(0)
		if i < len(list) {
			want = fsm.JobID(list[i].Job.GetId())
		}
		if got != want {
			return fmt.Errorf("claim %d of %d got job %d, the preview has %d", i, len(list), got, want)
		}
		if got == 0 {
			break
		}
	}
	return nil
}

// TestOrderIsUndone: a machine that is asked for previews all the time is, in every answer and in what its board knows, like one that is not.
func TestOrderIsUndone(t *testing.T) {
	eachSeed(t, func(seed uint64) error {
		if seed%4 != *firstSeed%4 {
			return nil // a history with previews takes long
		}
		h, m, asked := newCoordinated(seed), fsm.New(), fsm.New()
		for i := range *batches {
			b := h.batch()
			out := m.Apply(h.index, b)
			if err := sameOutcome(out, asked.Apply(h.index, b)); err != nil {
				return fmt.Errorf("index %d: %w", h.index, err)
			}
			h.observe(b, out)
			asked.OrderOfQueue(pick(&h.dice, drawnQueues...), 1+h.below(30))
			for _, w := range asked.Workers(0, 100) {
				asked.OrderOfLane(w.Name, uint32(h.below(len(w.Lanes))), 1+h.below(30))
			}
			if i%16 != 15 {
				continue
			}
			if err := asked.CheckInvariants(); err != nil {
				return fmt.Errorf("index %d: %w", h.index, err)
			}
			if x, y := fmt.Sprint(m.QueueStatuses()), fmt.Sprint(asked.QueueStatuses()); x != y {
				return fmt.Errorf("index %d: queues %s and %s", h.index, x, y)
			}
			for _, j := range waitingJobs(m) {
				x, _ := m.Insight().Why(fsm.JobID(j.GetId()))
				if y, _ := asked.Insight().Why(fsm.JobID(j.GetId())); !sameAnswer(x, y) {
					return fmt.Errorf("index %d: job %v: %+v and %+v", h.index, j, x, y)
				}
				break
			}
		}
		if digest(t, m) != digest(t, asked) {
			return fmt.Errorf("index %d: another digest", h.index)
		}
		return nil
	})
}

func waitingJobs(m *fsm.Machine) []*logv1.Job {
	list, _ := m.Insight().Jobs(fsm.JobFilter{Limit: 1 << 20, States: []logv1.State{logv1.State_STATE_PENDING, logv1.State_STATE_SCHEDULED}})
	return slices.Clone(list)
}
