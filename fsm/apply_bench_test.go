package fsm_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// now is the time of the benchmarks that compare spells.
var now = func() time.Duration { return time.Since(begun) }

var begun = time.Now()

// spent is what some commands cost together.
type spent struct {
	commands, allocs, bytes uint64
	took                    time.Duration
}

// spender applies commands of one worker, numbered as a client numbers its calls, in batches of one size.
type spender struct {
	*loaded
	size    int
	numbers [benchWorkers + 1]uint64 // of the calls of each session
	costs   map[string]*spent
}

// benchWorkers have five slots each. Their sessions follow that of the loaded machine.
const benchWorkers = 20

// newSpender makes a machine in which so many jobs of so many users wait, and whose history is as long as it gets: each job that ends pushes one out.
func newSpender(tb testing.TB, waiting, users, size int) *spender {
	s := &spender{loaded: newLoaded(tb, waiting, users, 0), size: size, costs: map[string]*spent{}}
	kept := int64(10_000)
	s.apply(settingsCommand(&logv1.Settings{RetentionJobs: &kept}))
	for i := range benchWorkers {
		s.apply(&logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: fmt.Sprintf("worker%d", i), Nonce: 1,
			Lanes: []*logv1.Lane{{Chain: []string{"default", "*"}, Slots: 5}}}}})
	}
	for range 55 {
		s.spell(tb)
	}
	clear(s.costs)
	return s
}

// repeat makes a command a numbered call of a session; the 64 calls before it are still open.
func (s *spender) repeat(session uint64, c *logv1.Command) *logv1.Command {
	number := &s.numbers[session-1]
	*number++
	c.Repeat = &logv1.Repeat{Session: session, Number: *number, Lowest: *number - min(*number, 64)}
	return c
}

func (s *spender) batch(commands ...*logv1.Command) *logv1.Batch {
	return &logv1.Batch{Rules: s.rules, NowMs: 1_700_000_000_000, MonotonicMs: 1, Leadership: 1, Commands: commands}
}

func claimBy(session uint64) *logv1.Command {
	c := claimCommand()
	c.GetClaim().Session = session
	return c
}

func finishBy(session, fence uint64, next bool) *logv1.Command {
	c := finishCommand(fence, next)
	c.GetFinish().Session = session
	return c
}

// heartbeatCommand renews the claims of a worker, of those of all workers.
func (s *spender) heartbeatCommand(worker int, fences []uint64) *logv1.Command {
	h := &logv1.Heartbeat{Session: uint64(2 + worker)}
	for at := worker; at < len(fences); at += benchWorkers {
		h.Fences = append(h.Fences, fences[at])
	}
	return &logv1.Command{Op: &logv1.Command_Heartbeat{Heartbeat: h}}
}

// run applies the commands in batches, and returns their results. Only Apply counts.
func (s *spender) run(name string, commands []*logv1.Command) (out []*logv1.Result) {
	var before, after runtime.MemStats
	outcomes := make([]fsm.Outcome, 0, len(commands))
	batches := make([]*logv1.Batch, 0, len(commands))
	for at := 0; at < len(commands); at += s.size {
		batches = append(batches, s.batch(commands[at:min(at+s.size, len(commands))]...))
	}
	runtime.ReadMemStats(&before)
	start := now()
	for _, b := range batches {
		s.index++
		outcomes = append(outcomes, s.m.Apply(s.index, b))
	}
	took := now() - start
	runtime.ReadMemStats(&after)
	cost := s.costs[name]
	if cost == nil {
		cost = &spent{}
		s.costs[name] = cost
	}
	cost.commands += uint64(len(commands))
	cost.took += took
	cost.allocs += after.Mallocs - before.Mallocs
	cost.bytes += after.TotalAlloc - before.TotalAlloc
	for _, o := range outcomes {
		out = append(out, o.Results...)
	}
	return out
}

func (s *spender) commands(n int, one func(i int) *logv1.Command) []*logv1.Command {
	out := make([]*logv1.Command, n)
	for i := range out {
		out[i] = one(i)
	}
	return out
}

// spell enqueues jobs, claims until the slots are full, finishes each and claims the next with it, renews the leases, and finishes all.
func (s *spender) spell(tb testing.TB) {
	const n = 5 * benchWorkers
	worker := func(i int) uint64 { return uint64(2 + i%benchWorkers) }
	s.run("enqueue", s.commands(2*n, func(int) *logv1.Command {
		c := s.enqueueCommand(1)
		c.GetEnqueue().Jobs[0].Payload = payload
		return s.repeat(1, c)
	}))
	fences := make([]uint64, n)
	claimed := s.run("claim", s.commands(n, func(i int) *logv1.Command { return s.repeat(worker(i), claimBy(worker(i))) }))
	for i, res := range claimed {
		if fences[i] = res.GetClaim().GetFence(); fences[i] == 0 {
			tb.Fatalf("no job: %v", res)
		}
	}
	finish := func(next bool) func(int) *logv1.Command {
		return func(i int) *logv1.Command { return s.repeat(worker(i), finishBy(worker(i), fences[i], next)) }
	}
	for i, res := range s.run("next", s.commands(n, finish(true))) {
		if fences[i] = res.GetFinish().GetNext().GetFence(); fences[i] == 0 {
			tb.Fatalf("no next job: %v", res)
		}
	}
	s.run("beat", s.commands(benchWorkers, func(i int) *logv1.Command { return s.heartbeatCommand(i, fences) }))
	for _, res := range s.run("finish", s.commands(n, finish(false))) {
		if res.GetFinish().GetState() != logv1.State_STATE_SUCCEEDED {
			tb.Fatalf("not finished: %v", res)
		}
	}
}

var payload = make([]byte, 256)

// BenchmarkApply is what each kind of command costs, alone in its batch and 50 in one: numbered calls with 256 bytes of payload, among so many
// waiting jobs and users, with a history that is full, so that each job that ends pushes one out. A heartbeat renews 5 claims. Per command: -ns,
// -allocs, -B.
func BenchmarkApply(b *testing.B) {
	for _, c := range []struct{ waiting, users int }{{1_000, 1}, {1_000, 1_000}, {200_000, 1}, {200_000, 1_000}} {
		for _, size := range []int{1, 50} {
			b.Run(fmt.Sprintf("waiting=%d/users=%d/batch=%d", c.waiting, c.users, size), func(b *testing.B) {
				s := newSpender(b, c.waiting, c.users, size)
				for b.Loop() {
					s.spell(b)
				}
				for name, cost := range s.costs {
					n := float64(cost.commands)
					b.ReportMetric(float64(cost.took.Nanoseconds())/n, name+"-ns")
					b.ReportMetric(float64(cost.allocs)/n, name+"-allocs")
					b.ReportMetric(float64(cost.bytes)/n, name+"-B")
				}
			})
		}
	}
}

// BenchmarkClaimRatio is the cost of a claim and its finish among 10,000, 200,000 and 1,000,000 waiting jobs of 1,000 users, each after an enqueue
// that keeps the backlog, divided by that among 10,000. The machines take turns in short spells, and the median of each counts. Wanted: at most 1.1.
func BenchmarkClaimRatio(b *testing.B) {
	for _, users := range []int{1, 1_000} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			sizes := []int{10_000, 200_000, 1_000_000}
			var machines []*spender
			for _, waiting := range sizes {
				machines = append(machines, newSpender(b, waiting, users, 1))
			}
			spells := make([][]float64, len(sizes))
			for b.Loop() {
				for i, s := range machines {
					clear(s.costs)
					for range 4 {
						s.spell(b)
					}
					took := s.costs["claim"].took + s.costs["next"].took + s.costs["finish"].took
					spells[i] = append(spells[i], float64(took.Nanoseconds())/float64(2*s.costs["claim"].commands))
				}
			}
			for i := range sizes {
				slices.Sort(spells[i])
				median := spells[i][len(spells[i])/2]
				b.ReportMetric(median, fmt.Sprintf("ns-%d", sizes[i]))
				b.ReportMetric(median/spells[0][len(spells[0])/2], fmt.Sprintf("ratio-%d", sizes[i]))
			}
		})
	}
}
