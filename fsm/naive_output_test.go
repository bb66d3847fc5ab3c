package fsm_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

func (n *naive) placedNow() int64 {
	if n.rules < 2 {
		return 0
	}
	return n.wall
}

// claimOf a running job; nil: it does not run.
func (n *naive) claimOf(j *naiveJob) *naiveClaim {
	for _, c := range n.claims {
		if c.job == j {
			return c
		}
	}
	return nil
}

// step notes a transition, about a claim if one is concerned, in the form of stepText.
func (n *naive) step(j *naiveJob, c *naiveClaim, kind string, until int64) {
	if n.rules < 2 {
		return
	}
	out := fmt.Sprintf("%s index=%d at=%d", kind, n.index, n.wall)
	if c != nil {
		out += fmt.Sprintf(" worker=%s lane=%d fence=%s attempt=%d", c.session.name, c.lane, fenceText(c.fence), c.attempt)
	}
	if until > 0 {
		out += fmt.Sprintf(" until=%d", until)
	}
	if j.steps = append(j.steps, out); len(j.steps) > 64 {
		j.steps = slices.Delete(j.steps, 1, 2)
		j.dropped++
	}
}

// decide notes why j goes to the lane; j is as it was before.
func (n *naive) decide(j *naiveJob, s *naiveSession, lane uint32, line string, fence uint64) {
	if n.rules < 2 {
		return
	}
	waiting := 0
	for _, other := range n.jobs {
		waiting += int(count(other.state == logv1.State_STATE_PENDING))
	}
	mode := n.mode(line)
	if line == "*" {
		mode = n.mode("")
	}
	placed := j.placed
	if placed == 0 {
		placed = j.made
	}
	d := &logv1.DecisionRecord{Epoch: 1, Index: n.index, Fence: fence, Job: j.id, Queue: j.spec.GetQueue(), User: j.spec.GetUser(), Worker: s.name,
		Session: s.id, Lane: lane, Line: line, Position: uint32(slices.Index(s.lanes[lane].GetChain(), line)), Mode: mode,
		Turn: n.turns[line+"\x00"+j.spec.GetUser()], Priority: j.prio, JobPlace: j.place, WaitedMs: max(0, n.wall-placed), AtMs: n.wall,
		Attempt: int32(j.attempt + 1), Waiting: uint64(waiting), OnlyUser: s.user != ""}
	n.decisions = append(n.decisions, decisionText(d))
}

// write appends to the output of the claim's attempt what is new of data; false: there is a gap.
func (n *naive) write(c *naiveClaim, offset uint64, data []byte) bool {
	all := c.job.streams[c.attempt]
	if offset > uint64(len(all)) {
		return false
	}
	if end := offset + uint64(len(data)); end > uint64(len(all)) {
		c.job.streams[c.attempt] = slices.Concat(all, data[uint64(len(all))-offset:])
		n.grown[c.job.id] = true
	}
	return true
}

func (n *naive) takeRest(c *naiveClaim, r *logv1.OutputRest) bool {
	return r == nil || n.rules < 2 || c.job.state == logv1.State_STATE_CANCELLED || n.write(c, r.GetOffset(), r.GetData())
}

func (n *naive) output(o *logv1.Output) string {
	s, refusal := n.live(o.GetSession())
	if refusal != "" {
		return refusal
	}
	out := "output"
	for _, p := range o.GetParts() {
		out += n.outputPart(s, p)
	}
	return out
}

func (n *naive) outputPart(s *naiveSession, p *logv1.OutputPart) string {
	c := n.held(s, p.GetFence())
	if c == nil {
		return " lost end=0"
	}
	c.ends = n.lease + c.length
	refused := ""
	switch end := uint64(len(c.job.streams[c.attempt])); {
	case c.job.state == logv1.State_STATE_CANCELLED:
		return fmt.Sprintf(" cancelled end=%d", end)
	case p.GetOffset() > end:
		refused = " (refused output_gap)"
	case p.GetProgress().GetPpm() > 1_000_000:
		refused = " (refused invalid)"
	default:
		n.write(c, p.GetOffset(), p.GetData())
		if p.GetProgress() != nil {
			c.job.progress = fmt.Sprintf("%d %q %d", p.GetProgress().GetPpm(), p.GetProgress().GetMessage(), n.wall)
			n.grown[c.job.id] = true
		}
	}
	return fmt.Sprintf(" ok end=%d%s", len(c.job.streams[c.attempt]), refused)
}

func (n *naive) many(jobs []uint64, one func(id uint64) string) string {
	if len(jobs) == 0 || len(jobs) > 1000 {
		return "refused invalid"
	}
	out := "many"
	for _, id := range jobs {
		out += one(id)
	}
	return out
}

func (n *naive) cancelOfMany(id uint64) string {
	text := n.cancel(id)
	if strings.HasPrefix(text, "refused") {
		return fmt.Sprintf(" %d(%s)", id, text)
	}
	return fmt.Sprintf(" %d:%v/%s", id, strings.HasPrefix(text, "cancel did=true"), stateText(n.jobs[id].state))
}

func (n *naive) retryOfMany(id uint64) string {
	text := "refused wrong_state"
	if j := n.jobs[id]; j == nil || !j.retried {
		text = n.retry(id)
	}
	state := ""
	if j := n.jobs[id]; j != nil {
		state = "/" + stateText(j.state)
	}
	if strings.HasPrefix(text, "refused") {
		return fmt.Sprintf(" %d(%s)%s", id, text, state)
	}
	return fmt.Sprintf(" %d->%d%s", id, n.nextJob, state)
}

// sameOutput compares what is kept of the output of a job: the naive machine knows all of it, so what is kept must be its end, whole.
func sameOutput(m *fsm.Machine, j *naiveJob) error {
	for attempt := 1; attempt <= j.attempt; attempt++ {
		all := j.streams[attempt]
		got, _ := m.Output(fsm.JobID(j.id), int32(attempt), 0, 1<<30)
		if data := bytes.Join(got.Data, nil); got.End != uint64(len(all)) || got.Skipped != got.Offset || !bytes.Equal(data, all[got.Offset:]) {
			return fmt.Errorf("attempt %d of job %d: %d bytes at %d, end %d, should end at %d", attempt, j.id, len(data), got.Offset, got.End, len(all))
		}
	}
	return nil
}

// sameFacts compares what rules 2 add, after a batch: steps, decisions, times of places, progress, output.
func sameFacts(m *fsm.Machine, n *naive, index uint64, out fsm.Outcome) error {
	list, _, _ := m.Decisions(index)
	for i := range max(len(list), len(n.decisions)) {
		got, want := "none", "none"
		if i < len(list) {
			got = decisionText(list[i])
		}
		if i < len(n.decisions) {
			want = n.decisions[i]
		}
		if _, rest, _ := strings.Cut(got, " "); !strings.HasSuffix(want, rest) { // the place in the batch is not in the naive machine
			return fmt.Errorf("decision %d:\nmachine %s\nnaive   %s", i, got, want)
		}
	}
	var grown []uint64
	for _, id := range out.Outputs {
		grown = append(grown, uint64(id))
	}
	if !slices.Equal(grown, sortedKeys(n.grown)) {
		return fmt.Errorf("output of %v grew, should be %v", grown, sortedKeys(n.grown))
	}
	insight := m.Insight()
	for _, id := range sortedKeys(n.jobs) {
		want := n.jobs[id]
		j, _ := m.Job(fsm.JobID(id))
		progress := ""
		if p := j.GetProgress(); p != nil {
			progress = fmt.Sprintf("%d %q %d", p.GetPpm(), p.GetMessage(), p.GetAtMs())
		}
		if j.GetPlacedMs() != want.placed || progress != want.progress {
			return fmt.Errorf("job %d: placed %d, progress %q; should be %d, %q", id, j.GetPlacedMs(), progress, want.placed, want.progress)
		}
		var steps []string
		all := insight.Steps(fsm.JobID(id))
		for _, s := range all.GetSteps() {
			steps = append(steps, stepText(s))
		}
		if !slices.Equal(steps, want.steps) || int(all.GetDropped()) != want.dropped {
			return fmt.Errorf("job %d: steps, %d dropped:\n%s\nshould be, %d dropped:\n%s", id, all.GetDropped(), strings.Join(steps, "\n"), want.dropped,
				strings.Join(want.steps, "\n"))
		}
		if err := sameOutput(m, want); err != nil {
			return err
		}
	}
	return nil
}
