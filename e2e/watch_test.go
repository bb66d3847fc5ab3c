package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// loggedEvent is one line of `fairlane trace events`: an event as a replay of the log has it, which no watch has touched.
type loggedEvent struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"`
	Queue string `json:"queue"`
	User  string `json:"user"`
}

// watcher follows the events of random nodes and goes on after the last id when a stream ends, or when it feels like it.
type watcher struct {
	request *fairlanev1.WatchEventsRequest
	matches func(loggedEvent) bool
	take    func(*fairlanev1.Event) // gets each event; nil: none is needed

	seen    []string // ids
	newest  uint64   // the highest job of an event
	resumes int
	resets  []string
}

// TestWatches: watchers on all nodes, resumed on random nodes through failovers, together and each alone see exactly the
// events that a replay of the log has: no gap, no repeat.
func TestWatches(t *testing.T) {
	failovers := 2
	if *full {
		failovers = 10
	}
	cluster := harness.Start(t, harness.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	watchers := []*watcher{
		{request: &fairlanev1.WatchEventsRequest{After: "0"}, matches: func(loggedEvent) bool { return true }},
		{request: &fairlanev1.WatchEventsRequest{After: "0"}, matches: func(loggedEvent) bool { return true }},
		{request: &fairlanev1.WatchEventsRequest{After: "0"}, matches: func(loggedEvent) bool { return true }},
		{request: &fairlanev1.WatchEventsRequest{After: "0", Queue: "q1"}, matches: func(e loggedEvent) bool { return e.Queue == "q1" }},
		{request: &fairlanev1.WatchEventsRequest{After: "0", User: "u2"}, matches: func(e loggedEvent) bool { return e.User == "u2" }},
	}
	var last atomic.Uint64 // the last job of the run
	var followers sync.WaitGroup
	for i, w := range watchers {
		rng := rand.New(rand.NewPCG(uint64(i), 1))
		followers.Go(func() { w.follow(ctx, cluster, rng, &last) })
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for range failovers {
			killOnce(ctx, t, cluster)
		}
	}()
	load(ctx, t, cluster, over)
	// Every watcher matches this job: who saw it saw all that came before.
	err := cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
		answer, err := api.Jobs.Enqueue(ctx, &fairlanev1.EnqueueRequest{
			Job: &fairlanev1.NewJob{Kind: "end", Queue: "q1", User: "u2", IdempotencyKey: "end"}})
		last.Store(answer.GetId())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { followers.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
		t.Fatal("the watchers do not come to the end")
	}
	logged := eventsOfLog(t, cluster)
	resumes, events := 0, 0
	for i, w := range watchers {
		w.check(t, i, logged)
		resumes += w.resumes
		events += len(w.seen)
	}
	t.Logf("%d failovers, %d events in the log, %d seen by %d watchers over %d resumes: no gap, no repeat", failovers, len(logged), events, len(watchers), resumes)
}

// killOnce lets the load run for a while, kills the leader and brings it back.
func killOnce(ctx context.Context, t *testing.T, cluster *harness.Cluster) {
	_ = sleep(ctx, 2*time.Second)
	leader, _, err := cluster.Leader(ctx)
	if err != nil {
		t.Errorf("no leader to kill: %v", err)
		return
	}
	leader.Kill()
	if err := cluster.Restart(ctx, leader); err != nil {
		t.Errorf("restart: %v", err)
	}
}

// load runs jobs of three queues and four users through a worker until over, with failures and cancels among them.
func load(ctx context.Context, t *testing.T, cluster *harness.Cluster, over <-chan struct{}) {
	t.Helper()
	worker, err := cluster.Register(ctx, "w", "q0:8 q1>*:8")
	if err != nil {
		t.Fatal(err)
	}
	var parties sync.WaitGroup
	for lane := range 2 {
		for range 2 {
			parties.Go(func() {
				for ctx.Err() == nil {
					claim, err := worker.Claim(ctx, uint32(lane), 2*time.Second)
					if err != nil || claim.GetClaim() == nil && claim.GetReason() == fairlanev1.EmptyReason_EMPTY_REASON_NOTHING {
						return // two seconds without a job: the producer is done
					}
					if fence := claim.GetClaim().GetFence(); fence%7 == 0 {
						_, _ = worker.Fail(ctx, fence, "as planned")
					} else {
						_, _ = worker.Succeed(ctx, fence, "")
					}
				}
			})
		}
	}
	session, err := cluster.OpenSession(ctx, 7)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		select {
		case <-over:
			parties.Wait()
			return
		default:
		}
		number := session.Begin()
		var job uint64
		err := cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
			answer, err := api.Jobs.Enqueue(ctx, &fairlanev1.EnqueueRequest{
				Job:    &fairlanev1.NewJob{Kind: "k", Queue: fmt.Sprintf("q%d", i%3), User: fmt.Sprintf("u%d", i%4), Limits: oneAttempt()},
				Repeat: &fairlanev1.Repeat{Session: session.ID, Number: number, Lowest: session.Lowest()}})
			job = answer.GetId()
			return err
		})
		session.End(number)
		if err != nil {
			t.Fatal(err)
		}
		if i%11 == 0 {
			_ = cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
				_, err := api.Jobs.Cancel(ctx, &fairlanev1.CancelRequest{Id: job})
				return err
			})
		}
		_ = sleep(ctx, 5*time.Millisecond)
	}
}

func oneAttempt() *fairlanev1.JobLimits {
	one := int32(1)
	return &fairlanev1.JobLimits{MaxAttempts: &one}
}

// follow until the last job of the run was seen.
func (w *watcher) follow(ctx context.Context, cluster *harness.Cluster, rng *rand.Rand, last *atomic.Uint64) {
	for ctx.Err() == nil && (last.Load() == 0 || w.newest < last.Load()) {
		node := cluster.Nodes[rng.IntN(len(cluster.Nodes))]
		attempt, cancel := context.WithTimeout(ctx, time.Duration(200+rng.IntN(1500))*time.Millisecond)
		w.once(attempt, node)
		cancel()
		w.resumes++
		_ = sleep(ctx, 20*time.Millisecond)
	}
}

// once follows one stream until it ends.
func (w *watcher) once(ctx context.Context, node *harness.Node) {
	stream, err := node.Dial().Events.WatchEvents(ctx, w.request)
	if err != nil {
		return
	}
	defer stream.Close()
	for stream.Receive() {
		message := stream.Msg()
		if message.GetReset_() {
			w.resets = append(w.resets, fmt.Sprintf("after %s at node %d: %s", w.request.After, node.Number, message.GetReason()))
		}
		for _, e := range message.GetEvents() {
			w.seen = append(w.seen, e.GetId())
			w.newest = max(w.newest, e.GetJob())
			if w.take != nil {
				w.take(e)
			}
		}
		if id := message.GetEventId(); id != "" {
			w.request.After = id
		}
	}
}

// check compares what was seen with the log, which may go on behind it.
func (w *watcher) check(t *testing.T, number int, logged []loggedEvent) {
	t.Helper()
	for _, reset := range w.resets {
		t.Errorf("watcher %d was reset %s", number, reset)
	}
	var want []string
	for _, e := range logged {
		if w.matches(e) {
			want = append(want, e.ID)
		}
	}
	if len(w.seen) == 0 {
		t.Errorf("watcher %d saw nothing", number)
		return
	}
	for i, id := range w.seen {
		if i >= len(want) || id != want[i] {
			from := max(0, i-2)
			t.Errorf("watcher %d saw event %d as %s; around it %v, the log has %v", number, i, id, w.seen[from:min(len(w.seen), i+3)], want[min(from, len(want)):min(len(want), i+3)])
			return
		}
	}
}

// eventsOfLog replays the log of a stopped node.
func eventsOfLog(t *testing.T, cluster *harness.Cluster) []loggedEvent {
	t.Helper()
	node := cluster.Nodes[0]
	if err := node.Stop(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(node.Dir, "log.trace")
	if out, err := harness.Fairlane("trace", "save", "--data", filepath.Join(node.Dir, "data"), file); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	out, err := harness.Fairlane("trace", "events", file)
	if err != nil {
		t.Fatal(err)
	}
	var events []loggedEvent
	for line := range bytes.Lines(out) {
		if strings.TrimSpace(string(line)) == "" {
			continue
		}
		var e loggedEvent
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		events = append(events, e)
	}
	if len(events) == 0 {
		t.Fatal("the log has no events")
	}
	return events
}
