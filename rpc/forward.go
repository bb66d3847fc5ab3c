package rpc

import (
	"context"
	"errors"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/cluster"
)

const (
	// pauseBetweenAttempts while the node that should lead does not yet (or no longer) take calls.
	pauseBetweenAttempts = 25 * time.Millisecond
	// forwardTime for an answer of the leader, beside the time that the call itself may wait there.
	forwardTime = 15 * time.Second
	// leaderLook is how often the leader is looked at, to give up calls that wait for a former one.
	leaderLook = 250 * time.Millisecond
)

// leadership is what forwarding knows of the cluster. *cluster.Node has it.
type leadership interface {
	ID() string
	IsLeader() bool
	// Leader gives the leader's id and API address, as far as this node knows.
	Leader() (id, apiAddress string, known bool)
	// LeaderInside gives the address of its port between nodes, if it serves calls there.
	LeaderInside() (raftAddress string, serves bool)
	// WaitLeader returns when some node leads, this one included.
	WaitLeader(context.Context) error
	// Closing is closed when this node begins to shut down.
	Closing() <-chan struct{}
}

// leaderCall is a call that only the leader can decide.
type leaderCall[Resp any] struct {
	// local runs it on this node.
	local func(context.Context) (*Resp, error)
	// remote sends it to the leader.
	remote func(context.Context, *peer) (*Resp, error)
	// wait is how long the leader itself may hold the call.
	wait time.Duration
	// harmless: sending it twice does no harm, so a broken connection is no reason to give up.
	harmless bool
}

// atLeader runs a call here when this node leads, else at the leader. While no node leads the call is held, at most
// leaderWait; attempts that certainly did nothing are made again in that time, an attempt with an unknown outcome never.
func atLeader[Resp any](ctx context.Context, s *server, call leaderCall[Resp]) (*Resp, error) {
	began := time.Now()
	var last error
	for {
		resp, err, nothingDone := attempt(ctx, s, call)
		if !nothingDone {
			return resp, err
		}
		if wasForwarded(ctx) {
			return nil, s.notLeader()
		}
		if err != nil {
			last = err
		}
		if err := s.awaitLeader(ctx, began, last); err != nil {
			return nil, err
		}
	}
}

// attempt makes one attempt. nothingDone: it reached no node that leads, and another may be made.
func attempt[Resp any](ctx context.Context, s *server, call leaderCall[Resp]) (resp *Resp, err error, nothingDone bool) {
	if s.lead.IsLeader() {
		resp, err := call.local(ctx)
		if errors.Is(err, cluster.ErrNotLeader) {
			return nil, err, true
		}
		return resp, s.failure(err), false
	}
	to, known := s.leaderDoor()
	if !known || wasForwarded(ctx) {
		return nil, nil, true
	}
	leader := s.peers.through(to)
	ctx, cancel := context.WithTimeout(ctx, call.wait+forwardTime)
	defer cancel()
	defer context.AfterFunc(leader.gone, cancel)()

	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	resp, err = call.remote(traced, leader)
	switch {
	case err == nil:
		s.nameLeader(ctx)
		return resp, nil, false
	case connect.IsWireError(err):
		reason, _, _ := ReasonOf(err)
		if nothingDone = reason == NotLeader || reason == ShuttingDown; !nothingDone {
			s.nameLeader(ctx)
		}
		return nil, err, nothingDone
	case !sent.Load() || call.harmless:
		return nil, err, true
	}
	return nil, problem(UnknownOutcome, "why", "the connection to the leader broke before its answer came"), false
}

// nameLeader tells the caller of a call that was passed on where it could have sent it.
func (s *server) nameLeader(ctx context.Context) {
	id, address, known := s.lead.Leader()
	if info, ok := connect.CallInfoForHandlerContext(ctx); ok && known && address != "" && id != s.lead.ID() {
		info.ResponseHeader().Set(leaderHeader, baseURL(address, s.peers.secure))
	}
}

// leaderDoor is where another node that leads is called; false: none does, or it is not known where.
func (s *server) leaderDoor() (door, bool) {
	id, address, known := s.lead.Leader()
	if !known || id == s.lead.ID() {
		return door{}, false
	}
	if inside, serves := s.lead.LeaderInside(); serves {
		return door{inside, true}, true
	}
	return door{address, false}, address != ""
}

// awaitLeader returns when another attempt makes sense; an error when there is no more time for one.
func (s *server) awaitLeader(ctx context.Context, began time.Time, last error) error {
	if left := s.leaderWait - time.Since(began); left > 0 && ctx.Err() == nil {
		bounded, cancel := context.WithTimeout(ctx, left)
		defer cancel()
		pause := time.NewTimer(pauseBetweenAttempts)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-bounded.Done():
		}
		switch err := s.lead.WaitLeader(bounded); {
		case errors.Is(err, cluster.ErrShutdown):
			return s.failure(err)
		case err == nil && bounded.Err() == nil:
			return nil
		}
	}
	if ctx.Err() != nil {
		return s.failure(ctx.Err())
	}
	values := []string{"waited_ms", strconv.FormatInt(time.Since(began).Milliseconds(), 10), "node_id", s.lead.ID()}
	if last != nil {
		values = append(values, "why", last.Error())
	}
	return problem(NoLeader, values...)
}

// failure is the error of the table for an error of this node.
func (s *server) failure(err error) error {
	if err == nil { // before the variables, which lie on the heap
		return nil
	}
	var busy *cluster.BusyError
	var rules *cluster.RulesError
	var already *connect.Error
	switch {
	case errors.As(err, &already):
		return already
	case memberProblem(err) != nil:
		return memberProblem(err)
	case errors.Is(err, cluster.ErrUnknownOutcome):
		return problem(UnknownOutcome, "why", err.Error())
	case errors.As(err, &busy):
		return problemAfter(Busy, busy.RetryAfter, "node_id", s.lead.ID(), "retry_ms", strconv.FormatInt(busy.RetryAfter.Milliseconds(), 10))
	case errors.As(err, &rules):
		values := []string{"needs", number(uint64(rules.Needs)), "rules", number(uint64(rules.Rules))}
		if rules.Node != "" {
			values = append(values, "lowest", rules.Node)
		}
		return problem(ClusterTooOld, values...)
	case errors.Is(err, cluster.ErrShutdown):
		return problem(ShuttingDown, "node_id", s.lead.ID())
	case errors.Is(err, cluster.ErrNotLeader):
		return s.notLeader()
	case errors.Is(err, context.DeadlineExceeded):
		return problem(TimedOut, "node_id", s.lead.ID(), "doing", "waiting")
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, err) // the caller has left; nobody reads this
	}
	return s.internal("a call", err)
}

func (s *server) notLeader() error {
	values := []string{"node_id", s.lead.ID()}
	if id, address, ok := s.lead.Leader(); ok && id != s.lead.ID() {
		values = append(values, "leader_id", id, "leader_url", baseURL(address, s.peers.secure))
	}
	return problem(NotLeader, values...)
}

// followLeader gives up the calls that wait for a node which leads no longer (it may be frozen, or cut off), until ctx ends.
func (s *server) followLeader(ctx context.Context) {
	look := time.NewTicker(leaderLook)
	defer look.Stop()
	var former, leaving door
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		if leaving != (door{}) { // one look later: answers that were on their way have come
			s.peers.leave(leaving)
			leaving = door{}
		}
		switch to, known := s.leaderDoor(); {
		case known && to != former:
			former, leaving = to, former
		case s.lead.IsLeader():
			former, leaving = door{}, former
		}
	}
}
