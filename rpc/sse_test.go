package rpc

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// sseReader reads blocks of an event stream, as a browser does.
type sseReader struct {
	t    *testing.T
	body io.ReadCloser
	text *bufio.Reader
}

func openSSE(t *testing.T, url, lastID string) *sseReader {
	t.Helper()
	request, _ := http.NewRequestWithContext(limited(t), http.MethodGet, url, nil)
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	h := response.Header
	if response.StatusCode != 200 || h.Get("Content-Type") != "text/event-stream; charset=utf-8" || h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("%s: %d %v", url, response.StatusCode, h)
	}
	return &sseReader{t: t, body: response.Body, text: bufio.NewReader(response.Body)}
}

// block gives the fields of the next one; the key "" is a comment.
func (r *sseReader) block() map[string]string {
	r.t.Helper()
	out := make(map[string]string)
	for {
		line, err := r.text.ReadString('\n')
		if err != nil {
			r.t.Fatal(err)
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			return out
		}
		key, value, _ := strings.Cut(line, ":")
		out[key] = strings.TrimPrefix(value, " ")
	}
}

// event is the next block with a name.
func (r *sseReader) event() map[string]string {
	r.t.Helper()
	for {
		if block := r.block(); block["event"] != "" {
			return block
		}
	}
}

func TestSSE(t *testing.T) {
	nodes := startThree(t)
	ctx := limited(t)
	all := openSSE(t, nodes[0].url+"/v1/events", "")
	if first := all.block(); first["id"] == "" || first["event"] != "" {
		t.Errorf("the beginning: %v", first)
	}
	for _, job := range []*v1.NewJob{{Kind: "k", Queue: "a", User: "ana"}, {Kind: "k", Queue: "b", User: "bo"}} {
		if _, err := nodes[1].jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: job}); err != nil {
			t.Fatal(err)
		}
	}
	var seen []map[string]string
	for len(seen) < 2 {
		if block := all.event(); block["event"] == "job_enqueued" {
			seen = append(seen, block)
		}
	}
	var data struct{ ID, Kind, Job, Queue, User, State, AtMs string }
	if err := json.Unmarshal([]byte(seen[0]["data"]), &data); err != nil || data.ID != seen[0]["id"] || data.Job != "1" || data.Queue != "a" ||
		data.User != "ana" || data.Kind != "job_enqueued" || data.AtMs == "" {
		t.Errorf("data %s (%v)", seen[0]["data"], err)
	}
	// The header wins over the parameter: a browser keeps the URL when it connects again. On another node.
	resumed := openSSE(t, nodes[2].url+"/v1/events?after=0", seen[0]["id"])
	if ready, next := resumed.event(), resumed.event(); ready["event"] != "job_ready" || next["id"] != seen[1]["id"] {
		t.Errorf("after %s: %v %v", seen[0]["id"], ready, next)
	}
	filtered := openSSE(t, nodes[2].url+"/v1/events?after=0&queue=b&user=bo&state=pending,running&job=2", "")
	if block := filtered.event(); block["event"] != "job_enqueued" || !strings.Contains(block["data"], `"job":"2"`) {
		t.Errorf("filtered: %v", block)
	}
	reset := openSSE(t, nodes[1].url+"/v1/events?after=99.1.1", "")
	if block := reset.event(); block["event"] != "reset" || !strings.Contains(block["data"], `"reason":"`) || !json.Valid([]byte(block["data"])) || block["id"] == "99.1.1" {
		t.Errorf("another epoch: %v", block)
	}
	// The node goes: the reader is told.
	nodes[1].stop()
	if block := reset.event(); block["event"] != "end" || !strings.Contains(block["data"], "SHUTTING_DOWN") || !strings.Contains(block["data"], "FL1105") {
		t.Errorf("the end: %v", block)
	}
}

// TestSSEBeats: a connection without events is not silent, and its id moves.
func TestSSEBeats(t *testing.T) {
	node := startNode(t, func(_ *cluster.Config, c *Config) { c.idleTick = 10 * time.Millisecond })
	quiet := openSSE(t, node.url+"/v1/events?queue=other", "")
	first := quiet.block()
	if beat := quiet.block(); beat[""] != "beat" {
		t.Errorf("a silent connection got %v", beat)
	}
	if _, err := node.jobs().Enqueue(t.Context(), &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k"}}); err != nil {
		t.Fatal(err)
	}
	for {
		if block := quiet.block(); block["id"] != "" {
			if block["id"] == first["id"] || block["event"] != "" {
				t.Errorf("after an event that does not match: %v", block)
			}
			return
		}
	}
}

func TestSSEBadInput(t *testing.T) {
	node := startNode(t)
	before := node.fingerprint(t)
	for query, want := range map[string]struct {
		reason Reason
		field  string
	}{
		"after=1.2": {InvalidArgument, "after"}, "after=" + strings.Repeat("1", 65): {TooLarge, "after"}, "job=x": {InvalidArgument, "job"}, "job=0": {InvalidArgument, "job"}, "job=-1": {InvalidArgument, "job"},
		"queue=a%20b": {InvalidArgument, "queue"}, "queue=" + strings.Repeat("q", 65): {TooLarge, "queue"}, "user=" + strings.Repeat("u", 129): {TooLarge, "user"},
		"user=a%00": {InvalidArgument, "user"}, "state=lost": {InvalidArgument, "state"}, "state=": {InvalidArgument, "state"}, "state=unspecified": {InvalidArgument, "state"},
		"state=pending,": {InvalidArgument, "state"}, "states=pending": {InvalidArgument, "states"}, "job=1&job=2": {InvalidArgument, "job"},
		"user=%zz": {Malformed, "query"}, "user=%ff": {InvalidArgument, "user"},
	} {
		response, err := http.Get(node.url + "/v1/events?" + query)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(io.LimitReader(response.Body, 10_000))
		response.Body.Close()
		reason, message := wireError(t, body)
		if response.StatusCode != 400 || reason != want.reason || !strings.Contains(message, want.field) {
			t.Errorf("%.40s: %d %s", query, response.StatusCode, body)
		}
	}
	response, err := http.Post(node.url+"/v1/events", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if reason, _ := wireError(t, body); reason != UnknownMethod {
		t.Errorf("POST: %s", body)
	}
	if after := node.fingerprint(t); after != before {
		t.Error("the machine moved")
	}
}
