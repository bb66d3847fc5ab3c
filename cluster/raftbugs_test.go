package cluster

import (
	"errors"
	"reflect"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/hashicorp/raft"

	"github.com/hashicorp/go-hclog"
)

// The faults of hashicorp/raft that are known, and what is done about each. #503, a leader whose disk hangs and that leads on, is TestFailStop here and
// TestDiskFaults in e2e.

func testTransport(t *testing.T) *transport {
	same := func(_ raft.ServerID, target raft.ServerAddress) (raft.ServerAddress, error) { return target, nil }
	w, err := openTransport("127.0.0.1:0", "", nil, same, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// #695: heartbeats that are handled beside raft's main loop can let replicas diverge. So they come in by the same door as everything else.
func TestHeartbeatsTakeTheCommonDoor(t *testing.T) {
	from, to := testTransport(t), testTransport(t)
	to.SetHeartbeatHandler(func(raft.RPC) { t.Error("a heartbeat went by the fast path") })
	answered := make(chan error, 1)
	go func() {
		heartbeat := &raft.AppendEntriesRequest{Term: 1, RPCHeader: raft.RPCHeader{Addr: []byte("leader")}}
		answered <- from.AppendEntries("to", to.LocalAddr(), heartbeat, &raft.AppendEntriesResponse{})
	}()
	select {
	case rpc := <-to.Consumer():
		rpc.Respond(&raft.AppendEntriesResponse{Success: true}, nil)
	case <-time.After(10 * time.Second):
		t.Fatal("the heartbeat did not arrive")
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// #612: pipelined appends can wedge the replication to a follower. So there are none.
func TestNoPipeline(t *testing.T) {
	w := testTransport(t)
	if _, err := w.AppendEntriesPipeline("to", "127.0.0.1:1"); !errors.Is(err, raft.ErrPipelineReplicationNotSupported) {
		t.Errorf("a pipeline opens: %v", err)
	}
}

// #696: a transfer of leadership can leave a flag behind that is never taken back: when the node leads again, raft refuses everything from it,
// and the others follow it. The flag is set here by hand, since raft loses it only in a race. Such a leader ends its process, which may start again.
func TestStuckTransferEndsTheProcess(t *testing.T) {
	var ended atomic.Pointer[error]
	w := newWorld(t, StoreWAL, 1, func(c *Config) { c.OnFatal = func(err error) { ended.Store(&err) } })
	flag := reflect.ValueOf(w.nodes[0].raft).Elem().FieldByName("leaderState").FieldByName("leadershipTransferInProgress")
	atomic.StoreInt32((*int32)(unsafe.Pointer(flag.UnsafeAddr())), 1)
	_, err := w.nodes[0].Propose(w.limit(10*time.Second), enqueue(1))
	if !errors.Is(err, ErrNotLeader) {
		t.Fatalf("a command during a transfer: %v", err)
	}
	w.until("the end of the process", func() bool { return ended.Load() != nil })
	if err := *ended.Load(); ExitCode(err) != exitRestart {
		t.Errorf("it ended with %v", err)
	}
}
