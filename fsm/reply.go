package fsm

import (
	"crypto/sha256"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// reply is the result of one command, with what is kept of it when it is stored as an answer. The machine allocates the parts of a frequent
// kind of result together: three nodes make one for each command.
type reply struct {
	result *logv1.Result
	hash   digest // of the command without its Repeat
	bytes  int64  // what it counts in the bytes of the state; 0: it is not stored
	// open: its claim part has not run, so it is this batch's own and may change. A snapshot, and a machine made of it, share those that are not.
	open bool
}

// digest is a SHA-256.
type digest [sha256.Size]byte

type claimReply struct {
	reply
	own   logv1.Result
	value logv1.Result_Claim
	out   logv1.ClaimResult
}

type finishReply struct {
	reply
	own   logv1.Result
	value logv1.Result_Finish
	out   logv1.FinishResult
}

type finishNextReply struct {
	finishReply
	next logv1.ClaimResult
}

type enqueueReply struct {
	reply
	own   logv1.Result
	value logv1.Result_Enqueue
	out   logv1.EnqueueResult
	list  [1]*logv1.EnqueueOutcome
	one   logv1.EnqueueOutcome
}

type heartbeatReply struct {
	reply
	own      logv1.Result
	value    logv1.Result_Heartbeat
	out      logv1.HeartbeatResult
	statuses [8]logv1.ClaimStatus
}

// claimPart is the part of a finish that is left for the last phase of a batch; nil next: there is none.
type claimPart struct {
	reply *reply
	next  *logv1.ClaimResult // where it is answered
}

// outcomes of n jobs, all there and empty.
func (r *enqueueReply) outcomes(n int) []*logv1.EnqueueOutcome {
	if r.value.Enqueue, r.own.Value = &r.out, &r.value; n == 1 {
		r.list[0] = &r.one
		r.out.Outcomes = r.list[:]
		return r.out.Outcomes
	}
	room := make([]logv1.EnqueueOutcome, n)
	r.out.Outcomes = make([]*logv1.EnqueueOutcome, n)
	for i := range room {
		r.out.Outcomes[i] = &room[i]
	}
	return r.out.Outcomes
}
