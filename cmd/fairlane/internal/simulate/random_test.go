package simulate

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// randomScene plays a random history: workers come, drain, leave and vanish; jobs of three users come, fail, are lost, cancelled and
// retried; queues change.
func randomScene(t *testing.T, seed uint64) string {
	t.Helper()
	dice := rand.New(rand.NewPCG(seed, 1))
	s := newScene(t)
	s.at(0, &logv1.Command{Op: &logv1.Command_SetSettings{SetSettings: &logv1.SetSettings{Settings: &logv1.Settings{
		Limits: &logv1.Limits{LeaseMs: proto.Int64(3000), HeartbeatMs: proto.Int64(1000), BackoffFirstMs: proto.Int64(dice.Int64N(500))}}}}})
	middle := -1
	if dice.IntN(2) == 0 {
		middle = dice.IntN(200)
	}
	var jobs uint64
	names := []string{"u", "v", "w"}
	one := func() *logv1.Command {
		worker := func() (fsm.WorkerView, bool) {
			all := s.m.Workers(0, 100)
			if len(all) == 0 {
				return fsm.WorkerView{}, false
			}
			return all[dice.IntN(len(all))], true
		}
		w, some := worker()
		fence := uint64(0)
		if some && len(w.Fences) > 0 {
			fence = w.Fences[dice.IntN(len(w.Fences))]
		}
		switch n := dice.IntN(20); {
		case n < 5:
			j := job([]string{"A", "B", "C"}[dice.IntN(3)], []string{"q", "r"}[dice.IntN(2)])
			j.Priority = int32(dice.IntN(3))
			if dice.IntN(5) == 0 {
				j.DelayMs = dice.Int64N(4000)
			}
			jobs++
			return enqueue(j)
		case n < 7 && len(s.m.Workers(0, 100)) < 4 || !some:
			lanes := []string{"q:1 r>q:2", "*:3", "r:1", "q>*:2"}[dice.IntN(4)]
			return &logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: names[dice.IntN(3)], Nonce: dice.Uint64N(3),
				Lanes: lanesOf(t, lanes), FormerGone: dice.IntN(2) == 0}}}
		case n < 12:
			return claim(uint64(w.Session), uint32(dice.IntN(len(w.Lanes))))
		case n < 15 && fence != 0:
			switch dice.IntN(4) {
			case 0:
				return failed(uint64(w.Session), fence, &logv1.Failure{Discard: dice.IntN(3) == 0})
			case 1:
				return &logv1.Command{Op: &logv1.Command_Finish{Finish: &logv1.Finish{Session: uint64(w.Session), Fence: fence,
					Outcome: &logv1.Finish_Snooze{Snooze: &logv1.Snooze{DelayMs: dice.Int64N(2000)}}}}}
			}
			return done(uint64(w.Session), fence, uint32(dice.IntN(len(w.Lanes))))
		case n == 15 && fence != 0:
			return &logv1.Command{Op: &logv1.Command_Release{Release: &logv1.Release{Session: uint64(w.Session), Fences: []uint64{fence}}}}
		case n == 16 && jobs > 0:
			id := 1 + dice.Uint64N(jobs)
			if dice.IntN(2) == 0 {
				return &logv1.Command{Op: &logv1.Command_Cancel{Cancel: &logv1.Cancel{Job: id}}}
			}
			return &logv1.Command{Op: &logv1.Command_Retry{Retry: &logv1.Retry{Job: id}}}
		case n == 17:
			return &logv1.Command{Op: &logv1.Command_SetQueue{SetQueue: &logv1.SetQueue{Name: "q", Settings: &logv1.QueueSettings{
				MaxRunning: proto.Int64(dice.Int64N(4)), Mode: logv1.Mode(dice.IntN(3)).Enum()}}}}
		case n == 18:
			return &logv1.Command{Op: &logv1.Command_Drain{Drain: &logv1.Drain{Session: uint64(w.Session), Undo: dice.IntN(2) == 0}}}
		case n == 19 && dice.IntN(3) == 0:
			return &logv1.Command{Op: &logv1.Command_Deregister{Deregister: &logv1.Deregister{Session: uint64(w.Session)}}}
		}
		return &logv1.Command{Op: &logv1.Command_Heartbeat{Heartbeat: &logv1.Heartbeat{Session: uint64(w.Session), Fences: w.Fences}}}
	}
	for i := range 300 {
		if i == middle {
			s.fromHere()
		}
		var batch []*logv1.Command
		for range dice.IntN(4) {
			batch = append(batch, one())
		}
		s.at(s.ms+dice.Int64N(400), batch...)
	}
	return s.end()
}

// TestRandomHistories: whatever happened, the replay gives the recorded digest; the simulation ends, breaks no invariant, agrees with the
// machine about every slot, leaves no job behind that a free lane could take, and gives the same bytes again.
func TestRandomHistories(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	base := rand.Uint64()
	for round := range rounds {
		seed := base + uint64(round)
		path := randomScene(t, seed)
		for name, c := range map[string]Changes{
			"none":    {},
			"lanes":   {Lanes: map[string][]*logv1.Lane{"u": lanesOf(t, "r:5")}},
			"limits":  {Queues: []*logv1.SetQueue{{Name: "q", Settings: &logv1.QueueSettings{MaxRunningPerUser: proto.Int64(1)}}}},
			"limit":   {Settings: &logv1.Settings{Limits: &logv1.Limits{MaxRunMs: proto.Int64(300)}}},
			"refuse":  {Settings: &logv1.Settings{MaxJobs: proto.Int64(5)}},
			"workers": {Workers: []Worker{{"w", lanesOf(t, "*:2")}}, WithoutRecorded: true},
		} {
			o := Options{Changes: c, Resimulate: true, RunMs: 200, Order: 50}
			h, seen, summary, err := read(t.Context(), path, 50)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			e, err := newEngine(path, h, o)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if err := e.simulate(t.Context()); err != nil {
				t.Fatalf("seed %d, %s: %v", seed, name, err)
			}
			checkEngine(t, e, seed, name)
			first := Report{Replay: replayOf(summary), Recorded: seen.side(seen.left, 0)}
			side := e.obs.side(e.waiting(), e.refused)
			first.Simulated = &side
			a, _ := json.Marshal(first)
			second, err := Run(t.Context(), path, o)
			if err != nil {
				t.Fatalf("seed %d, %s: %v", seed, name, err)
			}
			if b, _ := json.Marshal(second); string(a) != string(b) {
				t.Fatalf("seed %d, %s: two runs differ:\n%s\n%s", seed, name, a, b)
			}
			if t.Failed() {
				return
			}
		}
	}
}

func checkEngine(t *testing.T, e *engine, seed uint64, name string) {
	t.Helper()
	if err := e.m.CheckInvariants(); err != nil {
		t.Errorf("seed %d, %s: %v", seed, name, err)
	}
	for _, view := range e.m.Workers(0, 1000) {
		w := e.workers[uint64(view.Session)]
		if w == nil {
			t.Errorf("seed %d, %s: worker %s (session %d) is not the engine's", seed, name, view.Name, view.Session)
			continue
		}
		for i, l := range view.Lanes {
			if int(l.Running) != w.lanes[i].taken {
				t.Errorf("seed %d, %s: lane %d of %s holds %d claims, the engine says %d", seed, name, i, view.Name, l.Running, w.lanes[i].taken)
			}
			if e.m.Peek(view.Session, uint32(i)) == fsm.PeekJob {
				t.Errorf("seed %d, %s: lane %d of %s is free and a job waits", seed, name, i, view.Name)
			}
		}
	}
	if len(e.live) > 0 || e.step < len(e.h.steps) {
		t.Errorf("seed %d, %s: it ended with %d runs, at step %d of %d", seed, name, len(e.live), e.step, len(e.h.steps))
	}
	in := e.m.Insight()
	if list, _ := in.Jobs(fsm.JobFilter{States: []logv1.State{logv1.State_STATE_SCHEDULED}, Limit: 1}); len(list) > 0 {
		t.Errorf("seed %d, %s: a job is still scheduled", seed, name)
	}
}
