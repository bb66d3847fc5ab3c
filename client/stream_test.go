package fairlane

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// heard is what a reader of a job's output got.
type heard struct {
	chunks []Chunk
	text   string // of the newest attempt
	err    error
	ended  bool
}

// listen reads the output of a job beside the test; what it heard may be looked at after synctest.Wait.
func (w *world) listen(ctx context.Context, id JobID) *heard {
	h := &heard{}
	go func() {
		defer func() { h.ended = true }()
		for chunk, err := range w.client.Stream(ctx, id) {
			if err != nil {
				h.err = err
				return
			}
			if chunk.Restarted {
				h.text = ""
			}
			h.chunks = append(h.chunks, chunk)
			h.text += string(chunk.Data)
		}
	}()
	return h
}

// wantInOrder checks that every byte came once and in its place.
func (h *heard) wantInOrder(t *testing.T) {
	t.Helper()
	attempt, next := 0, uint64(0)
	for _, c := range h.chunks {
		if c.Attempt != attempt {
			attempt, next = c.Attempt, 0
		}
		if c.Offset != next+c.Skipped {
			t.Fatalf("a chunk of attempt %d at %d, %d skipped; %d was due", c.Attempt, c.Offset, c.Skipped, next)
		}
		next = c.Offset + uint64(len(c.Data))
	}
}

// lines is a handler that writes n lines, one in 100 ms.
func lines(t *testing.T, n int) RawHandler {
	return func(_ context.Context, job *RawJob) ([]byte, error) {
		for i := range n {
			write(t, job.Output(), fmt.Sprintf("line %d\n", i))
			time.Sleep(100 * time.Millisecond)
		}
		return nil, nil
	}
}

func linesText(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}

// TestStreamOverBrokenConnections: early and late readers get all of the output, in order, once, whatever happens to their connections.
func TestStreamOverBrokenConnections(t *testing.T) {
	for name, wrong := range map[string]fault{"never": {}, "cut": {cut: 3}, "cut at once": {cut: 1}, "down": {dial: true}, "hangs": {hang: true},
		"mute": {mute: true}, "no leader": {refuse: ErrNoLeader}, "too slow": {refuse: ErrSlowWatcher, retry: time.Second},
		"going down": {refuse: ErrShuttingDown}, "lags behind": {refuse: ErrUnknownJob}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.piece = 5 // messages do not end where lines do
				w.faults(func(s seen) fault {
					if s.method == "StreamOutput" && s.nth%4 != 0 {
						return wrong
					}
					return fault{}
				})
				w.start("a:1", lines(t, 100))
				id := w.enqueue("a")
				early := w.listen(t.Context(), id)
				advance(5 * time.Second)
				middle := w.listen(t.Context(), id)
				advance(10 * time.Minute)
				late := w.listen(t.Context(), id)
				advance(10 * time.Minute)
				for when, h := range map[string]*heard{"early": early, "middle": middle, "late": late} {
					if !h.ended || h.err != nil || h.text != linesText(100) {
						t.Errorf("%s: ended %v, %v, %d bytes of %d", when, h.ended, h.err, len(h.text), len(linesText(100)))
					}
					h.wantInOrder(t)
				}
				asked := uint64(0)
				for _, s := range w.requests("StreamOutput") {
					asked = max(asked, s.req.(*fairlanev1.StreamOutputRequest).Offset)
				}
				if wrong.cut > 0 && asked == 0 {
					t.Error("every connection asked for all from the beginning")
				}
			})
		})
	}
}

// TestStreamRestarts: a new attempt is told, also when it writes nothing or after a reader's connection broke in between, and nothing of the former is left.
func TestStreamRestarts(t *testing.T) {
	for name, second := range map[string]string{"writes": "right.", "writes nothing": ""} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.faults(func(s seen) fault {
					if s.method == "StreamOutput" && s.nth == 1 {
						return fault{cut: 1}
					}
					return fault{}
				})
				w.start("a:1", func(ctx context.Context, job *RawJob) ([]byte, error) {
					if job.Attempt == 1 {
						write(t, job.Output(), "wrong, ", "and longer than what is right.")
						<-ctx.Done()
						return nil, ctx.Err()
					}
					for _, one := range second {
						write(t, job.Output(), string(one))
						time.Sleep(time.Second)
					}
					return nil, nil
				})
				id := w.enqueue("a")
				h := w.listen(t.Context(), id)
				advance(time.Second)
				if !strings.HasPrefix(h.text, "wrong, and") {
					t.Fatalf("read %q of the first attempt", h.text)
				}
				w.mu.Lock()
				w.jobs[uint64(id)].fence, w.jobs[uint64(id)].State = 0, StatePending
				w.mu.Unlock()
				advance(time.Minute)
				if !h.ended || h.err != nil || h.text != second {
					t.Errorf("ended %v, %v, with %q", h.ended, h.err, h.text)
				}
				h.wantInOrder(t)
				restarts := 0
				for _, c := range h.chunks {
					if c.Restarted {
						restarts++
						if c.Attempt != 2 {
							t.Errorf("attempt %d is told as a restart", c.Attempt)
						}
					}
				}
				if restarts != 1 {
					t.Errorf("%d restarts told", restarts)
				}
				late := w.listen(t.Context(), id)
				advance(time.Second)
				if !late.ended || late.text != second || len(late.chunks) > 0 && late.chunks[0].Restarted {
					t.Errorf("a late reader got %+v", late)
				}
			})
		})
	}
}

// TestStreamOfAFailedJob: the loop ends with what became of the job, so that its text is not taken for an answer.
func TestStreamOfAFailedJob(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
			write(t, job.Output(), "half an ans")
			return nil, errors.New("out of memory")
		})
		h := w.listen(t.Context(), w.enqueue("a"))
		advance(time.Second)
		failed, ok := errors.AsType[*JobError](h.err)
		if !ok || !errors.Is(h.err, ErrFailed) || failed.Message != "out of memory" || h.text != "half an ans" {
			t.Errorf("read %q, then %v", h.text, h.err)
		}
	})
}

// TestStreamSkips: what is no longer kept is told.
func TestStreamSkips(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.kept = 10
		w.start("a:1", lines(t, 10))
		id := w.enqueue("a")
		early := w.listen(t.Context(), id)
		advance(2 * time.Second)
		late := w.listen(t.Context(), id)
		advance(2 * time.Second)
		all := linesText(10)
		if early.text != all {
			t.Errorf("an early reader got %d bytes of %d", len(early.text), len(all))
		}
		if late.text != all[len(all)-10:] || late.chunks[0].Skipped != uint64(len(all)-10) {
			t.Errorf("a late reader got %+v", late.chunks)
		}
		late.wantInOrder(t)
	})
}

// TestStreamProgress: reports come with the output, each once, also over a broken connection.
func TestStreamProgress(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.faults(func(s seen) fault {
			if s.method == "StreamOutput" && s.nth < 3 {
				return fault{cut: 1}
			}
			return fault{}
		})
		w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
			for i := range 3 {
				job.Progress(float64(i)/4, fmt.Sprint(i))
				time.Sleep(time.Second)
			}
			return nil, nil
		})
		h := w.listen(t.Context(), w.enqueue("a"))
		advance(5 * time.Second)
		var got []string
		for _, c := range h.chunks {
			if c.Progress != nil {
				got = append(got, c.Progress.Message)
			}
		}
		if fmt.Sprint(got) != "[0 1 2]" || !h.ended || h.err != nil {
			t.Errorf("progress %v, %v", got, h.err)
		}
	})
}

// TestStreamEnds: a reader that goes, a context that ends, a closed client and a job that does not exist end the stream.
func TestStreamEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.enqueue("a")
		why := errors.New("enough of it")
		ctx, cancel := context.WithCancelCause(t.Context())
		h := w.listen(ctx, id)
		synctest.Wait()
		cancel(why)
		synctest.Wait()
		if !h.ended || !errors.Is(h.err, why) {
			t.Errorf("ended %v, %v", h.ended, h.err)
		}
		nobody := w.listen(t.Context(), 99)
		synctest.Wait()
		wantErr(t, nobody.err, ErrUnknownJob)

		w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
			for range 100 {
				if err := job.Token("x."); err != nil {
					return nil, err
				}
				time.Sleep(time.Second)
			}
			return nil, nil
		})
		n := 0
		for _, err := range w.client.Stream(t.Context(), id) {
			if n++; err != nil || n == 3 {
				wantErr(t, err, nil)
				break
			}
		}
		closed := w.listen(t.Context(), id)
		synctest.Wait()
		w.client.Close()
		synctest.Wait()
		wantErr(t, closed.err, ErrClosed)
	})
}

// TestSilentStream: a stream on which nothing comes is opened again at another node: after a minute, and at once when a heartbeat shows that
// the node hangs.
func TestSilentStream(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.enqueue("a")
		h := w.listen(t.Context(), id)
		advance(streamSilence - 1)
		if n := len(w.requests("StreamOutput")); n != 1 {
			t.Errorf("%d requests before a minute was over", n)
		}
		advance(1)
		got := w.requests("StreamOutput")
		if len(got) != 2 || got[0].node == got[1].node {
			t.Fatalf("%d requests after a minute", len(got))
		}
		w.client.nodes.suspect(w.client.nodes.after(w.client.nodes.list[0]))
		synctest.Wait()
		if got = w.requests("StreamOutput"); len(got) != 3 || got[2].node == got[1].node {
			t.Errorf("%d requests after the node was suspected", len(got))
		}
		w.start("a:1", lines(t, 1))
		advance(time.Second)
		if !h.ended || h.text != linesText(1) {
			t.Errorf("read %q, %v", h.text, h.err)
		}
	})
}

// TestSlowReader: the time that a reader takes is not taken for silence.
func TestSlowReader(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start("a:1", lines(t, 3))
		var text string
		for chunk, err := range w.client.Stream(t.Context(), w.enqueue("a")) {
			wantErr(t, err, nil)
			text += string(chunk.Data)
			time.Sleep(2 * streamSilence)
		}
		if n := len(w.requests("StreamOutput")); n != 1 || text != linesText(3) {
			t.Errorf("%d requests, %q", n, text)
		}
	})
}

// TestDefence: messages that cannot be true are cut, or end the connection; none reaches the caller out of its place.
func TestDefence(t *testing.T) {
	type message = fairlanev1.StreamOutputResponse
	text := func(attempt int32, offset uint64, data string, skipped uint64) *message {
		return &message{Attempt: attempt, Offset: offset, Data: []byte(data), Skipped: skipped}
	}
	broken := func(err error) bool { _, is := errors.AsType[*brokenStream](err); return is }
	for name, c := range map[string]struct {
		give   []*message
		want   string // offset:data of each chunk; + a restart, ~ skipped
		broken bool   // the last message ends the connection
	}{
		"in order":               {[]*message{text(1, 0, "ab", 0), text(1, 2, "cd", 0)}, "0:ab 2:cd", false},
		"a repeat":               {[]*message{text(1, 0, "ab", 0), text(1, 0, "ab", 0)}, "0:ab", false},
		"an overlap":             {[]*message{text(1, 0, "abc", 0), text(1, 1, "bcde", 0)}, "0:abc 3:de", false},
		"a gap":                  {[]*message{text(1, 0, "ab", 0), text(1, 3, "d", 0)}, "0:ab", true},
		"a gap that is told":     {[]*message{text(1, 0, "ab", 0), text(1, 3, "d", 1)}, "0:ab ~1 3:d", false},
		"more told than needed":  {[]*message{text(1, 0, "ab", 0), text(1, 3, "d", 3)}, "0:ab ~1 3:d", false},
		"too little told":        {[]*message{text(1, 0, "ab", 0), text(1, 5, "d", 1)}, "0:ab", true},
		"an old attempt":         {[]*message{text(2, 0, "ab", 0), text(1, 2, "x", 0)}, "0:ab", true},
		"a new attempt":          {[]*message{text(1, 0, "ab", 0), text(2, 0, "x", 0)}, "0:ab +0:x", false},
		"a new attempt, skipped": {[]*message{text(1, 0, "ab", 0), text(2, 7, "x", 7)}, "0:ab +~7 7:x", false},
		"nothing of the old":     {[]*message{text(1, 0, "", 0), text(2, 0, "x", 0)}, "0:x", false},
		"a gap in the last":      {[]*message{{Attempt: 1, Offset: 4, Last: true, State: StateSucceeded}}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			r := &outputReader{yield: func(c Chunk, _ error) bool {
				one := fmt.Sprintf("%d:%s", c.Offset, c.Data)
				if c.Skipped > 0 {
					one = fmt.Sprintf("~%d %s", c.Skipped, one)
				}
				if c.Restarted {
					one = "+" + one
				}
				got = append(got, one)
				return true
			}}
			var err error
			for _, m := range c.give {
				err = r.take(m)
			}
			if strings.Join(got, " ") != c.want || broken(err) != c.broken {
				t.Errorf("got %q and %v, want %q, broken %v", got, err, c.want, c.broken)
			}
		})
	}
	// A report is given once.
	reports := 0
	one := &outputReader{yield: func(Chunk, error) bool { reports++; return true }}
	for _, at := range []int64{5, 5, 6} {
		_ = one.take(&message{Attempt: 1, Progress: &fairlanev1.Progress{Fraction: 0.5, AtMs: at}})
	}
	if reports != 2 {
		t.Errorf("%d chunks for two reports", reports)
	}
	// A restart survives the connection that told it with a gap.
	var restarted []bool
	r := &outputReader{yield: func(c Chunk, _ error) bool { restarted = append(restarted, c.Restarted); return true }}
	for _, m := range []*message{text(1, 0, "ab", 0), text(2, 5, "x", 0), text(2, 0, "y", 0)} {
		_ = r.take(m)
	}
	if fmt.Sprint(restarted) != "[false true]" {
		t.Errorf("restarts told: %v", restarted)
	}
	if err := r.take(&message{Attempt: 1, Last: true, State: StateSucceeded}); err == nil || broken(err) || errors.Is(err, errLast) {
		t.Errorf("the end of an older attempt than was read: %v", err)
	}
}
