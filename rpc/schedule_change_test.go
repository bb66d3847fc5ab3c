package rpc

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestCreateOnly: of many who make one schedule of a name, one does, and nobody's definition is written over.
func TestCreateOnly(t *testing.T) {
	node := startNode(t)
	ctx := t.Context()
	const callers = 8
	var all sync.WaitGroup
	var made atomic.Int64
	for i := range callers {
		all.Go(func() {
			s := yearly("s")
			s.Job.Priority = int32(i)
			out, err := node.schedules().PutSchedule(ctx, &v1.PutScheduleRequest{Schedule: s, CreateOnly: true})
			if err == nil && out.Change == v1.ScheduleChange_SCHEDULE_CHANGE_CREATED {
				made.Add(1)
				return
			}
			if wantReason(t, err, StaleRevision); err == nil || !strings.Contains(err.Error(), "schedule s has revision 1: it was changed meanwhile") {
				t.Errorf("%v %v", out, err)
			}
		})
	}
	all.Wait()
	if got := node.schedule(t, "s"); made.Load() != 1 || got.GetRevision() != 1 {
		t.Errorf("%d made it, revision %d", made.Load(), got.GetRevision())
	}
	same, err := node.schedules().PutSchedule(ctx, &v1.PutScheduleRequest{Schedule: node.schedule(t, "s").GetSchedule(), CreateOnly: true})
	if err != nil || same.Change != v1.ScheduleChange_SCHEDULE_CHANGE_UNCHANGED {
		t.Errorf("the same: %v %v", same, err)
	}
	other := yearly("s")
	other.Description = "other"
	_, err = node.schedules().PutSchedule(ctx, &v1.PutScheduleRequest{Schedule: other, CreateOnly: true, DryRun: true})
	wantReason(t, err, StaleRevision)
	_, err = node.schedules().PutSchedule(ctx, &v1.PutScheduleRequest{Schedule: yearly("n"), CreateOnly: true, ExpectedRevision: 1})
	wantReason(t, err, InvalidArgument)
}

// TestCreateOnlyRepeated: a call that is sent again after its answer was lost is not refused because of its own work.
func TestCreateOnlyRepeated(t *testing.T) {
	node := startNode(t)
	session, err := node.jobs().OpenSession(t.Context(), &v1.OpenSessionRequest{Nonce: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		out, err := node.schedules().PutSchedule(t.Context(), &v1.PutScheduleRequest{
			Schedule: yearly("s"), CreateOnly: true, Repeat: &v1.Repeat{Session: session.GetSession(), Number: 1}})
		if err != nil || out.Change != v1.ScheduleChange_SCHEDULE_CHANGE_CREATED {
			t.Errorf("%v %v", out, err)
		}
	}
}

// TestChangeWarnings: what a change does beside its fields is said before it is made.
func TestChangeWarnings(t *testing.T) {
	node := startNode(t)
	every := &v1.Schedule{Name: "e", Spec: "@every 1h", Group: "files", Job: &v1.NewJob{Kind: "k"}}
	says := func(s *v1.Schedule) string {
		t.Helper()
		out, err := node.schedules().PutSchedule(t.Context(), &v1.PutScheduleRequest{Schedule: s, DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(slices.DeleteFunc(out.Warnings, func(w string) bool { return strings.HasPrefix(w, "no live worker") }), "; ")
	}
	if got := says(every); got != "" {
		t.Errorf("new: %s", got)
	}
	node.put(t, every)
	if got := says(every); got != "" {
		t.Errorf("unchanged: %s", got)
	}
	every.Description, every.JitterMs = "new", 60_000
	if got := says(every); got != "" {
		t.Errorf("a description and a jitter: %s", got)
	}
	const anew = "its interval counts anew from this change; with a start it keeps its times"
	every.EndMs = time.Now().AddDate(1, 0, 0).UnixMilli()
	if got := says(every); got != anew {
		t.Errorf("an end: %s", got)
	}
	every.EndMs, every.Zone = 0, "Europe/Berlin"
	if got := says(every); got != anew {
		t.Errorf("a zone: %s", got)
	}
	every.Zone = ""
	every.Spec = "@every 2h"
	if got := says(every); got != "" {
		t.Errorf("another interval: %s", got)
	}
	every.Group = "program"
	if got := says(every); !strings.HasPrefix(got, "it leaves group files: ") {
		t.Errorf("another group: %s", got)
	}
}

// TestChangeKeepsTimes: a change that leaves spec, zone, start, end, jitter and spread as they are leaves the times as they are, whatever the clock says
// then: of an interval without a start, and of a tick that is due.
func TestChangeKeepsTimes(t *testing.T) {
	node := startNode(t)
	every := &v1.Schedule{Name: "e", Spec: "@every 1s", MaxInstances: 1000, Job: &v1.NewJob{Kind: "k"}}
	node.put(t, every)
	if _, err := node.schedules().PauseSchedule(t.Context(), &v1.PauseScheduleRequest{Name: "e"}); err != nil {
		t.Fatal(err)
	}
	before := node.schedule(t, "e")
	waitUntil(t, t.Context(), "its next time is over", func() bool { return time.Now().UnixMilli() > before.GetNextMs()+100 })
	every.Job.Payload = &v1.NewJob_Json{Json: `{"version":2}`}
	changed := node.put(t, every)
	got := node.schedule(t, "e")
	if changed.Change != v1.ScheduleChange_SCHEDULE_CHANGE_UPDATED || got.GetNextMs() != before.GetNextMs() || got.GetTotals().GetSkipped() != 0 {
		t.Fatalf("another payload: %v, was %v", got, before)
	}
	if _, err := node.schedules().ResumeSchedule(t.Context(), &v1.ResumeScheduleRequest{Name: "e"}); err != nil {
		t.Fatal(err)
	}
	after := node.schedule(t, "e")
	if (after.GetNextMs()-before.GetNextMs())%1000 != 0 || after.GetTotals().GetSkipped() == 0 {
		t.Errorf("resumed: %v, was %v", after, before)
	}
	every.Spec = "@every 1h"
	if got := node.put(t, every).Status; got.GetNextMs() < time.Now().Add(50*time.Minute).UnixMilli() {
		t.Errorf("another interval does not count from the change: %v", got)
	}
}

// TestPreviewWords say what the times depend on beside the spec.
func TestPreviewWords(t *testing.T) {
	node := startNode(t)
	start := time.Date(2027, 1, 31, 8, 0, 0, 0, time.UTC).UnixMilli()
	for want, s := range map[string]*v1.Schedule{
		"at 02:30, Europe/Berlin": {Spec: "30 2 * * *", Zone: "Europe/Berlin"},
		"at 02:30, UTC, not before 2027-01-31T08:00:00+00:00, until 2027-01-31T09:00:00+00:00": {Spec: "30 2 * * *", StartMs: start, EndMs: start + 3_600_000},
		"every 90 seconds, counted from 2027-01-31T09:00:00+01:00":                             {Spec: "@every 90s", StartMs: start, Zone: "Europe/Berlin"},
		"once at 2027-01-31T09:00:00+00:00":                                                    {Spec: "@at 2027-01-31T09:00:00Z"},
	} {
		got, err := node.schedules().PreviewSchedule(t.Context(), &v1.PreviewScheduleRequest{Schedule: s})
		if err != nil || got.Words != want {
			t.Errorf("got %q %v, want %q", got.GetWords(), err, want)
		}
	}
}
