package rpc

import (
	"bytes"
	"context"
	"math"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	// pieceBytes of output in one message of a stream.
	pieceBytes = 64 << 10
	// attemptsLooked is how many attempts a reader looks back for one with output.
	attemptsLooked = 64
	// millionths of the work.
	millionths = 1_000_000
)

// AppendOutput waits on the leader for others to share a log entry with, a few milliseconds.
func (s *workerService) AppendOutput(ctx context.Context, r *v1.AppendOutputRequest) (*v1.AppendOutputResponse, error) {
	if err := checkAppendOutput(r); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.AppendOutputResponse]{
		local: func(ctx context.Context) (*v1.AppendOutputResponse, error) {
			op := &logv1.Command_Output{Output: outputFrom(r)}
			result, err := s.propose(ctx, &logv1.Command{Op: op}, "session", number(r.GetSession()))
			if err != nil {
				return nil, err
			}
			return appendAnswer(result, r), nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.AppendOutputResponse, error) {
			return p.workers.AppendOutput(ctx, r)
		},
		// What is there already is not stored again.
		harmless: true,
	})
}

func outputFrom(r *v1.AppendOutputRequest) *logv1.Output {
	out := &logv1.Output{Session: r.GetSession(), Parts: make([]*logv1.OutputPart, len(r.GetParts()))}
	for i, part := range r.GetParts() {
		out.Parts[i] = &logv1.OutputPart{Fence: part.GetFence(), Offset: part.GetOffset(), Data: part.GetData(), Progress: progressFrom(part.GetProgress())}
	}
	return out
}

func progressFrom(p *v1.Progress) *logv1.Progress {
	if p == nil {
		return nil
	}
	return &logv1.Progress{Ppm: uint32(math.Round(p.GetFraction() * millionths)), Message: p.GetMessage()}
}

func progressAnswer(p *logv1.Progress) *v1.Progress {
	if p == nil {
		return nil
	}
	return &v1.Progress{Fraction: float64(p.GetPpm()) / millionths, Message: p.GetMessage(), AtMs: p.GetAtMs()}
}

func appendAnswer(result *logv1.Result, r *v1.AppendOutputRequest) *v1.AppendOutputResponse {
	statuses := result.GetOutput().GetStatuses()
	out := &v1.AppendOutputResponse{Statuses: make([]*v1.OutputStatus, len(statuses)), Position: positionOf(result)}
	for i, status := range statuses {
		part := r.GetParts()[i]
		out.Statuses[i] = &v1.OutputStatus{
			Status: v1.ClaimStatus(status.GetStatus()), End: status.GetEnd(),
			Error: refusalBody(status.GetRefusal(), "fence", number(part.GetFence()), "offset", number(part.GetOffset()), "end", number(status.GetEnd())),
		}
	}
	return out
}

// StreamOutput sends output from this node's own state.
func (s *jobService) StreamOutput(ctx context.Context, r *v1.StreamOutputRequest, stream *connect.ServerStream[v1.StreamOutputResponse]) error {
	if err := checkStreamOutput(r); err != nil {
		return err
	}
	watch, err := s.watch(cluster.Topic{Job: fsm.JobID(r.GetId())}, cluster.WatchJobs)
	if err != nil {
		return err
	}
	defer watch.Stop()
	if err := s.known(ctx); err != nil {
		return err
	}
	reader := &outputReader{server: s.server, job: r.GetId(), follow: r.GetFollow(), attempt: r.GetAttempt(), offset: r.GetOffset(), announced: -1}
	for {
		message, more, err := reader.next()
		if err != nil {
			return err
		}
		if message != nil {
			if err := stream.Send(message); err != nil || message.GetLast() {
				return err
			}
		}
		if more {
			continue
		}
		if reader.announced < 0 { // the caller waits for the head of the answer
			reader.announced = 0
			if err := stream.Send(nil); err != nil {
				return err
			}
		}
		if _, err := watch.Wait(ctx, 0, nil); err != nil {
			return s.failure(err)
		}
	}
}

// outputReader goes through the output of a job, attempt by attempt.
type outputReader struct {
	*server
	job    uint64
	follow bool
	// attempt and offset to read next; 0: the newest attempt.
	attempt   int32
	offset    uint64
	announced int32 // the last attempt of which something was sent
	progress  *logv1.Progress
}

// next message, nil when there is nothing to say. more: call again at once, without waiting for a change.
func (o *outputReader) next() (message *v1.StreamOutputResponse, more bool, err error) {
	piece, following, known := o.look()
	if !known {
		return nil, false, problem(UnknownJob, "job", number(o.job))
	}
	message = &v1.StreamOutputResponse{Attempt: piece.Attempt, Offset: piece.Offset, Skipped: piece.Skipped, Data: bytes.Join(piece.Data, nil)}
	ahead := o.attempt > piece.Newest || o.offset > piece.End // received from a node that is further than this one
	if ahead {
		message.Attempt, message.Offset, message.Skipped, message.Data = o.attempt, o.offset, 0, nil
	}
	say := len(message.Data) > 0 || message.Skipped > 0 || message.Attempt != o.announced && message.Attempt != 0 && !ahead
	if message.Attempt == piece.Newest && piece.Progress != nil && !proto.Equal(piece.Progress, o.progress) {
		o.progress = piece.Progress
		message.Progress, say = progressAnswer(piece.Progress), true
	}
	if message.Attempt != 0 {
		o.attempt, o.offset = message.Attempt, message.Offset+uint64(len(message.Data))
	}
	if say {
		o.announced = message.Attempt
	}
	switch {
	case o.offset < piece.End && o.attempt == piece.Attempt && say: // there is more of this attempt
		more = true
	case following != 0:
		o.attempt, o.offset, more = following, 0, true
	case isFinal(v1.JobState(piece.State)) || !o.follow:
		message.State, message.Last, say = v1.JobState(piece.State), true, true
	}
	if !say {
		message = nil
	}
	return message, more, nil
}

// look at the next piece, and at which attempt follows once it is read; 0: none does.
func (o *outputReader) look() (piece fsm.OutputPiece, following int32, known bool) {
	o.node.View(func(m *fsm.Machine) {
		id := fsm.JobID(o.job)
		if piece, known = m.Output(id, o.attempt, o.offset, pieceBytes); !known || piece.Attempt >= piece.Newest {
			return
		}
		following = piece.Newest
		for attempt := max(piece.Attempt+1, piece.Newest-attemptsLooked); attempt < piece.Newest; attempt++ {
			if other, _ := m.Output(id, attempt, 0, 0); other.End > 0 {
				following = attempt
				return
			}
		}
	})
	return piece, following, known
}
