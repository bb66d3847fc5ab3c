package rpc

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// BenchmarkUnary is the path of one call through the handler, the log of a single node and back, without a socket: what matters here are the
// allocations. Enqueue carries 256 bytes; finish carries the claim of the next job.
func BenchmarkUnary(b *testing.B) {
	node := startNode(b)
	handler, release := NewHandler(node.Node, Config{Version: "test"})
	b.Cleanup(release)
	call := func(b *testing.B, method string, request, answer proto.Message) {
		body, err := proto.Marshal(request)
		if err != nil {
			b.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/fairlane.v1."+method, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/proto")
		r.Header.Set("Connect-Protocol-Version", "1")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatalf("%s: %d %s", method, w.Code, w.Body)
		}
		if err := proto.Unmarshal(w.Body.Bytes(), answer); err != nil {
			b.Fatal(err)
		}
	}
	enqueue := func(b *testing.B) {
		job := &v1.NewJob{Kind: "k", Queue: "q", User: "ana", Payload: &v1.NewJob_Data{Data: make([]byte, 256)}}
		call(b, "JobService/Enqueue", &v1.EnqueueRequest{Job: job}, &v1.EnqueueResponse{})
	}
	b.Run("enqueue", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			enqueue(b)
		}
	})
	b.Run("finish", func(b *testing.B) {
		worker := &v1.RegisterResponse{}
		call(b, "WorkerService/Register", &v1.RegisterRequest{Name: "w" + strconv.Itoa(b.N), Nonce: uint64(b.N), Lanes: "q:1", FormerGone: true}, worker)
		for range b.N + 1 {
			enqueue(b)
		}
		claim := &v1.ClaimResponse{}
		call(b, "WorkerService/Claim", &v1.ClaimRequest{Session: worker.Session, Number: 1, Lowest: 1}, claim)
		fence := claim.GetClaim().GetFence()
		b.ReportAllocs()
		b.ResetTimer()
		for i := range uint64(b.N) {
			answer := &v1.FinishResponse{}
			call(b, "WorkerService/Finish", &v1.FinishRequest{
				Session: worker.Session, Fence: fence, Number: i + 2, Lowest: i + 2,
				Outcome: &v1.FinishRequest_Success{Success: &v1.Success{}}, Next: &v1.NextClaim{},
			}, answer)
			fence = answer.GetNext().GetClaim().GetFence()
		}
	})
}
