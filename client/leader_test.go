package fairlane

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// relay is a fake cluster one of whose nodes leads: the others pass calls on and name it. It guards its fields by the fake's lock.
type relay struct {
	*fake
	named    string            // as leader, by the others
	leads    string            // says so itself
	closed   map[string]bool   // refuse connections
	blocked  map[string]bool   // never answer a connection
	clusters map[string]string // the cluster of a node; "": the one of all others
	visits   map[string]int
	refused  int // calls and streams
}

func (r *relay) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	host, named, leads, cluster := req.URL.Host, r.named, r.leads, r.clusters[req.URL.Host]
	closed, blocked := r.closed[host], r.blocked[host]
	if closed {
		r.refused++
	}
	status := strings.HasSuffix(req.URL.Path, "/Status")
	if status {
		r.visits[host]++
	}
	r.mu.Unlock()
	switch {
	case closed:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	case blocked:
		<-req.Context().Done()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: req.Context().Err()}
	case status:
		answer := &fairlanev1.StatusResponse{ClusterId: "ours" + cluster, Role: "follower"}
		if host == leads {
			answer.Role = "leader"
		}
		body, err := proto.Marshal(answer)
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/proto"}}, Body: io.NopCloser(bytes.NewReader(body))}, err
	}
	res, err := r.fake.RoundTrip(req)
	if err == nil && host != named {
		res.Header.Set(leaderHeader, "http://"+named)
	}
	return res, err
}

// inRelay is a world whose calls go through a relay; n9 leads.
func inRelay(t *testing.T, body func(*testing.T, *world, *relay)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *world) {
		r := &relay{fake: w.fake, named: "n9:1", leads: "n9:1", closed: map[string]bool{}, blocked: map[string]bool{},
			clusters: map[string]string{}, visits: map[string]int{}}
		c, err := Open(Config{Endpoints: []string{"n1:1", "n2:1"}, HTTPClient: &http.Client{Transport: r}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		w.client = c
		body(t, w, r)
	})
}

// set changes the relay.
func (r *relay) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// askedFor makes a call and gives the node that got it.
func (w *world) askedFor() string {
	w.t.Helper()
	w.enqueue("a")
	all := w.requests("Enqueue")
	return all[len(all)-1].node
}

// TestCallsMoveToTheLeader: calls go to the leader that answers name, and to the next one when that changes or is gone; so they do after a
// refusal. The address is learnt once.
func TestCallsMoveToTheLeader(t *testing.T) {
	inRelay(t, func(t *testing.T, w *world, r *relay) {
		w.askedFor()
		for _, want := range []string{"n9:1", "n9:1"} {
			if got := w.askedFor(); got != want {
				t.Errorf("asked %s, want %s", got, want)
			}
		}
		r.set(func() { r.named, r.leads = "n8:1", "n8:1" })
		w.askedFor()
		if got := w.askedFor(); got != "n8:1" {
			t.Errorf("asked %s after the change", got)
		}
		r.set(func() { r.named, r.leads, r.closed["n8:1"] = "n7:1", "n7:1", true })
		w.askedFor()
		if got := w.askedFor(); got != "n7:1" {
			t.Errorf("asked %s after the leader had gone", got)
		}
		r.set(func() { r.named, r.leads = "n9:1", "n9:1" })
		_, err := w.client.Get(t.Context(), 1000)
		wantErr(t, err, ErrUnknownJob)
		synctest.Wait()
		if got := w.askedFor(); got != "n9:1" || len(w.client.nodes.list) != 5 {
			t.Errorf("asked %s after a refusal; %d nodes", got, len(w.client.nodes.list))
		}
		for host, n := range r.visits {
			if n > 4 {
				t.Errorf("%d visits to %s", n, host)
			}
		}
	})
}

// TestLeaderOutOfReach: where the leader's address leads nowhere, or to another cluster, calls go on where they are: with no error, no delay, and one
// visit a minute.
func TestLeaderOutOfReach(t *testing.T) {
	for name, spoil := range map[string]func(*relay){
		"refused":         func(r *relay) { r.closed["n9:1"] = true },
		"blocked":         func(r *relay) { r.blocked["n9:1"] = true },
		"another cluster": func(r *relay) { r.clusters["n9:1"] = "not" },
		"no address":      func(r *relay) { r.named = "::" },
	} {
		t.Run(name, func(t *testing.T) {
			inRelay(t, func(t *testing.T, w *world, r *relay) {
				spoil(r)
				began := time.Now()
				for i := range 180 {
					if got := w.askedFor(); got != "n1:1" {
						t.Errorf("call %d went to %s", i, got)
					}
					if took := time.Since(began) - time.Duration(i)*time.Second; took != 0 {
						t.Fatalf("call %d was held up for %v", i, took)
					}
					advance(time.Second)
				}
				if got := r.visits["n9:1"]; name != "no address" && got != 3 || len(w.client.nodes.list) != 2 {
					t.Errorf("%d visits in three minutes, %d nodes", got, len(w.client.nodes.list))
				}
				if name == "no address" {
					return
				}
				r.set(func() { clear(r.closed); clear(r.blocked); clear(r.clusters) })
				advance(time.Minute)
				w.askedFor()
				if got := w.askedFor(); got != "n9:1" {
					t.Errorf("asked %s although the leader can be reached", got)
				}
			})
		})
	}
}

// TestLearntAddressesGiveWay: however many addresses the leaders had over time, calls find the next one, and those that were given are kept.
func TestLearntAddressesGiveWay(t *testing.T) {
	inRelay(t, func(t *testing.T, w *world, r *relay) {
		w.askedFor()
		for i := range 3 * maxNodes {
			leader := fmt.Sprintf("leader%d:1", i)
			r.set(func() { r.named, r.leads = leader, leader })
			w.askedFor()
			if got := w.askedFor(); got != leader {
				t.Fatalf("asked %s, want %s", got, leader)
			}
		}
		if list := w.client.nodes.list; len(list) != maxNodes || list[0].url != "http://n1:1" || list[1].url != "http://n2:1" {
			t.Errorf("%d addresses, the first are %s and %s", len(list), list[0].url, list[1].url)
		}
	})
}

// TestNoFlapping: a node that names a former leader moves nobody, and is believed soon after its word is true.
func TestNoFlapping(t *testing.T) {
	inRelay(t, func(t *testing.T, w *world, r *relay) {
		r.set(func() { r.leads = "n8:1" })
		for range 5 {
			if got := w.askedFor(); got != "n1:1" {
				t.Errorf("asked %s, which does not lead", got)
			}
		}
		if r.visits["n9:1"] != 1 {
			t.Errorf("%d visits", r.visits["n9:1"])
		}
		r.set(func() { r.leads = "n9:1" })
		advance(visitSoon)
		w.askedFor()
		if got := w.askedFor(); got != "n9:1" {
			t.Errorf("asked %s", got)
		}
	})
}

// TestReadersStay: calls move to the leader, streams that only read do not, as long as their node serves.
func TestReadersStay(t *testing.T) {
	inRelay(t, func(t *testing.T, w *world, r *relay) {
		w.askedFor()
		w.askedFor()
		reader := func() string {
			before := len(w.requests("WatchQueue"))
			for _, err := range w.client.WatchQueue(t.Context(), "a") {
				if err != nil {
					t.Error(err)
				}
				break
			}
			return w.requests("WatchQueue")[before:][0].node
		}
		if got := reader(); got != "n1:1" {
			t.Errorf("a reader at %s, want n1", got)
		}
		r.set(func() { r.closed["n1:1"] = true })
		w.faults(func(s seen) fault { return fault{dial: s.node == "n1:1"} })
		for _, want := range []string{"n2:1", "n2:1"} {
			if got := reader(); got != want {
				t.Errorf("a reader at %s, want %s", got, want)
			}
		}
		if r.refused != 1 {
			t.Errorf("the node that is gone was tried %d times", r.refused)
		}
	})
}

// TestCloseDuringVisit: a visit ends with the client.
func TestCloseDuringVisit(t *testing.T) {
	inRelay(t, func(t *testing.T, w *world, r *relay) {
		r.set(func() { r.blocked["n9:1"] = true })
		w.enqueue("a")
		began := time.Now()
		w.client.Close()
		synctest.Wait()
		if w.client.nodes.visiting || time.Since(began) != 0 {
			t.Error("the visit went on")
		}
		if _, err := w.client.Enqueue(t.Context(), "k", nil); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}
