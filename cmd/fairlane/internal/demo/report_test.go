package demo

import (
	"bytes"
	"encoding/json"
	"testing"
)

// TestReporter: the worker counts its own running handlers, lane by lane.
func TestReporter(t *testing.T) {
	var out bytes.Buffer
	r := NewReporter(&out)
	first := r.Began(Report{Job: 1, Lane: 1})
	second := r.Began(Report{Job: 2, Lane: 1})
	other := r.Began(Report{Job: 3, Lane: 0})
	first()
	third := r.Began(Report{Job: 4, Lane: 1})
	second()
	third()
	other()
	r.Finished(Report{Job: 1, Lane: 1})
	want := []Report{
		{What: Began, Job: 1, Lane: 1, Running: 1}, {What: Began, Job: 2, Lane: 1, Running: 2}, {What: Began, Job: 3, Running: 1},
		{What: Ended, Job: 1, Lane: 1}, {What: Began, Job: 4, Lane: 1, Running: 2}, {What: Ended, Job: 2, Lane: 1},
		{What: Ended, Job: 4, Lane: 1}, {What: Ended, Job: 3}, {What: Finished, Job: 1, Lane: 1},
	}
	lines := json.NewDecoder(&out)
	for i, w := range want {
		var got Report
		if err := lines.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if got.AtMicros == 0 {
			t.Errorf("line %d has no time", i)
		}
		got.AtMicros = 0
		if got != w {
			t.Errorf("line %d: got %+v, want %+v", i, got, w)
		}
	}
	if lines.More() {
		t.Error("more lines than reports")
	}
}
