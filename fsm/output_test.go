package fsm_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// streaming is a machine with one worker, session 1, whose jobs have output.
type streaming struct {
	h       *history
	m       *fsm.Machine
	index   uint64
	fence   uint64
	attempt int
	all     map[int][]byte // output by attempt
}

func newStreaming(seed uint64) *streaming {
	s := &streaming{h: &history{dice: dice{seed}}, m: fsm.New(), all: map[int][]byte{}}
	s.apply(&logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: "w", Nonce: 1, Lanes: lanesOf("*:2000000")}}},
		&logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: []*logv1.NewJob{{Kind: "k"}}}}})
	s.claim()
	return s
}

func (s *streaming) apply(commands ...*logv1.Command) []*logv1.Result {
	s.index++
	return s.m.Apply(s.index, &logv1.Batch{Rules: 2, NowMs: 1, Commands: commands}).Results
}

func (s *streaming) claim() {
	s.attempt++
	s.fence = s.apply(claimCommand())[0].GetClaim().GetFence()
}

func outputCommand(session uint64, parts ...*logv1.OutputPart) *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_Output{Output: &logv1.Output{Session: session, Parts: parts}}}
}

// kept counts the bytes that are kept, and checks that they are the end of what was written, whole.
func (s *streaming) kept() (n int64, err error) {
	for attempt := 1; attempt <= s.attempt; attempt++ {
		all := s.all[attempt]
		o, _ := s.m.Output(1, int32(attempt), 0, 1<<30)
		data := bytes.Join(o.Data, nil)
		if n += int64(len(data)); o.End != uint64(len(all)) || o.Skipped != o.Offset || !bytes.Equal(data, all[o.Offset:]) {
			return 0, fmt.Errorf("attempt %d: %d bytes at %d, end %d of %d", attempt, len(data), o.Offset, o.End, len(all))
		}
		if len(data) > 0 && n != int64(len(data)) && o.Skipped > 0 {
			return 0, fmt.Errorf("attempt %d lost its beginning, and older output is kept", attempt)
		}
	}
	return n, nil
}

// TestOutputKept: after every append, under limits that change, at most max_output_bytes are kept of all attempts together, and at least
// seven eighths of that, if so much was there; the newest, whole; and reads from anywhere give what was written.
func TestOutputKept(t *testing.T) {
	eachSeed(t, func(seed uint64) error {
		s, limit, before := newStreaming(seed), int64(1<<20), int64(0)
		for range *batches {
			switch s.h.below(12) {
			case 0:
				limit = pick[int64](&s.h.dice, 0, 1, 100, 4_000, 5_000, 30_000, 100_000, 1<<20, 2<<20)
				s.apply(settingsCommand(&logv1.Settings{MaxOutputBytes: &limit}))
			case 1:
				s.apply(&logv1.Command{Op: &logv1.Command_Release{Release: &logv1.Release{Session: 1, Fences: []uint64{s.fence}}}})
				s.claim()
			case 2:
				back, err := restored(s.m)
				if err != nil {
					return err
				}
				s.m = back
			}
			data := s.h.data()
			offset := uint64(len(s.all[s.attempt]))
			res := s.apply(outputCommand(1, &logv1.OutputPart{Fence: s.fence, Offset: offset, Data: data}))[0]
			if res.GetOutput().GetStatuses()[0].GetEnd() != offset+uint64(len(data)) {
				return fmt.Errorf("%v", res)
			}
			s.all[s.attempt] = append(s.all[s.attempt], data...)
			for i := range data {
				data[i] = '?' // the machine copied it
			}
			n, err := s.kept()
			if least := min(before+int64(len(data)), limit-limit/8); err != nil || len(data) > 0 && (n > limit || n < least) {
				return fmt.Errorf("%d bytes kept, %d before, %d more, limit %d: %w", n, before, len(data), limit, err)
			}
			before = n
			if err := s.reads(); err != nil {
				return err
			}
		}
		return s.m.CheckInvariants()
	})
}

// reads from a random offset with a random bound.
func (s *streaming) reads() error {
	attempt := 1 + s.h.below(s.attempt)
	all := s.all[attempt]
	asked, most := uint64(s.h.below(len(all)+2)), 1+s.h.below(200_000)
	o, ok := s.m.Output(1, int32(attempt), asked, most)
	data := bytes.Join(o.Data, nil)
	want := min(uint64(most), o.End-o.Offset)
	if !ok || uint64(len(data)) != want || !bytes.Equal(data, all[o.Offset:o.Offset+want]) || asked <= o.End && o.Skipped != o.Offset-asked {
		return fmt.Errorf("attempt %d from %d, at most %d: %d bytes at %d, %d skipped, end %d", attempt, asked, most, len(data), o.Offset, o.Skipped, o.End)
	}
	return nil
}

// TestDecisionsKept: the decisions of the last 16,384 claims are kept, with the indexes between which they are.
func TestDecisionsKept(t *testing.T) {
	const kept, more = 16_384, 500
	l := &loaded{m: fsm.New(), users: 7, rules: 2}
	l.apply(&logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: "w", Nonce: 1, Lanes: lanesOf("*:1000000")}}})
	first := l.index + 1
	for range kept + more {
		l.apply(l.enqueueCommand(1), claimCommand())
	}
	back, err := restored(l.m)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*fsm.Machine{l.m, back} {
		for _, c := range []struct {
			index uint64
			n     int
		}{{first + more - 1, 0}, {first + more, 1}, {l.index, 1}, {l.index + 1, 0}} {
			list, oldest, newest := m.Decisions(c.index)
			if len(list) != c.n || oldest != first+more || newest != l.index {
				t.Fatalf("%d decisions at %d, kept %d to %d; first %d, last %d", len(list), c.index, oldest, newest, first, l.index)
			}
		}
	}
}
