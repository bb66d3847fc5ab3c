package simulate

import (
	"path/filepath"
	"testing"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/trace"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
	"google.golang.org/protobuf/proto"
)

const sceneBegin = int64(1_790_000_000_000)

// scene plays a small history on a machine and records it.
type scene struct {
	t     testing.TB
	path  string
	m     *fsm.Machine
	w     *trace.Writer
	index uint64
	ms    int64 // since sceneBegin
	names map[string]uint64
}

func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{t: t, path: filepath.Join(t.TempDir(), "trace"), m: fsm.New(), names: map[string]uint64{}}
	s.begin()
	return s
}

func (s *scene) begin() {
	s.t.Helper()
	w, err := trace.Create(s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	s.w = w
	s.t.Cleanup(func() { _ = w.Discard() })
}

// fromHere throws away what was recorded and begins again with a snapshot of now.
func (s *scene) fromHere() {
	s.t.Helper()
	if err := s.w.Discard(); err != nil {
		s.t.Fatal(err)
	}
	s.begin()
	if _, err := s.m.Snapshot().WriteTo(s.w); err != nil {
		s.t.Fatal(err)
	}
}

// at an instant, in ms, these commands are one batch.
func (s *scene) at(ms int64, commands ...*logv1.Command) []*logv1.Result {
	s.t.Helper()
	s.ms = ms
	s.index++
	b := &logv1.Batch{Rules: fsm.Rules, NowMs: sceneBegin + ms, MonotonicMs: ms, Leadership: 7, Commands: commands}
	data, err := proto.Marshal(b)
	if err != nil {
		s.t.Fatal(err)
	}
	out := s.m.Apply(s.index, b)
	if err := s.w.Entry(s.index, data); err != nil {
		s.t.Fatal(err)
	}
	return out.Results
}

func (s *scene) end() string {
	s.t.Helper()
	sum, err := s.m.Snapshot().Digest()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.w.Finish(s.m.AppliedIndex(), sum[:]); err != nil {
		s.t.Fatal(err)
	}
	return s.path
}

func lanesOf(t testing.TB, text string) (list []*logv1.Lane) {
	t.Helper()
	lanes, _, err := scheduler.ParseLanes(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lanes {
		list = append(list, &logv1.Lane{Chain: l.Chain, Slots: l.Slots, MemoryBytes: l.MemoryBytes})
	}
	return list
}

// worker registers one and gives its session.
func (s *scene) worker(name, lanes string) uint64 {
	s.t.Helper()
	r := s.at(s.ms, &logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: name, Nonce: 1, Lanes: lanesOf(s.t, lanes)}}})
	return r[0].GetSession().GetSession()
}

func job(user, queue string) *logv1.NewJob { return &logv1.NewJob{Kind: "k", Queue: queue, User: user} }

func enqueue(jobs ...*logv1.NewJob) *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: jobs}}}
}

func claim(session uint64, lane uint32) *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_Claim{Claim: &logv1.Claim{Session: session, Lane: lane}}}
}

// done is a success whose slot takes the next job.
func done(session, fence uint64, lane uint32) *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_Finish{Finish: &logv1.Finish{Session: session, Fence: fence, Next: &logv1.NextClaim{Lane: lane},
		Outcome: &logv1.Finish_Success{Success: &logv1.Success{}}}}}
}

func failed(session, fence uint64, f *logv1.Failure) *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_Finish{Finish: &logv1.Finish{Session: session, Fence: fence, Outcome: &logv1.Finish_Failure{Failure: f}}}}
}

// work claims in lane 0 and finishes each job after so many ms, until nothing is left.
func (s *scene) work(session uint64, each int64) {
	s.t.Helper()
	got := s.at(s.ms, claim(session, 0))[0].GetClaim()
	for got.GetFence() != 0 {
		got = s.at(s.ms+each, done(session, got.GetFence(), 0))[0].GetFinish().GetNext()
	}
}

func simulated(t *testing.T, path string, o Options) *Report {
	t.Helper()
	r, err := Run(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
