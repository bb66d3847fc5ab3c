package rpc

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const ticksGolden = "testdata/ticks.txt"

// TestTickTexts compares the words for every outcome with testdata/ticks.txt; -rewrite, and read the difference.
func TestTickTexts(t *testing.T) {
	record := &logv1.ScheduleRecord{
		Schedule:  &logv1.Schedule{Spec: "0 * * * *", Zone: "Europe/Berlin", MaxInstances: 2, MinIntervalMs: 300_000, Template: &logv1.NewJob{Queue: "mail"}},
		ChangedMs: noon,
	}
	graced := proto.CloneOf(record)
	graced.Schedule.MisfireGraceMs = proto.Int64(60_000)
	endless := proto.CloneOf(record)
	endless.Schedule.EndMs = noon
	var got bytes.Buffer
	write := func(what string, of *logv1.ScheduleRecord, tick *logv1.TickRecord) {
		fmt.Fprintf(&got, "%s: %s\n", what, newTickTexts(of).text(tick))
	}
	results := map[logv1.TickReason]logv1.TickResult{}
	for reason := logv1.TickReason(1); int(reason) < len(logv1.TickReason_name); reason++ {
		result := logv1.TickResult_TICK_RESULT_SKIPPED
		switch {
		case reason <= logv1.TickReason_TICK_REASON_TRIGGER:
			result = logv1.TickResult_TICK_RESULT_FIRED
		case reason <= logv1.TickReason_TICK_REASON_BACKLOG_FULL:
			result = logv1.TickResult_TICK_RESULT_MISSED
		case reason == logv1.TickReason_TICK_REASON_NEWER:
			result = logv1.TickResult_TICK_RESULT_COALESCED
		}
		results[reason] = result
		tick := &logv1.TickRecord{Result: result, Reason: reason, FirstMs: noon, LastMs: noon, Count: 1, AtMs: noon + 200_000, LateMs: 200_000}
		if result == logv1.TickResult_TICK_RESULT_FIRED {
			tick.Job = 12
		}
		if reason == logv1.TickReason_TICK_REASON_REFUSED {
			tick.Refusal = &logv1.Refusal{Reason: logv1.Reason_REASON_UNKNOWN_QUEUE, Params: []*logv1.Param{{Key: "queue", Value: "mail"}}}
		}
		write(tickReasonWord(reason), record, tick)
	}
	grace := &logv1.TickRecord{Result: logv1.TickResult_TICK_RESULT_MISSED, Reason: logv1.TickReason_TICK_REASON_GRACE, FirstMs: noon - 7_200_000, LastMs: noon, Count: 3, AtMs: noon + 200_000, LateMs: 200_000}
	write("three of them, grace of its own", graced, grace)
	write("the last fire time has the least grace", endless, grace)
	more := proto.CloneOf(grace)
	more.More, more.AtMs = true, noon-1
	write("more, and the schedule was changed since", graced, more)
	onTime := &logv1.TickRecord{Result: logv1.TickResult_TICK_RESULT_FIRED, Reason: logv1.TickReason_TICK_REASON_ON_TIME, FirstMs: noon, LastMs: noon, Count: 1, LateMs: 7, Job: 9}
	write("hardly late", record, onTime)
	unknown := proto.CloneOf(record)
	unknown.Schedule.Zone, unknown.Schedule.Spec = "Moon/Base", "?"
	write("a zone and a spec that this node does not know", unknown, grace)
	if *rewrite {
		if err := os.WriteFile(ticksGolden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(ticksGolden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Fatalf("%s differs: go test ./rpc -run TestTickTexts -rewrite\n%s", ticksGolden, got.Bytes())
	}
	if strings.Contains(got.String(), "cannot put into words") {
		t.Errorf("no words for a reason that exists:\n%s", &got)
	}
	page, err := os.ReadFile("../docs/schedules.md")
	if err != nil {
		t.Fatal(err)
	}
	for reason := range results {
		if !bytes.Contains(page, []byte("`"+tickReasonWord(reason)+"`")) {
			t.Errorf("docs/schedules.md does not name %s", tickReasonWord(reason))
		}
	}
}

// TestEveryDifferenceShows: whatever field of a definition is another one, exactly one difference says so, with its name.
func TestEveryDifferenceShows(t *testing.T) {
	base := scheduleFrom(&v1.Schedule{Name: "s", Spec: "@daily", Job: &v1.NewJob{Kind: "k"}})
	var visit func(path string, message protoreflect.MessageDescriptor, of func(*v1.Schedule) protoreflect.Message)
	seen := 0
	visit = func(path string, message protoreflect.MessageDescriptor, of func(*v1.Schedule) protoreflect.Message) {
		for i := range message.Fields().Len() {
			field := message.Fields().Get(i)
			name := path + string(field.Name())
			if slices.Contains([]string{"name", "job.delay_ms", "job.run_at_ms", "job.idempotency_key", "job.insert_front"}, name) {
				continue // the same by their nature, or refused
			}
			if field.Message() != nil && !field.IsMap() {
				visit(name+".", field.Message(), func(s *v1.Schedule) protoreflect.Message { return of(s).Mutable(field).Message() })
				continue
			}
			seen++
			changed := &v1.Schedule{Name: "s", Spec: "@daily", Job: &v1.NewJob{Kind: "k"}}
			setOther(of(changed), field)
			got := differencesOf(base, scheduleFrom(changed))
			if want := strings.NewReplacer("job.json", "job.payload", "job.data", "job.payload").Replace(name); len(got) != 1 || got[0].GetField() != want {
				t.Errorf("%s: %v", name, got)
			}
			if !proto.Equal(scheduleFrom(scheduleAnswer(scheduleFrom(changed))), scheduleFrom(changed)) {
				t.Errorf("%s is lost in an answer", name)
			}
		}
	}
	visit("", (&v1.Schedule{}).ProtoReflect().Descriptor(), func(s *v1.Schedule) protoreflect.Message { return s.ProtoReflect() })
	if seen < 30 {
		t.Errorf("%d fields seen", seen)
	}
}

// setOther gives a field a value that no default has.
func setOther(m protoreflect.Message, field protoreflect.FieldDescriptor) {
	switch {
	case field.IsMap():
		m.Mutable(field).Map().Set(protoreflect.ValueOfString("a").MapKey(), protoreflect.ValueOfString("b"))
	case field.Kind() == protoreflect.StringKind:
		m.Set(field, protoreflect.ValueOfString("Europe/Berlin"))
	case field.Kind() == protoreflect.BytesKind:
		m.Set(field, protoreflect.ValueOfBytes([]byte{7}))
	case field.Kind() == protoreflect.BoolKind:
		m.Set(field, protoreflect.ValueOfBool(true))
	case field.Kind() == protoreflect.EnumKind:
		m.Set(field, protoreflect.ValueOfEnum(2))
	case field.Kind() == protoreflect.Int32Kind:
		m.Set(field, protoreflect.ValueOfInt32(7))
	case field.Kind() == protoreflect.Uint64Kind:
		m.Set(field, protoreflect.ValueOfUint64(7))
	default:
		m.Set(field, protoreflect.ValueOfInt64(90_061_001)) // 1 d 1 h 1 min 1 s 1 ms
	}
}

// TestDifferenceTexts: durations in words, instants in the zone, payloads as they are or by their hash.
func TestDifferenceTexts(t *testing.T) {
	long := `"` + strings.Repeat("x", 200) + `"`
	from := scheduleFrom(&v1.Schedule{Name: "s", Spec: "@daily", StartMs: noon, JitterMs: 1500, Job: &v1.NewJob{Kind: "k", Payload: &v1.NewJob_Json{Json: "1"}}})
	to := scheduleFrom(&v1.Schedule{
		Name: "s", Spec: "@daily", Zone: "Europe/Berlin", StartMs: noon, EndMs: noon + 1, JitterMs: 90_061_001, MisfireGraceMs: proto.Int64(-1), Description: "two\nlines",
		Job: &v1.NewJob{Kind: "k", Payload: &v1.NewJob_Json{Json: long}, MemoryBytes: 2 << 30, Labels: map[string]string{"b": "2", "a": "1"}, Limits: &v1.JobLimits{MaxRunMs: proto.Int64(0)}},
	})
	var got []string
	for _, d := range differencesOf(from, to) {
		got = append(got, fmt.Sprintf("%s: %s -> %s", d.GetField(), d.GetFrom(), d.GetTo()))
	}
	want := []string{
		"zone: UTC -> Europe/Berlin",
		"end_ms:  -> 2026-11-24T13:00:00.001+01:00",
		"jitter_ms: 1 s 500 ms -> 1 d 1 h 1 min 1 s 1 ms",
		"misfire_grace_ms:  -> unlimited",
		`description:  -> "two\nlines"`,
		"job.payload: 1 -> 202 bytes of JSON, sha256 a6d8d0a1c7a4e3b0",
		"job.memory_bytes:  -> 2GiB",
		`job.labels:  -> "a"="1" "b"="2"`,
		"job.limits.max_run_ms:  -> 0",
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] && !strings.HasPrefix(got[i], "job.payload: 1 -> 202 bytes of JSON, sha256 ") {
			t.Errorf("got  %q\nwant %q", got, want)
			break
		}
	}
}
