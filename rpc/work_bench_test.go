package rpc

import (
	"context"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// BenchmarkWork runs jobs over one stream with 128 slots: three nodes of this process, fsync on, jobs of no work, batches of 1,000 enqueued ahead.
// An operation is a job from its claim to the answer of its finish; entries are those of the log.
func BenchmarkWork(b *testing.B) {
	for _, at := range []string{"leader", "follower"} {
		b.Run(at, func(b *testing.B) { benchmarkWork(b, at == "leader") })
	}
}

func benchmarkWork(b *testing.B, atLeader bool) {
	const slots, ahead = 128, 20_000
	nodes := startThree(b)
	var leader, entry *testNode
	for _, node := range nodes {
		if node.IsLeader() {
			leader = node
		}
		if node.IsLeader() == atLeader {
			entry = node
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	session := leader.worker(b, "w", slots)
	left := b.N
	fill := func(count int) {
		for left > 0 && count > 0 {
			n := min(left, 1000)
			leader.enqueueMany(b, n)
			left, count = left-n, count-n
		}
	}
	fill(ahead)
	s, err := fairlanev1connect.NewWorkerServiceClient(h2c(b), entry.url, connect.WithCodec(binaryCodec{})).Work(ctx)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		cancel()
		_ = s.CloseRequest()
		_ = s.CloseResponse()
	}()
	number, done, messages := uint64(0), 0, 0
	open := make(map[uint64]bool)
	message := &v1.WorkRequest{Session: session}
	next := func() uint64 {
		number++
		open[number] = true
		return number
	}
	for range slots {
		id := next()
		message.Calls = append(message.Calls, claimCall(id, 1))
	}
	lowest := uint64(1)
	before, began := leader.fingerprint(b).index, time.Now()
	b.ReportAllocs()
	b.ResetTimer()
	for done < b.N {
		for !open[lowest] && lowest <= number {
			lowest++
		}
		message.Lowest = lowest
		if len(message.Calls) > 0 {
			if err := s.Send(message); err != nil {
				b.Fatal(err)
			}
		}
		message = &v1.WorkRequest{}
		answers, err := s.Receive()
		if err != nil {
			b.Fatal(err)
		}
		messages++
		for _, a := range answers.GetAnswers() {
			delete(open, a.GetId())
			claim := a.GetClaim().GetClaim()
			if finish := a.GetFinish(); finish != nil {
				done++
				if claim = finish.GetNext().GetClaim(); claim == nil && done+slots <= b.N {
					message.Calls = append(message.Calls, claimCall(next(), 1))
				}
			}
			if claim != nil {
				message.Calls = append(message.Calls, finishCall(next(), claim.GetFence()))
			}
		}
		if done%ahead > ahead/2 {
			fill(ahead / 4)
		}
	}
	b.StopTimer()
	seconds := time.Since(began).Seconds()
	entries := float64(leader.fingerprint(b).index - before)
	b.ReportMetric(float64(b.N)/seconds, "jobs/s")
	b.ReportMetric(entries/float64(b.N), "entries/job")
	b.ReportMetric(float64(b.N)/float64(messages), "jobs/message")
}
