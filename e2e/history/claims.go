package history

import (
	"cmp"
	"slices"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

func sortByIndex(ops []Op) {
	slices.SortStableFunc(ops, func(a, b Op) int { return cmp.Compare(a.Index, b.Index) })
}

// checkFences: along the log and along real time the fences of one job only rise.
func checkFences(r *Result, ops []Op) {
	var claims []Op
	for _, op := range ops {
		if op.Kind == Claim && op.Outcome == Done {
			claims = append(claims, op)
		}
	}
	r.Claims += len(claims)
	slices.SortFunc(claims, func(a, b Op) int { return cmp.Compare(a.Fence, b.Fence) })
	for i := 1; i < len(claims); i++ {
		before, after := claims[i-1], claims[i]
		switch {
		case before.Fence == after.Fence:
			r.violate(RuleFence, "two claims of one job with the same fence: %v; %v", before, after)
		case after.Return < before.Call:
			r.violate(RuleFence, "the higher fence was there before the lower one was asked for: %v; %v", before, after)
		case before.Index != 0 && after.Index != 0 && after.Index < before.Index:
			r.violate(RuleFence, "the higher fence lies earlier in the log: %v; %v", before, after)
		}
	}
}

// checkSharedFences: a fence belongs to one claim of one job.
func checkSharedFences(r *Result, ops []Op) {
	first := make(map[uint64]Op)
	for _, op := range ops {
		if op.Kind != Claim || op.Outcome != Done || op.Again {
			continue
		}
		if was, there := first[op.Fence]; there && was.Job != op.Job {
			r.violate(RuleFence, "two jobs share a fence: %v; %v", was, op)
		}
		first[op.Fence] = op
	}
}

// checkFinishes: at most one finish ends the job, it came from the claim that was live then, nothing is claimed after
// it, and what it said is what the cluster shows.
func checkFinishes(r *Result, ops []Op, finals map[uint64]FinalJob) {
	var ending []Op
	unknown := false
	for _, op := range ops {
		if op.Kind != Finish {
			continue
		}
		switch {
		case op.Outcome == Unknown:
			unknown = true
		case op.Outcome == Lost:
			r.LostClaims++
		case op.Outcome == Done:
			checkLive(r, ops, op)
			if IsFinal(op.State) {
				ending = append(ending, op)
			}
		}
	}
	r.Finishes += len(ending)
	if len(ending) > 1 {
		r.Twice++
		r.violate(RuleFinish, "finished twice: %v; %v", ending[0], ending[1])
	}
	for _, end := range ending {
		for _, op := range ops {
			if op.Kind == Claim && op.Outcome == Done && op.Index > end.Index && end.Index != 0 {
				r.violate(RuleFinish, "claimed after its end: %v; %v", end, op)
			}
		}
	}
	if finals == nil || len(ops) == 0 {
		return
	}
	final := finals[ops[0].Job]
	switch {
	case len(ending) == 1:
		end := ending[0]
		if final.State != end.State || final.Fence != end.Fence {
			r.violate(RuleResult, "the cluster shows %+v after %v", final, end)
		}
		if end.State == fairlanev1.JobState_JOB_STATE_SUCCEEDED && final.Result != end.Result {
			r.violate(RuleResult, "the cluster shows the result %q after %q: %v", final.Result, end.Result, end)
		}
	case len(ending) == 0 && final.State == fairlanev1.JobState_JOB_STATE_SUCCEEDED && !unknown:
		r.violate(RuleResult, "job %d succeeded, but nobody's finish was accepted", ops[0].Job)
	}
}

// checkLive: the claim that a finish quotes was given out, to the same session, and no later claim of the job lies
// before the finish in the log.
func checkLive(r *Result, ops []Op, finish Op) {
	given := false
	for _, op := range ops {
		if op.Kind != Claim || op.Outcome != Done {
			continue
		}
		if op.Fence == finish.Fence && op.Session == finish.Session {
			given = true
		}
		if op.Fence > finish.Fence && op.Index < finish.Index && op.Index != 0 {
			r.violate(RuleFinish, "accepted from an old claim: %v; the newer one: %v", finish, op)
		}
	}
	if !given {
		r.violate(RuleFinish, "accepted with a fence that its session was never given: %v", finish)
	}
}

// checkLeases: a claim that its worker neither finished nor released is over no sooner than one lease after the last
// sign of life was sent. The lease begins when the log has that sign, which is later still.
func checkLeases(r *Result, ops []Op) {
	for _, claim := range ops {
		if claim.Kind != Claim || claim.Outcome != Done || claim.LeaseMs == 0 {
			continue
		}
		good := holdsUntil(claim, ops)
		over := Op{Return: Never}
		for _, op := range ops {
			ended := false
			switch {
			case (op.Kind == Finish || op.Kind == Release) && op.Fence == claim.Fence && op.Outcome != Lost:
				over.Call = -1 // its own worker let go: nothing to learn
			case op.Kind == Claim && op.Outcome == Done && op.Fence > claim.Fence:
				ended = true
			case op.Outcome == Lost && op.Fence == claim.Fence && op.Session == claim.Session:
				ended = true
			}
			if ended && op.Return < over.Return {
				over.Return, over.Kind = op.Return, op.Kind
				over.Job, over.Fence, over.Session = op.Job, op.Fence, op.Session
			}
		}
		if over.Call != -1 && over.Return < good {
			r.violate(RuleLease, "over %.3f s early: %v; seen by %v", float64(good-over.Return)/1e9, claim, over)
		}
	}
}

// holdsUntil gives the moment until which the claim certainly holds if its worker does not let go: one lease after the
// sending of the claim, or of the last heartbeat that was answered with yes.
func holdsUntil(claim Op, ops []Op) int64 {
	sign := claim.Call
	for _, op := range ops {
		if op.Kind == Heartbeat && op.Fence == claim.Fence && (op.Outcome == Done || op.Outcome == Cancelled) {
			sign = max(sign, op.Call)
		}
	}
	return sign + claim.LeaseMs*1_000_000
}

// checkCancels: one cancel cancels; what it cancelled stays so.
func checkCancels(r *Result, ops []Op, finals map[uint64]FinalJob) {
	var did []Op
	for _, op := range ops {
		if op.Kind == Cancel && op.Outcome == Done && op.Did {
			did = append(did, op)
		}
	}
	if len(did) == 0 {
		return
	}
	if len(did) > 1 {
		r.violate(RuleCancel, "cancelled twice: %v; %v", did[0], did[1])
	}
	if finals != nil && finals[did[0].Job].State != fairlanev1.JobState_JOB_STATE_CANCELLED {
		r.violate(RuleCancel, "the cluster shows %+v after %v", finals[did[0].Job], did[0])
	}
}
