package fsm_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// TestCoordinators: in random histories with coordinators a machine and one that is restored at random points agree in every answer and in
// their digests, invariants hold, no two jobs of a coordinator run at once, and no lane finds a job without being woken.
func TestCoordinators(t *testing.T) {
	claims := 0
	eachSeed(t, func(seed uint64) error {
		h, m, half := newCoordinated(seed), fsm.New(), fsm.New()
		h.extremes = h.one(2)
		parked := map[parkable]fsm.Peek{}
		for i := range *batches {
			if h.one(6) {
				var err error
				if half, err = restored(half); err != nil {
					return fmt.Errorf("index %d: restore: %w", h.index, err)
				}
			}
			b := h.batch()
			out := m.Apply(h.index, b)
			if err := sameOutcome(out, half.Apply(h.index, b)); err != nil {
				return fmt.Errorf("index %d: restored: %w", h.index, err)
			}
			h.observe(b, out)
			if err := errors.Join(m.CheckInvariants(), oneAtATime(m, &claims)); err != nil {
				return fmt.Errorf("index %d: %w", h.index, err)
			}
			if i%8 == 0 {
				if err := half.CheckInvariants(); err != nil || digest(t, m) != digest(t, half) {
					return fmt.Errorf("index %d: another digest, or %w", h.index, err)
				}
			}
			now := map[parkable]fsm.Peek{}
			for _, w := range m.Workers(0, 1000) {
				for lane := range w.Lanes {
					p := parkable{uint64(w.Session), uint32(lane)}
					found := m.Peek(w.Session, p.lane)
					before, known := parked[p]
					now[p] = found
					if known && before != fsm.PeekJob && found == fsm.PeekJob && !wakes(m, out, p, before) {
						return fmt.Errorf("index %d: of %+v Peek said %v before, it would find a job now, and nothing wakes it: %+v", h.index, p, before, out.Ready)
					}
				}
			}
			parked = now
		}
		return nil
	})
	if t.Logf("%d times a job of a coordinator ran", claims); claims < *histories {
		t.Error("too few")
	}
}

// oneAtATime looks at states alone. That a cancelled job holds its coordinator until its claim ends is for CheckInvariants to see.
func oneAtATime(m *fsm.Machine, claims *int) error {
	runs := map[string]uint64{}
	list, _ := m.Insight().Jobs(fsm.JobFilter{Limit: 1 << 20, States: []logv1.State{logv1.State_STATE_RUNNING}})
	for _, j := range list {
		c := j.GetCoordinator()
		if c == "" {
			continue
		}
		if runs[c] != 0 {
			return fmt.Errorf("jobs %d and %d of coordinator %s run", runs[c], j.GetId(), c)
		}
		runs[c] = j.GetId()
		*claims++
		if v, _, _, ok := m.Coordinator(c, 0); !ok || uint64(v.Busy) != j.GetId() {
			return fmt.Errorf("coordinator %s is %+v, but job %d runs", c, v, j.GetId())
		}
	}
	return nil
}

// TestCoordinatorBytes: the name counts, in the state and when there is room for one more job or not.
func TestCoordinatorBytes(t *testing.T) {
	s := &still{m: fsm.New(), wall: 1_000_000}
	enqueue := func(coordinator string) bool {
		out := s.apply(&logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: []*logv1.NewJob{{Kind: "k", Coordinator: coordinator}}}}})
		return out.Results[0].GetEnqueue().GetOutcomes()[0].GetJob() != 0
	}
	name := strings.Repeat("c", 100)
	sizes := []int64{0, 0}
	for i, coordinator := range []string{"", name} {
		before := s.m.Totals().Bytes
		if !enqueue(coordinator) {
			t.Fatal("refused")
		}
		sizes[i] = s.m.Totals().Bytes - before
	}
	if sizes[1]-sizes[0] != 100 {
		t.Errorf("a job takes %d bytes, with a coordinator %d", sizes[0], sizes[1])
	}
	most := s.m.Totals().Bytes + sizes[0] + 50 // more than the steps of a job
	s.apply(settingsCommand(&logv1.Settings{MaxStateBytes: proto.Int64(most)}))
	if enqueue(name) {
		t.Error("a name for which there is no room was taken")
	}
	if !enqueue("") {
		t.Error("a job for which there is room was refused")
	}
}

// TestRestoreChecksCoordinators: a snapshot in which two claims of one coordinator live is refused.
func TestRestoreChecksCoordinators(t *testing.T) {
	s := &still{m: fsm.New(), wall: 1_000_000}
	session, err := s.fresh("*:4")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"i", "j"} {
		s.apply(&logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: []*logv1.NewJob{{Kind: "k", Coordinator: name}}}}},
			&logv1.Command{Op: &logv1.Command_Claim{Claim: &logv1.Claim{Session: session}}})
	}
	whole := snapshotBytes(t, s.m)
	bad := changed(t, framesOf(whole), frameJob, &logv1.JobRecord{}, func(r *logv1.JobRecord) { r.Job.Coordinator = "j" })
	var damaged *fsm.DamagedError
	if _, err := fsm.Restore(bytes.NewReader(sealed(whole[:headSize], bad))); !errors.As(err, &damaged) || !strings.Contains(err.Error(), "two live claims") {
		t.Errorf("restored: %v", err)
	}
}

// TestCoordinatorsPage: pages by name, and what a coordinator that exists is.
func TestCoordinatorsPage(t *testing.T) {
	s := &still{m: fsm.New(), wall: 1_000_000}
	for _, name := range []string{"c", "a", "b", "d"} {
		s.apply(&logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: []*logv1.NewJob{{Kind: "k", Coordinator: name, DelayMs: 500}}}}})
	}
	var got []string
	pages := 0
	for after := ""; ; pages++ {
		list, next := s.m.Coordinators(after, 2)
		for _, v := range list {
			got = append(got, v.Name)
		}
		if after = next; next == "" {
			break
		}
	}
	if strings.Join(got, "") != "abcd" || pages != 1 {
		t.Errorf("%v in %d pages", got, pages+1)
	}
	if list, next := s.m.Coordinators("", 0); len(list) != 0 || next != "" {
		t.Errorf("a page of nothing: %v %q", list, next)
	}
	if _, _, _, ok := s.m.Coordinator("e", 1); ok {
		t.Error("a coordinator that nothing names exists")
	}
}
