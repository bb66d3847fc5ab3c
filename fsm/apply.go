package fsm

import (
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Rules is the highest number of the meaning of a batch that this version knows. It applies batches of every number from 1: what an entry
// of the log means never changes (docs/decisions/0009-rules-2.md).
//
//	1  the first
//	2  steps, decisions, placed_ms, output and progress, CancelMany and RetryMany
//	3  schedules and coordinators
//	4  the clock set back, the cluster's name, removed nodes
const Rules = 4

// Apply runs one batch: the clocks; heartbeats, output, finishes and releases; due timers; then the other commands in order, the claim part of a
// finish at its place (docs/design.md §4). It panics with *UnknownCommandError before it changes anything when it does not know a command,
// and with a sentence when an invariant is broken.
func (m *Machine) Apply(index uint64, b *logv1.Batch) Outcome {
	m.checkKnown(index, b)
	m.batch = current{out: Outcome{Index: index, Epoch: m.epoch}, rules: b.GetRules()}
	m.index, m.rules = index, max(m.rules, b.GetRules())
	m.advanceClocks(b)
	commands := b.GetCommands()
	results := make([]*logv1.Result, len(commands))
	claims := make([]bool, len(commands)) // the finish at this position has a claim part to run
	for i, c := range commands {
		if isEarly(c) {
			m.batch.place = uint32(i)
			results[i], claims[i] = m.run(c)
		}
	}
	m.runTimers()
	m.pumpSchedules()
	for i, c := range commands {
		m.batch.place = uint32(i)
		switch {
		case claims[i]:
			m.runClaimPart(c, results[i])
		case !isEarly(c):
			results[i], _ = m.run(c)
		}
	}
	m.pumpSchedules()
	m.gatherReady()
	out := m.batch.out
	out.Results, out.WallMs, out.Outputs = results, m.wall, m.grown()
	m.batch = current{}
	return out
}

func (m *Machine) checkKnown(index uint64, b *logv1.Batch) {
	if b.GetRules() < 1 || b.GetRules() > Rules {
		panic(&UnknownCommandError{Index: index, Rules: b.GetRules()})
	}
	for i, c := range b.GetCommands() {
		if c.GetOp() == nil || b.GetRules() < sinceRules(c) {
			panic(&UnknownCommandError{Index: index, Place: i, Rules: b.GetRules()})
		}
	}
}

// sinceRules is the lowest rules that know a command.
func sinceRules(c *logv1.Command) uint32 {
	switch c.GetOp().(type) {
	case *logv1.Command_Output, *logv1.Command_CancelMany, *logv1.Command_RetryMany:
		return 2
	case *logv1.Command_PutSchedule, *logv1.Command_DeleteSchedule, *logv1.Command_PauseSchedule, *logv1.Command_ResumeSchedule,
		*logv1.Command_TriggerSchedule, *logv1.Command_BackfillSchedule, *logv1.Command_Fire:
		return 3
	case *logv1.Command_SetClock, *logv1.Command_NameCluster, *logv1.Command_ForgetNode:
		return 4
	}
	return 1
}

// Needs is the lowest rules under which a command means all that it says.
func Needs(c *logv1.Command) uint32 {
	for _, n := range c.GetEnqueue().GetJobs() {
		if n.GetCoordinator() != "" {
			return 3
		}
	}
	return sinceRules(c)
}

// isEarly commands run before the timers.
func isEarly(c *logv1.Command) bool {
	switch c.GetOp().(type) {
	case *logv1.Command_Heartbeat, *logv1.Command_Output, *logv1.Command_Finish, *logv1.Command_Release:
		return true
	}
	return false
}

// isRepeatable commands have an answer that is kept. The others may run twice: output says where it belongs.
func isRepeatable(c *logv1.Command) bool {
	switch c.GetOp().(type) {
	case *logv1.Command_Heartbeat, *logv1.Command_Output:
		return false
	}
	return c.GetRepeat() != nil
}

// run answers one command, from the stored answers if it was answered before. claimPart: a claim part is left for the last phase.
func (m *Machine) run(c *logv1.Command) (res *logv1.Result, claimPart bool) {
	if !isRepeatable(c) {
		res = m.execute(c)
		return m.stamped(res), m.hasClaimPart(c, res)
	}
	r := c.GetRepeat()
	hash := commandHash(c)
	if stored, refusal := m.repeated(r, hash); refusal != nil {
		return m.stamped(&logv1.Result{Refusal: refusal}), false
	} else if stored != nil {
		return stored, false
	}
	res = m.stamped(m.execute(c))
	if (res.GetClaim().GetEmpty() == logv1.Empty_EMPTY_UNSPECIFIED || res.Refusal != nil) && !isOutdated(res.Refusal) {
		m.storeAnswer(r, hash, res)
	}
	return res, m.hasClaimPart(c, res)
}

func (m *Machine) stamped(res *logv1.Result) *logv1.Result {
	res.Index, res.Place = m.index, m.batch.place
	return res
}

func (m *Machine) hasClaimPart(c *logv1.Command, res *logv1.Result) bool {
	return res.Refusal == nil && c.GetFinish().GetNext() != nil
}

// runClaimPart completes the answer of a finish. The answer may be stored already: it is this batch's own, so no snapshot has seen it.
func (m *Machine) runClaimPart(c *logv1.Command, res *logv1.Result) {
	f := c.GetFinish()
	before := answerBytes(res)
	next, refusal := m.claim(f.GetSession(), f.GetNext().GetLane())
	if refusal != nil {
		next = &logv1.ClaimResult{Refusal: refusal}
	}
	res.GetFinish().Next = next
	if r := c.GetRepeat(); r != nil {
		if a, ok := m.answers.Get(&answer{session: r.GetSession(), number: r.GetNumber()}); ok && a.result == res {
			m.bytes += answerBytes(res) - before
		}
	}
}

func (m *Machine) execute(c *logv1.Command) *logv1.Result {
	res := &logv1.Result{}
	switch op := c.GetOp().(type) {
	case *logv1.Command_Heartbeat:
		m.heartbeat(op.Heartbeat, res)
	case *logv1.Command_Output:
		m.output(op.Output, res)
	case *logv1.Command_Finish:
		m.finish(op.Finish, res)
	case *logv1.Command_Release:
		m.release(op.Release, res)
	case *logv1.Command_Register:
		m.register(op.Register, res)
	case *logv1.Command_OpenSession:
		m.openSession(op.OpenSession, res)
	case *logv1.Command_Drain:
		m.drain(op.Drain, res)
	case *logv1.Command_Deregister:
		m.deregister(op.Deregister.GetSession(), res)
	case *logv1.Command_Enqueue:
		m.enqueue(op.Enqueue, res)
	case *logv1.Command_Claim:
		got, refusal := m.claim(op.Claim.GetSession(), op.Claim.GetLane())
		if res.Refusal = refusal; refusal == nil {
			res.Value = &logv1.Result_Claim{Claim: got}
		}
	case *logv1.Command_Cancel:
		m.cancel(op.Cancel.GetJob(), res)
	case *logv1.Command_Retry:
		m.retry(op.Retry.GetJob(), res)
	case *logv1.Command_CancelMany:
		m.many(op.CancelMany.GetJobs(), res, m.cancelOfMany)
	case *logv1.Command_RetryMany:
		m.many(op.RetryMany.GetJobs(), res, m.retryOfMany)
	case *logv1.Command_SetQueue:
		m.setQueue(op.SetQueue, res)
	case *logv1.Command_DeleteQueue:
		m.deleteQueue(op.DeleteQueue.GetName(), res)
	case *logv1.Command_SetSettings:
		m.setSettings(op.SetSettings.GetSettings(), res)
	case *logv1.Command_SetNode:
		m.setNode(op.SetNode, res)
	case *logv1.Command_Checkpoint:
	case *logv1.Command_PutSchedule:
		m.putSchedule(op.PutSchedule, res)
	case *logv1.Command_DeleteSchedule:
		m.deleteSchedule(op.DeleteSchedule, res)
	case *logv1.Command_PauseSchedule:
		m.pauseSchedule(op.PauseSchedule, res)
	case *logv1.Command_ResumeSchedule:
		m.resumeSchedule(op.ResumeSchedule, res)
	case *logv1.Command_TriggerSchedule:
		m.triggerSchedule(op.TriggerSchedule, res)
	case *logv1.Command_BackfillSchedule:
		m.backfillSchedule(op.BackfillSchedule, res)
	case *logv1.Command_Fire:
		m.fire(op.Fire, res)
	case *logv1.Command_SetClock:
		m.setClock(op.SetClock, res)
	case *logv1.Command_NameCluster:
		m.nameCluster(op.NameCluster, res)
	case *logv1.Command_ForgetNode:
		m.forgetNode(op.ForgetNode.GetId(), res)
	default:
		panic(&UnknownCommandError{Index: m.index, Place: int(m.batch.place), Rules: m.batch.rules})
	}
	return res
}
