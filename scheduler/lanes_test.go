package scheduler

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseLanes(t *testing.T) {
	name64 := strings.Repeat("n", 64)
	for _, c := range []struct {
		in   string
		want []Lane
	}{
		{"manual>*:5", []Lane{{[]string{"manual", "*"}, 5, 0}}},
		{"fast_lane:1 manual>*:4", []Lane{{[]string{"fast_lane"}, 1, 0}, {[]string{"manual", "*"}, 4, 0}}},
		{" \t\n\v\f\ra:1\t\tb:2\r\n", []Lane{{[]string{"a"}, 1, 0}, {[]string{"b"}, 2, 0}}},
		{"-- fast:1 *:4", []Lane{{[]string{"fast"}, 1, 0}, {[]string{"*"}, 4, 0}}},
		{"  --  fast:1", []Lane{{[]string{"fast"}, 1, 0}}},
		{"--fast:1", []Lane{{[]string{"fast"}, 1, 0}}},
		{"A_0>9>_:2147483647", []Lane{{[]string{"A_0", "9", "_"}, 2147483647, 0}}},
		{"a:1@1KiB b:1@3MiB c:1@2GiB", []Lane{{[]string{"a"}, 1, 1 << 10}, {[]string{"b"}, 1, 3 << 20}, {[]string{"c"}, 1, 2 << 30}}},
		{"a:1@8589934591GiB", []Lane{{[]string{"a"}, 1, 8589934591 << 30}}},
		{name64 + ":1", []Lane{{[]string{name64}, 1, 0}}},
	} {
		got, warnings, err := ParseLanes(c.in)
		if err != nil || !reflect.DeepEqual(got, c.want) || len(warnings) > 0 {
			t.Errorf("%q: got %v, %v, %v; want %v", c.in, got, warnings, err, c.want)
		}
	}
}

// TestLaneErrors covers every code, the order of the checks inside a token, and
// that the leftmost bad token decides.
func TestLaneErrors(t *testing.T) {
	for _, c := range []struct {
		in, code, token string
		offset          int
	}{
		{"", LaneEmptyConfig, "", 0},
		{" \t\n\v\f\r", LaneEmptyConfig, "", 0},
		{"--", LaneEmptyConfig, "", 0},
		{" --  ", LaneEmptyConfig, "", 0},

		{"manual", LaneMissingCount, "manual", 0},
		{"manual:", LaneMissingCount, "manual:", 0},
		{"manual:@1GiB", LaneMissingCount, "manual:@1GiB", 0},
		{":", LaneMissingCount, ":", 0},
		{"manual :5", LaneMissingCount, "manual", 0},
		{"manual: 5", LaneMissingCount, "manual:", 0},

		{"a:05", LaneInvalidCount, "a:05", 0},
		{"a:+5", LaneInvalidCount, "a:+5", 0},
		{"a:5.0", LaneInvalidCount, "a:5.0", 0},
		{"a:1e3", LaneInvalidCount, "a:1e3", 0},
		{"a:00", LaneInvalidCount, "a:00", 0},
		{"a:-0", LaneInvalidCount, "a:-0", 0},
		{"a:-", LaneInvalidCount, "a:-", 0},
		{"a:--5", LaneInvalidCount, "a:--5", 0},
		{"a:-05", LaneInvalidCount, "a:-05", 0},
		{"a:0x5", LaneInvalidCount, "a:0x5", 0},
		{"a:five", LaneInvalidCount, "a:five", 0},
		{"a:٥", LaneInvalidCount, "a:٥", 0},
		{"a:2147483648", LaneInvalidCount, "a:2147483648", 0},
		{"a:99999999999999999999999", LaneInvalidCount, "a:99999999999999999999999", 0},
		{"a:5:x", LaneInvalidCount, "a:5:x", 0},

		{"a:0", LaneCountBelowOne, "a:0", 0},
		{"a:-5", LaneCountBelowOne, "a:-5", 0},

		{"a:1@", LaneInvalidMemory, "a:1@", 0},
		{"a:1@1", LaneInvalidMemory, "a:1@1", 0},
		{"a:1@GiB", LaneInvalidMemory, "a:1@GiB", 0},
		{"a:1@0GiB", LaneInvalidMemory, "a:1@0GiB", 0},
		{"a:1@01GiB", LaneInvalidMemory, "a:1@01GiB", 0},
		{"a:1@-1GiB", LaneInvalidMemory, "a:1@-1GiB", 0},
		{"a:1@+1GiB", LaneInvalidMemory, "a:1@+1GiB", 0},
		{"a:1@1.5GiB", LaneInvalidMemory, "a:1@1.5GiB", 0},
		{"a:1@1GB", LaneInvalidMemory, "a:1@1GB", 0},
		{"a:1@1gib", LaneInvalidMemory, "a:1@1gib", 0},
		{"a:1@1GiB@1GiB", LaneInvalidMemory, "a:1@1GiB@1GiB", 0},
		{"a:1@8589934592GiB", LaneInvalidMemory, "a:1@8589934592GiB", 0},
		{"a:1@99999999999999999999KiB", LaneInvalidMemory, "a:1@99999999999999999999KiB", 0},

		{":5", LaneEmptyQueueName, ":5", 0},
		{"a>:5", LaneEmptyQueueName, "a>:5", 0},
		{">a:5", LaneEmptyQueueName, ">a:5", 0},
		{"a>>b:5", LaneEmptyQueueName, "a>>b:5", 0},

		{"a-b:5", LaneInvalidQueueName, "a-b:5", 0},
		{"a,b:5", LaneInvalidQueueName, "a,b:5", 0},
		{"a:b:5", LaneInvalidQueueName, "a:b:5", 0},
		{"a@1GiB:5", LaneInvalidQueueName, "a@1GiB:5", 0},
		{"**:5", LaneInvalidQueueName, "**:5", 0},
		{"größe:5", LaneInvalidQueueName, "größe:5", 0},
		{"a\x00b:5", LaneInvalidQueueName, "a\x00b:5", 0},
		{"a\u00a0b:5", LaneInvalidQueueName, "a\u00a0b:5", 0},
		{"----a:5", LaneInvalidQueueName, "--a:5", 2},
		{strings.Repeat("n", 65) + ":1", LaneInvalidQueueName, strings.Repeat("n", 65) + ":1", 0},

		{"*>a:5", LaneWildcardNotLast, "*>a:5", 0},
		{"*>*:5", LaneWildcardNotLast, "*>*:5", 0},

		// The order of the checks inside one token.
		{"*>>a-b:0@x", LaneCountBelowOne, "*>>a-b:0@x", 0},
		{"*>>a-b:05@x", LaneInvalidCount, "*>>a-b:05@x", 0},
		{"*>>a-b:1@x", LaneInvalidMemory, "*>>a-b:1@x", 0},
		{"*>a-b>>c:1", LaneEmptyQueueName, "*>a-b>>c:1", 0},
		{"*>a-b:1", LaneInvalidQueueName, "*>a-b:1", 0},

		// The leftmost bad token, with its offset in bytes.
		{"ok:1  *>a:1 b", LaneWildcardNotLast, "*>a:1", 6},
		{"-- ok:1 b:0 c", LaneCountBelowOne, "b:0", 8},
		{"ok:1 --", LaneMissingCount, "--", 5},
	} {
		lanes, _, err := ParseLanes(c.in)
		laneErr, is := err.(*LaneError)
		if !is {
			t.Errorf("%q: got %v, %v; want %s", c.in, lanes, err, c.code)
			continue
		}
		if laneErr.Code != c.code || laneErr.Token != c.token || laneErr.Offset != c.offset || lanes != nil {
			t.Errorf("%q: got %s %q at %d, want %s %q at %d", c.in, laneErr.Code, laneErr.Token, laneErr.Offset, c.code, c.token, c.offset)
		}
		if !strings.Contains(laneErr.Error(), "write ") && !strings.Contains(laneErr.Error(), "; ") {
			t.Errorf("%q: the message does not say what to do: %s", c.in, laneErr.Message)
		}
	}
}

func TestLaneErrorStaysShort(t *testing.T) {
	_, _, err := ParseLanes(strings.Repeat("ä>", 5<<20) + ":1")
	if err == nil || len(err.Error()) > 1000 {
		t.Fatalf("an error of %d bytes", len(err.Error()))
	}
}

func TestLaneWarnings(t *testing.T) {
	for _, c := range []struct {
		in, format string
		codes      string
		offsets    []int
	}{
		{"a>b>a:1", "a>b:1", "duplicate_queue_name", []int{0}},
		{"a>a>a>b>b:1", "a>b:1", "duplicate_queue_name duplicate_queue_name", []int{0, 0}},
		{"a:1 a:2", "a:1 a:2", "identical_queue_lists", []int{4}},
		{"a:1 b:1 a:2 a:3@1KiB", "a:1 b:1 a:2 a:3@1KiB", "identical_queue_lists identical_queue_lists", []int{8, 12}},
		{"a>b:1 a>b>a:2", "a>b:1 a>b:2", "duplicate_queue_name identical_queue_lists", []int{6, 6}},
		{"a>b:1 b>a:1", "a>b:1 b>a:1", "", nil},
	} {
		lanes, warnings, err := ParseLanes(c.in)
		var codes []string
		var offsets []int
		for _, w := range warnings {
			codes, offsets = append(codes, w.Code), append(offsets, w.Offset)
			if w.Message == "" || !strings.HasPrefix(c.in[w.Offset:], w.Token) {
				t.Errorf("%q: warning %+v", c.in, w)
			}
		}
		if err != nil || FormatLanes(lanes) != c.format || strings.Join(codes, " ") != c.codes || !reflect.DeepEqual(offsets, c.offsets) {
			t.Errorf("%q: got %q %v %v %v", c.in, FormatLanes(lanes), codes, offsets, err)
		}
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "Z9_": true, strings.Repeat("x", 64): true,
		"": false, "*": false, "a b": false, "a-b": false, "é": false, "a\n": false, strings.Repeat("x", 65): false,
	} {
		if ValidName(name) != want {
			t.Errorf("ValidName(%q) is not %v", name, want)
		}
	}
}

// FuzzParseLanes proves that no input panics, that errors and warnings point
// into the input, and that format and parse are each other's inverse.
func FuzzParseLanes(f *testing.F) {
	for _, s := range []string{"", "--", "manual>*:5", "-- a:1@2GiB b>c>*:3", "a>b>a:1 a>b:2", "*>a:05@x", ":::", "a:1@1025KiB\t*:2147483647"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lanes, warnings, err := ParseLanes(s)
		for _, w := range warnings {
			if !strings.HasPrefix(s[w.Offset:], w.Token) {
				t.Fatalf("warning %+v does not point at its token", w)
			}
		}
		if err != nil {
			laneErr, is := err.(*LaneError)
			if !is || lanes != nil || laneErr.Message == "" || !strings.HasPrefix(s[laneErr.Offset:], laneErr.Token) {
				t.Fatalf("%v, %+v", lanes, err)
			}
			return
		}
		text := FormatLanes(lanes)
		again, _, err := ParseLanes(text)
		if err != nil || !reflect.DeepEqual(again, lanes) || FormatLanes(again) != text {
			t.Fatalf("%q: parsed %v, written %q, read back %v %v", s, lanes, text, again, err)
		}
	})
}
