package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// readiness is what /readyz says of a node, as far as these tests need it.
type readiness struct {
	Ready      bool   `json:"ready"`
	Reason     string `json:"reason"`
	Role       string `json:"role"`
	Voter      bool   `json:"voter"`
	NotLeading string `json:"not_leading"`
}

func readyz(ctx context.Context, n *harness.Node) (r readiness, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.API+"/readyz", nil)
	if err != nil {
		return r, err
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return r, err
	}
	defer answer.Body.Close()
	return r, json.NewDecoder(answer.Body).Decode(&r)
}

// waitFor a condition of a cluster, bounded.
func waitFor(t *testing.T, bound time.Duration, what string, done func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	for !done(ctx) {
		if sleep(ctx, 20*time.Millisecond) != nil {
			t.Fatalf("waited %v in vain for %s", bound, what)
		}
	}
}

// faults are the files from which nodes take what is wrong with their disks.
type faults struct {
	t   *testing.T
	dir string
}

func (f faults) file(node int) string { return filepath.Join(f.dir, "disk"+string(rune('0'+node))) }

func (f faults) env(node int) []string { return []string{"FAIRLANE_DISK_FILE=" + f.file(node)} }

func (f faults) set(n *harness.Node, fault string) {
	f.t.Helper()
	half := f.file(n.Number) + ".new"
	if err := os.WriteFile(half, []byte(fault), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(half, f.file(n.Number)); err != nil {
		f.t.Fatal(err)
	}
}

const (
	// stallBound from a disk that hangs to the next acknowledged command: 5 s until the process ends, and an election.
	stallBound = 10 * time.Second
	// fullBound is the same for a disk that is full: an election.
	fullBound = 5 * time.Second
	// lowBound from too little room to another leader: a look, and a transfer.
	lowBound = 5 * time.Second
)

// TestDiskFaults: the leader's disk hangs; then that of the next leader is full; then the third one's has little room. Each time another node
// leads within the bound, the node says why, nothing that was acknowledged is lost, and the node comes back when its disk is sound.
func TestDiskFaults(t *testing.T) {
	t.Parallel()
	for _, store := range harness.LogStores {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			diskFaults(t, store)
		})
	}
}

func diskFaults(t *testing.T, store string) {
	f := faults{t, t.TempDir()}
	c := harness.Start(t, harness.Options{LogStore: store, NodeEnv: f.env, Patience: time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	acknowledged := 0
	enqueue := func(bound time.Duration) time.Duration {
		t.Helper()
		began := time.Now()
		limit, cancel := context.WithTimeout(ctx, bound)
		defer cancel()
		key := "job" + time.Now().Format(time.RFC3339Nano)
		err := c.Any(limit, func(ctx context.Context, api harness.API) error {
			_, err := api.Jobs.Enqueue(ctx, &fairlanev1.EnqueueRequest{Job: &fairlanev1.NewJob{Kind: "k", Queue: "q", User: "ana", IdempotencyKey: key}})
			return err
		})
		if err != nil {
			t.Fatalf("no command was acknowledged in %v: %v", bound, err)
		}
		acknowledged++
		return time.Since(began)
	}
	leader := func() *harness.Node {
		t.Helper()
		n, _, err := c.Leader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	ends := func(n *harness.Node, word string) {
		t.Helper()
		if code, err := n.WaitExit(ctx); err != nil || code != 75 {
			t.Fatalf("node %d ended with code %d, want 75: %v", n.Number, code, err)
		}
		if text, _ := os.ReadFile(n.LogPath()); !strings.Contains(string(text), word) {
			t.Errorf("node %d does not say %q:\n%s", n.Number, word, text)
		}
	}
	comesBack := func(n *harness.Node) {
		t.Helper()
		f.set(n, "")
		if err := c.Restart(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	enqueue(fullBound)

	n := leader()
	f.set(n, "stall")
	t.Logf("%s: the disk hangs: the next command took %v", store, enqueue(stallBound))
	ends(n, "the disk hangs")
	comesBack(n)

	n = leader()
	f.set(n, "full")
	t.Logf("%s: the disk is full: the next command took %v", store, enqueue(fullBound))
	ends(n, "0 bytes")
	if _, err := os.Stat(filepath.Join(n.Dir, "data", "reserve")); err == nil {
		t.Error("the reserve was not given up")
	}
	comesBack(n)

	n = leader()
	f.set(n, "free 1000000")
	began := time.Now()
	waitFor(t, lowBound, "a leader with room", func(ctx context.Context) bool {
		said, err := readyz(ctx, n)
		return err == nil && said.Role == "follower" && strings.Contains(said.NotLeading, "976 KiB free")
	})
	t.Logf("%s: little room: %v to another leader; the next command took %v", store, time.Since(began), enqueue(fullBound))
	f.set(n, "")
	waitFor(t, lowBound, "the node to be fit again", func(ctx context.Context) bool {
		said, err := readyz(ctx, n)
		return err == nil && said.Ready && said.Voter && said.NotLeading == ""
	})
	status, err := leader().Dial().Cluster.Status(ctx, &fairlanev1.StatusRequest{})
	if err != nil || status.GetTotals().GetJobs().GetPending() != int64(acknowledged) {
		t.Errorf("%d jobs were acknowledged, the cluster has %v: %v", acknowledged, status.GetTotals().GetJobs(), err)
	}
	c.CheckDigests(t)
}

// TestWrongClock: the leader's clock jumps an hour ahead. Another node leads soon, and the node says why. set-clock takes back what the
// cluster's clock was moved by; a second time it is refused.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	clocks := newClocks(t.TempDir())
	c := harness.Start(t, harness.Options{NodeEnv: func(node int) []string {
		env := clocks.env(node)
		_ = clocks.set(node, 0)
		return env
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	n, _, err := c.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := clocks.set(n.Number, time.Hour); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	waitFor(t, 6*time.Second, "another leader", func(ctx context.Context) bool {
		// Commands carry the wrong time into the cluster.
		_, _ = n.Dial().Cluster.Checkpoint(ctx, &fairlanev1.CheckpointRequest{})
		said, err := readyz(ctx, n)
		return err == nil && said.Role == "follower" && strings.Contains(said.NotLeading, "ahead of the median of the 3 voters")
	})
	t.Logf("%v from the jump to another leader", time.Since(began))
	var set *fairlanev1.SetClockResponse
	err = c.Any(ctx, func(ctx context.Context, api harness.API) (err error) {
		set, err = api.Cluster.SetClock(ctx, &fairlanev1.SetClockRequest{})
		return err
	})
	if by := time.Duration(set.GetBeforeMs()-set.GetNowMs()) * time.Millisecond; err != nil || by < 59*time.Minute || by > 61*time.Minute {
		t.Fatalf("the clock was set back by %v: %v", by, err)
	}
	err = c.Any(ctx, func(ctx context.Context, api harness.API) error {
		_, err := api.Cluster.SetClock(ctx, &fairlanev1.SetClockRequest{})
		return err
	})
	if harness.Reason(err) != "CLOCK_NOT_AHEAD" {
		t.Errorf("a second time: %v", err)
	}
	if err := clocks.set(n.Number, 0); err != nil {
		t.Fatal(err)
	}
	waitFor(t, 6*time.Second, "the node to be fit again", func(ctx context.Context) bool {
		said, err := readyz(ctx, n)
		return err == nil && said.NotLeading == ""
	})
	c.CheckDigests(t)
}
