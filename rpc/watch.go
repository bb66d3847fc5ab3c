package rpc

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// WatchJob sends the job, and again at each change, until it is final. Messages between the first and the last hold no payload.
func (s *jobService) WatchJob(ctx context.Context, r *v1.WatchJobRequest, stream *connect.ServerStream[v1.WatchJobResponse]) error {
	if err := checkWatchJob(r); err != nil {
		return err
	}
	watch, err := s.watch(cluster.Topic{Job: fsm.JobID(r.GetId())}, cluster.WatchJobs)
	if err != nil {
		return err
	}
	defer watch.Stop()
	_, restores := s.node.Newest()
	if err := s.known(ctx); err != nil {
		return err
	}
	news, reset := true, false
	if after := r.GetAfter(); after != "" {
		news, reset = s.changedSince(r.GetId(), after)
	}
	var last *logv1.Job
	for {
		job, at := s.jobAt(r.GetId())
		if job == nil {
			return problem(UnknownJob, "job", number(r.GetId()))
		}
		if _, now := s.node.Newest(); now != restores {
			restores, reset, news = now, true, true
		}
		final := isFinal(v1.JobState(job.GetState()))
		if (news || final) && (job != last || reset) { // records are replaced, never edited
			answer := jobSummary(job)
			if last == nil || final {
				answer = jobAnswer(job)
			}
			if err := stream.Send(&v1.WatchJobResponse{Job: answer, EventId: at.String(), Reset_: reset}); err != nil {
				return err
			}
			last, reset = job, false
		}
		if final {
			return nil
		}
		if last == nil && !news { // the caller waits for the head of the answer
			if err := stream.Send(nil); err != nil {
				return err
			}
		}
		if _, err := watch.Wait(ctx, 0, nil); err != nil {
			return s.failure(err)
		}
		news = true
	}
}

// changedSince tells whether the job has events after an id. reset: nobody knows.
func (s *server) changedSince(id uint64, after string) (changed, reset bool) {
	at, _ := cluster.ParsePosition(after) // checked before
	events, _, err := s.node.Events(at, 1, func(e *cluster.Event) bool { return e.Job == fsm.JobID(id) })
	return len(events) > 0 || err != nil, err != nil
}

// jobAt reads a job of this node's own state; nil: there is none.
func (s *server) jobAt(id uint64) (job *logv1.Job, at cluster.Position) {
	s.node.ViewAt(func(m *fsm.Machine, position cluster.Position) {
		job, _ = m.Job(fsm.JobID(id))
		at = position
	})
	return job, at
}

// WatchQueue sends the queue, and again when its counts changed.
func (s *queueService) WatchQueue(ctx context.Context, r *v1.WatchQueueRequest, stream *connect.ServerStream[v1.WatchQueueResponse]) error {
	if err := checkWatchQueue(r); err != nil {
		return err
	}
	watch, err := s.watch(cluster.Topic{Queue: r.GetName()}, cluster.WatchQueues)
	if err != nil {
		return err
	}
	defer watch.Stop()
	if watch.Queue().Gone { // it may have been made a moment ago, at another node
		if err := s.known(ctx); err != nil {
			return err
		}
	}
	sent := uint64(0)
	for {
		view := watch.Queue()
		if view.Gone {
			return problem(UnknownQueue, "queue", r.GetName())
		}
		if view.Version != sent {
			sent = view.Version
			if err := stream.Send(&v1.WatchQueueResponse{Queue: queueStatusAnswer(view.QueueStatus), HasWork: view.HasWork, EventId: view.At.String()}); err != nil {
				return err
			}
		}
		if _, err := watch.Wait(ctx, time.Duration(r.GetLeastMs())*time.Millisecond, nil); err != nil {
			return s.failure(err)
		}
	}
}
