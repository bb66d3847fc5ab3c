package fsm

import (
	"fmt"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

const (
	none      = logv1.State_STATE_UNSPECIFIED
	scheduled = logv1.State_STATE_SCHEDULED
	pending   = logv1.State_STATE_PENDING
	running   = logv1.State_STATE_RUNNING
	succeeded = logv1.State_STATE_SUCCEEDED
	failed    = logv1.State_STATE_FAILED
	timedOut  = logv1.State_STATE_TIMED_OUT
	cancelled = logv1.State_STATE_CANCELLED
)

// moves lists every legal move of a job, from the state in the index. From a final state there is none.
var moves = [...][]logv1.State{
	none:      {scheduled, pending},
	scheduled: {pending, cancelled},
	pending:   {running, cancelled},
	running:   {scheduled, pending, succeeded, failed, timedOut, cancelled},
	succeeded: {},
	failed:    {},
	timedOut:  {},
	cancelled: {},
}

func isFinal(s logv1.State) bool { return s >= succeeded }

// checkMove panics for a move that is not in the table: an error value would let a corrupt replica go on.
func checkMove(j *logv1.Job, from, to logv1.State) {
	if from == to {
		return
	}
	for _, legal := range moves[from] {
		if legal == to {
			return
		}
	}
	panic(fmt.Sprintf("broken invariant: job %d moves from %v to %v", j.GetId(), from, to))
}
