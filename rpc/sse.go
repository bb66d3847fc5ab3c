package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// beatTicks: so many idle ticks make a beat, a comment that keeps proxies from closing a silent connection (every 15 s).
const beatTicks = 3

// sse serves GET /v1/events: the events of WatchEvents as Server-Sent Events.
func (s *server) sse(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	request, err := eventsQuery(r)
	if err == nil {
		err = checkWatchEvents(request)
	}
	if err != nil {
		s.plainError(w, r, err)
		return
	}
	out := newStreamWriter(w, s.writeTime)
	stream := &sseStream{out: out}
	finish := func(err error) {
		switch {
		case stream.broken || r.Context().Err() != nil:
		case stream.begun:
			stream.end(err)
		default:
			s.plainError(w, r, err)
		}
	}
	defer func() {
		if cause := recover(); cause != nil {
			finish(s.recovered(r.Context(), connect.Spec{Procedure: "GET /v1/events"}, r.Header, cause))
		}
	}()
	finish(s.followEvents(r.Context(), request, eventSink{send: stream.send, idle: stream.idle}))
}

// plainError answers in Connect's JSON form, as every error of the API looks to curl.
func (s *server) plainError(w http.ResponseWriter, r *http.Request, err error) {
	r = r.Clone(r.Context())
	r.Header.Set("Content-Type", "application/json")
	_ = s.writer.Write(w, r, err)
}

// eventsQuery reads the parameters; checkWatchEvents looks at the values.
func eventsQuery(r *http.Request) (*v1.WatchEventsRequest, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem(Malformed, "why", "the query: "+err.Error(), "want", "GET /v1/events?queue=manual&state=failed,timed_out")
	}
	out := &v1.WatchEventsRequest{}
	for name, values := range query {
		value := values[0]
		if len(values) > 1 {
			return nil, problem(InvalidArgument, "field", name, "value", "given "+strconv.Itoa(len(values))+" times", "want", "give it once")
		}
		if !utf8.ValidString(value) {
			return nil, problem(InvalidArgument, "field", name, "value", "not valid UTF-8", "want", "give UTF-8, percent-encoded")
		}
		switch name {
		case "after":
			out.After = value
		case "queue":
			out.Queue = value
		case "user":
			out.User = value
		case "schedule":
			out.Schedule = value
		case "job":
			if out.Job, err = strconv.ParseUint(value, 10, 64); err != nil || out.Job == 0 {
				return nil, problem(InvalidArgument, "field", name, "value", strconv.Quote(value), "want", "give the number of a job")
			}
		case "state":
			if out.States, err = statesFrom(value); err != nil {
				return nil, err
			}
		default:
			return nil, problem(InvalidArgument, "field", name, "value", "not a parameter", "want", "give after, job, queue, user, schedule or state")
		}
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		out.After = last // what a browser sends when it connects again, with the same URL
	}
	return out, nil
}

// statesFrom reads "pending,running".
func statesFrom(list string) (states []v1.JobState, err error) {
	for _, name := range strings.Split(list, ",") {
		number, known := v1.JobState_value["JOB_STATE_"+strings.ToUpper(name)]
		if !known || number == 0 {
			return nil, problem(InvalidArgument, "field", "state", "value", strconv.Quote(name),
				"want", "give scheduled, pending, running, succeeded, failed, timed_out or cancelled, several with a comma between")
		}
		states = append(states, v1.JobState(number))
	}
	return states, nil
}

// jsonText is a text as JSON.
func jsonText(text string) []byte {
	out, _ := json.Marshal(text) // never fails
	return out
}

// sseStream writes the events of one connection.
type sseStream struct {
	out    *streamWriter
	begun  bool
	broken bool // the connection is gone
	quiet  int  // idle ticks since something was written
}

// begin the answer.
func (s *sseStream) begin() {
	if s.begun {
		return
	}
	s.begun = true
	header := s.out.Header()
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	header.Set("X-Accel-Buffering", "no")
	s.out.WriteHeader(http.StatusOK)
}

// write and flush one piece.
func (s *sseStream) write(text string) error {
	s.quiet = 0
	if _, err := s.out.Write([]byte(text)); err != nil {
		s.broken = true
		return err
	}
	if err := s.out.flush(); err != nil {
		s.broken = true
		return err
	}
	return nil
}

func (s *sseStream) send(m *v1.WatchEventsResponse) error {
	s.begin()
	var text strings.Builder
	if m.GetReset_() {
		fmt.Fprintf(&text, "id: %s\nevent: reset\ndata: {\"reason\":%s}\n\n", m.GetEventId(), jsonText(m.GetReason()))
	}
	for _, event := range m.GetEvents() {
		data, err := jsonCodec{}.Marshal(event)
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "id: %s\nevent: %s\ndata: %s\n\n", event.GetId(), event.GetKind(), data)
	}
	if text.Len() == 0 { // where the watch begins: browsers take the id and tell nobody
		fmt.Fprintf(&text, "id: %s\n\n", m.GetEventId())
	}
	return s.write(text.String())
}

func (s *sseStream) idle(id string, moved bool) error {
	s.quiet++
	switch {
	case moved:
		return s.write("id: " + id + "\n\n")
	case s.quiet >= beatTicks:
		return s.write(": beat\n\n")
	}
	return nil
}

// end says why nothing more comes.
func (s *sseStream) end(err error) {
	reason, metadata, _ := ReasonOf(err)
	message := ""
	if e := (*connect.Error)(nil); errors.As(err, &e) {
		message = e.Message()
	}
	_ = s.write(fmt.Sprintf("event: end\ndata: {\"code\":%s,\"reason\":%s,\"message\":%s}\n\n",
		jsonText(metadata["code"]), jsonText(string(reason)), jsonText(message)))
}
