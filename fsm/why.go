package fsm

import (
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// WhyAnswer explains the state of a job at one index.
type WhyAnswer struct {
	Job     *logv1.Job
	Index   uint64
	ClockMs int64
	// Lines in which a pending job stands: its queue's and "*". Empty when something keeps it out of the lines.
	Lines []LinePlace
	// Constraints that bind a waiting job now.
	Constraints []Constraint
	// Start is the smallest change after which the job is the next one that Lane gets. Empty: it is that already, or it does not wait.
	Start []Change
	// Lane that Start is about; nil: no lane takes the job.
	Lane *LaneName
	// Steps of the past.
	Steps *logv1.Steps
}

// LaneName names a lane of a live worker.
type LaneName struct {
	Session SessionID
	Worker  string
	Lane    uint32
	Spec    *logv1.Lane
}

// LinePlace is where a job stands in a line, for a lane without a memory limit that takes from this line alone.
type LinePlace struct {
	Line string
	Mode scheduler.Mode
	// UserPosition among the user's own jobs in the line, from 1; UserWaiting is how many they are.
	UserPosition, UserWaiting uint64
	// Ahead claims through this line come first if nothing else happens; Waiting jobs stand in it.
	Ahead, Waiting uint64
	// UsersAhead have jobs that go first; Users are the ten with most of them, then by name.
	UsersAhead uint64
	Users      []UserAhead
}

// UserAhead is a user with jobs that go first.
type UserAhead struct {
	User string
	Jobs uint64
}

// ConstraintKind says what binds. The numbers are those of the API.
type ConstraintKind uint8

// The kinds of constraints.
const (
	BoundScheduled ConstraintKind = iota + 1
	BoundQueuePaused
	BoundQueueLimit
	BoundUserQueueLimit
	BoundUserLimit
	BoundNoLane
	BoundLaneFull
	BoundLaneMemory
	BoundWorkerExcluded
	BoundWorkerDraining
	BoundBehind
	BoundCoordinator
)

// Constraint binds a waiting job now. Value and Most are the numbers of a limit: live claims of the limit, taken slots of the slots, needed
// bytes of the free ones, jobs that go first: in a lane, or of the coordinator, at most 1,000 of them; More says that there are others.
type Constraint struct {
	Kind        ConstraintKind
	Queue, User string
	Lane        *LaneName
	Value, Most int64
	UntilMs     int64
	Coordinator string
	Busy, Head  JobID // of the coordinator: the job whose claim lives, the first that waits before this one; 0: none
	More        bool
}

// ChangeKind says what would have to change. The numbers are those of the API.
type ChangeKind uint8

// The kinds of changes.
const (
	ChangeWait ChangeKind = iota + 1
	ChangeResumeQueue
	ChangeRaiseQueueLimit
	ChangeRaiseUserQueueLimit
	ChangeRaiseUserLimit
	ChangeAddLane
	ChangeFreeSlot
	ChangeFreeMemory
	ChangeClaimsAhead
	ChangeCoordinator
)

// Change is a part of the smallest change that would start a job. Value is the new limit, the slots or bytes to free, the claims ahead, or the
// jobs of the coordinator that must end first, of those that wait at most 1,000; More says that there are others.
type Change struct {
	Kind        ChangeKind
	Queue, User string
	Value       int64
	UntilMs     int64
	Coordinator string
	More        bool
}
