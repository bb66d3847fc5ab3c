package rpc

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func (n *testNode) schedules() fairlanev1connect.ScheduleServiceClient {
	return fairlanev1connect.NewScheduleServiceClient(http.DefaultClient, n.url)
}

// yearly is a definition that does not fire while a test runs.
func yearly(name string) *v1.Schedule {
	now := time.Now().UTC()
	far := now.AddDate(0, 6, 0)
	return &v1.Schedule{Name: name, Spec: fmt.Sprintf("0 3 1 %d *", far.Month()), Job: &v1.NewJob{Kind: "k"}}
}

func (n *testNode) put(t *testing.T, s *v1.Schedule) *v1.PutScheduleResponse {
	t.Helper()
	out, err := n.schedules().PutSchedule(t.Context(), &v1.PutScheduleRequest{Schedule: s})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (n *testNode) schedule(t *testing.T, name string) *v1.ScheduleStatus {
	t.Helper()
	out, err := n.schedules().GetSchedule(t.Context(), &v1.GetScheduleRequest{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return out.GetStatus()
}

// allSchedules as text, and the totals.
func (n *testNode) allSchedules(t *testing.T) string {
	t.Helper()
	list, err := n.schedules().ListSchedules(t.Context(), &v1.ListSchedulesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(list.Schedules) + counts(n)
}

// TestPutIsIdempotent: what means the same changes nothing, however it is spelled; a change says what it changes, and a dry run says so before.
func TestPutIsIdempotent(t *testing.T) {
	node := startNode(t)
	first := yearly("nightly")
	first.Job.Labels = map[string]string{"b": "2", "a": "1"}
	made := node.put(t, first)
	if made.Change != v1.ScheduleChange_SCHEDULE_CHANGE_CREATED || made.Status.GetRevision() != 1 || made.Status.GetNextMs() <= time.Now().UnixMilli() ||
		made.Position.GetIndex() == 0 || made.Status.GetNext() == "" || len(made.Differences) == 0 || made.Differences[0].GetField() != "spec" {
		t.Fatalf("created: %v", made)
	}
	normal := made.Normal
	if normal.Zone != "UTC" || normal.MaxInstances != 1 || normal.CatchUp != v1.CatchUp_CATCH_UP_LATEST || normal.Overlap != v1.Overlap_OVERLAP_SKIP ||
		normal.Job.Queue != "default" || normal.MisfireGraceMs != nil {
		t.Errorf("normal form: %v", normal)
	}
	same := proto.CloneOf(first)
	same.Spec = "  " + strings.ReplaceAll(first.Spec, " ", " \t ") + " "
	same.Zone, same.MaxInstances, same.CatchUp, same.Overlap, same.Job.Queue = "UTC", 1, v1.CatchUp_CATCH_UP_LATEST, v1.Overlap_OVERLAP_SKIP, "default"
	same.Job.Limits = &v1.JobLimits{}
	for _, again := range []*v1.Schedule{first, same, normal, node.schedule(t, "nightly").Schedule} {
		got := node.put(t, again)
		if got.Change != v1.ScheduleChange_SCHEDULE_CHANGE_UNCHANGED || got.Status.GetRevision() != 1 || len(got.Differences) != 0 || !proto.Equal(got.Normal, normal) {
			t.Errorf("again: %v", got)
		}
	}
	other := proto.CloneOf(first)
	other.MinIntervalMs, other.Job.User = 5_400_000, "ana"
	before := node.allSchedules(t)
	dry, err := node.schedules().PutSchedule(t.Context(), &v1.PutScheduleRequest{Schedule: other, DryRun: true})
	if err != nil || dry.Change != v1.ScheduleChange_SCHEDULE_CHANGE_UPDATED || dry.Status.GetRevision() != 1 {
		t.Fatalf("dry run: %v %v", dry, err)
	}
	if after := node.allSchedules(t); after != before {
		t.Errorf("a dry run changed\n%s\nto\n%s", before, after)
	}
	changed := node.put(t, other)
	if changed.Change != v1.ScheduleChange_SCHEDULE_CHANGE_UPDATED || changed.Status.GetRevision() != 2 || changed.Status.GetSchedule().GetJob().GetUser() != "ana" {
		t.Errorf("updated: %v", changed)
	}
	for _, got := range []*v1.PutScheduleResponse{dry, changed} {
		if text := fmt.Sprint(got.Differences); text != fmt.Sprint([]*v1.FieldChange{
			{Field: "min_interval_ms", To: "1 h 30 min"}, {Field: "job.user", To: "ana"},
		}) {
			t.Errorf("differences: %s", text)
		}
	}
}

// TestPutExpectedRevision: a caller who has seen another revision changes nothing, also in a dry run.
func TestPutExpectedRevision(t *testing.T) {
	node := startNode(t)
	ctx := t.Context()
	node.put(t, yearly("s"))
	other := yearly("s")
	other.Description = "new"
	for _, dry := range []bool{true, false} {
		_, err := node.schedules().PutSchedule(ctx, &v1.PutScheduleRequest{Schedule: other, ExpectedRevision: 7, DryRun: dry})
		wantReason(t, err, StaleRevision)
		if err != nil && !strings.Contains(err.Error(), "schedule s has revision 1, not 7") {
			t.Error(err)
		}
		_, err = node.schedules().PutSchedule(ctx, &v1.PutScheduleRequest{Schedule: yearly("none"), ExpectedRevision: 7, DryRun: dry})
		wantReason(t, err, UnknownSchedule)
	}
	_, err := node.schedules().DeleteSchedule(ctx, &v1.DeleteScheduleRequest{Name: "s", ExpectedRevision: 7})
	wantReason(t, err, StaleRevision)
	got, err := node.schedules().PutSchedule(ctx, &v1.PutScheduleRequest{Schedule: other, ExpectedRevision: 1})
	if err != nil || got.Status.GetRevision() != 2 {
		t.Errorf("the revision that is there: %v %v", got, err)
	}
}

// TestPutsRace: of many that change one schedule at the same time each is done, one after the other: what the leader computed for a former
// revision is computed again.
func TestPutsRace(t *testing.T) {
	node := startNode(t)
	node.put(t, yearly("s"))
	const callers = 8
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			s := yearly("s")
			s.Description = fmt.Sprint(i)
			if _, err := node.schedules().PutSchedule(t.Context(), &v1.PutScheduleRequest{Schedule: s}); err != nil {
				t.Errorf("put %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if got := node.schedule(t, "s").GetRevision(); got != 1+callers {
		t.Errorf("revision %d after %d changes", got, callers)
	}
}

// TestOneOff: it fires once, and is over. The same definition is still unchanged then; one that could never fire is refused.
func TestOneOff(t *testing.T) {
	node := startNode(t)
	at := time.Now().Add(1200 * time.Millisecond).Truncate(time.Second).Add(time.Second)
	once := &v1.Schedule{Name: "once", Spec: "@at " + at.UTC().Format(time.RFC3339), Job: &v1.NewJob{Kind: "k", Coordinator: "c"}}
	node.put(t, once)
	held := &v1.Schedule{Name: "held", Spec: once.Spec, Job: &v1.NewJob{Kind: "k"}}
	node.put(t, held)
	if _, err := node.schedules().PauseSchedule(t.Context(), &v1.PauseScheduleRequest{Name: "held"}); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, t.Context(), "it has fired", func() bool { return node.schedule(t, "once").GetNextMs() == 0 })
	status := node.schedule(t, "once")
	if status.GetTotals().GetFired() != 1 || status.GetInstances() != 1 || status.GetNext() != "" {
		t.Errorf("fired: %v", status)
	}
	job, err := node.jobs().Get(t.Context(), &v1.GetRequest{Id: 1})
	if err != nil || job.Job.GetSchedule() != "once" || job.Job.GetFireMs() != at.UnixMilli() || job.Job.GetFireCause() != "tick" || job.Job.GetCoordinator() != "c" {
		t.Errorf("its job: %v %v", job, err)
	}
	why, err := node.jobs().Why(t.Context(), &v1.WhyRequest{Id: 1})
	if err != nil || len(why.Steps) == 0 || !strings.HasPrefix(why.Steps[0].GetText(), "fired by schedule once for ") {
		t.Errorf("why: %v %v", why, err)
	}
	if got := node.put(t, once); got.Change != v1.ScheduleChange_SCHEDULE_CHANGE_UNCHANGED {
		t.Errorf("the same again: %v", got)
	}
	if got := node.put(t, held); got.Change != v1.ScheduleChange_SCHEDULE_CHANGE_UNCHANGED { // its time is over, and it was paused then
		t.Errorf("the same again, of one that was paused: %v", got)
	}
	described := proto.CloneOf(once)
	described.Description = "it is over"
	if got := node.put(t, described); got.Change != v1.ScheduleChange_SCHEDULE_CHANGE_UPDATED || got.Status.GetNextMs() != 0 {
		t.Errorf("a change of words: %v", got)
	}
	other := proto.CloneOf(once)
	other.Spec = "@at 2001-01-01T00:00:00Z"
	_, err = node.schedules().PutSchedule(t.Context(), &v1.PutScheduleRequest{Schedule: other})
	wantReason(t, err, NeverFires)
}

// TestScheduleRefusals: calls about schedules that are refused. The sentence says which field, which value and what would be right.
func TestScheduleRefusals(t *testing.T) {
	node := startNode(t)
	ctx := t.Context()
	node.put(t, yearly("y"))
	every := &v1.Schedule{Name: "h", Spec: "@every 1s", StartMs: 1_700_000_000_000, Job: &v1.NewJob{Kind: "k", Queue: "served"}}
	node.put(t, every)
	if _, err := node.schedules().PauseSchedule(ctx, &v1.PauseScheduleRequest{Name: "h"}); err != nil {
		t.Fatal(err)
	}
	if _, err := node.queues().SetQueue(ctx, &v1.SetQueueRequest{Name: "served"}); err != nil {
		t.Fatal(err)
	}
	before := node.allSchedules(t)
	definition := func(rest string) string { return `{"schedule":{"name":"n","job":{"kind":"k"},` + rest + `}}` }
	job := func(rest string) string {
		return `{"schedule":{"name":"n","spec":"@hourly","job":{"kind":"k",` + rest + `}}}`
	}
	for _, c := range []struct {
		method, body string
		want         Reason
		names        string
	}{
		{"PutSchedule", definition(`"spec":"0 25 * * *"`), BadSpec, `spec is "0 25 * * *"; give `},
		{"PutSchedule", definition(`"spec":"0 0 30 2 *"`), BadSpec, "spec is "},
		{"PutSchedule", definition(`"spec":"@daily","zone":"Europe/Berln"`), BadSpec, "did you mean Europe/Berlin? Nothing was done."},
		{"PutSchedule", definition(`"spec":"@daily","zone":"Local"`), BadSpec, `zone is "Local"`},
		{"PutSchedule", definition(`"spec":"@at 2020-01-01T00:00:00Z"`), NeverFires, `no fire time of "@at 2020-01-01T00:00:00Z" is left`},
		{"PutSchedule", definition(`"spec":"@daily","endMs":"1700000000000"`), NeverFires, "after its end, 2023-11-14T22:13:20+00:00"},
		{"PutSchedule", definition(`"spec":"@daily","startMs":"5000","endMs":"4000"`), InvalidArgument, "schedule.end_ms is 4000 (1970-01-01T00:00:04+00:00)"},
		{"PutSchedule", definition(`"spec":"@daily","misfireGraceMs":"0"`), InvalidArgument, "schedule.misfire_grace_ms is 0; give 1 to "},
		{"PutSchedule", definition(`"spec":"@daily","maxInstances":1001`), InvalidArgument, "schedule.max_instances is 1001"},
		{"PutSchedule", definition(`"spec":"@daily","group":"a b"`), InvalidArgument, `" " at byte 1`},
		{"PutSchedule", job(`"delayMs":"5"`), InvalidArgument, "schedule.job.delay_ms is 5; leave it out"},
		{"PutSchedule", job(`"runAtMs":"5"`), InvalidArgument, "schedule.job.run_at_ms is 5; leave it out"},
		{"PutSchedule", job(`"idempotencyKey":"x"`), InvalidArgument, `schedule.job.idempotency_key is "x"; leave it out`},
		{"PutSchedule", job(`"insertFront":true`), InvalidArgument, "schedule.job.insert_front is true; leave it out"},
		{"PutSchedule", job(`"coordinator":"ä"`), InvalidArgument, `"ä" at byte 0 is none of them`},
		{"GetSchedule", `{"name":"none"}`, UnknownSchedule, "no schedule none"},
		{"PauseSchedule", `{"name":"none"}`, UnknownSchedule, "no schedule none"},
		{"ResumeSchedule", `{"name":"none"}`, UnknownSchedule, "no schedule none"},
		{"DeleteSchedule", `{"name":"none"}`, UnknownSchedule, "no schedule none"},
		{"TriggerSchedule", `{"name":"none"}`, UnknownSchedule, "no schedule none"},
		{"ListTicks", `{"name":"none"}`, UnknownSchedule, "no schedule none"},
		{"PreviewSchedule", `{"name":"none"}`, UnknownSchedule, "no schedule none"},
		{"PreviewSchedule", `{"name":"y","schedule":{"spec":"@daily"}}`, InvalidArgument, "name is given together with schedule"},
		{"PreviewSchedule", `{"schedule":{"spec":"@reboot"}}`, BadSpec, "@reboot"},
		{"BackfillSchedule", `{"name":"none","fromMs":"1","toMs":"2"}`, UnknownSchedule, "no schedule none"},
		{"BackfillSchedule", `{"name":"h","fromMs":"5","toMs":"4"}`, InvalidArgument, "to_ms is 4"},
		{"BackfillSchedule", `{"name":"h","fromMs":"5","toMs":"9999999999999"}`, InvalidArgument, "which is to come"},
		{"BackfillSchedule", `{"name":"h","fromMs":"1","toMs":"2"}`, InvalidArgument, "the first one after it is 2023-11-14T22:13:20+00:00"},
		{"BackfillSchedule", `{"name":"h","fromMs":"1700000000000","toMs":"1700001000000"}`, TooManyTicks, "has 1,001 fire times of schedule h, 1,000 are allowed"},
		{"BackfillSchedule", `{"name":"h","fromMs":"1700000000000","toMs":"1700001000000","dryRun":true}`, TooManyTicks, "give to_ms 1700000999000"},
		{"GetCoordinator", `{"name":"none"}`, UnknownCoordinator, "no coordinator none"},
	} {
		status, reason, message := node.post(t, "ScheduleService/"+c.method, c.body)
		if reason != c.want || status == http.StatusOK || !strings.Contains(message, c.names) || strings.Contains(message, "{") {
			t.Errorf("%s %s: got %d %s, want %s naming %q: %s", c.method, c.body, status, reason, c.want, c.names, message)
		}
	}
	if after := node.allSchedules(t); after != before {
		t.Errorf("refused calls changed\n%s\nto\n%s", before, after)
	}
	_, reason, message := node.post(t, "QueueService/DeleteQueue", `{"name":"served"}`)
	if reason != QueueNotEmpty || !strings.Contains(message, "1 schedules enqueue into it") {
		t.Errorf("delete of a schedule's queue: %s %s", reason, message)
	}
}

// TestMaxSchedules: the cluster says how many schedules may be, and refuses more.
func TestMaxSchedules(t *testing.T) {
	node := startNode(t)
	ctx := t.Context()
	settings, err := node.cluster().GetSettings(ctx, &v1.GetSettingsRequest{})
	if err != nil || settings.Settings.GetMaxSchedules() != 100_000 {
		t.Errorf("the usual: %v %v", settings, err)
	}
	set, err := node.cluster().SetSettings(ctx, &v1.SetSettingsRequest{Settings: &v1.Settings{MaxSchedules: proto.Int64(1)}})
	if err != nil || set.Settings.GetMaxSchedules() != 1 {
		t.Fatalf("set: %v %v", set, err)
	}
	node.put(t, yearly("a"))
	_, err = node.schedules().PutSchedule(ctx, &v1.PutScheduleRequest{Schedule: yearly("b")})
	if metadata := wantReason(t, err, StateFull); metadata["limit"] != "max_schedules" {
		t.Errorf("%v", err)
	}
}
