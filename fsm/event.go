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
	out   Outcome
	rules uint32
	place uint32
	ready []uint64 // jobs that became pending, or the head of a coordinator that stands
	room  []string // queues with a limit in which a claim ended, once for each
	grown []uint64 // jobs whose output or progress grew
	// pump names schedules whose waiting ticks may start; pumped counts those that did, or were dropped.
	pump   []uint64
	pumped int
}

func (m *Machine) event(e Event) {
	e.Place = uint32(len(m.batch.out.Events))
	m.batch.out.Events = append(m.batch.out.Events, e)
}

func (m *Machine) jobEvent(kind EventKind, j *logv1.Job) {
	m.event(Event{Kind: kind, Job: JobID(j.Id), Queue: j.Queue, User: j.User, State: j.State, Fence: Fence(j.Fence), Worker: j.Worker, Lane: j.Lane,
		Schedule: j.Schedule})
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

// gatherReady turns the jobs that became pending and still may be claimed into counts, in the order in which each kind first appeared.
func (m *Machine) gatherReady() {
	if len(m.batch.ready) == 0 && len(m.batch.room) == 0 {
		return
	}
	type kind struct {
		queue, user string
		size        scheduler.Size
	}
	at := map[kind]int{}
	seen := map[uint64]bool{}
	for _, id := range m.batch.ready {
		rec, ok := m.jobs.Get(id)
		if !ok || seen[id] || rec.job.State != logv1.State_STATE_PENDING || m.gated(rec.job.Queue, rec.job.User) || !m.board.Stands(JobID(id)) {
			continue
		}
		seen[id] = true
		k := kind{rec.job.Queue, rec.job.User, scheduler.SizeOf(rec.job.MemoryBytes)}
		i, known := at[k]
		if !known {
			i = len(m.batch.out.Ready)
			at[k] = i
			m.batch.out.Ready = append(m.batch.out.Ready, Ready{Queue: k.queue, User: k.user, Size: k.size})
		}
		m.batch.out.Ready[i].Count++
	}
	m.gatherRoom()
}

// gatherRoom adds, for each queue with a limit, how many claims of it ended, if jobs wait there and it is open.
func (m *Machine) gatherRoom() {
	at := map[string]int{}
	for _, queue := range m.batch.room {
		if q := m.queueLive[queue]; q == nil || q.closed || m.board.WaitingIn(queue) == 0 {
			continue
		}
		i, known := at[queue]
		if !known {
			i = len(m.batch.out.Ready)
			at[queue] = i
			m.batch.out.Ready = append(m.batch.out.Ready, Ready{Queue: queue, Any: true})
		}
		m.batch.out.Ready[i].Count++
	}
}
