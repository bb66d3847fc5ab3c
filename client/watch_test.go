package fairlane

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestWaitThroughBrokenStreams: Wait gives the job whatever happens to its connections.
func TestWaitThroughBrokenStreams(t *testing.T) {
	for name, wrong := range map[string]fault{"cut": {cut: 1}, "down": {dial: true}, "hangs": {hang: true}, "mute": {mute: true},
		"no leader": {refuse: ErrNoLeader}, "lags behind": {refuse: ErrUnknownJob}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.faults(func(s seen) fault {
					if s.method == "WatchJob" && s.nth%4 != 0 {
						return wrong
					}
					return fault{}
				})
				w.start("a:1", func(context.Context, *RawJob) ([]byte, error) {
					time.Sleep(20 * time.Second)
					return []byte("42"), nil
				})
				job, err := w.client.Wait(t.Context(), w.enqueue("a"))
				if err != nil || string(job.GetResult()) != "42" {
					t.Errorf("got %v, %v", job, err)
				}
				if n := len(w.requests("WatchJob")); n > 60 {
					t.Errorf("%d requests to wait for 20 s", n)
				}
			})
		})
	}
}

// TestWaitEnds: a job that does not exist, the end of the context with its cause, and a closed client end the wait.
func TestWaitEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, err := w.client.Wait(t.Context(), 99)
		wantErr(t, err, ErrUnknownJob)
		id, why := w.enqueue("a"), errors.New("enough of it")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, why)
		defer cancel()
		_, err = w.client.Wait(ctx, id)
		wantErr(t, err, why)
		if n := len(w.requests("WatchJob")); n > 65 {
			t.Errorf("%d requests to wait for an hour", n)
		}
		w.faults(func(seen) fault { return fault{dial: true} })
		before := len(w.requests("WatchJob"))
		minute, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		_, err = w.client.Wait(minute, id)
		wantErr(t, err, context.DeadlineExceeded)
		if n := len(w.requests("WatchJob")) - before; n > 300 {
			t.Errorf("%d requests in a minute to a cluster that is down", n)
		}
		w.faults(func(seen) fault { return fault{} })
		time.AfterFunc(time.Second, func() { w.client.Close() })
		_, err = w.client.Wait(t.Context(), id)
		wantErr(t, err, ErrClosed)
	})
}

// follow collects the events beside the test, as id:kind.
func (w *world) follow(ctx context.Context, filter EventFilter, after string, got *[]string, failed *error) {
	go func() {
		for e, err := range w.client.Events(ctx, filter, after) {
			if err != nil {
				*failed = err
				return
			}
			*got = append(*got, e.ID+":"+e.Kind)
		}
	}()
	synctest.Wait()
}

// TestEventsOverBrokenConnections: every event after the given one comes once, in order, whatever happens to the connections.
func TestEventsOverBrokenConnections(t *testing.T) {
	for name, wrong := range map[string]fault{"never": {}, "cut": {cut: 2}, "cut at once": {cut: 1}, "down": {dial: true}, "hangs": {hang: true},
		"mute": {mute: true}, "too slow": {refuse: ErrSlowWatcher, retry: time.Second}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				requests := map[uint64]int{} // by the filter
				w.faults(func(s seen) fault {
					if r, ok := s.req.(*fairlanev1.WatchEventsRequest); ok {
						if requests[r.Job]++; requests[r.Job]%4 != 0 {
							return wrong
						}
					}
					return fault{}
				})
				before := w.happen("before", 1)
				var all, one []string
				var failed, failedOne error
				w.follow(t.Context(), EventFilter{}, before, &all, &failed)
				w.follow(t.Context(), EventFilter{Job: 2}, "0", &one, &failedOne)
				var wantAll, wantOne []string
				for i := range 50 {
					id := w.happen("made", JobID(i%3))
					wantAll = append(wantAll, id+":made")
					if i%3 == 2 {
						wantOne = append(wantOne, id+":made")
					}
					advance(100 * time.Millisecond)
				}
				advance(10 * time.Minute)
				if fmt.Sprint(all) != fmt.Sprint(wantAll) || fmt.Sprint(one) != fmt.Sprint(wantOne) || failed != nil || failedOne != nil {
					t.Errorf("got %v and %v, %v, %v", all, one, failed, failedOne)
				}
			})
		})
	}
}

// TestEventsReset: what is lost is told in its place, and the stream goes on after it.
func TestEventsReset(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range 10 {
			w.happen("made", 1)
		}
		w.kept = 3
		ctx, cancel := context.WithCancelCause(t.Context())
		var got []string
		var failed error
		w.follow(ctx, EventFilter{}, "7.2.0", &got, &failed)
		w.happen("made", 1)
		synctest.Wait()
		want := "[:reset 7.8.0:made 7.9.0:made 7.10.0:made 7.11.0:made]"
		if fmt.Sprint(got) != want || failed != nil {
			t.Errorf("got %v, %v; want %v", got, failed, want)
		}
		why := errors.New("enough of it")
		cancel(why)
		synctest.Wait()
		wantErr(t, failed, why)
		got = nil
		w.follow(t.Context(), EventFilter{}, "nonsense", &got, &failed)
		wantErr(t, failed, ErrInvalidArgument)
	})
}

// TestEventReader: a repeated event is not given again, a position never goes back, except after a reset.
func TestEventReader(t *testing.T) {
	event := func(id string) *fairlanev1.Event { return &fairlanev1.Event{Id: id, Kind: "k"} }
	var got []string
	r := &eventReader{after: "7.1.0", yield: func(e ClusterEvent, _ error) bool { got = append(got, e.ID+e.Kind); return true }}
	for _, c := range []struct {
		m     *fairlanev1.WatchEventsResponse
		given string
		after string
	}{
		{&fairlanev1.WatchEventsResponse{Events: []*fairlanev1.Event{event("7.1.0"), event("7.1.1"), event("7.2.0")}}, "[7.1.1k 7.2.0k]", "7.2.0"},
		{&fairlanev1.WatchEventsResponse{Events: []*fairlanev1.Event{event("7.2.0"), event("7.3.0")}, EventId: "7.9.0"}, "[7.3.0k]", "7.9.0"},
		{&fairlanev1.WatchEventsResponse{EventId: "7.8.0"}, "[]", "7.9.0"},
		{&fairlanev1.WatchEventsResponse{Events: []*fairlanev1.Event{event("6.1.0")}, EventId: "6.2.0", Reset_: true}, "[reset 6.1.0k]", "6.2.0"},
		{&fairlanev1.WatchEventsResponse{EventId: "5.0.0", Reset_: true}, "[5.0.0reset]", "5.0.0"},
	} {
		got = nil
		if err := r.take(c.m); err != nil || fmt.Sprint(got) != c.given || r.after != c.after {
			t.Errorf("of %v: given %v, then after %s, %v; want %s and %s", c.m, got, r.after, err, c.given, c.after)
		}
	}
}

// TestEventOrder: ids are compared number by number.
func TestEventOrder(t *testing.T) {
	for _, c := range []struct {
		id, other string
		want      bool
	}{
		{"7.500.3", "7.500.2", true}, {"7.500.3", "7.500.3", false}, {"7.500.3", "7.500.10", false}, {"7.1000.0", "7.999.9", true},
		{"8.1.0", "7.999.0", true}, {"7.999.0", "8.1.0", false}, {"7.1.0", "", true}, {"7.1.0", "0", true}, {"", "7.1.0", false},
		{"", "", false}, {"x", "7.1.0", false},
	} {
		if got := eventAfter(c.id, c.other); got != c.want {
			t.Errorf("%q after %q: %v", c.id, c.other, got)
		}
	}
}

// TestWatchQueue: the queue as it is, each change, over broken connections; no such queue is an error.
func TestWatchQueue(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, err := range w.client.WatchQueue(t.Context(), "a") {
			wantErr(t, err, ErrUnknownQueue)
		}
		w.faults(func(s seen) fault {
			if s.method == "WatchQueue" && s.nth%2 == 0 {
				return fault{cut: 2}
			}
			return fault{}
		})
		w.enqueue("a")
		var got []int64
		var work []bool
		done := make(chan struct{})
		go func() {
			defer close(done)
			for q, err := range w.client.WatchQueue(t.Context(), "a") {
				wantErr(t, err, nil)
				got, work = append(got, q.Queue.GetCounts().GetPending()), append(work, q.HasWork)
				if !q.HasWork {
					return
				}
			}
		}()
		for range 4 {
			advance(time.Second)
			w.enqueue("a")
		}
		w.start("a:5", quick)
		advance(time.Second)
		<-done
		if got[0] != 1 || got[len(got)-1] != 0 || work[len(work)-1] {
			t.Errorf("pending %v, work %v", got, work)
		}
	})
}
