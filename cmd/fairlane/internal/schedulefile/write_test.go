package schedulefile

import (
	"math"
	"reflect"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"google.golang.org/protobuf/encoding/protowire"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestTOMLValues: what is written is read as it was.
func TestTOMLValues(t *testing.T) {
	for _, v := range []any{
		"", "plain", `a "quoted" one`, `it's "both"`, "\x00\x1f\x7f\u0085\u2028 ü 😀 \\ \n\r\t\b", `C:\dir`, "'''", "\ttab \"", int64(math.MinInt64), int64(math.MaxInt64), true, false,
		1.5, -0.25, 1e20, 1e300, 5e-324, math.MaxFloat64, 2.0, []any{}, []any{int64(1), "a", []any{true, map[string]any{"x": 1.5}}}, map[string]any{},
		map[string]any{"": "empty", "a b": int64(1), "a.b": map[string]any{"c": []any{}}, "é\"'\n": "x", "-_9": "bare"},
	} {
		var got map[string]any
		text := "v = " + tomlOfValue(v)
		if err := toml.Unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got["v"], v) {
			t.Errorf("%s: got %#v (%v), want %#v", text, got["v"], err, v)
		}
	}
	for want, v := range map[string]any{`'{"a":1}'`: `{"a":1}`, `"a"`: "a", `"it's \"x\""`: `it's "x"`, `{ a = [1, "x"], b = { c = 0.5 } }`: map[string]any{
		"b": map[string]any{"c": 0.5}, "a": []any{int64(1), "x"}}, "{ k = \"v\" }": map[string]string{"k": "v"}} {
		if got := tomlOfValue(v); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestWrite: the simplest form that says the same, in the order of the documentation; nothing of what has its default.
func TestWrite(t *testing.T) {
	utc := &fairlanev1.Schedule{Name: "a", Spec: "@daily", Zone: "UTC", CatchUp: fairlanev1.CatchUp_CATCH_UP_LATEST, MaxInstances: 1, Overlap: fairlanev1.Overlap_OVERLAP_SKIP,
		StartMs: 1_801_382_400_000, Job: &fairlanev1.NewJob{Kind: "k", Queue: "default", MemoryBytes: 1000, Payload: &fairlanev1.NewJob_Json{Json: `{"list":[1,{"x":true}],"n":0.5}`}}}
	lisbon := &fairlanev1.Schedule{Name: "b", Spec: "@daily", Zone: "Europe/Lisbon", StartMs: 1_782_000_000_000, EndMs: 1_801_382_400_001, Job: &fairlanev1.NewJob{Kind: "k"}}
	got, err := Write("g", []*fairlanev1.Schedule{utc, lisbon})
	want := `group = "g"

[[schedule]]
name = "a"
spec = "@daily"
start = 2027-01-31T08:00:00Z
kind = "k"
payload = { list = [1, { x = true }], n = 0.5 }
memory = "1000B"

[[schedule]]
name = "b"
spec = "@daily"
zone = "Europe/Lisbon"
start = 2026-06-21T01:00:00+01:00
end = 2027-01-31T08:00:00.001Z
kind = "k"
`
	if err != nil || string(got) != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, got, want)
	}
	for zone, ms := range map[string]int64{"Africa/Monrovia": 1000, "Nowhere/Land": 5000} { // an offset with seconds, an unknown zone
		said, err := Of(&fairlanev1.Schedule{Name: "n", Zone: zone, StartMs: ms})
		d := New("n")
		if err != nil || d.Set(said[1].Key, said[1].Value) != nil || d.Schedule.Start.UnixMilli() != ms {
			t.Errorf("%s: %v %v", zone, said, d.Schedule.Start)
		}
	}
}

// TestUnknownFields: what a later version has added is not lost in silence.
func TestUnknownFields(t *testing.T) {
	more := protowire.AppendVarint(protowire.AppendTag(nil, 9999, protowire.VarintType), 1)
	s := &fairlanev1.Schedule{Name: "n", Job: &fairlanev1.NewJob{Limits: &fairlanev1.JobLimits{}}}
	if _, err := Of(s); err != nil {
		t.Fatal(err)
	}
	s.Job.Limits.ProtoReflect().SetUnknown(more)
	if _, err := Write("", []*fairlanev1.Schedule{s}); err == nil {
		t.Error("an unknown field of the limits is lost")
	}
}
