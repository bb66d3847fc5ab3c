package fairlane

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// maxErrorBytes of a reported error; the cluster takes no more.
const maxErrorBytes = 16 << 10

// retryAfter, discard and snooze are what a handler can say beside an error.
type (
	retryAfter struct {
		delay time.Duration
		err   error
	}
	discard struct{ err error }
	snooze  struct{ delay time.Duration }
)

// RetryAfter makes a handler's error a failure whose next attempt comes after d instead of the queue's back-off. d is rounded
// down to milliseconds; 0 is allowed.
func RetryAfter(d time.Duration, err error) error { return &retryAfter{max(d, 0), err} }

// Discard makes a handler's error the end of the job: failed, with no further attempt.
func Discard(err error) error { return &discard{err} }

// Snooze ends the run without success or failure: the job comes back after d and no attempt is charged.
func Snooze(d time.Duration) error { return &snooze{max(d, 0)} }

func (e *retryAfter) Error() string { return textOf(e.err) }
func (e *retryAfter) Unwrap() error { return e.err }
func (e *discard) Error() string    { return textOf(e.err) }
func (e *discard) Unwrap() error    { return e.err }
func (e *snooze) Error() string     { return "snoozed for " + e.delay.String() }

// PanicError is the failure of a handler that panicked.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n\n%s", e.Value, e.Stack) }

func textOf(err error) string {
	if err == nil {
		return "no reason given"
	}
	return err.Error()
}

// setOutcome writes what a handler returned into the request.
func setOutcome(req *fairlanev1.FinishRequest, result []byte, err error) {
	if err == nil {
		req.Outcome = &fairlanev1.FinishRequest_Success{Success: &fairlanev1.Success{Result: result}}
		return
	}
	if s, ok := errors.AsType[*snooze](err); ok {
		req.Outcome = &fairlanev1.FinishRequest_Snooze{Snooze: &fairlanev1.Snooze{DelayMs: s.delay.Milliseconds()}}
		return
	}
	failure := &fairlanev1.Failure{Error: cut(err.Error(), maxErrorBytes)}
	if _, ok := errors.AsType[*discard](err); ok {
		failure.Discard = true
	} else if r, ok := errors.AsType[*retryAfter](err); ok {
		ms := r.delay.Milliseconds()
		failure.RetryAfterMs = &ms
	}
	req.Outcome = &fairlanev1.FinishRequest_Failure{Failure: failure}
}

// cut shortens text to at most limit bytes of valid UTF-8.
func cut(text string, limit int) string {
	if len(text) > limit {
		for limit > 0 && !utf8.RuneStart(text[limit]) {
			limit--
		}
		text = text[:limit]
	}
	if !utf8.ValidString(text) {
		return cut(string([]rune(text)), limit) // invalid bytes become U+FFFD
	}
	return text
}
