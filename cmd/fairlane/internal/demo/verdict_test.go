package demo

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func good() *Verdict {
	return &Verdict{
		Jobs: 100, Took: 2 * time.Second, Checked: 100, Kills: 2, Wanted: 2, Failovers: []time.Duration{time.Second, time.Second},
		First: []string{"ana", "ben"}, Lanes: []LaneVerdict{{"w1", "fast_lane", 1, 1}, {"w1", "manual>*", 4, 4}}, Entries: 110,
		DigestIndex: 120, Digests: map[string]string{"n1": "aa", "n2": "aa", "n3": "aa"},
	}
}

// TestVerdict: every promise, broken alone, is named.
func TestVerdict(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(*Verdict)
		say  string
	}{
		"nothing":    {func(*Verdict) {}, ""},
		"lost":       {func(v *Verdict) { v.Lost, v.Checked = 1, 99 }, "1 jobs lost"},
		"twice":      {func(v *Verdict) { v.FinishedTwice = 1 }, "1 jobs finished twice"},
		"handed":     {func(v *Verdict) { v.RunTwice = 1 }, "1 jobs handed out twice"},
		"hash":       {func(v *Verdict) { v.WrongHashes = 1 }, "1 wrong hashes"},
		"unchecked":  {func(v *Verdict) { v.Checked = 99 }, "only 99 results"},
		"kills":      {func(v *Verdict) { v.Kills = 1 }, "the work was done before"},
		"turn":       {func(v *Verdict) { v.Turns = errors.New("claim 3") }, "out of turn: claim 3"},
		"lane":       {func(v *Verdict) { v.Lanes[0].Most = 2 }, "lane fast_lane of w1 ran 2 at once and has 1 slots"},
		"digest":     {func(v *Verdict) { v.Digests["n2"] = "bb" }, "the nodes' states differ"},
		"empty":      {func(v *Verdict) { v.Digests = map[string]string{"n1": "", "n2": ""} }, "the nodes' states differ"},
		"one digest": {func(v *Verdict) { v.Digests = map[string]string{"n1": "aa"} }, "the nodes' states differ"},
		"stop":       {func(v *Verdict) { v.Stops = []error{errors.New("n1 hangs")} }, "n1 hangs"},
		"given up":   {func(v *Verdict) { v.Stuck = "no job ended" }, "given up"},
	} {
		v := good()
		c.harm(v)
		var out strings.Builder
		v.Print(&out)
		broken := strings.Join(v.Broken(), "; ")
		if c.say == "" {
			if broken != "" || !strings.Contains(out.String(), "Every promise held.") {
				t.Errorf("%s: %q\n%s", name, broken, out.String())
			}
			continue
		}
		if !strings.Contains(broken, c.say) || strings.Contains(out.String(), "Every promise held.") {
			t.Errorf("%s: got %q, want %q", name, broken, c.say)
		}
	}
}
