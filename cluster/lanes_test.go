package cluster

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// laneOf registers a worker with one lane.
func (w *world) laneOf(n *Node, name string, lane *logv1.Lane) uint64 {
	w.t.Helper()
	r := w.propose(n, &logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: name, Nonce: 1, Lanes: []*logv1.Lane{lane}}}})
	return r.GetSession().GetSession()
}

// claimsLogged counts the claims of a recording that was stopped.
func claimsLogged(t testing.TB, recording *Recording) (entries, claims int) {
	t.Helper()
	recording.Stop()
	for {
		e, err := recording.Next(t.Context())
		if err != nil {
			return entries, claims
		}
		b := &logv1.Batch{}
		if err := proto.Unmarshal(e.Batch, b); err != nil {
			t.Fatal(err)
		}
		entries++
		for _, c := range b.GetCommands() {
			if c.GetClaim() != nil {
				claims++
			}
		}
	}
}

// However many claims of a lane are parked, each job of a coordinator wakes one when its turn comes.
func TestACoordinatorsNextJobWakesOneClaimOfItsLane(t *testing.T) {
	const parked, jobs = 50, 10
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	for name, memory := range map[string]uint64{"free": 0, "limited": 1 << 30} {
		session := w.laneOf(n, name, &logv1.Lane{Chain: []string{"*"}, Slots: parked + jobs, MemoryBytes: memory})
		x := w.line(n)
		x.submit(true, claims(session, parked)...)
		w.parked(n, parked)
		recording, err := n.Record()
		if err != nil {
			t.Fatal(err)
		}
		c := enqueue(jobs)
		for _, j := range c.GetEnqueue().GetJobs() {
			j.Coordinator = "ledger"
		}
		w.propose(n, c)
		for i := range jobs {
			x.take(i + 1)
			w.propose(n, finish(session, x.got[i].Result.GetClaim().GetFence()))
		}
		most := jobs
		if memory > 0 {
			most = 2 * jobs // what a lane with more memory may take is not known
		}
		if _, logged := claimsLogged(t, recording); logged > most {
			t.Errorf("%s: %d claims went through the log for %d jobs", name, logged, jobs)
		}
		x.Close()
		w.parked(n, 0)
	}
}

// A claim that is woken while its lane is full keeps its place until the lane frees something.
func TestAWokenClaimOfAFullLaneStaysParked(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	session := w.worker(n, "w", 1)
	x := w.line(n)
	x.submit(true, claims(session, 3)...)
	w.parked(n, 3)
	w.propose(n, enqueue(3)) // wakes all three into its batch
	for i := range 3 {
		x.take(i + 1)
		got := x.got[i].Result.GetClaim()
		if got.GetJob() == nil {
			t.Fatalf("claim %d got %v", i, x.got[i].Result)
		}
		w.parked(n, 2-i)
		w.propose(n, finish(session, got.GetFence()))
	}
}

// A job that could be claimed while its lane was full, and that no enqueue told of, is claimed when the lane has room.
func TestAFullLaneIsLookedAtAgain(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	session := w.worker(n, "w", 1)
	x := w.line(n)
	x.submit(true, claims(session, 2)...)
	w.parked(n, 2)
	w.propose(n, enqueue(1))
	x.take(1)
	pause := func(paused bool) {
		w.propose(n, &logv1.Command{Op: &logv1.Command_SetQueue{SetQueue: &logv1.SetQueue{Name: "default", Paused: &paused}}})
	}
	pause(true)
	w.unseen(n, "default")
	pause(false)
	l := n.leading.Load()
	w.until("the parked claims to be looked at", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return !l.hasWakes()
	})
	w.propose(n, finish(session, x.got[0].Result.GetClaim().GetFence()))
	x.take(2)
}

// A large job that ends makes room for many small ones: all are claimed, though one claim alone is woken for the room.
func TestRoomForManyWakesMany(t *testing.T) {
	const small = 20
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	session := w.laneOf(n, "w", &logv1.Lane{Chain: []string{"*"}, Slots: 100, MemoryBytes: 32 << 20})
	large := enqueue(1)
	large.GetEnqueue().Jobs[0].MemoryBytes = 32 << 20
	w.propose(n, large)
	x := w.line(n)
	x.submit(true, claim(session))
	x.take(1)
	x.submit(true, claims(session, 30)...)
	w.parked(n, 30)
	many := enqueue(small)
	for _, j := range many.GetEnqueue().GetJobs() {
		j.MemoryBytes = 1 << 20
	}
	w.propose(n, many)
	w.parked(n, 30)
	w.propose(n, finish(session, x.got[0].Result.GetClaim().GetFence()))
	x.take(1 + small)
	w.parked(n, 30-small)
}

// The claim that was woken for the room of its lane leaves before the next batch: the others of the lane get the room.
func TestAnAbandonedFirstIsFollowed(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	session := w.worker(n, "w", 3)
	waits := w.later(n, claim(session), time.Minute)
	w.parked(n, 1)
	w.unseen(n, "default")
	l := n.leading.Load()
	gone := newPending(claim(session))
	l.mu.Lock()
	gone.where, gone.first = isWoken, true
	l.mu.Unlock()
	l.abandon(gone, context.Canceled)
	waits.wait(t)
	if waits.result.GetClaim().GetJob() == nil {
		t.Errorf("the claim behind it got %v %v", waits.result, waits.err)
	}
}

// TestNoParkedClaimIsLeft: whatever happens, no claim stays parked while it would get a job, and all that is counted of the parked ones is 0 in
// the end.
func TestNoParkedClaimIsLeft(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	r := &restless{w: w, n: n, rng: rng, line: w.line(n)}
	for i, lane := range []*logv1.Lane{
		{Chain: []string{"p"}, Slots: 2}, {Chain: []string{"q", "p"}, Slots: 4}, {Chain: []string{"q"}, Slots: 20, MemoryBytes: 8 << 20},
		{Chain: []string{"*"}, Slots: 3, MemoryBytes: 4 << 20},
	} {
		r.sessions = append(r.sessions, w.laneOf(n, string(rune('a'+i)), lane))
	}
	r.enqueue(2)
	for i := range 1000 {
		r.step(i/25%2 == 0)
		if rng.IntN(2) == 0 {
			w.until("claims that would get a job to be woken", r.noneLeft)
		}
	}
	r.line.Close()
	w.parked(n, 0)
	l := n.leading.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sessions)+len(l.numbered)+l.waiters.Len()+l.bound > 0 {
		t.Errorf("nothing is parked, but %d sessions are kept, %d calls, %d waiters", len(l.sessions), len(l.numbered), l.waiters.Len())
	}
}

// restless parks claims, and enqueues and ends jobs, at random.
type restless struct {
	w        *world
	n        *Node
	rng      *rand.Rand
	line     *testLine
	sessions []uint64
	open     []*Ticket // claims that may be parked
	held     []held
}

type held struct{ session, fence uint64 }

// step once. While it is calm claims gather, more than there are slots; else jobs come and end.
func (r *restless) step(calm bool) {
	r.gather()
	enqueues, ends := 8, 10
	if calm {
		enqueues, ends = 1, 8
	}
	switch k := r.rng.IntN(20); {
	case k < enqueues:
		r.enqueue(1 + r.rng.IntN(5))
	case k < enqueues+ends:
		for range 1 + r.rng.IntN(2) {
			r.end()
		}
	case r.rng.IntN(20) == 0:
		name, paused := r.queue(), r.rng.IntN(2) == 0
		r.w.propose(r.n, &logv1.Command{Op: &logv1.Command_SetQueue{SetQueue: &logv1.SetQueue{Name: name, Paused: &paused}}})
	case r.rng.IntN(10) == 0 && len(r.open) > 0:
		i := r.rng.IntN(len(r.open))
		r.line.Settle(r.open[i : i+1])
	default:
		r.open = append(r.open, r.line.submit(true, claims(r.sessions[r.rng.IntN(len(r.sessions))], 1+r.rng.IntN(4))...)...)
	}
}

func (r *restless) queue() string { return []string{"p", "q"}[r.rng.IntN(2)] }

func (r *restless) enqueue(count int) {
	c := enqueue(count)
	for i, j := range c.GetEnqueue().GetJobs() {
		j.Queue, j.MemoryBytes = []string{"p", "q"}[i%2], []uint64{0, 1 << 20, 4 << 20, 8 << 20}[r.rng.IntN(4)]
		if r.rng.IntN(4) == 0 {
			j.Coordinator = []string{"x", "y"}[r.rng.IntN(2)]
		}
	}
	r.w.propose(r.n, c)
}

// end a claim that is held, if there is one.
func (r *restless) end() {
	if len(r.held) == 0 {
		return
	}
	i := r.rng.IntN(len(r.held))
	h := r.held[i]
	r.held = slices.Delete(r.held, i, i+1)
	if r.rng.IntN(8) == 0 {
		r.w.propose(r.n, &logv1.Command{Op: &logv1.Command_Release{Release: &logv1.Release{Session: h.session, Fences: []uint64{h.fence}}}})
		return
	}
	c := finish(h.session, h.fence)
	if r.rng.IntN(4) == 0 {
		c.GetFinish().Next = &logv1.NextClaim{}
	}
	if fence := r.w.propose(r.n, c).GetFinish().GetNext().GetFence(); fence != 0 {
		r.held = append(r.held, held{h.session, fence})
	}
}

// gather what was answered.
func (r *restless) gather() {
	r.w.t.Helper()
	got, err := r.line.Take(nil)
	if err != nil {
		r.w.t.Fatal(err)
	}
	for _, ticket := range got {
		if fence := ticket.Result.GetClaim().GetFence(); fence != 0 {
			r.held = append(r.held, held{ticket.Command.GetClaim().GetSession(), fence})
		}
	}
	r.open = slices.DeleteFunc(r.open, func(t *Ticket) bool { return slices.Contains(got, t) })
}

func (r *restless) noneLeft() bool {
	l := r.n.leading.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	left := 0
	r.n.View(func(m *fsm.Machine) {
		for _, p := range l.byAge {
			if finds(m.Peek(p.lane().Session, p.lane().Lane)) {
				left++
			}
		}
	})
	return left == 0
}
