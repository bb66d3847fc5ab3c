package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/hashicorp/go-hclog"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// curl posts JSON and reads JSON, as the README does.
func curl(t *testing.T, url, body string) (status int, answer map[string]any) {
	t.Helper()
	response, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if encoding := response.Header.Get("Content-Encoding"); encoding != "" {
		t.Errorf("the answer is compressed: %s", encoding)
	}
	return response.StatusCode, answer
}

// h2c is a client that speaks HTTP/2 without TLS, as gRPC does.
func h2c(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestOnePort sends one job through all protocols: enqueued with JSON, claimed with gRPC, finished with Connect, read with
// gRPC-Web and with a plain GET.
func TestOnePort(t *testing.T) {
	node := startNode(t)
	ctx := t.Context()
	status, answer := curl(t, node.url+"/fairlane.v1.JobService/Enqueue", `{"job":{"kind":"greet","json":"{\"to\":\"Ana\"}","labels":{"a":"b"}}}`)
	if status != http.StatusOK || answer["id"] != "1" {
		t.Fatalf("enqueue: %d %v", status, answer)
	}

	grpc := fairlanev1connect.NewWorkerServiceClient(h2c(t), node.url, connect.WithGRPC())
	worker, err := grpc.Register(ctx, &v1.RegisterRequest{Name: "w", Nonce: 1, Lanes: "default:1 *:1"})
	if err != nil {
		t.Fatal(err)
	}
	claimed, err := grpc.Claim(ctx, &v1.ClaimRequest{Session: worker.Session, Number: 1, Lowest: 1})
	if err != nil || claimed.Claim.GetJob().GetJson() != `{"to":"Ana"}` || claimed.Claim.GetJob().GetLabels()["a"] != "b" {
		t.Fatalf("claim: %v %v", claimed, err)
	}
	_, err = grpc.Claim(ctx, &v1.ClaimRequest{Session: worker.Session, Lane: 7})
	wantReason(t, err, UnknownLane)

	plain := fairlanev1connect.NewWorkerServiceClient(http.DefaultClient, node.url)
	finished, err := plain.Finish(ctx, &v1.FinishRequest{
		Session: worker.Session, Fence: claimed.Claim.Fence, Number: 2, Lowest: 1,
		Outcome: &v1.FinishRequest_Success{Success: &v1.Success{Result: []byte("hello")}}, Next: &v1.NextClaim{},
	})
	if err != nil || finished.Error != nil || finished.State != v1.JobState_JOB_STATE_SUCCEEDED || finished.Next.GetReason() != v1.EmptyReason_EMPTY_REASON_NOTHING {
		t.Fatalf("finish: %v %v", finished, err)
	}
	late, err := plain.Finish(ctx, &v1.FinishRequest{
		Session: worker.Session, Fence: claimed.Claim.Fence, Outcome: &v1.FinishRequest_Failure{Failure: &v1.Failure{Error: "other"}},
	})
	if err != nil || late.GetError().GetReason() != string(LostClaim) || late.GetError().GetCode() != "FL1201" {
		t.Fatalf("a second finish: %v %v", late, err)
	}

	web := fairlanev1connect.NewJobServiceClient(http.DefaultClient, node.url, connect.WithGRPCWeb())
	got, err := web.Get(ctx, &v1.GetRequest{Id: 1})
	if err != nil || string(got.Job.Result) != "hello" {
		t.Fatalf("get: %v %v", got, err)
	}
	response, err := http.Get(node.url + "/fairlane.v1.JobService/Get?encoding=json&connect=v1&message=" + url.QueryEscape(`{"id":1}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK || !bytes.Contains(body, []byte("JOB_STATE_SUCCEEDED")) || response.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("GET: %d %s %v", response.StatusCode, body, response.Header)
	}
}

// TestBadProtocol: what is wrong about a request before its body, and errors in gRPC.
func TestBadProtocol(t *testing.T) {
	node := startNode(t)
	before := node.fingerprint(t)
	for _, c := range []struct {
		what, method, path string
		header             [2]string
		body               string
		status             int
		want               Reason
		names              string
	}{
		{"a path that is not there", "POST", "/fairlane.v1.JobService/Steal", [2]string{}, "{}", 501, UnknownMethod, "Steal"},
		{"the root", "GET", "/", [2]string{}, "", 501, UnknownMethod, "GET /"},
		{"GET for a change", "GET", "/fairlane.v1.JobService/Enqueue?encoding=json&message={}", [2]string{}, "", 405, Malformed, "GET"},
		{"GET without encoding", "GET", "/fairlane.v1.JobService/Get", [2]string{}, "", 415, Malformed, "encoding"},
		{"GET with a broken message", "GET", "/fairlane.v1.JobService/Get?encoding=json&connect=v1&message=%7B", [2]string{}, "", 400, Malformed, ""},
		{"DELETE", "DELETE", "/fairlane.v1.JobService/Cancel", [2]string{}, "", 405, Malformed, "DELETE"},
		{"gzip", "POST", "/fairlane.v1.JobService/Get", [2]string{"Content-Encoding", "gzip"}, `{"id":1}`, 400, Malformed, "gzip"},
		{"another protocol version", "POST", "/fairlane.v1.JobService/Get", [2]string{"Connect-Protocol-Version", "9"}, `{"id":1}`, 400, Malformed, "9"},
		{"a timeout that is no number", "POST", "/fairlane.v1.JobService/Get", [2]string{"Connect-Timeout-Ms", "soon"}, `{"id":1}`, 400, InvalidArgument, "Connect-Timeout-Ms"},
		{"an enum name that is not there", "POST", "/fairlane.v1.QueueService/SetQueue", [2]string{}, `{"name":"q","settings":{"mode":"QUEUE_MODE_LIFO"}}`, 400, InvalidArgument, "mode"},
		{"a number out of range", "POST", "/fairlane.v1.JobService/Enqueue", [2]string{}, `{"job":{"kind":"k","priority":3000000000}}`, 400, InvalidArgument, "priority"},
		{"a negative id", "POST", "/fairlane.v1.JobService/Get", [2]string{}, `{"id":-1}`, 400, InvalidArgument, "id"},
		{"a payload that is not JSON", "POST", "/fairlane.v1.JobService/Enqueue", [2]string{}, `{"job":{"kind":"k","json":"{a"}}`, 400, InvalidArgument, "job.json"},
		{"two payloads", "POST", "/fairlane.v1.JobService/Enqueue", [2]string{}, `{"job":{"kind":"k","json":"1","data":"AA=="}}`, 400, Malformed, ""},
		{"lanes", "POST", "/fairlane.v1.WorkerService/Register", [2]string{}, `{"name":"w","nonce":1,"lanes":"fast:1 *"}`, 400, BadLanes, "missing_count"},
		{"a number without session", "POST", "/fairlane.v1.JobService/Cancel", [2]string{}, `{"id":1,"repeat":{"number":1}}`, 400, InvalidArgument, "repeat.session"},
		{"a lowest above its number", "POST", "/fairlane.v1.JobService/Cancel", [2]string{}, `{"id":1,"repeat":{"session":1,"number":1,"lowest":2}}`, 400, InvalidArgument, "repeat.lowest"},
		{"a lease below three heartbeats", "POST", "/fairlane.v1.JobService/Enqueue", [2]string{}, `{"job":{"kind":"k","limits":{"leaseMs":5000,"heartbeatMs":2000}}}`, 400, InvalidArgument, "lease_ms"},
		{"a short lease", "POST", "/fairlane.v1.QueueService/SetQueue", [2]string{}, `{"name":"q","settings":{"limits":{"lease_ms":2999}}}`, 400, InvalidArgument, "lease_ms"},
		{"a long wait", "POST", "/fairlane.v1.WorkerService/Claim", [2]string{}, `{"session":1,"waitMs":60001}`, 400, InvalidArgument, "wait_ms"},
	} {
		request, _ := http.NewRequest(c.method, node.url+c.path, strings.NewReader(c.body))
		request.Header.Set("Content-Type", "application/json")
		if c.header[0] != "" {
			request.Header.Set(c.header[0], c.header[1])
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		reason, message := wireError(t, body)
		if response.StatusCode != c.status || reason != c.want || !strings.Contains(message, c.names) {
			t.Errorf("%s: got %d %s, want %d %s naming %q: %s", c.what, response.StatusCode, reason, c.status, c.want, c.names, body)
		}
	}
	grpc := fairlanev1connect.NewJobServiceClient(h2c(t), node.url, connect.WithGRPC())
	_, err := grpc.Enqueue(t.Context(), &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k", Payload: &v1.NewJob_Data{Data: make([]byte, 1<<20+1)}}})
	if metadata := wantReason(t, err, TooLarge); metadata["field"] != "job.data" || metadata["value"] != "1048577" {
		t.Errorf("metadata %v", metadata)
	}
	_, err = grpc.Enqueue(t.Context(), &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k", Payload: &v1.NewJob_Data{Data: make([]byte, 10<<20)}}})
	wantReason(t, err, TooLarge)
	if after := node.fingerprint(t); after != before {
		t.Error("the machine moved")
	}
	// The largest that is allowed.
	if _, err = grpc.Enqueue(t.Context(), &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k", Payload: &v1.NewJob_Data{Data: make([]byte, 1<<20)}}}); err != nil {
		t.Error(err)
	}
}

// TestPanic: a handler that panics answers INTERNAL and says nothing of what it was; the log does.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	s := &server{lead: &follower{}, log: hclog.New(&hclog.LoggerOptions{Output: &log}), peers: newPeers(nil, nil)}
	handler := connect.NewUnaryHandlerSimple("/x", func(context.Context, *v1.GetRequest) (*v1.GetResponse, error) {
		panic("a secret")
	}, connect.WithRecover(s.recovered))
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/x", strings.NewReader(`{}`))
	r.Header.Set("Content-Type", "application/json")
	handler.ServeHTTP(w, r)
	if reason, _ := wireError(t, w.Body.Bytes()); reason != Internal || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("answer: %s", w.Body)
	}
	if !strings.Contains(log.String(), "a secret") || !strings.Contains(log.String(), "TestPanic") || !strings.Contains(log.String(), "me-1") {
		t.Errorf("log: %s", log.String())
	}
}

func TestHealth(t *testing.T) {
	node := startNode(t)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/readyz?leader": 200} {
		response, err := http.Get(node.url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != want || !json.Valid(body) {
			t.Errorf("%s: %d %s", path, response.StatusCode, body)
		}
	}
	alone := openNode(t, false)
	status := map[string]any{}
	response, err := http.Get(alone.url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&status); err != nil || response.StatusCode != 503 || status["reason"] == "" {
		t.Errorf("a node alone: %d %v %v", response.StatusCode, status, err)
	}
}
