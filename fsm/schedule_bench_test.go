package fsm_test

import (
	"fmt"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// firing is a machine with so many schedules, all of them due each second.
type firing struct {
	m         *fsm.Machine
	index     uint64
	now       int64
	schedules int
}

func newFiring(b *testing.B, schedules int) *firing {
	f := &firing{m: fsm.New(), now: 1_700_000_000_000, schedules: schedules}
	huge := int64(1 << 40)
	f.apply(settingsCommand(&logv1.Settings{MaxJobs: &huge, MaxStateBytes: &huge, RetentionJobs: new(int64)}))
	for i := range schedules {
		out := f.apply(&logv1.Command{Op: &logv1.Command_PutSchedule{PutSchedule: &logv1.PutSchedule{NextMs: f.now, Schedule: &logv1.Schedule{
			Name: fmt.Sprintf("schedule-%d", i), Spec: "@every 1s", MaxInstances: 1000, Template: &logv1.NewJob{Kind: "bench", User: fmt.Sprintf("user%d", i%100)}}}}})
		if out.Results[0].GetRefusal() != nil {
			b.Fatal(out.Results[0].GetRefusal())
		}
	}
	return f
}

func (f *firing) apply(commands ...*logv1.Command) fsm.Outcome {
	f.index++
	return f.m.Apply(f.index, &logv1.Batch{Rules: 3, NowMs: f.now, MonotonicMs: 1, Leadership: 1, Commands: commands})
}

// due is the fire of all schedules for the second that is now, 256 in a command.
func (f *firing) due() (commands []*logv1.Command) {
	for i := range f.schedules {
		if i%256 == 0 {
			commands = append(commands, &logv1.Command{Op: &logv1.Command_Fire{Fire: &logv1.Fire{}}})
		}
		fire := commands[len(commands)-1].GetFire()
		fire.Dues = append(fire.Dues, &logv1.Due{Schedule: uint64(i + 1), Revision: 1, FirstMs: f.now, LastMs: f.now, Count: 1, NextMs: f.now + 1000, PeriodMs: 1000})
	}
	return commands
}

// BenchmarkFire is the cost of a fire time, 256 in a batch, among so many schedules: its job, its record with the oldest that goes, the new fire time. Cancelling the
// jobs is not measured.
func BenchmarkFire(b *testing.B) {
	for _, schedules := range []int{256, 10_000, 100_000} {
		b.Run(fmt.Sprintf("schedules=%d", schedules), func(b *testing.B) {
			f := newFiring(b, schedules)
			fires, job := 0, uint64(0)
			var commands []*logv1.Command
			b.ReportAllocs()
			for b.Loop() {
				if len(commands) == 0 {
					b.StopTimer()
					for last := uint64(f.m.Totals().Enqueued); job < last; {
						c := &logv1.CancelMany{}
						for ; job < last && len(c.Jobs) < 1000; job++ {
							c.Jobs = append(c.Jobs, job+1)
						}
						f.apply(&logv1.Command{Op: &logv1.Command_CancelMany{CancelMany: c}})
					}
					f.now += 1000
					if fires == 0 {
						f.now -= 1000
					}
					commands = f.due()
					b.StartTimer()
				}
				out := f.apply(commands[0])
				for _, s := range out.Results[0].GetFire().GetStatuses() {
					if s != logv1.FireStatus_FIRE_STATUS_OK {
						b.Fatal(s)
					}
				}
				fires += len(commands[0].GetFire().GetDues())
				commands = commands[1:]
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(fires), "ns/fire")
		})
	}
}
