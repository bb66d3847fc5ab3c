package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// manySchedules puts so many that are due a minute after noon, and every minute from then on.
func (w *world) manySchedules(n *Node, count int) {
	w.t.Helper()
	var next atomic.Int64
	together(256, func(int) {
		for i := next.Add(1); int(i) <= count; i = next.Add(1) {
			s := minutely(fmt.Sprintf("s%05d", i), noon+60_000)
			s.MaxInstances, s.Template.Queue = 1, "ticks"
			result, err := n.Propose(context.Background(), putOf(w.t, s, 0, noon))
			if err != nil || result.GetRefusal() != nil {
				w.t.Errorf("put %d: %v %v", i, result.GetRefusal(), err)
				return
			}
		}
	})
}

func sums(n *Node) (totals *logv1.ScheduleTotals) {
	n.View(func(m *fsm.Machine) { totals, _, _ = m.ScheduleSums() })
	return totals
}

// Ten thousand schedules are due in the same second: all fire, each once, in the order of their names, in batches within their bounds.
func TestTenThousandAtOnce(t *testing.T) {
	const count = 10_000
	clock := newHandClock(noon)
	w := newWorld(t, StoreWAL, 3, func(c *Config) { c.Clock = clock })
	n := w.leader()
	w.manySchedules(n, count)
	recording, err := n.Record()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	clock.forward(w, time.Minute)
	w.until("all to fire", func() bool { return sums(n).GetFired() == count })
	t.Logf("%d schedules fired in %v", count, time.Since(began))
	w.propose(n, checkpoint()) // nothing is left
	recording.Stop()
	fires := 0
	for {
		entry, err := recording.Next(w.limit(10 * time.Second))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		fires += checkBounds(t, entry.Batch)
	}
	if least := count / fireDues; fires < least || fires > 2*least {
		t.Errorf("%d fires for %d schedules", fires, count)
	}
	totals := sums(n)
	if totals.GetFired() != count || totals.GetMissed()+totals.GetSkipped()+totals.GetCoalesced() != 0 {
		t.Errorf("totals %v", totals)
	}
	n.View(func(m *fsm.Machine) {
		if jobs := m.Totals().Jobs; jobs != count {
			t.Errorf("%d jobs", jobs)
		}
		for i := uint64(1); i <= count; i++ {
			job, _ := m.Job(fsm.JobID(i))
			if want := fmt.Sprintf("s%05d", i); job.GetSchedule() != want || job.GetFireMs() != noon+60_000 {
				t.Fatalf("job %d is of %s at %d, want %s", i, job.GetSchedule(), job.GetFireMs(), want)
			}
		}
	})
	w.sameDigests()
}

// checkBounds of one log entry, and count its fires.
func checkBounds(t *testing.T, data []byte) (fires int) {
	t.Helper()
	b := &logv1.Batch{}
	if err := proto.Unmarshal(data, b); err != nil {
		t.Fatal(err)
	}
	weight := 0
	for _, c := range b.GetCommands() {
		weight += newPending(c).weight
		if fire := c.GetFire(); fire != nil {
			fires++
			if len(fire.GetDues()) > fireDues || newPending(c).weight > fireWeight {
				t.Errorf("a fire of %d schedules", len(fire.GetDues()))
			}
		}
	}
	if weight > packCommands || len(data) > packBytes+1000 || fires > 1 {
		t.Errorf("an entry with %d commands weighs %d in %d bytes, with %d fires", len(b.GetCommands()), weight, len(data), fires)
	}
	return fires
}

// BenchmarkTenThousandAtOnce: how long 10,000 schedules that are due in the same second take to fire, and how long a job that is enqueued
// beside them waits for its parked claim. With workers, the jobs of the schedules are claimed and finished meanwhile.
func BenchmarkTenThousandAtOnce(b *testing.B) {
	const count = 10_000
	for _, store := range everyStore {
		for _, workers := range []int{0, 64} {
			b.Run(fmt.Sprintf("%s/workers=%d", store, workers), func(b *testing.B) {
				clock := newHandClock(noon)
				w := newWorld(b, store, 3, func(c *Config) { c.Clock = clock })
				n := w.leader()
				w.manySchedules(n, count)
				probe := newProbe(w, n)
				never := func() bool { return false }
				probe.run(never, 200)
				quiet := probe.run(never, 500)
				stop := w.workOff(n, "ticks", workers)
				b.ResetTimer()
				var beside []time.Duration
				for range b.N {
					want := ticksSeen(n) + count
					clock.forward(w, time.Minute)
					beside = append(beside, probe.run(func() bool { return ticksSeen(n) >= want }, 1<<30)...)
				}
				b.StopTimer()
				stop()
				report(b, "quiet", quiet)
				report(b, "beside", beside)
			})
		}
	}
}

// ticksSeen of the leader; to look at every schedule would slow down what is measured.
func ticksSeen(n *Node) (count uint64) {
	for _, c := range n.TickStats().Counts {
		count += c.Count
	}
	return count
}

func report(b *testing.B, what string, took []time.Duration) {
	slices.Sort(took)
	for _, q := range []struct {
		name string
		at   int
	}{{"p50", len(took) / 2}, {"p99", len(took) * 99 / 100}, {"max", len(took) - 1}} {
		b.ReportMetric(float64(took[q.at].Microseconds())/1000, what+"-"+q.name+"-ms")
	}
}

// probe enqueues a job and claims it, again and again.
type probe struct {
	w       *world
	n       *Node
	session uint64
}

func newProbe(w *world, n *Node) *probe {
	return &probe{w: w, n: n, session: w.workerOf(n, "probe", 1, "probe")}
}

// run until done or so often, and say how long each job took from its enqueue to the answer of its claim.
func (p *probe) run(done func() bool, most int) (took []time.Duration) {
	p.w.t.Helper()
	for len(took) < most && !done() {
		waits := p.w.claimLater(p.n, p.session, time.Minute)
		c := enqueue(1)
		c.GetEnqueue().Jobs[0].Queue = "probe"
		began := time.Now()
		p.w.propose(p.n, c)
		waits.wait(p.w.t)
		took = append(took, time.Since(began))
		if waits.err != nil || waits.result.GetClaim().GetFence() == 0 {
			p.w.t.Fatal(waits.result, waits.err)
		}
		p.w.propose(p.n, finish(p.session, waits.result.GetClaim().GetFence()))
	}
	return took
}

// workOff claims and finishes the jobs of a queue, so many at a time, until stopped.
func (w *world) workOff(n *Node, queue string, slots int) (stop func()) {
	if slots == 0 {
		return func() {}
	}
	session := w.workerOf(n, "worker", uint32(slots), queue)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		together(slots, func(int) {
			for ctx.Err() == nil {
				result, _, err := n.Claim(ctx, claim(session), time.Minute)
				if fence := result.GetClaim().GetFence(); err == nil && fence != 0 {
					_, _ = n.Propose(context.Background(), finish(session, fence))
				}
			}
		})
	}()
	return func() {
		cancel()
		<-ended
	}
}
