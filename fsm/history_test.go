package fsm_test

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// dice is a generator of numbers that is the same on every architecture and Go version (splitmix64).
type dice struct{ state uint64 }

func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number in [0, n); n must be positive.
func (d *dice) below(n int) int { return int(d.next() % uint64(n)) }

// one is true once in n.
func (d *dice) one(n int) bool { return d.below(n) == 0 }

func pick[T any](d *dice, list ...T) T { return list[d.below(len(list))] }

// history draws the batches of one random run. Which commands it draws, and how often, differs from run to run (swarm testing): a
// run without heartbeats sees leases end, a run without finishes sees full lanes. It learns session ids and fences from the answers.
type history struct {
	dice
	index      uint64
	wall, mono int64
	lead       uint64
	weights    []int
	total      int
	sessions   []*drawnSession
	jobs       int // ids up to this one are drawn
	nonce      uint64
	extremes   bool // draws values that the machine must refuse, too
	rules      uint32
	old        uint64 // batches up to this index are of former rules, and some later ones if it is not 0
	now        uint32 // rules of the batch that is being drawn
	draws      []func(*history) *logv1.Command
	ends       map[uint64]uint64 // of output, by fence, as the answers said
	clock      int64             // of the machine in the batch that is being drawn
	schedules  map[string]*drawnSchedule
	fired      *logv1.Command // the last fire
	leaps      bool           // the wall clock leaps by minutes
}

type drawnSession struct {
	id     uint64
	name   string
	nonce  uint64
	lanes  []*logv1.Lane
	user   string
	fences []uint64
	number uint64
	lowest uint64
	sent   []*logv1.Command // numbered ones, for repeats
}

const historyLeaseMillis = 5_000

var (
	drawnQueues = []string{"default", "q", "r", "s"}
	drawnUsers  = []string{"A", "B", "C", "D"}
	drawnNames  = []string{"w", "v", "u"}
)

// newHistory is of the newest rules; some histories begin under former rules and fall back to them.
func newHistory(seed uint64) *history { return newHistoryOf(seed, fsm.Rules) }

// newHistoryOf former rules draws what it drew before there were others: the lists of digests in testdata rest on that.
func newHistoryOf(seed uint64, rules uint32) *history {
	h := &history{dice: dice{seed}, wall: 1_700_000_000_000, mono: 1_000_000, lead: 1, rules: rules, draws: draws, ends: map[uint64]uint64{},
		schedules: map[string]*drawnSchedule{}}
	if rules >= 2 {
		h.draws = slices.Concat(draws, drawsSince2)
		if h.one(3) {
			h.old = uint64(1 + h.below(60))
		}
	}
	if rules >= 3 {
		h.draws = slices.Concat(h.draws, drawsSince3)
		h.leaps = h.one(3)
	}
	if rules >= 4 {
		h.draws = slices.Concat(h.draws, drawsSince4)
	}
	for i := range len(h.draws) {
		w := 0
		if i < alwaysDrawn || !h.one(3) {
			w = 1 + h.below(8)
		}
		h.weights = append(h.weights, w)
		h.total += w
	}
	return h
}

// alwaysDrawn kinds at the head of draws have a weight in every run.
const alwaysDrawn = 3

// draws are the kinds of commands. A draw may return nil: there is nothing sensible to do.
var draws = []func(*history) *logv1.Command{
	(*history).register, (*history).enqueue, (*history).claim,
	(*history).claim, (*history).finish, (*history).finish, (*history).finish, (*history).heartbeat, (*history).release,
	(*history).cancel, (*history).retry, (*history).setQueue, (*history).pauseQueue, (*history).deleteQueue, (*history).settings,
	(*history).drain, (*history).deregister, (*history).openSession, (*history).repeated, (*history).enqueue,
}

var drawsSince2 = []func(*history) *logv1.Command{
	(*history).output, (*history).output, (*history).output, (*history).cancelMany, (*history).retryMany, (*history).outputSettings,
}

// batch draws the next batch.
func (h *history) batch() *logv1.Batch {
	h.index += 1 + uint64(h.below(3))
	step := int64(pick(&h.dice, 0, 1, 10, 300, 500, 1000, 1700))
	h.mono += step
	h.wall += step
	switch h.below(60) {
	case 0:
		h.wall += int64(h.below(40_000))
	case 1:
		h.wall -= int64(h.below(5_000))
	case 2:
		h.lead, h.mono = h.next(), int64(h.below(1_000_000_000))
	}
	if h.leaps && h.one(15) {
		h.wall += int64(h.below(200_000))
	}
	h.now = h.rules
	if h.old > 0 && (h.index <= h.old || h.one(9)) {
		h.now = 1
		if h.rules >= 3 {
			h.now += uint32(h.below(int(h.rules) - 1))
		}
	}
	h.clock = max(h.clock, h.wall)
	b := &logv1.Batch{Rules: h.now, NowMs: h.wall, MonotonicMs: h.mono, Leadership: h.lead}
	if h.index <= 3 {
		b.Commands = append(b.Commands, settingsCommand(&logv1.Settings{Limits: &logv1.Limits{
			LeaseMs: proto.Int64(historyLeaseMillis), HeartbeatMs: proto.Int64(1_000)}}))
	}
	for range h.below(9) {
		if c := h.command(); c != nil {
			b.Commands = append(b.Commands, c)
		}
	}
	return b
}

func settingsCommand(s *logv1.Settings) *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_SetSettings{SetSettings: &logv1.SetSettings{Settings: s}}}
}

func (h *history) command() *logv1.Command {
	at := h.below(h.total)
	for i, w := range h.weights {
		if at -= w; at < 0 {
			if h.now < h.sinceOf(i) {
				return nil
			}
			return h.draws[i](h)
		}
	}
	return nil
}

// sinceOf the kind of commands at a place of draws: the rules that it needs.
func (h *history) sinceOf(place int) uint32 {
	rules := uint32(1)
	for _, more := range [][]func(*history) *logv1.Command{draws, drawsSince2, drawsSince3} {
		if place < len(more) {
			break
		}
		place -= len(more)
		rules++
	}
	return rules
}

// observe learns from the answers, and from the events of jobs that schedules made.
func (h *history) observe(b *logv1.Batch, out fsm.Outcome) {
	for _, e := range out.Events {
		if e.Kind == fsm.JobEnqueued && h.rules >= 3 {
			h.jobs = max(h.jobs, int(e.Job))
		}
	}
	for i, res := range out.Results {
		h.observeSchedules(b.Commands[i], res)
		if c := b.Commands[i].GetSetClock(); c != nil && res.GetRefusal() == nil {
			h.clock = c.GetNowMs()
		}
		switch v := res.GetValue().(type) {
		case *logv1.Result_Session:
			h.observeSession(b.Commands[i], v.Session)
		case *logv1.Result_Enqueue:
			for _, o := range v.Enqueue.GetOutcomes() {
				h.jobs = max(h.jobs, int(o.GetJob()))
			}
		case *logv1.Result_Retry:
			h.jobs = max(h.jobs, int(v.Retry.GetJob()))
		case *logv1.Result_Many:
			for _, o := range v.Many.GetOutcomes() {
				h.jobs = max(h.jobs, int(o.GetNewJob()))
			}
		case *logv1.Result_Output:
			for k, s := range v.Output.GetStatuses() {
				h.ends[b.Commands[i].GetOutput().GetParts()[k].GetFence()] = s.GetEnd()
			}
		case *logv1.Result_Claim:
			h.observeClaim(b.Commands[i].GetClaim().GetSession(), v.Claim)
		case *logv1.Result_Finish:
			h.observeClaim(b.Commands[i].GetFinish().GetSession(), v.Finish.GetNext())
		}
	}
}

func (h *history) observeSession(c *logv1.Command, s *logv1.SessionResult) {
	for _, known := range h.sessions {
		if known.id == s.GetSession() {
			return
		}
	}
	d := &drawnSession{id: s.GetSession(), lowest: 1}
	if reg := c.GetRegister(); reg != nil {
		d.name, d.nonce, d.lanes, d.user = reg.GetName(), reg.GetNonce(), reg.GetLanes(), reg.GetUser()
	} else {
		d.name, d.nonce = c.GetOpenSession().GetName(), c.GetOpenSession().GetNonce()
	}
	h.sessions = append(h.sessions, d)
}

func (h *history) observeClaim(session uint64, c *logv1.ClaimResult) {
	if c.GetFence() == 0 {
		return
	}
	for _, s := range h.sessions {
		if s.id == session {
			s.fences = append(s.fences, c.GetFence())
		}
	}
}

// session draws one of the sessions, most often a young one.
func (h *history) session() *drawnSession {
	if len(h.sessions) == 0 {
		return nil
	}
	if n := len(h.sessions); n > 4 && !h.one(10) {
		return h.sessions[n-1-h.below(4)]
	}
	return pick(&h.dice, h.sessions...)
}

// fence draws one of the session's numbers, most often a young one, seldom somebody else's.
func (h *history) fence(s *drawnSession) uint64 {
	if h.one(30) || len(s.fences) == 0 {
		return 1<<40 + uint64(h.below(50))
	}
	if n := len(s.fences); n > 5 && !h.one(8) {
		return s.fences[n-1-h.below(5)]
	}
	return pick(&h.dice, s.fences...)
}

// numbered gives the command a number of the session, in two of three cases.
func (h *history) numbered(s *drawnSession, c *logv1.Command) *logv1.Command {
	if s == nil || h.one(3) {
		return c
	}
	s.number++
	if h.one(3) {
		s.lowest = s.number - min(uint64(h.below(4)), s.number-1)
	}
	c.Repeat = &logv1.Repeat{Session: s.id, Number: s.number, Lowest: s.lowest}
	s.sent = append(s.sent, c)
	return c
}

func (h *history) String() string {
	return fmt.Sprintf("%d sessions, %d jobs", len(h.sessions), h.jobs)
}
