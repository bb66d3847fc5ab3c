package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// BenchmarkCommands compares commands through the proposer with raft alone: the same stores, three nodes on loopback,
// fsync on, an entry per command of the size of a heartbeat. One caller waits for its answer before its next command.
func BenchmarkCommands(b *testing.B) {
	for _, store := range everyStore {
		for _, callers := range []int{1, 128, 1024} {
			b.Run(fmt.Sprintf("%s/%d/proposer", store, callers), func(b *testing.B) {
				w := newWorld(b, store, 3, nil)
				leader := w.leader()
				command := &logv1.Command{Op: &logv1.Command_Heartbeat{Heartbeat: &logv1.Heartbeat{Session: w.worker(leader, "worker", 1)}}}
				race(b, callers, func(ctx context.Context) error {
					_, err := leader.Propose(ctx, command)
					return err
				})
			})
			b.Run(fmt.Sprintf("%s/%d/raft", store, callers), func(b *testing.B) {
				leader := bareRaft(b, store)
				data := make([]byte, 40)
				race(b, callers, func(ctx context.Context) error { return leader.Apply(data, 0).Error() })
			})
		}
	}
}

// race runs b.N calls over so many callers and reports commands per second.
func race(b *testing.B, callers int, call func(context.Context) error) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	together(callers, func(int) {
		for left.Add(-1) >= 0 {
			if err := call(context.Background()); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
}

// nothingMachine is a machine that does nothing.
type nothingMachine struct{ raft.FSM }

func (nothingMachine) Apply(*raft.Log) any { return nil }

// stays where raft's configuration says.
func stays(_ raft.ServerID, known raft.ServerAddress) (raft.ServerAddress, error) { return known, nil }

// bareRaft is a cluster of three as raft's library runs it, on the stores and with the timing of this package.
func bareRaft(b *testing.B, store string) (leader *raft.Raft) {
	b.Helper()
	var members raft.Configuration
	var all []*raft.Raft
	for range 3 {
		c, err := Config{
			DataDir: b.TempDir(), LogStore: store, RaftListen: "127.0.0.1:0",
			Logger: hclog.NewNullLogger(), OnFatal: func(err error) { b.Error(err) },
		}.complete()
		if err != nil {
			b.Fatal(err)
		}
		s, err := openStores(c, newDisk(c), c.OnFatal)
		if err != nil {
			b.Fatal(err)
		}
		wire, err := openTransport(c.RaftListen, "", nil, stays, c.Logger)
		if err != nil {
			b.Fatal(err)
		}
		id := filepath.Base(c.DataDir)
		r, err := raft.NewRaft(c.raft(id), nothingMachine{}, s.log, s.stable, s.snapshots, wire)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			wire.Close()
			r.Shutdown().Error()
			s.close()
		})
		members.Servers = append(members.Servers, raft.Server{ID: raft.ServerID(id), Address: wire.LocalAddr()})
		all = append(all, r)
	}
	if err := all[0].BootstrapCluster(members).Error(); err != nil {
		b.Fatal(err)
	}
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		for _, r := range all {
			if r.State() == raft.Leader && r.Barrier(0).Error() == nil {
				return r
			}
		}
		<-look.C
	}
}

// BenchmarkInFlight is why one batch is in flight, and why a batch has at most 256 KiB: raft alone carries the commands of so many callers, 300
// bytes each, in one entry at a time, or divided among several at the same time.
func BenchmarkInFlight(b *testing.B) {
	const commandBytes = 300
	for _, store := range everyStore {
		for _, callers := range []int{16, 128, 1024, 4096} {
			for _, flights := range []int{1, 2, 4, 8} {
				b.Run(fmt.Sprintf("%s/callers=%d/flights=%d", store, callers, flights), func(b *testing.B) {
					leader := bareRaft(b, store)
					data := make([]byte, callers/flights*commandBytes)
					race(b, flights, func(context.Context) error { return leader.Apply(data, 0).Error() })
					b.ReportMetric(float64(b.N)*float64(callers/flights)/b.Elapsed().Seconds(), "commands/s")
				})
			}
		}
	}
}
