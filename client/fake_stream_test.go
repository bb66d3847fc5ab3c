package fairlane

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// isStream reports that the answer comes in pieces.
func isStream(req *http.Request) bool {
	return strings.HasPrefix(req.Header.Get("Content-Type"), "application/connect+")
}

// streamWriter carries what a streaming handler writes, piece by piece.
type streamWriter struct {
	header  http.Header
	code    int
	started chan struct{}
	once    sync.Once
	pipe    *io.PipeWriter
}

func (w *streamWriter) Header() http.Header { return w.header }
func (w *streamWriter) Flush()              { w.WriteHeader(http.StatusOK) }
func (w *streamWriter) WriteHeader(code int) {
	w.once.Do(func() {
		w.code = code
		close(w.started)
	})
}

func (w *streamWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pipe.Write(p)
}

// streamBody ends the handler when the reader goes.
type streamBody struct {
	*io.PipeReader
	gone context.CancelFunc
}

func (b streamBody) Close() error {
	b.gone()
	return b.PipeReader.Close()
}

// roundStream carries a request whose answer is a stream.
func (f *fake) roundStream(req *http.Request) (*http.Response, error) {
	x := &exchange{node: req.URL.Host}
	body := io.Reader(req.Body)
	if !isWork(req) {
		all, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(all)
	}
	x.hangUp = func() { _ = req.Body.Close() }
	ctx, gone := context.WithCancel(context.WithValue(req.Context(), exchangeKey{}, x))
	in := req.Clone(ctx)
	in.Body = io.NopCloser(body)
	in.ProtoMajor = 2
	r, pipe := io.Pipe()
	w := &streamWriter{header: http.Header{}, started: make(chan struct{}), pipe: pipe}
	context.AfterFunc(ctx, func() { r.CloseWithError(context.Cause(ctx)) })
	go func() {
		defer func() {
			end := io.EOF
			if recover() != nil {
				end = io.ErrUnexpectedEOF // the connection broke
			}
			w.WriteHeader(http.StatusOK)
			pipe.CloseWithError(end)
		}()
		f.mux.ServeHTTP(w, in)
	}()
	select {
	case <-w.started:
	case <-ctx.Done():
		gone()
		return nil, ctx.Err()
	}
	switch {
	case x.fault.hang:
		<-ctx.Done()
		gone()
		return nil, req.Context().Err()
	case x.fault.dial, x.fault.before:
		gone()
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{StatusCode: w.code, Header: w.header, Body: streamBody{r, gone}, Request: req, ProtoMajor: 2}, nil
}

// sending is one stream on the side of the cluster.
type sending[Res any] struct {
	fake   *fake
	ctx    context.Context
	stream *connect.ServerStream[Res]
	x      *exchange
	sent   int
}

// begin applies the plan to a stream.
func begin[Res any](f *fake, ctx context.Context, method string, req proto.Message, stream *connect.ServerStream[Res]) (*sending[Res], error) {
	_, err := serve(f, ctx, method, req, 0, 0, 0, func(*fakeSession) (*fairlanev1.GetResponse, bool, error) { return nil, false, nil })
	return &sending[Res]{fake: f, ctx: ctx, stream: stream, x: ctx.Value(exchangeKey{}).(*exchange)}, err
}

// send sends one message, unless the connection breaks before or the node froze.
func (s *sending[Res]) send(m *Res) error {
	if s.x.fault.mute {
		<-s.ctx.Done()
		return s.ctx.Err()
	}
	if s.x.fault.cut > 0 && s.sent == s.x.fault.cut {
		panic("the connection breaks")
	}
	s.sent++
	return s.stream.Send(m)
}

// wait returns when something changed after the caller looked.
func (s *sending[Res]) wait(changed chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (f *fake) AppendOutput(ctx context.Context, r *fairlanev1.AppendOutputRequest) (*fairlanev1.AppendOutputResponse, error) {
	return serve(f, ctx, "AppendOutput", r, r.Session, 0, 0, func(s *fakeSession) (*fairlanev1.AppendOutputResponse, bool, error) {
		res := &fairlanev1.AppendOutputResponse{}
		for _, p := range r.Parts {
			res.Statuses = append(res.Statuses, f.appendPart(s, p))
		}
		f.signal()
		return res, false, nil
	})
}

func (f *fake) appendPart(s *fakeSession, p *fairlanev1.OutputPart) *fairlanev1.OutputStatus {
	j := f.byFence(s, p.Fence)
	switch {
	case j == nil:
		return &fairlanev1.OutputStatus{Status: fairlanev1.ClaimStatus_CLAIM_STATUS_LOST}
	case j.State == StateCancelled:
		return &fairlanev1.OutputStatus{Status: fairlanev1.ClaimStatus_CLAIM_STATUS_CANCELLED}
	}
	j.ends = time.Now().Add(f.lease)
	st := &fairlanev1.OutputStatus{Status: fairlanev1.ClaimStatus_CLAIM_STATUS_OK}
	if f.full {
		st.Error = &fairlanev1.ErrorBody{Reason: string(ErrStateFull), Code: "FL1401"}
	} else if !j.append(p.Offset, p.Data) {
		st.Error = &fairlanev1.ErrorBody{Reason: string(ErrOutputGap), Code: "FL1204"}
	} else if p.Progress != nil {
		j.Progress = p.Progress
	}
	st.End = uint64(len(j.outputs[j.Attempt]))
	return st
}

// append adds what is new; false: there is a gap.
func (j *fakeJob) append(offset uint64, data []byte) bool {
	have := uint64(len(j.outputs[j.Attempt]))
	if offset > have {
		j.gaps++
		return false
	}
	if end := offset + uint64(len(data)); end > have {
		if j.outputs == nil {
			j.outputs = map[int32][]byte{}
		}
		j.outputs[j.Attempt] = append(j.outputs[j.Attempt], data[have-offset:]...)
	}
	return true
}

// StreamOutput sends pieces of at most f.piece bytes; what lies before f.kept from the end is gone.
func (f *fake) StreamOutput(ctx context.Context, r *fairlanev1.StreamOutputRequest, stream *connect.ServerStream[fairlanev1.StreamOutputResponse]) error {
	s, err := begin(f, ctx, "StreamOutput", r, stream)
	if err != nil {
		return err
	}
	attempt, offset := r.Attempt, r.Offset
	var told *fairlanev1.Progress
	for {
		f.mu.Lock()
		changed, j := f.changed, f.jobs[r.Id]
		if j == nil {
			f.mu.Unlock()
			return wireError(ErrUnknownJob, "", 0)
		}
		if j.Attempt > attempt {
			attempt, offset = j.Attempt, 0
		}
		m := &fairlanev1.StreamOutputResponse{Attempt: attempt, State: j.State}
		all := j.outputs[attempt]
		if lost := uint64(max(len(all)-f.kept, 0)); f.kept > 0 && lost > offset {
			m.Skipped, offset = lost-offset, lost
		}
		m.Offset = offset
		m.Data = slices.Clone(all[min(int(offset), len(all)):])
		if f.piece > 0 && len(m.Data) > f.piece {
			m.Data = m.Data[:f.piece]
		}
		if j.Progress != told {
			told, m.Progress = j.Progress, j.Progress
		}
		offset += uint64(len(m.Data))
		m.Last = Final(j.State) && offset >= uint64(len(all))
		f.mu.Unlock()
		if len(m.Data) > 0 || m.Last || m.Progress != nil {
			if err := s.send(m); err != nil || m.Last {
				return err
			}
			continue
		}
		if err := s.wait(changed); err != nil {
			return err
		}
	}
}

func (f *fake) WatchJob(ctx context.Context, r *fairlanev1.WatchJobRequest, stream *connect.ServerStream[fairlanev1.WatchJobResponse]) error {
	s, err := begin(f, ctx, "WatchJob", r, stream)
	if err != nil {
		return err
	}
	for {
		f.mu.Lock()
		changed, j := f.changed, f.jobs[r.Id]
		if j == nil {
			f.mu.Unlock()
			return wireError(ErrUnknownJob, "", 0)
		}
		m := &fairlanev1.WatchJobResponse{Job: proto.CloneOf(j.Job)}
		f.mu.Unlock()
		if err := s.send(m); err != nil || Final(m.Job.State) {
			return err
		}
		if err := s.wait(changed); err != nil {
			return err
		}
	}
}

// happen adds an event, and gives its id.
func (f *fake) happen(kind string, job JobID) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := fmt.Sprintf("7.%d.0", len(f.events)+1)
	f.events = append(f.events, &fairlanev1.Event{Id: id, Kind: kind, Job: uint64(job)})
	f.signal()
	return id
}

// WatchEvents keeps the last f.kept events, or all.
func (f *fake) WatchEvents(ctx context.Context, r *fairlanev1.WatchEventsRequest, stream *connect.ServerStream[fairlanev1.WatchEventsResponse]) error {
	s, err := begin(f, ctx, "WatchEvents", r, stream)
	if err != nil {
		return err
	}
	f.mu.Lock()
	next, first := len(f.events), true
	f.mu.Unlock()
	if r.After != "" {
		next = 0
		if _, err := fmt.Sscanf(r.After, "7.%d.0", &next); err != nil && r.After != "0" {
			return wireError(ErrInvalidArgument, "", 0)
		}
	}
	for {
		f.mu.Lock()
		changed, m := f.changed, &fairlanev1.WatchEventsResponse{}
		if oldest := len(f.events) - f.kept; f.kept > 0 && next < oldest {
			next, m.Reset_, m.Reason = oldest, true, "too far behind"
		}
		for ; next < len(f.events) && len(m.Events) < 2; next++ {
			if e := f.events[next]; r.Job == 0 || r.Job == e.Job {
				m.Events = append(m.Events, e)
			}
		}
		m.EventId = fmt.Sprintf("7.%d.0", next)
		more := next < len(f.events)
		f.mu.Unlock()
		if first || len(m.Events) > 0 || m.Reset_ {
			if err := s.send(m); err != nil {
				return err
			}
		}
		first = false
		if more {
			continue
		}
		if err := s.wait(changed); err != nil {
			return err
		}
	}
}

func (f *fake) GetQueue(ctx context.Context, r *fairlanev1.GetQueueRequest) (*fairlanev1.GetQueueResponse, error) {
	return serve(f, ctx, "GetQueue", r, 0, 0, 0, func(*fakeSession) (*fairlanev1.GetQueueResponse, bool, error) {
		q := f.queue(r.Name)
		if q == nil {
			return nil, false, wireError(ErrUnknownQueue, "", 0)
		}
		return &fairlanev1.GetQueueResponse{Queue: q}, false, nil
	})
}

// queue counts what waits; nil: no job names it. f.mu is held.
func (f *fake) queue(name string) *fairlanev1.Queue {
	var q *fairlanev1.Queue
	for _, j := range f.jobs {
		if j.Queue != name {
			continue
		}
		if q == nil {
			q = &fairlanev1.Queue{Name: name, Counts: &fairlanev1.QueueCounts{}}
		}
		if j.State == StatePending {
			q.Counts.Pending++
		}
	}
	return q
}

func (f *fake) WatchQueue(ctx context.Context, r *fairlanev1.WatchQueueRequest, stream *connect.ServerStream[fairlanev1.WatchQueueResponse]) error {
	s, err := begin(f, ctx, "WatchQueue", r, stream)
	if err != nil {
		return err
	}
	var told *fairlanev1.Queue
	for {
		f.mu.Lock()
		changed, q := f.changed, f.queue(r.Name)
		f.mu.Unlock()
		if q == nil {
			return wireError(ErrUnknownQueue, "", 0)
		}
		if !proto.Equal(q, told) {
			told = q
			if err := s.send(&fairlanev1.WatchQueueResponse{Queue: q, HasWork: q.Counts.Pending > 0}); err != nil {
				return err
			}
		}
		if err := s.wait(changed); err != nil {
			return err
		}
	}
}
