package fairlane

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestHandlerSeesItsFire: the schedule, the fire time and the cause come with the claim.
func TestHandlerSeesItsFire(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var got []JobMeta
		w.start("*:1", func(_ context.Context, job *RawJob) ([]byte, error) { got = append(got, job.JobMeta); return nil, nil })
		s := nightly
		s.Coordinator = "db"
		if _, err := w.client.PutSchedule(t.Context(), s, NewJob{Kind: "k"}); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		h, err := w.client.TriggerSchedule(t.Context(), "nightly")
		if err != nil {
			t.Fatal(err)
		}
		advance(time.Second)
		w.enqueue("a")
		advance(time.Second)
		if len(got) != 2 || got[0].ID != h.ID || got[0].Schedule != "nightly" || got[0].FireCause != CauseTrigger || got[0].Coordinator != "db" ||
			!got[0].FireTime.Equal(now) || got[0].FireTime.Location() != time.UTC {
			t.Fatalf("got %+v", got)
		}
		if got[1].Schedule != "" || !got[1].FireTime.IsZero() || got[1].FireCause != "" || got[1].Coordinator != "" {
			t.Errorf("an ordinary job: %+v", got[1])
		}
	})
}

func TestScheduleCalls(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx, c := t.Context(), w.client
		for _, name := range []string{"a1", "a2", "a3", "b1"} {
			if _, err := c.PutSchedule(ctx, Schedule{Name: name, Spec: "@daily", Group: name[:1]}, NewJob{Kind: "k"}); err != nil {
				t.Fatal(err)
			}
		}
		names := func(f ScheduleFilter) (out []string) {
			for s, err := range c.Schedules(ctx, f) {
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, s.GetSchedule().GetName())
			}
			return out
		}
		for want, f := range map[string]ScheduleFilter{"a1 a2 a3 b1": {}, "a1 a2 a3": {Group: "a"}, "b1": {Prefix: "b"}, "": {Prefix: "c"}} {
			if got := strings.Join(names(f), " "); got != want {
				t.Errorf("%+v: %q, want %q", f, got, want)
			}
		}
		for range c.Schedules(ctx, ScheduleFilter{}) {
			break
		}
		// A repeated call after a lost answer has one effect.
		w.faults(func(s seen) fault { return fault{after: s.number != 0 && s.nth%2 == 1} })
		if s, err := c.PauseSchedule(ctx, "a1"); err != nil || !s.GetPaused() || s.GetRevision() != 2 {
			t.Errorf("pause: %v, %v", s, err)
		}
		if s, err := c.ResumeSchedule(ctx, "a1"); err != nil || s.GetPaused() || s.GetRevision() != 3 {
			t.Errorf("resume: %v, %v", s, err)
		}
		if s, err := c.Schedule(ctx, "a1"); err != nil || s.GetRevision() != 3 {
			t.Errorf("get: %v, %v", s, err)
		}
		if h, err := c.TriggerSchedule(ctx, "a1"); err != nil || h.ID != 1 {
			t.Errorf("trigger: %v, %v", h, err)
		}
		_, err := c.TriggerSchedule(ctx, "a1")
		wantErr(t, err, ErrMaxInstances)
		from := time.Unix(100, 0)
		if n, err := c.BackfillSchedule(ctx, "a1", from, from.Add(4*time.Second), DryRun()); n != 5 || err != nil || w.schedules["a1"].Waiting != 0 {
			t.Errorf("dry backfill: %d, %v", n, err)
		}
		if n, err := c.BackfillSchedule(ctx, "a1", from, from.Add(4*time.Second)); n != 5 || err != nil || w.schedules["a1"].Waiting != 5 {
			t.Errorf("backfill: %d, %v", n, err)
		}
		wantErr(t, c.DeleteSchedule(ctx, "a1", ExpectRevision(2)), ErrStaleRevision)
		wantErr(t, c.DeleteSchedule(ctx, "a1", ExpectRevision(3)), nil)
		wantErr(t, c.DeleteSchedule(ctx, "a1"), ErrUnknownSchedule)
		_, err = c.Schedule(ctx, "a1")
		wantErr(t, err, ErrUnknownSchedule)
	})
}

func TestTicksAndPreviews(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx, c := t.Context(), w.client
		w.schedules["n"] = &fakeSchedule{ScheduleStatus: &fairlanev1.ScheduleStatus{Waiting: 1},
			ticks: []*fairlanev1.Tick{{Number: 9}, {Number: 7}, {Number: 4}, {Number: 3}, {Number: 1}}}
		var numbers []uint64
		for tick, err := range c.Ticks(ctx, "n") {
			if err != nil {
				t.Fatal(err)
			}
			numbers = append(numbers, tick.GetNumber())
		}
		if !slices.Equal(numbers, []uint64{9, 7, 4, 3, 1}) {
			t.Errorf("ticks %v", numbers)
		}
		for _, err := range c.Ticks(ctx, "nobody") {
			wantErr(t, err, ErrUnknownSchedule)
		}
		if waiting, err := c.WaitingTicks(ctx, "n"); err != nil || len(waiting) != 1 {
			t.Errorf("waiting %v, %v", waiting, err)
		}
		p, err := c.NextFires(ctx, "n", 2)
		if err != nil || len(p.Fires) != 2 || !p.Fires[1].At.Equal(time.Unix(2, 0)) || p.Fires[0].Local == "" || p.Fires[0].Note != "long ago" || !p.Over || p.Words != "every second" {
			t.Errorf("next %+v, %v", p, err)
		}
		if _, err := c.PreviewSchedule(ctx, Schedule{Spec: "@every 1s", Zone: "Asia/Kathmandu", Start: time.Unix(5, 0), Jitter: time.Second}, 3); err != nil {
			t.Fatal(err)
		}
		asked := w.requests("PreviewSchedule")[1].req
		want := &fairlanev1.PreviewScheduleRequest{Limit: 3, Schedule: &fairlanev1.Schedule{Spec: "@every 1s", Zone: "Asia/Kathmandu", StartMs: 5000, JitterMs: 1000}}
		if !proto.Equal(asked, want) {
			t.Errorf("asked %v", asked)
		}
	})
}

func TestCoordinators(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		if got, err := w.client.Coordinator(t.Context(), "db"); err != nil || got.GetBusyJob() != 7 {
			t.Errorf("got %v, %v", got, err)
		}
		var names []string
		for one, err := range w.client.Coordinators(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, one.GetName())
		}
		if !slices.Equal(names, []string{"a", "c"}) {
			t.Errorf("got %v", names)
		}
		if h, err := w.client.Enqueue(t.Context(), "k", nil, Coordinator("db")); err != nil || w.job(h.ID).Coordinator != "db" {
			t.Errorf("enqueue: %v", err)
		}
	})
}

// TestEventsOfASchedule: the filter is asked for, and the fields of a tick arrive.
func TestEventsOfASchedule(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.fake.events = []*fairlanev1.Event{
			{Id: "1.5.0", Kind: "schedule_missed", Schedule: "n", FirstFireMs: 1000, LastFireMs: 3000, Ticks: 3, TickReason: "grace"},
			{Id: "1.6.0", Kind: "job_enqueued", Schedule: "n", Job: 4},
		}
		ctx, cancel := context.WithCancel(t.Context())
		var got []ClusterEvent
		for e, err := range w.client.Events(ctx, EventFilter{Schedule: "n"}, "0") {
			if err != nil {
				break
			}
			if got = append(got, e); len(got) == 2 {
				cancel()
			}
		}
		cancel()
		if e := got[0]; e.Schedule != "n" || !e.FirstFire.Equal(time.Unix(1, 0)) || !e.LastFire.Equal(time.Unix(3, 0)) || e.Ticks != 3 || e.TickReason != "grace" {
			t.Errorf("got %+v", e)
		}
		if e := got[1]; e.Schedule != "n" || !e.FirstFire.IsZero() {
			t.Errorf("got %+v", e)
		}
		if r := w.requests("WatchEvents")[0].req.(*fairlanev1.WatchEventsRequest); r.Schedule != "n" {
			t.Errorf("asked %v", r)
		}
	})
}
