package fsm_test

import (
	"fmt"
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// naive is a second machine, written from docs/design.md alone: maps, sorts and full scans. It answers every command as a text in the
// form of describeValue, without the parameters of refusals. Bytes of state, its bounds and the forgetting of users are not in it.
type naive struct {
	wall, lease int64
	lead        uint64
	mono        int64
	started     bool

	place, counter uint64
	jobs           map[uint64]*naiveJob
	nextJob        uint64
	queues         map[string]*naiveQueue
	sessions       map[uint64]*naiveSession
	nextSession    uint64
	claims         map[uint64]*naiveClaim
	turns          map[string]uint64 // line and user
	keys           map[string]*naiveKey
	excluded       int64        // numbers the exclusions by age
	hit            *naiveAnswer // the stored answer that the last call of repeatable stored or found
	index          uint64
	rules          uint32
	decisions      []string        // of this batch
	grown          map[uint64]bool // of this batch
	unstored       bool            // the refusal that comes is not kept for a repeat: the leader computes again

	schedules    map[string]*naiveSchedule
	nextSchedule uint64
	lastTick     uint64   // numbers waiting ticks and records
	deletedRev   uint64   // highest revision of those that were deleted
	marked       []uint64 // schedules that may have room for a tick that waits
	events       []string // of schedules, of this batch
	broken       string   // an invariant

	settings *logv1.Settings

	clusterID, clusterName string
	nodes                  map[string]string // raft address by id
	removed                []string
}

type naiveJob struct {
	id       uint64
	spec     *logv1.NewJob
	prio     int32
	place    uint64
	state    logv1.State
	due      int64
	attempt  int
	charged  int
	finished int64
	excl     map[string]*naiveExclusion
	last     uint64 // fence of its last claim
	outcome  string // what finished that claim, "" if it did not end by a finish
	answer   string
	retryOf  uint64
	retried  bool
	placed   int64
	made     int64 // when it was enqueued
	progress string
	steps    []string
	dropped  int
	streams  map[int][]byte // all output by attempt, also what is not kept

	coordinator string
	firstDue    int64
	schedule    string
	scheduleID  uint64
	fire        int64
	cause       logv1.FireCause
}

type naiveExclusion struct{ until, age int64 }

type naiveQueue struct {
	name     string
	settings *logv1.QueueSettings
	paused   bool
}

type naiveSession struct {
	id       uint64
	name     string
	nonce    uint64
	worker   bool
	user     string
	lanes    []*logv1.Lane
	heard    int64
	ended    bool
	replaced bool
	draining bool
	lowest   uint64
	answers  map[uint64]*naiveAnswer
}

type naiveAnswer struct{ body, text string }

type naiveClaim struct {
	fence   uint64
	job     *naiveJob
	session *naiveSession
	lane    uint32
	length  int64
	attempt int
	ends    int64
	runEnd  int64 // 0: none
}

type naiveKey struct {
	job  uint64
	body string
	made int64
}

func newNaive() *naive {
	return &naive{jobs: map[uint64]*naiveJob{}, queues: map[string]*naiveQueue{}, sessions: map[uint64]*naiveSession{},
		claims: map[uint64]*naiveClaim{}, turns: map[string]uint64{}, keys: map[string]*naiveKey{}, schedules: map[string]*naiveSchedule{}, nodes: map[string]string{},
		settings: &logv1.Settings{DefaultMode: logv1.Mode_MODE_ROUND_ROBIN.Enum(), MultiUser: proto.Bool(true), CreateQueues: proto.Bool(true),
			RetentionMs: proto.Int64(86_400_000), RetentionJobs: proto.Int64(100_000), Limits: &logv1.Limits{
				LeaseMs: proto.Int64(60_000), HeartbeatMs: proto.Int64(20_000), MaxAttempts: proto.Int32(4), BackoffFirstMs: proto.Int64(1000),
				BackoffFactorPercent: proto.Int32(200), BackoffMostMs: proto.Int64(600_000), OnTimeout: logv1.OnTimeout_ON_TIMEOUT_RETRY.Enum(),
				ExclusionWindowMs: proto.Int64(60_000)}}}
}

// apply answers the batch by position.
func (n *naive) apply(index uint64, b *logv1.Batch) []string {
	n.index, n.rules, n.decisions, n.grown, n.events = index, b.GetRules(), nil, map[uint64]bool{}, nil
	n.wall = max(n.wall, b.GetNowMs())
	if n.started && b.GetLeadership() == n.lead {
		n.lease += min(max(b.GetMonotonicMs()-n.mono, 0), 1000)
	}
	n.started, n.lead, n.mono = true, b.GetLeadership(), b.GetMonotonicMs()

	out := make([]string, len(b.GetCommands()))
	late := make([]func(), len(b.GetCommands()))         // claim parts of finishes
	stored := make([]*naiveAnswer, len(b.GetCommands())) // what is given again is whole only after the claim parts
	for i, c := range b.GetCommands() {
		if isEarly(c) {
			out[i] = n.repeatable(c, func() string { return n.early(c, func(f func() string) { late[i] = func() { out[i] += f() } }) })
			stored[i] = n.hit
		}
	}
	n.timers()
	n.pumpMarked()
	for i, c := range b.GetCommands() {
		switch {
		case late[i] != nil:
			late[i]()
			if stored[i] != nil { // both results of a finish are stored
				stored[i].text = out[i]
			}
		case !isEarly(c):
			out[i] = n.repeatable(c, func() string { return n.late(c) })
		}
	}
	n.pumpMarked()
	for i, a := range stored {
		if a != nil {
			out[i] = a.text
		}
	}
	return out
}

func isEarly(c *logv1.Command) bool {
	switch c.GetOp().(type) {
	case *logv1.Command_Heartbeat, *logv1.Command_Output, *logv1.Command_Finish, *logv1.Command_Release:
		return true
	}
	return false
}

func bodyOf(c *logv1.Command) string {
	body := proto.Clone(c).(*logv1.Command)
	body.Repeat = nil
	switch op := body.GetOp().(type) { // what the leader computed is no part of what the caller asked for
	case *logv1.Command_PutSchedule:
		op.PutSchedule = &logv1.PutSchedule{Schedule: op.PutSchedule.GetSchedule(), ExpectedRevision: op.PutSchedule.GetExpectedRevision()}
	case *logv1.Command_ResumeSchedule:
		op.ResumeSchedule = &logv1.ResumeSchedule{Name: op.ResumeSchedule.GetName()}
	case *logv1.Command_BackfillSchedule:
		op.BackfillSchedule = &logv1.BackfillSchedule{Name: op.BackfillSchedule.GetName()}
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(body)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// repeatable runs the command unless its number was answered, is too old or opens too many.
func (n *naive) repeatable(c *logv1.Command, run func() string) string {
	n.hit = nil
	r := c.GetRepeat()
	if r == nil {
		return run()
	}
	s, refusal := n.live(r.GetSession())
	if refusal != "" {
		return refusal
	}
	if r.GetLowest() > s.lowest {
		s.lowest = r.GetLowest()
		for number := range s.answers {
			if number < s.lowest {
				delete(s.answers, number)
			}
		}
	}
	if r.GetNumber() < s.lowest {
		return "refused too_old"
	}
	if a, ok := s.answers[r.GetNumber()]; ok {
		if a.body != bodyOf(c) {
			return "refused number_reused"
		}
		n.hit = a
		return a.text
	}
	if r.GetNumber()-s.lowest >= 1024 {
		return "refused too_many_open"
	}
	n.unstored = false
	text := run()
	if n.unstored {
		n.unstored = false
		return text
	}
	switch text {
	case "nothing", "at_capacity", "draining": // an empty claim stores nothing
	default:
		n.hit = &naiveAnswer{bodyOf(c), text}
		s.answers[r.GetNumber()] = n.hit
	}
	return text
}

// live returns the session, or the refusal of a call that names it; it is a sign of life.
func (n *naive) live(id uint64) (*naiveSession, string) {
	s, ok := n.sessions[id]
	switch {
	case !ok:
		return nil, "refused session_ended"
	case s.replaced:
		return nil, "refused session_replaced"
	case s.ended:
		return nil, "refused session_ended"
	}
	s.heard = n.lease
	return s, ""
}

func (n *naive) early(c *logv1.Command, part func(func() string)) string {
	switch op := c.GetOp().(type) {
	case *logv1.Command_Heartbeat:
		return n.heartbeat(op.Heartbeat)
	case *logv1.Command_Output:
		return n.output(op.Output)
	case *logv1.Command_Release:
		return n.release(op.Release)
	case *logv1.Command_Finish:
		return n.finish(op.Finish, part)
	}
	panic("not early")
}

func (n *naive) late(c *logv1.Command) string {
	switch op := c.GetOp().(type) {
	case *logv1.Command_Register:
		r := op.Register
		return n.open(&naiveSession{name: r.GetName(), nonce: r.GetNonce(), worker: true, user: r.GetUser(), lanes: r.GetLanes()}, r.GetFormerGone())
	case *logv1.Command_OpenSession:
		return n.open(&naiveSession{name: op.OpenSession.GetName(), nonce: op.OpenSession.GetNonce()}, false)
	case *logv1.Command_Drain:
		return n.drain(op.Drain)
	case *logv1.Command_Deregister:
		return n.deregister(op.Deregister.GetSession())
	case *logv1.Command_Enqueue:
		return n.enqueue(op.Enqueue)
	case *logv1.Command_Claim:
		return n.claim(op.Claim.GetSession(), op.Claim.GetLane())
	case *logv1.Command_Cancel:
		return n.cancel(op.Cancel.GetJob())
	case *logv1.Command_Retry:
		return n.retry(op.Retry.GetJob())
	case *logv1.Command_CancelMany:
		return n.many(op.CancelMany.GetJobs(), n.cancelOfMany)
	case *logv1.Command_RetryMany:
		return n.many(op.RetryMany.GetJobs(), n.retryOfMany)
	case *logv1.Command_SetQueue:
		return n.setQueue(op.SetQueue)
	case *logv1.Command_DeleteQueue:
		return n.deleteQueue(op.DeleteQueue.GetName())
	case *logv1.Command_SetSettings:
		proto.Merge(n.settings, op.SetSettings.GetSettings())
		return "settings"
	}
	if text, ok := n.identityCommand(c); ok {
		return text
	}
	if text, ok := n.scheduleCommand(c); ok {
		return text
	}
	return "done"
}

func sortedKeys[V any](m map[uint64]V) []uint64 {
	var out []uint64
	for k := range m {
		out = append(out, k)
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out
}

// withoutParams cuts the parameters of refusals from what describeValue prints.
func withoutParams(s string) string {
	parts := strings.Split(s, "refused ")
	for i := 1; i < len(parts); i++ {
		end := strings.IndexAny(parts[i], " ,)")
		if end < 0 {
			continue
		}
		rest := parts[i][end:]
		for strings.HasPrefix(rest, " ") && strings.Contains(strings.SplitN(rest[1:], " ", 2)[0], "=") {
			cut := strings.IndexAny(rest[1:], " ,)")
			if cut < 0 {
				rest = ""
				break
			}
			rest = rest[1+cut:]
		}
		parts[i] = parts[i][:end] + rest
	}
	return strings.Join(parts, "refused ")
}

func (j *naiveJob) String() string {
	return fmt.Sprintf("job %d %s attempt=%d prio=%d", j.id, stateText(j.state), j.attempt, j.prio)
}
