package fsm_test

import (
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// words is one line of a script: bare words in order, and key=value pairs. A value may stand in double quotes.
type words struct {
	bare []string
	pair map[string]string
}

func splitWords(line string) (words, error) {
	w := words{pair: map[string]string{}}
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		end, quoted := 0, false
		for ; end < len(line) && (quoted || line[end] != ' '); end++ {
			if line[end] == '"' {
				quoted = !quoted
			}
		}
		if quoted {
			return w, fmt.Errorf("open quote in %q", line)
		}
		word := line[:end]
		line = line[end:]
		if key, value, ok := strings.Cut(word, "="); ok {
			w.pair[key] = strings.ReplaceAll(value, `"`, "")
			continue
		}
		w.bare = append(w.bare, strings.ReplaceAll(word, `"`, ""))
	}
	return w, nil
}

func (w words) has(flag string) bool {
	for _, b := range w.bare {
		if b == flag {
			return true
		}
	}
	return false
}

// millis reads "1500", "1500ms", "3s", "2m", "24h" or "30d" (days).
func millis(s string) (int64, error) {
	for _, unit := range []struct {
		suffix string
		size   int64
	}{{"ms", 1}, {"s", 1000}, {"m", 60_000}, {"h", 3_600_000}, {"d", 86_400_000}} {
		if n, ok := strings.CutSuffix(s, unit.suffix); ok {
			v, err := strconv.ParseInt(n, 10, 64)
			return v * unit.size, err
		}
	}
	return strconv.ParseInt(s, 10, 64)
}

// scriptErr carries a mistake in a script out of the parser.
type scriptErr struct{ text string }

func bad(format string, args ...any) { panic(scriptErr{fmt.Sprintf(format, args...)}) }

func mustMillis(s string) int64 {
	v, err := millis(s)
	if err != nil {
		bad("not a duration: %q", s)
	}
	return v
}

func mustUint(s string) uint64 {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		bad("not a number: %q", s)
	}
	return v
}

func (w words) int(key string) int64 {
	s, ok := w.pair[key]
	if !ok {
		return 0
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		bad("%s: not a number: %q", key, s)
	}
	return v
}

func (w words) optMillis(key string) *int64 {
	if s, ok := w.pair[key]; ok {
		return proto.Int64(mustMillis(s))
	}
	return nil
}

func (w words) optInt(key string) *int64 {
	if _, ok := w.pair[key]; ok {
		return proto.Int64(w.int(key))
	}
	return nil
}

func (w words) optInt32(key string) *int32 {
	if _, ok := w.pair[key]; ok {
		return proto.Int32(int32(w.int(key)))
	}
	return nil
}

func (w words) optMode(key string) *logv1.Mode {
	switch s, ok := w.pair[key]; {
	case !ok:
		return nil
	case s == "fifo":
		return logv1.Mode_MODE_FIFO.Enum()
	case s == "rr":
		return logv1.Mode_MODE_ROUND_ROBIN.Enum()
	default:
		return logv1.Mode_MODE_UNSPECIFIED.Enum()
	}
}

// limits reads lease, beat, attempts, first, factor, most, on_timeout, max_run and exclusion; nil when none is given.
func (w words) limits() *logv1.Limits {
	l := &logv1.Limits{
		LeaseMs: w.optMillis("lease"), HeartbeatMs: w.optMillis("beat"), MaxAttempts: w.optInt32("attempts"),
		BackoffFirstMs: w.optMillis("first"), BackoffFactorPercent: w.optInt32("factor"), BackoffMostMs: w.optMillis("most"),
		MaxRunMs: w.optMillis("max_run"), ExclusionWindowMs: w.optMillis("exclusion"),
	}
	switch w.pair["on_timeout"] {
	case "retry":
		l.OnTimeout = logv1.OnTimeout_ON_TIMEOUT_RETRY.Enum()
	case "fail":
		l.OnTimeout = logv1.OnTimeout_ON_TIMEOUT_FAIL.Enum()
	}
	if proto.Size(l) == 0 {
		return nil
	}
	return l
}

func lanesOf(s string) []*logv1.Lane {
	lanes, _, err := scheduler.ParseLanes(s)
	if err != nil {
		bad("lanes %q: %v", s, err)
	}
	var out []*logv1.Lane
	for _, l := range lanes {
		out = append(out, &logv1.Lane{Chain: l.Chain, Slots: l.Slots, MemoryBytes: l.MemoryBytes})
	}
	return out
}

func memoryOf(s string) uint64 {
	for suffix, size := range map[string]uint64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if n, ok := strings.CutSuffix(s, suffix); ok {
			return mustUint(n) * size
		}
	}
	return mustUint(s)
}

// newJobs reads "jobs=A1,A2,B1" (user by the letters, kind the whole word) or one job; the other pairs hold for each.
func (w words) newJobs() []*logv1.NewJob {
	one := &logv1.NewJob{
		Kind: w.pair["kind"], Queue: w.pair["queue"], User: w.pair["user"], Priority: int32(w.int("prio")),
		Payload: []byte(w.pair["payload"]), IdempotencyKey: w.pair["key"], Limits: w.limits(), InsertFront: w.has("front"),
		Coordinator: w.pair["coordinator"],
	}
	if one.Kind == "" {
		one.Kind = "k"
	}
	if n := w.int("payload_bytes"); n > 0 {
		one.Payload = make([]byte, n)
	}
	if len(one.Payload) == 0 {
		one.Payload = nil
	}
	if d, ok := w.pair["delay"]; ok {
		one.DelayMs = mustMillis(d)
	}
	if d, ok := w.pair["at"]; ok {
		one.RunAtMs = mustMillis(d)
	}
	if m, ok := w.pair["mem"]; ok {
		one.MemoryBytes = memoryOf(m)
	}
	if label, ok := w.pair["label"]; ok {
		k, v, _ := strings.Cut(label, ":")
		one.Labels = []*logv1.Label{{Key: k, Value: v}}
	}
	list, ok := w.pair["jobs"]
	if !ok {
		n := max(w.int("n"), 1)
		var out []*logv1.NewJob
		for range n {
			out = append(out, proto.Clone(one).(*logv1.NewJob))
		}
		return out
	}
	var out []*logv1.NewJob
	for _, name := range strings.Split(list, ",") {
		j := proto.Clone(one).(*logv1.NewJob)
		j.Kind, j.User = name, strings.TrimRight(name, "0123456789")
		out = append(out, j)
	}
	return out
}

// fence reads "1.7" (epoch, counter), "job:3" (the fence that job 3 has now) or a plain number.
func (r *scriptRun) fence(s string) uint64 {
	if id, ok := strings.CutPrefix(s, "job:"); ok {
		j, ok := r.m.Job(fsm.JobID(mustUint(id)))
		if !ok {
			bad("no job %s", id)
		}
		return j.GetFence()
	}
	if epoch, counter, ok := strings.Cut(s, "."); ok {
		return mustUint(epoch)<<40 | mustUint(counter)
	}
	return mustUint(s)
}

// session reads a name bound by register or open, or a plain number. A name that the gathering batch binds ends that batch.
func (r *scriptRun) session(s string) uint64 {
	for _, b := range r.bind {
		if b.name == s {
			r.flush()
			break
		}
	}
	if id, ok := r.names[s]; ok {
		return id
	}
	return mustUint(s)
}

func (r *scriptRun) fences(list []string) (out []uint64) {
	for _, s := range list {
		out = append(out, r.fence(s))
	}
	return out
}
