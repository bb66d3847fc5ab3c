package fairlane

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Task is a kind of job with the types of its arguments and of its result. Producer and worker share one value, so that they
// cannot disagree. Both types travel as JSON, except [Raw].
type Task[A, R any] struct{ kind string }

// Define names a kind of job; the kind is 1 to 128 bytes of UTF-8.
func Define[A, R any](kind string) Task[A, R] { return Task[A, R]{kind} }

// Kind gives the name.
func (t Task[A, R]) Kind() string { return t.kind }

// New is a job of this task for [Client.EnqueueMany].
func (t Task[A, R]) New(args A, options ...EnqueueOption) NewJob {
	return NewJob{Kind: t.kind, Args: args, Options: options}
}

// Enqueue adds one job of this task through a [Client], or a [Producer].
func (t Task[A, R]) Enqueue(ctx context.Context, c Enqueuer, args A, options ...EnqueueOption) (*TaskHandle[R], error) {
	h, err := c.Enqueue(ctx, t.kind, args, options...)
	if err != nil {
		return nil, err
	}
	return &TaskHandle[R]{h}, nil
}

// TaskHandle is a Handle that knows the type of the result.
type TaskHandle[R any] struct{ *Handle }

// Wait returns the result when the job has succeeded. Another end is a *JobError: errors.Is finds ErrFailed, ErrTimedOut or
// ErrCancelled.
func (h *TaskHandle[R]) Wait(ctx context.Context) (R, error) {
	job, err := h.Handle.Wait(ctx)
	if err != nil {
		var none R
		return none, err
	}
	return ResultOf[R](job)
}

// JobMeta is what a handler knows about its run beside the arguments.
type JobMeta struct {
	ID    JobID
	Kind  string
	Queue string
	User  string
	// Fence of this run: pass it to systems outside and let them refuse smaller ones.
	Fence Fence
	// Attempt counts the claims of this job, from 1.
	Attempt     int
	MaxAttempts int
	Priority    int32
	MemoryBytes uint64
	Labels      map[string]string
	// Lane by its position in the worker's lanes, and its text, for example "manual>*:4".
	Lane     int
	LaneText string
	// Coordinator under which the job runs; empty: none.
	Coordinator string
	// Schedule that made the job; empty: none did, or it was run again by hand.
	Schedule string
	// FireTime for which the schedule made it, in UTC: the same for every attempt, however late it runs. Zero: no schedule did.
	FireTime time.Time
	// FireCause is why; empty: no schedule did.
	FireCause FireCause

	output *output // nil: made by hand
}

// Job is what a typed handler gets.
type Job[A any] struct {
	JobMeta
	Args A
}

// RawJob is what an untyped handler gets.
type RawJob struct {
	JobMeta
	// Payload as it was enqueued.
	Payload []byte
	// JSON: the payload was given as JSON.
	JSON bool
}

// RawHandler runs a job without types; the bytes are the result, at most 1 MiB.
type RawHandler func(ctx context.Context, job *RawJob) ([]byte, error)

// Handle makes w run the jobs of this task with f. See [Worker] for what the context and the error mean. It panics when the
// worker has a handler for the kind already, or runs.
func (t Task[A, R]) Handle(w *Worker, f func(ctx context.Context, job *Job[A]) (R, error)) {
	w.HandleFunc(t.kind, func(ctx context.Context, raw *RawJob) ([]byte, error) {
		job := &Job[A]{JobMeta: raw.JobMeta}
		if data, ok := any(&job.Args).(*Raw); ok {
			*data = raw.Payload
		} else if len(raw.Payload) > 0 {
			if err := json.Unmarshal(raw.Payload, &job.Args); err != nil {
				// Another attempt would read the same bytes.
				return nil, Discard(fmt.Errorf("arguments of %q: %w", t.kind, err))
			}
		}
		result, err := f(ctx, job)
		if err != nil {
			return nil, err
		}
		if data, ok := any(result).(Raw); ok {
			return data, nil
		}
		out, err := json.Marshal(result)
		if err != nil {
			return nil, Discard(fmt.Errorf("result of %q: %w", t.kind, err))
		}
		return out, nil
	})
}

// fillRaw writes the claim as an untyped handler sees it.
func fillRaw(out *RawJob, c *fairlanev1.Claim, laneText string) {
	j := c.GetJob()
	out.JobMeta = JobMeta{
		ID: JobID(j.GetId()), Kind: j.GetKind(), Queue: j.GetQueue(), User: j.GetUser(),
		Fence: Fence(c.GetFence()), Attempt: int(j.GetAttempt()), MaxAttempts: int(j.GetMaxAttempts()),
		Priority: j.GetPriority(), MemoryBytes: j.GetMemoryBytes(), Labels: j.GetLabels(),
		Lane: int(c.GetLane()), LaneText: laneText,
		Coordinator: j.GetCoordinator(), Schedule: j.GetSchedule(), FireCause: FireCause(j.GetFireCause()),
	}
	if j.GetFireMs() != 0 {
		out.FireTime = time.UnixMilli(j.GetFireMs()).UTC()
	}
	switch p := j.GetPayload().(type) {
	case *fairlanev1.Job_Json:
		out.Payload, out.JSON = []byte(p.Json), true
	case *fairlanev1.Job_Data:
		out.Payload = p.Data
	}
}
