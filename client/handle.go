package fairlane

import (
	"context"
	"encoding/json"
	"fmt"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// JobID is the number of a job, counted by the cluster.
type JobID uint64

// Fence is the number of a claim. It only rises, over the whole life of the cluster.
type Fence uint64

// JobInfo is what the cluster knows about a job.
type JobInfo = fairlanev1.Job

// State of a job. The last four are final and never change.
type State = fairlanev1.JobState

// The states of a job.
const (
	StateScheduled = fairlanev1.JobState_JOB_STATE_SCHEDULED
	StatePending   = fairlanev1.JobState_JOB_STATE_PENDING
	StateRunning   = fairlanev1.JobState_JOB_STATE_RUNNING
	StateSucceeded = fairlanev1.JobState_JOB_STATE_SUCCEEDED
	StateFailed    = fairlanev1.JobState_JOB_STATE_FAILED
	StateTimedOut  = fairlanev1.JobState_JOB_STATE_TIMED_OUT
	StateCancelled = fairlanev1.JobState_JOB_STATE_CANCELLED
)

// Final reports whether a job in this state has ended.
func Final(s State) bool { return s >= StateSucceeded }

// Handle is one job that was enqueued. Safe for many goroutines.
type Handle struct {
	ID JobID
	// Deduplicated: the idempotency key was known and this is the job that it made.
	Deduplicated bool

	client *Client
}

// Get reads the job as it is now.
func (h *Handle) Get(ctx context.Context) (*JobInfo, error) { return h.client.Get(ctx, h.ID) }

// Wait returns the job when it is final.
func (h *Handle) Wait(ctx context.Context) (*JobInfo, error) { return h.client.Wait(ctx, h.ID) }

// Cancel cancels the job; see [Client.Cancel].
func (h *Handle) Cancel(ctx context.Context) (bool, error) { return h.client.Cancel(ctx, h.ID) }

// Retry runs the job again as a new one; see [Client.Retry].
func (h *Handle) Retry(ctx context.Context) (*Handle, error) { return h.client.Retry(ctx, h.ID) }

// Job gives a handle for a job whose id is known.
func (c *Client) Job(id JobID) *Handle { return &Handle{ID: id, client: c} }

// Get reads a job as it is now, after everything that was acknowledged before.
func (c *Client) Get(ctx context.Context, id JobID) (*JobInfo, error) {
	res, err := read(ctx, c, attemptLimit, getJob, &fairlanev1.GetRequest{Id: uint64(id)})
	if err != nil {
		return nil, err
	}
	return res.GetJob(), nil
}

// Cancel cancels a job that waits or runs and reports whether this call did it; of two at the same time one does. A job that
// is final already gives ErrWrongState, except a cancelled one. A handler that runs sees its context end.
func (c *Client) Cancel(ctx context.Context, id JobID) (bool, error) {
	res, err := numbered(ctx, c, false, cancelJob, func(r *fairlanev1.Repeat) *fairlanev1.CancelRequest {
		return &fairlanev1.CancelRequest{Id: uint64(id), Repeat: r}
	})
	return res.GetCancelled(), err
}

// Retry runs a failed, timed out or cancelled job again, as a new job that links to it.
func (c *Client) Retry(ctx context.Context, id JobID) (*Handle, error) {
	res, err := numbered(ctx, c, false, retryJob, func(r *fairlanev1.Repeat) *fairlanev1.RetryRequest {
		return &fairlanev1.RetryRequest{Id: uint64(id), Repeat: r}
	})
	if err != nil {
		return nil, err
	}
	return &Handle{ID: JobID(res.GetId()), client: c}, nil
}

// ResultOf decodes the result of a final job into R; the error of a job that did not succeed is a *JobError.
func ResultOf[R any](job *JobInfo) (R, error) {
	var result R
	if job.GetState() != StateSucceeded {
		return result, &JobError{ID: JobID(job.GetId()), State: job.GetState(), Message: job.GetError()}
	}
	if len(job.GetResult()) == 0 {
		return result, nil
	}
	if raw, ok := any(&result).(*Raw); ok {
		*raw = job.GetResult()
		return result, nil
	}
	if err := json.Unmarshal(job.GetResult(), &result); err != nil {
		return result, fmt.Errorf("fairlane: result of job %d: %w", job.GetId(), err)
	}
	return result, nil
}

func getJob(n *node) func(context.Context, *fairlanev1.GetRequest) (*fairlanev1.GetResponse, error) {
	return n.jobs.Get
}

func cancelJob(n *node) func(context.Context, *fairlanev1.CancelRequest) (*fairlanev1.CancelResponse, error) {
	return n.jobs.Cancel
}

func retryJob(n *node) func(context.Context, *fairlanev1.RetryRequest) (*fairlanev1.RetryResponse, error) {
	return n.jobs.Retry
}
