package fsm

import (
	"github.com/tidwall/btree"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// JobID is a job's number, from the machine's own counter.
type JobID = scheduler.JobID

// Fence is a claim's number: the epoch above, a counter of 40 bits below. It only rises.
type Fence = scheduler.Fence

// SessionID is a session's number; never reused.
type SessionID uint64

const fenceBits = 40

// Machine is the whole replicated state. One caller at a time may Apply; the reads may run at the same time as each other, never as Apply.
type Machine struct {
	facts
	derived
	batch   current
	scratch []byte      // room for encoding; it says nothing
	parts   []claimPart // room of Apply: empty between two batches
	// lastOutcome is the hash of the last outcome of a finish, to be shared; it says nothing.
	lastOutcome []byte
}

// facts is what a snapshot holds. Values in the trees are immutable, and every tree copies in O(1).
type facts struct {
	epoch        uint32
	index        uint64
	wall, lease  int64 // milliseconds; both only rise, but for SetClock
	leadership   uint64
	monotonic    int64
	started      bool // a batch was applied, so leadership and monotonic mean something
	lastJob      uint64
	lastPlace    uint64
	lastClaim    uint64 // counter below the epoch in a fence
	lastSession  uint64
	lastExcluded uint64
	finished     uint64          // finishes that were accepted, ever
	rules        uint32          // the highest of all batches, at least 1
	settings     *logv1.Settings // every field is set but those since rules 2

	queues   *btree.Map[string, *logv1.QueueRecord]
	jobs     *btree.Map[uint64, *jobRec] // not final
	final    *btree.Map[uint64, *jobRec] // final, perhaps with a claim that still lives
	claims   *btree.Map[uint64, claim]   // by fence: the live ones
	sessions *btree.Map[uint64, *session]
	pulses   *btree.Map[uint64, pulse] // keys = those of sessions
	ended    *btree.Map[uint64, *session]
	answers  *btree.BTreeG[answer]
	keys     *btree.Map[string, *logv1.KeyRecord] // by user, NUL, key
	turns    *btree.BTreeG[turn]
	users    *btree.Map[string, int64] // idle since; 0: busy
	nodes    *btree.Map[string, *logv1.SetNode]

	decisions *btree.Map[uint64, *logv1.DecisionRecord] // by fence, so by epoch and index too: the last ones
	chunks    *btree.BTreeG[piece]                      // (job, attempt, offset): output before the last piece of its stream
	streams   *btree.BTreeG[piece]                      // (job, attempt): the last piece, perhaps empty, of each attempt with output

	lastSchedule uint64
	lastTick     uint64                           // of waiting ticks and tick records together
	deletedRev   uint64                           // highest revision of all schedules that were deleted since rules 5
	schedules    *btree.Map[string, *scheduleRec] // by name
	waiting      *btree.BTreeG[waitingTick]       // (schedule, line, number)
	ticks        *btree.BTreeG[*logv1.TickRecord] // (schedule, number): the newest of each schedule

	clusterID, clusterName string   // empty until it is named; then they never change
	removed                []string // node ids, oldest first; the slice is never changed
}

// derived is rebuilt from facts on restore. No result depends on the order of its maps.
type derived struct {
	board     *scheduler.Board
	queueLive map[string]*queueLive
	userLive  map[string]*userLive
	live      map[uint64]*sessionLive // keys = those of sessions
	byName    map[string]uint64       // live workers
	byClient  map[clientKey]uint64    // live sessions of other clients
	endedName map[string][]uint64     // ended workers, rising
	cover     map[coverKey]int        // live, not draining workers by what they serve
	excluded  *btree.BTreeG[lapse]
	finishes  fences           // of claims that ended by a finish
	kept      map[uint64]int64 // bytes of output that are kept, of jobs with a stream
	bytes     int64            // = sum of the sizes of jobs, answers, keys, output, schedules and ticks

	scheduleLive    map[uint64]*scheduleLive // keys = ids of the schedules
	pausedSchedules int
	schedulesOf     map[string]int           // schedules by the queue of their template
	fires           *btree.BTreeG[nameStamp] // (next fire, name) of schedules that are not paused
	stalled         *btree.Set[uint64]       // schedules whose waiting ticks could start: the bound of the last batch was reached

	leaseEnds   *btree.BTreeG[stamp] // (end, fence)
	sessionEnds *btree.BTreeG[stamp] // (end, session)
	dues        *btree.BTreeG[stamp] // (due, job) of scheduled jobs
	exclEnds    *btree.BTreeG[stamp] // (end, job) of pending jobs
	history     *btree.BTreeG[stamp] // (finished, job) of final jobs without a live claim
	keyEnds     *btree.BTreeG[nameStamp]
	idleEnds    *btree.BTreeG[nameStamp]
	retainEnds  *btree.BTreeG[nameStamp] // (when its oldest goes, queue)

	coordinators *btree.Map[string, coordination]
	members      *btree.BTreeG[membership]
}

// stamp orders by time, then by a unique number.
type stamp struct {
	at int64
	id uint64
}

func stampLess(a, b stamp) bool { return a.at < b.at || a.at == b.at && a.id < b.id }

// nameStamp orders by time, then by a unique name.
type nameStamp struct {
	at   int64
	name string
}

func nameStampLess(a, b nameStamp) bool { return a.at < b.at || a.at == b.at && a.name < b.name }

func newTree[T any](less func(a, b T) bool) *btree.BTreeG[T] {
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

// New returns an empty machine in epoch 1 with the default settings.
func New() *Machine {
	m := &Machine{facts: emptyFacts(1)}
	m.settings = defaultSettings()
	m.derived = m.emptyDerived()
	return m
}

func emptyFacts(epoch uint32) facts {
	return facts{
		epoch: epoch, rules: 1,
		queues: new(btree.Map[string, *logv1.QueueRecord]), jobs: new(btree.Map[uint64, *jobRec]), final: new(btree.Map[uint64, *jobRec]),
		claims: new(btree.Map[uint64, claim]), sessions: new(btree.Map[uint64, *session]), pulses: new(btree.Map[uint64, pulse]),
		ended: new(btree.Map[uint64, *session]), answers: newTree(answerLess), keys: new(btree.Map[string, *logv1.KeyRecord]),
		turns: newTree(turnLess), users: new(btree.Map[string, int64]), nodes: new(btree.Map[string, *logv1.SetNode]),
		decisions: new(btree.Map[uint64, *logv1.DecisionRecord]), chunks: newTree(chunkLess), streams: newTree(streamLess),
		schedules: new(btree.Map[string, *scheduleRec]), waiting: newTree(waitingLess), ticks: newTree(tickLess),
	}
}

func (m *Machine) emptyDerived() derived {
	return derived{
		board:     scheduler.NewBoard(turnsOf{m}, m.defaultMode()),
		queueLive: map[string]*queueLive{}, userLive: map[string]*userLive{}, live: map[uint64]*sessionLive{}, byName: map[string]uint64{},
		byClient: map[clientKey]uint64{}, endedName: map[string][]uint64{}, cover: map[coverKey]int{},
		excluded: newTree(lapseLess), finishes: newFences(), kept: map[uint64]int64{},
		leaseEnds: newTree(stampLess), sessionEnds: newTree(stampLess), dues: newTree(stampLess), exclEnds: newTree(stampLess),
		history: newTree(stampLess), keyEnds: newTree(nameStampLess), idleEnds: newTree(nameStampLess), retainEnds: newTree(nameStampLess),
		scheduleLive: map[uint64]*scheduleLive{}, schedulesOf: map[string]int{}, fires: newTree(nameStampLess), stalled: new(btree.Set[uint64]),
		coordinators: new(btree.Map[string, coordination]), members: newTree(membershipLess),
	}
}

// turn is the fact that the user was last served in the line by this claim.
type turn struct {
	user, line string
	fence      uint64
}

func turnLess(a, b turn) bool { return a.user < b.user || a.user == b.user && a.line < b.line }

type turnsOf struct{ m *Machine }

func (t turnsOf) Turn(line, user string) Fence {
	found, _ := t.m.turns.Get(turn{user: user, line: line})
	return Fence(found.fence)
}

// Epoch of the machine; it rises when a cluster is restored from a backup, or recovered.
func (m *Machine) Epoch() uint32 { return m.epoch }

// AppliedIndex is the log index of the last batch.
func (m *Machine) AppliedIndex() uint64 { return m.index }

// Clocks returns both clocks in milliseconds.
func (m *Machine) Clocks() (wallMs, leaseMs int64) { return m.wall, m.lease }
