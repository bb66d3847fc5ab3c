package rpc

import (
	"bytes"
	"strings"
	"testing"

	"connectrpc.com/connect"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// attempts of a stream: the text of each, and the messages.
func readAll(t *testing.T, stream *connect.ServerStreamForClient[v1.StreamOutputResponse]) (texts map[int32]string, last *v1.StreamOutputResponse) {
	t.Helper()
	defer stream.Close()
	texts = make(map[int32]string)
	newest := int32(0)
	for stream.Receive() {
		m := stream.Msg()
		if m.Attempt < newest {
			t.Errorf("attempt %d after %d", m.Attempt, newest)
		}
		newest = m.Attempt
		if have := uint64(len(texts[m.Attempt])); len(m.Data) > 0 && m.Offset != have && last != nil {
			t.Errorf("attempt %d: offset %d after %d bytes", m.Attempt, m.Offset, have)
		}
		texts[m.Attempt] += string(m.Data)
		last = m
	}
	if stream.Err() != nil {
		t.Error(stream.Err())
	}
	return texts, last
}

// TestOutput of three attempts, appended through all nodes and read through all of them: a reader from the beginning, one that comes
// late, one that goes on from where another node left it, and all protocols.
func TestOutput(t *testing.T) {
	nodes := startThree(t)
	ctx := limited(t)
	r := claimOne(t, nodes[0], "w")
	type answer struct {
		texts map[int32]string
		last  *v1.StreamOutputResponse
	}
	answers := make(chan answer, 3)
	for _, client := range []fairlanev1connect.JobServiceClient{
		nodes[0].jobs(),
		fairlanev1connect.NewJobServiceClient(h2c(t), nodes[1].url, connect.WithGRPC()),
		fairlanev1connect.NewJobServiceClient(h2c(t), nodes[2].url, connect.WithProtoJSON()),
	} {
		stream, err := client.StreamOutput(ctx, &v1.StreamOutputRequest{Id: r.job, Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		if !stream.Receive() || stream.Msg().Attempt != 1 || len(stream.Msg().Data) > 0 {
			t.Fatalf("an attempt without output: %v %v", stream.Msg(), stream.Err())
		}
		go func() {
			texts, last := readAll(t, stream)
			answers <- answer{texts, last}
		}()
	}
	if s := r.append(t, nodes[1], 0, "wrong ", nil); s.End != 6 || s.Error != nil {
		t.Errorf("the first piece: %v", s)
	}
	if s := r.append(t, nodes[2], 6, "text", nil); s.End != 10 {
		t.Errorf("the second piece: %v", s)
	}
	if s := r.append(t, nodes[0], 6, "text", nil); s.End != 10 {
		t.Errorf("the second piece again: %v", s)
	}
	if s := r.append(t, nodes[1], 99, "gap", nil); s.Error.GetReason() != string(OutputGap) || s.End != 10 || !strings.Contains(s.Error.GetMessage(), "offset 10") {
		t.Errorf("a gap: %v", s)
	}
	zero := int64(0)
	r.end(t, nodes[0], &v1.FinishRequest{Outcome: &v1.FinishRequest_Failure{Failure: &v1.Failure{Error: "e", RetryAfterMs: &zero}}})
	if s := r.append(t, nodes[1], 10, "late", nil); s.Status != v1.ClaimStatus_CLAIM_STATUS_LOST {
		t.Errorf("after the end of the claim: %v", s)
	}
	silent := claimNext(t, nodes[1], r.session) // attempt 2 says nothing
	silent.end(t, nodes[1], &v1.FinishRequest{Outcome: &v1.FinishRequest_Failure{Failure: &v1.Failure{Error: "e", RetryAfterMs: &zero}}})
	third := claimNext(t, nodes[2], r.session)
	long := strings.Repeat("0123456789abcdef", 10<<10) // more than one message
	third.append(t, nodes[0], 0, long, &v1.Progress{Fraction: 0.5, Message: "half"})
	third.end(t, nodes[0], succeed())
	for range 3 {
		a := <-answers
		if a.texts[1] != "wrong text" || a.texts[3] != long || a.texts[2] != "" || !a.last.Last || a.last.State != v1.JobState_JOB_STATE_SUCCEEDED {
			t.Errorf("read %q, %d bytes, last %v", a.texts[1], len(a.texts[3]), a.last)
		}
	}
	for i, node := range nodes {
		late, err := node.jobs().StreamOutput(ctx, &v1.StreamOutputRequest{Id: r.job})
		if err != nil {
			t.Fatal(err)
		}
		texts, last := readAll(t, late)
		if len(texts) != 1 || texts[3] != long || last.Offset+uint64(len(last.Data)) != uint64(len(long)) {
			t.Errorf("node %d, late: %d attempts, %d bytes", i, len(texts), len(texts[3]))
		}
		resumed, err := node.jobs().StreamOutput(ctx, &v1.StreamOutputRequest{Id: r.job, Attempt: 1, Offset: 6, Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		if texts, _ = readAll(t, resumed); texts[1] != "text" || texts[3] != long {
			t.Errorf("node %d, resumed: %q, %d bytes", i, texts[1], len(texts[3]))
		}
	}
}

// TestOutputTells skipped bytes and progress.
func TestOutputTells(t *testing.T) {
	node := startNode(t)
	r := claimOne(t, node, "w")
	piece := string(bytes.Repeat([]byte("x"), 1<<20))
	r.append(t, node, 0, piece, nil)
	r.append(t, node, 1<<20, piece[:100], &v1.Progress{Fraction: 1.0 / 3, Message: "a third"})
	stream, err := node.jobs().StreamOutput(limited(t), &v1.StreamOutputRequest{Id: r.job})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var skipped, bytes uint64
	var progress []*v1.Progress
	for stream.Receive() {
		m := stream.Msg()
		if len(m.Data) > pieceBytes {
			t.Errorf("%d bytes in one message", len(m.Data))
		}
		skipped += m.Skipped
		bytes += uint64(len(m.Data))
		if m.Progress != nil {
			progress = append(progress, m.Progress)
		}
	}
	if skipped == 0 || skipped+bytes != 1<<20+100 || stream.Err() != nil {
		t.Errorf("%d bytes, %d skipped: %v", bytes, skipped, stream.Err())
	}
	if len(progress) != 1 || progress[0].Message != "a third" || progress[0].Fraction != 0.333333 || progress[0].AtMs == 0 {
		t.Errorf("progress %v", progress)
	}
	got, err := node.jobs().Get(t.Context(), &v1.GetRequest{Id: r.job})
	if err != nil || got.Job.GetProgress().GetMessage() != "a third" {
		t.Errorf("the job shows %v %v", got, err)
	}
}
