package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	stateRunning   = fairlanev1.JobState_JOB_STATE_RUNNING
	stateSucceeded = fairlanev1.JobState_JOB_STATE_SUCCEEDED
)

type output = fairlanev1.StreamOutputResponse

// outputOf makes a node whose streams of output break after every part but the last.
func outputOf(parts ...[]*output) *fakeNode {
	return &fakeNode{output: script[output]{parts: parts}}
}

// TestLogsAfterBreaks: the stream breaks in the middle and goes on at the other node; each byte is written once, in order, also when the node
// sends again what came before the break. A new attempt is told, and the exit code is the job's.
func TestLogsAfterBreaks(t *testing.T) {
	first := outputOf(
		[]*output{{Attempt: 1, Data: []byte("one ")}, {Attempt: 1, Offset: 4, Data: []byte("two ")}},
		[]*output{{Attempt: 2, Offset: 1, Data: []byte("est ")}, {Attempt: 2, Offset: 5, Data: []byte("end"), State: stateRunning},
			{Attempt: 2, Offset: 8, State: fairlanev1.JobState_JOB_STATE_FAILED, Last: true}},
	)
	second := outputOf(
		[]*output{{Attempt: 1, Offset: 6, Data: []byte("o three ")}, {Attempt: 2, Offset: 0, Data: []byte("re")}, {Attempt: 2, Offset: 0, Data: []byte("rest")}},
		nil,
	)
	// Parts are taken in the order 1, 2, 1: the second node breaks after its first.
	code, out, errs := cli{}.run(t, "job", "logs", "7", "-f", "-e", first.start(t), "-e", second.start(t))
	if code != exitJobFailed || out != "one two three rest end" || errs != "-- attempt 2: the output of attempt 1 ended and is void --\n" {
		t.Errorf("exit code %d, out %q, errors %q", code, out, errs)
	}
	for i, want := range []struct {
		asked []proto.Message
		req   *fairlanev1.StreamOutputRequest
	}{
		{first.output.asked[:1], &fairlanev1.StreamOutputRequest{Id: 7, Follow: true}},
		{second.output.asked, &fairlanev1.StreamOutputRequest{Id: 7, Attempt: 1, Offset: 8, Follow: true}},
		{first.output.asked[1:], &fairlanev1.StreamOutputRequest{Id: 7, Attempt: 2, Offset: 4, Follow: true}},
	} {
		if len(want.asked) != 1 || !proto.Equal(want.asked[0], want.req) {
			t.Errorf("connection %d asked %v, want %v", i, want.asked, want.req)
		}
	}
}

func TestLogs(t *testing.T) {
	last := func(m *output) *output { m.Last = true; return m }
	for _, c := range []struct {
		args      string
		part      []*output
		code      int
		out, errs string
	}{
		{"7", []*output{{Attempt: 3, Data: []byte("so far")}, last(&output{Attempt: 3, Offset: 6, State: stateRunning})}, 0, "so far", ""},
		{"7", []*output{last(&output{State: fairlanev1.JobState_JOB_STATE_PENDING})}, 0, "", ""},
		{"7", []*output{{Attempt: 1, Offset: 100, Skipped: 100, Data: []byte("tail")}, last(&output{Attempt: 1})}, 0, "tail", "-- 100 bytes are no longer kept --\n"},
		{"7 -f", []*output{last(&output{Attempt: 1, State: stateSucceeded})}, 0, "", ""},
		{"7 -f", []*output{last(&output{Attempt: 1, State: fairlanev1.JobState_JOB_STATE_CANCELLED})}, 5, "", ""},
		{"7 -f", []*output{last(&output{Attempt: 1, State: fairlanev1.JobState_JOB_STATE_TIMED_OUT})}, 6, "", ""},
		{"7 --attempt 1", []*output{{Attempt: 1, Data: []byte("a")}, {Attempt: 2, Data: []byte("b")}}, 0, "a", ""},
		{"7 --attempt 1", []*output{{Attempt: 2, Data: []byte("b")}}, 1, "", "fairlane: no output of attempt 1 is kept; the newest is attempt 2\n"},
	} {
		node := outputOf(c.part)
		code, out, errs := cli{}.run(t, append(strings.Fields("job logs "+c.args), "-e", node.start(t))...)
		if code != c.code || out != c.out || errs != c.errs {
			t.Errorf("%s %v: exit code %d, %q, %q", c.args, c.part, code, out, errs)
		}
	}
}

// TestFrozenNode: a node that says nothing more without hanging up does not hold a stream for ever.
func TestFrozenNode(t *testing.T) {
	frozen := outputOf([]*output{{Attempt: 1, Data: []byte("one ")}}, nil)
	frozen.output.frozen = true
	alive := outputOf([]*output{{Attempt: 1, Offset: 4, Data: []byte("two")}, {Attempt: 1, Offset: 7, State: stateSucceeded, Last: true}})
	code, out, errs := cli{silence: 200 * time.Millisecond}.run(t, "job", "logs", "7", "-f", "-e", frozen.start(t), "-e", alive.start(t))
	if code != exitOK || out != "one two" || errs != "" {
		t.Errorf("exit code %d, out %q, errors %q", code, out, errs)
	}
}

// TestFollowGivesUp: a stream that never goes on is exit code 3 after --timeout; an answer that is final is not asked for again.
func TestFollowGivesUp(t *testing.T) {
	node := outputOf()
	code, _, errs := cli{}.run(t, "job", "logs", "7", "-f", "-e", node.start(t), "--timeout", "300ms")
	if code != exitUnreachable || !strings.Contains(errs, "without its last message") || len(node.output.asked) < 2 {
		t.Errorf("exit code %d, %q, %d connections", code, errs, len(node.output.asked))
	}
	node = outputOf()
	node.output.err = remoteError(connect.CodeNotFound, "UNKNOWN_JOB", "FL1202", "there is no job 7")
	code, _, errs = cli{}.run(t, "job", "logs", "7", "-e", node.start(t))
	if code != exitFailed || errs != "fairlane: there is no job 7 (UNKNOWN_JOB FL1202)\n" || len(node.output.asked) != 1 {
		t.Errorf("exit code %d, %q, %d connections", code, errs, len(node.output.asked))
	}
	node = outputOf()
	node.output.err = remoteError(connect.CodeResourceExhausted, "SLOW_WATCHER", "FL1107", "cut off")
	code, _, errs = cli{}.run(t, "job", "logs", "7", "-e", node.start(t), "--timeout", "300ms")
	if code != exitUnreachable || len(node.output.asked) < 2 {
		t.Errorf("a slow reader: exit code %d, %q, %d connections", code, errs, len(node.output.asked))
	}
}

// TestFollowPastADeadNode: a node that is down does not matter while another one answers, even if that one breaks at first.
func TestFollowPastADeadNode(t *testing.T) {
	node := outputOf(nil, []*output{{Attempt: 1, Data: []byte("all"), State: stateSucceeded, Last: true}})
	code, out, errs := cli{}.run(t, "job", "logs", "7", "-f", "-e", "127.0.0.1:1", "-e", node.start(t))
	if code != exitOK || out != "all" {
		t.Errorf("exit code %d, %q %q", code, out, errs)
	}
}

// until runs a verb that follows for ever and interrupts it once the node was asked n times.
func until(t *testing.T, asked func() int, n int, args ...string) (out, errs string) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	code, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		code, out, errs = cli{}.runIn(ctx, args...)
	}()
	eventually(t, "the node was asked often enough", func() bool { return asked() >= n })
	cancel(errInterrupted)
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the verb does not end when it is interrupted")
	}
	if code != exitOK {
		t.Errorf("%v ends with exit code %d: %s", args, code, errs)
	}
	return out, errs
}

func (s *script[Res]) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func TestEvents(t *testing.T) {
	type message = fairlanev1.WatchEventsResponse
	event := func(id string, job uint64) *fairlanev1.Event {
		return &fairlanev1.Event{Id: id, Kind: "job_claimed", AtMs: 1_790_000_000_000, Job: job, Queue: "manual", User: "ana", State: stateRunning, Worker: "w1"}
	}
	node := func() *fakeNode {
		return &fakeNode{events: script[message]{parts: [][]*message{
			{{EventId: "1.4.2"}, {Events: []*fairlanev1.Event{event("1.5.0", 7), event("1.5.1", 8)}, EventId: "1.6.0"}},
			{{Reset_: true, Reason: "too far behind", EventId: "1.90.0"}, {Events: []*fairlanev1.Event{event("1.91.0", 9)}, EventId: "1.91.0"}},
			nil,
		}}}
	}
	f := node()
	out, errs := until(t, f.events.count, 3, "events", "--job", "7", "--queue", "manual", "--user", "ana", "--state", "running,failed", "--after", "1.4.1", "-e", f.start(t))
	if strings.Count(out, "\n") != 3 || !strings.HasPrefix(out, "1.5.0           2026-09-21T14:13:20.000Z  job_claimed       job 7 running  queue manual  user ana  worker w1\n") {
		t.Errorf("out\n%s", out)
	}
	if !strings.Contains(errs, "-- events are lost before 1.90.0: too far behind --\n") {
		t.Errorf("errors %q", errs)
	}
	for i, after := range []string{"1.4.1", "1.6.0", "1.91.0"} {
		want := &fairlanev1.WatchEventsRequest{After: after, Job: 7, Queue: "manual", User: "ana", States: []fairlanev1.JobState{stateRunning, fairlanev1.JobState_JOB_STATE_FAILED}}
		if !proto.Equal(f.events.asked[i], want) {
			t.Errorf("connection %d asked %v, want %v", i, f.events.asked[i], want)
		}
	}
	f = node()
	out, _ = until(t, f.events.count, 3, "events", "-o", "json", "-e", f.start(t))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var got struct{ ID, Job string }
	if len(lines) != 3 || json.Unmarshal([]byte(lines[1]), &got) != nil || got.ID != "1.5.1" || got.Job != "8" {
		t.Errorf("out as JSON\n%s", out)
	}
}

func TestQueueWatch(t *testing.T) {
	type message = fairlanev1.WatchQueueResponse
	node := func() *fakeNode {
		return &fakeNode{watch: script[message]{parts: [][]*message{
			{{Queue: &fairlanev1.Queue{Name: "manual", Counts: &fairlanev1.QueueCounts{Pending: 5, Running: 2, Scheduled: 1}, Users: 3, OldestWaitMs: 61_000}, HasWork: true}},
			{{Queue: &fairlanev1.Queue{Name: "manual", Counts: &fairlanev1.QueueCounts{}, OldestWaitMs: -1, Paused: true}}},
			nil,
		}}}
	}
	f := node()
	out, _ := until(t, f.watch.count, 3, "queue", "watch", "manual", "--every", "2s", "-e", f.start(t))
	want := "PENDING    RUNNING    USERS    OLDEST_WAIT  HAS_WORK  SCHEDULED  STATE\n" +
		"5          2          3        1m1s         yes       1          open\n" +
		"0          0          0        -            no        0          paused\n"
	if out != want {
		t.Errorf("out\n%s\nwant\n%s", out, want)
	}
	if !proto.Equal(f.watch.asked[2], &fairlanev1.WatchQueueRequest{Name: "manual", LeastMs: 2000}) {
		t.Errorf("asked %v", f.watch.asked)
	}
	f = node()
	if out, _ := until(t, f.watch.count, 3, "queue", "watch", "manual", "-o", "json", "-e", f.start(t)); strings.Count(out, "\n") != 2 || !strings.Contains(out, `"hasWork":true`) {
		t.Errorf("out as JSON\n%s", out)
	}
}
