package fsm

import (
	"strings"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// EventKind says what happened.
type EventKind uint8

// The kinds of events.
const (
	JobEnqueued EventKind = iota + 1
	JobReady
	JobClaimed
	JobFinished
	JobRetry
	JobReleased
	JobCancelled
	LeaseEnded
	RunLimit
	SessionOpened
	SessionReplaced
	SessionEnded
	WorkerDraining
	QueueChanged
	SettingsChanged
	NodeChanged
	ScheduleChanged
	ScheduleFired
	ScheduleMissed
	ScheduleSkipped
	ScheduleCoalesced
)

var eventNames = [...]string{"", "JobEnqueued", "JobReady", "JobClaimed", "JobFinished", "JobRetry", "JobReleased", "JobCancelled", "LeaseEnded",
	"RunLimit", "SessionOpened", "SessionReplaced", "SessionEnded", "WorkerDraining", "QueueChanged", "SettingsChanged", "NodeChanged",
	"ScheduleChanged", "ScheduleFired", "ScheduleMissed", "ScheduleSkipped", "ScheduleCoalesced"}

// String is the kind's name.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "Unknown"
}

// Word is the kind as the API has it: JobEnqueued is job_enqueued.
func (k EventKind) Word() string {
	var out strings.Builder
	for i, c := range k.String() {
		if c >= 'A' && c <= 'Z' {
			if i > 0 {
				out.WriteByte('_')
			}
			c += 'a' - 'A'
		}
		out.WriteRune(c)
	}
	return out.String()
}

// Event is something that a batch did. Place counts the events of the batch from 0.
type Event struct {
	Kind    EventKind
	Place   uint32
	Job     JobID
	Queue   string
	User    string
	State   logv1.State
	Fence   Fence
	Session SessionID
	Worker  string
	Lane    uint32
	// Schedule that the event is about, or that made the job.
	Schedule string
	// Tick is set in ScheduleFired, -Missed, -Skipped and -Coalesced. It must not be changed.
	Tick *logv1.TickRecord
}

// Ready counts jobs that became claimable in a batch and still are.
type Ready struct {
	Queue, User string
	Size        scheduler.Size
	Count       int
	// Any user and size of the queue: claims ended where a limit counts them, so Count more jobs may go.
	Any bool
}

// LaneRef names a lane in which a slot or memory became free.
type LaneRef struct {
	Session SessionID
	Lane    uint32
}

// Outcome is all that a batch brought about.
type Outcome struct {
	Index   uint64
	Epoch   uint32
	Results []*logv1.Result // by position of the commands
	Events  []Event
	Ready   []Ready
	Freed   []LaneRef
	// WallMs is the machine's wall clock during the batch: the time of all its events.
	WallMs int64
	// Outputs lists the jobs whose output or progress grew, once each, rising.
	Outputs []JobID
	// Rescan: something that Ready does not describe made jobs claimable; look at all parked claims again.
	Rescan bool
	// More: due timers are left; apply another batch at once.
	More bool
}

// UnknownCommandError is what Apply panics with for a command or rules of a later version.
type UnknownCommandError struct {
	Index uint64
	Place int
	Rules uint32
}

func (e *UnknownCommandError) Error() string {
	return "log entry holds a command that this version does not know: a newer version of the binary is needed to read this log"
}

// current is what Apply gathers while a batch runs.
type current struct {
	commands []*logv1.Command
	out      Outcome
	rules    uint32
	place    uint32
	ready    []readyJob
	room     []string // queues with a limit in which a claim ended, once for each
	grown    []uint64 // jobs whose output or progress grew
	// pump names schedules whose waiting ticks may start; pumped counts those that did, or were dropped.
	pump   []uint64
	pumped int
}

// mostKept is how many entries of a list that a batch fills are kept as room for the next batch.
const mostKept = 4096

// nextBatch is an empty one with the room of this one.
func (b *current) nextBatch() current {
	if cap(b.ready) > mostKept {
		return current{}
	}
	clear(b.ready)
	return current{ready: b.ready[:0]}
}

// usualEvents is about how many events a command brings about.
func usualEvents(c *logv1.Command) int {
	switch op := c.GetOp().(type) {
	case *logv1.Command_Enqueue:
		return 2 * len(op.Enqueue.GetJobs())
	case *logv1.Command_Finish:
		if op.Finish.GetNext() != nil {
			return 2
		}
		return 1
	case *logv1.Command_Claim, *logv1.Command_Cancel:
		return 1
	}
	return 0
}

// newEvent is an empty one at the end of the batch's events.
func (m *Machine) newEvent() *Event {
	list := m.batch.out.Events
	if list == nil {
		usual := 0
		for _, c := range m.batch.commands {
			usual += usualEvents(c)
		}
		list = make([]Event, 0, max(usual, 1))
	}
	m.batch.out.Events = append(list, Event{Place: uint32(len(list))})
	return &m.batch.out.Events[len(list)]
}

func (m *Machine) event(e Event) {
	at := m.newEvent()
	e.Place = at.Place
	*at = e
}

func (m *Machine) jobEvent(kind EventKind, j *logv1.Job) {
	e := m.newEvent()
	e.Kind, e.Job, e.Queue, e.User, e.State, e.Fence = kind, JobID(j.Id), j.Queue, j.User, j.State, Fence(j.Fence)
	e.Worker, e.Lane, e.Schedule = j.Worker, j.Lane, j.Schedule
}

func (m *Machine) freed(session uint64, lane uint32) {
	ref := LaneRef{SessionID(session), lane}
	list := m.batch.out.Freed
	for i := len(list) - 1; i >= 0 && i >= len(list)-64; i-- {
		if list[i] == ref {
			return
		}
	}
	m.batch.out.Freed = append(list, ref)
}
