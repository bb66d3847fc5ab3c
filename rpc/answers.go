package rpc

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// The functions of this file make answers out of what the machine stored, and of nothing else: no clock, no node, no
// state of now. That is what makes a repeated call's answer equal. (about: values that the request itself holds.)

func positionOf(r *logv1.Result) *v1.Position {
	return &v1.Position{Index: r.GetIndex(), Place: r.GetPlace()}
}

// jobAnswer shows a job. The payload shares the record's memory and must not be changed.
func jobAnswer(job *logv1.Job) *v1.Job {
	out := jobSummary(job)
	out.Result = job.GetResult()
	if job.GetPayloadIsJson() {
		out.Payload = &v1.Job_Json{Json: string(job.GetPayload())}
	} else if len(job.GetPayload()) > 0 {
		out.Payload = &v1.Job_Data{Data: job.GetPayload()}
	}
	return out
}

// jobSummary is a job without payload and result.
func jobSummary(job *logv1.Job) *v1.Job {
	out := &v1.Job{
		Id: job.GetId(), Kind: job.GetKind(), Queue: job.GetQueue(), User: job.GetUser(), Priority: job.GetPriority(),
		State: v1.JobState(job.GetState()), MemoryBytes: job.GetMemoryBytes(),
		Attempt: job.GetAttempt(), Charged: job.GetCharged(), MaxAttempts: job.GetMaxAttempts(),
		EnqueuedMs: job.GetEnqueuedMs(), DueMs: job.GetDueMs(), StartedMs: job.GetStartedMs(), FinishedMs: job.GetFinishedMs(),
		Fence: job.GetFence(), Worker: job.GetWorker(), Lane: job.GetLane(), Error: job.GetError(),
		RetryOf: job.GetRetryOf(), RetriedAs: job.GetRetriedAs(), Place: job.GetPlace(),
		Progress: progressAnswer(job.GetProgress()), PlacedMs: job.GetPlacedMs(),
		Coordinator: job.GetCoordinator(), Schedule: job.GetSchedule(), FireMs: job.GetFireMs(), FireCause: causeWord(job.GetFireCause()),
	}
	if len(job.GetLabels()) > 0 {
		out.Labels = make(map[string]string, len(job.GetLabels()))
		for _, label := range job.GetLabels() {
			out.Labels[label.GetKey()] = label.GetValue()
		}
	}
	return out
}

func registerAnswer(r *logv1.Result, warnings []string) *v1.RegisterResponse {
	session := r.GetSession()
	return &v1.RegisterResponse{
		Session: session.GetSession(), Lanes: lanesAnswer(session.GetLanes()), Warnings: warnings,
		Fences: session.GetFences(), HeartbeatMs: session.GetHeartbeatMs(), Existing: session.GetExisting(),
	}
}

func lanesAnswer(lanes []*logv1.Lane) []*v1.Lane {
	out := make([]*v1.Lane, len(lanes))
	for i, lane := range lanes {
		out[i] = &v1.Lane{Chain: lane.GetChain(), Slots: lane.GetSlots(), MemoryBytes: lane.GetMemoryBytes()}
	}
	return out
}

func enqueueManyAnswer(r *logv1.Result, about func(i int) []string) *v1.EnqueueManyResponse {
	outcomes := r.GetEnqueue().GetOutcomes()
	out := &v1.EnqueueManyResponse{Results: make([]*v1.EnqueueOutcome, len(outcomes)), Position: positionOf(r)}
	for i, outcome := range outcomes {
		out.Results[i] = &v1.EnqueueOutcome{Id: outcome.GetJob(), Deduplicated: outcome.GetDeduplicated()}
		if outcome.GetRefusal() != nil {
			out.Results[i].Error = refusalBody(outcome.GetRefusal(), about(i)...)
		}
	}
	return out
}

// claimAnswer leaves parked_ms to the caller: it is about the call, not about the answer, and 0 in a repeated one.
func claimAnswer(r *logv1.Result, claim *logv1.ClaimResult) *v1.ClaimResponse {
	out := &v1.ClaimResponse{Reason: v1.EmptyReason(claim.GetEmpty()), Position: positionOf(r)}
	if claim.GetJob() != nil {
		out.Claim = &v1.Claim{
			Fence: claim.GetFence(), Job: jobAnswer(claim.GetJob()), Lane: claim.GetLane(),
			LeaseMs: claim.GetLeaseMs(), HeartbeatMs: claim.GetHeartbeatMs(), MaxRunMs: claim.GetMaxRunMs(),
		}
	}
	return out
}

// claimResult is the answer to a claim as a call, or its refusal.
func claimResult(r *v1.ClaimRequest, result *logv1.Result, parked time.Duration) (*v1.ClaimResponse, error) {
	claim := result.GetClaim()
	if claim.GetRefusal() != nil {
		return nil, refusalError(claim.GetRefusal(), aboutClaim(r)...)
	}
	answer := claimAnswer(result, claim)
	answer.ParkedMs = parked.Milliseconds()
	return answer, nil
}

func finishAnswer(r *logv1.Result, request *v1.FinishRequest) *v1.FinishResponse {
	finish := r.GetFinish()
	var about []string
	if finish.GetRefusal() != nil || finish.GetNext().GetRefusal() != nil {
		about = aboutFinish(request)
	}
	out := &v1.FinishResponse{
		Error: refusalBody(finish.GetRefusal(), about...), State: v1.JobState(finish.GetState()),
		Cancelled: finish.GetCancelled(), Position: positionOf(r),
	}
	if next := finish.GetNext(); next != nil {
		out.Next = claimAnswer(r, next)
		out.Next.Error = refusalBody(next.GetRefusal(), about...)
	}
	return out
}

func releaseAnswer(r *logv1.Result) *v1.ReleaseResponse {
	return &v1.ReleaseResponse{Statuses: statusesAnswer(r.GetRelease().GetStatuses()), Position: positionOf(r)}
}

func heartbeatAnswer(r *logv1.Result) *v1.HeartbeatResponse {
	beat := r.GetHeartbeat()
	return &v1.HeartbeatResponse{
		Statuses: statusesAnswer(beat.GetStatuses()), Unlisted: beat.GetUnlisted(), Draining: beat.GetDraining(), Position: positionOf(r),
	}
}

func statusesAnswer(statuses []logv1.ClaimStatus) []v1.ClaimStatus {
	out := make([]v1.ClaimStatus, len(statuses))
	for i, status := range statuses {
		out[i] = v1.ClaimStatus(status)
	}
	return out
}

func queueAnswer(q *logv1.Queue) *v1.Queue {
	return &v1.Queue{
		Name: q.GetName(), Paused: q.GetPaused(), Settings: queueSettingsAnswer(q.GetSettings()), Counts: countsAnswer(q.GetCounts()),
	}
}

// queueStatusAnswer is a queue as it is now, which no stored answer is.
func queueStatusAnswer(status fsm.QueueStatus) *v1.Queue {
	out := queueAnswer(status.Queue)
	out.Users, out.LiveClaims, out.OldestWaitMs = status.Users, status.LiveClaims, status.OldestWaitMs
	return out
}

func queueSettingsAnswer(s *logv1.QueueSettings) *v1.QueueSettings {
	if s == nil {
		return nil
	}
	out := &v1.QueueSettings{
		Limits: limitsAnswer(s.GetLimits()), MaxRunning: s.MaxRunning, MaxRunningPerUser: s.MaxRunningPerUser,
		RetentionMs: s.RetentionMs, RetentionJobs: s.RetentionJobs,
	}
	if s.Mode != nil {
		out.Mode = v1.QueueMode(s.GetMode()).Enum()
	}
	return out
}

func limitsAnswer(l *logv1.Limits) *v1.JobLimits {
	if l == nil {
		return nil
	}
	out := &v1.JobLimits{
		LeaseMs: l.LeaseMs, HeartbeatMs: l.HeartbeatMs, MaxAttempts: l.MaxAttempts,
		BackoffFirstMs: l.BackoffFirstMs, BackoffFactorPercent: l.BackoffFactorPercent, BackoffMostMs: l.BackoffMostMs,
		MaxRunMs: l.MaxRunMs, ExclusionWindowMs: l.ExclusionWindowMs,
	}
	if l.OnTimeout != nil {
		out.OnTimeout = v1.OnTimeout(l.GetOnTimeout()).Enum()
	}
	return out
}

func countsAnswer(c *logv1.Counts) *v1.QueueCounts {
	return &v1.QueueCounts{
		Scheduled: c.GetScheduled(), Pending: c.GetPending(), Running: c.GetRunning(), Succeeded: c.GetSucceeded(),
		Failed: c.GetFailed(), TimedOut: c.GetTimedOut(), Cancelled: c.GetCancelled(),
	}
}

func settingsAnswer(s *logv1.Settings) *v1.Settings {
	out := &v1.Settings{
		MultiUser: s.MultiUser, CreateQueues: s.CreateQueues, Limits: limitsAnswer(s.GetLimits()),
		RetentionMs: s.RetentionMs, RetentionJobs: s.RetentionJobs, MaxRunningPerUser: s.MaxRunningPerUser,
		MaxStateBytes: s.MaxStateBytes, MaxJobs: s.MaxJobs, MaxSessions: s.MaxSessions,
		MaxQueues: s.MaxQueues, MaxUsers: s.MaxUsers, MaxIdempotencyKeys: s.MaxIdempotencyKeys, MaxOutputBytes: s.MaxOutputBytes,
		MaxSchedules: s.MaxSchedules,
	}
	// The settings that a fresh state does not hold.
	if out.MaxOutputBytes == nil {
		out.MaxOutputBytes = proto.Int64(fsm.DefaultOutputBytes)
	}
	if out.MaxSchedules == nil {
		out.MaxSchedules = proto.Int64(fsm.DefaultSchedules)
	}
	if s.DefaultMode != nil {
		out.DefaultMode = v1.QueueMode(s.GetDefaultMode()).Enum()
	}
	return out
}
