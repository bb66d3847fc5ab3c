package fairlane

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"
	"unicode/utf8"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// maxMany is how many jobs one call may enqueue.
const maxMany = 1000

// EnqueueOption says where, when and how a job runs. What is left out is the queue's setting, then the cluster's.
type EnqueueOption func(*fairlanev1.NewJob)

// To names the queue: letters, digits and _, at most 64. Default: "default".
func To(queue string) EnqueueOption { return func(j *fairlanev1.NewJob) { j.Queue = queue } }

// AsUser names the user between whom turns are shared; at most 128 bytes.
func AsUser(user string) EnqueueOption { return func(j *fairlanev1.NewJob) { j.User = user } }

// Priority inside the user (round robin) or the queue (fifo); larger first. Default 0.
func Priority(p int32) EnqueueOption { return func(j *fairlanev1.NewJob) { j.Priority = p } }

// InsertFront puts the job before this user's jobs in the queue (fifo: before all of the queue).
func InsertFront() EnqueueOption { return func(j *fairlanev1.NewJob) { j.InsertFront = true } }

// Delay keeps the job back for d, in milliseconds. Not together with RunAt.
func Delay(d time.Duration) EnqueueOption {
	return func(j *fairlanev1.NewJob) { j.DelayMs = d.Milliseconds() }
}

// RunAt keeps the job back until t by the cluster's clock, in milliseconds.
func RunAt(t time.Time) EnqueueOption {
	return func(j *fairlanev1.NewJob) { j.RunAtMs = t.UnixMilli() }
}

// IdempotencyKey makes the second job of this user with the same key the first one, for 24 hours; at most 256 bytes. With
// another job behind the same key the call fails with ErrKeyReused.
func IdempotencyKey(key string) EnqueueOption {
	return func(j *fairlanev1.NewJob) { j.IdempotencyKey = key }
}

// Memory that the job needs, in bytes; the lane reserves it, rounded up to a power of two.
func Memory(bytes uint64) EnqueueOption { return func(j *fairlanev1.NewJob) { j.MemoryBytes = bytes } }

// Labels are at most 16 pairs, of at most 128 bytes each part. Several Labels add up.
func Labels(labels map[string]string) EnqueueOption {
	return func(j *fairlanev1.NewJob) {
		if j.Labels == nil {
			j.Labels = map[string]string{}
		}
		maps.Copy(j.Labels, labels)
	}
}

// MaxAttempts of the job, at least 1; the first run counts.
func MaxAttempts(n int32) EnqueueOption {
	return limit(func(l *fairlanev1.JobLimits) { l.MaxAttempts = &n })
}

// Lease is how long a claim lives without a heartbeat (at least 3 s), and how often one is sent (at least 1 s, at most a third).
func Lease(lease, heartbeat time.Duration) EnqueueOption {
	return limit(func(l *fairlanev1.JobLimits) {
		l.LeaseMs, l.HeartbeatMs = millis(lease), millis(heartbeat)
	})
}

// MaxRun is how long one run may take, however well it beats; 0: as long as it likes.
func MaxRun(d time.Duration) EnqueueOption {
	return limit(func(l *fairlanev1.JobLimits) { l.MaxRunMs = millis(d) })
}

// Backoff between failed attempts: the first, the percentage by which each is longer than the one before (200: twice), and the
// longest.
func Backoff(first time.Duration, factorPercent int32, most time.Duration) EnqueueOption {
	return limit(func(l *fairlanev1.JobLimits) {
		l.BackoffFirstMs, l.BackoffFactorPercent, l.BackoffMostMs = millis(first), &factorPercent, millis(most)
	})
}

// FailOnTimeout ends the job when a run is lost or takes too long; otherwise such a run is an attempt like another.
func FailOnTimeout() EnqueueOption {
	return limit(func(l *fairlanev1.JobLimits) { l.OnTimeout = fairlanev1.OnTimeout_ON_TIMEOUT_FAIL.Enum() })
}

// ExclusionWindow for which a worker that failed or lost the job is passed over; 0: never.
func ExclusionWindow(d time.Duration) EnqueueOption {
	return limit(func(l *fairlanev1.JobLimits) { l.ExclusionWindowMs = millis(d) })
}

func limit(set func(*fairlanev1.JobLimits)) EnqueueOption {
	return func(j *fairlanev1.NewJob) {
		if j.Limits == nil {
			j.Limits = &fairlanev1.JobLimits{}
		}
		set(j.Limits)
	}
}

func millis(d time.Duration) *int64 {
	ms := d.Milliseconds()
	return &ms
}

// Raw is a payload that is not JSON: the handler gets these bytes.
type Raw []byte

// NewJob is a job that is not made by a [Task]. Args is sent as JSON unless it is a [Raw].
type NewJob struct {
	Kind    string
	Args    any
	Options []EnqueueOption
}

func (j NewJob) message() (*fairlanev1.NewJob, error) {
	m := &fairlanev1.NewJob{Kind: j.Kind}
	switch args := j.Args.(type) {
	case nil:
	case Raw:
		m.Payload = &fairlanev1.NewJob_Data{Data: args}
	default:
		text, err := json.Marshal(args)
		if err != nil {
			return nil, fmt.Errorf("fairlane: arguments of %q: %w", j.Kind, err)
		}
		m.Payload = &fairlanev1.NewJob_Json{Json: string(text)}
	}
	for _, option := range j.Options {
		option(m)
	}
	return m, checkText(m)
}

// checkText refuses what cannot be sent at all: the encoder takes no text that is not UTF-8, and its error would look like a
// broken connection.
func checkText(m *fairlanev1.NewJob) error {
	check := func(field, text string, err error) error {
		if err != nil || utf8.ValidString(text) {
			return err
		}
		return &Error{Reason: ErrInvalidArgument, Code: "FL1501", Message: field + " is text that is not UTF-8; send other bytes as Raw",
			Metadata: map[string]string{"field": field, "code": "FL1501"}}
	}
	err := check("job.kind", m.GetKind(), nil)
	err = check("job.json", m.GetJson(), err)
	err = check("job.queue", m.GetQueue(), err)
	err = check("job.user", m.GetUser(), err)
	err = check("job.idempotency_key", m.GetIdempotencyKey(), err)
	err = check("job.coordinator", m.GetCoordinator(), err)
	for key, value := range m.GetLabels() {
		err = check("job.labels", value, check("job.labels", key, err))
	}
	return err
}

// Enqueue adds one job. When it returns without error the job is on a majority of disks.
func (c *Client) Enqueue(ctx context.Context, kind string, args any, options ...EnqueueOption) (*Handle, error) {
	job, err := NewJob{Kind: kind, Args: args, Options: options}.message()
	if err != nil {
		return nil, err
	}
	res, err := numbered(ctx, c, job.GetIdempotencyKey() != "", enqueue, func(r *fairlanev1.Repeat) *fairlanev1.EnqueueRequest {
		return &fairlanev1.EnqueueRequest{Job: job, Repeat: r}
	})
	if err != nil {
		return nil, err
	}
	return &Handle{ID: JobID(res.GetId()), Deduplicated: res.GetDeduplicated(), client: c}, nil
}

// Enqueued is what became of one job of EnqueueMany: a handle or an error.
type Enqueued struct {
	Handle *Handle
	Err    error
}

// EnqueueMany adds up to 1,000 jobs in one call, which costs little more than one job. Each has its own outcome, in order. The
// error is about the call as a whole; then no outcome is known.
func (c *Client) EnqueueMany(ctx context.Context, jobs []NewJob) ([]Enqueued, error) {
	return c.enqueueMany(ctx, jobs, false)
}

// EnqueueAll is EnqueueMany that adds all of the jobs or, with ErrNotAll, none.
func (c *Client) EnqueueAll(ctx context.Context, jobs []NewJob) ([]Enqueued, error) {
	return c.enqueueMany(ctx, jobs, true)
}

func (c *Client) enqueueMany(ctx context.Context, jobs []NewJob, all bool) ([]Enqueued, error) {
	if len(jobs) == 0 {
		return nil, nil
	}
	if len(jobs) > maxMany {
		return nil, fmt.Errorf("fairlane: %d jobs in one call; at most %d", len(jobs), maxMany)
	}
	messages, keyed := make([]*fairlanev1.NewJob, len(jobs)), true
	for i, job := range jobs {
		m, err := job.message()
		if err != nil {
			return nil, err
		}
		messages[i], keyed = m, keyed && m.GetIdempotencyKey() != ""
	}
	return c.sendMany(ctx, messages, keyed, all)
}

// sendMany makes one call. keyed: every job has an idempotency key.
func (c *Client) sendMany(ctx context.Context, jobs []*fairlanev1.NewJob, keyed, all bool) ([]Enqueued, error) {
	res, err := numbered(ctx, c, keyed, enqueueMany, func(r *fairlanev1.Repeat) *fairlanev1.EnqueueManyRequest {
		return &fairlanev1.EnqueueManyRequest{Jobs: jobs, AllOrNothing: all, Repeat: r}
	})
	if err != nil {
		return nil, err
	}
	if len(res.GetResults()) != len(jobs) {
		return nil, fmt.Errorf("fairlane: %d answers for %d jobs", len(res.GetResults()), len(jobs))
	}
	out, handles := make([]Enqueued, len(jobs)), make([]Handle, len(jobs))
	for i, r := range res.GetResults() {
		if out[i].Err = fromBody(r.GetError()); out[i].Err == nil {
			handles[i] = Handle{ID: JobID(r.GetId()), Deduplicated: r.GetDeduplicated(), client: c}
			out[i].Handle = &handles[i]
		}
	}
	return out, nil
}

func enqueue(n *node) func(context.Context, *fairlanev1.EnqueueRequest) (*fairlanev1.EnqueueResponse, error) {
	return n.jobs.Enqueue
}

func enqueueMany(n *node) func(context.Context, *fairlanev1.EnqueueManyRequest) (*fairlanev1.EnqueueManyResponse, error) {
	return n.jobs.EnqueueMany
}
