package schedulefile

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/fairlane-scheduler/fairlane/client"
	"github.com/fairlane-scheduler/fairlane/cluster/calendar"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Said is one thing that is said of a schedule: a key and a value that Set takes.
type Said struct {
	Key   string
	Value any
}

// Of gives what is to be said of a schedule, beside its name and its group, so that exactly the same is put again; nothing of what has its
// default. The schedule is one that the cluster gave. A field that this version does not know is an error: it would be lost.
func Of(s *fairlanev1.Schedule) ([]Said, error) {
	j := s.GetJob()
	for _, m := range []protoreflect.Message{s.ProtoReflect(), j.ProtoReflect(), j.GetLimits().ProtoReflect()} {
		if len(m.GetUnknown()) > 0 {
			return nil, fmt.Errorf("schedule %s has a field that this version does not know, and which would be lost. Use the version of the cluster's nodes", s.GetName())
		}
	}
	var out said
	out.text("spec", s.GetSpec(), "")
	out.text("zone", s.GetZone(), "UTC")
	out.instant("start", s.GetStartMs(), s.GetZone())
	out.instant("end", s.GetEndMs(), s.GetZone())
	out.duration("jitter", s.GetJitterMs())
	if s.GetSpread() {
		out.add("spread", true)
	}
	switch grace := s.MisfireGraceMs; {
	case grace == nil:
	case *grace < 0:
		out.add("misfire_grace", "unlimited")
	default:
		out.add("misfire_grace", DurationText(*grace))
	}
	out.word("catch_up", s.GetCatchUp().String(), "CATCH_UP_", "latest")
	if n := s.GetMaxInstances(); n > 1 {
		out.add("max_instances", int64(n))
	}
	out.word("overlap", s.GetOverlap().String(), "OVERLAP_", "skip")
	out.duration("min_interval", s.GetMinIntervalMs())
	out.text("coordinator", j.GetCoordinator(), "")
	out.text("description", s.GetDescription(), "")
	out.text("kind", j.GetKind(), "")
	out.text("queue", j.GetQueue(), "default")
	out.text("user", j.GetUser(), "")
	if n := j.GetPriority(); n != 0 {
		out.add("priority", int64(n))
	}
	out.payload(j)
	if n := j.GetMemoryBytes(); n != 0 {
		out.add("memory", memoryText(n))
	}
	if labels := j.GetLabels(); len(labels) > 0 {
		out.add("labels", labels)
	}
	out.limits(j.GetLimits())
	return out, nil
}

type said []Said

func (s *said) add(key string, value any) { *s = append(*s, Said{key, value}) }

func (s *said) text(key, value, usual string) {
	if value != "" && value != usual {
		s.add(key, value)
	}
}

// word of an enum.
func (s *said) word(key, value, prefix, usual string) {
	if value = strings.ToLower(strings.TrimPrefix(value, prefix)); value != "unspecified" {
		s.text(key, value, usual)
	}
}

func (s *said) duration(key string, ms int64) {
	if ms != 0 {
		s.add(key, DurationText(ms))
	}
}

// instant with the offset of the zone.
func (s *said) instant(key string, ms int64, zone string) {
	if ms == 0 {
		return
	}
	at := time.UnixMilli(ms).UTC()
	if grid, err := calendar.Parse(calendar.Definition{Spec: "@hourly", Zone: zone}); err == nil {
		if local, err := time.Parse(time.RFC3339Nano, grid.Local(ms)); err == nil && local.Equal(at) { // an offset has whole minutes in a file
			at = local
		}
	}
	s.add(key, at)
}

// Limits gives the limits of jobs that are set, under the keys that they have in a file.
func Limits(l *fairlanev1.JobLimits) []Said {
	var out said
	out.limits(l)
	return out
}

func (s *said) limits(l *fairlanev1.JobLimits) {
	if l == nil {
		return
	}
	span := func(key string, ms *int64) {
		if ms != nil {
			s.add(key, DurationText(*ms))
		}
	}
	count := func(key string, n *int32) {
		if n != nil {
			s.add(key, int64(*n))
		}
	}
	count("max_attempts", l.MaxAttempts)
	span("lease", l.LeaseMs)
	span("heartbeat", l.HeartbeatMs)
	span("max_run", l.MaxRunMs)
	span("backoff", l.BackoffFirstMs)
	count("backoff_factor_percent", l.BackoffFactorPercent)
	span("backoff_most", l.BackoffMostMs)
	if l.OnTimeout != nil {
		s.word("on_timeout", l.GetOnTimeout().String(), "ON_TIMEOUT_", "")
	}
	span("exclusion_window", l.ExclusionWindowMs)
}

// payload in the first of its forms that gives the same bytes: values of TOML, text, the exact JSON text or the exact bytes.
func (s *said) payload(j *fairlanev1.NewJob) {
	switch p := j.GetPayload().(type) {
	case *fairlanev1.NewJob_Json:
		if v, ok := tomlOf(p.Json); ok && sentJSON(v) == p.Json {
			s.add("payload", v)
		} else if sentJSON(p.Json) == p.Json {
			s.add("payload", p.Json)
		} else {
			s.add("payload_json", p.Json)
		}
	case *fairlanev1.NewJob_Data:
		if text := string(p.Data); len(p.Data) > 0 && utf8.Valid(p.Data) && !json.Valid(p.Data) {
			s.add("payload", text)
		} else if len(p.Data) > 0 {
			s.add("payload_base64", base64.StdEncoding.EncodeToString(p.Data))
		}
	}
}

// sentJSON is the JSON that is sent for a value of a file; empty: it is sent as bytes.
func sentJSON(v any) string {
	payload, err := readPayload(v)
	if raw, is := payload.(json.RawMessage); is && err == nil {
		text, _ := json.Marshal(raw) // as the SDK does it: without white space
		return string(text)
	}
	return ""
}

// tomlOf JSON gives the values that TOML has for it; false: it has none for a null and some numbers.
func tomlOf(text string) (any, bool) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	return tomlValue(v)
}

func tomlValue(v any) (out any, ok bool) {
	switch v := v.(type) {
	case map[string]any:
		table := make(map[string]any, len(v))
		for key, value := range v {
			if table[key], ok = tomlValue(value); !ok {
				return nil, false
			}
		}
		return table, true
	case []any:
		list := make([]any, len(v))
		for i, value := range v {
			if list[i], ok = tomlValue(value); !ok {
				return nil, false
			}
		}
		return list, true
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, true
		}
		f, err := v.Float64()
		return f, err == nil
	}
	return v, v != nil
}

// memoryText in the largest unit that divides it.
func memoryText(n uint64) string {
	for _, unit := range memoryUnits {
		if n>>unit.shift<<unit.shift == n {
			return strconv.FormatUint(n>>unit.shift, 10) + unit.name
		}
	}
	return "" // the last unit is a byte
}

// DurationText writes a duration in milliseconds as a file may: 90s is 1m30s, and there are no zeros at the end.
func DurationText(ms int64) string {
	text := (time.Duration(ms) * time.Millisecond).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// exactJSON is a payload that is sent byte for byte.
type exactJSON string

// readExactJSON reads payload_json.
func readExactJSON(v any) (any, error) {
	text, ok := v.(string)
	if !ok || !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("want JSON as text, in quotes")
	}
	return exactJSON(text), nil
}

// readBase64 reads payload_base64.
func readBase64(v any) (any, error) {
	text, ok := v.(string)
	data, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		return nil, fmt.Errorf("want bytes in base64, in quotes")
	}
	return fairlane.Raw(data), nil
}
