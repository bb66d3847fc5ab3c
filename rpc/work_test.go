package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// testStream is the worker's side of a stream.
type testStream struct {
	*connect.BidiStreamForClientSimple[v1.WorkRequest, v1.WorkResponse]
	t     *testing.T
	first *v1.WorkResponse
	// messages that came, the first one aside.
	messages []*v1.WorkResponse
	answers  map[uint64]*v1.WorkAnswer
}

// openStream opens a stream for a session and waits until it stands. It ends with the test.
func openStream(t *testing.T, client *http.Client, url string, session uint64, options ...connect.ClientOption) *testStream {
	t.Helper()
	s := dialStream(t, client, url, options...)
	if err := s.Send(&v1.WorkRequest{Session: session}); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.first, err = s.Receive(); err != nil {
		t.Fatal(err)
	}
	if len(s.first.GetAnswers()) != 0 {
		t.Errorf("the first message has answers: %v", s.first)
	}
	return s
}

// dialStream opens a stream on which nothing was sent yet.
func dialStream(t *testing.T, client *http.Client, url string, options ...connect.ClientOption) *testStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	stream, err := fairlanev1connect.NewWorkerServiceClient(client, url, options...).Work(ctx)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = stream.CloseRequest()
		_ = stream.CloseResponse()
	})
	return &testStream{BidiStreamForClientSimple: stream, t: t, answers: make(map[uint64]*v1.WorkAnswer)}
}

func (s *testStream) send(lowest uint64, calls ...*v1.WorkCall) {
	s.t.Helper()
	if err := s.Send(&v1.WorkRequest{Lowest: lowest, Calls: calls}); err != nil {
		s.t.Fatal(err)
	}
}

// answer waits for that of a call.
func (s *testStream) answer(id uint64) *v1.WorkAnswer {
	s.t.Helper()
	for s.answers[id] == nil {
		message, err := s.Receive()
		if err != nil {
			s.t.Fatalf("waiting for the answer to call %d: %v", id, err)
		}
		s.messages = append(s.messages, message)
		for _, a := range message.GetAnswers() {
			if s.answers[a.GetId()] != nil {
				s.t.Errorf("two answers to call %d", a.GetId())
			}
			s.answers[a.GetId()] = a
		}
	}
	return s.answers[id]
}

// end waits for the end of the stream; answers that come before are kept.
func (s *testStream) end() error {
	for {
		message, err := s.Receive()
		if err != nil {
			return err
		}
		for _, a := range message.GetAnswers() {
			s.answers[a.GetId()] = a
		}
	}
}

func claimCall(id uint64, waitMs int64) *v1.WorkCall {
	return &v1.WorkCall{Id: id, Call: &v1.WorkCall_Claim{Claim: &v1.ClaimRequest{WaitMs: waitMs, Number: id}}}
}

func finishCall(id, fence uint64) *v1.WorkCall {
	return &v1.WorkCall{Id: id, Call: &v1.WorkCall_Finish{Finish: &v1.FinishRequest{
		Fence: fence, Number: id, Outcome: &v1.FinishRequest_Success{Success: &v1.Success{}}, Next: &v1.NextClaim{},
	}}}
}

// worker registers one with a lane over all queues.
func (n *testNode) worker(t testing.TB, name string, slots int) uint64 {
	t.Helper()
	r, err := n.workers().Register(t.Context(), &v1.RegisterRequest{Name: name, Nonce: 1, Lanes: fmt.Sprintf("*:%d", slots)})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetSession()
}

func (n *testNode) enqueueMany(t testing.TB, count int) *v1.EnqueueManyResponse {
	t.Helper()
	jobs := make([]*v1.NewJob, count)
	for i := range jobs {
		jobs[i] = &v1.NewJob{Kind: "k"}
	}
	r, err := n.jobs().EnqueueMany(t.Context(), &v1.EnqueueManyRequest{Jobs: jobs})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestStreamOfClaims: a claim that waits gets its job in the log entry of the enqueue, and settled ones are answered with nothing.
func TestStreamOfClaims(t *testing.T) {
	node := startNode(t)
	s := openStream(t, h2c(t), node.url, node.worker(t, "w", 3))
	s.send(1, claimCall(1, 1), claimCall(2, 60_000), claimCall(3, 5), claimCall(4, 0))
	if a := s.answer(4).GetClaim(); a.GetReason() != v1.EmptyReason_EMPTY_REASON_NOTHING {
		t.Errorf("a claim that does not wait: %v", s.answer(4))
	}
	made := node.enqueueMany(t, 1)
	got := s.answer(1).GetClaim()
	if got.GetClaim().GetJob().GetId() != 1 || got.GetPosition().GetIndex() != made.GetPosition().GetIndex() {
		t.Errorf("the oldest claim got %v; the enqueue is at %v", got, made.GetPosition())
	}
	if err := s.Send(&v1.WorkRequest{Settle: []uint64{2, 77, 1}}); err != nil {
		t.Fatal(err)
	}
	if a := s.answer(2).GetClaim(); a == nil || a.GetClaim() != nil || a.GetReason() != v1.EmptyReason_EMPTY_REASON_NOTHING {
		t.Errorf("settled: %v", s.answer(2))
	}
	if s.answers[3] != nil {
		t.Error("a claim that was not settled was answered")
	}
	// The same id again, now that it is answered.
	s.send(3, claimCall(2, 0))
	delete(s.answers, 2)
	s.answer(2)
	// The worker sends no more: what waits is answered, then the stream ends well.
	if err := s.CloseRequest(); err != nil {
		t.Fatal(err)
	}
	if a := s.answer(3).GetClaim(); a == nil || a.GetClaim() != nil {
		t.Errorf("at the end of the requests: %v", s.answer(3))
	}
	if err := s.end(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
}

// TestStreamOfFinishes: many finishes in one message share log entries and messages, and each brings the next job.
func TestStreamOfFinishes(t *testing.T) {
	const slots = 50
	node := startNode(t)
	s := openStream(t, h2c(t), node.url, node.worker(t, "w", slots))
	node.enqueueMany(t, 2*slots)
	var claims, finishes []*v1.WorkCall
	for id := uint64(1); id <= slots; id++ {
		claims = append(claims, claimCall(id, 1))
	}
	s.send(1, claims...)
	for id := uint64(1); id <= slots; id++ {
		finishes = append(finishes, finishCall(slots+id, s.answer(id).GetClaim().GetClaim().GetFence()))
	}
	s.messages = nil
	before := node.fingerprint(t).index
	s.send(slots+1, finishes...)
	for id := uint64(slots + 1); id <= 2*slots; id++ {
		a := s.answer(id).GetFinish()
		if a.GetError() != nil || a.GetState() != v1.JobState_JOB_STATE_SUCCEEDED || a.GetNext().GetClaim() == nil {
			t.Errorf("finish %d: %v", id, s.answer(id))
		}
	}
	if entries := node.fingerprint(t).index - before; entries > 3 {
		t.Errorf("%d finishes of one message took %d log entries", slots, entries)
	}
	if len(s.messages) > 3 {
		t.Errorf("the answers to %d finishes came in %d messages", slots, len(s.messages))
	}
}

// TestStreamAnswersAreThoseOfCalls: what a call gets in a stream is what it gets alone, refusals too.
func TestStreamAnswersAreThoseOfCalls(t *testing.T) {
	node := startNode(t)
	session := node.worker(t, "w", 2)
	s := openStream(t, h2c(t), node.url, session)
	ctx := t.Context()
	alone := node.workers()

	equal := func(id uint64, want proto.Message, err error) {
		t.Helper()
		a := s.answer(id)
		if err != nil {
			want = bodyOf(err)
			if a.GetError() == nil {
				t.Errorf("call %d: %v, alone %v", id, a, err)
				return
			}
		}
		got := a.ProtoReflect().WhichOneof(a.ProtoReflect().Descriptor().Oneofs().Get(0))
		if got == nil || !proto.Equal(a.ProtoReflect().Get(got).Message().Interface(), want) {
			t.Errorf("call %d: %v, alone %v", id, a, want)
		}
	}
	node.enqueueMany(t, 2)
	s.send(1, claimCall(1, 0), &v1.WorkCall{Id: 90, Call: &v1.WorkCall_Claim{Claim: &v1.ClaimRequest{Lane: 7}}},
		&v1.WorkCall{Id: 91, Call: &v1.WorkCall_Claim{Claim: &v1.ClaimRequest{WaitMs: -1}}}, &v1.WorkCall{Id: 92},
		&v1.WorkCall{Id: 93, Call: &v1.WorkCall_Claim{Claim: &v1.ClaimRequest{Session: session + 1}}},
		&v1.WorkCall{Id: 94, Call: &v1.WorkCall_Release{Release: &v1.ReleaseRequest{}}},
		&v1.WorkCall{Id: 95, Call: &v1.WorkCall_Finish{Finish: &v1.FinishRequest{Fence: 5}}},
		&v1.WorkCall{Id: 96, Call: &v1.WorkCall_Claim{Claim: &v1.ClaimRequest{Number: 1_000_000}}})
	claimed, err := alone.Claim(ctx, &v1.ClaimRequest{Session: session, Number: 1, Lowest: 1})
	equal(1, claimed, err)
	_, err = alone.Claim(ctx, &v1.ClaimRequest{Session: session, Lane: 7})
	equal(90, nil, err)
	_, err = alone.Claim(ctx, &v1.ClaimRequest{Session: session, WaitMs: -1})
	equal(91, nil, err)
	if s.answer(92).GetError().GetReason() != string(InvalidArgument) || s.answer(93).GetError().GetReason() != string(InvalidArgument) {
		t.Errorf("no call: %v; another session: %v", s.answer(92), s.answer(93))
	}
	_, err = alone.Release(ctx, &v1.ReleaseRequest{Session: session})
	equal(94, nil, err)
	_, err = alone.Finish(ctx, &v1.FinishRequest{Session: session, Fence: 5})
	equal(95, nil, err)
	_, err = alone.Claim(ctx, &v1.ClaimRequest{Session: session, Number: 1_000_000, Lowest: 1})
	equal(96, nil, err)

	fence := claimed.GetClaim().GetFence()
	s.send(2, &v1.WorkCall{Id: 100, Call: &v1.WorkCall_Output{Output: &v1.AppendOutputRequest{Parts: []*v1.OutputPart{{Fence: fence, Offset: 5, Data: []byte("x")}}}}},
		&v1.WorkCall{Id: 101, Call: &v1.WorkCall_Heartbeat{Heartbeat: &v1.HeartbeatRequest{Fences: []uint64{fence, 77}}}})
	if a := s.answer(100).GetOutput(); len(a.GetStatuses()) != 1 || a.GetStatuses()[0].GetError().GetReason() != string(OutputGap) {
		t.Errorf("output: %v", s.answer(100))
	}
	beat := s.answer(101).GetHeartbeat().GetStatuses()
	if len(beat) != 2 || beat[0] != v1.ClaimStatus_CLAIM_STATUS_OK || beat[1] != v1.ClaimStatus_CLAIM_STATUS_LOST {
		t.Errorf("heartbeat: %v", s.answer(101))
	}
	s.send(2, finishCall(2, fence), finishCall(3, 99), &v1.WorkCall{Id: 4, Call: &v1.WorkCall_Release{Release: &v1.ReleaseRequest{Fences: []uint64{fence}, Number: 4}}})
	for id, lost := range map[uint64]uint64{2: fence, 3: 99} {
		request := proto.CloneOf(finishCall(id, lost).GetFinish())
		request.Session, request.Lowest = session, 2
		again, err := alone.Finish(ctx, request)
		equal(id, again, err)
	}
	again, err := alone.Release(ctx, &v1.ReleaseRequest{Session: session, Fences: []uint64{fence}, Number: 4, Lowest: 2})
	equal(4, again, err)
	// A number that was used for another call, and one that is forgotten.
	s.send(2, &v1.WorkCall{Id: 200, Call: &v1.WorkCall_Claim{Claim: &v1.ClaimRequest{Number: 2}}},
		&v1.WorkCall{Id: 201, Call: &v1.WorkCall_Claim{Claim: &v1.ClaimRequest{Number: 1, Lowest: 1}}})
	_, err = alone.Claim(ctx, &v1.ClaimRequest{Session: session, Number: 2, Lowest: 2})
	equal(200, nil, err)
	_, err = alone.Claim(ctx, &v1.ClaimRequest{Session: session, Number: 1, Lowest: 1})
	equal(201, nil, err)
}

// TestStreamBreaksAfterTheFinish: what a broken stream left unanswered is sent again by number, in another stream or alone.
func TestStreamBreaksAfterTheFinish(t *testing.T) {
	node := startNode(t)
	session := node.worker(t, "w", 1)
	node.enqueueMany(t, 2)
	first := openStream(t, h2c(t), node.url, session)
	second := openStream(t, h2c(t), node.url, session) // two of one session
	first.send(1, claimCall(1, 1))
	fence := first.answer(1).GetClaim().GetClaim().GetFence()
	first.send(2, finishCall(2, fence))
	want := first.answer(2).GetFinish()
	_ = first.CloseRequest()
	_ = first.CloseResponse()
	second.send(2, finishCall(2, fence))
	if got := second.answer(2).GetFinish(); want == nil || !proto.Equal(got, want) {
		t.Errorf("first %v, again %v", want, got)
	}
	request := finishCall(2, fence).GetFinish()
	request.Session, request.Lowest = session, 2
	if got, err := node.workers().Finish(t.Context(), request); err != nil || !proto.Equal(got, want) {
		t.Errorf("first %v, alone %v, %v", want, got, err)
	}
}

// TestStreamsOverAllProtocols: Connect with protobuf and JSON, and gRPC.
func TestStreamsOverAllProtocols(t *testing.T) {
	node := startNode(t)
	session := node.worker(t, "w", 9)
	for name, options := range map[string][]connect.ClientOption{
		"connect": nil, "json": {connect.WithProtoJSON()}, "grpc": {connect.WithGRPC()},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStream(t, h2c(t), node.url, session, options...)
			node.enqueueMany(t, 1)
			s.send(0, &v1.WorkCall{Id: 1, Call: &v1.WorkCall_Claim{Claim: &v1.ClaimRequest{WaitMs: 1}}})
			if s.answer(1).GetClaim().GetClaim().GetFence() == 0 {
				t.Errorf("claim: %v", s.answer(1))
			}
			if err := s.Send(&v1.WorkRequest{Session: session + 1}); err != nil {
				t.Fatal(err)
			}
			wantReason(t, s.end(), InvalidArgument)
		})
	}
}

func openAt(t *testing.T, node *testNode, session uint64) *testStream {
	t.Helper()
	return openStream(t, h2c(t), node.url, session)
}

// TestStreamThroughAFollower: it passes everything on, says where the leader is, and ends the stream when another node leads.
func TestStreamThroughAFollower(t *testing.T) {
	nodes := startThree(t)
	var leader, follower, third *testNode
	for _, node := range nodes {
		switch {
		case node.IsLeader():
			leader = node
		case follower == nil:
			follower = node
		default:
			third = node
		}
	}
	session := follower.worker(t, "w", 3)
	s := openAt(t, follower, session)
	if s.first.GetLeaderUrl() != leader.url {
		t.Errorf("leader_url is %q, the leader is %q", s.first.GetLeaderUrl(), leader.url)
	}
	if direct := openAt(t, leader, session); direct.first.GetLeaderUrl() != "" {
		t.Errorf("the leader says that %q leads", direct.first.GetLeaderUrl())
	}
	s.send(1, claimCall(1, 1), claimCall(2, 1))
	waitUntil(t, t.Context(), "both wait at the leader", func() bool { return leader.Status().Parked == 2 })
	made := third.enqueueMany(t, 1)
	got := s.answer(1).GetClaim()
	if got.GetClaim().GetFence() == 0 || got.GetPosition().GetIndex() != made.GetPosition().GetIndex() {
		t.Errorf("claim: %v; the enqueue is at %v", got, made.GetPosition())
	}
	s.send(2, finishCall(3, got.GetClaim().GetFence()))
	if a := s.answer(3).GetFinish(); a.GetError() != nil || a.GetState() != v1.JobState_JOB_STATE_SUCCEEDED {
		t.Errorf("finish: %v", s.answer(3))
	}
	// What the leader finds wrong, and what this node does.
	bad := openAt(t, follower, session)
	if err := bad.Send(&v1.WorkRequest{Session: session + 1}); err != nil {
		t.Fatal(err)
	}
	wantReason(t, bad.end(), InvalidArgument)
	leader.stop()
	err := s.end()
	reason, _, _ := ReasonOf(err)
	if reason != NotLeader && reason != ShuttingDown && reason != UnknownOutcome {
		t.Errorf("the stream ended with %v", err)
	}
	// The claim that was unanswered goes on in the next stream.
	again := openAt(t, follower, session)
	again.send(2, claimCall(2, 1))
	third.enqueueMany(t, 1)
	if a := again.answer(2).GetClaim(); a.GetClaim().GetJob().GetId() != 2 {
		t.Errorf("after the change of the leader: %v", again.answer(2))
	}
	follower.stop()
	wantReason(t, again.end(), ShuttingDown)
}
