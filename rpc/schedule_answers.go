package rpc

import (
	"strings"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// listedPayloadBytes: a longer payload is left out of lists.
const listedPayloadBytes = 1 << 10

// A change of a schedule answers in two parts: what is stored with the command's answer, which a repeated call gets again, equal byte for
// byte; and, for calls without a number only, what the state says right after it. The functions named stored... make the first part.

// storedStatus is all that the stored result of a command says of a schedule.
func storedStatus(name string, r *logv1.ScheduleResult) *v1.ScheduleStatus {
	return &v1.ScheduleStatus{Schedule: &v1.Schedule{Name: name}, Revision: r.GetRevision(), NextMs: r.GetNextMs(), OffsetMs: r.GetOffsetMs()}
}

// storedPut is what a put answers to every repetition of it. normal is made of the request alone.
func storedPut(normal *logv1.Schedule, r *logv1.Result) *v1.PutScheduleResponse {
	result := r.GetSchedule()
	out := &v1.PutScheduleResponse{
		Change: v1.ScheduleChange(result.GetChange()), Normal: scheduleAnswer(normal), Position: positionOf(r), Status: storedStatus(normal.GetName(), result),
	}
	out.Status.Schedule = out.Normal
	out.Status.Next = newZones().text(normal.GetZone(), result.GetNextMs())
	return out
}

// statusAnswer is a schedule as it is.
func statusAnswer(view fsm.ScheduleView, in zones) *v1.ScheduleStatus {
	r := view.Record
	out := &v1.ScheduleStatus{
		Schedule: scheduleAnswer(r.GetSchedule()), Revision: r.GetRevision(), Paused: r.GetPaused(), NextMs: r.GetNextMs(), OffsetMs: r.GetOffsetMs(),
		CreatedMs: r.GetCreatedMs(), ChangedMs: r.GetChangedMs(), Instances: int32(view.Instances), Waiting: int32(view.Waiting),
		Totals: scheduleTotalsAnswer(r.GetTotals()), LastStartMs: r.GetLastStartMs(), LastEndMs: r.GetLastEndMs(), LastJob: r.GetLastJob(),
		LastState: v1.JobState(r.GetLastState()),
	}
	out.Next = in.text(r.GetSchedule().GetZone(), r.GetNextMs())
	return out
}

// listedStatus leaves out a long payload.
func listedStatus(view fsm.ScheduleView, in zones) *v1.ScheduleStatus {
	out := statusAnswer(view, in)
	if len(view.Record.GetSchedule().GetTemplate().GetPayload()) > listedPayloadBytes {
		out.Schedule.Job.Payload = nil
	}
	return out
}

func scheduleTotalsAnswer(t *logv1.ScheduleTotals) *v1.ScheduleTotals {
	out := &v1.ScheduleTotals{
		Fired: t.GetFired(), Missed: t.GetMissed(), Skipped: t.GetSkipped(), Coalesced: t.GetCoalesced(),
		Triggered: t.GetTriggered(), Backfilled: t.GetBackfilled(), LastLateMs: t.GetLastLateMs(), MostLateMs: t.GetMostLateMs(),
	}
	if t.GetFired() > 0 {
		out.MeanLateMs = t.GetSumLateMs() / int64(t.GetFired())
	}
	return out
}

func tickAnswer(tick *logv1.TickRecord, of *tickTexts) *v1.Tick {
	return &v1.Tick{
		Number: tick.GetNumber(), Result: tickResultWord(tick.GetResult()), Reason: tickReasonWord(tick.GetReason()),
		FirstFireMs: tick.GetFirstMs(), LastFireMs: tick.GetLastMs(), Count: tick.GetCount(), More: tick.GetMore(),
		AtMs: tick.GetAtMs(), LateMs: tick.GetLateMs(), Job: tick.GetJob(), Index: tick.GetIndex(), Text: of.text(tick),
	}
}

func waitingTickAnswer(tick *logv1.WaitingTickRecord) *v1.WaitingTick {
	return &v1.WaitingTick{FireMs: tick.GetFireMs(), Cause: causeWord(tick.GetCause()), DeadlineMs: tick.GetDeadlineMs()}
}

// enumWord is an enum's value as people write it; empty for the one that means nothing.
func enumWord[E interface {
	~int32
	String() string
}](value E, prefix string) string {
	if value == 0 {
		return ""
	}
	return strings.ToLower(strings.TrimPrefix(value.String(), prefix))
}

func tickResultWord(r logv1.TickResult) string { return enumWord(r, "TICK_RESULT_") }
func tickReasonWord(r logv1.TickReason) string { return enumWord(r, "TICK_REASON_") }
func causeWord(c logv1.FireCause) string       { return enumWord(c, "FIRE_CAUSE_") }
