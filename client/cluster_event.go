package fairlane

import (
	"cmp"
	"context"
	"iter"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// EventReset is the kind of a ClusterEvent that says that events before it are lost: read anew what you keep.
const EventReset = "reset"

// ClusterEvent is something that happened in the cluster. Which fields are set depends on the kind.
type ClusterEvent struct {
	// ID, the same on every node: epoch.index.place. Events goes on after it. Empty for a reset that is followed by events at once.
	ID string
	// Kind, for example job_claimed, or EventReset.
	Kind string
	// Reason of a reset, in words.
	Reason string
	At     time.Time // by the cluster's clock
	Job    JobID
	Queue  string
	User   string
	State  State // of the job after the event
	Fence  Fence
	// Session, Worker and Lane of the claim.
	Session uint64
	Worker  string
	Lane    int
	// Schedule that the event is about, or that made the job.
	Schedule string
	// FirstFire and LastFire, how many fire times they are, and why: of schedule_fired, _missed, _skipped and _coalesced.
	FirstFire, LastFire time.Time
	Ticks               int64
	TickReason          string
}

// EventFilter selects events: those that match every field that is set.
type EventFilter struct {
	Job   JobID
	Queue string
	User  string
	// States of the job after the event, any of them.
	States []State
	// Schedule: its ticks, its changes and the events of its jobs.
	Schedule string
}

// Events gives what happens in the cluster, in order, each event once, through failovers. after is the id of the last event that was seen,
// for example by a former process; empty: from now on; "0": from the oldest that is kept. When events between are no longer kept, one of kind
// EventReset comes in their place. The loop ends with an error: the cause of ctx when that ended, a refusal of the filter or of after.
func (c *Client) Events(ctx context.Context, filter EventFilter, after string) iter.Seq2[ClusterEvent, error] {
	return func(yield func(ClusterEvent, error) bool) {
		r := &eventReader{after: after, yield: yield}
		f := &follower[fairlanev1.WatchEventsRequest, fairlanev1.WatchEventsResponse]{client: c, open: watchEvents, take: r.take,
			request: func() *fairlanev1.WatchEventsRequest {
				return &fairlanev1.WatchEventsRequest{After: r.after, Job: uint64(filter.Job), Queue: filter.Queue, User: filter.User,
					States: filter.States, Schedule: filter.Schedule}
			}}
		if err := f.run(ctx); err != nil {
			yield(ClusterEvent{}, err)
		}
	}
}

// eventReader is where we are in the events.
type eventReader struct {
	after string
	yield func(ClusterEvent, error) bool
}

func (r *eventReader) take(m *fairlanev1.WatchEventsResponse) error {
	if m.GetReset_() {
		r.after = "" // what comes now may lie before what was seen
		reset := ClusterEvent{Kind: EventReset, Reason: m.GetReason()}
		if len(m.GetEvents()) == 0 {
			reset.ID = m.GetEventId()
		}
		if !r.yield(reset, nil) {
			return errEnough
		}
	}
	for _, e := range m.GetEvents() {
		if !eventAfter(e.GetId(), r.after) {
			continue // known from another connection
		}
		r.after = e.GetId()
		if !r.yield(clusterEvent(e), nil) {
			return errEnough
		}
	}
	if eventAfter(m.GetEventId(), r.after) {
		r.after = m.GetEventId()
	}
	return nil
}

func clusterEvent(e *fairlanev1.Event) ClusterEvent {
	out := ClusterEvent{ID: e.GetId(), Kind: e.GetKind(), At: time.UnixMilli(e.GetAtMs()), Job: JobID(e.GetJob()), Queue: e.GetQueue(),
		User: e.GetUser(), State: e.GetState(), Fence: Fence(e.GetFence()), Session: e.GetSession(), Worker: e.GetWorker(), Lane: int(e.GetLane()),
		Schedule: e.GetSchedule(), Ticks: e.GetTicks(), TickReason: e.GetTickReason()}
	if e.GetTicks() != 0 {
		out.FirstFire, out.LastFire = time.UnixMilli(e.GetFirstFireMs()), time.UnixMilli(e.GetLastFireMs())
	}
	return out
}

// eventAfter reports whether id lies behind another in the log. Every id lies behind one that is not epoch.index.place, such as the empty one.
func eventAfter(id, other string) bool {
	for a, b := id, other; ; {
		x, moreA, _ := strings.Cut(a, ".")
		y, moreB, _ := strings.Cut(b, ".")
		n, errA := strconv.ParseUint(x, 10, 64)
		k, errB := strconv.ParseUint(y, 10, 64)
		if errA != nil || errB != nil {
			return errA == nil
		}
		if order := cmp.Compare(n, k); order != 0 {
			return order > 0
		}
		a, b = moreA, moreB
	}
}

func watchEvents(n *node) func(context.Context, *fairlanev1.WatchEventsRequest) (*connect.ServerStreamForClient[fairlanev1.WatchEventsResponse], error) {
	return n.events.WatchEvents
}
