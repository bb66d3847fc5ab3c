package logwords

import (
	"fmt"
	"strings"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// jobWords are those of commands about jobs and claims.
func jobWords(c *logv1.Command) (string, bool) {
	switch op := c.GetOp().(type) {
	case *logv1.Command_Enqueue:
		return enqueue(op.Enqueue), true
	case *logv1.Command_Claim:
		return fmt.Sprintf("session %d claims a job for lane %d", op.Claim.GetSession(), op.Claim.GetLane()), true
	case *logv1.Command_Heartbeat:
		return fmt.Sprintf("heartbeat of session %d, claims %s", op.Heartbeat.GetSession(), numbers(op.Heartbeat.GetFences())), true
	case *logv1.Command_Finish:
		return finish(op.Finish), true
	case *logv1.Command_Release:
		return fmt.Sprintf("session %d gives back the claims %s", op.Release.GetSession(), numbers(op.Release.GetFences())), true
	case *logv1.Command_Cancel:
		return fmt.Sprintf("cancel job %d", op.Cancel.GetJob()), true
	case *logv1.Command_Retry:
		return fmt.Sprintf("run job %d again", op.Retry.GetJob()), true
	case *logv1.Command_Output:
		return output(op.Output), true
	case *logv1.Command_CancelMany:
		return "cancel the jobs " + numbers(op.CancelMany.GetJobs()), true
	case *logv1.Command_RetryMany:
		return "run the jobs again: " + numbers(op.RetryMany.GetJobs()), true
	}
	return "", false
}

func enqueue(e *logv1.Enqueue) string {
	if len(e.GetJobs()) == 1 {
		return "enqueue a job: " + newJob(e.GetJobs()[0])
	}
	line := fmt.Sprintf("enqueue %d jobs", len(e.GetJobs()))
	if e.GetAllOrNothing() {
		line += ", all or none"
	}
	return line + ": " + strings.ReplaceAll(list(texts(e.GetJobs(), newJob)), ", ", "; ")
}

// texts of the first of a list, which is as long as the list.
func texts(jobs []*logv1.NewJob, text func(*logv1.NewJob) string) []string {
	out := make([]string, len(jobs))
	for i := range min(len(jobs), mostListed) {
		out[i] = text(jobs[i])
	}
	return out
}

func newJob(n *logv1.NewJob) string {
	line := name(n.GetKind()) + about(" queue=", n.GetQueue()) + about(" user=", n.GetUser())
	if p := n.GetPriority(); p != 0 {
		line += fmt.Sprintf(" priority=%d", p)
	}
	if d := n.GetDelayMs(); d != 0 {
		line += fmt.Sprintf(" delay=%dms", d)
	}
	if at := n.GetRunAtMs(); at != 0 {
		line += " at=" + instant(at)
	}
	if m := n.GetMemoryBytes(); m != 0 {
		line += fmt.Sprintf(" memory=%d", m)
	}
	line += about(" coordinator=", n.GetCoordinator())
	if n.GetInsertFront() {
		line += " in front"
	}
	if n.GetIdempotencyKey() != "" {
		line += " with a key"
	}
	return line + fmt.Sprintf(" payload=%dB", len(n.GetPayload()))
}

func finish(f *logv1.Finish) string {
	line := fmt.Sprintf("session %d finishes claim %d: ", f.GetSession(), f.GetFence())
	switch o := f.GetOutcome().(type) {
	case *logv1.Finish_Success:
		line += fmt.Sprintf("success, result=%dB", len(o.Success.GetResult()))
	case *logv1.Finish_Failure:
		line += fmt.Sprintf("failure, error=%dB", len(o.Failure.GetError()))
		if o.Failure.GetDiscard() {
			line += ", never again"
		}
		if o.Failure.RetryAfterMs != nil {
			line += fmt.Sprintf(", again after %dms", o.Failure.GetRetryAfterMs())
		}
	case *logv1.Finish_Snooze:
		line += fmt.Sprintf("snoozed for %dms", o.Snooze.GetDelayMs())
	default:
		line += "no outcome"
	}
	if n := len(f.GetRest().GetData()); n > 0 {
		line += fmt.Sprintf(", rest of the output=%dB", n)
	}
	if f.GetNext() != nil {
		line += fmt.Sprintf(", and claims the next for lane %d", f.GetNext().GetLane())
	}
	return line
}

func output(o *logv1.Output) string {
	bytes, told := 0, 0
	fences := make([]uint64, 0, len(o.GetParts()))
	for _, p := range o.GetParts() {
		bytes += len(p.GetData())
		fences = append(fences, p.GetFence())
		if p.GetProgress() != nil {
			told++
		}
	}
	line := fmt.Sprintf("output of session %d, claims %s: %dB", o.GetSession(), numbers(fences), bytes)
	if told > 0 {
		line += fmt.Sprintf(", progress of %d", told)
	}
	return line
}
