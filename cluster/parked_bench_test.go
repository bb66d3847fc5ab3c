package cluster

import (
	"fmt"
	"testing"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// BenchmarkParkedLane: what a job costs, from its enqueue to its finish, while so many claims of one lane are parked; and the same for a job of
// a coordinator, whose next one is ready when it ends. entries/job and claims/job say what of it goes through the log.
func BenchmarkParkedLane(b *testing.B) {
	for _, coordinated := range []bool{false, true} {
		for _, parked := range []int{1, 100, 10_000} {
			b.Run(fmt.Sprintf("coordinated=%v/parked=%d", coordinated, parked), func(b *testing.B) { benchParkedLane(b, coordinated, parked) })
		}
	}
}

func benchParkedLane(b *testing.B, coordinated bool, parked int) {
	w := newWorld(b, StoreWAL, 1, nil)
	n := w.nodes[0]
	session := w.workerOf(n, "worker", uint32(parked+10), "*")
	x := w.line(n)
	x.submit(true, claims(session, parked)...)
	w.parked(n, parked)
	for left := b.N; coordinated && left > 0; left -= 500 {
		c := enqueue(min(left, 500))
		for _, j := range c.GetEnqueue().GetJobs() {
			j.Coordinator = "c"
		}
		w.propose(n, c)
	}
	recording, err := n.Record()
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		if !coordinated {
			w.propose(n, enqueue(1))
		}
		x.take(1)
		fence := x.got[0].Result.GetClaim().GetFence()
		x.got = x.got[1:]
		x.submit(true, claim(session))
		w.propose(n, finish(session, fence))
	}
	b.StopTimer()
	entries, logged := claimsLogged(b, recording)
	b.ReportMetric(float64(entries)/float64(b.N), "entries/job")
	b.ReportMetric(float64(logged)/float64(b.N), "claims/job")
}

// BenchmarkResumedQueue: how long a resumed queue of so many jobs takes to reach as many claims that one session has parked.
func BenchmarkResumedQueue(b *testing.B) {
	for _, count := range []int{256, 4096} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			w := newWorld(b, StoreWAL, 1, nil)
			n := w.nodes[0]
			session := w.workerOf(n, "worker", uint32(count), "*")
			x := w.line(n)
			pause := func(paused bool) {
				w.propose(n, &logv1.Command{Op: &logv1.Command_SetQueue{SetQueue: &logv1.SetQueue{Name: "default", Paused: &paused}}})
			}
			w.propose(n, enqueue(1)) // makes the queue
			x.submit(true, claim(session))
			x.take(1)
			w.propose(n, finish(session, x.got[0].Result.GetClaim().GetFence()))
			x.got = x.got[:0]
			for b.Loop() {
				b.StopTimer()
				pause(true)
				x.submit(true, claims(session, count)...)
				w.parked(n, count)
				for left := count; left > 0; left -= 256 {
					w.propose(n, enqueue(256))
				}
				b.StartTimer()
				pause(false)
				x.take(count)
				b.StopTimer()
				for _, t := range x.got {
					w.propose(n, finish(session, t.Result.GetClaim().GetFence()))
				}
				x.got = x.got[:0]
				b.StartTimer()
			}
		})
	}
}
