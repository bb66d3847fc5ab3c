package e2e

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	fairlane "github.com/fairlane-scheduler/fairlane/client"
	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	"github.com/fairlane-scheduler/fairlane/e2e/history"
)

// streamLog is where the worker of the test says what it repairs. Safe for many goroutines.
type streamLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *streamLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *streamLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// runsRecorder turns what a worker tells into a history. Safe for many goroutines.
type runsRecorder struct {
	*history.Recorder
	mu       sync.Mutex
	returned map[fairlane.Fence]int64 // when the handler did
	lost     []string                 // what must not happen in a run that loses no lease
	session  uint64
}

func (r *runsRecorder) observe(e fairlane.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Now()
	op := history.Op{Session: e.Session, Job: uint64(e.Job), Fence: uint64(e.Fence), Lane: uint32(e.Lane), Outcome: history.Done, Return: now}
	switch e.Kind {
	case fairlane.EventRegistered:
		r.session = e.Session
	case fairlane.EventStarted:
		op.Kind, op.LeaseMs = history.Claim, time.Minute.Milliseconds()
		r.Add(op) // its call began at some time before
	case fairlane.EventReturned:
		r.returned[e.Fence] = now
	case fairlane.EventFinished:
		op.Kind, op.Report, op.State = history.Finish, history.Success, fairlane.StateSucceeded
		op.Call, op.Result = r.returned[e.Fence], fmt.Sprint(e.Job)
		r.Add(op)
	case fairlane.EventLost, fairlane.EventRefused, fairlane.EventReleased:
		r.lost = append(r.lost, fmt.Sprintf("event %d of job %d: %v", e.Kind, e.Job, e.Err))
	}
}

// TestStreamThroughKills: a worker on a stream with 32 slots while the leader is killed twice under load. No job is lost, none runs twice, each has one
// attempt, no handler's context ends, and the worker makes no single calls.
func TestStreamThroughKills(t *testing.T) {
	t.Parallel()
	jobs, producers, limit := 3000, 8, 3*time.Minute
	if *full { // beside five others that are as long
		jobs, limit = 30_000, 10*time.Minute
	}
	cluster := harness.Start(t, harness.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	log, record := &streamLog{}, &runsRecorder{Recorder: history.NewRecorder(), returned: map[fairlane.Fence]int64{}}
	client, err := fairlane.Open(fairlane.Config{Endpoints: cluster.Addresses(), Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	worker := fairlane.NewWorker(client, fairlane.Lanes("*:32"), fairlane.WorkerName("stream"), fairlane.Observe(record.observe))
	var broken atomic.Int64
	worker.HandleFunc("echo", func(ctx context.Context, job *fairlane.RawJob) ([]byte, error) {
		select {
		case <-ctx.Done():
			broken.Add(1)
		case <-time.After(5 * time.Millisecond):
		}
		return fmt.Append(nil, job.ID), nil
	})
	life, end := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- worker.Run(life) }()
	defer end()

	handles := enqueueThroughKills(ctx, t, cluster, client, record, jobs, producers)
	finals := map[uint64]history.FinalJob{}
	var mu sync.Mutex
	err = each(ctx, 16, handles, func(ctx context.Context, h *fairlane.Handle) error {
		job, err := h.Wait(ctx)
		if err != nil {
			return fmt.Errorf("job %d: %w", h.ID, err)
		}
		if job.GetAttempt() != 1 || job.GetCharged() != 0 {
			t.Errorf("job %d has attempt %d, %d charged", h.ID, job.GetAttempt(), job.GetCharged())
		}
		mu.Lock()
		defer mu.Unlock()
		finals[uint64(h.ID)] = history.FinalJob{State: job.GetState(), Fence: job.GetFence(), Result: string(job.GetResult())}
		return nil
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	end()
	if err := <-done; err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	lane := history.LaneID{Session: record.session}
	result := history.Check(history.Run{Ops: record.Ops(), Slots: map[history.LaneID]int{lane: 32}, Final: finals})
	for _, v := range result.Violations {
		t.Error(v)
	}
	if result.Acknowledged != jobs || result.Claims != jobs || result.Finishes != jobs || result.MostRunning[lane] < 2 {
		t.Errorf("%d acknowledged, %d runs, %d finished, at most %d at a time; want %d jobs", result.Acknowledged, result.Claims, result.Finishes,
			result.MostRunning[lane], jobs)
	}
	if broken.Load() > 0 || len(record.lost) > 0 {
		t.Errorf("%d handlers noticed: %v", broken.Load(), record.lost)
	}
	if strings.Contains(log.String(), "sent alone") {
		t.Errorf("single calls were made:\n%s", log)
	}
}

// enqueueThroughKills enqueues the jobs with several producers and kills the leader after each third of them; a killed node comes back before the next goes.
func enqueueThroughKills(ctx context.Context, t *testing.T, cluster *harness.Cluster, client *fairlane.Client, record *runsRecorder, jobs, producers int) []*fairlane.Handle {
	t.Helper()
	handles := make([]*fairlane.Handle, jobs)
	var next atomic.Int64
	thirds := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	var all sync.WaitGroup
	for p := range producers {
		all.Go(func() {
			for i := int(next.Add(1) - 1); i < jobs && ctx.Err() == nil; i = int(next.Add(1) - 1) {
				if i%(jobs/3) == 0 && i/(jobs/3) >= 1 && i/(jobs/3) <= 2 {
					close(thirds[i/(jobs/3)-1])
				}
				call := record.Now()
				h, err := client.Enqueue(ctx, "echo", i, fairlane.AsUser(fmt.Sprint(i%3)))
				if err != nil {
					t.Errorf("enqueue %d: %v", i, err)
					return
				}
				record.Add(history.Op{Party: p, Kind: history.Enqueue, Outcome: history.Done, Job: uint64(h.ID), Call: call, Return: record.Now()})
				handles[i] = h
			}
		})
	}
	for _, third := range thirds {
		select {
		case <-third:
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
		leader, _, err := cluster.Leader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		leader.Kill()
		if err := cluster.Restart(ctx, leader); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return handles
}
