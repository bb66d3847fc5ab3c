package simulate

import (
	"cmp"
	"encoding/hex"
	"slices"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/trace"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// Report of a simulation. All times are milliseconds.
type Report struct {
	Replay   Replay `json:"replay"`
	Recorded Side   `json:"recorded"`
	// Simulated is missing when nothing was changed and no simulation was asked for.
	Simulated *Side `json:"simulated,omitempty"`
}

// Replay says how the trace was read.
type Replay struct {
	FromIndex uint64 `json:"from_index"`
	ToIndex   uint64 `json:"to_index"`
	Batches   uint64 `json:"batches"`
	Commands  uint64 `json:"commands"`
	Digest    string `json:"digest"`
	// DigestEqual to the recorded one; missing: the trace holds none.
	DigestEqual *bool `json:"digest_equal,omitempty"`
}

// Side is what was observed of one run through the time.
type Side struct {
	// FromMs and ToMs are the wall clock at the beginning and the end.
	FromMs int64 `json:"from_ms"`
	ToMs   int64 `json:"to_ms"`
	// MakespanMs from when the first job waited to the end of the last run.
	MakespanMs int64 `json:"makespan_ms"`
	Jobs       int   `json:"jobs"`   // claimed at least once
	Claims     int   `json:"claims"` // retries count again
	// Waiting and Running jobs at the end.
	Waiting int `json:"waiting"`
	Running int `json:"running"`
	// Refused jobs: the settings allow no more.
	Refused int       `json:"refused"`
	Wait    Waits     `json:"wait"`
	Queues  []Waits   `json:"queues"`
	Users   []Waits   `json:"users"`
	Lanes   []LaneUse `json:"lanes"`
	Order   []claimed `json:"order,omitempty"`
}

// Waits from when a job may be claimed to its claim.
type Waits struct {
	Name   string `json:"name,omitempty"`
	Jobs   int    `json:"jobs"`
	Claims int    `json:"claims"`
	MeanMs int64  `json:"mean_ms"`
	P50Ms  int64  `json:"p50_ms"`
	P95Ms  int64  `json:"p95_ms"`
	MaxMs  int64  `json:"max_ms"`
}

// LaneUse of the sessions of one worker name: slot time in use, and slot time while the worker was there.
type LaneUse struct {
	Worker string `json:"worker"`
	Lane   string `json:"lane"`
	Claims int64  `json:"claims"`
	BusyMs int64  `json:"busy_ms"`
	SlotMs int64  `json:"slot_ms"`
	// UsedPermille of the slot time.
	UsedPermille int64 `json:"used_permille"`
}

func replayOf(s trace.Summary) Replay {
	r := Replay{FromIndex: s.From, ToIndex: s.To, Batches: s.Batches, Commands: s.Commands, Digest: hex.EncodeToString(s.Digest)}
	if s.Recorded != nil {
		equal := true // or the replay had ended with an error
		r.DigestEqual = &equal
	}
	return r
}

// side sums up. waiting jobs are those that are left.
func (o *observer) side(waiting, refused int) Side {
	s := Side{FromMs: o.from, ToMs: o.now, Jobs: len(o.jobs), Claims: o.claims, Waiting: waiting, Running: len(o.byFence) - o.cancelled,
		Refused: refused, Wait: o.all.sum(""), Queues: []Waits{}, Users: []Waits{}, Order: o.order}
	if o.firstWork >= 0 && o.lastEnd > 0 {
		s.MakespanMs = o.lastEnd - o.firstWork
	}
	for _, name := range sorted(o.queues) {
		s.Queues = append(s.Queues, o.queues[name].sum(name))
	}
	for _, name := range sorted(o.users) {
		s.Users = append(s.Users, o.users[name].sum(name))
	}
	s.Lanes = o.lanes()
	return s
}

func (w *waits) sum(name string) Waits {
	out := Waits{Name: name, Jobs: len(w.jobs), Claims: len(w.list)}
	if len(w.list) == 0 {
		return out
	}
	list := slices.Sorted(slices.Values(w.list))
	total := int64(0)
	for _, ms := range list {
		total += ms
	}
	n := int64(len(list))
	rank := func(percent int) int64 { return list[(len(list)*percent+99)/100-1] } // nearest rank
	out.MeanMs, out.P50Ms, out.P95Ms, out.MaxMs = (total+n/2)/n, rank(50), rank(95), list[n-1]
	return out
}

// lanes sums the sessions of each worker name up, lane by lane.
func (o *observer) lanes() []LaneUse {
	type key struct{ worker, lane string }
	sums := map[key]*LaneUse{}
	running := map[uint64][]*run{}
	for _, r := range o.byFence {
		running[r.session] = append(running[r.session], r)
	}
	for _, w := range o.workers {
		end := o.now
		if w.closed {
			end = w.seen
		}
		busy := slices.Clone(w.busy)
		for _, r := range running[w.session] {
			busy[r.lane] += o.now - r.start
		}
		for i, l := range w.lanes {
			k := key{w.name, laneText(l)}
			if sums[k] == nil {
				sums[k] = &LaneUse{Worker: k.worker, Lane: k.lane}
			}
			sums[k].Claims += w.runs[i]
			sums[k].BusyMs += busy[i]
			sums[k].SlotMs += int64(l.GetSlots()) * (end - w.opened)
		}
	}
	list := []LaneUse{}
	for _, one := range sums {
		if one.SlotMs > 0 {
			one.UsedPermille = one.BusyMs * 1000 / one.SlotMs
		}
		list = append(list, *one)
	}
	slices.SortFunc(list, func(a, b LaneUse) int {
		return cmp.Or(cmp.Compare(a.Worker, b.Worker), cmp.Compare(a.Lane, b.Lane))
	})
	return list
}

func laneText(l *logv1.Lane) string {
	return scheduler.FormatLanes([]scheduler.Lane{{Chain: l.GetChain(), Slots: l.GetSlots(), MemoryBytes: l.GetMemoryBytes()}})
}
