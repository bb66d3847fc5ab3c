package rpc

import (
	"sort"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// defaultQueue takes the jobs for which none is named.
const defaultQueue = "default"

// repeatOf a call's numbers; nil when the call is not protected.
func repeatOf(session, number, lowest uint64) *logv1.Repeat {
	if number == 0 {
		return nil
	}
	return &logv1.Repeat{Session: session, Number: number, Lowest: lowest}
}

func repeatFrom(r *v1.Repeat) *logv1.Repeat {
	return repeatOf(r.GetSession(), r.GetNumber(), r.GetLowest())
}

// newJobFrom: the log's form of a job to enqueue. Two calls with equal fields give equal bytes.
func newJobFrom(job *v1.NewJob) *logv1.NewJob {
	out := &logv1.NewJob{
		Kind: job.GetKind(), Queue: job.GetQueue(), User: job.GetUser(), Priority: job.GetPriority(),
		MemoryBytes: job.GetMemoryBytes(), DelayMs: job.GetDelayMs(), RunAtMs: job.GetRunAtMs(),
		IdempotencyKey: job.GetIdempotencyKey(), Limits: limitsFrom(job.GetLimits()),
		Labels: labelsFrom(job.GetLabels()), InsertFront: job.GetInsertFront(), Coordinator: job.GetCoordinator(),
	}
	if out.Queue == "" {
		out.Queue = defaultQueue
	}
	switch payload := job.GetPayload().(type) {
	case *v1.NewJob_Json:
		out.Payload, out.PayloadIsJson = []byte(payload.Json), true
	case *v1.NewJob_Data:
		out.Payload = payload.Data
	}
	return out
}

func labelsFrom(labels map[string]string) []*logv1.Label {
	if len(labels) == 0 {
		return nil
	}
	out := make([]*logv1.Label, 0, len(labels))
	for key, value := range labels {
		out = append(out, &logv1.Label{Key: key, Value: value})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

// filterFrom a checked filter.
func filterFrom(f *v1.JobFilter) fsm.JobFilter {
	out := fsm.JobFilter{
		Queue: f.GetQueue(), User: f.GetUser(), Kind: f.GetKind(), Labels: labelsFrom(f.GetLabels()),
		EnqueuedFrom: f.GetEnqueuedFromMs(), EnqueuedBefore: f.GetEnqueuedBeforeMs(), IDPrefix: f.GetIdPrefix(),
		Schedule: f.GetSchedule(),
	}
	for _, state := range f.GetStates() {
		out.States = append(out.States, logv1.State(state))
	}
	return out
}

func limitsFrom(l *v1.JobLimits) *logv1.Limits {
	if l == nil {
		return nil
	}
	out := &logv1.Limits{
		LeaseMs: l.LeaseMs, HeartbeatMs: l.HeartbeatMs, MaxAttempts: l.MaxAttempts,
		BackoffFirstMs: l.BackoffFirstMs, BackoffFactorPercent: l.BackoffFactorPercent, BackoffMostMs: l.BackoffMostMs,
		MaxRunMs: l.MaxRunMs, ExclusionWindowMs: l.ExclusionWindowMs,
	}
	if l.OnTimeout != nil {
		out.OnTimeout = logv1.OnTimeout(l.GetOnTimeout()).Enum()
	}
	return out
}

func lanesFrom(lanes []scheduler.Lane) []*logv1.Lane {
	out := make([]*logv1.Lane, len(lanes))
	for i, lane := range lanes {
		out[i] = &logv1.Lane{Chain: lane.Chain, Slots: lane.Slots, MemoryBytes: lane.MemoryBytes}
	}
	return out
}

// finishFrom a checked request.
func finishFrom(r *v1.FinishRequest) *logv1.Finish {
	out := &logv1.Finish{Session: r.GetSession(), Fence: r.GetFence()}
	switch outcome := r.GetOutcome().(type) {
	case *v1.FinishRequest_Success:
		out.Outcome = &logv1.Finish_Success{Success: &logv1.Success{Result: outcome.Success.GetResult()}}
	case *v1.FinishRequest_Failure:
		out.Outcome = &logv1.Finish_Failure{Failure: &logv1.Failure{
			Error: outcome.Failure.GetError(), Discard: outcome.Failure.GetDiscard(), RetryAfterMs: outcome.Failure.RetryAfterMs,
		}}
	case *v1.FinishRequest_Snooze:
		out.Outcome = &logv1.Finish_Snooze{Snooze: &logv1.Snooze{DelayMs: outcome.Snooze.GetDelayMs()}}
	}
	if next := r.GetNext(); next != nil {
		out.Next = &logv1.NextClaim{Lane: next.GetLane()}
	}
	if rest := r.GetRest(); rest != nil {
		out.Rest = &logv1.OutputRest{Offset: rest.GetOffset(), Data: rest.GetData()}
	}
	return out
}

func queueSettingsFrom(s *v1.QueueSettings) *logv1.QueueSettings {
	if s == nil {
		return nil
	}
	out := &logv1.QueueSettings{
		Limits: limitsFrom(s.GetLimits()), MaxRunning: s.MaxRunning, MaxRunningPerUser: s.MaxRunningPerUser,
		RetentionMs: s.RetentionMs, RetentionJobs: s.RetentionJobs,
	}
	if s.Mode != nil {
		out.Mode = logv1.Mode(s.GetMode()).Enum()
	}
	return out
}

func settingsFrom(s *v1.Settings) *logv1.Settings {
	out := &logv1.Settings{
		MultiUser: s.MultiUser, CreateQueues: s.CreateQueues, Limits: limitsFrom(s.GetLimits()),
		RetentionMs: s.RetentionMs, RetentionJobs: s.RetentionJobs, MaxRunningPerUser: s.MaxRunningPerUser,
		MaxStateBytes: s.MaxStateBytes, MaxJobs: s.MaxJobs, MaxSessions: s.MaxSessions,
		MaxQueues: s.MaxQueues, MaxUsers: s.MaxUsers, MaxIdempotencyKeys: s.MaxIdempotencyKeys, MaxOutputBytes: s.MaxOutputBytes,
		MaxSchedules: s.MaxSchedules,
	}
	if s.DefaultMode != nil {
		out.DefaultMode = logv1.Mode(s.GetDefaultMode()).Enum()
	}
	return out
}
