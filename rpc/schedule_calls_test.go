package rpc

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// TestScheduleLife: pause, trigger, backfill, resume, history, delete.
func TestScheduleLife(t *testing.T) {
	node := startNode(t)
	ctx := t.Context()
	calls := node.schedules()
	hourly := &v1.Schedule{Name: "h", Spec: "0 * * * *", Zone: "Europe/Berlin", MaxInstances: 2, Job: &v1.NewJob{Kind: "k", Payload: &v1.NewJob_Json{Json: `{"a":1}`}}}
	made := node.put(t, hourly)
	if !slices.Equal(made.Warnings, []string{"no live worker has a lane for queue default and the user without a name: its jobs wait until one has"}) {
		t.Errorf("warnings: %q", made.Warnings)
	}
	paused, err := calls.PauseSchedule(ctx, &v1.PauseScheduleRequest{Name: "h"})
	if err != nil || !paused.Status.GetPaused() || paused.Status.GetRevision() != 2 || paused.Status.GetSchedule().GetSpec() != "0 * * * *" {
		t.Errorf("paused: %v %v", paused, err)
	}
	trigger, err := calls.TriggerSchedule(ctx, &v1.TriggerScheduleRequest{Name: "h"})
	if err != nil || trigger.Job != 1 {
		t.Errorf("triggered: %v %v", trigger, err)
	}
	job, err := node.jobs().Get(ctx, &v1.GetRequest{Id: 1})
	if err != nil || job.Job.GetFireCause() != "trigger" || job.Job.GetSchedule() != "h" || job.Job.GetJson() != `{"a":1}` {
		t.Errorf("its job: %v %v", job, err)
	}
	to := time.Now().Add(-2 * time.Hour).Truncate(time.Hour).UnixMilli()
	from := to - 2*3600_000
	dry, err := calls.BackfillSchedule(ctx, &v1.BackfillScheduleRequest{Name: "h", FromMs: from, ToMs: to, DryRun: true})
	if err != nil || dry.Ticks != 3 {
		t.Errorf("backfill, dry run: %v %v", dry, err)
	}
	filled, err := calls.BackfillSchedule(ctx, &v1.BackfillScheduleRequest{Name: "h", FromMs: from, ToMs: to})
	if err != nil || filled.Ticks != 3 || filled.Position.GetIndex() == 0 {
		t.Errorf("backfill: %v %v", filled, err)
	}
	if status := node.schedule(t, "h"); status.GetInstances() != 2 || status.GetWaiting() != 2 || status.GetTotals().GetTriggered() != 1 || status.GetTotals().GetBackfilled() != 1 {
		t.Errorf("status: %v", status)
	}
	_, err = calls.TriggerSchedule(ctx, &v1.TriggerScheduleRequest{Name: "h"})
	wantReason(t, err, MaxInstances)
	if err != nil && !strings.Contains(err.Error(), "schedule h runs 2 of 2 instances already") {
		t.Error(err)
	}
	for most, want := range map[int32]int{0: 0, 1: 1, 100: 2} {
		got, err := calls.GetSchedule(ctx, &v1.GetScheduleRequest{Name: "h", Instances: most})
		if err != nil || len(got.Instances) != want || want > 0 && (got.Instances[0].GetId() != 2 || got.Instances[0].GetJson() != "") {
			t.Errorf("%d of its instances: %v %v", most, got, err)
		}
	}
	_, err = calls.GetSchedule(ctx, &v1.GetScheduleRequest{Name: "h", Instances: 101})
	wantReason(t, err, InvalidArgument)
	if list, err := node.jobs().List(ctx, &v1.ListRequest{Filter: &v1.JobFilter{Schedule: "h", States: []v1.JobState{v1.JobState_JOB_STATE_PENDING}}}); err != nil || len(list.Jobs) != 2 {
		t.Errorf("its jobs: %v %v", list, err)
	}
	_, err = calls.BackfillSchedule(ctx, &v1.BackfillScheduleRequest{Name: "h", FromMs: to - 998*3600_000, ToMs: to})
	wantReason(t, err, BacklogFull)
	ticks, err := calls.ListTicks(ctx, &v1.ListTicksRequest{Name: "h", Limit: 1})
	if err != nil || len(ticks.Ticks) != 1 || len(ticks.Waiting) != 2 || ticks.Waiting[0].GetCause() != "backfill" || ticks.Waiting[0].GetFireMs() != from+3600_000 ||
		ticks.Ticks[0].GetReason() != "backfill" || !strings.HasPrefix(ticks.Ticks[0].GetText(), "run by a backfill for ") || ticks.NextBeforeNumber == 0 {
		t.Fatalf("ticks: %v %v", ticks, err)
	}
	rest, err := calls.ListTicks(ctx, &v1.ListTicksRequest{Name: "h", BeforeNumber: ticks.NextBeforeNumber})
	if err != nil || len(rest.Ticks) != 1 || len(rest.Waiting) != 0 || rest.NextBeforeNumber != 0 || rest.Ticks[0].GetResult() != "fired" || rest.Ticks[0].GetReason() != "trigger" {
		t.Errorf("the next page: %v %v", rest, err)
	}
	resumed, err := calls.ResumeSchedule(ctx, &v1.ResumeScheduleRequest{Name: "h"})
	if err != nil || resumed.Status.GetPaused() || resumed.Status.GetRevision() != 3 || resumed.Status.GetNextMs() < time.Now().UnixMilli() {
		t.Errorf("resumed: %v %v", resumed, err)
	}
	if again, err := calls.ResumeSchedule(ctx, &v1.ResumeScheduleRequest{Name: "h"}); err != nil || again.Status.GetRevision() != 3 {
		t.Errorf("resumed again: %v %v", again, err)
	}
	if _, err := calls.DeleteSchedule(ctx, &v1.DeleteScheduleRequest{Name: "h"}); err != nil {
		t.Error(err)
	}
	_, err = calls.GetSchedule(ctx, &v1.GetScheduleRequest{Name: "h"})
	wantReason(t, err, UnknownSchedule)
}

// TestPassedTicks: the fire times that come while a schedule is paused, and those that an edit takes, are recorded; none is lost or fires twice.
func TestPassedTicks(t *testing.T) {
	node := startNode(t)
	ctx := t.Context()
	every := &v1.Schedule{Name: "s", Spec: "@every 1s", StartMs: 1_700_000_000_000, MaxInstances: 1000, Job: &v1.NewJob{Kind: "k"}}
	node.put(t, every)
	if _, err := node.schedules().PauseSchedule(ctx, &v1.PauseScheduleRequest{Name: "s"}); err != nil {
		t.Fatal(err)
	}
	next := node.schedule(t, "s").GetNextMs()
	waitUntil(t, ctx, "two fire times are over", func() bool { return time.Now().UnixMilli() > next+1100 })
	if _, err := node.schedules().ResumeSchedule(ctx, &v1.ResumeScheduleRequest{Name: "s"}); err != nil {
		t.Fatal(err)
	}
	if _, err := node.schedules().PauseSchedule(ctx, &v1.PauseScheduleRequest{Name: "s"}); err != nil {
		t.Fatal(err)
	}
	paused := node.schedule(t, "s")
	waitUntil(t, ctx, "another one is over", func() bool { return time.Now().UnixMilli() > paused.GetNextMs()+100 })
	slower := proto.CloneOf(every)
	slower.Spec = "@every 1h"
	node.put(t, slower)
	got := node.schedule(t, "s")
	if totals := got.GetTotals(); totals.GetSkipped() < 3 || got.GetNextMs() < time.Now().UnixMilli() || !got.GetPaused() {
		t.Errorf("after it: %v", got)
	}
	ticks, err := node.schedules().ListTicks(ctx, &v1.ListTicksRequest{Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	at := int64(0)
	for _, tick := range slices.Backward(ticks.Ticks) {
		if tick.GetResult() == "skipped" {
			reasons = append(reasons, tick.GetReason())
		}
		if at != 0 && tick.GetFirstFireMs() != at+1000 || tick.GetLastFireMs() != tick.GetFirstFireMs()+1000*(tick.GetCount()-1) {
			t.Errorf("a fire time is missing or twice before %v", tick)
		}
		at = tick.GetLastFireMs()
	}
	if !slices.Equal(reasons, []string{"paused", "edited"}) {
		t.Errorf("reasons: %q in %v", reasons, ticks.Ticks)
	}
}

// TestSchedulePages: by prefix and group, page by page; long payloads are left out of lists alone.
func TestSchedulePages(t *testing.T) {
	node := startNode(t)
	ctx := t.Context()
	for i, name := range []string{"a", "b/1", "b/2", "b/3", "c"} {
		s := yearly(name)
		s.Group = []string{"x", "y"}[i%2]
		s.Job.Payload = &v1.NewJob_Data{Data: make([]byte, 1020+i*2)}
		node.put(t, s)
	}
	list := func(r *v1.ListSchedulesRequest) (names []string, out *v1.ListSchedulesResponse) {
		out, err := node.schedules().ListSchedules(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range out.Schedules {
			names = append(names, s.GetSchedule().GetName())
		}
		return names, out
	}
	names, page := list(&v1.ListSchedulesRequest{Prefix: "b/", Limit: 2})
	if !slices.Equal(names, []string{"b/1", "b/2"}) || page.NextAfterName != "b/2" || page.Index == 0 {
		t.Errorf("%v %v", names, page)
	}
	if names, page := list(&v1.ListSchedulesRequest{Prefix: "b/", Limit: 2, AfterName: "b/2"}); !slices.Equal(names, []string{"b/3"}) || page.NextAfterName != "" {
		t.Errorf("%v %v", names, page)
	}
	names, page = list(&v1.ListSchedulesRequest{Group: "x"})
	if !slices.Equal(names, []string{"a", "b/2", "c"}) || len(page.Schedules[0].GetSchedule().GetJob().GetData()) != 1020 ||
		len(page.Schedules[2].GetSchedule().GetJob().GetData()) != 0 {
		t.Errorf("%v %v", names, page)
	}
	if got := node.schedule(t, "c"); len(got.GetSchedule().GetJob().GetData()) != 1028 {
		t.Errorf("alone it has its payload: %v", got)
	}
}

// TestPreview: what a definition means, and when a schedule fires next, in its zone and with the changes of its clock.
func TestPreview(t *testing.T) {
	node := startNode(t)
	ctx := t.Context()
	from := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC).UnixMilli()
	definition := &v1.Schedule{Spec: "30 2 * * *", Zone: "Europe/Berlin"}
	got, err := node.schedules().PreviewSchedule(ctx, &v1.PreviewScheduleRequest{Schedule: definition, FromMs: from, Limit: 2})
	if err != nil || len(got.Ticks) != 2 || got.Ticks[0].GetLocal() != "2026-03-29T03:30:00+02:00" || got.Ticks[0].GetNote() == "" ||
		got.Ticks[1].GetLocal() != "2026-03-30T02:30:00+02:00" || got.Ticks[1].GetNote() != "" || got.Words == "" || got.Over {
		t.Errorf("definition: %v %v", got, err)
	}
	over, err := node.schedules().PreviewSchedule(ctx, &v1.PreviewScheduleRequest{Schedule: &v1.Schedule{Spec: "@at 2020-01-01T00:00:00Z"}})
	if err != nil || len(over.Ticks) != 0 || !over.Over {
		t.Errorf("one that is over: %v %v", over, err)
	}
	ended, err := node.schedules().PreviewSchedule(ctx, &v1.PreviewScheduleRequest{Schedule: &v1.Schedule{Spec: "@hourly", EndMs: from + 5*3600_000}, FromMs: from})
	if err != nil || len(ended.Ticks) != 5 || !ended.Over {
		t.Errorf("five times and no more: %v %v", ended, err)
	}
	made := node.put(t, yearly("y"))
	named, err := node.schedules().PreviewSchedule(ctx, &v1.PreviewScheduleRequest{Name: "y"})
	if err != nil || len(named.Ticks) != 5 || named.Ticks[0].GetFireMs() != made.Status.GetNextMs() || named.Ticks[0].GetLocal() != made.Status.GetNext() {
		t.Errorf("by name: %v %v, status %v", named, err, made.Status)
	}
}

// TestWarnings about what is allowed and perhaps not meant.
func TestWarnings(t *testing.T) {
	node := startNode(t)
	if _, err := node.workers().Register(t.Context(), &v1.RegisterRequest{Name: "w", Nonce: 2, Lanes: "mail:1@1GiB", User: "ana"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(*v1.Schedule)
		want   []string
	}{
		{func(s *v1.Schedule) {}, nil},
		{func(s *v1.Schedule) { s.Job.Queue = "other" }, []string{"no live worker has a lane for queue other and user ana"}},
		{func(s *v1.Schedule) { s.Job.User = "ben" }, []string{"no live worker has a lane for queue mail and user ben"}},
		{func(s *v1.Schedule) { s.Job.MemoryBytes = 2 << 30 }, []string{"no live worker"}},
		{func(s *v1.Schedule) { s.Overlap, s.MisfireGraceMs = v1.Overlap_OVERLAP_QUEUE, proto.Int64(-1) }, []string{"overlap is queue and misfire_grace is unlimited"}},
		{func(s *v1.Schedule) { s.Spec, s.JitterMs = "@every 1h", 7_200_000 }, []string{"jitter (2 h) is longer than the period (1 h)"}},
		{func(s *v1.Schedule) { s.Spec, s.Zone = "30 2 * * *", "Europe/Berlin" }, []string{"-03-"}},
	} {
		s := yearly("s")
		s.Job.Queue, s.Job.User = "mail", "ana"
		c.change(s)
		got := node.put(t, s).Warnings
		if len(got) != len(c.want) || len(got) == 1 && !strings.Contains(got[0], c.want[0]) {
			t.Errorf("%v: got %q, want %q", s, got, c.want)
		}
	}
}

// TestCoordinators: what runs, what waits behind it in order, and who its members are.
func TestCoordinators(t *testing.T) {
	node := startNode(t)
	ctx := t.Context()
	member := yearly("member")
	member.Job.Coordinator = "c"
	node.put(t, member)
	for range 3 {
		if _, err := node.jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k", Coordinator: "c", Payload: &v1.NewJob_Json{Json: "1"}}}); err != nil {
			t.Fatal(err)
		}
	}
	worker, err := node.workers().Register(ctx, &v1.RegisterRequest{Name: "w", Nonce: 2, Lanes: "*:2"})
	if err != nil {
		t.Fatal(err)
	}
	claim, err := node.workers().Claim(ctx, &v1.ClaimRequest{Session: worker.Session})
	if err != nil || claim.Claim.GetJob().GetId() != 1 || claim.Claim.GetJob().GetCoordinator() != "c" {
		t.Fatalf("claim: %v %v", claim, err)
	}
	if second, err := node.workers().Claim(ctx, &v1.ClaimRequest{Session: worker.Session}); err != nil || second.Claim != nil {
		t.Errorf("a second one runs: %v %v", second, err)
	}
	got, err := node.schedules().GetCoordinator(ctx, &v1.GetCoordinatorRequest{Name: "c"})
	if err != nil {
		t.Fatal(err)
	}
	c := got.Coordinator
	if c.GetBusyJob() != 1 || c.GetHeadJob() != 2 || c.GetWaiting() != 2 || c.GetMemberCount() != 1 || len(c.Members) != 1 || c.Members[0].GetSchedule().GetName() != "member" ||
		len(c.Line) != 2 || c.Line[0].GetId() != 2 || c.Line[1].GetId() != 3 || c.Line[0].GetPayload() != nil || c.GetRunning().GetId() != 1 || c.GetRunning().GetPayload() != nil {
		t.Errorf("coordinator: %v", c)
	}
	other := yearly("other")
	other.Job.Coordinator = "b"
	node.put(t, other)
	list, err := node.schedules().ListCoordinators(ctx, &v1.ListCoordinatorsRequest{Limit: 1})
	if err != nil || len(list.Coordinators) != 1 || list.Coordinators[0].GetName() != "b" || list.NextAfterName != "b" {
		t.Errorf("list: %v %v", list, err)
	}
	list, err = node.schedules().ListCoordinators(ctx, &v1.ListCoordinatorsRequest{AfterName: "b"})
	if err != nil || len(list.Coordinators) != 1 || list.Coordinators[0].GetBusyJob() != 1 || list.Coordinators[0].GetMembers() != nil || list.NextAfterName != "" {
		t.Errorf("the next page: %v %v", list, err)
	}
}

// TestScheduleEvents: a watch of one schedule gets its changes, its ticks and its jobs, and nothing else.
func TestScheduleEvents(t *testing.T) {
	node := startNode(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	node.put(t, yearly("other"))
	node.put(t, yearly("s"))
	for _, name := range []string{"other", "s"} {
		if _, err := node.schedules().TriggerSchedule(ctx, &v1.TriggerScheduleRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	events := fairlanev1connect.NewEventServiceClient(http.DefaultClient, node.url)
	stream, err := events.WatchEvents(ctx, &v1.WatchEventsRequest{After: "0", Schedule: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var kinds []string
	for len(kinds) < 4 && stream.Receive() {
		for _, e := range stream.Msg().GetEvents() {
			kinds = append(kinds, e.GetKind())
			if e.GetSchedule() != "s" {
				t.Errorf("of another schedule: %v", e)
			}
			if e.GetKind() == "schedule_fired" && (e.GetTickReason() != "trigger" || e.GetTicks() != 1 || e.GetFirstFireMs() == 0 || e.GetFirstFireMs() != e.GetLastFireMs() || e.GetJob() != 2) {
				t.Errorf("fired: %v", e)
			}
		}
	}
	cancel()
	if want := []string{"schedule_changed", "schedule_fired", "job_enqueued", "job_ready"}; !slices.Equal(kinds, want) {
		t.Errorf("got %q (%v), want %q", kinds, stream.Err(), want)
	}
	if _, reason, message := node.get(t, "/v1/events?schedule=a+b"); reason != InvalidArgument || !strings.Contains(message, "schedule is") {
		t.Errorf("%s %s", reason, message)
	}
}

// get a path whose answer is an error in JSON.
func (n *testNode) get(t *testing.T, path string) (status int, reason Reason, message string) {
	t.Helper()
	response, err := http.Get(n.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	buffer := make([]byte, 4096)
	length, _ := response.Body.Read(buffer)
	reason, message = wireError(t, buffer[:length])
	return response.StatusCode, reason, message
}

// TestSchedulesThroughAnyNode: a follower forwards, what one node acknowledged is seen through the next at once, and a repeated call gets the
// same bytes through every node, also after the schedule has changed and after it is gone.
func TestSchedulesThroughAnyNode(t *testing.T) {
	nodes := startThree(t)
	ctx := t.Context()
	for i := range 6 {
		name := fmt.Sprint("s", i)
		nodes[i%3].put(t, yearly(name))
		if got := nodes[(i+1)%3].schedule(t, name); got.GetRevision() != 1 {
			t.Errorf("%s: %v", name, got)
		}
		preview, err := nodes[(i+2)%3].schedules().PreviewSchedule(ctx, &v1.PreviewScheduleRequest{Name: name})
		if err != nil || len(preview.Ticks) != 5 {
			t.Errorf("%s: %v %v", name, preview, err)
		}
	}
	session, err := nodes[1].jobs().OpenSession(ctx, &v1.OpenSessionRequest{Nonce: 1})
	if err != nil {
		t.Fatal(err)
	}
	last := uint64(0)
	repeat := func() *v1.Repeat { last++; return &v1.Repeat{Session: session.Session, Number: last, Lowest: 1} }
	every := &v1.Schedule{Name: "r", Spec: "@every 1h", StartMs: 1_700_000_000_000, JitterMs: 600_000, Job: &v1.NewJob{Kind: "k", Labels: map[string]string{"a": "1", "b": "2"}}}
	daily := proto.CloneOf(every)
	daily.Spec = "@daily"
	type repeated struct {
		method  string
		request proto.Message
		answer  string
	}
	var calls []repeated
	for i, c := range []repeated{
		{method: "PutSchedule", request: &v1.PutScheduleRequest{Schedule: every, Repeat: repeat()}},
		{method: "PauseSchedule", request: &v1.PauseScheduleRequest{Name: "r", Repeat: repeat()}},
		{method: "BackfillSchedule", request: &v1.BackfillScheduleRequest{Name: "r", FromMs: 1_700_000_000_000, ToMs: 1_700_010_000_000, Repeat: repeat()}},
		{method: "TriggerSchedule", request: &v1.TriggerScheduleRequest{Name: "r", Repeat: repeat()}}, // refused: the backfill runs
		{method: "ResumeSchedule", request: &v1.ResumeScheduleRequest{Name: "r", Repeat: repeat()}},
		{method: "PutSchedule", request: &v1.PutScheduleRequest{Schedule: daily, Repeat: repeat()}},
		{method: "PutSchedule", request: &v1.PutScheduleRequest{Schedule: daily, ExpectedRevision: 1, Repeat: repeat()}}, // refused
		{method: "DeleteSchedule", request: &v1.DeleteScheduleRequest{Name: "r", Repeat: repeat()}},
	} {
		c.answer = nodes[i%3].call(t, "ScheduleService/"+c.method, c.request)
		calls = append(calls, c)
	}
	for i, want := range []string{"200", "200", "200", "400", "200", "200", "409", "200"} {
		if !strings.HasPrefix(calls[i].answer, want) {
			t.Errorf("%s, call %d: %s", calls[i].method, i, calls[i].answer)
		}
	}
	for _, node := range nodes {
		for i, c := range calls {
			if again := node.call(t, "ScheduleService/"+c.method, c.request); again != c.answer {
				t.Errorf("%s, call %d, again:\n%s\nat first:\n%s", c.method, i, again, c.answer)
			}
		}
	}
}
