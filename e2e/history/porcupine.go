package history

import (
	"time"

	"github.com/anishathalye/porcupine"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// The model of one job, as callers see it. It says nothing of which job a claim gets: that is the scheduler's, and other
// tests look at it. It says that every job's calls, put in some order that respects real time, explain every answer.
//
// The end of a lease is no call. So a running job may be found waiting, or claimed anew, at any time; that it does not
// happen too early is RuleLease.

type phase uint8

const (
	absent     phase = iota
	waiting          // scheduled or pending
	running          // fence is live
	cancelling       // cancelled, but fence is still live
	ended            // final; state says how
)

// jobState is a state of the model: comparable, so that porcupine need not ask how to compare.
type jobState struct {
	phase phase
	fence uint64
	state fairlanev1.JobState // when ended
}

// porcupinePatience bounds the search of one run. One job's calls are few, so it ends in milliseconds.
const porcupinePatience = 60 * time.Second

// checkPerJob searches an explaining order for the calls of each job.
func checkPerJob(r *Result, jobs [][]Op) {
	var operations []porcupine.Operation
	for _, ops := range jobs {
		if openEnded(ops) {
			continue
		}
		for _, op := range ops {
			answered := op.Return
			if op.Outcome == Unknown {
				answered = Never
			}
			operations = append(operations, porcupine.Operation{ClientId: op.Party, Input: op, Output: op, Call: op.Call, Return: answered})
		}
	}
	r.Checked = len(operations)
	switch porcupine.CheckOperationsTimeout(jobModel, operations, porcupinePatience) {
	case porcupine.Ok:
	case porcupine.Unknown:
		r.violate(RuleOrderTime, "no verdict on %d calls within %v", len(operations), porcupinePatience)
	default:
		r.violate(RuleOrder, "no order explains the calls of %s", firstUnexplained(operations))
	}
}

// openEnded reports calls that the model cannot follow: failures and snoozes of which nobody knows what came of them, and
// jobs whose enqueue nobody saw answered.
func openEnded(ops []Op) bool {
	known := false
	for _, op := range ops {
		if op.Kind == Finish && op.Outcome == Unknown && op.Report != Success {
			return true
		}
		known = known || op.Kind == Enqueue
	}
	return !known
}

// firstUnexplained names the first job whose calls have no order.
func firstUnexplained(operations []porcupine.Operation) string {
	for _, one := range partition(operations) {
		if porcupine.CheckOperationsTimeout(jobModel, one, porcupinePatience) != porcupine.Ok {
			text := ""
			for _, operation := range one {
				text += "\n    " + operation.Input.(Op).String()
			}
			return text
		}
	}
	return "a job that is fine alone"
}

var jobModel = porcupine.Model{
	Partition: partition,
	Init:      func() any { return jobState{} },
	Step: func(state, input, _ any) (bool, any) {
		legal, next := step(state.(jobState), input.(Op))
		return legal, next
	},
	Hash: func(state any) uint64 {
		s := state.(jobState)
		return uint64(s.phase)<<60 ^ uint64(s.state)<<56 ^ s.fence
	},
}

// partition splits the operations, which lie job by job.
func partition(operations []porcupine.Operation) [][]porcupine.Operation {
	var parts [][]porcupine.Operation
	begin := 0
	for i := range operations {
		if operations[i].Input.(Op).Job != operations[begin].Input.(Op).Job {
			parts = append(parts, operations[begin:i])
			begin = i
		}
	}
	if begin < len(operations) {
		parts = append(parts, operations[begin:])
	}
	return parts
}

// step says whether the call may have had its answer in this state, and what state it leaves.
func step(s jobState, op Op) (bool, jobState) {
	switch op.Kind {
	case Enqueue:
		return s.phase == absent, jobState{phase: waiting}
	case Claim:
		if op.Outcome != Done {
			return true, s
		}
		return (s.phase == waiting || s.phase == running) && op.Fence > s.fence, jobState{phase: running, fence: op.Fence}
	case Heartbeat, Finish, Release:
		return stepQuoting(s, op)
	case Cancel:
		return stepCancel(s, op)
	case Read:
		return stepRead(s, op)
	}
	return false, s
}

// stepQuoting is the step of a call that quotes a fence.
func stepQuoting(s jobState, op Op) (bool, jobState) {
	live := s.fence == op.Fence && (s.phase == running || s.phase == cancelling)
	cancelled := jobState{ended, op.Fence, fairlanev1.JobState_JOB_STATE_CANCELLED}
	switch op.Outcome {
	case Done:
		if !live || s.phase != running {
			return false, s
		}
		if op.Kind == Heartbeat {
			return true, s
		}
		return true, afterLettingGo(op)
	case Cancelled:
		if !live || s.phase != cancelling {
			return false, s
		}
		if op.Kind == Heartbeat {
			return true, s
		}
		return true, cancelled
	case Lost:
		switch {
		case live && s.phase == running: // the lease ended before
			return true, jobState{phase: waiting, fence: s.fence}
		case live:
			return true, cancelled
		}
		mine := s.phase == ended && s.fence == op.Fence && s.state == fairlanev1.JobState_JOB_STATE_SUCCEEDED
		return op.Kind != Finish || !mine, s
	case Unknown:
		switch {
		case !live || op.Kind == Heartbeat:
			return true, s
		case s.phase == cancelling:
			return true, cancelled
		case op.Kind == Finish:
			return true, jobState{ended, op.Fence, fairlanev1.JobState_JOB_STATE_SUCCEEDED}
		}
		return true, jobState{phase: waiting, fence: op.Fence}
	}
	return op.Outcome == Refused, s
}

func afterLettingGo(op Op) jobState {
	if op.Kind == Finish && IsFinal(op.State) {
		return jobState{ended, op.Fence, op.State}
	}
	return jobState{phase: waiting, fence: op.Fence}
}

func stepCancel(s jobState, op Op) (bool, jobState) {
	cancelled := jobState{ended, s.fence, fairlanev1.JobState_JOB_STATE_CANCELLED}
	after, may := cancelled, s.phase == waiting
	if s.phase == running {
		after, may = jobState{phase: cancelling, fence: s.fence}, true
	}
	switch {
	case op.Outcome == Done && op.Did:
		return may, after
	case op.Outcome == Done:
		return s.phase == cancelling || s == cancelled, s
	case op.Outcome == Unknown && may:
		return true, after
	case op.Outcome == Unknown:
		return true, s
	}
	// Refused: the job had ended in another way. One that ended by running out of time did so unseen.
	return s.phase == ended && s != cancelled || op.State == fairlanev1.JobState_JOB_STATE_TIMED_OUT, s
}

func stepRead(s jobState, op Op) (bool, jobState) {
	if op.Outcome != Done {
		return true, s
	}
	switch op.State {
	case fairlanev1.JobState_JOB_STATE_SCHEDULED, fairlanev1.JobState_JOB_STATE_PENDING:
		return s.phase == waiting || s.phase == running, jobState{phase: waiting, fence: s.fence}
	case fairlanev1.JobState_JOB_STATE_RUNNING:
		return s.phase == running && s.fence == op.Fence, s
	case fairlanev1.JobState_JOB_STATE_CANCELLED:
		return s.phase == cancelling || s.phase == ended && s.state == op.State, s
	case fairlanev1.JobState_JOB_STATE_TIMED_OUT:
		if s.phase == waiting || s.phase == running {
			return true, jobState{ended, s.fence, op.State}
		}
	}
	return s.phase == ended && s.state == op.State, s
}
