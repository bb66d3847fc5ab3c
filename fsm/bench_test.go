package fsm_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// loaded is a machine under a benchmark: its worker's session is 1, with one lane for everything.
type loaded struct {
	m     *fsm.Machine
	index uint64
	next  int // number of the next job's user
	users int
	rules uint32
}

func (l *loaded) apply(commands ...*logv1.Command) fsm.Outcome {
	l.index++
	return l.m.Apply(l.index, &logv1.Batch{Rules: l.rules, NowMs: 1_700_000_000_000, MonotonicMs: 1, Leadership: 1, Commands: commands})
}

func (l *loaded) newJob() *logv1.NewJob {
	l.next++
	return &logv1.NewJob{Kind: "bench", User: fmt.Sprintf("user%d", l.next%l.users), Payload: []byte("payload of the job: 32 bytes....")}
}

func (l *loaded) enqueueCommand(n int) *logv1.Command {
	e := &logv1.Enqueue{}
	for range n {
		e.Jobs = append(e.Jobs, l.newJob())
	}
	return &logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: e}}
}

func claimCommand() *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_Claim{Claim: &logv1.Claim{Session: 1}}}
}

func finishCommand(fence uint64, next bool) *logv1.Command {
	f := &logv1.Finish{Session: 1, Fence: fence, Outcome: &logv1.Finish_Success{Success: &logv1.Success{Result: []byte("done")}}}
	if next {
		f.Next = &logv1.NextClaim{}
	}
	return &logv1.Command{Op: &logv1.Command_Finish{Finish: f}}
}

// newLoaded makes a machine with waiting jobs of users, and finished jobs of history, by applying large batches.
func newLoaded(tb testing.TB, waiting, users, history int) *loaded {
	tb.Helper()
	return newLoadedOf(tb, fsm.Rules, waiting, users, history)
}

func newLoadedOf(tb testing.TB, rules uint32, waiting, users, history int) *loaded {
	tb.Helper()
	l := &loaded{m: fsm.New(), users: users, rules: rules}
	huge := int64(1 << 40)
	l.apply(settingsCommand(&logv1.Settings{MaxJobs: &huge, MaxStateBytes: &huge, RetentionJobs: &huge, MaxUsers: &huge}),
		&logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: "w", Nonce: 1,
			Lanes: []*logv1.Lane{{Chain: []string{"*"}, Slots: 1 << 20}}}}})
	for made := 0; made < history; made += 1000 {
		commands := []*logv1.Command{l.enqueueCommand(1000)}
		for range 1000 {
			commands = append(commands, claimCommand())
		}
		out := l.apply(commands...)
		commands = commands[:0]
		for _, res := range out.Results[1:] {
			if res.GetClaim().GetFence() == 0 {
				tb.Fatalf("no job for the history: %v", res)
			}
			commands = append(commands, finishCommand(res.GetClaim().GetFence(), false))
		}
		l.apply(commands...)
	}
	for made := 0; made < waiting; made += 1000 {
		l.apply(l.enqueueCommand(min(1000, waiting-made)))
	}
	return l
}

// cycle is the whole life of one job in a loaded machine: enqueue, claim, finish, each in a batch of its own.
func (l *loaded) cycle(tb testing.TB) {
	l.apply(l.enqueueCommand(1))
	fence := l.apply(claimCommand()).Results[0].GetClaim().GetFence()
	if fence == 0 {
		tb.Fatal("nothing to claim")
	}
	l.apply(finishCommand(fence, false))
}

// BenchmarkCycle is a job's whole life, three batches, among so many waiting jobs, users and finished jobs.
func BenchmarkCycle(b *testing.B) {
	for _, c := range []struct{ waiting, users, history int }{
		{1_000, 1, 0}, {1_000, 1_000, 0}, {100_000, 1, 0}, {100_000, 1_000, 0}, {100_000, 100_000, 0},
		{1_000_000, 1, 0}, {1_000_000, 1_000, 0}, {1_000_000, 100_000, 0}, {1_000, 1_000, 1_000_000},
	} {
		b.Run(fmt.Sprintf("waiting=%d/users=%d/history=%d", c.waiting, c.users, c.history), func(b *testing.B) {
			l := newLoaded(b, c.waiting, c.users, c.history)
			b.ReportAllocs()
			for b.Loop() {
				l.cycle(b)
			}
		})
	}
}

// BenchmarkHistoryRatio is the cost of a cycle with 1,000,000 finished jobs, divided by that with none. The two machines take turns in
// short spells, and the smallest spell of each counts, so that a busy computer does not decide. Wanted: at most 1.2.
func BenchmarkHistoryRatio(b *testing.B) {
	empty, full := newLoaded(b, 1_000, 100, 0), newLoaded(b, 1_000, 100, 1_000_000)
	spell := func(l *loaded) time.Duration {
		start := time.Now()
		for range 200 {
			l.cycle(b)
		}
		return time.Since(start)
	}
	least := [2]time.Duration{1 << 62, 1 << 62}
	for b.Loop() {
		least[0], least[1] = min(least[0], spell(empty)), min(least[1], spell(full))
	}
	b.ReportMetric(float64(least[1])/float64(least[0]), "ratio")
}

// BenchmarkRulesRatio is the cost of a cycle under rules 2, with steps and a decision, divided by that under rules 1. The two machines take
// turns in short spells, and the smallest spell of each counts. Wanted: at most 1.1.
func BenchmarkRulesRatio(b *testing.B) {
	old, now := newLoadedOf(b, 1, 1_000, 100, 20_000), newLoadedOf(b, 2, 1_000, 100, 20_000)
	spell := func(l *loaded) time.Duration {
		start := time.Now()
		for range 200 {
			l.cycle(b)
		}
		return time.Since(start)
	}
	least := [2]time.Duration{1 << 62, 1 << 62}
	for b.Loop() {
		least[0], least[1] = min(least[0], spell(old)), min(least[1], spell(now))
	}
	b.ReportMetric(float64(least[0].Nanoseconds())/200, "rules-1-ns")
	b.ReportMetric(float64(least[1].Nanoseconds())/200, "rules-2-ns")
	b.ReportMetric(float64(least[1])/float64(least[0]), "ratio")
}

// BenchmarkOutput is the cost of an append of 20 bytes, of 256 in a batch, to one of so many streams.
func BenchmarkOutput(b *testing.B) {
	for _, streams := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			l := newLoaded(b, streams, 100, 0)
			parts := make([]*logv1.OutputPart, streams)
			for i := range parts {
				fence := l.apply(claimCommand()).Results[0].GetClaim().GetFence()
				parts[i] = &logv1.OutputPart{Fence: fence, Data: []byte("twenty bytes of text")}
			}
			at, appends := 0, 0
			o := &logv1.Output{Session: 1}
			command := &logv1.Command{Op: &logv1.Command_Output{Output: o}}
			b.ReportAllocs()
			for b.Loop() {
				o.Parts = o.Parts[:0]
				for range 256 {
					p := parts[at%streams]
					o.Parts = append(o.Parts, &logv1.OutputPart{Fence: p.Fence, Offset: uint64(at/streams) * 20, Data: p.Data})
					at++
				}
				l.apply(command)
				appends += 256
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(appends), "ns/append")
		})
	}
}

// BenchmarkPacked is one job's share of batches that carry 256 finishes with their next claims and as many enqueues.
func BenchmarkPacked(b *testing.B) {
	l := newLoaded(b, 10_000, 100, 0)
	var commands []*logv1.Command
	for range 256 {
		commands = append(commands, claimCommand())
	}
	out := l.apply(commands...)
	var fences []uint64
	for _, res := range out.Results {
		fences = append(fences, res.GetClaim().GetFence())
	}
	jobs := 0
	b.ReportAllocs()
	for b.Loop() {
		commands = commands[:0]
		for range 256 {
			commands = append(commands, l.enqueueCommand(1))
		}
		for _, fence := range fences {
			commands = append(commands, finishCommand(fence, true))
		}
		out := l.apply(commands...)
		for i, res := range out.Results[256:] {
			fences[i] = res.GetFinish().GetNext().GetFence()
		}
		jobs += 256
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(jobs), "ns/job")
}

// BenchmarkSnapshot: at 1,000,000 jobs the pause of taking a snapshot (aim: at most 10 ms), the pause of the batches after it (they
// copy what they touch), its size, the time to write it and to restore it.
func BenchmarkSnapshot(b *testing.B) {
	l := newLoaded(b, 1_000_000, 1_000, 0)
	var whole bytes.Buffer
	var pause, after, write, restore time.Duration
	rounds := 0
	for b.Loop() {
		start := time.Now()
		snapshot := l.m.Snapshot()
		pause = max(pause, time.Since(start))
		for range 100 {
			start = time.Now()
			l.cycle(b)
			after = max(after, time.Since(start))
		}
		whole.Reset()
		start = time.Now()
		if _, err := snapshot.WriteTo(&whole); err != nil {
			b.Fatal(err)
		}
		write += time.Since(start)
		start = time.Now()
		if _, err := fsm.Restore(bytes.NewReader(whole.Bytes())); err != nil {
			b.Fatal(err)
		}
		restore += time.Since(start)
		rounds++
	}
	b.ReportMetric(float64(pause.Microseconds())/1000, "pause-ms")
	b.ReportMetric(float64(after.Microseconds())/1000, "worst-cycle-after-ms")
	b.ReportMetric(float64(whole.Len())/1e6, "MB")
	b.ReportMetric(write.Seconds()/float64(rounds), "write-s")
	b.ReportMetric(restore.Seconds()/float64(rounds), "restore-s")
}
