package scheduler

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var (
	seedFlag      = flag.Uint64("seed", 0, "seed of the random histories; 0: from the clock")
	historiesFlag = flag.Int("histories", 2000, "number of random histories")
)

// history drives a Board and the naive model through the same random events.
type history struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	turns  facts
	board  *Board
	model  *naive
	id     JobID
	fence  Fence
	place  Place
	queues []string
	users  []string

	coordinators []string // "": none
}

func newHistory(t *testing.T, seed uint64) *history {
	rng := rand.New(rand.NewPCG(seed, 1))
	turns, mode := facts{}, Mode(rng.IntN(2))
	users := []string{"", "u", "v", "w", "x", "y"}[:1+rng.IntN(6)]
	if rng.IntN(4) == 0 { // enough for deep heaps of users
		for i := range 40 {
			users = append(users, fmt.Sprint(i))
		}
	}
	coordinators := []string{""}
	if rng.IntN(3) > 0 {
		coordinators = []string{"", "", "i", "j", "k", "l"}[:3+rng.IntN(4)]
	}
	return &history{
		coordinators: coordinators,
		t:            t, seed: seed, rng: rng, turns: turns, board: NewBoard(turns, mode), model: newNaive(turns, mode),
		queues: []string{"a", "b", "c", "d"}[:1+rng.IntN(4)],
		users:  users,
	}
}

func (h *history) fatalf(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("run again with -seed=%d -histories=1: "+format, append([]any{h.seed}, args...)...)
}

func (h *history) queue() string { return h.queues[h.rng.IntN(len(h.queues))] }
func (h *history) user() string  { return h.users[h.rng.IntN(len(h.users))] }

func (h *history) coordinator() string { return h.coordinators[h.rng.IntN(len(h.coordinators))] }

func (h *history) offer() (o Offer) {
	for range 1 + h.rng.IntN(3) {
		o.Chain = append(o.Chain, h.queue())
	}
	switch h.rng.IntN(3) {
	case 0:
		o.Chain = []string{Any}
	case 1:
		o.Chain = append(o.Chain, Any)
	}
	if h.rng.IntN(3) == 0 {
		o.Limited, o.FreeBytes = true, h.rng.Uint64N(20)
	}
	if h.rng.IntN(5) == 0 {
		o.OnlyUser, o.User = true, h.user()
	}
	if h.rng.IntN(2) == 0 && len(h.model.jobs) > 0 {
		for range h.rng.IntN(8) {
			o.Excluded = append(o.Excluded, h.model.jobs[h.rng.IntN(len(h.model.jobs))].ID)
		}
		o.Excluded = append(o.Excluded, h.id+1000) // one that does not wait
	}
	return o
}

func (h *history) add() {
	h.id++
	h.place++
	j := Job{ID: h.id, Queue: h.queue(), User: h.user(), Priority: int32(h.rng.IntN(3) - 1), Place: h.place, Size: Size(max(0, h.rng.IntN(8)-2))}
	if h.rng.IntN(4) == 0 {
		j.Place = Place(h.rng.IntN(int(h.place) + 1)) // released: an old place, perhaps shared
	}
	if j.Coordinator = h.coordinator(); j.Coordinator != "" {
		j.Due = int64(h.rng.IntN(30)) - 10
	}
	h.board.Add(j)
	h.model.jobs = append(h.model.jobs, j)
}

// compare asks both the same and returns the common answer.
func (h *history) compare(o Offer) (Pick, bool) {
	h.t.Helper()
	want, wantOK := h.model.next(o)
	got, ok := h.board.Next(o)
	if got != want || ok != wantOK {
		h.fatalf("offer %+v:\n got %+v %v\nwant %+v %v\nwaiting %+v\nturns %v", o, got, ok, want, wantOK, h.model.jobs, h.turns)
	}
	if ok && !o.Takes(got.Job.Queue, got.Job.User, got.Job.Size) {
		h.fatalf("offer %+v got %+v, which it does not take", o, got)
	}
	return got, ok
}

func (h *history) claim() {
	o := h.offer()
	pick, ok := h.compare(o)
	if !ok {
		return
	}
	if c := pick.Job.Coordinator; c != "" && h.rng.IntN(2) == 0 { // the claim lives on
		h.model.busy[c] = true
		h.gates(h.board)
	}
	if !h.board.Remove(pick.Job.ID) || !h.model.remove(pick.Job.ID) {
		h.fatalf("job %d did not wait", pick.Job.ID)
	}
	if h.fence++; !o.OnlyUser {
		h.turns[[2]string{pick.Line, pick.Job.User}] = h.fence
		h.board.Served(pick.Line, pick.Job.User)
	}
}

func (h *history) gate() {
	q, u, closing := h.queue(), h.user(), h.rng.IntN(2) == 0
	switch h.rng.IntN(4) {
	case 0:
		if c := h.coordinator(); c != "" {
			h.model.busy[c] = closing && h.rng.IntN(2) == 0
		}
	case 1:
		h.model.closedQueue[q] = closing
	case 2:
		h.model.closedUser[u] = closing
	default:
		h.model.closedIn[[2]string{q, u}] = closing
	}
	h.gates(h.board)
}

// gates tells a board everything that is closed or open.
func (h *history) gates(b *Board) {
	each(h.model.closedQueue, b.CloseQueue, b.OpenQueue)
	each(h.model.closedUser, b.CloseUser, b.OpenUser)
	each(h.model.busy, b.CloseCoordinator, b.OpenCoordinator)
	each(h.model.closedIn,
		func(k [2]string) { b.CloseUserIn(k[0], k[1]) },
		func(k [2]string) { b.OpenUserIn(k[0], k[1]) })
}

func each[K comparable](closed map[K]bool, closeIt, openIt func(K)) {
	for k, isClosed := range closed {
		if isClosed {
			closeIt(k)
		} else {
			openIt(k)
		}
	}
}

func (h *history) mode() {
	m := Mode(h.rng.IntN(2))
	switch q := h.queue(); h.rng.IntN(4) {
	case 0:
		h.board.SetDefaultMode(m)
		h.model.defaultMode = m
	case 1:
		h.board.ClearMode(q)
		delete(h.model.modes, q)
	default:
		h.board.SetMode(q, m)
		h.model.modes[q] = m
	}
}

func (h *history) step() {
	switch n := h.rng.IntN(100); {
	case n < 45:
		h.add()
	case n < 75:
		h.claim()
	case n < 83:
		if len(h.model.jobs) > 0 {
			id := h.model.jobs[h.rng.IntN(len(h.model.jobs))].ID
			if !h.board.Remove(id) || !h.model.remove(id) || h.board.Has(id) {
				h.fatalf("job %d was not removed", id)
			}
		}
	case n < 93:
		h.gate()
	case n < 96:
		h.mode()
	default:
		q, u := h.queue(), h.user()
		want, wantOK := h.model.frontPriority(q, u)
		if got, ok := h.board.FrontPriority(q, u); got != want || ok != wantOK {
			h.fatalf("FrontPriority(%q, %q) = %d %v, want %d %v", q, u, got, ok, want, wantOK)
		}
		if h.board.Waiting() != len(h.model.jobs) || h.board.WaitingIn(q) != h.model.waitingIn(q) {
			h.fatalf("counts: %d and %d in %s", h.board.Waiting(), h.board.WaitingIn(q), q)
		}
		h.compareSequence()
	}
}

// compareSequence asks both about a coordinator.
func (h *history) compareSequence() {
	h.t.Helper()
	c := h.coordinator()
	if c == "" {
		return
	}
	var ids []JobID
	line, roll := h.model.sequence(c), h.board.Roll()
	for i, j := range line {
		ids = append(ids, j.ID)
		if n, head := roll.Before(j, 3); n != min(i, 3) || i > 0 && head != ids[0] {
			h.fatalf("coordinator %s: %d before job %d and head %d, want %d of %v", c, n, j.ID, head, i, ids)
		}
	}
	id, stands, found := h.board.Head(c)
	switch n := 1 + h.rng.IntN(5); {
	case found != (len(line) > 0) || found && (id != ids[0] || stands == h.model.busy[c]) || h.board.WaitingOf(c) != len(line):
		h.fatalf("coordinator %s: head %d %v %v of %d, want %v, busy %v", c, id, stands, found, h.board.WaitingOf(c), ids, h.model.busy[c])
	case !slices.Equal(h.board.Sequence(c, n), ids[:min(n, len(ids))]):
		h.fatalf("coordinator %s: %v, want the first %d of %v", c, h.board.Sequence(c, n), n, ids)
	}
	for _, j := range h.model.jobs {
		if h.board.Stands(j.ID) != h.model.stands(j) || !h.board.Has(j.ID) {
			h.fatalf("job %+v stands: %v", j, h.board.Stands(j.ID))
		}
	}
}

// rebuilt is a board that knows the same facts, learned in another order.
func (h *history) rebuilt() *Board {
	b := NewBoard(h.turns, Mode(h.rng.IntN(2)))
	gatesFirst := h.rng.IntN(2) == 0
	if gatesFirst {
		h.gates(b)
	}
	for _, i := range h.rng.Perm(len(h.model.jobs)) {
		b.Add(h.model.jobs[i])
	}
	if !gatesFirst {
		h.gates(b)
	}
	for q, m := range h.model.modes {
		b.SetMode(q, m)
	}
	b.SetDefaultMode(h.model.defaultMode)
	return b
}

func seeds(t *testing.T) (first uint64, count int) {
	first, count = *seedFlag, *historiesFlag
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	if testing.Short() {
		count = min(count, 200)
	}
	t.Logf("%d histories from -seed=%d on", count, first)
	return first, count
}

// TestHistories compares the Board with the naive model, step by step.
func TestHistories(t *testing.T) {
	first, count := seeds(t)
	for i := range count {
		h := newHistory(t, first+uint64(i))
		for step := range 150 {
			h.step()
			h.compare(h.offer())
			if step%10 == 0 {
				if err := checkBoard(h.board); err != nil {
					t.Fatalf("seed %d step %d: %v", first+uint64(i), step, err)
				}
			}
		}
	}
}

// TestRebuiltBoard proves that a board made from the waiting jobs in any order
// gives the picks of the one that lived through the history (law 2).
func TestRebuiltBoard(t *testing.T) {
	first, count := seeds(t)
	for i := range (count + 3) / 4 {
		h := newHistory(t, first+uint64(i))
		for range 200 {
			h.step()
		}
		other := h.rebuilt()
		for h.board.Waiting() > 0 {
			o := h.offer()
			kept, ok := h.board.Next(o)
			if got, gotOK := other.Next(o); got != kept || gotOK != ok {
				t.Fatalf("seed %d offer %+v: rebuilt %+v %v, kept %+v %v", first+uint64(i), o, got, gotOK, kept, ok)
			}
			if !ok {
				kept.Job = h.model.jobs[h.rng.IntN(len(h.model.jobs))]
			}
			h.model.remove(kept.Job.ID)
			if ok {
				h.fence++
				h.turns[[2]string{kept.Line, kept.Job.User}] = h.fence
			}
			for _, b := range []*Board{h.board, other} {
				b.Remove(kept.Job.ID)
				if ok {
					b.Served(kept.Line, kept.Job.User)
				}
			}
		}
		if err := checkBoard(other); err != nil {
			t.Fatal(err)
		}
	}
}
