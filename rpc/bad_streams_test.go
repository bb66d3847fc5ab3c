package rpc

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net"
	"net/http"
	"testing"
	"time"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// asStream is the same bad request to a method that streams: in an envelope, under the content types of streams.
func (b badCall) asStream() badCall {
	switch b.what {
	case "content type of the other kind": // of unary calls: refused as it is
		return b
	case "empty JSON": // an empty envelope is a message without fields; no envelope is none
		b.contentType = "application/connect+json"
		return b
	case "10 MB of blanks", "10 MB of zeros":
		b.body = b.body[:10<<20] // the envelope belongs to the request
	}
	switch b.contentType {
	case asJSON:
		b.contentType = "application/connect+json"
	case asProto:
		b.contentType = "application/connect+proto"
	default:
		return b
	}
	b.body = envelope(0, b.body)
	return b
}

func envelope(flags byte, message []byte) []byte {
	head := binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(message)))
	return append(head, message...)
}

// endOfStream gives the error in the last envelope of an answer, in the form that unary calls have.
func endOfStream(t *testing.T, body []byte) []byte {
	t.Helper()
	for len(body) >= 5 {
		flags, size := body[0], binary.BigEndian.Uint32(body[1:5])
		message := body[5:min(len(body), 5+int(size))]
		if flags&2 != 0 {
			var end struct{ Error json.RawMessage }
			if err := json.Unmarshal(message, &end); err != nil {
				t.Errorf("end of stream %q: %v", message, err)
			}
			return end.Error
		}
		body = body[5+len(message):]
	}
	t.Errorf("a stream without end")
	return nil
}

// TestBadEnvelopes: what can be wrong around the message of a stream.
func TestBadEnvelopes(t *testing.T) {
	node := startNode(t)
	before := node.fingerprint(t)
	good := envelope(0, []byte(`{"id":"1"}`))
	for _, c := range []badCall{
		{"no envelope", "application/connect+json", nil, 0, Malformed, "no message"},
		{"half an envelope", "application/connect+json", good[:3], 0, Malformed, ""},
		{"half a message", "application/connect+json", good[:9], 0, Malformed, ""},
		{"two messages", "application/connect+json", append(bytes.Clone(good), good...), 0, Malformed, "more than one"},
		{"a compressed message", "application/connect+json", envelope(1, []byte(`{"id":"1"}`)), 0, Malformed, ""},
		{"an end", "application/connect+json", envelope(2, []byte(`{}`)), 0, Malformed, ""},
		{"a message said to have 4 GB", "application/connect+json", []byte{0, 0xff, 0xff, 0xff, 0xff, 'x'}, 0, Malformed, ""},
		{"a unary call", asJSON, []byte(`{"id":"1"}`), 415, Malformed, "application/connect+json"},
		{"plain JSON under a stream's type", "application/connect+json", []byte(`{"id":"1"}`), 0, Malformed, ""},
	} {
		checkBad(t, node.url+"/fairlane.v1.JobService/WatchJob", c)
	}
	for _, id := range []string{"7", "7.5", "7.5.x", "07.5.1", "7.5.1.1", "-1.2.3", "0", " 1.2.3"} {
		checkBad(t, node.url+"/fairlane.v1.JobService/WatchJob", badCall{"after " + id, "application/connect+json",
			envelope(0, []byte(`{"id":"1","after":"`+id+`"}`)), 0, InvalidArgument, "after"})
	}
	checkBad(t, node.url+"/fairlane.v1.JobService/StreamOutput", badCall{"an offset without attempt", "application/connect+json",
		envelope(0, []byte(`{"id":"1","offset":"5"}`)), 0, InvalidArgument, "offset"})
	checkBad(t, node.url+"/fairlane.v1.JobService/StreamOutput", badCall{"no such job", "application/connect+json",
		envelope(0, []byte(`{"id":"1"}`)), 0, UnknownJob, "1"})
	checkBad(t, node.url+"/fairlane.v1.QueueService/WatchQueue", badCall{"no such queue", "application/connect+json",
		envelope(0, []byte(`{"name":"q"}`)), 0, UnknownQueue, "q"})
	// The reads of the last two asked the leader by an empty entry; nothing else may have moved.
	if after := node.fingerprint(t); after.index > before.index+2 {
		t.Errorf("bad input moved the machine from %d to %d", before.index, after.index)
	}
}

// TestBadOutput: what only AppendOutput can have.
func TestBadOutput(t *testing.T) {
	node := startNode(t)
	before := node.fingerprint(t)
	many := &v1.AppendOutputRequest{Session: 1}
	for range maxParts + 1 {
		many.Parts = append(many.Parts, &v1.OutputPart{Fence: 1})
	}
	_, err := node.workers().AppendOutput(t.Context(), many)
	wantReason(t, err, InvalidArgument)
	half := &v1.OutputPart{Fence: 1, Data: make([]byte, maxOutputBytes/2+1)}
	_, err = node.workers().AppendOutput(t.Context(), &v1.AppendOutputRequest{Session: 1, Parts: []*v1.OutputPart{half, half}})
	wantReason(t, err, TooLarge)
	_, err = node.workers().AppendOutput(t.Context(), &v1.AppendOutputRequest{Session: 1, Parts: []*v1.OutputPart{{Fence: 1, Progress: &v1.Progress{AtMs: 1}}}})
	wantReason(t, err, InvalidArgument)
	if after := node.fingerprint(t); after != before {
		t.Error("the machine moved")
	}
}

// TestSlowReader: a connection whose reader does not read is ended, over HTTP/1.1 and HTTP/2.
func TestSlowReader(t *testing.T) {
	ended := make(chan error, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out := newStreamWriter(w, 50*time.Millisecond)
		for {
			if _, err := out.Write(make([]byte, 64<<10)); err != nil {
				ended <- err
				return
			}
			out.Flush()
		}
	})
	node := serve(t, handler)
	for name, client := range map[string]*http.Client{"HTTP/1.1": http.DefaultClient, "HTTP/2": h2c(t)} {
		response, err := client.Get(node)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			t.Logf("%s: %v", name, err)
		case <-time.After(20 * time.Second):
			t.Errorf("%s: the handler still writes", name)
		}
		response.Body.Close()
	}
}

func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(handler)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return "http://" + listener.Addr().String()
}
