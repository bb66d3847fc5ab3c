package fsm_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// drawFilter draws a filter for the jobs of a history, wide ones and narrow ones.
func drawFilter(h *history) fsm.JobFilter {
	f := fsm.JobFilter{Limit: 1 + h.below(8)}
	if h.one(4) {
		f.Queue = pick(&h.dice, drawnQueues...)
	}
	if h.one(4) {
		f.User = pick(&h.dice, drawnUsers...)
	}
	if h.one(9) {
		f.Kind = pick(&h.dice, "k", "l")
	}
	if h.one(4) {
		f.Schedule = pick(&h.dice, drawnSchedules...)
	}
	for h.one(3) {
		f.States = append(f.States, logv1.State(1+h.below(7)))
	}
	for h.one(4) {
		f.Labels = append(f.Labels, &logv1.Label{Key: pick(&h.dice, "a", "b"), Value: pick(&h.dice, "1", "2")})
	}
	if h.one(5) {
		f.EnqueuedFrom = h.wall - int64(h.below(20_000))
	}
	if h.one(5) {
		f.EnqueuedBefore = h.wall - int64(h.below(20_000))
	}
	if h.one(3) {
		f.IDPrefix = strconv.Itoa(h.below(25))
	}
	if h.one(9) {
		f.IDPrefix = pick(&h.dice, "0", "01", "1x", "-1", "+1", "18446744073709551615", "18446744073709551616", "99999999999999999999999")
	}
	if h.one(3) {
		f.Before = fsm.JobID(h.below(h.jobs + 3))
	}
	return f
}

// naiveMatch looks at one job for itself.
func naiveMatch(f fsm.JobFilter, j *logv1.Job) bool {
	for _, want := range f.Labels {
		found := false
		for _, l := range j.GetLabels() {
			found = found || l.GetKey() == want.GetKey() && l.GetValue() == want.GetValue()
		}
		if !found {
			return false
		}
	}
	return (f.Queue == "" || j.GetQueue() == f.Queue) && (f.User == "" || j.GetUser() == f.User) && (f.Kind == "" || j.GetKind() == f.Kind) &&
		(f.Schedule == "" || j.GetSchedule() == f.Schedule) &&
		(f.States == nil || slices.Contains(f.States, j.GetState())) && (f.EnqueuedFrom == 0 || j.GetEnqueuedMs() >= f.EnqueuedFrom) &&
		(f.EnqueuedBefore == 0 || j.GetEnqueuedMs() < f.EnqueuedBefore) && (f.Before == 0 || j.GetId() < uint64(f.Before)) &&
		strings.HasPrefix(strconv.FormatUint(j.GetId(), 10), f.IDPrefix)
}

// TestListAndCount: pages of an insight hold exactly the jobs that match, newest first, without a gap or a repeat, and the count is their
// number; also while the machine goes on.
func TestListAndCount(t *testing.T) {
	eachSeed(t, func(seed uint64) error {
		h, m := newHistory(seed), fsm.New()
		for range *batches {
			b := h.batch()
			for _, c := range b.GetCommands() {
				for _, j := range c.GetEnqueue().GetJobs() {
					if h.one(2) {
						j.Labels = []*logv1.Label{{Key: "a", Value: pick(&h.dice, "1", "2")}, {Key: "b", Value: pick(&h.dice, "1", "2")}}
					}
				}
			}
			h.observe(b, m.Apply(h.index, b))
		}
		insight := m.Insight()
		for range 30 {
			f := drawFilter(h)
			if j, ok := insight.Job(fsm.JobID(h.job())); ok && h.one(3) { // the bounds to the millisecond
				f.EnqueuedFrom, f.EnqueuedBefore = pick(&h.dice, f.EnqueuedFrom, j.GetEnqueuedMs()), pick(&h.dice, f.EnqueuedBefore, j.GetEnqueuedMs())
			}
			var want, got []uint64
			for id := uint64(h.jobs); id > 0; id-- {
				if j, ok := m.Job(fsm.JobID(id)); ok && naiveMatch(f, j) {
					want = append(want, id)
				}
			}
			n := insight.Count(f)
			for all := f; ; {
				list, next := insight.Jobs(all)
				for _, j := range list {
					got = append(got, j.GetId())
				}
				if len(list) > f.Limit || next != 0 && len(list) < f.Limit {
					return fmt.Errorf("%+v: a page of %d jobs, next %d", f, len(list), next)
				}
				if all.Before = next; next == 0 {
					break
				}
			}
			if !slices.Equal(got, want) || n != uint64(len(want)) {
				return fmt.Errorf("%+v: got %v, counted %d, want %v", f, got, n, want)
			}
		}
		before := insight.Count(fsm.JobFilter{})
		for range 5 {
			b := h.batch()
			h.observe(b, m.Apply(h.index, b))
		}
		if after := insight.Count(fsm.JobFilter{}); after != before {
			return fmt.Errorf("an insight of %d jobs counts %d after more batches", before, after)
		}
		return nil
	})
}

// TestInstances: an insight shows exactly the jobs that a schedule's count of instances is made of, those with a claim first; also after restarts
// of a schedule under the same name, whose former jobs are none of it.
func TestInstances(t *testing.T) {
	cancelled, former, waiting := 0, 0, 0
	eachSeed(t, func(seed uint64) error {
		h, m := newHistory(seed), fsm.New()
		for range *batches {
			b := h.batch()
			h.observe(b, m.Apply(h.index, b))
			insight := m.Insight()
			for _, name := range drawnSchedules {
				v, _ := m.Schedule(name)
				list := insight.Instances(name, 1000)
				if len(list) != v.Instances {
					return fmt.Errorf("index %d: schedule %s has %d instances, %d are shown", h.index, name, v.Instances, len(list))
				}
				if some := insight.Instances(name, 1); len(some) != min(1, len(list)) || len(some) == 1 && some[0] != list[0] {
					return fmt.Errorf("index %d: schedule %s: the first of %d is %v", h.index, name, len(list), some)
				}
				seen := map[uint64]bool{}
				for i, j := range list {
					if j.GetScheduleId() != v.Record.GetId() || seen[j.GetId()] || i > 0 && list[i-1].GetFence() == 0 && j.GetFence() != 0 {
						return fmt.Errorf("index %d: schedule %s: job %d, in place %d of its instances", h.index, name, j.GetId(), i)
					}
					seen[j.GetId()] = true
					cancelled += int(count(j.GetState() == logv1.State_STATE_CANCELLED))
					waiting += int(count(j.GetFence() == 0))
				}
				for _, j := range jobsOfSchedule(insight, name) {
					former += int(count(j.GetScheduleId() != v.Record.GetId() && j.GetState() < logv1.State_STATE_SUCCEEDED))
				}
			}
		}
		return nil
	})
	if cancelled == 0 || former == 0 || waiting == 0 {
		t.Errorf("%d cancelled ones, %d that wait, %d jobs of a former schedule", cancelled, waiting, former)
	}
}

func jobsOfSchedule(i *fsm.Insight, name string) []*logv1.Job {
	list, _ := i.Jobs(fsm.JobFilter{Schedule: name, Limit: 1000})
	return list
}

// BenchmarkList is the cost of looking at one of 1,000,000 jobs, half of them final, for a page that nothing matches; and of a prefix
// that few have.
func BenchmarkList(b *testing.B) {
	l := newLoaded(b, 500_000, 1_000, 500_000)
	for _, c := range []struct {
		name string
		f    fsm.JobFilter
		jobs float64
	}{
		{"user", fsm.JobFilter{User: "nobody", Limit: 1}, 1_000_000},
		{"label", fsm.JobFilter{Labels: []*logv1.Label{{Key: "a", Value: "b"}}, Limit: 1}, 1_000_000},
		{"waiting", fsm.JobFilter{States: []logv1.State{logv1.State_STATE_RUNNING}, Limit: 1}, 500_000},
		{"prefix", fsm.JobFilter{IDPrefix: "7777", User: "nobody", Limit: 1}, 111},
	} {
		b.Run(c.name, func(b *testing.B) {
			insight := l.m.Insight()
			start, n := time.Now(), 0
			for b.Loop() {
				if list, _ := insight.Jobs(c.f); len(list) > 0 {
					b.Fatal("found something")
				}
				n++
			}
			b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(n)/c.jobs, "ns/job")
		})
	}
}
