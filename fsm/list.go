package fsm

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// JobFilter selects jobs. An empty field selects all.
type JobFilter struct {
	Queue, User, Kind string
	Schedule          string         // that made them
	States            []logv1.State  // any of them
	Labels            []*logv1.Label // all of them
	// EnqueuedFrom <= when the job was enqueued < EnqueuedBefore, milliseconds on the machine's wall clock; 0: no bound.
	EnqueuedFrom, EnqueuedBefore int64
	// IDPrefix: the job's number begins with these decimal digits.
	IDPrefix string
	Before   JobID // only lower numbers; 0: all
	Limit    int   // at most so many; 0: none. Count does not heed it
}

func (f *JobFilter) matches(j *logv1.Job) bool {
	if f.Queue != "" && f.Queue != j.Queue || f.User != "" && f.User != j.User || f.Kind != "" && f.Kind != j.Kind ||
		f.Schedule != "" && f.Schedule != j.Schedule || len(f.States) > 0 && !slices.Contains(f.States, j.State) || f.EnqueuedFrom > 0 && j.EnqueuedMs < f.EnqueuedFrom ||
		f.EnqueuedBefore > 0 && j.EnqueuedMs >= f.EnqueuedBefore {
		return false
	}
	for _, want := range f.Labels {
		if !slices.ContainsFunc(j.Labels, func(l *logv1.Label) bool { return l.GetKey() == want.GetKey() && l.GetValue() == want.GetValue() }) {
			return false
		}
	}
	return true
}

// trees says which of the two can hold a match.
func (f *JobFilter) trees() (waiting, old bool) {
	for _, s := range f.States {
		waiting, old = waiting || !isFinal(s), old || isFinal(s)
	}
	return waiting || len(f.States) == 0, old || len(f.States) == 0
}

// idRange holds the numbers from least to most, both included.
type idRange struct{ least, most uint64 }

// ranges of the numbers that can match, highest first: one for each length that a number with the prefix can have. last: the highest
// number that there is.
func (f *JobFilter) ranges(last uint64) []idRange {
	top := last
	if f.Before > 0 {
		top = min(top, uint64(f.Before)-1)
	}
	if f.IDPrefix == "" {
		return []idRange{{0, top}}
	}
	least, err := strconv.ParseUint(f.IDPrefix, 10, 64)
	if err != nil || strings.Trim(f.IDPrefix, "0123456789") != "" || f.IDPrefix[0] == '0' {
		return nil
	}
	var out []idRange
	for most := least; least <= top; least, most = least*10, most*10+9 {
		out = append(out, idRange{least, min(most, top)})
		if most > ^uint64(0)/10-9 {
			break
		}
	}
	slices.Reverse(out)
	return out
}

// mostScanned is how many jobs a page looks at.
const mostScanned = 1_000_000

// Jobs lists matching jobs, the newest first, and from where the next page goes on (as JobFilter.Before; 0: there is none). It looks at
// 1,000,000 jobs at most, so a page can be short, or empty, and have a next one. The messages must not be changed.
func (i *Insight) Jobs(f JobFilter) (list []*logv1.Job, next JobID) { return i.page(f, mostScanned) }

func (i *Insight) page(f JobFilter, most int) (list []*logv1.Job, next JobID) {
	looked, full := 0, false
	i.walk(&f, func(j *logv1.Job) bool {
		if full = len(list) >= f.Limit || looked >= most; full {
			return false
		}
		looked++
		next = JobID(j.Id)
		if f.matches(j) {
			list = append(list, j)
		}
		return true
	})
	if !full {
		next = 0
	}
	return list, next
}

// Count counts the matching jobs, however many there are.
func (i *Insight) Count(f JobFilter) (n uint64) {
	i.walk(&f, func(j *logv1.Job) bool {
		if f.matches(j) {
			n++
		}
		return true
	})
	return n
}

// walk visits the jobs in the trees and ranges of the filter, highest number first, until visit returns false.
func (i *Insight) walk(f *JobFilter, visit func(*logv1.Job) bool) {
	useWaiting, useOld := f.trees()
	waiting, old := i.jobs.Iter(), i.final.Iter()
	for _, r := range f.ranges(i.lastJob) {
		inWaiting, inOld := useWaiting && seekDown(&waiting, r.most), useOld && seekDown(&old, r.most)
		for {
			inWaiting = inWaiting && waiting.Key() >= r.least
			inOld = inOld && old.Key() >= r.least
			var rec *jobRec
			switch {
			case !inWaiting && !inOld:
			case inWaiting && (!inOld || waiting.Key() > old.Key()):
				rec, inWaiting = waiting.Value(), waiting.Prev()
			default:
				rec, inOld = old.Value(), old.Prev()
			}
			if rec == nil {
				break
			}
			if !visit(rec.job) {
				return
			}
		}
	}
}

type downIter interface {
	Seek(uint64) bool
	Last() bool
	Prev() bool
	Key() uint64
}

// seekDown goes to the last key that is not above the pivot.
func seekDown(it downIter, pivot uint64) bool {
	if !it.Seek(pivot) {
		return it.Last()
	}
	return it.Key() == pivot || it.Prev()
}

// Job returns a job. The message must not be changed.
func (i *Insight) Job(id JobID) (*logv1.Job, bool) {
	rec, ok := i.find(uint64(id))
	if !ok {
		return nil, false
	}
	return rec.job, true
}

// Steps of a job's past, oldest first; without one: none were kept, or there is no such job.
func (i *Insight) Steps(id JobID) *logv1.Steps {
	out := &logv1.Steps{}
	rec, ok := i.find(uint64(id))
	if !ok {
		return out
	}
	if err := proto.Unmarshal(rec.steps, out); err != nil {
		panic("broken invariant: the steps of a job cannot be read: " + err.Error())
	}
	return out
}
