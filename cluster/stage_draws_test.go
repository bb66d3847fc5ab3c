package cluster

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

const mostStageClaims = 8

// play a history of so many steps. What is drawn how often differs from seed to seed.
func (s *stage) play(steps int) error {
	s.refuses, s.memory = s.one(4), s.one(3)
	s.queues, s.users = []string{"p", "q", "r"}[:1+s.rng.IntN(3)], []string{"ana", "bo"}[:1+s.rng.IntN(2)]
	s.backlog = drawn(s, 3, 6, 12)
	total := 0
	for i := range stageDraws {
		w := 0
		if i < 6 || !s.one(3) {
			w = 1 + s.rng.IntN(6)
		}
		s.weights, total = append(s.weights, w), total+w
	}
	s.submit(&logv1.Command{Op: &logv1.Command_SetSettings{SetSettings: &logv1.SetSettings{Settings: &logv1.Settings{
		MultiUser: proto.Bool(!s.one(4)), Limits: &logv1.Limits{LeaseMs: proto.Int64(3_000), HeartbeatMs: proto.Int64(1_000)}}}}})
	for range 1 + s.rng.IntN(3) {
		s.register()
	}
	if err := s.rest(); err != nil {
		return err
	}
	act := func() {
		at := s.rng.IntN(total)
		for i, w := range s.weights {
			if at -= w; at < 0 {
				stageDraws[i](s)
				return
			}
		}
	}
	meanwhile := func() {
		for s.one(2) {
			act()
		}
	}
	for range steps {
		s.gather()
		for range 1 + s.rng.IntN(4) {
			act()
		}
		for s.busy() && !s.one(4) {
			meanwhile() // woken claims are not packed yet
			if _, err := s.round(meanwhile); err != nil {
				return err
			}
		}
		if s.one(3) {
			continue
		}
		if err := s.rest(); err != nil {
			return err
		}
	}
	return s.finish()
}

// stageDraws are what may happen; the first few may in every history.
var stageDraws = []func(*stage){
	(*stage).parkOnLine, (*stage).parkCall, (*stage).enqueue, (*stage).finishOne, (*stage).finishOne, (*stage).enqueue,
	(*stage).parkOnLine, (*stage).leave, (*stage).leave, (*stage).leave, (*stage).parkCall, (*stage).stopWaiting, (*stage).closeLine, (*stage).claimNow,
	(*stage).release, (*stage).heartbeat, (*stage).cancel, (*stage).retry, (*stage).pause, (*stage).pause, (*stage).limitQueue, (*stage).settings,
	(*stage).drain, (*stage).deregister, (*stage).register, (*stage).pass, (*stage).pass, (*stage).pass, (*stage).setBack, (*stage).schedule, (*stage).fire,
	(*stage).fire, (*stage).deleteQueue,
}

func (s *stage) queue() string { return drawn(s, s.queues...) }
func (s *stage) user() string  { return drawn(s, s.users...) }

func (s *stage) register() {
	r := &logv1.Register{Name: drawn(s, "u", "v", "w"), Nonce: s.rng.Uint64(), FormerGone: s.one(3)}
	for range 1 + s.rng.IntN(3) {
		lane := &logv1.Lane{Slots: uint32(1 + s.rng.IntN(3))}
		for _, name := range s.queues {
			if s.one(2) {
				lane.Chain = append(lane.Chain, name)
			}
		}
		s.rng.Shuffle(len(lane.Chain), func(i, j int) { lane.Chain[i], lane.Chain[j] = lane.Chain[j], lane.Chain[i] })
		if len(lane.Chain) == 0 || s.one(3) {
			lane.Chain = append(lane.Chain, "*")
		}
		if s.memory && !s.one(3) {
			lane.MemoryBytes = drawn[uint64](s, 1<<20, 3<<20, 8<<20)
		}
		r.Lanes = append(r.Lanes, lane)
	}
	if s.one(4) {
		r.User = s.user()
	}
	s.submit(&logv1.Command{Op: &logv1.Command_Register{Register: r}})
}

// worker draws a live one.
func (s *stage) worker() (w fsm.WorkerView, ok bool) {
	s.n.View(func(m *fsm.Machine) {
		if all := m.Workers(0, 100); len(all) > 0 {
			w, ok = all[s.rng.IntN(len(all))], true
		}
	})
	return w, ok
}

// claim draws one, numbered or not; now and then of a session that is gone.
func (s *stage) claim() *logv1.Command {
	w, ok := s.worker()
	if !ok || len(s.tickets)+len(s.calls) >= mostStageClaims {
		return nil
	}
	session := uint64(w.Session)
	if s.one(40) {
		session = 1
	}
	c := claim(session)
	c.GetClaim().Lane = uint32(s.rng.IntN(len(w.Lanes)))
	if s.one(3) {
		if !s.one(4) || s.numbers[session] == 0 { // else the same call again
			s.numbers[session]++
		}
		c = numbered(c, session, s.numbers[session])
		if s.one(6) {
			c.Repeat.Lowest = c.Repeat.Number
		}
	}
	return c
}

func (s *stage) parkOnLine() {
	var some []*Ticket
	for range 1 + s.rng.IntN(4) {
		if c := s.claim(); c != nil {
			t := &Ticket{Command: c, Waits: true}
			some, s.tickets = append(some, t), append(s.tickets, t)
			s.note("line %v", c)
		}
	}
	s.line.Submit(s.l.ctx, some)
}

func (s *stage) parkCall() {
	if c := s.claim(); c != nil {
		p := newPending(c)
		p.waits = true
		s.note("call %v", c)
		if s.l.submit(s.l.ctx, p) == nil {
			s.calls = append(s.calls, p)
		}
	}
}

// claimNow does not wait.
func (s *stage) claimNow() {
	if c := s.claim(); c != nil && s.one(3) {
		s.submit(c)
	}
}

// leave: the caller of a claim does not wait for the answer.
func (s *stage) leave() {
	if len(s.calls) > 0 {
		i := s.rng.IntN(len(s.calls))
		if on := slices.IndexFunc(s.calls, func(p *pending) bool { return p.where == isWoken || p.where == inFlight }); on >= 0 && !s.one(3) {
			i = on
		}
		s.note("leaves %v age %d where %d", s.calls[i].command, s.calls[i].age, s.calls[i].where)
		s.l.abandon(s.calls[i], context.Canceled)
		s.calls = slices.Delete(s.calls, i, i+1)
	}
}

// stopWaiting: wait_ms of a claim is over.
func (s *stage) stopWaiting() {
	if len(s.calls) > 0 && s.one(2) {
		p := s.calls[s.rng.IntN(len(s.calls))]
		s.note("is over %v age %d where %d", p.command, p.age, p.where)
		s.l.waitOver(p)
	} else if len(s.tickets) > 0 {
		i := s.rng.IntN(len(s.tickets))
		s.note("settle %v age %d where %d", s.tickets[i].command, s.tickets[i].age, s.tickets[i].where)
		s.line.Settle(s.tickets[i : i+1])
	}
}

func (s *stage) closeLine() {
	if s.one(4) || s.line.err != nil {
		s.note("close line")
		s.line.Close()
		s.tickets = nil
		s.openLine()
	}
}

func (s *stage) limits() *logv1.Limits {
	return &logv1.Limits{
		MaxAttempts: proto.Int32(1 + int32(s.rng.IntN(3))), BackoffFirstMs: proto.Int64(drawn[int64](s, 0, 500)), BackoffMostMs: proto.Int64(1_000),
		MaxRunMs: proto.Int64(drawn[int64](s, 0, 1_500)), ExclusionWindowMs: proto.Int64(drawn[int64](s, 0, 2_000)),
	}
}

func (s *stage) job() *logv1.NewJob {
	j := &logv1.NewJob{Kind: "k", Queue: s.queue(), User: s.user(), Priority: int32(s.rng.IntN(3))}
	if s.memory {
		j.MemoryBytes = drawn[uint64](s, 0, 1<<20, 1<<20, 2<<20, 4<<20)
	}
	if s.one(3) {
		j.DelayMs = drawn[int64](s, 1, 500, 500, 1_000)
	}
	if s.one(4) {
		j.Coordinator = drawn(s, "x", "y")
	}
	if s.one(2) {
		j.Limits = s.limits()
	}
	return j
}

func (s *stage) enqueue() {
	var wait int64
	s.n.View(func(m *fsm.Machine) {
		for _, q := range m.Queues() {
			wait += q.GetCounts().GetPending() + q.GetCounts().GetScheduled()
		}
	})
	if wait >= int64(s.backlog) { // where much waits, what one claim misses the next one finds
		return
	}
	e := &logv1.Enqueue{AllOrNothing: s.one(6)}
	for range 1 + s.rng.IntN(1+s.rng.IntN(6)) {
		e.Jobs = append(e.Jobs, s.job())
	}
	s.submit(&logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: e}})
}

func (s *stage) finishOne() {
	w, ok := s.worker()
	if !ok || len(w.Fences) == 0 {
		return
	}
	f := &logv1.Finish{Session: uint64(w.Session), Fence: w.Fences[s.rng.IntN(len(w.Fences))], Outcome: &logv1.Finish_Success{Success: &logv1.Success{}}}
	switch s.rng.IntN(8) {
	case 0, 1:
		f.Outcome = &logv1.Finish_Failure{Failure: &logv1.Failure{Error: "e", Discard: s.one(5)}}
	case 2:
		f.Outcome = &logv1.Finish_Snooze{Snooze: &logv1.Snooze{DelayMs: int64(s.rng.IntN(3) * 500)}}
	}
	if s.one(3) {
		f.Next = &logv1.NextClaim{Lane: uint32(s.rng.IntN(len(w.Lanes)))}
	}
	s.submit(&logv1.Command{Op: &logv1.Command_Finish{Finish: f}})
}

func (s *stage) release() {
	if w, ok := s.worker(); ok && len(w.Fences) > 0 {
		s.submit(&logv1.Command{Op: &logv1.Command_Release{Release: &logv1.Release{
			Session: uint64(w.Session), Fences: w.Fences[:1+s.rng.IntN(len(w.Fences))]}}})
	}
}

func (s *stage) heartbeat() {
	if w, ok := s.worker(); ok {
		s.submit(&logv1.Command{Op: &logv1.Command_Heartbeat{Heartbeat: &logv1.Heartbeat{Session: uint64(w.Session), Fences: w.Fences}}})
	}
}

// some job, most often a young one.
func (s *stage) some() uint64 {
	var last uint64
	s.n.View(func(m *fsm.Machine) { last = m.Totals().Enqueued })
	return max(1, last-min(last, uint64(s.rng.IntN(15))))
}

func (s *stage) cancel() {
	s.submit(&logv1.Command{Op: &logv1.Command_Cancel{Cancel: &logv1.Cancel{Job: s.some()}}})
}

func (s *stage) retry() {
	s.submit(&logv1.Command{Op: &logv1.Command_Retry{Retry: &logv1.Retry{Job: s.some()}}})
}

func (s *stage) pause() {
	s.submit(&logv1.Command{Op: &logv1.Command_SetQueue{SetQueue: &logv1.SetQueue{Name: s.queue(), Paused: proto.Bool(s.one(2))}}})
}

func (s *stage) limitQueue() {
	settings := &logv1.QueueSettings{}
	if s.one(2) {
		settings.MaxRunning = proto.Int64(int64(s.rng.IntN(4)))
	}
	if s.one(2) {
		settings.MaxRunningPerUser = proto.Int64(int64(s.rng.IntN(3)))
	}
	if s.one(3) {
		settings.Mode = drawn(s, logv1.Mode_MODE_FIFO, logv1.Mode_MODE_ROUND_ROBIN).Enum()
	}
	s.submit(&logv1.Command{Op: &logv1.Command_SetQueue{SetQueue: &logv1.SetQueue{Name: s.queue(), Settings: settings}}})
}

func (s *stage) settings() {
	settings := &logv1.Settings{}
	switch s.rng.IntN(3) {
	case 0:
		settings.MultiUser = proto.Bool(s.one(2))
	case 1:
		settings.DefaultMode = drawn(s, logv1.Mode_MODE_FIFO, logv1.Mode_MODE_ROUND_ROBIN).Enum()
	default:
		settings.MaxRunningPerUser = proto.Int64(int64(s.rng.IntN(4)))
	}
	s.submit(&logv1.Command{Op: &logv1.Command_SetSettings{SetSettings: &logv1.SetSettings{Settings: settings}}})
}

func (s *stage) drain() {
	if w, ok := s.worker(); ok {
		s.submit(&logv1.Command{Op: &logv1.Command_Drain{Drain: &logv1.Drain{Session: uint64(w.Session), Undo: !s.one(4)}}})
	}
}

func (s *stage) deregister() {
	if w, ok := s.worker(); ok && s.one(4) {
		s.submit(&logv1.Command{Op: &logv1.Command_Deregister{Deregister: &logv1.Deregister{Session: uint64(w.Session)}}})
	}
}

func (s *stage) deleteQueue() {
	s.submit(&logv1.Command{Op: &logv1.Command_DeleteQueue{DeleteQueue: &logv1.DeleteQueue{Name: s.queue()}}})
}

// pass some time: delays come due, leases, limits of runs, exclusions and sessions end.
func (s *stage) pass() {
	d := drawn[int64](s, 1, 100, 500, 1_000, 1_000)
	s.note("%d ms pass", d)
	s.clock.wall += d
	s.clock.mono += d
	s.tick()
}

// setBack the clock of the machine, and the node's, which was wrong.
func (s *stage) setBack() {
	if s.one(4) {
		s.clock.wall -= 1_500
		s.submit(&logv1.Command{Op: &logv1.Command_SetClock{SetClock: &logv1.SetClock{NowMs: s.clock.wall}}})
	}
}

func (s *stage) schedule() {
	d := minutely(drawn(s, "a", "b"), s.clock.wall-1000)
	d.Spec, d.MaxInstances, d.Template = drawn(s, "@every 1s", "@every 2s"), int32(1+s.rng.IntN(3)), s.job()
	d.Template.DelayMs = 0
	if s.one(2) {
		d.Overlap = logv1.Overlap_OVERLAP_QUEUE
	}
	s.submit(putOf(s.t, d, 0, s.n.Now()))
}

// fire what is due, as the leader's duty does.
func (s *stage) fire() {
	if fire, _ := s.l.nextFire(s.book); fire != nil {
		s.note("fire %v", fire.command)
		s.l.mu.Lock()
		s.l.fires.next = fire
		s.l.mu.Unlock()
	}
}
