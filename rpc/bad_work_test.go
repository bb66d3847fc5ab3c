package rpc

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/cluster"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestBadWork: what ends a worker's stream. What came before it is answered, and nothing of the message is done.
func TestBadWork(t *testing.T) {
	node := startNode(t)
	session := node.worker(t, "w", 5000)
	claims := func(from, to uint64) []*v1.WorkCall {
		var out []*v1.WorkCall
		for id := from; id <= to; id++ {
			out = append(out, &v1.WorkCall{Id: id, Call: &v1.WorkCall_Claim{Claim: &v1.ClaimRequest{WaitMs: 1}}})
		}
		return out
	}
	large := &v1.WorkCall{Id: 1, Call: &v1.WorkCall_Finish{Finish: &v1.FinishRequest{
		Fence: 1, Outcome: &v1.FinishRequest_Success{Success: &v1.Success{Result: make([]byte, maxMessageBytes)}},
	}}}
	for name, c := range map[string]struct {
		messages []*v1.WorkRequest
		reason   Reason
		says     string
	}{
		"no session":              {[]*v1.WorkRequest{{}}, InvalidArgument, "session"},
		"another session":         {[]*v1.WorkRequest{{Session: session}, {}, {Session: session + 1}}, InvalidArgument, "session"},
		"too many calls":          {[]*v1.WorkRequest{{Session: session, Calls: claims(1, maxWorkCalls+1)}}, InvalidArgument, "2048"},
		"too many unanswered":     {[]*v1.WorkRequest{{Session: session, Calls: claims(1, 2048)}, {Calls: claims(2049, 4096)}, {Calls: claims(5000, 5000)}}, TooManyOpen, ""},
		"too many to settle":      {[]*v1.WorkRequest{{Session: session, Settle: make([]uint64, maxWorkSettles+1)}}, InvalidArgument, "settle"},
		"a call without id":       {[]*v1.WorkRequest{{Session: session, Calls: claims(0, 3)}}, InvalidArgument, "calls[0].id"},
		"an id twice":             {[]*v1.WorkRequest{{Session: session, Calls: append(claims(1, 3), claims(2, 2)...)}}, InvalidArgument, "calls[3].id"},
		"an id that is in use":    {[]*v1.WorkRequest{{Session: session, Calls: claims(1, 3)}, {Calls: claims(3, 3)}}, InvalidArgument, "calls[0].id"},
		"a message too large":     {[]*v1.WorkRequest{{Session: session}, {Calls: []*v1.WorkCall{large}}}, TooLarge, "the message"},
		"one as the first":        {[]*v1.WorkRequest{{Session: session, Calls: []*v1.WorkCall{large}}}, TooLarge, "the message"},
		"an id in use and a loss": {[]*v1.WorkRequest{{Session: session, Calls: claims(1, 1)}, {Calls: claims(1, 1)}}, InvalidArgument, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openWithout(t, node.url)
			for _, message := range c.messages {
				if err := s.Send(message); err != nil {
					break // the end shows why
				}
			}
			err := s.end()
			wantReason(t, err, c.reason)
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error does not name %q: %v", c.says, err)
			}
		})
	}
	waitUntil(t, t.Context(), "no claim is parked any longer", func() bool { return node.Status().Parked == 0 })
	t.Run("a refused message is not done", func(t *testing.T) {
		s := openWithout(t, node.url)
		before := node.fingerprint(t).index
		if err := s.Send(&v1.WorkRequest{Session: session, Calls: []*v1.WorkCall{finishCall(1, 7), finishCall(1, 8)}}); err != nil {
			t.Fatal(err)
		}
		wantReason(t, s.end(), InvalidArgument)
		var moved bool
		if _, err := node.ReadBarrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		moved = node.fingerprint(t).index > before+2 // the barrier, and a tick
		if moved {
			t.Error("the machine moved")
		}
	})
}

// openWithout opens a stream whose first message the test sends.
func openWithout(t *testing.T, url string) *testStream {
	t.Helper()
	s := dialStream(t, h2c(t), url)
	var err error
	if s.first, err = s.Receive(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBadWorkEnvelopes: what can be wrong around the messages, and that HTTP/1.1 cannot carry them.
func TestBadWorkEnvelopes(t *testing.T) {
	node := startNode(t)
	url := node.url + "/fairlane.v1.WorkerService/Work"
	good := envelope(0, []byte(`{"session":"1"}`))
	for _, c := range []badCall{
		{"half an envelope", "application/connect+json", good[:3], 0, Malformed, ""},
		{"half a message", "application/connect+json", good[:9], 0, Malformed, ""},
		{"a compressed message", "application/connect+json", envelope(1, []byte(`{"session":"1"}`)), 0, Malformed, ""},
		{"a second that cannot be read", "application/connect+json", append(bytes.Clone(good), envelope(0, []byte(`{]`))...), 0, Malformed, ""},
		{"an unknown field", "application/connect+json", envelope(0, []byte(`{"session":"1","sesion":"2"}`)), 0, InvalidArgument, "sesion"},
		{"a message said to have 4 GB", "application/connect+json", []byte{0, 0xff, 0xff, 0xff, 0xff, 'x'}, 0, TooLarge, "the message"},
	} {
		checkBad(t, url, c)
	}
	// A body that never ends, as a client that takes HTTP/1.1 for good sends it.
	body, more := io.Pipe()
	defer more.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/connect+proto")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if reason, message := wireError(t, endOfStream(t, answer)); reason != Malformed || !strings.Contains(message, "HTTP/2") {
		t.Errorf("over HTTP/1.1: %q", answer)
	}
}

// TestMessageThatDoesNotCome: a stream may be silent for long, but not in the midst of a message.
func TestMessageThatDoesNotCome(t *testing.T) {
	const path = "/fairlane.v1.WorkerService/Work"
	got := make(chan *v1.WorkRequest, 9)
	handler := connect.NewBidiStreamHandler(path, func(_ context.Context, s *connect.BidiStream[v1.WorkRequest, v1.WorkResponse]) error {
		for {
			message, err := s.Receive()
			if err != nil {
				return err
			}
			got <- message
		}
	}, connect.WithInterceptors(checks{}))
	served := serve(t, &gate{
		next: handler, methods: methods(), writer: connect.NewErrorWriter(), node: "n", bodyTime: 100 * time.Millisecond, writeTime: 100 * time.Millisecond,
	})
	body, send := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, served+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/connect+json")
	ended := make(chan []byte, 1)
	go func() {
		defer close(ended)
		response, err := h2c(t).Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		defer response.Body.Close()
		answer, _ := io.ReadAll(response.Body)
		ended <- answer
	}()
	message := envelope(0, []byte(`{"session":"7"}`))
	write := func(p []byte) {
		if _, err := send.Write(p); err != nil {
			t.Error(err)
		}
	}
	write(append(bytes.Clone(message), message[:7]...)) // one, and the beginning of the next
	write(message[7:])
	for range 2 {
		if m := <-got; m.GetSession() != 7 {
			t.Errorf("got %v", m)
		}
	}
	select {
	case <-ended:
		t.Fatal("a silent stream was ended")
	case <-time.After(300 * time.Millisecond): // three times what a message may take
	}
	write(message[:9])
	if reason, _ := wireError(t, endOfStream(t, <-ended)); reason != TimedOut {
		t.Errorf("got %s", reason)
	}
	send.Close()
}

// TestSlowWorker: a stream whose worker does not read is ended, and loses nothing: the same numbers get their answers in another one.
func TestSlowWorker(t *testing.T) {
	const jobs = 64
	node := startNode(t, func(_ *cluster.Config, c *Config) { c.WriteTime = 2 * time.Second })
	session := node.worker(t, "w", jobs)
	request := &v1.EnqueueManyRequest{}
	for range jobs { // more together than the windows of HTTP/2 hold
		request.Jobs = append(request.Jobs, &v1.NewJob{Kind: "k", Payload: &v1.NewJob_Data{Data: make([]byte, 1<<20/8)}})
		if len(request.Jobs) == 8 {
			if _, err := node.jobs().EnqueueMany(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			request.Jobs = nil
		}
	}
	slow := openStream(t, h2c(t), node.url, session)
	var calls []*v1.WorkCall
	for id := uint64(1); id <= jobs; id++ {
		calls = append(calls, claimCall(id, 1))
	}
	slow.send(1, calls...)
	limit, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	waitUntil(t, limit, "the stream is ended", func() bool { return scrape(t, node)["fairlane_work_streams"] == "0" })
	again := openStream(t, h2c(t), node.url, session)
	again.send(1, calls...)
	seen := make(map[uint64]bool)
	for id := uint64(1); id <= jobs; id++ {
		seen[again.answer(id).GetClaim().GetClaim().GetJob().GetId()] = true
	}
	if len(seen) != jobs || seen[0] {
		t.Errorf("%d claims have %d jobs", jobs, len(seen))
	}
}
