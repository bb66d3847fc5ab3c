package fsm_test

import (
	"fmt"
	"slices"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// still is a machine in which nothing happens by itself: both clocks stand, unless the wall clock is moved.
type still struct {
	m          *fsm.Machine
	index      uint64
	wall, mono int64
	lead       uint64
}

// stillAfter goes on after a history, on a copy, once no timer of the moment is left. It has no schedules, whose waiting ticks would make jobs
// when others end.
func stillAfter(h *history, m *fsm.Machine) (*still, error) {
	other, err := restored(m)
	if err != nil {
		return nil, err
	}
	wall, _ := m.Clocks()
	s := &still{m: other, index: h.index, wall: wall, mono: h.mono, lead: h.lead}
	list, _ := other.Schedules("", "", "", 1000)
	for _, v := range list {
		if _, err := s.do(&logv1.Command{Op: &logv1.Command_DeleteSchedule{DeleteSchedule: &logv1.DeleteSchedule{Name: v.Record.GetSchedule().GetName()}}}); err != nil {
			return nil, err
		}
	}
	for range 3 {
		s.apply()
	}
	return s, nil
}

// again is a copy.
func (s *still) again() (*still, error) {
	m, err := restored(s.m)
	other := *s
	other.m = m
	return &other, err
}

func (s *still) apply(commands ...*logv1.Command) fsm.Outcome {
	s.index++
	return s.m.Apply(s.index, &logv1.Batch{Rules: fsm.Rules, NowMs: s.wall, MonotonicMs: s.mono, Leadership: s.lead, Commands: commands})
}

// do applies a command that must not be refused.
func (s *still) do(c *logv1.Command) (*logv1.Result, error) {
	res := s.apply(c).Results[0]
	if res.GetRefusal() != nil {
		return nil, fmt.Errorf("%v was refused: %v", c, res.GetRefusal())
	}
	return res, nil
}

// claimAndFinish returns the job that the lane gets, 0 for none, after it has ended well.
func (s *still) claimAndFinish(session uint64, lane uint32) (fsm.JobID, error) {
	res, err := s.do(&logv1.Command{Op: &logv1.Command_Claim{Claim: &logv1.Claim{Session: session, Lane: lane}}})
	if err != nil || res.GetClaim().GetFence() == 0 {
		return 0, err
	}
	return fsm.JobID(res.GetClaim().GetJob().GetId()), s.finish(session, res.GetClaim().GetFence())
}

func (s *still) finish(session, fence uint64) error {
	res, err := s.do(&logv1.Command{Op: &logv1.Command_Finish{Finish: &logv1.Finish{Session: session, Fence: fence,
		Outcome: &logv1.Finish_Success{Success: &logv1.Success{}}}}})
	if err == nil && res.GetFinish().GetRefusal() != nil {
		err = fmt.Errorf("a finish was refused: %v", res.GetFinish().GetRefusal())
	}
	return err
}

// fresh registers a worker that nobody has seen.
func (s *still) fresh(lanes string) (uint64, error) {
	res, err := s.do(&logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: "fresh", Nonce: 1 << 50, Lanes: lanesOf(lanes)}}})
	return res.GetSession().GetSession(), err
}

func (s *still) all() []*logv1.Job {
	list, _ := s.m.Insight().Jobs(fsm.JobFilter{Limit: 1 << 20})
	return list
}

// waiting draws a job that waits; nil: none does.
func (s *still) waiting(h *history) *logv1.Job {
	list := slices.DeleteFunc(s.all(), func(j *logv1.Job) bool {
		return j.GetState() != logv1.State_STATE_PENDING && j.GetState() != logv1.State_STATE_SCHEDULED
	})
	if len(list) == 0 {
		return nil
	}
	return pick(&h.dice, list...)
}

// laneClaims are the live claims of a lane, oldest first: fence and rounded memory.
func (s *still) laneClaims(session fsm.SessionID, lane uint32) (fences, memory []uint64, view fsm.LaneView) {
	w := s.m.Workers(session-1, 1)[0]
	for _, fence := range w.Fences {
		for _, j := range s.all() {
			if j.GetFence() == fence && j.GetLane() == lane {
				fences, memory = append(fences, fence), append(memory, rounded(j.GetMemoryBytes()))
			}
		}
	}
	return fences, memory, w.Lanes[lane]
}

func rounded(bytes uint64) uint64 {
	if bytes == 0 {
		return 0
	}
	up := uint64(1)
	for up < bytes {
		up *= 2
	}
	return up
}

// crowd adds a worker with little memory, jobs that need much, and claims until it has what it can take.
func (s *still) crowd(h *history) error {
	res, err := s.do(&logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: "small", Nonce: 1 << 51, Lanes: lanesOf("*:4@4GiB q>r:2@2GiB")}}})
	if err != nil {
		return err
	}
	e := &logv1.Enqueue{}
	for range 4 + h.below(8) {
		e.Jobs = append(e.Jobs, &logv1.NewJob{Kind: "k", Queue: pick(&h.dice, drawnQueues...), User: pick(&h.dice, drawnUsers...),
			MemoryBytes: pick[uint64](&h.dice, 1<<29, 1<<30, 3<<29, 3<<30)})
	}
	s.apply(&logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: e}})
	for range 2 + h.below(5) {
		s.apply(&logv1.Command{Op: &logv1.Command_Claim{Claim: &logv1.Claim{Session: res.GetSession().GetSession(), Lane: uint32(h.below(2))}}})
	}
	return nil
}
