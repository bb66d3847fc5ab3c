package fsm_test

import (
	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

var drawnLanes = []string{"default:1", "*:2", "q>*:1 default:2", "q>r:3", "*:3@4GiB", "r:2@3GiB s>default:1", "q:1 q:1 r:1 s>*:2", "default>q>r>s:4"}

func (h *history) register() *logv1.Command {
	if s := h.session(); s != nil && s.lanes != nil && h.one(3) { // the same process again
		return &logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{
			Name: s.name, Nonce: s.nonce, Lanes: s.lanes, User: s.user, FormerGone: h.one(2)}}}
	}
	if len(h.sessions) > 4 && !h.one(4) {
		return nil
	}
	h.nonce++
	r := &logv1.Register{Name: pick(&h.dice, drawnNames...), Nonce: h.nonce, Lanes: lanesOf(pick(&h.dice, drawnLanes...)), FormerGone: h.one(3)}
	if h.one(5) {
		r.User = pick(&h.dice, drawnUsers...)
	}
	return &logv1.Command{Op: &logv1.Command_Register{Register: r}}
}

func (h *history) openSession() *logv1.Command {
	if h.one(2) {
		h.nonce++
	}
	return &logv1.Command{Op: &logv1.Command_OpenSession{OpenSession: &logv1.OpenSession{Name: "c", Nonce: h.nonce + 1<<32}}}
}

func (h *history) enqueue() *logv1.Command {
	e := &logv1.Enqueue{AllOrNothing: h.one(6)}
	for range 1 + h.below(1+h.below(6)) {
		e.Jobs = append(e.Jobs, h.newJob())
	}
	return h.numbered(h.session(), &logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: e}})
}

func (h *history) newJob() *logv1.NewJob {
	j := &logv1.NewJob{Kind: "k", Queue: pick(&h.dice, drawnQueues...), User: pick(&h.dice, drawnUsers...), Payload: []byte{byte(h.below(4))}}
	if h.one(4) {
		j.Queue = ""
	}
	if h.one(4) {
		j.Priority = int32(h.below(5)) - 2
	}
	if h.one(5) {
		j.MemoryBytes = pick[uint64](&h.dice, 1, 1<<20, 3<<20, 1<<30, 3<<30, 8<<30)
	}
	switch h.below(8) {
	case 0:
		j.DelayMs = int64(h.below(4_000))
	case 1:
		j.RunAtMs = h.wall + int64(h.below(6_000)) - 3_000
	}
	if h.one(5) {
		j.IdempotencyKey = pick(&h.dice, "x", "y", "z")
	}
	j.InsertFront = h.one(12)
	if h.one(4) {
		j.Limits = h.limits()
	}
	if h.extremes && h.one(20) {
		j.Queue = pick(&h.dice, "*", "a-b", "nobody")
	}
	if h.rules >= 3 && h.one(3) {
		if j.Coordinator = pick(&h.dice, drawnCoordinators...); h.one(40) {
			j.Coordinator = "k!"
		}
	}
	return j
}

func (h *history) limits() *logv1.Limits {
	l := &logv1.Limits{}
	if h.one(2) {
		l.LeaseMs, l.HeartbeatMs = proto.Int64(3_000+int64(h.below(2_000))), proto.Int64(1_000)
	}
	if h.one(2) {
		l.MaxAttempts = proto.Int32(1 + int32(h.below(3)))
	}
	if h.one(2) {
		l.BackoffFirstMs = proto.Int64(int64(h.below(3) * 700))
		l.BackoffFactorPercent = proto.Int32(100 * (1 + int32(h.below(3))))
		l.BackoffMostMs = proto.Int64(3_000)
	}
	if h.one(3) {
		l.OnTimeout = pick(&h.dice, logv1.OnTimeout_ON_TIMEOUT_RETRY, logv1.OnTimeout_ON_TIMEOUT_FAIL).Enum()
	}
	if h.one(3) {
		l.MaxRunMs = proto.Int64(1_000 + int64(h.below(8_000)))
	}
	if h.one(3) {
		l.ExclusionWindowMs = proto.Int64(int64(h.below(3) * 2_000))
	}
	return l
}

func (h *history) lane(s *drawnSession) uint32 {
	if len(s.lanes) == 0 || h.one(40) {
		return uint32(h.below(9))
	}
	return uint32(h.below(len(s.lanes)))
}

func (h *history) claim() *logv1.Command {
	s := h.session()
	if s == nil {
		return nil
	}
	return h.numbered(s, &logv1.Command{Op: &logv1.Command_Claim{Claim: &logv1.Claim{Session: s.id, Lane: h.lane(s)}}})
}

func (h *history) heartbeat() *logv1.Command {
	s := h.session()
	if s == nil {
		return nil
	}
	b := &logv1.Heartbeat{Session: s.id}
	for range h.below(5) {
		b.Fences = append(b.Fences, h.fence(s))
	}
	return &logv1.Command{Op: &logv1.Command_Heartbeat{Heartbeat: b}}
}

func (h *history) finish() *logv1.Command {
	s := h.session()
	if s == nil {
		return nil
	}
	f := &logv1.Finish{Session: s.id, Fence: h.fence(s)}
	switch h.below(8) {
	case 0, 1:
		f.Outcome = &logv1.Finish_Failure{Failure: &logv1.Failure{Error: pick(&h.dice, "e", "f"), Discard: h.one(5)}}
		if h.one(3) {
			f.GetFailure().RetryAfterMs = proto.Int64(int64(h.below(3) * 900))
		}
	case 2:
		f.Outcome = &logv1.Finish_Snooze{Snooze: &logv1.Snooze{DelayMs: int64(h.below(3) * 800)}}
	default:
		f.Outcome = &logv1.Finish_Success{Success: &logv1.Success{Result: []byte{byte(h.below(2))}}}
	}
	if h.now >= 2 && h.one(4) {
		f.Rest = &logv1.OutputRest{Offset: h.offset(f.GetFence()), Data: h.data()}
	}
	if h.one(2) {
		f.Next = &logv1.NextClaim{Lane: h.lane(s)}
	}
	return h.numbered(s, &logv1.Command{Op: &logv1.Command_Finish{Finish: f}})
}

func (h *history) release() *logv1.Command {
	s := h.session()
	if s == nil {
		return nil
	}
	r := &logv1.Release{Session: s.id}
	for range 1 + h.below(2) {
		r.Fences = append(r.Fences, h.fence(s))
	}
	return h.numbered(s, &logv1.Command{Op: &logv1.Command_Release{Release: r}})
}

func (h *history) job() uint64 {
	if h.jobs == 0 {
		return 1
	}
	if h.jobs > 20 && !h.one(4) {
		return uint64(h.jobs - h.below(20))
	}
	return uint64(1 + h.below(h.jobs+1))
}

func (h *history) cancel() *logv1.Command {
	return h.numbered(h.session(), &logv1.Command{Op: &logv1.Command_Cancel{Cancel: &logv1.Cancel{Job: h.job()}}})
}

func (h *history) retry() *logv1.Command {
	return h.numbered(h.session(), &logv1.Command{Op: &logv1.Command_Retry{Retry: &logv1.Retry{Job: h.job()}}})
}

func (h *history) setQueue() *logv1.Command {
	s := &logv1.QueueSettings{}
	if h.one(2) {
		s.Mode = pick(&h.dice, logv1.Mode_MODE_UNSPECIFIED, logv1.Mode_MODE_ROUND_ROBIN, logv1.Mode_MODE_FIFO).Enum()
	}
	if h.one(3) {
		s.MaxRunning = proto.Int64(1 + int64(h.below(6)))
	}
	if h.one(3) {
		s.MaxRunningPerUser = proto.Int64(1 + int64(h.below(3)))
	}
	if h.one(4) {
		s.RetentionMs = proto.Int64(int64(h.below(4) * 5_000))
	}
	if h.one(4) {
		s.RetentionJobs = proto.Int64(int64(h.below(6)))
	}
	if h.one(3) {
		s.Limits = h.limits()
	}
	return h.numbered(h.session(), &logv1.Command{Op: &logv1.Command_SetQueue{SetQueue: &logv1.SetQueue{Name: pick(&h.dice, drawnQueues...), Settings: s}}})
}

func (h *history) pauseQueue() *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_SetQueue{SetQueue: &logv1.SetQueue{Name: pick(&h.dice, drawnQueues...), Paused: proto.Bool(h.one(3))}}}
}

func (h *history) deleteQueue() *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_DeleteQueue{DeleteQueue: &logv1.DeleteQueue{Name: pick(&h.dice, drawnQueues...)}}}
}

func (h *history) settings() *logv1.Command {
	s := &logv1.Settings{}
	if h.extremes && h.one(4) {
		s.MaxJobs, s.MaxIdempotencyKeys = proto.Int64(int64(5+h.below(60))), proto.Int64(int64(1+h.below(6)))
		s.MaxSessions, s.MaxUsers = proto.Int64(int64(2+h.below(9))), proto.Int64(int64(2+h.below(4)))
		s.MaxStateBytes = proto.Int64(pick[int64](&h.dice, 20_000, 60_000, 1<<30))
		s.RetentionJobs, s.RetentionMs = proto.Int64(int64(h.below(50))), proto.Int64(int64(h.below(50_000)))
		return settingsCommand(s)
	}
	switch h.below(4) {
	case 0:
		s.DefaultMode = pick(&h.dice, logv1.Mode_MODE_ROUND_ROBIN, logv1.Mode_MODE_FIFO).Enum()
	case 1:
		s.MultiUser = proto.Bool(!h.one(3))
	case 2:
		s.MaxRunningPerUser = proto.Int64(1 + int64(h.below(8)))
	default:
		s.Limits = h.limits()
		s.Limits.LeaseMs, s.Limits.HeartbeatMs = nil, nil
	}
	return settingsCommand(s)
}

func (h *history) drain() *logv1.Command {
	s := h.session()
	if s == nil {
		return nil
	}
	return &logv1.Command{Op: &logv1.Command_Drain{Drain: &logv1.Drain{Session: s.id, Undo: !h.one(3)}}}
}

func (h *history) deregister() *logv1.Command {
	s := h.session()
	if s == nil || !h.one(3) {
		return nil
	}
	return &logv1.Command{Op: &logv1.Command_Deregister{Deregister: &logv1.Deregister{Session: s.id}}}
}

// repeated sends a numbered command again.
func (h *history) repeated() *logv1.Command {
	s := h.session()
	if s == nil || len(s.sent) == 0 {
		return nil
	}
	c := s.sent[len(s.sent)-1-h.below(min(len(s.sent), 6))]
	if h.now < 2 && (c.GetCancelMany() != nil || c.GetRetryMany() != nil) || h.now < 3 && isOfSchedules(c) || h.now < 4 && c.GetForgetNode() != nil {
		return nil
	}
	if h.now >= 3 && isOfSchedules(c) && h.one(3) {
		return computedAnew(c)
	}
	if h.one(20) { // another call under a used number
		return &logv1.Command{Repeat: c.Repeat, Op: &logv1.Command_Cancel{Cancel: &logv1.Cancel{Job: 1}}}
	}
	return c
}

// isOfSchedules: the command is one of those since rules 3.
func isOfSchedules(c *logv1.Command) bool {
	switch c.GetOp().(type) {
	case *logv1.Command_PutSchedule, *logv1.Command_DeleteSchedule, *logv1.Command_PauseSchedule, *logv1.Command_ResumeSchedule,
		*logv1.Command_TriggerSchedule, *logv1.Command_BackfillSchedule, *logv1.Command_Fire:
		return true
	}
	return false
}

// computedAnew is the same call as another leader computes it.
func computedAnew(c *logv1.Command) *logv1.Command {
	c = proto.Clone(c).(*logv1.Command)
	switch op := c.GetOp().(type) {
	case *logv1.Command_PutSchedule:
		op.PutSchedule.OffsetMs, op.PutSchedule.AnchorMs, op.PutSchedule.NextMs = 0, op.PutSchedule.AnchorMs+1, op.PutSchedule.NextMs+1
		op.PutSchedule.ComputedFrom++
	case *logv1.Command_ResumeSchedule:
		op.ResumeSchedule.ComputedFrom++
	case *logv1.Command_BackfillSchedule:
		op.BackfillSchedule.ComputedFrom++
		op.BackfillSchedule.TimesMs = append(op.BackfillSchedule.TimesMs, 1<<50)
	}
	return c
}
