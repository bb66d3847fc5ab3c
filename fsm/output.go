package fsm

import (
	"slices"
	"unicode/utf8"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// output appends to the output of running jobs and notes how far they are. Each part stands alone and renews the lease of its claim.
func (m *Machine) output(o *logv1.Output, res *logv1.Result) {
	if res.Refusal = checkOutput(o); res.Refusal != nil {
		return
	}
	s, refusal := m.touch(o.GetSession())
	if res.Refusal = refusal; refusal != nil {
		return
	}
	out := &logv1.OutputResult{Statuses: make([]*logv1.OutputStatus, len(o.GetParts()))}
	for i, p := range o.GetParts() {
		out.Statuses[i] = m.outputPart(s.id, p)
	}
	res.Value = &logv1.Result_Output{Output: out}
}

func checkOutput(o *logv1.Output) *logv1.Refusal {
	if n := len(o.GetParts()); n > mostParts {
		return invalid("parts", decimal(int64(n)), "at most 1024")
	}
	size := 0
	for _, p := range o.GetParts() {
		size += len(p.GetData())
	}
	if size > mostOutput {
		return invalid("data", decimal(int64(size)), "at most 1048576 bytes together")
	}
	return nil
}

// outputPart stores all of a part or nothing; the lease is renewed in any case.
func (m *Machine) outputPart(session uint64, p *logv1.OutputPart) *logv1.OutputStatus {
	c, old, ok := m.held(session, p.GetFence())
	if !ok {
		return &logv1.OutputStatus{Status: logv1.ClaimStatus_CLAIM_STATUS_LOST}
	}
	j := old.job
	out := &logv1.OutputStatus{Status: m.renew(p.GetFence(), c, old), End: m.endOf(j.Id, j.Attempt)}
	if j.State == cancelled {
		return out
	}
	fresh, refusal := beyond(out.End, p.GetOffset(), p.GetData())
	if out.Refusal = firstOf(refusal, checkProgress(p.GetProgress()), m.roomFor(len(fresh)+len(p.GetProgress().GetMessage()))); out.Refusal != nil {
		return out
	}
	if len(fresh) > 0 {
		m.appendOutput(j.Id, j.Attempt, fresh)
		out.End += uint64(len(fresh))
	}
	if p.GetProgress() != nil {
		rec := old.edit()
		rec.job.Progress = &logv1.Progress{Ppm: p.GetProgress().GetPpm(), Message: p.GetProgress().GetMessage(), AtMs: m.wall}
		m.put(old, rec)
	}
	if len(fresh) > 0 || p.GetProgress() != nil {
		m.batch.grown = append(m.batch.grown, j.Id)
	}
	return out
}

// beyond is what of data lies behind end: what was received before is ignored.
func beyond(end, offset uint64, data []byte) ([]byte, *logv1.Refusal) {
	if offset > end {
		return nil, refuse(logv1.Reason_REASON_OUTPUT_GAP, "offset", number(offset), "end", number(end))
	}
	return data[min(end-offset, uint64(len(data))):], nil
}

func checkProgress(p *logv1.Progress) *logv1.Refusal {
	switch {
	case p.GetPpm() > mostProgress:
		return invalid("ppm", number(uint64(p.GetPpm())), "0..1000000")
	case len(p.GetMessage()) > mostMessage || !utf8.ValidString(p.GetMessage()):
		return invalid("message", p.GetMessage(), "at most 1024 bytes of text")
	}
	return nil
}

// roomFor refuses more bytes than the state may hold.
func (m *Machine) roomFor(size int) *logv1.Refusal {
	if most := m.settings.GetMaxStateBytes(); size > 0 && m.bytes+int64(size) > most {
		return refuse(logv1.Reason_REASON_STATE_FULL, "limit", "max_state_bytes", "value", decimal(m.bytes), "most", decimal(most))
	}
	return nil
}

// takeRest appends what a finish brings of the output of its run. A refusal refuses the whole finish. Like the result it is not held
// against the bytes of the state: a job must be able to end.
func (m *Machine) takeRest(r *logv1.OutputRest, j *logv1.Job) *logv1.Refusal {
	if r == nil || m.batch.rules < 2 || j.State == cancelled {
		return nil
	}
	if n := len(r.GetData()); n > mostOutput {
		return invalid("rest", decimal(int64(n)), "at most 1048576 bytes")
	}
	fresh, refusal := beyond(m.endOf(j.Id, j.Attempt), r.GetOffset(), r.GetData())
	if refusal == nil && len(fresh) > 0 {
		m.appendOutput(j.Id, j.Attempt, fresh)
		m.batch.grown = append(m.batch.grown, j.Id)
	}
	return refusal
}

// grown lists the jobs of the batch whose output or progress grew, once each.
func (m *Machine) grown() []JobID {
	if len(m.batch.grown) == 0 {
		return nil
	}
	slices.Sort(m.batch.grown)
	out := make([]JobID, 0, len(m.batch.grown))
	for _, id := range slices.Compact(m.batch.grown) {
		out = append(out, JobID(id))
	}
	return out
}
