package fsm_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// BenchmarkWhy asks about a job in the middle of 1,000,000 waiting ones, with 100 workers whose lanes are full (aim: at most 50 ms).
func BenchmarkWhy(b *testing.B) {
	for _, c := range []struct{ waiting, users int }{{1_000, 10}, {1_000_000, 1}, {1_000_000, 1_000}, {1_000_000, 100_000}, {1_000_000, 1_000_000}} {
		b.Run(fmt.Sprintf("waiting=%d/users=%d", c.waiting, c.users), func(b *testing.B) {
			l := newLoaded(b, c.waiting, c.users, 0)
			l.crowd(b)
			l.apply(settingsCommand(&logv1.Settings{MaxRunningPerUser: proto.Int64(1 << 20)}))
			best, worst := time.Hour, time.Duration(0)
			for b.Loop() {
				start := time.Now()
				if _, ok := l.m.Insight().Why(fsm.JobID(c.waiting / 2)); !ok {
					b.Fatal("no answer")
				}
				best, worst = min(best, time.Since(start)), max(worst, time.Since(start))
			}
			b.ReportMetric(float64(best.Microseconds())/1000, "best-ms")
			b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
		})
	}
}

// crowd registers 100 workers with three lanes each, and fills them.
func (l *loaded) crowd(b *testing.B) {
	for i := range 100 {
		res := l.apply(&logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: fmt.Sprintf("w%d", i), Nonce: 2,
			Lanes: lanesOf("default:1 default>*:2 *:1@1GiB")}}}).Results[0]
		for lane, slots := range []int{1, 2, 1} {
			for range slots {
				l.apply(&logv1.Command{Op: &logv1.Command_Claim{Claim: &logv1.Claim{Session: res.GetSession().GetSession(), Lane: uint32(lane)}}})
			}
		}
	}
}

// BenchmarkInsight is the time for which Apply has to wait for an insight, and what the cycles after it cost, which copy what they touch.
func BenchmarkInsight(b *testing.B) {
	for _, waiting := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			l := newLoaded(b, waiting, 1_000, 0)
			b.Run("alone", func(b *testing.B) {
				for b.Loop() {
					l.m.Insight()
				}
			})
			b.Run("cycle", func(b *testing.B) {
				for b.Loop() {
					l.cycle(b)
				}
			})
			b.Run("cycle-after", func(b *testing.B) {
				for b.Loop() {
					l.m.Insight()
					l.cycle(b)
				}
			})
		})
	}
}

// BenchmarkOrder previews the next 20 and 1,000 jobs.
func BenchmarkOrder(b *testing.B) {
	l := newLoaded(b, 1_000_000, 1_000, 0)
	for _, n := range []int{20, 1000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			for b.Loop() {
				if list, _ := l.m.OrderOfQueue("default", n); len(list) != n {
					b.Fatal(len(list))
				}
			}
		})
	}
}

// BenchmarkCycleBesideWhy is what a job's whole cycle among 1,000,000 waiting ones takes while somebody asks why five times a second, and
// while nobody does.
func BenchmarkCycleBesideWhy(b *testing.B) {
	l := newLoaded(b, 1_000_000, 1_000, 0)
	var apply sync.Mutex // as a node has it
	cycles := func() (took []time.Duration) {
		for began := time.Now(); time.Since(began) < 3*time.Second; {
			start := time.Now()
			apply.Lock()
			l.cycle(b)
			apply.Unlock()
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		return took
	}
	report := func(name string, took []time.Duration) {
		b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, name+"-p50-us")
		b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, name+"-p99-us")
		b.ReportMetric(float64(took[len(took)-1].Nanoseconds())/1000, name+"-max-us")
	}
	for b.Loop() {
		report("quiet", cycles())
		done := make(chan struct{})
		var asker sync.WaitGroup
		asker.Go(func() {
			for tick := time.Tick(200 * time.Millisecond); ; {
				select {
				case <-done:
					return
				case <-tick:
					apply.Lock()
					insight := l.m.Insight()
					apply.Unlock()
					if _, ok := insight.Why(500_000); !ok {
						b.Error("no answer")
						return
					}
				}
			}
		})
		report("asked", cycles())
		close(done)
		asker.Wait()
	}
}
