package calendar

import "testing"

// Beyond the end there is no next time, and none is given either: who resumes a schedule takes what Next gives.
func TestNextBeyondTheEnd(t *testing.T) {
	const start = 1_800_000_000_000
	for _, d := range []Definition{
		{Spec: "@every 35s", StartMs: start, EndMs: start + 25_000, AnchorMs: start},
		{Spec: "0 0 * * *", StartMs: start, EndMs: start + 25_000},
	} {
		grid, err := Parse(d)
		if err != nil {
			t.Fatal(err)
		}
		if ms, ok := grid.Next(start); ok || ms != 0 {
			t.Errorf("%s: next is %d, %v", d.Spec, ms, ok)
		}
	}
}
