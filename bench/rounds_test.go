package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTurns: every system has its turn at every step of every round, and each is first once.
func TestTurns(t *testing.T) {
	var order []string
	fake := func(name string, reference bool, err error) system {
		return system{name: name, reference: reference, measure: func(_ context.Context, s step, dir string, _ time.Duration) (outcome, error) {
			if _, err := os.Stat(dir); err != nil {
				t.Error(err)
			}
			order = append(order, name+" "+s.name)
			return outcome{perSecond: float64(len(order)), p50MS: 1}, err
		}}
	}
	r := &report{figures: make(figures), Systems: []system{fake("a", false, nil), fake("b", false, errors.New("broken")), fake("c", false, errNotOffered), fake("ref", true, nil)}}
	o := options{rounds: 4, seconds: time.Second, steps: regexp.MustCompile(`^(cycle 1.1|raft 1)$`)}
	if failed := measureAll(t.Context(), o, r, t.TempDir(), &bytes.Buffer{}); failed != 4 {
		t.Errorf("%d failures, want the 4 of b", failed)
	}
	want := []string{
		"a cycle 1+1", "b cycle 1+1", "c cycle 1+1", "ref raft 1",
		"b cycle 1+1", "c cycle 1+1", "a cycle 1+1", "ref raft 1",
		"c cycle 1+1", "a cycle 1+1", "b cycle 1+1", "ref raft 1",
		"a cycle 1+1", "b cycle 1+1", "c cycle 1+1", "ref raft 1",
	}
	if !slices.Equal(order, want) {
		t.Errorf("order\n%s\nwant\n%s", strings.Join(order, "\n"), strings.Join(want, "\n"))
	}
	if got := fmt.Sprint(r.figures); got != "map[a:map[jobs/1+1:[1 7 10 13]] ref:map[raft/1:[4 8 12 16]]]" {
		t.Errorf("figures %s", got)
	}
	if len(r.Notes) != 4 || !strings.Contains(r.Notes[1], "b, cycle 1+1, round 2 failed: broken") {
		t.Errorf("notes %q", r.Notes)
	}
}

// TestQuickLeavesOutWhatIsSlow, and names of steps and rows are used once.
func TestSteps(t *testing.T) {
	ran := 0
	r := &report{figures: make(figures), Systems: []system{{name: "a", measure: func(_ context.Context, s step, _ string, _ time.Duration) (outcome, error) {
		if s.slow {
			t.Errorf("%s is slow", s.name)
		}
		ran++
		return outcome{}, nil
	}}}}
	measureAll(t.Context(), options{rounds: 1, quick: true, steps: regexp.MustCompile("")}, r, t.TempDir(), &bytes.Buffer{})
	if ran != 9 {
		t.Errorf("%d steps, want 9", ran)
	}
	given := make(map[string]int)
	for _, s := range steps {
		for _, name := range []string{s.throughput, s.cpu, s.p50, s.p99, s.memory} {
			given[name]++
		}
	}
	for _, line := range rows {
		if line.Name != claimSpread && given[line.Name] != 1 {
			t.Errorf("%d steps give %s, want 1", given[line.Name], line.Name)
		}
	}
}

func TestFairlaneArgs(t *testing.T) {
	want := map[string]string{
		"cycle 1+1":   "cycle --self --log-store raft-wal --json --duration 3s --warmup 1s --payload 256 --producers 1 --workers 1",
		"latency":     "latency --self --log-store raft-wal --json --duration 3s --warmup 1s --payload 256 --producers 64 --workers 16 --rate 200 --arrivals uniform",
		"enqueue 128": "enqueue --self --log-store raft-wal --json --duration 3s --warmup 1s --payload 256 --producers 128",
		"claim 200k":  "claim --self --log-store raft-wal --json --duration 3s --warmup 1s --payload 256 --waiting 200000",
	}
	for _, s := range steps {
		if text := strings.Join(fairlaneArgs(s, storeWAL, 3*time.Second), " "); want[s.name] != "" && text != want[s.name] {
			t.Errorf("%s:\n%s, want\n%s", s.name, text, want[s.name])
		}
	}
}

// TestLoad measures a queue in memory: closed and open loop, with batches, and what a failure does.
func TestLoad(t *testing.T) {
	for _, s := range []step{
		{producers: 2, workers: 2, batch: 1}, {producers: 2, workers: 2, batch: 5}, {producers: 3, batch: 1}, {producers: 2, workers: 2, batch: 1, rate: 200},
	} {
		out, err := measureQueue(t.Context(), &fakeQueue{jobs: make(chan []byte)}, s, 200*time.Millisecond)
		switch {
		case err != nil:
			t.Errorf("%+v: %v", s, err)
		case s.rate == 0 && out.perSecond <= 0, s.rate > 0 && out.p99MS < out.p50MS, s.workers == 0 && out.p50MS <= 0:
			t.Errorf("%+v gave %+v", s, out)
		}
		broken := errors.New("broken")
		if _, err := measureQueue(t.Context(), &fakeQueue{jobs: make(chan []byte), err: broken}, s, time.Minute); !errors.Is(err, broken) {
			t.Errorf("%+v on a broken queue: %v", s, err)
		}
	}
}

// TestUnstartedCounts: jobs that never start stand in the latencies, as late as they are in the end.
func TestUnstartedCounts(t *testing.T) {
	q := &lossyQueue{fakeQueue: fakeQueue{jobs: make(chan []byte)}}
	out, err := measureQueue(t.Context(), q, step{producers: 2, workers: 1, batch: 1, rate: 200}, 500*time.Millisecond)
	if least := float64(warmUp.Milliseconds()); err != nil || out.p99MS < least {
		t.Errorf("one job of 25 is lost, and the p99 is %v ms, want %v or more (%v)", out.p99MS, least, err)
	}
}

// lossyQueue forgets one job of 25.
type lossyQueue struct{ fakeQueue }

func (q *lossyQueue) produce(context.Context) (func(context.Context, [][]byte) error, func(), error) {
	return func(ctx context.Context, payloads [][]byte) error {
		select {
		case q.jobs <- payloads[0]:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, func() {}, nil
}

func (q *lossyQueue) work(ctx context.Context, workers, batch int, started func([]byte), finished func(int)) error {
	taken := 0
	return q.fakeQueue.work(ctx, workers, batch, func(payload []byte) {
		if taken++; taken%25 != 0 {
			started(payload)
		}
	}, finished)
}

type fakeQueue struct {
	jobs chan []byte
	err  error
}

func (q *fakeQueue) servers() []int { return []int{os.Getpid()} }

func (q *fakeQueue) produce(context.Context) (func(context.Context, [][]byte) error, func(), error) {
	return func(ctx context.Context, payloads [][]byte) error {
		for _, p := range payloads {
			select {
			case q.jobs <- p:
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond): // nobody works
			}
		}
		return q.err
	}, func() {}, nil
}

func (q *fakeQueue) work(ctx context.Context, _, _ int, started func([]byte), finished func(int)) error {
	for {
		select {
		case p := <-q.jobs:
			started(p)
			finished(1)
		case <-ctx.Done():
			return nil
		}
	}
}
