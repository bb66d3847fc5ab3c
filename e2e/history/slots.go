package history

import (
	"cmp"
	"slices"
)

// checkSlots counts, on the workers' own clock, how many claims of a lane certainly live at the same time: each from the
// arrival of its answer to the sending of its end, as far as its lease certainly holds.
func checkSlots(r *Result, run Run) {
	type edge struct {
		at   int64
		step int
		op   Op
	}
	ends := make(map[uint64][]Op) // by fence: heartbeats, finishes, releases
	for _, op := range run.Ops {
		switch op.Kind {
		case Heartbeat, Finish, Release:
			if !op.Again {
				ends[op.Fence] = append(ends[op.Fence], op)
			}
		}
	}
	edges := make(map[LaneID][]edge)
	for _, op := range run.Ops {
		if op.Kind != Claim || op.Outcome != Done || op.Again {
			continue
		}
		end := holdsUntil(op, ends[op.Fence])
		for _, e := range ends[op.Fence] {
			if e.Kind != Heartbeat {
				end = min(end, e.Call)
			}
		}
		if end <= op.Return {
			continue
		}
		lane := LaneID{op.Session, op.Lane}
		edges[lane] = append(edges[lane], edge{op.Return, 1, op}, edge{end, -1, op})
	}
	for lane, list := range edges {
		// Where one ends as another begins, the end comes first: they need not overlap.
		slices.SortFunc(list, func(a, b edge) int {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.step, b.step))
		})
		running := 0
		for _, e := range list {
			running += e.step
			r.MostRunning[lane] = max(r.MostRunning[lane], running)
			if slots, known := run.Slots[lane]; e.step > 0 && (!known || running > slots) {
				r.violate(RuleSlots, "%d run in lane %+v with %d slots: %v", running, lane, slots, e.op)
			}
		}
	}
}
