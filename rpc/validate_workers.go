package rpc

import (
	"strconv"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

func checkRegister(r *v1.RegisterRequest) error {
	var f fields
	f.requiredText("name", r.GetName(), maxTextBytes, "it names the worker, and is unique among live ones")
	f.nonce("nonce", r.GetNonce())
	f.check(r.GetLanes() != "", "lanes", "missing", "give the worker's lanes, for example manual>*:4")
	f.bytes("lanes", len(r.GetLanes()), maxLanesBytes)
	f.text("user", r.GetUser(), maxTextBytes)
	return f.result()
}

func checkClaim(r *v1.ClaimRequest) error {
	var f fields
	f.requiredID("session", r.GetSession())
	f.between("wait_ms", r.GetWaitMs(), 0, maxWaitMs, "ms")
	f.numbers("", r.GetSession(), r.GetNumber(), r.GetLowest())
	return f.result()
}

func checkHeartbeat(r *v1.HeartbeatRequest) error {
	var f fields
	f.requiredID("session", r.GetSession())
	f.fences(r.GetFences())
	return f.result()
}

func (f *fields) fences(fences []uint64) {
	f.check(len(fences) <= maxFences, "fences", strconv.Itoa(len(fences))+" fences", "give at most "+strconv.Itoa(maxFences)+" in one call")
	for _, fence := range fences {
		f.check(fence != 0, "fences", "0", "give the fence of a claim; they begin at 1")
	}
}

func checkFinish(r *v1.FinishRequest) error {
	var f fields
	f.requiredID("session", r.GetSession())
	f.requiredID("fence", r.GetFence())
	f.numbers("", r.GetSession(), r.GetNumber(), r.GetLowest())
	switch outcome := r.GetOutcome().(type) {
	case nil:
		f.wrong("outcome", "missing", `give one of success, failure and snooze, for example "success":{}`)
	case *v1.FinishRequest_Success:
		f.bytes("success.result", len(outcome.Success.GetResult()), maxResultBytes)
	case *v1.FinishRequest_Failure:
		// NUL bytes may stand here: the words are whatever a program wrote before it died.
		f.bytes("failure.error", len(outcome.Failure.GetError()), maxErrorBytes)
		f.optional("failure.retry_after_ms", outcome.Failure.RetryAfterMs, 0, maxDurationMs, "ms")
	case *v1.FinishRequest_Snooze:
		f.between("snooze.delay_ms", outcome.Snooze.GetDelayMs(), 0, maxDurationMs, "ms")
	}
	f.bytes("rest.data", len(r.GetRest().GetData()), maxOutputBytes)
	return f.result()
}

func checkRelease(r *v1.ReleaseRequest) error {
	var f fields
	f.requiredID("session", r.GetSession())
	f.check(len(r.GetFences()) != 0, "fences", "missing", "give the fences of the claims to release")
	f.fences(r.GetFences())
	f.numbers("", r.GetSession(), r.GetNumber(), r.GetLowest())
	return f.result()
}

func checkDrain(r *v1.DrainRequest) error {
	var f fields
	f.text("name", r.GetName(), maxTextBytes)
	f.check(r.GetSession() != 0 || r.GetName() != "", "session", "missing, and name too", "give one of them")
	f.check(r.GetSession() == 0 || r.GetName() == "", "name", "given together with session", "give one of them")
	return f.result()
}

func checkDeregister(r *v1.DeregisterRequest) error {
	var f fields
	f.requiredID("session", r.GetSession())
	return f.result()
}

func checkListWorkers(r *v1.ListWorkersRequest) error {
	var f fields
	f.between("limit", int64(r.GetLimit()), 0, maxPage, "workers (0: 100)")
	return f.result()
}
