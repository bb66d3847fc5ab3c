package fairlane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Reason is why the cluster, or the SDK itself, refused something. Compare with errors.Is:
//
//	if errors.Is(err, fairlane.ErrUnknownJob) { ... }
type Reason string

// Reasons given by the cluster; docs/errors.md explains each.
const (
	ErrUnknownOutcome     Reason = "UNKNOWN_OUTCOME"
	ErrNotLeader          Reason = "NOT_LEADER"
	ErrNoLeader           Reason = "NO_LEADER"
	ErrBusy               Reason = "BUSY"
	ErrShuttingDown       Reason = "SHUTTING_DOWN"
	ErrSlowWatcher        Reason = "SLOW_WATCHER"
	ErrClaimLost          Reason = "LOST_CLAIM"
	ErrUnknownJob         Reason = "UNKNOWN_JOB"
	ErrWrongState         Reason = "WRONG_STATE"
	ErrOutputGap          Reason = "OUTPUT_GAP"
	ErrSessionEnded       Reason = "SESSION_ENDED"
	ErrSessionReplaced    Reason = "SESSION_REPLACED"
	ErrTooOld             Reason = "TOO_OLD"
	ErrTooManyOpen        Reason = "TOO_MANY_OPEN"
	ErrNumberReused       Reason = "NUMBER_REUSED"
	ErrKeyReused          Reason = "KEY_REUSED"
	ErrUnknownQueue       Reason = "UNKNOWN_QUEUE"
	ErrBadLanes           Reason = "BAD_LANES"
	ErrUnknownWorker      Reason = "UNKNOWN_WORKER"
	ErrUnknownLane        Reason = "UNKNOWN_LANE"
	ErrNotAWorker         Reason = "NOT_A_WORKER"
	ErrStateFull          Reason = "STATE_FULL"
	ErrNotAll             Reason = "NOT_ALL"
	ErrUnknownSchedule    Reason = "UNKNOWN_SCHEDULE"
	ErrStaleRevision      Reason = "STALE_REVISION"
	ErrMaxInstances       Reason = "MAX_INSTANCES"
	ErrBadSpec            Reason = "BAD_SPEC"
	ErrNeverFires         Reason = "NEVER_FIRES"
	ErrTooManyTicks       Reason = "TOO_MANY_TICKS"
	ErrBacklogFull        Reason = "BACKLOG_FULL"
	ErrUnknownCoordinator Reason = "UNKNOWN_COORDINATOR"
	ErrInvalidArgument    Reason = "INVALID_ARGUMENT"
	ErrTooLarge           Reason = "TOO_LARGE"
	ErrMalformed          Reason = "MALFORMED"
)

// Reasons of the SDK's own.
const (
	// ErrCancelled is the cause of a handler's context when its job was cancelled, and what Wait gives for such a job.
	ErrCancelled Reason = "CANCELLED"
	// ErrFailed is what Wait gives for a job that used up its attempts or was discarded.
	ErrFailed Reason = "JOB_FAILED"
	// ErrTimedOut is what Wait gives for a job whose last run was lost or took too long.
	ErrTimedOut Reason = "JOB_TIMED_OUT"
	// ErrDraining is the cause of a handler's context when the worker's grace time is over.
	ErrDraining Reason = "DRAINING"
	// ErrHandlersLeft is what Run gives when handlers went on after their contexts had ended.
	ErrHandlersLeft Reason = "HANDLERS_LEFT"
	// ErrClosed is given by a closed client.
	ErrClosed Reason = "CLIENT_CLOSED"
)

// errCallTimedOut is a server that ran out of the time of one attempt; its word that nothing happened is not relied on.
const errCallTimedOut Reason = "TIMED_OUT"

// Error gives the reason as words.
func (r Reason) Error() string {
	return "fairlane: " + strings.ToLower(strings.ReplaceAll(string(r), "_", " "))
}

// Error is a refusal, or the end of a call that got no answer. errors.Is finds its Reason and what it wraps.
type Error struct {
	Reason   Reason
	Code     string // stable, for example FL1201; empty for reasons of the SDK's own
	Message  string
	Metadata map[string]string
	// RetryAfter is how long the cluster asks to wait; 0: it did not say.
	RetryAfter time.Duration

	status connect.Code
	cause  error
}

func (e *Error) Error() string {
	text := e.Message
	if text == "" {
		text = strings.TrimPrefix(e.Reason.Error(), "fairlane: ")
	}
	if e.Code != "" {
		text += " [" + e.Code + "]"
	}
	if e.cause != nil && e.Message == "" {
		text = strings.TrimPrefix(text+": "+e.cause.Error(), ": ") // no answer has no reason
	}
	return "fairlane: " + text
}

// Is reports whether target is the reason of this error.
func (e *Error) Is(target error) bool {
	r, ok := target.(Reason)
	return ok && r == e.Reason && r != ""
}

// Unwrap gives what lies below: a context's error, or the last answer of a call with an unknown outcome.
func (e *Error) Unwrap() error { return e.cause }

// ReasonOf gives the outermost reason in err; empty: there is none.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	r, _ := errors.AsType[Reason](err)
	return r
}

// JobError is the end of a job that did not succeed. errors.Is finds ErrFailed, ErrTimedOut or ErrCancelled.
type JobError struct {
	ID      JobID
	State   State
	Message string // what the last attempt reported
}

func (e *JobError) Error() string {
	state := strings.ToLower(strings.TrimPrefix(e.State.String(), "JOB_STATE_"))
	if e.Message == "" {
		return fmt.Sprintf("fairlane: job %d is %s", e.ID, state)
	}
	return fmt.Sprintf("fairlane: job %d is %s: %s", e.ID, state, e.Message)
}

// Is reports whether target is the reason that belongs to the job's state.
func (e *JobError) Is(target error) bool {
	switch target {
	case ErrFailed:
		return e.State == StateFailed
	case ErrTimedOut:
		return e.State == StateTimedOut
	case ErrCancelled:
		return e.State == StateCancelled
	}
	return false
}

// leader gives the address of the leader if the refusal names it.
func (e *Error) leader() string { return e.Metadata["leader_url"] }

// fromWire turns the error of one attempt into ours. An error that no server wrote has no reason.
func fromWire(err error) *Error {
	out := &Error{status: connect.CodeOf(err), cause: err}
	wire, ok := errors.AsType[*connect.Error](err)
	if !ok || !connect.IsWireError(err) {
		return out
	}
	out.Message = wire.Message()
	for _, detail := range wire.Details() {
		value, err := detail.Value()
		if err != nil {
			continue // a detail of a newer server; the others still count
		}
		switch d := value.(type) {
		case *errdetails.ErrorInfo:
			out.Reason = Reason(d.GetReason())
			out.Code = d.GetMetadata()["code"]
			out.Metadata = d.GetMetadata()
		case *errdetails.RetryInfo:
			out.RetryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	return out
}

// fromBody turns an error inside an answer into ours; nil: there is none.
func fromBody(b *fairlanev1.ErrorBody) error {
	if b == nil {
		return nil
	}
	return refusalOf(b)
}

// refusalOf is fromBody for an error that is there.
func refusalOf(b *fairlanev1.ErrorBody) *Error {
	e := &Error{Reason: Reason(b.GetReason()), Code: b.GetCode(), Message: b.GetMessage(), Metadata: b.GetMetadata()}
	if ms, err := strconv.ParseInt(b.GetMetadata()["retry_ms"], 10, 64); err == nil {
		e.RetryAfter = time.Duration(ms) * time.Millisecond
	}
	return e
}

// verdict is what one failed attempt says about the call.
type verdict uint8

const (
	verdictFinal   verdict = iota // an answer: send no more
	verdictNothing                // this attempt did nothing: send again
	verdictUnknown                // nobody can say what this attempt did: send again
)

// judge decides from the error of one attempt.
func (e *Error) judge() verdict {
	switch e.Reason {
	case ErrNotLeader, ErrNoLeader, ErrBusy, ErrShuttingDown, ErrTooManyOpen, ErrSlowWatcher:
		return verdictNothing
	case ErrUnknownOutcome, errCallTimedOut:
		return verdictUnknown
	case "":
	default:
		return verdictFinal
	}
	if isDial(e.cause) {
		return verdictNothing
	}
	if !connect.IsWireError(e.cause) {
		return verdictUnknown // the connection broke
	}
	switch e.status {
	case connect.CodeUnavailable, connect.CodeUnknown, connect.CodeDeadlineExceeded, connect.CodeCanceled,
		connect.CodeAborted, connect.CodeInternal, connect.CodeResourceExhausted:
		return verdictUnknown // something between us and the cluster answered, or a server that says no more
	}
	return verdictFinal
}

// isDial reports that no connection came about, so that nothing was sent.
func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// unknownOutcome says that a call may or may not have taken place, and why we stopped asking.
func unknownOutcome(why error) error {
	return &Error{
		Reason:  ErrUnknownOutcome,
		Code:    "FL1103",
		Message: "nobody can say whether the call took place: " + why.Error(),
		cause:   why,
	}
}

// gaveUp is the error of a call whose context ended; last is what the last attempt said, perhaps nil.
func gaveUp(ctx context.Context, last error) error {
	why := context.Cause(ctx)
	if last == nil {
		return why
	}
	return fmt.Errorf("%w (last attempt: %w)", why, last)
}
