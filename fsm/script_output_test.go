package fsm_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// manyOf reads numbers of jobs; n=N: the numbers 1 to N.
func manyOf(w words) (jobs []uint64) {
	for id := range uint64(w.int("n")) {
		jobs = append(jobs, id+1)
	}
	for _, s := range w.bare {
		jobs = append(jobs, mustUint(s))
	}
	return jobs
}

// letters makes n bytes of the alphabet over and over.
func letters(n int64) string {
	return strings.Repeat("abcdefghijklmnopqrstuvwxyz", int(n/26+1))[:n]
}

// parts reads FENCE OFFSET [DATA], separated by +. The pairs hold for every part.
func (r *scriptRun) parts(w words) (parts []*logv1.OutputPart) {
	for n := range w.int("parts") {
		parts = append(parts, &logv1.OutputPart{Fence: uint64(n)})
	}
	for rest := w.bare[1:]; len(rest) > 0; {
		end := slices.Index(rest, "+")
		if end < 0 {
			end = len(rest)
		}
		one := rest[:end]
		if len(one) < 2 {
			bad("output NAME FENCE OFFSET [DATA] [+ ...]")
		}
		p := &logv1.OutputPart{Fence: r.fence(one[0]), Offset: mustUint(one[1])}
		if len(one) > 2 {
			p.Data = []byte(one[2])
		}
		p.Data = append(p.Data, letters(w.int("bytes"))...)
		_, hasPpm := w.pair["ppm"]
		_, hasMessage := w.pair["message"]
		if hasPpm || hasMessage {
			p.Progress = &logv1.Progress{Ppm: uint32(w.int("ppm")), Message: w.pair["message"] + letters(w.int("message_bytes"))}
		}
		parts = append(parts, p)
		rest = rest[min(end+1, len(rest)):]
	}
	return parts
}

func describeOutput(o *logv1.OutputResult) string {
	out := "output"
	for _, s := range o.GetStatuses() {
		out += statusText([]logv1.ClaimStatus{s.GetStatus()}) + fmt.Sprintf(" end=%d", s.GetEnd())
		if s.GetRefusal() != nil {
			out += " (" + refusalText(s.GetRefusal()) + ")"
		}
	}
	return out
}

func describeMany(m *logv1.ManyResult) string {
	out := "many"
	for _, o := range m.GetOutcomes() {
		switch {
		case o.GetRefusal() != nil:
			out += fmt.Sprintf(" %d(%s)", o.GetJob(), refusalText(o.GetRefusal()))
		case o.GetNewJob() != 0:
			out += fmt.Sprintf(" %d->%d", o.GetJob(), o.GetNewJob())
		default:
			out += fmt.Sprintf(" %d:%v", o.GetJob(), o.GetChanged())
		}
		if o.GetState() != 0 {
			out += "/" + stateText(o.GetState())
		}
	}
	return out
}

// dataText prints short data whole, long data by its ends.
func dataText(data [][]byte) string {
	all := string(bytes.Join(data, nil))
	if len(all) <= 60 {
		return fmt.Sprintf("%q", all)
	}
	return fmt.Sprintf("%d bytes %q..%q in %d pieces", len(all), all[:8], all[len(all)-8:], len(data))
}

func (r *scriptRun) queryOutput(verb string, w words) {
	switch verb {
	case "steps":
		for _, s := range w.bare {
			steps := r.m.Insight().Steps(fsm.JobID(mustUint(s)))
			for i, step := range steps.GetSteps() {
				r.printf("%s", stepText(step))
				if i == 0 && steps.GetDropped() > 0 {
					r.printf("... %d dropped", steps.GetDropped())
				}
			}
		}
	case "placed":
		for _, s := range w.bare {
			j, _ := r.m.Job(fsm.JobID(mustUint(s)))
			r.printf("job %s place=%d placed=%d", s, j.GetPlace(), j.GetPlacedMs())
		}
	case "decisions":
		list, oldest, newest := r.m.Decisions(mustUint(w.bare[0]))
		r.printf("%d decisions at %s, kept %d to %d", len(list), w.bare[0], oldest, newest)
		for _, d := range list {
			r.printf("%s", decisionText(d))
		}
	case "read":
		r.printf("%s", r.readText(w.bare))
	default:
		bad("unknown word %q", verb)
	}
}

func stepText(s *logv1.Step) string {
	out := fmt.Sprintf("%s index=%d at=%d", strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "STEP_KIND_")), s.GetIndex(), s.GetAtMs())
	if s.GetFence() != 0 {
		out += fmt.Sprintf(" worker=%s lane=%d fence=%s attempt=%d", s.GetWorker(), s.GetLane(), fenceText(s.GetFence()), s.GetAttempt())
	}
	if s.GetUntilMs() != 0 {
		out += fmt.Sprintf(" until=%d", s.GetUntilMs())
	}
	return out
}

func decisionText(d *logv1.DecisionRecord) string {
	out := fmt.Sprintf("%d.%d.%d claim %s job %d queue=%s user=%s worker=%s session=%d lane=%d line=%s position=%d mode=%s turn=%s prio=%d place=%d",
		d.GetEpoch(), d.GetIndex(), d.GetPlace(), fenceText(d.GetFence()), d.GetJob(), d.GetQueue(), d.GetUser(), d.GetWorker(), d.GetSession(),
		d.GetLane(), d.GetLine(), d.GetPosition(), strings.ToLower(strings.TrimPrefix(d.GetMode().String(), "MODE_")), fenceText(d.GetTurn()),
		d.GetPriority(), d.GetJobPlace())
	out += fmt.Sprintf(" waited=%d at=%d attempt=%d waiting=%d", d.GetWaitedMs(), d.GetAtMs(), d.GetAttempt(), d.GetWaiting())
	if d.GetOnlyUser() {
		out += " only_user"
	}
	return out
}

func (r *scriptRun) readText(args []string) string {
	numbers := []uint64{0, 0, 0, 1 << 30}
	for i, s := range args {
		numbers[i] = mustUint(s)
	}
	o, ok := r.m.Output(fsm.JobID(numbers[0]), int32(numbers[1]), numbers[2], int(numbers[3]))
	if !ok {
		return "no job " + strconv.FormatUint(numbers[0], 10)
	}
	out := fmt.Sprintf("attempt=%d/%d offset=%d end=%d %s", o.Attempt, o.Newest, o.Offset, o.End, stateText(o.State))
	if o.Skipped > 0 {
		out += fmt.Sprintf(" skipped=%d", o.Skipped)
	}
	if p := o.Progress; p != nil {
		out += fmt.Sprintf(" progress=%d %q at=%d", p.GetPpm(), p.GetMessage(), p.GetAtMs())
	}
	return out + " " + dataText(o.Data)
}
