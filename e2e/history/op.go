// Package history holds what the parties of a run saw, call by call, and checks it against the promises of Fairlane:
// nothing acknowledged is lost, nothing is finished twice, no lane runs more than its slots, no lease ends early, and
// every job's calls have an order that explains all their answers.
//
// All parties live in one process, so that one monotonic clock gives the exact order of calls and answers in real time.
// A call that was sent several times until its outcome was known is one Op, from the first sending to the last answer.
package history

import (
	"fmt"
	"math"
	"sync"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Kind of a call.
type Kind uint8

// The calls that a history knows. A heartbeat for several claims is one Op for each of them; a finish with a next claim
// is a Finish and, when it brought a job, a Claim. Claims that brought nothing are not recorded.
const (
	Enqueue Kind = iota + 1
	Claim
	Heartbeat
	Finish
	Release
	Cancel
	Read
)

var kindNames = [...]string{Enqueue: "enqueue", Claim: "claim", Heartbeat: "heartbeat", Finish: "finish", Release: "release", Cancel: "cancel", Read: "read"}

func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Outcome of a call.
type Outcome uint8

const (
	// Done: it took effect, and the answer says how.
	Done Outcome = iota + 1
	// Lost: the claim quoted was over. Nothing changed.
	Lost
	// Cancelled: the claim quoted was live, its job cancelled.
	Cancelled
	// Refused for another reason. Nothing changed.
	Refused
	// Unknown: no answer came, however often it was asked. It may have taken effect.
	Unknown
)

func (o Outcome) String() string {
	return [...]string{"no outcome", "done", "lost", "cancelled", "refused", "unknown"}[o]
}

// Report is what a Finish said of the run.
type Report uint8

const (
	Success Report = iota + 1
	Failure
	Snooze
)

// Never is the Return of a call without an answer.
const Never = int64(math.MaxInt64)

// Op is one call of one party. Which fields mean something depends on Kind.
type Op struct {
	Party   int // one party has one call in flight at a time
	Kind    Kind
	Outcome Outcome
	Session uint64
	Number  uint64 // 0: not protected against repeats
	Job     uint64
	Fence   uint64
	Lane    uint32
	LeaseMs int64  // of a Claim
	Report  Report // of a Finish
	Result  string // sent with a successful Finish, or read
	// State of the job after the call, as the answer says.
	State fairlanev1.JobState
	// Did: this Cancel is the one that cancelled.
	Did bool
	// Again: the same number sent once more after its answer. Answer must equal the first one.
	Again  bool
	Answer string // the answer's bytes, where repeats are compared
	Index  uint64 // position of the answer in the log; 0: the answer has none
	// Call and Return are nanoseconds on the recorder's clock.
	Call, Return int64
}

func (o Op) String() string {
	return fmt.Sprintf("%v %v job %d fence %d session %d number %d lane %d index %d state %v [%.6f, %.6f] s",
		o.Kind, o.Outcome, o.Job, o.Fence, o.Session, o.Number, o.Lane, o.Index, o.State,
		float64(o.Call)/1e9, float64(o.Return)/1e9)
}

// Recorder gathers the Ops of many goroutines.
type Recorder struct {
	begin time.Time

	mu  sync.Mutex
	ops []Op
}

// NewRecorder starts the clock.
func NewRecorder() *Recorder { return &Recorder{begin: time.Now()} }

// Now on the recorder's monotonic clock, in nanoseconds.
func (r *Recorder) Now() int64 { return int64(time.Since(r.begin)) }

// Wall gives the wall clock's time, in Unix milliseconds, at a moment of the recorder's clock.
func (r *Recorder) Wall(at int64) int64 { return r.begin.UnixMilli() + at/1_000_000 }

// Add records a call.
func (r *Recorder) Add(op Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
}

// Ops gives what was recorded so far; the slice is the caller's.
func (r *Recorder) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Op(nil), r.ops...)
}
