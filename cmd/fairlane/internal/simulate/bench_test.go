package simulate

import (
	"fmt"
	"testing"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// BenchmarkSimulate lives through 10,000 jobs of 50 users on 20 workers of 5 slots.
func BenchmarkSimulate(b *testing.B) {
	s := newScene(b)
	type slot struct{ session, fence, ends uint64 }
	var slots []slot
	for i := range 20 {
		session := s.worker(fmt.Sprint("w", i), "*:5")
		for range 5 {
			slots = append(slots, slot{session: session})
		}
	}
	const jobs = 10_000
	enqueued, finished := 0, 0
	for now := int64(0); finished < jobs; now += 10 {
		var batch []*logv1.Command
		if enqueued < jobs {
			var list []*logv1.NewJob
			for range 10 {
				list = append(list, job(fmt.Sprint("u", enqueued%50), fmt.Sprint("q", enqueued%4)))
				enqueued++
			}
			batch = append(batch, enqueue(list...))
		}
		var at []*slot
		for i := range slots {
			if c := &slots[i]; c.fence == 0 {
				batch, at = append(batch, claim(c.session, 0)), append(at, c)
			} else if c.ends <= uint64(now) {
				batch, at = append(batch, done(c.session, c.fence, 0)), append(at, c)
				finished++
			}
		}
		results := s.at(now, batch...)
		for i, c := range at {
			r := results[len(results)-len(at)+i]
			got := r.GetClaim()
			if f := r.GetFinish(); f != nil {
				got = f.GetNext()
			}
			c.fence, c.ends = got.GetFence(), uint64(now)+100+got.GetFence()%70
		}
	}
	path := s.end()
	b.ResetTimer()
	for b.Loop() {
		if _, err := Run(b.Context(), path, Options{Resimulate: true}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/jobs, "µs/job")
}
