package simulate

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"google.golang.org/protobuf/proto"
)

// oneLane: ten jobs of one second, one slot.
func oneLane(t *testing.T) string {
	s := newScene(t)
	session := s.worker("w", "default:1")
	var jobs []*logv1.NewJob
	for range 10 {
		jobs = append(jobs, job("ana", ""))
	}
	s.at(0, enqueue(jobs...))
	s.work(session, 1000)
	return s.end()
}

// TestOneSlot: the waits are 0 to 9 seconds, in the recording and lived through again; two slots halve them; a second worker too.
func TestOneSlot(t *testing.T) {
	path := oneLane(t)
	want := Waits{Jobs: 10, Claims: 10, MeanMs: 4500, P50Ms: 4000, P95Ms: 9000, MaxMs: 9000}
	half := Waits{Jobs: 10, Claims: 10, MeanMs: 2000, P50Ms: 2000, P95Ms: 4000, MaxMs: 4000}
	r := simulated(t, path, Options{Resimulate: true})
	for name, side := range map[string]*Side{"recorded": &r.Recorded, "simulated": r.Simulated} {
		if side.Wait != want || side.MakespanMs != 10_000 {
			t.Errorf("%s: %+v, makespan %d", name, side.Wait, side.MakespanMs)
		}
		if l := side.Lanes[0]; len(side.Lanes) != 1 || l.BusyMs != 10_000 || l.UsedPermille != 1000 || l.Lane != "default:1" || l.Claims != 10 {
			t.Errorf("%s: lanes %+v", name, side.Lanes)
		}
	}
	if r.Replay.DigestEqual == nil || !*r.Replay.DigestEqual {
		t.Error("the replay does not say that the digest is equal")
	}
	for name, c := range map[string]Changes{
		"two slots":   {Lanes: map[string][]*logv1.Lane{"*": lanesOf(t, "default:2")}},
		"by name":     {Lanes: map[string][]*logv1.Lane{"w": lanesOf(t, "default:2"), "*": lanesOf(t, "default:9")}},
		"two workers": {Workers: []Worker{{"v", lanesOf(t, "default:1")}}},
		"others":      {Workers: []Worker{{"v", lanesOf(t, "default:2")}}, WithoutRecorded: true},
	} {
		r := simulated(t, path, Options{Changes: c})
		if r.Simulated.Wait != half || r.Simulated.MakespanMs != 5000 {
			t.Errorf("%s: %+v, makespan %d", name, r.Simulated.Wait, r.Simulated.MakespanMs)
		}
	}
}

// TestOrder of the example of docs/design.md §7, in both modes.
func TestOrder(t *testing.T) {
	s := newScene(t)
	session := s.worker("w", "q:1")
	var jobs []*logv1.NewJob
	for _, user := range strings.Fields("A A B C C A") {
		jobs = append(jobs, job(user, "q"))
	}
	s.at(5, enqueue(jobs...))
	s.work(session, 100)
	path := s.end()
	order := func(side *Side) (text string) {
		for _, c := range side.Order {
			text += fmt.Sprint(c.User, c.Job, " ")
		}
		return strings.TrimSpace(text)
	}
	fifo := []*logv1.SetQueue{{Name: "q", Settings: &logv1.QueueSettings{Mode: logv1.Mode_MODE_FIFO.Enum()}}}
	r := simulated(t, path, Options{Order: 100, Changes: Changes{Queues: fifo}})
	if got := order(&r.Recorded); got != "A1 B3 C4 A2 C5 A6" {
		t.Errorf("recorded: %s", got)
	}
	if got := order(r.Simulated); got != "A1 A2 B3 C4 C5 A6" {
		t.Errorf("fifo: %s", got)
	}
	single := &logv1.Settings{MultiUser: proto.Bool(false)}
	if got := order(simulated(t, path, Options{Order: 100, Changes: Changes{Settings: single}}).Simulated); got != "A1 A2 B3 C4 C5 A6" {
		t.Errorf("single user: %s", got)
	}
}

// TestUserLimit: with one running job for each user, the second slot is left to the others.
func TestUserLimit(t *testing.T) {
	s := newScene(t)
	session := s.worker("w", "q:2")
	s.at(0, enqueue(job("A", "q"), job("A", "q"), job("A", "q"), job("A", "q")))
	a := s.at(0, claim(session, 0))[0].GetClaim()
	b := s.at(0, claim(session, 0))[0].GetClaim()
	for range 2 {
		r := s.at(s.ms+1000, done(session, a.GetFence(), 0), done(session, b.GetFence(), 0))
		a, b = r[0].GetFinish().GetNext(), r[1].GetFinish().GetNext()
	}
	path := s.end()
	limit := []*logv1.SetQueue{{Name: "q", Settings: &logv1.QueueSettings{MaxRunningPerUser: proto.Int64(1)}}}
	r := simulated(t, path, Options{Changes: Changes{Queues: limit}})
	if r.Recorded.MakespanMs != 2000 || r.Recorded.Wait.MeanMs != 500 {
		t.Errorf("recorded: %+v", r.Recorded)
	}
	if r.Simulated.MakespanMs != 4000 || r.Simulated.Wait.MeanMs != 1500 || r.Simulated.Lanes[0].UsedPermille != 500 {
		t.Errorf("limited: %+v", r.Simulated)
	}
}

// TestOutcomes: failures, lost runs, snoozes and cancels go as they went, at any capacity.
func TestOutcomes(t *testing.T) {
	s := newScene(t)
	w, v := s.worker("w", "q:1"), s.worker("v", "q:1")
	s.at(0, enqueue(job("A", "q"))) // fails after 1 s, again 500 ms later, then succeeds after 2 s
	first := s.at(0, claim(w, 0))[0].GetClaim()
	s.at(1000, failed(w, first.GetFence(), &logv1.Failure{RetryAfterMs: proto.Int64(500)}))
	s.at(1500)
	second := s.at(1500, claim(v, 0))[0].GetClaim() // w is passed over
	s.at(3500, done(v, second.GetFence(), 0))
	s.at(4000, enqueue(job("A", "q"))) // cancelled while it runs; the worker lets go after 300 ms
	third := s.at(4000, claim(w, 0))[0].GetClaim()
	s.at(4200, &logv1.Command{Op: &logv1.Command_Cancel{Cancel: &logv1.Cancel{Job: 2}}})
	s.at(4500, done(w, third.GetFence(), 0))
	s.at(5000, enqueue(&logv1.NewJob{Kind: "k", Queue: "q", User: "B", DelayMs: 700})) // cancelled while it waits
	s.at(5100, &logv1.Command{Op: &logv1.Command_Cancel{Cancel: &logv1.Cancel{Job: 3}}})
	path := s.end()

	r := simulated(t, path, Options{Resimulate: true, Order: 9})
	if !reflect.DeepEqual(r.Recorded.Wait, r.Simulated.Wait) || r.Simulated.Claims != 3 || r.Simulated.Waiting != 0 || r.Simulated.Running != 0 {
		t.Errorf("recorded %+v\nsimulated %+v", r.Recorded, r.Simulated)
	}
	if r.Simulated.MakespanMs != 4500 || r.Recorded.MakespanMs != 4500 {
		t.Errorf("makespan %d, recorded %d", r.Simulated.MakespanMs, r.Recorded.MakespanMs)
	}
	busy := func(s *Side) (sum int64) {
		for _, l := range s.Lanes {
			sum += l.BusyMs
		}
		return sum
	}
	if busy(r.Simulated) != 3500 || busy(&r.Recorded) != 3500 {
		t.Errorf("busy %d, recorded %d", busy(r.Simulated), busy(&r.Recorded))
	}
}

// TestLostWorker: a worker that vanished takes nothing new, and its run counts as long as its lease held the slot.
func TestLostWorker(t *testing.T) {
	s := newScene(t)
	s.at(0, &logv1.Command{Op: &logv1.Command_SetSettings{SetSettings: &logv1.SetSettings{Settings: &logv1.Settings{
		Limits: &logv1.Limits{LeaseMs: proto.Int64(3000), HeartbeatMs: proto.Int64(1000)}}}}})
	w := s.worker("w", "q:2")
	s.at(0, enqueue(job("A", "q")))
	s.at(0, claim(w, 0))
	for ms := int64(500); ms <= 9000; ms += 500 {
		s.at(ms) // nobody beats: the lease ends at 3 s, the session at 9 s
	}
	v := s.worker("v", "q:1")
	got := s.at(9500, claim(v, 0))[0].GetClaim()
	s.at(10_000, done(v, got.GetFence(), 0))
	path := s.end()
	r := simulated(t, path, Options{Resimulate: true, Order: 9})
	if want := []claimed{{0, 1, "q", "A", "w", 0, 0}, {9500, 1, "q", "A", "v", 0, 6500}}; !reflect.DeepEqual(r.Recorded.Order, want) {
		t.Errorf("recorded: %+v", r.Recorded.Order)
	}
	// v is there since 9 s and takes the job at once.
	if want := []claimed{{0, 1, "q", "A", "w", 0, 0}, {9000, 1, "q", "A", "v", 0, 6000}}; !reflect.DeepEqual(r.Simulated.Order, want) {
		t.Errorf("simulated: %+v", r.Simulated.Order)
	}
}

// TestFromSnapshot: a trace that begins in the middle: what ran goes on for what was left of its time, what waited has waited already.
func TestFromSnapshot(t *testing.T) {
	s := newScene(t)
	w := s.worker("w", "q:1")
	s.at(0, enqueue(job("A", "q"), job("B", "q")))
	first := s.at(0, claim(w, 0))[0].GetClaim()
	s.at(600)
	s.fromHere()
	second := s.at(1000, done(w, first.GetFence(), 0))[0].GetFinish().GetNext()
	s.at(2000, done(w, second.GetFence(), 0))
	path := s.end()
	r := simulated(t, path, Options{Resimulate: true, Order: 9})
	want := []claimed{{400, 2, "q", "B", "w", 0, 1000}}
	if !reflect.DeepEqual(r.Recorded.Order, want) || !reflect.DeepEqual(r.Simulated.Order, want) {
		t.Errorf("recorded %+v\nsimulated %+v", r.Recorded.Order, r.Simulated.Order)
	}
	if r.Recorded.MakespanMs != 1400 || r.Simulated.MakespanMs != 1400 || r.Simulated.Lanes[0].BusyMs != 1400 {
		t.Errorf("recorded %+v\nsimulated %+v", r.Recorded, r.Simulated)
	}
}

// TestRunLimit: a shorter run limit cuts runs, attempt after attempt.
func TestRunLimit(t *testing.T) {
	path := oneLane(t)
	short := &logv1.Settings{Limits: &logv1.Limits{MaxRunMs: proto.Int64(400), MaxAttempts: proto.Int32(1)}}
	r := simulated(t, path, Options{Changes: Changes{Settings: short}})
	if r.Simulated.MakespanMs != 4000 || r.Simulated.Claims != 10 || r.Simulated.Waiting != 0 {
		t.Errorf("%+v", r.Simulated)
	}
}

// TestLongRuns: the lease clock follows the wall clock through a run of ten seconds, and heartbeats keep a lease of three.
func TestLongRuns(t *testing.T) {
	s := newScene(t)
	session := s.worker("w", "q:1")
	s.at(0, enqueue(job("A", "q")))
	s.work(session, 10_000)
	path := s.end()
	lease := &logv1.Limits{LeaseMs: proto.Int64(3000), HeartbeatMs: proto.Int64(1000)}
	r := simulated(t, path, Options{Changes: Changes{Settings: &logv1.Settings{Limits: lease}}})
	if r.Simulated.MakespanMs != 10_000 || r.Simulated.Claims != 1 {
		t.Errorf("a lease ended while its worker lived: %+v", r.Simulated)
	}
	limit := &logv1.Limits{MaxRunMs: proto.Int64(4200), MaxAttempts: proto.Int32(2)}
	r = simulated(t, path, Options{Changes: Changes{Settings: &logv1.Settings{Limits: limit}}})
	if r.Simulated.MakespanMs != 8400 || r.Simulated.Claims != 2 {
		t.Errorf("two runs of 4.2 s: %+v", r.Simulated)
	}
}

// TestRepeats: calls that were made again, and jobs that were there already, come once.
func TestRepeats(t *testing.T) {
	s := newScene(t)
	w := s.worker("w", "q:1")
	client := s.at(0, &logv1.Command{Op: &logv1.Command_OpenSession{OpenSession: &logv1.OpenSession{Nonce: 1, Name: "c"}}})[0].GetSession().GetSession()
	numbered := enqueue(job("A", "q"))
	numbered.Repeat = &logv1.Repeat{Session: client, Number: 1, Lowest: 1}
	keyed := job("B", "q")
	keyed.IdempotencyKey = "key"
	s.at(1, numbered, enqueue(keyed))
	s.at(2, numbered, enqueue(keyed, job("C", "q")))
	s.at(3, &logv1.Command{Op: &logv1.Command_Cancel{Cancel: &logv1.Cancel{Job: 99}}})
	s.work(w, 100)
	s.at(1000, enqueue(job("A", "q"))) // its number is one of a job that came before, if they came twice
	s.work(w, 100)
	path := s.end()
	r := simulated(t, path, Options{Resimulate: true})
	if r.Simulated.Claims != 4 || r.Recorded.Claims != 4 || r.Simulated.Jobs != 4 {
		t.Errorf("recorded %+v\nsimulated %+v", r.Recorded, r.Simulated)
	}
}

// TestChangedWhileRunning: with other lanes from the beginning, what ran then is taken up again for the rest of its time, and is no wait.
func TestChangedWhileRunning(t *testing.T) {
	s := newScene(t)
	w := s.worker("w", "q:1")
	s.at(0, enqueue(job("A", "q"), job("B", "q")))
	first := s.at(0, claim(w, 0))[0].GetClaim()
	s.at(600)
	s.fromHere()
	second := s.at(1000, done(w, first.GetFence(), 0))[0].GetFinish().GetNext()
	s.at(2000, done(w, second.GetFence(), 0))
	path := s.end()
	r := simulated(t, path, Options{Order: 9, Changes: Changes{Lanes: map[string][]*logv1.Lane{"w": lanesOf(t, "q:2")}}})
	if want := []claimed{{0, 2, "q", "B", "w", 0, 600}}; !reflect.DeepEqual(r.Simulated.Order, want) || r.Simulated.Claims != 1 {
		t.Errorf("%+v", r.Simulated.Order)
	}
	if r.Simulated.MakespanMs != 1000 || r.Simulated.Lanes[0].BusyMs != 1400 {
		t.Errorf("%+v", r.Simulated)
	}
}

// TestNobodyKnows: a service time that nobody recorded is asked for, not invented.
func TestNobodyKnows(t *testing.T) {
	s := newScene(t)
	s.at(0, enqueue(job("A", "q"), job("A", "q")))
	path := s.end()
	o := Options{Changes: Changes{Workers: []Worker{{"w", lanesOf(t, "q:1")}}}}
	var missing *NoServiceTimeError
	if _, err := Run(t.Context(), path, o); !errors.As(err, &missing) || missing.Kind != "k" {
		t.Errorf("got %v", err)
	}
	o.RunMs = 250
	if r := simulated(t, path, o); r.Simulated.MakespanMs != 500 || r.Recorded.Waiting != 2 || r.Simulated.Waiting != 0 {
		t.Errorf("%+v", r)
	}
	o.UntilMs = 300
	if r := simulated(t, path, o); r.Simulated.Running != 1 || r.Simulated.Waiting != 0 || r.Simulated.Lanes[0].BusyMs != 300 {
		t.Errorf("%+v", r.Simulated)
	}
	o.Changes.Workers = []Worker{{"w", lanesOf(t, "other:1")}} // nobody takes them
	o.UntilMs = 0
	if r := simulated(t, path, o); r.Simulated.Waiting != 2 {
		t.Errorf("%+v", r.Simulated)
	}
	o.Changes.Queues = []*logv1.SetQueue{{Name: "q", Settings: &logv1.QueueSettings{MaxRunning: proto.Int64(-1)}}}
	var refused *RefusedError
	if _, err := Run(t.Context(), path, o); !errors.As(err, &refused) || !strings.Contains(err.Error(), "max_running") {
		t.Errorf("got %v", err)
	}
}
