package trace

import (
	"fmt"

	"github.com/fairlane-scheduler/fairlane/fsm"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// PublicEvent is an event as the API shows it, made from the replay alone.
func PublicEvent(out *fsm.Outcome, e *fsm.Event) *fairlanev1.Event {
	return &fairlanev1.Event{
		Id: fmt.Sprintf("%d.%d.%d", out.Epoch, out.Index, e.Place), Kind: e.Kind.Word(), AtMs: out.WallMs,
		Job: uint64(e.Job), Queue: e.Queue, User: e.User, State: fairlanev1.JobState(e.State), Fence: uint64(e.Fence),
		Session: uint64(e.Session), Worker: e.Worker, Lane: e.Lane,
	}
}
