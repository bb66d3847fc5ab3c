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
//	5  ticks are held to max_state_bytes; what a full line refuses; a revision of a schedule's name never comes again
const Rules = 5

// Apply runs one batch: the clocks; heartbeats, output, finishes and releases; due timers; then the other commands in order, the claim part of a
// finish at its place (docs/design.md §4). It panics with *UnknownCommandError before it changes anything when it does not know a command,
// and with a sentence when an invariant is broken.
func (m *Machine) Apply(index uint64, b *logv1.Batch) Outcome {
	m.checkKnown(index, b)
	m.batch.out, m.batch.rules, m.batch.commands = Outcome{Index: index, Epoch: m.epoch}, b.GetRules(), b.GetCommands()
	m.index, m.rules = index, max(m.rules, b.GetRules())
	m.advanceClocks(b)
	commands := b.GetCommands()
	results := make([]*logv1.Result, len(commands))
	if cap(m.parts) < len(commands) {
		m.parts = make([]claimPart, len(commands))
	}
	parts := m.parts[:len(commands)] // what the finish at this position left over
	for i, c := range commands {
		if isEarly(c) {
			m.batch.place = uint32(i)
			parts[i] = m.run(c)
			results[i] = parts[i].reply.result
		}
	}
	m.runTimers()
	m.pumpSchedules()
	for i, c := range commands {
		m.batch.place = uint32(i)
		switch {
		case parts[i].next != nil:
			m.runClaimPart(c.GetFinish(), parts[i])
		case !isEarly(c):
			results[i] = m.run(c).reply.result
		}
	}
	clear(parts)
	m.pumpSchedules()
	m.gatherReady()
	out := m.batch.out
	out.Results, out.WallMs, out.Outputs = results, m.wall, m.grown()
	m.batch = m.batch.nextBatch()
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

// run answers one command, from the stored answers if it was answered before. A claim part is left for the last phase.
func (m *Machine) run(c *logv1.Command) claimPart {
	if !isRepeatable(c) {
		done := m.execute(c)
		m.stamp(done.reply)
		return done
	}
	r := c.GetRepeat()
	hash := m.commandHash(c)
	if stored, refusal := m.repeated(r, &hash); refusal != nil {
		refused := &reply{result: &logv1.Result{Refusal: refusal}}
		m.stamp(refused)
		return claimPart{reply: refused}
	} else if stored != nil {
		return claimPart{reply: stored}
	}
	done := m.execute(c)
	m.stamp(done.reply)
	res := done.reply.result
	if (res.GetClaim().GetEmpty() == logv1.Empty_EMPTY_UNSPECIFIED || res.Refusal != nil) && !isOutdated(res.Refusal) {
		m.storeAnswer(r, &hash, done.reply)
	}
	return done
}

func (m *Machine) stamp(r *reply) { r.result.Index, r.result.Place = m.index, m.batch.place }

// runClaimPart completes the answer of a finish. The answer may be stored already: it is this batch's own, so no snapshot has seen it.
func (m *Machine) runClaimPart(f *logv1.Finish, p claimPart) {
	if refusal := m.claim(f.GetSession(), f.GetNext().GetLane(), p.next); refusal != nil {
		p.next.Refusal = refusal
	}
	p.reply.result.GetFinish().Next = p.next
	p.reply.open = false
	if stored := p.reply.bytes; stored > 0 {
		p.reply.bytes = answerBytes(p.reply.result)
		m.bytes += p.reply.bytes - stored
	}
}

// execute runs a command; the claim part of a finish is left over.
func (m *Machine) execute(c *logv1.Command) claimPart {
	switch op := c.GetOp().(type) {
	case *logv1.Command_Heartbeat:
		r := &heartbeatReply{}
		r.result = &r.own
		m.heartbeat(op.Heartbeat, r)
		return claimPart{reply: &r.reply}
	case *logv1.Command_Finish:
		if op.Finish.GetNext() == nil {
			r := &finishReply{}
			r.result = &r.own
			m.finish(op.Finish, r)
			return claimPart{reply: &r.reply}
		}
		r := &finishNextReply{}
		r.result = &r.own
		if m.finish(op.Finish, &r.finishReply); r.result.Refusal != nil {
			return claimPart{reply: &r.reply}
		}
		r.open = true
		return claimPart{&r.reply, &r.next}
	case *logv1.Command_Enqueue:
		r := &enqueueReply{}
		r.result = &r.own
		m.enqueue(op.Enqueue, r)
		return claimPart{reply: &r.reply}
	case *logv1.Command_Claim:
		r := &claimReply{}
		r.result = &r.own
		if r.result.Refusal = m.claim(op.Claim.GetSession(), op.Claim.GetLane(), &r.out); r.result.Refusal == nil {
			r.value.Claim = &r.out
			r.result.Value = &r.value
		}
		return claimPart{reply: &r.reply}
	}
	r := &reply{result: &logv1.Result{}}
	m.executeRare(c, r.result)
	return claimPart{reply: r}
}

// executeRare runs a command of the kinds that are not part of every job's life.
func (m *Machine) executeRare(c *logv1.Command, res *logv1.Result) {
	switch op := c.GetOp().(type) {
	case *logv1.Command_Output:
		m.output(op.Output, res)
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
}
