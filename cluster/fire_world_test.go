package cluster

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/cluster/calendar"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// handClock is a wall clock that a test moves; its monotonic clock is the system's.
type handClock struct {
	systemClock
	ms atomic.Int64
}

func newHandClock(at int64) *handClock {
	c := &handClock{systemClock: systemClock{time.Now()}}
	c.ms.Store(at)
	return c
}

func (c *handClock) WallMillis() int64 { return c.ms.Load() }

// forward moves the clock and says so to the duties of the nodes.
func (c *handClock) forward(w *world, d time.Duration) {
	c.ms.Add(d.Milliseconds())
	w.nudge()
}

func (w *world) nudge() {
	for _, n := range w.nodes {
		if l := n.leading.Load(); l != nil {
			poke(l.fires.earlier)
		}
	}
}

// minutely is a schedule that runs every minute from an instant on, as often at a time as it is due.
func minutely(name string, from int64) *logv1.Schedule {
	return &logv1.Schedule{
		Name: name, Spec: "@every 1m", StartMs: from, CatchUp: logv1.CatchUp_CATCH_UP_LATEST, MaxInstances: 1000,
		Overlap: logv1.Overlap_OVERLAP_SKIP, MisfireGraceMs: proto.Int64(-1), Template: &logv1.NewJob{Kind: "k", User: "ana"},
	}
}

// putOf is the command that puts a new schedule, with the grid as the leader computes it.
func putOf(t testing.TB, s *logv1.Schedule, offset, now int64) *logv1.Command {
	t.Helper()
	anchor, next, err := calendar.Anchor(calendar.Definition{Spec: s.GetSpec(), Zone: s.GetZone(), StartMs: s.GetStartMs(), EndMs: s.GetEndMs()}, now)
	if err != nil {
		t.Fatal(err)
	}
	return &logv1.Command{Op: &logv1.Command_PutSchedule{PutSchedule: &logv1.PutSchedule{
		Schedule: s, OffsetMs: offset, AnchorMs: anchor, NextMs: next,
	}}}
}

func (w *world) put(n *Node, s *logv1.Schedule) {
	w.t.Helper()
	w.propose(n, putOf(w.t, s, 0, n.Now()))
}

// history of a schedule, oldest first, and its record.
func (w *world) history(n *Node, name string) (record *logv1.ScheduleRecord, ticks []*logv1.TickRecord) {
	w.t.Helper()
	n.View(func(m *fsm.Machine) {
		if v, ok := m.Schedule(name); ok {
			record = v.Record
		}
		newest, _, _ := m.Ticks(name, 0, 1000)
		for i := range newest {
			ticks = append(ticks, newest[len(newest)-1-i])
		}
	})
	if record == nil {
		w.t.Fatalf("no schedule %s", name)
	}
	return record, ticks
}

// words of a history.
func words(ticks []*logv1.TickRecord) string {
	out := ""
	for _, t := range ticks {
		out += fmt.Sprintf("%v %v %d, ", t.GetResult(), t.GetReason(), t.GetCount())
	}
	return out
}

func (w *world) fired(n *Node, name string, count uint64) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d fires of %s", count, name), func() bool {
		record, _ := w.history(n, name)
		return record.GetTotals().GetFired() >= count
	})
}

// A cluster without a session or any caller fires, at the time and not before.
func TestScheduleFiresByItself(t *testing.T) {
	for _, store := range everyStore {
		t.Run(store, func(t *testing.T) {
			clock := newHandClock(noon)
			w := newWorld(t, store, 3, func(c *Config) { c.Clock = clock })
			n := w.leader()
			w.put(n, minutely("report", noon+60_000))
			clock.forward(w, 59_999*time.Millisecond)
			if fire, wait := n.leading.Load().nextFire(newDueBook(n.log)); fire != nil || wait != time.Millisecond {
				t.Errorf("a millisecond before: %v, wait for %v", fire, wait)
			}
			clock.forward(w, time.Millisecond)
			w.fired(n, "report", 1)
			clock.forward(w, time.Minute)
			w.fired(n, "report", 2)
			_, ticks := w.history(n, "report")
			for i, tick := range ticks {
				if tick.GetFirstMs() != noon+int64(i+1)*60_000 || tick.GetLateMs() != 0 {
					t.Errorf("tick %d: %v", i, tick)
				}
			}
			w.until("the leader counted both", func() bool { return ticksSeen(n) == 2 }) // right after the state holds them
			if s := n.TickStats(); len(s.Counts) != 1 || s.Late[0] != 2 {
				t.Errorf("the leader counted %+v", s)
			}
			w.sameDigests()
			for _, other := range w.nodes {
				if s := other.TickStats(); other != n && len(s.Counts) != 0 {
					t.Errorf("a follower counted %+v", s)
				}
			}
		})
	}
}

// A schedule that is put so that it is due at once does not wait for the next look of the duty.
func TestChangesFireAtOnce(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, func(c *Config) { c.Clock = newHandClock(noon) })
	n := w.nodes[0]
	w.put(n, minutely("later", noon+3_600_000))
	began := time.Now()
	const puts = 20
	for i := range puts {
		name := fmt.Sprintf("now%d", i)
		w.put(n, minutely(name, noon))
		w.fired(n, name, 1)
	}
	if took := time.Since(began); took > puts*fireLook/4 { // looking alone takes twice that
		t.Errorf("%d schedules that were due at once took %v", puts, took)
	}
}

// A clock that was set forward without anybody saying so is noticed by the next look.
func TestClockJumpIsNoticed(t *testing.T) {
	clock := newHandClock(noon)
	w := newWorld(t, StoreWAL, 1, func(c *Config) { c.Clock = clock })
	n := w.nodes[0]
	w.put(n, minutely("report", noon+3_600_000))
	clock.ms.Add(3_600_000)
	w.fired(n, "report", 1)
	// Set back: the state's clock stays, so nothing fires twice and nothing is lost.
	clock.ms.Store(noon)
	w.propose(n, checkpoint())
	w.nudge()
	w.put(n, minutely("behind", noon+3_600_000)) // by the clock of the state it is due, by that of the node it is not
	w.fired(n, "behind", 1)
	clock.forward(w, 3_660_000*time.Millisecond)
	w.fired(n, "report", 2)
	if _, ticks := w.history(n, "report"); len(ticks) != 2 || ticks[1].GetFirstMs() != noon+3_660_000 {
		t.Errorf("ticks %v", ticks)
	}
}

// A fire's jobs wake the claims that wait for them, in the same batch.
func TestFireWakesParkedClaims(t *testing.T) {
	clock := newHandClock(noon)
	w := newWorld(t, StoreWAL, 1, func(c *Config) { c.Clock = clock })
	n := w.nodes[0]
	session := w.worker(n, "worker", 3)
	w.put(n, minutely("one", noon+60_000))
	w.put(n, minutely("two", noon+60_000))
	answers := make(chan *parkedClaim, 3)
	for range 3 {
		c := w.claimLater(n, session, time.Minute)
		go func() {
			<-c.done
			answers <- c
		}()
	}
	w.parked(n, 3)
	clock.forward(w, time.Minute)
	w.fired(n, "one", 1)
	_, ticks := w.history(n, "one")
	for range 2 {
		c := <-answers
		if c.err != nil || c.result.GetClaim().GetJob().GetSchedule() == "" || c.result.GetIndex() != ticks[0].GetIndex() {
			t.Errorf("claim %v %v, fired in entry %d", c.result, c.err, ticks[0].GetIndex())
		}
	}
	w.parked(n, 1)
}

// What the same Fire says again, by this leader or by the next, is not done again.
func TestSameFireByTwoLeaders(t *testing.T) {
	clock := newHandClock(noon)
	w := newWorld(t, StoreWAL, 3, func(c *Config) { c.Clock = clock })
	n := w.leader()
	w.put(n, minutely("report", noon+60_000))
	record, _ := w.history(n, "report")
	again := &logv1.Command{Op: &logv1.Command_Fire{Fire: &logv1.Fire{Dues: []*logv1.Due{{
		Schedule: record.GetId(), Revision: record.GetRevision(), FirstMs: noon + 60_000, LastMs: noon + 60_000, Count: 1,
		NextMs: noon + 120_000, PeriodMs: 60_000,
	}}}}}
	if status := w.propose(n, again).GetFire().GetStatuses()[0]; status != logv1.FireStatus_FIRE_STATUS_EARLY {
		t.Errorf("before its time: %v", status)
	}
	clock.forward(w, time.Minute)
	w.propose(n, again)
	w.fired(n, "report", 1)
	if status := w.propose(n, again).GetFire().GetStatuses()[0]; status != logv1.FireStatus_FIRE_STATUS_STALE {
		t.Errorf("again: %v", status)
	}
	if err := await(w.limit(10*time.Second), n.raft.LeadershipTransfer()); err != nil {
		t.Fatal(err)
	}
	w.until("the other leader", func() bool { return !n.IsLeader() })
	next := w.leader()
	if status := w.propose(next, again).GetFire().GetStatuses()[0]; status != logv1.FireStatus_FIRE_STATUS_STALE {
		t.Errorf("by the next leader: %v", status)
	}
	_, ticks := w.history(next, "report")
	var jobs int
	next.View(func(m *fsm.Machine) { jobs = m.Totals().Jobs })
	if len(ticks) != 1 || jobs != 1 {
		t.Errorf("%d jobs, ticks %s", jobs, words(ticks))
	}
	w.sameDigests()
}

// A leader that comes late applies the rules of catching up to what was missed, once.
func TestLateLeaderCatchesUp(t *testing.T) {
	clock := newHandClock(noon)
	w := newWorld(t, StoreWAL, 3, func(c *Config) { c.Clock = clock })
	n := w.leader()
	latest, all, skip, grace := minutely("latest", noon+60_000), minutely("all", noon+60_000), minutely("skip", noon+60_000), minutely("grace", noon+60_000)
	all.CatchUp, skip.CatchUp = logv1.CatchUp_CATCH_UP_ALL, logv1.CatchUp_CATCH_UP_SKIP
	grace.MisfireGraceMs = proto.Int64(1000)
	for _, s := range []*logv1.Schedule{latest, all, skip, grace} {
		w.put(n, s)
	}
	var closed []*Node
	for _, other := range w.nodes {
		if other != n {
			closed = append(closed, other)
			w.close(other)
		}
	}
	w.until("no leader", func() bool { return !n.IsLeader() })
	clock.ms.Add(5*60_000 + 2000) // 5 times are due, the newest for 2 s
	w.nodes = []*Node{n, w.reopen(closed[0])}
	late := w.leader()
	for name, want := range map[string]string{
		"latest": "TICK_RESULT_COALESCED TICK_REASON_NEWER 4, TICK_RESULT_FIRED TICK_REASON_ON_TIME 1, ",
		"all":    "TICK_RESULT_FIRED TICK_REASON_CAUGHT_UP 1, ",
		"skip":   "TICK_RESULT_SKIPPED TICK_REASON_CATCH_UP_SKIP 5, ",
		"grace":  "TICK_RESULT_COALESCED TICK_REASON_NEWER 4, TICK_RESULT_MISSED TICK_REASON_GRACE 1, ",
	} {
		w.until(name, func() bool {
			record, _ := w.history(late, name)
			return record.GetNextMs() == noon+6*60_000
		})
		if _, ticks := w.history(late, name); words(ticks) != want {
			t.Errorf("%s: %s, want %s", name, words(ticks), want)
		}
	}
	var waiting []*logv1.WaitingTickRecord
	late.View(func(m *fsm.Machine) { waiting = m.WaitingTicks("all", 100) })
	if len(waiting) != 4 {
		t.Errorf("%d of the missed times wait for their turn, want 4", len(waiting))
	}
}

// Every time of the grid has one outcome, and each run one job, while leaders hand over and fall silent.
func TestEveryTickOnceWhileLeadersChange(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, nil)
	n := w.leader()
	const schedules = 20
	name := func(i int) string { return fmt.Sprintf("s%d", i) }
	for i := range schedules {
		s := minutely(name(i), 0)
		s.Spec, s.JitterMs = "@every 1s", 999
		w.propose(n, putOf(t, s, int64(i)*50, n.Now()))
	}
	w.fired(n, name(0), 1)
	if err := await(w.limit(10*time.Second), n.raft.LeadershipTransfer()); err != nil {
		t.Fatal(err)
	}
	w.until("the next leader", func() bool { return !n.IsLeader() })
	cut := w.leader()
	record, _ := w.history(cut, name(0))
	w.fired(cut, name(0), record.GetTotals().GetFired()+1)
	cut.raft.Shutdown() // without a word to the others; it is not waited for
	w.nodes = without(w.nodes, cut)
	last := w.leader()
	record, _ = w.history(last, name(0))
	w.fired(last, name(0), record.GetTotals().GetFired()+2)
	jobs := make(map[uint64]bool)
	for i := range schedules {
		record, ticks := w.history(last, name(i))
		expect := int64(0)
		sum := int64(0)
		for _, tick := range ticks {
			if expect != 0 && tick.GetFirstMs() != expect {
				t.Errorf("%s: a tick at %d follows, want %d", name(i), tick.GetFirstMs(), expect)
			}
			expect = tick.GetLastMs() + 1000
			sum += tick.GetCount()
			if tick.GetResult() != logv1.TickResult_TICK_RESULT_FIRED {
				continue
			}
			if jobs[tick.GetJob()] {
				t.Errorf("job %d is of two ticks", tick.GetJob())
			}
			jobs[tick.GetJob()] = true
		}
		totals := record.GetTotals()
		if counted := totals.GetFired() + totals.GetCoalesced() + totals.GetMissed() + totals.GetSkipped(); int64(counted) != sum || expect != record.GetNextMs() {
			t.Errorf("%s: %d ticks counted, %d in the history, next %d, want %d", name(i), counted, sum, record.GetNextMs(), expect)
		}
	}
	last.View(func(m *fsm.Machine) {
		if made := m.Totals().Jobs; made < len(jobs) || made > len(jobs)+schedules {
			t.Errorf("%d jobs were made, the histories name %d", made, len(jobs))
		}
	})
}

// More schedules than go into a Fire cannot be read, and are due before one that can: it fires.
func TestUnreadableSchedulesHoldUpNobody(t *testing.T) {
	clock := newHandClock(noon)
	w := newWorld(t, StoreWAL, 1, func(c *Config) {
		c.Clock, c.Logger = clock, hclog.NewNullLogger()
	})
	n := w.nodes[0]
	together(64, func(part int) {
		for i := part; i < 3*fireDues; i += 64 {
			s := minutely(fmt.Sprintf("bad%05d", i), 0)
			s.Spec = "@whenever"
			put := &logv1.Command{Op: &logv1.Command_PutSchedule{PutSchedule: &logv1.PutSchedule{Schedule: s, NextMs: noon + 1}}}
			if result, err := n.Propose(t.Context(), put); err != nil || result.GetRefusal() != nil {
				t.Errorf("put %d: %v %v", i, result.GetRefusal(), err)
			}
		}
	})
	w.put(n, minutely("good", noon+60_000))
	clock.forward(w, time.Minute)
	w.fired(n, "good", 1)
	clock.forward(w, time.Minute)
	w.fired(n, "good", 2)
}

func without(nodes []*Node, one *Node) (rest []*Node) {
	for _, n := range nodes {
		if n != one {
			rest = append(rest, n)
		}
	}
	return rest
}
