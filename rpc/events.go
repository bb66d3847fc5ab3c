package rpc

import (
	"context"
	"errors"
	"slices"
	"time"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	// eventsAtOnce in one message.
	eventsAtOnce = 256
	// usualIdleTick is how often a watch that has nothing to send says how far it is.
	usualIdleTick = 5 * time.Second
	// fromOldest as the id to go on after: everything that this node keeps.
	fromOldest = "0"
)

// eventService tells what happens.
type eventService struct{ *server }

func (s *eventService) WatchEvents(ctx context.Context, r *v1.WatchEventsRequest, stream *connect.ServerStream[v1.WatchEventsResponse]) error {
	if err := checkWatchEvents(r); err != nil {
		return err
	}
	return s.followEvents(ctx, r, eventSink{send: stream.Send, idle: func(id string, moved bool) error {
		if !moved {
			return nil
		}
		return stream.Send(&v1.WatchEventsResponse{EventId: id})
	}})
}

// eventSink takes what a watch of events finds. Both are called by one goroutine.
type eventSink struct {
	send func(*v1.WatchEventsResponse) error
	// idle is called every idle tick while there is nothing to send. moved: id is another one than before.
	idle func(id string, moved bool) error
}

// followEvents sends the events that match a checked request until ctx ends, from this node's own state.
func (s *server) followEvents(ctx context.Context, r *v1.WatchEventsRequest, sink eventSink) error {
	watch, err := s.watch(topicOf(r), cluster.WatchEvents)
	if err != nil {
		return err
	}
	defer watch.Stop()
	at := s.startOf(r.GetAfter())
	match := matcher(r)
	tick := time.NewTicker(s.idleTick)
	defer tick.Stop()
	sent := at // the last id that the reader was told
	for running, silent := false, true; ; running = true {
		if at, silent, err = s.sendEvents(at, match, running, sink); err != nil {
			return err
		}
		if !running && silent { // where the watch begins
			if err := sink.send(&v1.WatchEventsResponse{EventId: at.String()}); err != nil {
				return err
			}
			silent = false
		}
		if !silent {
			sent = at
		}
		for changed := false; !changed; {
			if changed, err = watch.Wait(ctx, 0, tick.C); err != nil {
				return s.failure(err)
			}
			if changed {
				break
			}
			// The watch is told of matching events alone; past the others it goes here.
			if to, idle := watch.Idle(); idle && to.Epoch == at.Epoch && at.Before(to) {
				at = to
			}
			if err := sink.idle(at.String(), at != sent); err != nil {
				return err
			}
			sent = at
		}
	}
}

// startOf gives the position after which a watch begins.
func (s *server) startOf(after string) cluster.Position {
	switch after {
	case "":
		end, _ := s.node.Newest()
		return end
	case fromOldest:
		return s.node.OldestEvents()
	}
	at, _ := cluster.ParsePosition(after) // checked before
	return at
}

// sendEvents sends all that is there, and gives the position to go on from. running: the watch was there when the events came, so it is
// its own fault if it missed some.
func (s *server) sendEvents(at cluster.Position, match func(*cluster.Event) bool, running bool, sink eventSink) (_ cluster.Position, silent bool, err error) {
	for silent = true; ; silent = false {
		events, to, err := s.node.Events(at, eventsAtOnce, match)
		message := &v1.WatchEventsResponse{Events: eventsAnswer(events), EventId: to.String()}
		var reset *cluster.ResetError
		switch {
		case errors.As(err, &reset) && reset.Slow && running:
			return at, silent, problem(SlowWatcher, "node_id", s.node.ID(), "why", "it fell behind: "+reset.Why, "event_id", at.String())
		case errors.As(err, &reset):
			to = reset.To
			message = &v1.WatchEventsResponse{EventId: to.String(), Reset_: true, Reason: reset.Why}
		case err != nil:
			return at, silent, s.failure(err)
		case len(events) == 0:
			return to, silent, nil
		}
		if err := sink.send(message); err != nil {
			return at, silent, err
		}
		at, running = to, true
	}
}

// topicOf the narrowest filter.
func topicOf(r *v1.WatchEventsRequest) cluster.Topic {
	if r.GetJob() != 0 {
		return cluster.Topic{Job: fsm.JobID(r.GetJob())}
	}
	return cluster.Topic{Queue: r.GetQueue()}
}

// matcher of a checked request. An event without a job has no state and no user, so a filter by one of these leaves it out; one that no
// schedule brought about has no schedule.
func matcher(r *v1.WatchEventsRequest) func(*cluster.Event) bool {
	job, queue, user, schedule := fsm.JobID(r.GetJob()), r.GetQueue(), r.GetUser(), r.GetSchedule()
	var states []logv1.State
	for _, state := range r.GetStates() {
		states = append(states, logv1.State(state))
	}
	return func(e *cluster.Event) bool {
		return (job == 0 || e.Job == job) && (queue == "" || e.Queue == queue) && (user == "" || e.User == user) &&
			(schedule == "" || e.Schedule == schedule) && (len(states) == 0 || e.Job != 0 && slices.Contains(states, e.State))
	}
}

func eventsAnswer(events []cluster.Event) []*v1.Event {
	out := make([]*v1.Event, len(events))
	for i := range events {
		e := &events[i]
		out[i] = &v1.Event{
			Id: e.Position.String(), Kind: e.Kind.Word(), AtMs: e.WallMs, Job: uint64(e.Job), Queue: e.Queue, User: e.User,
			State: v1.JobState(e.State), Fence: uint64(e.Fence), Session: uint64(e.Session), Worker: e.Worker, Lane: e.Lane,
			Schedule: e.Schedule, FirstFireMs: e.Tick.GetFirstMs(), LastFireMs: e.Tick.GetLastMs(), Ticks: e.Tick.GetCount(),
			TickReason: tickReasonWord(e.Tick.GetReason()),
		}
	}
	return out
}
