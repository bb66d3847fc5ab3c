package fairlane

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"connectrpc.com/connect"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Chunk is a piece of the output of a job, a report of its progress, or both.
type Chunk struct {
	// Attempt that wrote this. Each attempt has an output of its own, which begins at offset 0.
	Attempt int
	// Restarted: the former attempt has failed or was lost and this is another one. All that was read before is void. Data may be empty then.
	Restarted bool
	// Offset of Data in the output of the attempt, in bytes.
	Offset uint64
	Data   []byte
	// Skipped bytes before Offset are no longer kept: the output is longer than the cluster keeps, and we came late.
	Skipped uint64
	// Progress that was reported; nil: it has not changed.
	Progress *Progress
}

// Progress is what a running job said about how far it is.
type Progress struct {
	Fraction float64 // 0 to 1
	Message  string
	At       time.Time // by the cluster's clock
}

// Stream gives the output of a job from its beginning and follows it until the job is final, through retries and failovers, each byte
// of an attempt once and in order. The loop ends without an error when the job has succeeded; else the last pair has an error: a *JobError as
// ResultOf gives when the job has not succeeded, the cause of ctx when that ended. What was read is an answer only when the loop ended without one.
//
//	var text []byte
//	for chunk, err := range client.Stream(ctx, id) {
//		if err != nil {
//			return err
//		}
//		if chunk.Restarted {
//			text = text[:0]
//		}
//		text = append(text, chunk.Data...)
//	}
//
// It has no overall limit of time. Each loop over it takes a connection of its own and begins anew.
func (c *Client) Stream(ctx context.Context, id JobID) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		r := &outputReader{id: id, yield: yield}
		f := &follower[fairlanev1.StreamOutputRequest, fairlanev1.StreamOutputResponse]{client: c, open: streamOutput,
			request: r.request, take: r.take, confirm: c.knows(id)}
		err := f.run(ctx)
		if err == nil && !r.stopped {
			err = c.endOf(ctx, id, r.state)
		}
		if err != nil {
			yield(Chunk{}, err)
		}
	}
}

// Stream gives the output of the job; see [Client.Stream].
func (h *Handle) Stream(ctx context.Context) iter.Seq2[Chunk, error] {
	return h.client.Stream(ctx, h.ID)
}

// endOf gives the error of a job that is final; nil: it has succeeded.
func (c *Client) endOf(ctx context.Context, id JobID, s State) error {
	if s == StateSucceeded {
		return nil
	}
	job, err := c.Get(ctx, id)
	switch {
	case err == nil:
		return &JobError{ID: id, State: s, Message: job.GetError()}
	case errors.Is(err, ErrUnknownJob):
		return &JobError{ID: id, State: s} // its retention ended meanwhile
	}
	return err
}

// knows asks whether the cluster has the job.
func (c *Client) knows(id JobID) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := c.Get(ctx, id)
		return err
	}
}

// outputReader is where we are in the output of a job.
type outputReader struct {
	id    JobID
	yield func(Chunk, error) bool

	attempt  int32  // 0: nothing came yet
	offset   uint64 // the next byte that we want
	progress *fairlanev1.Progress
	given    bool // something was given to the caller
	restart  bool // the next chunk is the first of an attempt after another
	stopped  bool // the caller wants no more
	state    State
}

func (r *outputReader) request() *fairlanev1.StreamOutputRequest {
	return &fairlanev1.StreamOutputRequest{Id: uint64(r.id), Attempt: r.attempt, Offset: r.offset, Follow: true}
}

// take checks a message against what we have and hands on what is new in it.
func (r *outputReader) take(m *fairlanev1.StreamOutputResponse) error {
	final := m.GetLast() && Final(m.GetState())
	switch {
	case m.GetAttempt() < r.attempt && final:
		return errors.New("fairlane: the job has lost an attempt that was read before: the cluster was restored from a backup. Read anew")
	case m.GetAttempt() < r.attempt:
		return &brokenStream{"the node does not know the newest attempt yet"}
	case m.GetAttempt() > r.attempt:
		r.attempt, r.offset, r.progress = m.GetAttempt(), 0, nil
		r.restart = r.given
	}
	data, start := m.GetData(), m.GetOffset()
	if start < r.offset {
		known := min(r.offset-start, uint64(len(data)))
		data, start = data[known:], r.offset
	}
	skipped := start - r.offset
	if skipped > m.GetSkipped() && (len(data) > 0 || m.GetLast()) {
		return &brokenStream{fmt.Sprintf("output at offset %d came when that at %d was due", start, r.offset)}
	}
	if len(data) == 0 && skipped > m.GetSkipped() {
		start, skipped = r.offset, 0 // only progress
	}
	chunk := Chunk{Attempt: int(r.attempt), Restarted: r.restart, Offset: start, Data: data, Skipped: skipped}
	if p := m.GetProgress(); p != nil && !sameProgress(p, r.progress) {
		r.progress = p
		chunk.Progress = &Progress{Fraction: p.GetFraction(), Message: p.GetMessage(), At: time.UnixMilli(p.GetAtMs())}
	}
	r.offset = start + uint64(len(data))
	if len(data) > 0 || skipped > 0 || chunk.Restarted || chunk.Progress != nil {
		r.given, r.restart = true, false
		if !r.yield(chunk, nil) {
			r.stopped = true
			return errEnough
		}
	}
	switch {
	case final:
		r.state = m.GetState()
		return errLast
	case m.GetLast():
		return errCutShort
	}
	return nil
}

func sameProgress(a, b *fairlanev1.Progress) bool {
	return b != nil && a.GetFraction() == b.GetFraction() && a.GetMessage() == b.GetMessage() && a.GetAtMs() == b.GetAtMs()
}

func streamOutput(n *node) func(context.Context, *fairlanev1.StreamOutputRequest) (*connect.ServerStreamForClient[fairlanev1.StreamOutputResponse], error) {
	return n.jobs.StreamOutput
}
