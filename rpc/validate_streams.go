package rpc

import (
	"strconv"

	"github.com/fairlane-scheduler/fairlane/cluster"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Limits of output.
const (
	maxParts         = 1024
	maxOutputBytes   = 1 << 20 // of all parts of a call
	maxProgressBytes = 1 << 10
	maxLeastMs       = 3_600_000
	maxEventIDBytes  = 64
)

func checkAppendOutput(r *v1.AppendOutputRequest) error {
	var f fields
	f.requiredID("session", r.GetSession())
	f.check(len(r.GetParts()) != 0, "parts", "missing", "give the output of at least one claim")
	f.check(len(r.GetParts()) <= maxParts, "parts", strconv.Itoa(len(r.GetParts()))+" parts", "give at most "+strconv.Itoa(maxParts)+" in one call")
	bytes := 0
	for i, part := range r.GetParts() {
		if f.err != nil {
			break
		}
		name := "parts[" + strconv.Itoa(i) + "]."
		f.requiredID(name+"fence", part.GetFence())
		f.progress(name+"progress", part.GetProgress())
		bytes += len(part.GetData())
	}
	f.bytes("parts.data", bytes, maxOutputBytes)
	return f.result()
}

// progress; NaN is in no range.
func (f *fields) progress(name string, p *v1.Progress) {
	if p == nil {
		return
	}
	fraction := p.GetFraction()
	f.check(fraction >= 0 && fraction <= 1, name+".fraction", strconv.FormatFloat(fraction, 'g', -1, 64), "give 0 to 1")
	f.text(name+".message", p.GetMessage(), maxProgressBytes)
	f.check(p.GetAtMs() == 0, name+".at_ms", strconv.FormatInt(p.GetAtMs(), 10), "leave it out; the cluster sets it")
}

func checkStreamOutput(r *v1.StreamOutputRequest) error {
	var f fields
	f.requiredID("id", r.GetId())
	f.check(r.GetAttempt() >= 0, "attempt", strconv.Itoa(int(r.GetAttempt())), "give the attempt of an earlier message, or 0 for the newest")
	f.check(r.GetAttempt() != 0 || r.GetOffset() == 0, "offset", number(r.GetOffset())+" without an attempt", "give both, as an earlier message had them")
	return f.result()
}

// eventID of an earlier message; empty is allowed.
func (f *fields) eventID(field, value string) {
	if value == "" {
		return
	}
	f.text(field, value, maxEventIDBytes)
	if _, err := cluster.ParsePosition(value); err != nil {
		f.wrong(field, strconv.Quote(value), "give the id of an event as it was received, for example 7.500.3")
	}
}

func checkWatchEvents(r *v1.WatchEventsRequest) error {
	var f fields
	if r.GetAfter() != fromOldest {
		f.eventID("after", r.GetAfter())
	}
	f.queue("queue", r.GetQueue())
	f.text("user", r.GetUser(), maxTextBytes)
	f.longName("schedule", r.GetSchedule())
	f.check(len(r.GetStates()) <= len(v1.JobState_name), "states", strconv.Itoa(len(r.GetStates()))+" states", "name each state once")
	for _, state := range r.GetStates() {
		f.check(state != 0, "states", "JOB_STATE_UNSPECIFIED", "give one of "+enumNames(v1.JobState_name))
		f.enum("states", int32(state), v1.JobState_name)
	}
	return f.result()
}

func checkWatchJob(r *v1.WatchJobRequest) error {
	var f fields
	f.requiredID("id", r.GetId())
	f.eventID("after", r.GetAfter())
	return f.result()
}

func checkWatchQueue(r *v1.WatchQueueRequest) error {
	var f fields
	f.requiredQueue("name", r.GetName())
	f.between("least_ms", r.GetLeastMs(), 0, maxLeastMs, "ms")
	return f.result()
}
