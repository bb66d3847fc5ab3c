package rpc

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"

	"github.com/fairlane-scheduler/fairlane/cluster"
)

// Members ask each other how they are: each knows how its clock is against those of the others, and followers that the leader can be called.
func TestNeighboursAskEachOther(t *testing.T) {
	nodes := startThree(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, node := range nodes {
		waitUntil(t, ctx, "the clock is known", func() bool { return node.Status().ClockKnown })
		if off := node.Status().ClockOffset; off.Abs() > time.Second {
			t.Errorf("on one machine a clock is %v off", off)
		}
		if unreachable := node.LeaderUnreachable(); unreachable != 0 {
			t.Errorf("the leader was unreachable for %v", unreachable)
		}
	}
	answer, err := http.Get(nodes[1].url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if status := nodes[1].Status(); answer.StatusCode != http.StatusOK || !status.Voter || status.LeaderContact < 0 || status.LeaderContact > 10*time.Second {
		t.Errorf("%d, %+v", answer.StatusCode, status)
	}
}

// movedClock is the system's wall clock, moved.
type movedClock struct {
	start time.Time
	by    atomic.Int64
}

func (c *movedClock) WallMillis() int64      { return time.Now().UnixMilli() + c.by.Load() }
func (c *movedClock) MonotonicMillis() int64 { return time.Since(c.start).Milliseconds() }

// The cluster's clock goes back to the leader's, and only back.
func TestSetClock(t *testing.T) {
	clock := &movedClock{start: time.Now()}
	n := startNode(t, func(c *cluster.Config, _ *Config) { c.Clock = clock })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	const hour = int64(time.Hour / time.Millisecond)
	clock.by.Store(hour)
	if _, err := n.cluster().Checkpoint(ctx, &v1.CheckpointRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.cluster().SetClock(ctx, &v1.SetClockRequest{}); reasonOf(err) != ClockNotAhead {
		t.Errorf("with the leader's clock: %v", err)
	}
	clock.by.Store(0)
	set, err := n.cluster().SetClock(ctx, &v1.SetClockRequest{})
	if by := set.GetBeforeMs() - set.GetNowMs(); err != nil || by < hour-20_000 || by > hour+20_000 {
		t.Errorf("set back by %d ms: %v", by, err)
	}
	if _, err := n.cluster().SetClock(ctx, &v1.SetClockRequest{}); reasonOf(err) != ClockNotAhead {
		t.Errorf("a second time: %v", err)
	}
}

func reasonOf(err error) Reason {
	reason, _, _ := ReasonOf(err)
	return reason
}
