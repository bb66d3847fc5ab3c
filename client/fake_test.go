package fairlane

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// fake is a cluster in memory that behaves: it keeps jobs, sessions, numbered answers and leases by the clock of the bubble it
// runs in. A plan decides what goes wrong with each request. All its nodes share one state, as after a failover.
type fake struct {
	fairlanev1connect.UnimplementedJobServiceHandler
	fairlanev1connect.UnimplementedWorkerServiceHandler
	fairlanev1connect.UnimplementedQueueServiceHandler
	fairlanev1connect.UnimplementedEventServiceHandler
	fairlanev1connect.UnimplementedScheduleServiceHandler
	fairlanev1connect.UnimplementedClusterServiceHandler

	mu        sync.Mutex
	jobs      map[uint64]*fakeJob
	schedules map[string]*fakeSchedule
	sessions  map[uint64]*fakeSession
	last      uint64 // session
	fence     uint64
	lease     time.Duration
	changed   chan struct{} // closed and replaced
	plan      func(seen) fault
	log       []seen
	full      bool // no more output is taken
	piece     int  // the most bytes in one message of output; 0: no bound
	kept      int  // of output, in bytes, and of events; 0: all
	events    []*fairlanev1.Event
	mux       *http.ServeMux
	noWork    bool      // an old cluster, without streams of workers
	messages  []message // of those streams
	works     map[*fakeWork]struct{}
}

type fakeJob struct {
	*fairlanev1.Job
	session, fence uint64
	ends           time.Time
	released       int
	outputs        map[int32][]byte // by attempt
	gaps           int              // pieces of output that left one
}

type fakeSession struct {
	id, nonce uint64
	name      string
	lanes     []*fairlanev1.Lane
	answers   map[uint64]stored
	lowest    uint64
	draining  bool
	ended     Reason
}

type stored struct {
	answer proto.Message
	err    error
}

// seen is one request as the cluster saw it.
type seen struct {
	node, method   string
	session        uint64
	number, lowest uint64
	nth            int // of this method, from 1
	at             time.Time
	req            proto.Message
}

// fault is what happens to one request.
type fault struct {
	dial   bool          // the node is down
	before bool          // the connection breaks before anything happened
	after  bool          // it took place, the answer is lost
	hang   bool          // nothing until the caller gives up
	refuse Reason        // an error of the cluster
	leader string        // with NOT_LEADER
	retry  time.Duration // RetryInfo
	wait   time.Duration // before anything happens
	cut    int           // a stream breaks after so many messages; 0: never
	mute   bool          // a stream stays open and nothing comes
	direct string        // a stream of a worker is told that another node leads
	other  bool          // the node is one of another cluster
	led    bool          // the node does not lead
}

func newFake() *fake {
	f := &fake{jobs: map[uint64]*fakeJob{}, schedules: map[string]*fakeSchedule{}, sessions: map[uint64]*fakeSession{}, works: map[*fakeWork]struct{}{}, lease: time.Minute,
		changed: make(chan struct{}), plan: func(seen) fault { return fault{} }, mux: http.NewServeMux()}
	f.mux.Handle(fairlanev1connect.NewJobServiceHandler(f))
	f.mux.Handle(fairlanev1connect.NewWorkerServiceHandler(f))
	f.mux.Handle(fairlanev1connect.NewQueueServiceHandler(f))
	f.mux.Handle(fairlanev1connect.NewEventServiceHandler(f))
	f.mux.Handle(fairlanev1connect.NewScheduleServiceHandler(f))
	f.mux.Handle(fairlanev1connect.NewClusterServiceHandler(f))
	return f
}

type exchangeKey struct{}

// exchange lets the handler tell the transport how the request is to fail.
type exchange struct {
	node   string
	fault  fault
	hangUp func() // ends the reading of a request that is a stream; nil: over sockets
}

// RoundTrip carries a request in memory. The fake is thus an http.RoundTripper and needs no socket, which lets it run in a bubble.
func (f *fake) RoundTrip(req *http.Request) (*http.Response, error) {
	if isStream(req) {
		return f.roundStream(req)
	}
	x := &exchange{node: req.URL.Host}
	rec := httptest.NewRecorder()
	done := make(chan struct{})
	ctx := req.Context()
	in := req.Clone(context.WithValue(ctx, exchangeKey{}, x))
	go func() {
		defer close(done)
		f.mux.ServeHTTP(rec, in)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		<-done // a fake that has answered leaves no goroutine behind
		return nil, ctx.Err()
	}
	switch {
	case x.fault.hang:
		<-ctx.Done() // a frozen node does not even say that the time is over
		return nil, ctx.Err()
	case x.fault.dial:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	case x.fault.before, x.fault.after:
		return nil, io.ErrUnexpectedEOF
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return rec.Result(), nil
}

func wireError(reason Reason, leader string, retry time.Duration) error {
	code := connect.CodeFailedPrecondition
	switch reason {
	case ErrNotLeader, ErrNoLeader, ErrShuttingDown, ErrUnknownOutcome:
		code = connect.CodeUnavailable
	case ErrBusy, ErrTooManyOpen:
		code = connect.CodeResourceExhausted
	case ErrTooLarge, ErrInvalidArgument:
		code = connect.CodeInvalidArgument
	}
	err := connect.NewError(code, fmt.Errorf("fake says %s", reason))
	meta := map[string]string{"code": "FL0000"}
	if leader != "" {
		meta["leader_url"] = leader
	}
	info, _ := connect.NewErrorDetail(&errdetails.ErrorInfo{Reason: string(reason), Domain: "fairlane", Metadata: meta})
	err.AddDetail(info)
	if retry > 0 {
		hint, _ := connect.NewErrorDetail(&errdetails.RetryInfo{RetryDelay: durationpb.New(retry)})
		err.AddDetail(hint)
	}
	return err
}

// serve applies the plan around one request. number 0: not numbered. keep says whether the answer is stored.
func serve[Res proto.Message](f *fake, ctx context.Context, method string, req proto.Message, session, number, lowest uint64, apply func(*fakeSession) (Res, bool, error)) (Res, error) {
	var none Res
	x := ctx.Value(exchangeKey{}).(*exchange)
	f.mu.Lock()
	s := seen{node: x.node, method: method, session: session, number: number, lowest: lowest, req: proto.Clone(req), nth: 1, at: time.Now()}
	for _, e := range f.log {
		if e.method == method {
			s.nth++
		}
	}
	f.log = append(f.log, s)
	x.fault = f.plan(s)
	f.mu.Unlock()
	switch {
	case x.fault.dial, x.fault.before, x.fault.hang:
		return none, io.EOF
	case x.fault.refuse != "":
		return none, wireError(x.fault.refuse, x.fault.leader, x.fault.retry)
	}
	if x.fault.wait > 0 {
		select {
		case <-time.After(x.fault.wait):
		case <-ctx.Done():
			return none, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tick()
	ses := f.sessions[session]
	if session != 0 {
		if ses == nil {
			return none, wireError(ErrSessionEnded, "", 0)
		}
		if ses.ended != "" {
			return none, wireError(ses.ended, "", 0)
		}
	}
	if number == 0 {
		res, _, err := apply(ses)
		return res, err
	}
	ses.lowest = max(ses.lowest, lowest)
	for n := range ses.answers {
		if n < ses.lowest {
			delete(ses.answers, n)
		}
	}
	if number < ses.lowest {
		return none, wireError(ErrTooOld, "", 0)
	}
	if old, ok := ses.answers[number]; ok {
		res, _ := old.answer.(Res)
		return res, old.err
	}
	res, keep, err := apply(ses)
	if keep {
		ses.answers[number] = stored{res, err}
	}
	return res, err
}

// tick ends leases that are over; f.mu is held.
func (f *fake) tick() {
	for _, j := range f.jobs {
		if j.fence != 0 && !time.Now().Before(j.ends) {
			f.letGo(j)
			if j.State == StateRunning {
				j.State = StatePending
			}
		}
	}
}

func (f *fake) letGo(j *fakeJob) {
	j.session, j.fence = 0, 0
	f.signal()
}

func (f *fake) signal() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) runningIn(session uint64, lane uint32) (n uint32) {
	for _, j := range f.jobs {
		if j.fence != 0 && j.session == session && j.Lane == lane {
			n++
		}
	}
	return n
}

// take hands out the oldest job that the lane may take; f.mu is held.
func (f *fake) take(s *fakeSession, index uint32) *fairlanev1.ClaimResponse {
	if s.draining {
		return &fairlanev1.ClaimResponse{Reason: fairlanev1.EmptyReason_EMPTY_REASON_DRAINING}
	}
	lane := s.lanes[index]
	if f.runningIn(s.id, index) >= lane.Slots {
		return &fairlanev1.ClaimResponse{Reason: fairlanev1.EmptyReason_EMPTY_REASON_AT_CAPACITY}
	}
	for id := uint64(1); id <= uint64(len(f.jobs)); id++ {
		j := f.jobs[id]
		if j.State != StatePending || !slices.Contains(lane.Chain, j.Queue) && !slices.Contains(lane.Chain, "*") {
			continue
		}
		f.fence++
		j.State, j.fence, j.session, j.Lane = StateRunning, f.fence, s.id, index
		j.Attempt++
		j.ends = time.Now().Add(f.lease)
		return &fairlanev1.ClaimResponse{Claim: &fairlanev1.Claim{Fence: f.fence, Job: proto.CloneOf(j.Job), Lane: index,
			LeaseMs: f.lease.Milliseconds(), HeartbeatMs: (f.lease / 3).Milliseconds()}}
	}
	return &fairlanev1.ClaimResponse{Reason: fairlanev1.EmptyReason_EMPTY_REASON_NOTHING}
}

func parseFakeLanes(text string) (out []*fairlanev1.Lane) {
	for token := range strings.FieldsSeq(text) {
		i := strings.LastIndexByte(token, ':')
		slots, _ := strconv.Atoi(token[i+1:])
		out = append(out, &fairlanev1.Lane{Chain: strings.Split(token[:i], ">"), Slots: uint32(slots)})
	}
	return out
}
