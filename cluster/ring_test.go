package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

func anything(*Event) bool { return true }

// outcome of a batch with so many events.
func outcomeOf(epoch uint32, index uint64, events int) *fsm.Outcome {
	o := &fsm.Outcome{Epoch: epoch, Index: index, WallMs: int64(index)}
	for place := range events {
		o.Events = append(o.Events, fsm.Event{Kind: fsm.JobEnqueued, Place: uint32(place), Job: fsm.JobID(index*100 + uint64(place)), Queue: "default"})
	}
	return o
}

func positions(events []Event) (out []string) {
	for _, e := range events {
		out = append(out, e.Position.String())
	}
	return out
}

func TestPosition(t *testing.T) {
	for _, id := range []string{"0.0.0", "7.500.3", "4294967295.18446744073709551615.4294967295"} {
		if p, err := ParsePosition(id); err != nil || p.String() != id {
			t.Errorf("%s: %v %v", id, p, err)
		}
	}
	for _, id := range []string{"", "0", "7.500", "7.500.3.1", "7.500.-3", "+7.500.3", "07.500.3", "7.500.3 ", "7..3", "4294967296.1.1", "a.b.c"} {
		if p, err := ParsePosition(id); err == nil {
			t.Errorf("%q was read as %v", id, p)
		}
	}
	rising := []Position{{1, 2, 3}, {1, 2, 4}, {1, 3, 0}, {2, 0, 0}}
	for i, a := range rising {
		for j, b := range rising {
			if a.Before(b) != (i < j) {
				t.Errorf("%v before %v: %v", a, b, a.Before(b))
			}
		}
	}
}

// TestRingResume: after an id inside an entry, after one that is not an event, after one that this node has not reached.
func TestRingResume(t *testing.T) {
	r := newRing(100, 0, Position{Epoch: 7})
	r.append(outcomeOf(7, 500, 4))
	r.append(outcomeOf(7, 501, 0))
	r.append(outcomeOf(7, 503, 2)) // 502 was no batch
	for _, c := range []struct {
		after Position
		want  []string
		to    string
	}{
		{Position{7, 0, 0}, []string{"7.500.0", "7.500.1", "7.500.2", "7.500.3", "7.503.0", "7.503.1"}, "7.503.1"},
		{Position{7, 500, 1}, []string{"7.500.2", "7.500.3", "7.503.0", "7.503.1"}, "7.503.1"},
		{Position{7, 500, lastPlace}, []string{"7.503.0", "7.503.1"}, "7.503.1"},
		{Position{7, 501, 0}, []string{"7.503.0", "7.503.1"}, "7.503.1"},
		{Position{7, 503, 1}, nil, "7.503.1"},
		{Position{7, 600, 2}, nil, "7.600.2"},
	} {
		events, to, err := r.read(c.after, 100, anything)
		if err != nil || !slices.Equal(positions(events), c.want) || to.String() != c.to {
			t.Errorf("after %v: %v to %v, %v; want %v to %s", c.after, positions(events), to, err, c.want, c.to)
		}
	}
	// A page ends with the position at which the next begins, and what does not match is passed over.
	odd := func(e *Event) bool { return e.Event.Place%2 == 1 }
	events, to, _ := r.read(Position{7, 0, 0}, 1, odd)
	if !slices.Equal(positions(events), []string{"7.500.1"}) || to.String() != "7.500.1" {
		t.Errorf("the first page: %v to %v", positions(events), to)
	}
	if _, to, _ = r.read(to, 10, func(*Event) bool { return false }); to.String() != "7.503.1" {
		t.Errorf("nothing matches, and it went on to %v", to)
	}
	// What this node had not reached comes when it does, and not what lies before.
	r.append(outcomeOf(7, 599, 1))
	r.append(outcomeOf(7, 600, 5))
	if events, _, _ := r.read(Position{7, 600, 2}, 10, anything); !slices.Equal(positions(events), []string{"7.600.3", "7.600.4"}) {
		t.Errorf("after 7.600.2: %v", positions(events))
	}
}

// TestRingReset: fallen off the end, another epoch, a snapshot.
func TestRingReset(t *testing.T) {
	r := newRing(5, 0, Position{Epoch: 7})
	for index := uint64(1); index <= 4; index++ {
		r.append(outcomeOf(7, index, 2))
	}
	wantReset := func(after Position, slow bool, to string) {
		t.Helper()
		events, _, err := r.read(after, 10, anything)
		var reset *ResetError
		if !errors.As(err, &reset) || len(events) > 0 || reset.Slow != slow || reset.To.String() != to || reset.Why == "" {
			t.Errorf("after %v: %v %+v", after, positions(events), err)
		}
	}
	// 7.1.0 to 7.2.0 are gone.
	wantReset(Position{7, 1, 1}, true, "7.4.1")
	if events, _, err := r.read(Position{7, 2, 0}, 10, anything); err != nil || len(events) != 5 {
		t.Errorf("after the last that is gone: %v %v", positions(events), err)
	}
	wantReset(Position{6, 4, 0}, false, "7.4.1")
	wantReset(Position{8, 4, 0}, false, "7.4.1")
	r.restore(Position{7, 9, lastPlace})
	wantReset(Position{7, 4, 1}, false, "7.9.4294967295")
	r.append(outcomeOf(7, 10, 1))
	wantReset(Position{7, 4, 1}, false, "7.10.0")
	if events, _, err := r.read(Position{7, 9, lastPlace}, 10, anything); err != nil || len(events) != 1 {
		t.Errorf("after the snapshot: %v %v", positions(events), err)
	}
}

// TestRingBytes: long texts fill a ring before many events do.
func TestRingBytes(t *testing.T) {
	r := newRing(1000, 10*(eventBytes+7+100), Position{Epoch: 1})
	for index := range uint64(50) {
		o := outcomeOf(1, index+1, 1)
		o.Events[0].User = fmt.Sprintf("%0100d", index)
		r.append(o)
	}
	if events, _, _ := r.read(r.oldest(), 1000, anything); len(events) != 10 || r.bytes > r.mostBytes {
		t.Errorf("%d events of %d bytes are kept", len(events), r.bytes)
	}
}

// TestRingsAgree feeds two nodes' rings alike, one of them later and with snapshots between, and reads with watchers that move from one
// to the other: what each got is the log without gap and repeat, but where it was told of a reset.
func TestRingsAgree(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { ringsAgree(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

type ringReader struct {
	at   Position
	from int // index into the log of events of the next that it must get
	got  int
}

func ringsAgree(t *testing.T, random *rand.Rand) {
	most := 1 + random.IntN(3000)
	rings := []*ring{newRing(most, 0, Position{Epoch: 1}), newRing(most, 0, Position{Epoch: 1})}
	var batches []*fsm.Outcome
	var log []Position
	var done [2]int
	readers := make([]ringReader, 4)
	for i := range readers {
		readers[i].at = Position{Epoch: 1}
	}
	resets, got := 0, 0
	for range 400 {
		switch r := random.IntN(10); {
		case r < 4: // a batch is committed; node 0 has it at once
			o := outcomeOf(1, uint64(len(batches)*2+3), random.IntN(6)*random.IntN(40))
			batches = append(batches, o)
			for _, e := range o.Events {
				log = append(log, Position{1, o.Index, e.Place})
			}
			rings[0].append(o)
			done[0] = len(batches)
		case r < 6 && done[1] < len(batches): // node 1 follows
			rings[1].append(batches[done[1]])
			done[1]++
		case r == 6 && random.IntN(10) == 0 && len(batches) > 0: // node 1 gets a snapshot
			done[1] = len(batches)
			rings[1].restore(Position{1, batches[len(batches)-1].Index, lastPlace})
		default:
			w := &readers[random.IntN(len(readers))]
			ring := rings[random.IntN(2)]
			want := anything
			if random.IntN(2) == 0 {
				want = func(e *Event) bool { return e.Event.Place%3 != 1 }
			}
			events, to, err := ring.read(w.at, 1+random.IntN(50), want)
			if reset := (*ResetError)(nil); errors.As(err, &reset) {
				resets++
				if len(events) > 0 || reset.To.Before(w.at) {
					t.Fatalf("reset at %v: %v, %d events", w.at, reset, len(events))
				}
				w.at = reset.To
				for w.from < len(log) && !w.at.Before(log[w.from]) {
					w.from++
				}
				continue
			}
			if to.Before(w.at) {
				t.Fatalf("went back from %v to %v", w.at, to)
			}
			w.at = to
			for ; w.from < len(log) && !to.Before(log[w.from]); w.from++ {
				matches := want(&Event{Event: fsm.Event{Place: log[w.from].Place}})
				if !matches {
					continue
				}
				if len(events) == 0 || events[0].Position != log[w.from] {
					t.Fatalf("up to %v: want %v, got %v", to, log[w.from], positions(events))
				}
				events = events[1:]
				got++
			}
			if len(events) > 0 {
				t.Fatalf("up to %v: too much: %v", to, positions(events))
			}
		}
	}
	if got == 0 && resets == 0 {
		t.Error("nothing was read")
	}
}
