package rpc

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

func checkOpenSession(r *v1.OpenSessionRequest) error {
	var f fields
	f.nonce("nonce", r.GetNonce())
	f.text("name", r.GetName(), maxTextBytes)
	return f.result()
}

func checkEnqueue(r *v1.EnqueueRequest) error {
	var f fields
	f.check(r.GetJob() != nil, "job", "missing", `give the job, at least {"job":{"kind":"..."}}`)
	if !goodJob(r.GetJob()) {
		f.newJob("job", r.GetJob())
	}
	f.repeat("repeat", r.GetRepeat())
	return f.result()
}

func checkEnqueueMany(r *v1.EnqueueManyRequest) error {
	var f fields
	f.check(len(r.GetJobs()) != 0, "jobs", "missing", "give 1 to 1000 jobs")
	f.check(len(r.GetJobs()) <= maxJobsAtOnce, "jobs", strconv.Itoa(len(r.GetJobs()))+" jobs", "give at most 1000 in one call")
	total := 0
	for i, job := range r.GetJobs() {
		if !goodJob(job) {
			f.newJob(fmt.Sprintf("jobs[%d]", i), job)
			break
		}
		total += len(job.GetJson()) + len(job.GetData())
	}
	f.bytes("jobs: payloads together", total, maxPayloadBytes)
	f.repeat("repeat", r.GetRepeat())
	return f.result()
}

// goodJob tells whether newJob finds nothing. It makes no names of fields, which would be a third of all that a call allocates.
func goodJob(job *v1.NewJob) bool {
	var f fields
	f.newJob("", job)
	return f.err == nil
}

func (f *fields) newJob(at string, job *v1.NewJob) {
	f.requiredText(at+".kind", job.GetKind(), maxTextBytes, "it names the handler that runs the job")
	f.jobFields(at, job)
}

// jobFields checks what may be left out of a new job.
func (f *fields) jobFields(at string, job *v1.NewJob) {
	f.queue(at+".queue", job.GetQueue())
	f.text(at+".user", job.GetUser(), maxTextBytes)
	switch payload := job.GetPayload().(type) {
	case *v1.NewJob_Data:
		f.bytes(at+".data", len(payload.Data), maxPayloadBytes)
	case *v1.NewJob_Json:
		f.bytes(at+".json", len(payload.Json), maxPayloadBytes)
		if f.err == nil && !json.Valid([]byte(payload.Json)) {
			f.wrong(at+".json", strconv.Quote(payload.Json), `give JSON text, quoted once, as "{\"a\":1}"; other bytes belong into data`)
		}
	}
	f.check(job.GetMemoryBytes() <= 1<<62, at+".memory_bytes", strconv.FormatUint(job.GetMemoryBytes(), 10), "give at most 2^62 bytes")
	f.between(at+".delay_ms", job.GetDelayMs(), 0, maxDurationMs, "ms")
	f.between(at+".run_at_ms", job.GetRunAtMs(), 0, maxInstantMs, "ms since 1970")
	f.check(job.GetDelayMs() == 0 || job.GetRunAtMs() == 0, at+".run_at_ms", "given together with delay_ms", "give one of the two")
	f.text(at+".idempotency_key", job.GetIdempotencyKey(), maxKeyBytes)
	f.limits(at+".limits", job.GetLimits())
	f.labels(at+".labels", job.GetLabels())
	f.longName(at+".coordinator", job.GetCoordinator())
}

func (f *fields) labels(at string, labels map[string]string) {
	f.check(len(labels) <= maxLabels, at, strconv.Itoa(len(labels))+" labels", "give at most 16")
	for key, value := range labels {
		f.check(key != "", at, "a label without a key", "give every label a key")
		f.text(at+": a key", key, maxTextBytes)
		f.text(at+": a value", value, maxTextBytes)
	}
}

// limits of a job, or a queue's or the cluster's defaults.
func (f *fields) limits(at string, l *v1.JobLimits) {
	if l == nil {
		return
	}
	f.optional(at+".lease_ms", l.LeaseMs, minLeaseMs, maxDurationMs, "ms")
	f.optional(at+".heartbeat_ms", l.HeartbeatMs, minHeartbeatMs, maxDurationMs, "ms")
	if l.LeaseMs != nil && l.HeartbeatMs != nil {
		f.check(l.GetLeaseMs() >= 3*l.GetHeartbeatMs(), at+".lease_ms", strconv.FormatInt(l.GetLeaseMs(), 10),
			"give at least three heartbeats, "+strconv.FormatInt(3*l.GetHeartbeatMs(), 10)+" ms")
	}
	f.optional32(at+".max_attempts", l.MaxAttempts, 1, maxAttempts, "attempts")
	f.optional(at+".backoff_first_ms", l.BackoffFirstMs, 0, maxDurationMs, "ms")
	f.optional32(at+".backoff_factor_percent", l.BackoffFactorPercent, 100, maxFactor, "percent (200 is x2)")
	f.optional(at+".backoff_most_ms", l.BackoffMostMs, 0, maxDurationMs, "ms")
	if l.OnTimeout != nil {
		f.enum(at+".on_timeout", int32(l.GetOnTimeout()), v1.OnTimeout_name)
	}
	f.optional(at+".max_run_ms", l.MaxRunMs, 0, maxDurationMs, "ms (0: no limit)")
	f.optional(at+".exclusion_window_ms", l.ExclusionWindowMs, 0, maxDurationMs, "ms (0: never)")
}

// repeat numbers; a number without a session, or below the lowest open one, protects nothing.
func (f *fields) repeat(at string, r *v1.Repeat) {
	if goodNumbers(r.GetSession(), r.GetNumber(), r.GetLowest()) {
		return
	}
	f.numbers(at+".", r.GetSession(), r.GetNumber(), r.GetLowest())
}

// goodNumbers tells whether numbers finds nothing.
func goodNumbers(session, number, lowest uint64) bool {
	if number == 0 {
		return lowest == 0
	}
	return session != 0 && lowest <= number
}

func (f *fields) numbers(at string, session, number, lowest uint64) {
	if goodNumbers(session, number, lowest) {
		return
	}
	if number == 0 {
		f.check(lowest == 0, at+"number", "missing beside lowest", "number the calls of a session from 1; leave both out for a call that is not protected")
		return
	}
	f.check(session != 0, at+"session", "missing beside number", "give the session that OpenSession or Register made")
	f.check(lowest <= number, at+"lowest", strconv.FormatUint(lowest, 10), "give the lowest number not yet answered, at most the number of this call, "+strconv.FormatUint(number, 10))
}

func checkJobID(id uint64) error {
	var f fields
	f.requiredID("id", id)
	return f.result()
}

func checkWait(r *v1.WaitRequest) error {
	var f fields
	f.requiredID("id", r.GetId())
	f.between("wait_ms", r.GetWaitMs(), 0, maxWaitMs, "ms")
	return f.result()
}

func checkList(r *v1.ListRequest) error {
	var f fields
	f.filter(r.GetFilter())
	f.between("limit", int64(r.GetLimit()), 0, maxPage, "jobs (0: 100)")
	return f.result()
}

func (f *fields) filter(r *v1.JobFilter) {
	// A caller of a later version narrowed the filter in a way that this node would not see.
	f.check(len(r.ProtoReflect().GetUnknown()) == 0, "filter", "with a field that this node does not know", "leave it out, or ask a node of your version")
	f.queue("filter.queue", r.GetQueue())
	f.text("filter.user", r.GetUser(), maxTextBytes)
	f.text("filter.kind", r.GetKind(), maxTextBytes)
	f.check(len(r.GetStates()) <= len(v1.JobState_name), "filter.states", strconv.Itoa(len(r.GetStates()))+" states", "name each state once")
	for _, state := range r.GetStates() {
		f.enum("filter.states", int32(state), v1.JobState_name)
		f.check(state != v1.JobState_JOB_STATE_UNSPECIFIED, "filter.states", "JOB_STATE_UNSPECIFIED", "give one of "+enumNames(v1.JobState_name))
	}
	f.labels("filter.labels", r.GetLabels())
	f.between("filter.enqueued_from_ms", r.GetEnqueuedFromMs(), 0, maxInstantMs, "ms since 1970 (0: no bound)")
	f.between("filter.enqueued_before_ms", r.GetEnqueuedBeforeMs(), 0, maxInstantMs, "ms since 1970 (0: no bound)")
	f.check(r.GetEnqueuedBeforeMs() == 0 || r.GetEnqueuedFromMs() < r.GetEnqueuedBeforeMs(), "filter.enqueued_before_ms",
		strconv.FormatInt(r.GetEnqueuedBeforeMs(), 10), "give a time after enqueued_from_ms, "+strconv.FormatInt(r.GetEnqueuedFromMs(), 10))
	f.idPrefix("filter.id_prefix", r.GetIdPrefix())
	f.longName("filter.schedule", r.GetSchedule())
}

// idPrefix: the first digits of a job's id; empty is allowed.
func (f *fields) idPrefix(field, value string) {
	if len(value) > maxIDDigits {
		f.tooLarge(field, len(value), maxIDDigits)
		return
	}
	for i, c := range []byte(value) {
		f.check(c >= '0' && c <= '9' && (i > 0 || c != '0'), field, strconv.Quote(value), "give the first 1 to 20 digits of an id; ids have no leading 0")
	}
}

// checkMany checks a bulk change of jobs that are in one of the states from; done is what happens to them.
func checkMany(filter *v1.JobFilter, limit int32, done string, from []v1.JobState) error {
	var f fields
	f.check(proto.Size(filter) > 0, "filter", "empty, which would match every job", "set at least one field of it: queue, user, kind, states, labels, "+
		"enqueued_from_ms, enqueued_before_ms, id_prefix or schedule")
	f.filter(filter)
	names := make([]string, len(from))
	for i, state := range from {
		names[i] = state.String()
	}
	for _, state := range filter.GetStates() {
		f.check(slices.Contains(from, state), "filter.states", state.String(), "give states in which a job can be "+done+": "+strings.Join(names, ", ")+"; or none, for all of them")
	}
	f.between("limit", int64(limit), 0, maxPage, "jobs in one step (0: 1000)")
	return f.result()
}

func checkIDAndRepeat(id uint64, repeat *v1.Repeat) error {
	var f fields
	f.requiredID("id", id)
	f.repeat("repeat", repeat)
	return f.result()
}
