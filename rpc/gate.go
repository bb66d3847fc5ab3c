package rpc

import (
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
)

// Limits of what is read, in bytes. Fields have limits of their own; these only bound memory and time. JSON needs more room
// than the payload that it carries (base64, escapes), so they are above the 1 MiB that a command may carry.
const (
	maxBodyBytes        = 256 << 10
	maxPayloadBodyBytes = 4 << 20
	// maxDrainBytes of a refused body are read and thrown away, so that the caller gets the answer and not a reset.
	maxDrainBytes = 64 << 20
	// maxDeclaredBytes is Connect's own limit. It is above ours, because its error carries no code.
	maxDeclaredBytes = 1 << 30
	// maxBodyTime for one body to come.
	maxBodyTime = 30 * time.Second
	// maxTimeout that a caller may ask for. Connect does not accept a longer one.
	maxTimeoutDigits = 10
)

// carriesPayload names the procedures whose bodies may be large.
var carriesPayload = map[string]bool{
	"/fairlane.v1.JobService/Enqueue":          true,
	"/fairlane.v1.JobService/EnqueueMany":      true,
	"/fairlane.v1.WorkerService/Finish":        true,
	"/fairlane.v1.WorkerService/AppendOutput":  true,
	"/fairlane.v1.WorkerService/Register":      true,
	"/fairlane.v1.ScheduleService/PutSchedule": true,
	// A whole definition may be previewed, of which little is read.
	"/fairlane.v1.ScheduleService/PreviewSchedule": true,
}

// noStore is shared by all answers: who adds to it copies it.
var noStore = slices.Clip([]string{"no-store"})

// gate refuses, with a code, what Connect would refuse without one or would not refuse: before anything is decoded.
type gate struct {
	next    http.Handler
	methods map[string]method
	writer  *connect.ErrorWriter
	node    string
	// bodyTime is how long a caller may take to send one body.
	bodyTime time.Duration
	// writeTime is how long one message of a stream may take to leave.
	writeTime time.Duration
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Cache-Control"] = noStore
	called, known := g.methods[r.URL.Path]
	if !known {
		g.refuse(w, r, 0, problem(UnknownMethod, "method", r.Method, "path", r.URL.Path))
		return
	}
	if err, status := g.check(r, called); err != nil {
		if called.sends { // it may go on sending for ever
			r.Body = http.NoBody
			if r.ProtoMajor < 2 {
				w.Header().Set("Connection", "close")
			}
		}
		g.refuse(w, r, status, err)
		return
	}
	most := int64(maxBodyBytes)
	if carriesPayload[r.URL.Path] {
		most = maxPayloadBodyBytes
	}
	var c *control
	switch {
	case called.sends:
		c = newControl(w)
		defer c.leave()
		r = g.withMessages(c, r)
	case r.Body != nil && r.Body != http.NoBody:
		r.Body = &boundedBody{ReadCloser: r.Body, gate: g, control: *http.NewResponseController(w), most: most}
	}
	switch {
	case called.sends:
		out := newMessageWriter(w, c, g.writeTime)
		defer out.Flush()
		w = out
	case called.streams:
		out := newStreamWriter(w, g.writeTime)
		defer out.Flush()
		w = out
	}
	g.next.ServeHTTP(w, r)
}

// check the head of a request. status is the HTTP status when it is not the one of the error.
func (g *gate) check(r *http.Request, called method) (err *connect.Error, status int) {
	want := "POST with content type application/json, application/proto or application/grpc"
	if called.streams {
		want = "POST with content type application/connect+json, application/connect+proto or application/grpc, and the message in an " +
			"envelope: this method answers with a stream. With curl, GET /v1/events streams events"
	}
	switch {
	case r.Method == http.MethodPost:
		if !readableType(r.Header.Get("Content-Type"), called.streams) {
			return problem(Malformed, "why", "content type "+strconv.Quote(shorten(r.Header.Get("Content-Type")))+" is not served", "want", want),
				http.StatusUnsupportedMediaType
		}
	case r.Method == http.MethodGet && called.get && !called.streams:
		if encoding := r.URL.Query().Get("encoding"); encoding != "json" && encoding != "proto" {
			return problem(Malformed, "why", "a GET names no encoding", "want", "?encoding=json&message={...}"), http.StatusUnsupportedMediaType
		}
	default:
		return problem(Malformed, "why", r.Method+" is not served for this method", "want", want), http.StatusMethodNotAllowed
	}
	if called.sends && r.ProtoMajor < 2 {
		return problem(Malformed, "why", r.Proto+" cannot carry a stream in both directions", "want", "it over HTTP/2; or each call alone, which any HTTP carries"), 0
	}
	for _, header := range []string{"Content-Encoding", "Grpc-Encoding", "Connect-Content-Encoding"} {
		if encoding := r.Header.Get(header); encoding != "" && encoding != "identity" {
			return problem(Malformed, "why", header+" "+strconv.Quote(shorten(encoding))+" is not served", "want", "the body uncompressed"), 0
		}
	}
	if v := r.Header.Get("Connect-Protocol-Version"); v != "" && v != "1" {
		return problem(Malformed, "why", "Connect-Protocol-Version is "+strconv.Quote(shorten(v)), "want", "version 1"), 0
	}
	if ms := r.Header.Get("Connect-Timeout-Ms"); ms != "" && !digits(ms) {
		return problem(InvalidArgument, "field", "Connect-Timeout-Ms", "value", strconv.Quote(shorten(ms)), "want", "give milliseconds in at most 10 digits"), 0
	}
	return nil, 0
}

// readableType tells whether one of the handlers reads this content type: Connect has other ones for streams.
func readableType(value string, streams bool) bool {
	mime, params, _ := strings.Cut(strings.ToLower(value), ";")
	if params = strings.TrimSpace(params); params != "" && params != "charset=utf-8" {
		return false
	}
	switch strings.TrimSpace(mime) {
	case "application/json", "application/proto":
		return !streams
	case "application/connect+json", "application/connect+proto":
		return streams
	case "application/grpc", "application/grpc+proto", "application/grpc+json",
		"application/grpc-web", "application/grpc-web+proto", "application/grpc-web+json":
		return true
	}
	return false
}

func digits(s string) bool {
	if len(s) == 0 || len(s) > maxTimeoutDigits {
		return false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// refuse reads a bounded rest of the body, so that a client which still sends gets to read the answer.
func (g *gate) refuse(w http.ResponseWriter, r *http.Request, status int, err *connect.Error) {
	if r.Body != nil {
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Now().Add(g.bodyTime))
		if _, e := io.CopyN(io.Discard, r.Body, maxDrainBytes); e == io.EOF {
			_ = control.SetReadDeadline(time.Time{})
		}
	}
	if status != 0 {
		// Whoever reads this speaks none of the protocols served here: plain JSON, whatever was sent.
		r = r.Clone(r.Context())
		r.Header.Set("Content-Type", "application/json")
		w = &statusWriter{ResponseWriter: w, status: status}
	}
	_ = g.writer.Write(w, r, err)
}

// statusWriter replaces the status that the error writer chose.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(int) { w.ResponseWriter.WriteHeader(w.status) }

// boundedBody ends a body that is too large with an error of the table, which Connect passes on as it is.
type boundedBody struct {
	io.ReadCloser
	gate    *gate
	control http.ResponseController
	most    int64
	read    int64
	begun   bool
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		_ = b.control.SetReadDeadline(time.Now().Add(b.gate.bodyTime))
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if b.read > b.most {
		more, e := io.CopyN(io.Discard, b.ReadCloser, maxDrainBytes)
		if e == io.EOF {
			_ = b.control.SetReadDeadline(time.Time{})
		}
		return 0, problem(TooLarge, "field", "the request", "value", strconv.FormatInt(b.read+more, 10), "most", strconv.FormatInt(b.most, 10))
	}
	if err == io.EOF {
		// The call may wait for a job much longer than a body may take. After any other end the limit stays: the server still
		// tries to read the rest.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = problem(TimedOut, "node_id", b.gate.node, "doing", "reading the request")
	}
	return n, err
}
