package cluster

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// BenchmarkEncoding writes and reads batches as the log holds them: so many jobs, each with the enqueue of 256 bytes, and the finish of a former
// one with its next claim. many: the enqueues are one command. Figures and what follows from them: docs/decisions/0019-encoding.md.
func BenchmarkEncoding(b *testing.B) {
	for _, shape := range []struct {
		jobs int
		many bool
	}{{1, false}, {128, false}, {400, true}} {
		batch := encodedBatch(shape.jobs, shape.many)
		data, err := proto.Marshal(batch)
		if err != nil {
			b.Fatal(err)
		}
		name := fmt.Sprintf("jobs=%d/many=%v", shape.jobs, shape.many)
		perJob := func(b *testing.B) {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*shape.jobs), "ns/job")
			b.ReportMetric(float64(len(data))/float64(shape.jobs), "bytes/job")
		}
		b.Run(name+"/write", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := proto.Marshal(batch); err != nil {
					b.Fatal(err)
				}
			}
			perJob(b)
		})
		b.Run(name+"/read", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := proto.Unmarshal(data, &logv1.Batch{}); err != nil {
					b.Fatal(err)
				}
			}
			perJob(b)
		})
	}
}

func encodedBatch(jobs int, many bool) *logv1.Batch {
	batch := &logv1.Batch{Rules: fsm.Rules, NowMs: 1_800_000_000_000, MonotonicMs: 3_600_000, Leadership: 1 << 60}
	all := &logv1.Enqueue{}
	for i := range jobs {
		c := finish(uint64(i+1), 1<<40+uint64(i))
		c.Repeat = &logv1.Repeat{Session: uint64(i + 1), Number: 1000, Lowest: 1000}
		c.GetFinish().Next = &logv1.NextClaim{}
		batch.Commands = append(batch.Commands, c)
		all.Jobs = append(all.Jobs, &logv1.NewJob{Kind: "kind", Queue: "default", User: "ana", Payload: make([]byte, 256)})
	}
	for i := range all.Jobs {
		one := &logv1.Enqueue{Jobs: all.Jobs[i : i+1]}
		if many {
			one = all
		}
		batch.Commands = append(batch.Commands, &logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: one}})
		if many {
			break
		}
	}
	return batch
}
