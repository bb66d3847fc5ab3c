package history

// checkEnqueues: every acknowledged job is there and final, nobody's job is there, and no two enqueues got one job.
func checkEnqueues(r *Result, run Run, jobs [][]Op) {
	asked := make(map[uint64]bool)
	unknown := 0
	for _, op := range run.Ops {
		if op.Outcome == Unknown {
			r.Unknown++
			if op.Kind == Enqueue {
				unknown++
			}
		}
	}
	for _, ops := range jobs {
		var first *Op
		for i := range ops {
			op := &ops[i]
			if op.Kind != Enqueue || op.Outcome != Done {
				continue
			}
			if first != nil {
				r.violate(RuleDuplicate, "two enqueues got the same job: %v; %v", *first, *op)
				continue
			}
			first = op
		}
		if first == nil {
			continue
		}
		r.Acknowledged++
		asked[first.Job] = true
		if run.Final == nil {
			continue
		}
		final, there := run.Final[first.Job]
		if !there || !IsFinal(final.State) {
			r.Lost++
			r.violate(RuleLost, "after the run the job is %v (there: %v): %v", final.State, there, *first)
			continue
		}
		r.Final++
	}
	for id := range run.Final {
		if !asked[id] {
			r.Unexpected++
		}
	}
	if r.Unexpected > unknown {
		r.violate(RuleUnexpected, "%d jobs exist that no acknowledged enqueue made; only %d enqueues have an unknown outcome", r.Unexpected, unknown)
	}
}

// checkRepeats: the same session and number have the same answer.
func checkRepeats(r *Result, ops []Op) {
	type call struct {
		session, number uint64
		kind            Kind
	}
	first := make(map[call]Op)
	for _, op := range ops {
		if !op.Again && op.Number != 0 && op.Outcome != Unknown && op.Answer != "" {
			first[call{op.Session, op.Number, op.Kind}] = op
		}
	}
	for _, op := range ops {
		if !op.Again || op.Outcome == Unknown {
			continue
		}
		r.Repeats++
		was, there := first[call{op.Session, op.Number, op.Kind}]
		if !there || was.Answer != op.Answer {
			r.violate(RuleRepeat, "the repeat was answered otherwise: first %v %x, then %v %x", was, was.Answer, op, op.Answer)
		}
	}
}

// checkRealTime: a call that was answered before another one was sent has no later place in the log.
func checkRealTime(r *Result, ops []Op) {
	placed := make([]Op, 0, len(ops))
	for _, op := range ops {
		if op.Index != 0 && !op.Again && op.Outcome != Unknown {
			placed = append(placed, op)
		}
	}
	sortByIndex(placed)
	var latest Op // with the largest Call among all of lower index
	for i := 0; i < len(placed); {
		end := i
		group := latest
		for ; end < len(placed) && placed[end].Index == placed[i].Index; end++ {
			op := placed[end]
			if op.Return < latest.Call {
				r.violate(RuleRealTime, "answered before the other was sent, but later in the log: %v; the other: %v", op, latest)
			}
			if op.Call > group.Call {
				group = op
			}
		}
		latest, i = group, end
	}
}
