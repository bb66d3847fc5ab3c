package rpc

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/cluster"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	// maxWorkCalls of one message, and maxWorkSettles.
	maxWorkCalls   = 2048
	maxWorkSettles = 4096
	// maxWorkOpen calls of a stream may be unanswered.
	maxWorkOpen = 4096
	// maxWorkBytes of unanswered commands: while there are more, the stream is not read on.
	maxWorkBytes = 8 << 20
	// maxAnswerBytes of one message to a worker, about; a larger answer goes alone.
	maxAnswerBytes = 1 << 20
)

// workConn is a worker's stream as its handler sees it.
type workConn = connect.BidiStream[v1.WorkRequest, v1.WorkResponse]

// Work serves a worker's stream here when this node leads, else it passes the messages on to the leader. While no node leads the beginning of
// the stream is held, at most leaderWait. A stream that stands ends with the leadership.
func (s *workerService) Work(ctx context.Context, stream *workConn) error {
	s.streams.Add(1)
	defer s.streams.Add(-1)
	began := time.Now()
	for {
		err, nothingDone := s.workAt(ctx, stream)
		if !nothingDone {
			return err
		}
		if wasForwarded(ctx) {
			return s.notLeader()
		}
		if err := s.awaitLeader(ctx, began, err); err != nil {
			return err
		}
	}
}

// workAt makes one attempt at the node that leads. nothingDone: none was reached, and another may be made.
func (s *workerService) workAt(ctx context.Context, stream *workConn) (err error, nothingDone bool) {
	if s.lead.IsLeader() {
		ready := make(chan struct{}, 1)
		line, err := s.node.OpenLine(ready)
		if errors.Is(err, cluster.ErrNotLeader) {
			return err, true
		}
		if err != nil {
			return s.failure(err), false
		}
		defer line.Close()
		w := &workStream{server: s.server, stream: stream, line: line, ready: ready, room: make(chan struct{}, 1), calls: make(map[uint64]*workCall)}
		return w.run(ctx), false
	}
	to, known := s.leaderDoor()
	if !known || wasForwarded(ctx) {
		return nil, true
	}
	return s.passOn(ctx, stream, s.peers.through(to))
}

// workStream is a worker's stream on the leader. Two goroutines: one reads calls and submits them, the handler's own sends what is answered.
type workStream struct {
	*server
	stream *workConn
	line   *cluster.Line
	// ready is told when there is something to send, or the reader has ended.
	ready chan struct{}
	// room is told when answers were sent.
	room chan struct{}

	// Of the reader alone.
	session uint64

	mu      sync.Mutex
	calls   map[uint64]*workCall // unanswered, by id
	bytes   int                  // of their commands
	refused []*v1.WorkAnswer     // of calls that were never submitted
	ended   error                // why the reader ended; io.EOF: the worker sends no more
}

// run the stream until it ends. What is answered by then is sent.
func (w *workStream) run(ctx context.Context) error {
	if err := w.stream.Send(&v1.WorkResponse{}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var reader sync.WaitGroup
	reader.Go(func() { w.read(ctx) })
	err := w.write(ctx)
	cancel()
	stopReading(ctx)
	reader.Wait()
	return err
}

// read messages until one is wrong, the worker sends no more, or ctx ends.
func (w *workStream) read(ctx context.Context) {
	ended := w.takeAll(ctx)
	w.mu.Lock()
	w.ended = ended
	w.mu.Unlock()
	w.wake()
}

// takeAll messages. A panic ends the stream alone, as it would end a call alone.
func (w *workStream) takeAll(ctx context.Context) (ended error) {
	defer func() {
		if cause := recover(); cause != nil {
			ended = w.recovered(ctx, w.stream.Spec(), nil, cause)
		}
	}()
	for {
		message, err := w.stream.Receive()
		if err == nil {
			err = ctx.Err() // what came before the end is read on after it
		}
		if err == nil {
			err = w.take(ctx, message)
		}
		if err != nil {
			return err
		}
	}
}

func (w *workStream) wake() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// take one message. An error ends the stream; a call that is wrong by itself is answered.
func (w *workStream) take(ctx context.Context, message *v1.WorkRequest) error {
	if err := w.check(message); err != nil {
		return err
	}
	tickets := make([]*cluster.Ticket, 0, len(message.GetCalls()))
	var refused []*v1.WorkAnswer
	calls := make([]*workCall, len(message.GetCalls()))
	for i, r := range message.GetCalls() {
		c := new(workCall) // each by itself: a claim that waits must not keep the others
		calls[i] = c
		if err := c.prepare(r, w.session, message.GetLowest()); err != nil {
			refused = append(refused, &v1.WorkAnswer{Id: r.GetId(), Answer: &v1.WorkAnswer_Error{Error: bodyOf(err)}})
			continue
		}
		tickets = append(tickets, &c.Ticket)
	}
	if err := w.enter(message, calls, refused); err != nil {
		return err
	}
	if len(tickets) > 0 {
		w.line.Submit(ctx, tickets)
		bytes := 0
		for _, t := range tickets {
			bytes += t.Bytes()
		}
		w.mu.Lock()
		w.bytes += bytes
		w.mu.Unlock()
	}
	w.settle(message.GetSettle())
	return w.awaitRoom(ctx)
}

// check a message as a whole.
func (w *workStream) check(message *v1.WorkRequest) error {
	var f fields
	if w.session == 0 {
		f.requiredID("session", message.GetSession())
		w.session = message.GetSession()
	}
	if s := message.GetSession(); s != 0 && s != w.session {
		f.wrong("session", number(s), "give the session of the first message, "+number(w.session)+", or leave it out")
	}
	f.check(len(message.GetCalls()) <= maxWorkCalls, "calls", strconv.Itoa(len(message.GetCalls()))+" calls", "give at most "+strconv.Itoa(maxWorkCalls)+" in one message")
	f.check(len(message.GetSettle()) <= maxWorkSettles, "settle", strconv.Itoa(len(message.GetSettle()))+" ids", "give at most "+strconv.Itoa(maxWorkSettles))
	return f.result()
}

// enter the calls of a message among the unanswered ones.
func (w *workStream) enter(message *v1.WorkRequest, calls []*workCall, refused []*v1.WorkAnswer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, r := range message.GetCalls() {
		id := r.GetId()
		if id == 0 {
			return problem(InvalidArgument, "field", callField(i, "id"), "value", "missing", "want", "give each call a number of its own, not 0")
		}
		if _, used := w.calls[id]; used {
			return problem(InvalidArgument, "field", callField(i, "id"), "value", number(id), "want", "give an id that no other unanswered call of the stream has")
		}
		w.calls[id] = calls[i]
	}
	if len(w.calls) > maxWorkOpen {
		return problem(TooManyOpen, "session", number(w.session))
	}
	if len(refused) > 0 {
		w.refused = append(w.refused, refused...)
		w.wake()
	}
	return nil
}

func callField(i int, name string) string { return "calls[" + strconv.Itoa(i) + "]." + name }

// settle claims by their ids; one that is answered already is none.
func (w *workStream) settle(ids []uint64) {
	if len(ids) == 0 {
		return
	}
	tickets := make([]*cluster.Ticket, 0, len(ids))
	w.mu.Lock()
	for _, id := range ids {
		if c, known := w.calls[id]; known {
			tickets = append(tickets, &c.Ticket)
		}
	}
	w.mu.Unlock()
	w.line.Settle(tickets)
}

// awaitRoom while too much is unanswered.
func (w *workStream) awaitRoom(ctx context.Context) error {
	for {
		w.mu.Lock()
		full := w.bytes > maxWorkBytes
		w.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-w.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// write answers until the stream ends.
func (w *workStream) write(ctx context.Context) error {
	var tickets []*cluster.Ticket
	var settled bool
	for {
		select {
		case <-w.ready:
		case <-ctx.Done():
			return w.failure(ctx.Err())
		}
		w.mu.Lock()
		ended := w.ended
		w.mu.Unlock()
		var lost error
		tickets, lost = w.line.Take(tickets[:0])
		if err := w.send(tickets); err != nil {
			return err
		}
		clear(tickets)
		switch {
		case lost != nil:
			return w.failure(lost)
		case errors.Is(ended, io.EOF):
			if !settled {
				settled = true
				w.line.SettleAll()
				w.wake() // there may be nothing left that would
			}
			if w.idle() {
				return nil
			}
		case ended != nil:
			return w.failure(ended)
		}
	}
}

// idle: nothing is unanswered.
func (w *workStream) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.calls) == 0
}

// send the answers that came together, in one message unless they are large.
func (w *workStream) send(tickets []*cluster.Ticket) error {
	answers := w.leave(tickets)
	for len(answers) > 0 {
		n, size := 0, 0
		for n < len(answers) && n < maxWorkCalls && (n == 0 || size < maxAnswerBytes) {
			size += answerSize(answers[n])
			n++
		}
		if err := w.stream.Send(&v1.WorkResponse{Answers: answers[:n]}); err != nil {
			return err
		}
		answers = answers[n:]
	}
	return nil
}

// leave makes the answers; their calls are unanswered no longer.
func (w *workStream) leave(tickets []*cluster.Ticket) []*v1.WorkAnswer {
	answers := make([]*v1.WorkAnswer, 0, len(tickets))
	bytes := 0
	for _, t := range tickets {
		answers = append(answers, t.Owner.(*workCall).answer(w.server))
		bytes += t.Bytes()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	answers = append(answers, w.refused...)
	w.refused = nil
	for _, a := range answers {
		delete(w.calls, a.GetId())
	}
	w.bytes -= bytes
	select {
	case w.room <- struct{}{}:
	default:
	}
	return answers
}
