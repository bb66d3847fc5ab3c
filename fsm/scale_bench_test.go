package fsm_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// throughLog gives the batch as a node gets it: every message, string and payload is memory of its own.
func throughLog(tb testing.TB, batch *logv1.Batch) *logv1.Batch {
	tb.Helper()
	entry, err := proto.Marshal(batch)
	if err != nil {
		tb.Fatal(err)
	}
	out := &logv1.Batch{}
	if err := proto.Unmarshal(entry, out); err != nil {
		tb.Fatal(err)
	}
	return out
}

// newWaiting is a machine in which so many jobs with payloads of 256 bytes wait, enqueued through encoded batches.
func newWaiting(tb testing.TB, jobs, users int) *fsm.Machine {
	tb.Helper()
	m := fsm.New()
	payload := bytes.Repeat([]byte("0123456789abcdef"), 16)
	for made, index := 0, uint64(0); made < jobs; index++ {
		e := &logv1.Enqueue{}
		for ; len(e.Jobs) < 1000 && made < jobs; made++ {
			e.Jobs = append(e.Jobs, &logv1.NewJob{Kind: "scale.work", Queue: "default", User: fmt.Sprintf("user-%06d", made%users), Payload: payload})
		}
		m.Apply(index+1, throughLog(tb, &logv1.Batch{Rules: fsm.Rules, NowMs: 1_700_000_000_000, MonotonicMs: 1, Leadership: 1,
			Commands: []*logv1.Command{{Op: &logv1.Command_Enqueue{Enqueue: e}}}}))
	}
	return m
}

// heapInUse is what lives on the heap, in bytes.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// BenchmarkWaitingJobs: what so many waiting jobs of so many users cost in heap, in a snapshot, and to write and read back.
func BenchmarkWaitingJobs(b *testing.B) {
	for _, c := range []struct{ jobs, users int }{{200_000, 20_000}, {1_000_000, 100_000}} {
		b.Run(fmt.Sprintf("jobs=%d/users=%d", c.jobs, c.users), func(b *testing.B) {
			before := heapInUse()
			m := newWaiting(b, c.jobs, c.users)
			heap := heapInUse() - before
			var file bytes.Buffer
			var write, read time.Duration
			for b.Loop() {
				file.Reset()
				start := time.Now()
				if _, err := m.Snapshot().WriteTo(&file); err != nil {
					b.Fatal(err)
				}
				write += time.Since(start)
				start = time.Now()
				if _, err := fsm.Restore(bytes.NewReader(file.Bytes())); err != nil {
					b.Fatal(err)
				}
				read += time.Since(start)
			}
			b.ReportMetric(float64(file.Len())/float64(c.jobs), "file-B/job")
			b.ReportMetric(write.Seconds()/float64(b.N), "write-s")
			b.ReportMetric(read.Seconds()/float64(b.N), "restore-s")
			b.ReportMetric(float64(heap)/float64(c.jobs), "heap-B/job")
		})
	}
}
