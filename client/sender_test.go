package fairlane

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestEachByteOnce: whatever happens to the calls, each byte arrives once, and a call is repeated as it was.
func TestEachByteOnce(t *testing.T) {
	for name, wrong := range map[string]fault{"answer lost": {after: true}, "broken before": {before: true}, "down": {dial: true},
		"hangs": {hang: true}, "busy": {refuse: ErrBusy}, "no leader": {refuse: ErrNoLeader}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.faults(func(s seen) fault {
					if s.method == "AppendOutput" && s.nth%3 != 0 {
						return wrong
					}
					return fault{}
				})
				var want strings.Builder
				w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
					for i := range 100 {
						line := fmt.Sprintf("line %d\n", i)
						want.WriteString(line)
						write(t, job.Output(), line)
						time.Sleep(time.Second)
					}
					return nil, nil
				})
				id := w.enqueue("a")
				advance(2 * time.Minute)
				w.wantState(id, StateSucceeded)
				w.wantOutput(id, want.String())
				sent := w.requests("AppendOutput")
				for i := 0; i+2 < len(sent); i += 3 {
					one := sent[i].req.(*fairlanev1.AppendOutputRequest).Parts[0]
					for _, s := range sent[i+1 : i+3] {
						if again := s.req.(*fairlanev1.AppendOutputRequest).Parts[0]; again.Offset != one.Offset || !bytes.Equal(again.Data, one.Data) {
							t.Fatalf("sent %d %q, then %d %q", one.Offset, one.Data, again.Offset, again.Data)
						}
					}
				}
			})
		})
	}
}

// TestUnansweredGoesWithTheOutcome: output whose call hangs goes with the outcome, which does not wait for it; nor do heartbeats.
func TestUnansweredGoesWithTheOutcome(t *testing.T) {
	for name, wrong := range map[string]fault{"hangs": {hang: true}, "answer lost": {after: true}, "down": {dial: true}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.faults(func(s seen) fault {
					if s.method == "AppendOutput" {
						return wrong
					}
					return fault{}
				})
				w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
					write(t, job.Output(), "one.", "two.")
					time.Sleep(30 * time.Second)
					write(t, job.Output(), "three.")
					return nil, nil
				})
				id := w.enqueue("a")
				advance(30*time.Second - 1)
				if got := len(w.requests("Heartbeat")); got != 1 {
					t.Errorf("%d heartbeats in 30 s, want one", got)
				}
				advance(1)
				w.wantState(id, StateSucceeded)
				w.wantOutput(id, "one.two.three.")
			})
		})
	}
}

// TestCalls: no call is larger than allowed, and none splits a character.
func TestCalls(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		text := "a" + strings.Repeat("😀", outputBytes)
		w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
			write(t, job.Output(), text)
			return bytes.Repeat([]byte("r"), 1<<20), nil
		})
		id := w.enqueue("a")
		advance(10 * time.Second)
		w.wantState(id, StateSucceeded)
		w.wantOutput(id, text)
		for _, s := range w.requests("AppendOutput") {
			size := 0
			for _, p := range s.req.(*fairlanev1.AppendOutputRequest).Parts {
				size += len(p.Data)
				if !utf8.Valid(p.Data) {
					t.Errorf("a character is split at %d or %d", p.Offset, p.Offset+uint64(len(p.Data)))
				}
			}
			if size > appendBytes {
				t.Errorf("a call with %d bytes", size)
			}
		}
		finish := w.requests("Finish")[0].req.(*fairlanev1.FinishRequest)
		if size := len(finish.GetSuccess().GetResult()) + len(finish.GetRest().GetData()); size > finishBytes || finish.GetRest() == nil {
			t.Errorf("the finish has %d bytes, %d of them output", size, len(finish.GetRest().GetData()))
		}
	})
}

// TestOverByOutput: the answer to a piece of output ends the run as that to a heartbeat would, and much earlier.
func TestOverByOutput(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*fakeJob)
		want  error
	}{
		"lost":      {func(j *fakeJob) { j.fence, j.State = 0, StateTimedOut }, ErrClaimLost},
		"cancelled": {func(j *fakeJob) { j.State = StateCancelled }, ErrCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var cause, failed error
				var took time.Duration
				w.start("a:1", func(ctx context.Context, job *RawJob) ([]byte, error) {
					time.Sleep(time.Second)
					write(t, job.Output(), "x.")
					began := time.Now()
					<-ctx.Done()
					cause, took = context.Cause(ctx), time.Since(began)
					_, failed = io.WriteString(job.Output(), "y")
					return nil, ctx.Err()
				})
				id := w.enqueue("a")
				w.mu.Lock()
				c.spoil(w.jobs[uint64(id)])
				w.mu.Unlock()
				advance(5 * time.Second)
				wantErr(t, cause, c.want)
				wantErr(t, failed, c.want)
				if took != 0 {
					t.Errorf("the handler was told after %v", took)
				}
			})
		})
	}
}

// TestLostBytesAreTold: a cluster that has less than it acknowledged gets no output with a hole, and the writer hears of it.
func TestLostBytesAreTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var failed error
		w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
			write(t, job.Output(), "one.")
			time.Sleep(time.Second)
			write(t, job.Output(), "two.")
			time.Sleep(time.Second)
			_, failed = io.WriteString(job.Output(), "three.")
			return nil, nil
		})
		id := w.enqueue("a")
		w.wantOutput(id, "one.")
		w.mu.Lock()
		w.jobs[uint64(id)].outputs = nil
		w.mu.Unlock()
		advance(3 * time.Second)
		wantErr(t, failed, ErrOutputGap)
		w.wantState(id, StateSucceeded)
		if got := w.output(id); got != "" {
			t.Errorf("the cluster has %q", got)
		}
	})
}

// TestOutputIsASignOfLife: while output is acknowledged no claim is given up, although no heartbeat comes through.
func TestOutputIsASignOfLife(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lease = 4 * time.Second
		w.faults(func(s seen) fault { return fault{dial: s.method == "Heartbeat"} })
		w.start("a:1", func(ctx context.Context, job *RawJob) ([]byte, error) {
			for range 30 {
				write(t, job.Output(), ".")
				time.Sleep(time.Second)
			}
			return nil, ctx.Err()
		})
		id := w.enqueue("a")
		advance(31 * time.Second)
		w.wantState(id, StateSucceeded)
		if n := w.count(EventLost); n != 0 {
			t.Errorf("%d claims lost", n)
		}
	})
}

// TestRenewalsNeverGoBack: the answer to an earlier request that comes later does not shorten the lease.
func TestRenewalsNeverGoBack(t *testing.T) {
	table := newClaims(newMachineClock())
	c := &claim{renewed: make(chan struct{})}
	table.renew(c, instant{mono: 5, wall: 5})
	table.renew(c, instant{mono: 3, wall: 3})
	if c.granted.mono != 5 {
		t.Errorf("the lease counts from %v", c.granted.mono)
	}
}

// TestManyStreams: a hundred jobs of a thousand tokens each share the calls, one in flight.
func TestManyStreams(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const jobs, tokens, latency = 100, 1000, 50 * time.Millisecond
		w.faults(func(s seen) fault {
			if s.method == "AppendOutput" {
				return fault{wait: latency}
			}
			return fault{}
		})
		token := func(i int) string {
			if i%10 == 9 {
				return "end. "
			}
			return "word "
		}
		var want strings.Builder
		for i := range tokens {
			want.WriteString(token(i))
		}
		w.start("a:100", func(_ context.Context, job *RawJob) ([]byte, error) {
			for i := range tokens {
				if err := job.Token(token(i)); err != nil {
					return nil, err
				}
				time.Sleep(20*time.Millisecond + time.Duration(job.ID)*time.Microsecond)
			}
			return nil, nil
		})
		began := time.Now()
		var ids []JobID
		for range jobs {
			ids = append(ids, w.enqueue("a"))
		}
		advance(30 * time.Second)
		var ended time.Time
		for _, id := range ids {
			w.wantState(id, StateSucceeded)
			w.wantOutput(id, want.String())
		}
		for _, s := range w.requests("Finish") {
			ended = s.at
		}
		calls, parts := w.requests("AppendOutput"), 0
		for i, s := range calls {
			parts += len(s.req.(*fairlanev1.AppendOutputRequest).Parts)
			if i > 0 && s.at.Sub(calls[i-1].at) < latency {
				t.Fatalf("call %d was sent %v after the one before, which was still in flight", i, s.at.Sub(calls[i-1].at))
			}
		}
		t.Logf("%d tokens in %v: %d calls, %d parts", jobs*tokens, ended.Sub(began), len(calls), parts)
		if most := int(ended.Sub(began)/latency) + 1; len(calls) > most || len(calls) == 0 {
			t.Errorf("%d calls, want at most %d", len(calls), most)
		}
	})
}

// TestFastCluster: also when answers come at once, a worker makes at most a hundred calls in a second.
func TestFastCluster(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
			for range 5000 {
				write(t, job.Output(), ".")
				time.Sleep(200 * time.Microsecond)
			}
			return nil, nil
		})
		id := w.enqueue("a")
		advance(2 * time.Second)
		w.wantOutput(id, strings.Repeat(".", 5000))
		if n := len(w.requests("AppendOutput")); n > 101 {
			t.Errorf("%d calls in a second", n)
		}
	})
}

// TestDrainEndsOutput: a run that is given back leaves nothing behind that writes or sends.
func TestDrainEndsOutput(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.full = true
		var failed error
		stop := w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
			_, failed = job.Output().Write(make([]byte, 2*outputBytes))
			return nil, failed
		}, Grace(time.Second))
		id := w.enqueue("a")
		wantErr(t, stop(), nil)
		wantErr(t, failed, ErrDraining)
		w.wantState(id, StatePending)
		calls := len(w.requests("AppendOutput"))
		advance(time.Minute)
		if now := len(w.requests("AppendOutput")); now != calls {
			t.Errorf("%d calls after Run had returned", now-calls)
		}
		synctest.Wait()
	})
}

// TestNobodyWaitsForARest: an outcome whose output does not fit beside it waits for room, but not when the job is cancelled meanwhile.
func TestNobodyWaitsForARest(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.full = true
		var out io.Writer
		w.start("a:1", func(_ context.Context, job *RawJob) ([]byte, error) {
			out = job.Output()
			write(t, out, strings.Repeat("x", outputBytes-1))
			return make([]byte, 1<<20), nil
		})
		id := w.enqueue("a")
		advance(5 * time.Second)
		if n := len(w.requests("Finish")); n != 0 {
			t.Fatalf("finished without room for the output: %d", n)
		}
		_, err := io.WriteString(out, "y")
		wantErr(t, err, errReturned)
		if _, err := w.client.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		advance(20 * time.Second)
		if n := len(w.requests("Finish")); n != 1 || w.job(id).fence != 0 {
			t.Errorf("%d finishes of the cancelled job", n)
		}
	})
}
