package fairlane

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

var nightly = Schedule{Name: "nightly", Spec: "0 2 * * *"}

// TestScheduleMessage: each field arrives, what is left out is left out.
func TestScheduleMessage(t *testing.T) {
	start := time.Date(2027, 1, 31, 9, 0, 0, 0, time.FixedZone("", 3600))
	got, err := Schedule{
		Name: "n", Spec: "@daily", Zone: "Europe/Berlin", Start: start, End: start.Add(time.Hour), Jitter: time.Second, Spread: true,
		MisfireGrace: 20 * time.Minute, CatchUp: CatchUpAll, MaxInstances: 3, Overlap: OverlapQueue, MinInterval: time.Minute, Coordinator: "db",
		Group: "g", Description: "d",
	}.message(NewJob{Kind: "k", Args: 1, Options: []EnqueueOption{To("q"), AsUser("u"), Priority(4), Labels(map[string]string{"a": "b"}), MaxAttempts(2)}})
	if err != nil {
		t.Fatal(err)
	}
	want := &fairlanev1.Schedule{
		Name: "n", Spec: "@daily", Zone: "Europe/Berlin", StartMs: start.UnixMilli(), EndMs: start.UnixMilli() + 3_600_000, JitterMs: 1000, Spread: true,
		MisfireGraceMs: proto.Int64(1_200_000), CatchUp: fairlanev1.CatchUp_CATCH_UP_ALL, MaxInstances: 3, Overlap: fairlanev1.Overlap_OVERLAP_QUEUE,
		MinIntervalMs: 60_000, Group: "g", Description: "d",
		Job: &fairlanev1.NewJob{Kind: "k", Queue: "q", User: "u", Priority: 4, Coordinator: "db", Payload: &fairlanev1.NewJob_Json{Json: "1"},
			Labels: map[string]string{"a": "b"}, Limits: &fairlanev1.JobLimits{MaxAttempts: proto.Int32(2)}},
	}
	if !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	got, err = nightly.message(NewJob{Kind: "k", Options: []EnqueueOption{Coordinator("db")}})
	if err != nil || !proto.Equal(got, &fairlanev1.Schedule{Name: "nightly", Spec: "0 2 * * *", Job: &fairlanev1.NewJob{Kind: "k", Coordinator: "db"}}) {
		t.Errorf("got %v, %v", got, err)
	}
	got, _ = Schedule{MisfireGrace: Unlimited}.message(NewJob{})
	if got.MisfireGraceMs == nil || got.GetMisfireGraceMs() != -1 {
		t.Errorf("unlimited grace is %v", got.MisfireGraceMs)
	}
}

// TestScheduleRefusesWhatWouldGetLost on the way to the cluster, with field, value and what would be right.
func TestScheduleRefusesWhatWouldGetLost(t *testing.T) {
	for want, s := range map[string]Schedule{
		`fairlane: schedule "n": Jitter 1.5ms: want whole milliseconds, 0 or more`:                                  {Jitter: 1500 * time.Microsecond},
		`fairlane: schedule "n": Jitter -1s: want whole milliseconds, 0 or more`:                                    {Jitter: -time.Second},
		`fairlane: schedule "n": MinInterval 1ns: want whole milliseconds, 0 or more`:                               {MinInterval: 1},
		`fairlane: schedule "n": MisfireGrace 500µs: want whole milliseconds, 0 or more`:                            {MisfireGrace: 500 * time.Microsecond},
		`fairlane: schedule "n": MisfireGrace -1s: want whole milliseconds, 0 or more`:                              {MisfireGrace: -time.Second},
		`fairlane: schedule "n": Start 1969-01-01T00:00:00Z: want a time after 1970, or the zero time for no bound`: {Start: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)},
		`fairlane: schedule "n": End 1970-01-01T00:00:00Z: want a time after 1970, or the zero time for no bound`:   {End: time.Unix(0, 0).UTC()},
		`fairlane: schedule "n": CatchUp none: want latest, all or skip`:                                            {CatchUp: "none"},
		`fairlane: schedule "n": Overlap wait: want skip or queue`:                                                  {Overlap: "wait"},
		`fairlane: schedule "n": MaxInstances 4294967297: want 1 to 1000`:                                           {MaxInstances: 1<<32 + 1},
		`fairlane: schedule "n": Coordinator a: want one name; the option Coordinator says "b"`:                     {Coordinator: "a"},
	} {
		s.Name = "n"
		_, err := s.message(NewJob{Kind: "k", Options: []EnqueueOption{Coordinator("b")}})
		if s.Coordinator == "" {
			_, err = s.message(NewJob{Kind: "k"})
		}
		if err == nil || err.Error() != want || !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if _, err := nightly.message(NewJob{Kind: "k", Args: func() {}}); err == nil {
		t.Error("arguments that are no JSON were taken")
	}
}

// TestPutSchedule says what it did, keeps to the revision, and is one put over lost answers.
func TestPutSchedule(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		put := func(spec string, options ...ScheduleOption) (*PutResult, error) {
			t.Helper()
			s := nightly
			s.Spec = spec
			return w.client.PutSchedule(t.Context(), s, NewJob{Kind: "k"}, options...)
		}
		if res, err := put("@daily", DryRun()); err != nil || !res.Created || res.Info != nil || res.Normal.GetMaxInstances() != 1 || len(w.schedules) != 0 ||
			!slices.Equal(res.Warnings, []string{"a warning"}) || len(res.Differences) != 1 || res.Differences[0].GetTo() != "@daily" {
			t.Fatalf("dry run: %+v, %v", res, err)
		}
		w.faults(func(s seen) fault { return fault{after: s.method == "PutSchedule" && s.nth%2 == 0} })
		if res, err := put("@daily"); err != nil || !res.Created || res.Updated || res.Info.GetRevision() != 1 {
			t.Fatalf("first: %+v, %v", res, err)
		}
		if res, err := put("@daily"); err != nil || res.Created || res.Updated || res.Info.GetRevision() != 1 {
			t.Errorf("the same: %+v, %v", res, err)
		}
		res, err := put("@hourly", ExpectRevision(1))
		if err != nil || res.Created || !res.Updated || res.Info.GetRevision() != 2 {
			t.Errorf("another: %+v, %v", res, err)
		}
		_, err = put("@weekly", ExpectRevision(1))
		wantErr(t, err, ErrStaleRevision)
		_, err = put("@monthly", CreateOnly())
		wantErr(t, err, ErrStaleRevision)
		if res, err = put("@hourly", CreateOnly()); err != nil || res.Updated || res.Info.GetRevision() != 2 {
			t.Errorf("the same: %+v, %v", res, err)
		}
		_, err = put("")
		wantErr(t, err, ErrInvalidArgument)
	})
}

// TestPutOutlivesItsSession: it says what shall be, so it is sent again in another session when nobody can say what the first did. With a
// revision it is not: it would refuse its own work.
func TestPutOutlivesItsSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lost := func(s seen) fault {
			switch {
			case s.method == "PutSchedule" && s.nth == 1:
				return fault{after: true}
			case s.method == "PutSchedule" && s.nth == 2:
				return fault{refuse: ErrSessionEnded}
			}
			return fault{}
		}
		w.faults(lost)
		if res, err := w.client.PutSchedule(t.Context(), nightly, NewJob{Kind: "k"}); err != nil || res.Info.GetRevision() != 1 {
			t.Errorf("got %+v, %v", res, err)
		}
		if n := len(w.requests("OpenSession")); n != 2 {
			t.Errorf("%d sessions", n)
		}
	})
	inWorld(t, func(t *testing.T, w *world) {
		if _, err := w.client.PutSchedule(t.Context(), nightly, NewJob{Kind: "k"}); err != nil {
			t.Fatal(err)
		}
		w.faults(func(s seen) fault {
			if s.method == "PutSchedule" && s.nth == 2 {
				return fault{after: true}
			}
			return fault{refuse: ErrSessionEnded}
		})
		_, err := w.client.PutSchedule(t.Context(), nightly, NewJob{Kind: "other"}, ExpectRevision(1))
		wantErr(t, err, ErrUnknownOutcome)
	})
}

// TestDeclare: Run puts what was declared before it takes a job, and not again in a later life.
func TestDeclare(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		task := Define[int, string]("report")
		w.enqueue("a")
		worker := NewWorker(w.client, Lanes("a:1"), Observe(w.observe))
		worker.HandleRest(quick)
		task.Declare(worker, nightly, 3, To("a"))
		worker.Declare(Schedule{Name: "other", Spec: "@daily"}, NewJob{Kind: "k"})
		w.faults(func(s seen) fault { return fault{wait: time.Second * time.Duration(btoi(s.method == "PutSchedule"))} })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- worker.Run(ctx) }()
		synctest.Wait()
		if n := len(w.requests("Claim")); n != 0 || len(w.requests("Register")) != 1 {
			t.Errorf("%d claims before the schedules are put", n)
		}
		advance(5 * time.Second)
		if w.count(EventFinished) != 1 {
			t.Error("it does not work after they are put")
		}
		if got := w.schedules["nightly"].Schedule.GetJob(); got.GetKind() != "report" || got.GetJson() != "3" || got.GetQueue() != "a" || len(w.schedules) != 2 {
			t.Errorf("put %v", got)
		}
		w.mu.Lock()
		for _, s := range w.sessions {
			s.ended = ErrSessionEnded
		}
		w.mu.Unlock()
		advance(time.Minute)
		if lives, puts := len(w.requests("Register")), len(w.requests("PutSchedule")); lives != 2 || puts != 4 { // each: a look and a put
			t.Errorf("%d puts in %d lives", puts, lives)
		}
		cancel()
		wantErr(t, <-done, nil)
		// Another replica of the program finds all of it there.
		worker = NewWorker(w.client, Lanes("a:1"))
		task.Declare(worker, nightly, 3, To("a"))
		ctx, cancel = context.WithCancel(t.Context())
		go func() { done <- worker.Run(ctx) }()
		advance(2 * time.Second)
		cancel()
		wantErr(t, <-done, nil)
		if puts := w.requests("PutSchedule"); len(puts) != 5 || puts[4].number != 0 || w.schedules["nightly"].Revision != 1 {
			t.Errorf("%d puts", len(puts))
		}
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestDeclareRefused: Run ends with the refusal and has taken nothing; what is wrong by itself is found before it asks anybody.
func TestDeclareRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.enqueue("a")
		worker := NewWorker(w.client, Lanes("a:1"))
		worker.HandleRest(quick)
		worker.Declare(nightly, NewJob{Kind: "k"})
		w.faults(func(s seen) fault {
			if s.method == "PutSchedule" && s.number != 0 {
				return fault{refuse: ErrNeverFires}
			}
			return fault{}
		})
		err := worker.Run(t.Context())
		if !errors.Is(err, ErrNeverFires) || !strings.HasPrefix(err.Error(), `declare schedule "nightly": `) {
			t.Errorf("Run gave %v", err)
		}
		if len(w.requests("Claim")) != 0 || len(w.requests("Deregister")) != 1 {
			t.Errorf("%d claims, %d goodbyes", len(w.requests("Claim")), len(w.requests("Deregister")))
		}
		worker = NewWorker(w.client, Lanes("a:1"))
		worker.Declare(Schedule{Name: "n", Jitter: 1}, NewJob{Kind: "k"})
		before := len(w.requests("Register"))
		if err := worker.Run(t.Context()); !errors.Is(err, ErrInvalidArgument) || len(w.requests("Register")) != before {
			t.Errorf("Run gave %v", err)
		}
	})
}

// TestDeclareInterrupted: the end of Run's context while it puts is an orderly end, without a job.
func TestDeclareInterrupted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.enqueue("a")
		worker := NewWorker(w.client, Lanes("a:1"))
		worker.HandleRest(quick)
		worker.Declare(nightly, NewJob{Kind: "k"})
		w.faults(func(s seen) fault { return fault{hang: s.method == "PutSchedule"} })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- worker.Run(ctx) }()
		advance(time.Second)
		cancel()
		wantErr(t, <-done, nil)
		if len(w.requests("Claim")) != 0 || len(w.requests("Deregister")) != 1 {
			t.Errorf("%d claims, %d goodbyes", len(w.requests("Claim")), len(w.requests("Deregister")))
		}
	})
}

// TestDeclareInALostSession: a worker whose session ends while it puts registers again and goes on with what is left.
func TestDeclareInALostSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.enqueue("a")
		worker := NewWorker(w.client, Lanes("a:1"), Observe(w.observe))
		worker.HandleRest(quick)
		worker.Declare(nightly, NewJob{Kind: "k"})
		var hangs atomic.Bool
		hangs.Store(true)
		w.faults(func(s seen) fault { return fault{hang: s.method == "PutSchedule" && hangs.Load()} })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- worker.Run(ctx) }()
		advance(time.Second)
		hangs.Store(false)
		w.mu.Lock()
		for _, s := range w.sessions {
			if s.lanes != nil {
				s.ended = ErrSessionEnded
			}
		}
		w.mu.Unlock()
		advance(time.Minute)
		if w.count(EventFinished) != 1 || w.schedules["nightly"] == nil || len(w.requests("Register")) != 2 {
			t.Errorf("%d jobs, schedules %v, %d lives", w.count(EventFinished), w.schedules, len(w.requests("Register")))
		}
		cancel()
		wantErr(t, <-done, nil)
	})
}

func TestDeclareTwice(t *testing.T) {
	w := NewWorker(exampleClient())
	w.Declare(nightly, NewJob{Kind: "k"})
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	w.Declare(nightly, NewJob{Kind: "other"})
}

// TestDeclareWithoutRoom: workers work off what fills the cluster, so a schedule for which there is no room yet does not keep them from it.
func TestDeclareWithoutRoom(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.enqueue("a")
		worker := NewWorker(w.client, Lanes("a:1"), Observe(w.observe))
		worker.HandleRest(quick)
		worker.Declare(nightly, NewJob{Kind: "k"})
		worker.Declare(Schedule{Name: "other", Spec: "@daily"}, NewJob{Kind: "k"})
		var full atomic.Bool
		full.Store(true)
		w.faults(func(s seen) fault {
			if s.method == "PutSchedule" && s.number != 0 && full.Load() {
				return fault{refuse: ErrStateFull}
			}
			return fault{}
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- worker.Run(ctx) }()
		advance(2 * time.Second)
		if w.count(EventFinished) != 1 || len(w.schedules) != 0 {
			t.Errorf("%d jobs, schedules %v", w.count(EventFinished), w.schedules)
		}
		full.Store(false)
		advance(time.Minute)
		if w.schedules["nightly"] == nil || w.schedules["other"] == nil {
			t.Errorf("schedules %v", w.schedules)
		}
		cancel()
		wantErr(t, <-done, nil)
	})
}

// TestDeclareLateGoesOn: one that is refused for another reason than room while the worker tries on is given up, and no other is.
func TestDeclareLateGoesOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		worker := NewWorker(w.client, Lanes("a:1"))
		worker.HandleRest(quick)
		worker.Declare(nightly, NewJob{Kind: "k"})
		worker.Declare(Schedule{Name: "other", Spec: "@daily"}, NewJob{Kind: "k"})
		answers := []Reason{ErrStateFull, ErrStateFull, ErrStateFull, ErrInvalidArgument} // to puts of nightly, other, nightly, other
		var puts atomic.Int64
		w.faults(func(s seen) fault {
			if s.method != "PutSchedule" || s.number == 0 {
				return fault{}
			}
			if at := int(puts.Add(1)) - 1; at < len(answers) {
				return fault{refuse: answers[at]}
			}
			return fault{}
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- worker.Run(ctx) }()
		advance(time.Minute)
		if w.schedules["nightly"] == nil || w.schedules["other"] != nil {
			t.Errorf("schedules %v", w.schedules)
		}
		cancel()
		wantErr(t, <-done, nil)
	})
}

// TestUnservedWorkerSaysSo: where it looks and what comes of it, and not at each try.
func TestUnservedWorkerSaysSo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var log lockedBuffer
		worker := NewWorker(w.client, Lanes("a:1"), WorkerLogger(slog.New(slog.NewTextHandler(&log, nil))))
		worker.HandleRest(quick)
		w.faults(func(seen) fault { return fault{refuse: ErrNoLeader} })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- worker.Run(ctx) }()
		advance(time.Second)
		if text := log.String(); text != "" {
			t.Errorf("in the first second: %s", text)
		}
		advance(40 * time.Second)
		if text := log.String(); strings.Count(text, "no node takes this worker") != 2 || !strings.Contains(text, "http://n1:1") || !strings.Contains(text, "no leader") {
			t.Errorf("in 41 s:\n%s", text)
		}
		cancel()
		wantErr(t, <-done, nil)
	})
}
