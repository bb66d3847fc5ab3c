package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// stage is the leadership of a node whose batches go straight to its machine, past raft, one after the other when the test says so: its pack,
// settle and refuse are the real ones, and what happens between them is drawn. So a seed is a history.
type stage struct {
	t       testing.TB
	rng     *rand.Rand
	n       *Node
	l       *leadership
	clock   *stageClock
	index   uint64
	book    *dueBook
	line    *Line
	tickets []*Ticket  // claims of the line that may be unanswered
	calls   []*pending // claims of callers that block and may be unanswered
	numbers map[uint64]uint64
	weights []int
	queues  []string
	users   []string
	backlog int  // of jobs that wait, about
	refuses bool // raft refuses a batch now and then
	memory  bool // some lanes have a limit of memory
	trace   []string

	// woken counts the claims that went into a batch after they had been parked, begun the jobs that were claimed.
	woken, begun int
}

type stageClock struct{ wall, mono int64 }

func (c *stageClock) WallMillis() int64      { return c.wall }
func (c *stageClock) MonotonicMillis() int64 { return c.mono }

func newStage(t testing.TB, seed uint64) *stage {
	clock := &stageClock{noon, 1_000_000}
	c := Config{Clock: clock, Logger: hclog.NewNullLogger(), KeepEvents: 16, KeepEventBytes: 1 << 20}
	c.Timing.SnapshotBytes = 1 << 40
	n := &Node{config: c, log: c.Logger, closing: make(chan struct{})}
	n.machine = newMachine(c, func(err error) { panic(err) })
	n.feed = n.machine.feed
	n.life, n.end = context.WithCancel(context.Background())
	l := &leadership{node: n, id: 7, work: make(chan struct{}, 1), gathered: make(chan struct{}, 1), parking: newParking()}
	l.rules.Store(fsm.Rules)
	l.idle.Store(int64(time.Hour))
	l.ctx, l.cancel = context.WithCancel(n.life)
	l.fires = newFiring(l.ctx)
	l.nextTick = time.Now().Add(noTick)
	n.leading.Store(l)
	s := &stage{t: t, rng: rand.New(rand.NewPCG(seed, 0)), n: n, l: l, clock: clock, book: newDueBook(n.log), numbers: make(map[uint64]uint64)}
	s.openLine()
	return s
}

func (s *stage) openLine() {
	line, err := s.n.OpenLine(make(chan struct{}, 1))
	if err != nil {
		panic(err)
	}
	s.line = line
}

func (s *stage) one(n int) bool { return s.rng.IntN(n) == 0 }

func drawn[T any](s *stage, list ...T) T { return list[s.rng.IntN(len(list))] }

func (s *stage) note(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf("%d: ", s.index)+fmt.Sprintf(format, args...))
}

// submit a command whose caller does not look at the answer: what comes of it is read from the state.
func (s *stage) submit(c *logv1.Command) {
	s.note("submit %v", c)
	if err := s.l.submit(s.l.ctx, newPending(c)); err != nil {
		panic(err)
	}
}

// round packs, applies and settles one batch, with more happening between the steps. False: there was none.
func (s *stage) round(between func()) (bool, error) {
	b := s.l.pack()
	if b == nil {
		return false, nil
	}
	s.clock.wall++ // so that no two batches are of the same time
	between()
	if s.refuses && s.one(12) {
		s.note("refused: %v", b.entry.GetCommands())
		s.l.refuse(b, fmt.Errorf("%w: %w", ErrNotLeader, raft.ErrLeadershipTransferInProgress))
		s.l.nextTick = time.Now().Add(noTick)
		return true, s.check()
	}
	b.entry.Rules, b.entry.Leadership = fsm.Rules, s.l.id
	b.entry.NowMs, b.entry.MonotonicMs = s.clock.wall, s.clock.mono
	data, err := proto.Marshal(&b.entry)
	if err != nil {
		return false, err
	}
	s.index++
	for _, p := range b.pending {
		if p.claim != nil && p.age > 0 && p.waits {
			s.woken++
		}
	}
	outcome, err := s.n.machine.apply(&raft.Log{Index: s.index, Data: data})
	if err != nil {
		return false, err
	}
	for i := range outcome.Events {
		if outcome.Events[i].Kind == fsm.JobClaimed {
			s.begun++
		}
	}
	s.note("batch")
	for i, p := range b.pending {
		s.note("    %v age %d wish %+v first %v: %s", p.command, p.age, p.wish, p.first, short(outcome.Results[i]))
	}
	s.note("  ready %+v freed %+v rescan %v", outcome.Ready, outcome.Freed, outcome.Rescan)
	between()
	s.l.settle(b, outcome)
	s.l.nextTick = time.Now().Add(noTick)
	if outcome.More {
		s.tick()
	}
	return true, s.check()
}

// tick makes the proposer send a batch though nobody asks for one.
func (s *stage) tick() { s.l.nextTick = time.Time{} }

func (s *stage) busy() bool {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	return s.l.hasOther() || s.l.nextTick.IsZero()
}

// rest lets the proposer go on until it has nothing to do.
func (s *stage) rest() error {
	for range 1000 {
		if !s.busy() {
			return s.checkIdle()
		}
		if _, err := s.round(func() {}); err != nil {
			return err
		}
	}
	return errors.New("the proposer is never done")
}

// check that what is counted of parked claims is what there is.
func (s *stage) check() error {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	return s.l.checkParking()
}

// checkIdle: nothing is on its way, so no claim is parked that the machine has an answer for.
func (s *stage) checkIdle() (err error) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if err := s.l.checkParking(); err != nil {
		return err
	}
	s.n.View(func(m *fsm.Machine) { err = s.l.checkNoneLeft(m) })
	return err
}

// gather forgets the claims that were answered.
func (s *stage) gather() {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.tickets = slices.DeleteFunc(s.tickets, func(t *Ticket) bool { return t.where == isAnswered })
	s.calls = slices.DeleteFunc(s.calls, func(p *pending) bool { return p.where == isAnswered })
	s.line.answered = nil
}

// finish answers everybody; nothing may be left of it.
func (s *stage) finish() error {
	s.line.Close()
	for _, p := range s.calls {
		s.l.abandon(p, context.Canceled)
	}
	if err := s.rest(); err != nil {
		return err
	}
	l := s.l
	if n := len(l.byAge) + len(l.sessions) + len(l.numbered) + l.waiters.Len() + l.bound; n > 0 {
		return fmt.Errorf("nothing is parked, but %d things are counted", n)
	}
	return nil
}

func (s *stage) close() {
	s.l.cancel()
	s.n.end()
	s.l.close(ErrNotLeader)
}

func short(r *logv1.Result) string {
	text := r.String()
	return text[:min(len(text), 300)]
}
