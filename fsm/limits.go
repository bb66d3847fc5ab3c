package fsm

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/btree"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// Hard bounds. They belong to Rules.
const (
	mostPayload = 1 << 20 // bytes of a payload or a result
	mostError   = 16 << 10
	mostJobs    = 1000 // in one enqueue
	mostFences  = 4096
	mostLanes   = 64
	mostChain   = 64
	mostLabels  = 64
	mostName    = 256 // bytes
	mostText    = 4096
	mostNodes   = 1000
	mostMemory  = 1 << 62
	leastLease  = 3000
	leastBeat   = 1000
	mostMillis  = int64(1) << 53

	mostParts    = 1024      // in one output command
	mostOutput   = 1 << 20   // bytes in one output command, or with a finish
	mostMessage  = 1 << 10   // bytes of a progress message
	mostProgress = 1_000_000 // parts per million
)

func refuse(reason logv1.Reason, params ...string) *logv1.Refusal {
	r := &logv1.Refusal{Reason: reason}
	for i := 0; i+1 < len(params); i += 2 {
		r.Params = append(r.Params, &logv1.Param{Key: params[i], Value: params[i+1]})
	}
	return r
}

func invalid(field, value, want string) *logv1.Refusal {
	if len(value) > 64 || !utf8.ValidString(value) {
		value = strconv.Itoa(len(value)) + " bytes"
	}
	return refuse(logv1.Reason_REASON_INVALID, "field", field, "value", value, "want", want)
}

// full refuses one more of something.
func full(limit string, n, most int64) *logv1.Refusal {
	if n < most {
		return nil
	}
	return refuse(logv1.Reason_REASON_STATE_FULL, "limit", limit, "value", decimal(n), "most", decimal(most))
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func stateName(s logv1.State) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "STATE_"))
}

func has[V any](tree *btree.Map[string, V], key string) bool {
	_, ok := tree.Get(key)
	return ok
}

func firstOf(list ...*logv1.Refusal) *logv1.Refusal {
	for _, r := range list {
		if r != nil {
			return r
		}
	}
	return nil
}

// checkText: a name takes part in composite keys, so it holds no NUL.
func checkText(field, s string, least, most int) *logv1.Refusal {
	if len(s) < least || len(s) > most || strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		return invalid(field, s, strconv.Itoa(least)+".."+strconv.Itoa(most)+" bytes of text")
	}
	return nil
}

func within(field string, n *int64, least, most int64) *logv1.Refusal {
	if n == nil || *n >= least && *n <= most {
		return nil
	}
	return invalid(field, decimal(*n), decimal(least)+".."+decimal(most))
}

func within32(field string, n *int32, least, most int64) *logv1.Refusal {
	if n == nil {
		return nil
	}
	wide := int64(*n)
	return within(field, &wide, least, most)
}

func checkLimits(l *logv1.Limits) *logv1.Refusal {
	if l == nil {
		return nil
	}
	if t := l.GetOnTimeout(); t < 0 || t > logv1.OnTimeout_ON_TIMEOUT_FAIL {
		return invalid("on_timeout", decimal(int64(t)), "retry or fail")
	}
	return firstOf(within("lease_ms", l.LeaseMs, leastLease, mostMillis), within("heartbeat_ms", l.HeartbeatMs, leastBeat, mostMillis),
		within32("max_attempts", l.MaxAttempts, 1, math.MaxInt32), within("backoff_first_ms", l.BackoffFirstMs, 0, mostMillis),
		within32("backoff_factor_percent", l.BackoffFactorPercent, 100, 1_000_000), within("backoff_most_ms", l.BackoffMostMs, 0, mostMillis),
		within("max_run_ms", l.MaxRunMs, 0, mostMillis), within("exclusion_window_ms", l.ExclusionWindowMs, 0, mostMillis))
}

func checkMode(mode logv1.Mode) *logv1.Refusal {
	if mode < 0 || mode > logv1.Mode_MODE_FIFO {
		return invalid("mode", decimal(int64(mode)), "round_robin or fifo")
	}
	return nil
}

func checkQueueSettings(s *logv1.QueueSettings) *logv1.Refusal {
	if s == nil {
		return nil
	}
	return firstOf(checkMode(s.GetMode()), checkLimits(s.GetLimits()), within("max_running", s.MaxRunning, 0, mostMillis),
		within("max_running_per_user", s.MaxRunningPerUser, 0, mostMillis), within("retention_ms", s.RetentionMs, 0, mostMillis),
		within("retention_jobs", s.RetentionJobs, 0, mostMillis))
}

func checkSettings(s *logv1.Settings) *logv1.Refusal {
	if s == nil {
		return nil
	}
	return firstOf(checkMode(s.GetDefaultMode()), checkLimits(s.GetLimits()), within("retention_ms", s.RetentionMs, 0, mostMillis),
		within("retention_jobs", s.RetentionJobs, 0, mostMillis), within("max_running_per_user", s.MaxRunningPerUser, 0, mostMillis),
		within("max_state_bytes", s.MaxStateBytes, 0, mostMillis), within("max_jobs", s.MaxJobs, 0, mostMillis),
		within("max_sessions", s.MaxSessions, 0, mostMillis), within("max_queues", s.MaxQueues, 0, mostMillis),
		within("max_users", s.MaxUsers, 0, mostMillis), within("max_idempotency_keys", s.MaxIdempotencyKeys, 0, mostMillis))
}

func checkRegister(r *logv1.Register) *logv1.Refusal {
	if bad := firstOf(checkText("name", r.GetName(), 1, mostName), checkText("user", r.GetUser(), 0, mostName)); bad != nil {
		return bad
	}
	if n := len(r.GetLanes()); n < 1 || n > mostLanes {
		return invalid("lanes", decimal(int64(n)), "1..64")
	}
	for _, l := range r.GetLanes() {
		if n := len(l.GetChain()); n < 1 || n > mostChain {
			return invalid("chain", decimal(int64(n)), "1..64 names")
		}
		if l.GetSlots() < 1 || l.GetSlots() > math.MaxInt32 {
			return invalid("slots", number(uint64(l.GetSlots())), "1..2147483647")
		}
		if l.GetMemoryBytes() > mostMemory {
			return invalid("lane_memory_bytes", number(l.GetMemoryBytes()), "at most 2^62")
		}
		for i, name := range l.GetChain() {
			if name == scheduler.Any && i == len(l.GetChain())-1 {
				continue
			}
			if name == scheduler.Any || !scheduler.ValidName(name) {
				return invalid("chain", name, "names, * only last")
			}
		}
	}
	return nil
}

func checkFences(fences []uint64) *logv1.Refusal {
	if len(fences) > mostFences {
		return invalid("fences", decimal(int64(len(fences))), "at most 4096")
	}
	return nil
}

func checkFinish(f *logv1.Finish) *logv1.Refusal {
	switch o := f.GetOutcome().(type) {
	case *logv1.Finish_Success:
		if n := len(o.Success.GetResult()); n > mostPayload {
			return invalid("result", decimal(int64(n)), "at most 1048576 bytes")
		}
	case *logv1.Finish_Failure:
		if n := len(o.Failure.GetError()); n > mostError {
			return invalid("error", decimal(int64(n)), "at most 16384 bytes")
		}
		if !utf8.ValidString(o.Failure.GetError()) {
			return invalid("error", o.Failure.GetError(), "text")
		}
		return within("retry_after_ms", o.Failure.RetryAfterMs, 0, mostMillis)
	case *logv1.Finish_Snooze:
		delay := o.Snooze.GetDelayMs()
		return within("delay_ms", &delay, 0, mostMillis)
	default:
		return invalid("outcome", "none", "success, failure or snooze")
	}
	return nil
}
