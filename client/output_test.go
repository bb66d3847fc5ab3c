package fairlane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// output gives what the cluster has of the newest attempt of a job.
func (w *world) output(id JobID) string {
	j := w.job(id)
	return string(j.outputs[j.Attempt])
}

// wantOutput checks what the cluster has, and that nothing was sent out of its place.
func (w *world) wantOutput(id JobID, want string) {
	w.t.Helper()
	if got := w.output(id); got != want {
		w.t.Errorf("the output of job %d has %d bytes %.60q, want %d bytes %.60q", id, len(got), got, len(want), want)
	}
	if gaps := w.job(id).gaps; gaps != 0 {
		w.t.Errorf("%d pieces of job %d left a gap", gaps, id)
	}
}

// write writes each text and ends the test when that fails.
func write(t *testing.T, out io.Writer, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if n, err := io.WriteString(out, text); err != nil || n != len(text) {
			t.Errorf("write of %d bytes took %d: %v", len(text), n, err)
		}
	}
}

// TestBatchRule: what is sent at once, and what only after 250 ms.
func TestBatchRule(t *testing.T) {
	many := func(s string, n int) string { return strings.Repeat(s, n) }
	for name, c := range map[string]struct {
		writes []string
		atOnce bool
	}{
		"a word":                              {[]string{"hello"}, false},
		"newline":                             {[]string{"a\n"}, true},
		"point":                               {[]string{"a."}, true},
		"question mark":                       {[]string{"a?"}, true},
		"exclamation mark":                    {[]string{"a!"}, true},
		"comma":                               {[]string{"a,"}, true},
		"semicolon":                           {[]string{"a;"}, false},
		"the whole buffer":                    {[]string{"a", "b", "c.d"}, true},
		"100 characters":                      {[]string{many("a", 100)}, false},
		"101 characters":                      {[]string{many("a", 101)}, true},
		"100 characters of two bytes":         {[]string{many("é", 100)}, false},
		"101 characters of four bytes":        {[]string{many("😀", 101)}, true},
		"101 characters in tokens":            {[]string{many("a", 60), many("b", 40), "c"}, true},
		"100 characters, one in two writes":   {[]string{many("a", 99) + "\xc3", "\xa9"}, false},
		"nothing at all counts as no writing": {[]string{""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
					write(t, job.Output(), c.writes...)
					time.Sleep(time.Second)
					return nil, nil
				})
				id, all := w.enqueue("a"), strings.Join(c.writes, "")
				if c.atOnce {
					w.wantOutput(id, all)
				} else {
					w.wantOutput(id, "")
				}
				advance(flushAfter - time.Millisecond)
				if !c.atOnce {
					w.wantOutput(id, "")
				}
				advance(time.Millisecond)
				w.wantOutput(id, all)
				advance(time.Second)
				w.wantOutput(id, all)
			})
		})
	}
}

// TestTimeCountsFromTheFirst: the 250 ms count from the first byte that waits, not from the last.
func TestTimeCountsFromTheFirst(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
			for range 9 {
				if err := job.Token("x"); err != nil {
					t.Error(err)
				}
				time.Sleep(100 * time.Millisecond)
			}
			return nil, nil
		})
		id := w.enqueue("a")
		advance(flushAfter)
		w.wantOutput(id, "xxx")
		advance(300 * time.Millisecond) // the next batch began at 300 ms
		w.wantOutput(id, "xxxxxx")
		advance(time.Second)
		w.wantOutput(id, "xxxxxxxxx")
	})
}

// TestRestGoesWithTheOutcome: what is left costs no call of its own, whatever the outcome is.
func TestRestGoesWithTheOutcome(t *testing.T) {
	for name, outcome := range map[string]error{"success": nil, "failure": errors.New("no"), "discard": Discard(errors.New("no")), "snooze": Snooze(time.Hour)} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var out io.Writer
				w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
					out = job.Output()
					write(t, out, "first.", "rest")
					return []byte("1"), outcome
				})
				id := w.enqueue("a")
				w.wantOutput(id, "first.rest")
				for _, s := range w.requests("AppendOutput") {
					for _, p := range s.req.(*fairlanev1.AppendOutputRequest).Parts {
						if strings.Contains(string(p.Data), "rest") {
							t.Error("the rest was sent by itself")
						}
					}
				}
				if _, err := out.Write([]byte("late.")); !errors.Is(err, errReturned) {
					t.Errorf("after the handler has returned Write gives %v", err)
				}
				advance(time.Second)
				w.wantOutput(id, "first.rest")
			})
		})
	}
}

// TestFullBuffer: Write waits when 1 MiB is not acknowledged, goes on when the cluster takes more, and ends with its context.
func TestFullBuffer(t *testing.T) {
	for name, cancel := range map[string]bool{"goes on": false, "cancelled": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.full = true
				text := strings.Repeat("é", outputBytes) // twice the buffer
				var took int
				var failed error
				returned := false
				w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
					took, failed = io.WriteString(job.Output(), text)
					returned = true
					return nil, nil
				})
				id := w.enqueue("a")
				advance(19 * time.Second)
				if returned {
					t.Fatalf("Write took %d bytes: %v", took, failed)
				}
				if calls := len(w.requests("AppendOutput")); calls < 3 || calls > 15 {
					t.Errorf("%d calls in 19 s to a cluster that is full", calls)
				}
				w.wantOutput(id, "")
				if cancel {
					if _, err := w.client.Cancel(t.Context(), id); err != nil {
						t.Fatal(err)
					}
					advance(5 * time.Second)
					if took != outputBytes || !errors.Is(failed, ErrCancelled) {
						t.Errorf("Write took %d bytes: %v; want %d and cancelled", took, failed, outputBytes)
					}
					return
				}
				w.mu.Lock()
				w.full = false
				w.mu.Unlock()
				advance(10 * time.Second)
				w.wantState(id, StateSucceeded)
				w.wantOutput(id, text)
			})
		})
	}
}

// TestProgress: the latest report wins, reports are limited in number and in form, and none waits.
func TestProgress(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
			for i := range 1000 {
				job.Progress(float64(i)/1000, fmt.Sprint("step ", i))
			}
			time.Sleep(time.Second)
			job.Progress(math.NaN(), strings.Repeat("é", 1000))
			time.Sleep(time.Second)
			for range 100 {
				job.Progress(7, "")
				time.Sleep(10 * time.Millisecond)
			}
			return nil, nil
		})
		id := w.enqueue("a")
		advance(flushAfter)
		if p := w.job(id).Progress; p.GetMessage() != "step 999" {
			t.Errorf("after 250 ms the cluster has %v, want the latest", p)
		}
		if n := len(w.requests("AppendOutput")); n > 2 {
			t.Errorf("%d calls for reports that come together", n)
		}
		advance(time.Second)
		if p := w.job(id).Progress; p.Fraction != 0 || len(p.Message) != messageBytes || !utf8.ValidString(p.Message) {
			t.Errorf("got %v and %d bytes of message", p.Fraction, len(p.Message))
		}
		advance(time.Second)
		if p := w.job(id).Progress; p.Fraction != 1 {
			t.Errorf("got %v, want the bound", p.Fraction)
		}
		advance(time.Second)
		if n := len(w.requests("AppendOutput")); n > 8 {
			t.Errorf("%d calls for all reports", n)
		}
	})
}

// TestProgressWhileFull: a report neither waits for room nor is forgotten.
func TestProgressWhileFull(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.full = true
		w.start("a:1", func(ctx context.Context, job *RawJob) ([]byte, error) {
			write(t, job.Output(), "x.")
			job.Progress(0.5, "half")
			<-ctx.Done()
			return nil, ctx.Err()
		}, Grace(0))
		id := w.enqueue("a")
		advance(5 * time.Second)
		w.mu.Lock()
		w.full = false
		w.mu.Unlock()
		advance(10 * time.Second)
		if p := w.job(id).Progress; p.GetFraction() != 0.5 {
			t.Errorf("the cluster has progress %v", p)
		}
		w.wantOutput(id, "x.")
	})
}

// TestOutputOfAJobMadeByHand: handlers can be tested without a cluster.
func TestOutputOfAJobMadeByHand(t *testing.T) {
	job := &Job[int]{Args: 1}
	write(t, job.Output(), "nowhere")
	if err := job.Token("nowhere"); err != nil {
		t.Error(err)
	}
	job.Progress(1, "")
}

// TestWritersTogether: concurrent writers of small texts never mix them.
func TestWritersTogether(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
			done := make(chan struct{})
			for g := range 8 {
				go func() {
					defer func() { done <- struct{}{} }()
					for range 200 {
						write(t, job.Output(), strings.Repeat(string(rune('a'+g)), 9)+"\n")
					}
				}()
			}
			for range 8 {
				<-done
			}
			return nil, nil
		})
		id := w.enqueue("a")
		advance(time.Second)
		got := w.output(id)
		if len(got) != 8*200*10 {
			t.Fatalf("%d bytes", len(got))
		}
		for line := range strings.Lines(got) {
			if line != strings.Repeat(line[:1], 9)+"\n" {
				t.Fatalf("mixed: %q", line)
			}
		}
	})
}
