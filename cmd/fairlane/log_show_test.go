package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestLogTail: all that was asked for is printed once, in order, however many answers it takes; -f goes on with what is committed alone.
func TestLogTail(t *testing.T) {
	endpoint := (&fakeNode{}).start(t)
	code, out, errs := cli{}.run(t, "log", "tail", "-e", endpoint)
	if code != exitOK || indexes(out) != "41 42 43 44 45" || strings.Count(out, "not committed") != 1 {
		t.Errorf("exit code %d %q\n%s", code, errs, out)
	}
	if code, out, errs = (cli{}).run(t, "log", "tail", "-n", "2", "-o", "json", "-e", endpoint); code != exitOK || strings.Count(out, `"index"`) != 2 {
		t.Errorf("exit code %d %q\n%s", code, errs, out)
	}
	if code, _, errs = (cli{}).run(t, "log", "show", "99", "-e", endpoint); code != exitFailed || !strings.Contains(errs, "entry 99 is not in the log yet, which ends at 45") {
		t.Errorf("exit code %d %q", code, errs)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	w := &stopAfter{want: 6, stop: cancel}
	a := &app{endpoints: []string{endpoint}, out: w, timeout: time.Second, output: outputTable, httpClient: http.DefaultClient}
	_ = tailLog(ctx, a, 20, true)
	if got := indexes(w.text.String()); !strings.HasPrefix(got, "41 42 43 44 45 46") || strings.Contains(w.text.String(), "not committed") {
		t.Errorf("followed: %s", w.text.String())
	}
}

// stopAfter so many entries.
type stopAfter struct {
	text bytes.Buffer
	want int
	stop func()
}

func (s *stopAfter) Write(p []byte) (int, error) {
	if s.want--; s.want == 0 {
		s.stop()
	}
	return s.text.Write(p)
}

func indexes(out string) string {
	var list []string
	for _, line := range strings.Split(out, "\n") {
		var index int
		if _, err := fmt.Sscanf(line, "%d ", &index); err == nil && !strings.HasPrefix(line, " ") {
			list = append(list, fmt.Sprint(index))
		}
	}
	return strings.Join(list, " ")
}
