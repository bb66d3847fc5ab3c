package rpc

import (
	"context"
	"errors"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/cluster"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	// reportTime is how long a member may take to say what it knows of itself.
	reportTime = 2 * time.Second
	// verifyWait for members that are behind, unless the caller says another.
	verifyWait = 10 * time.Second
)

// ListNodes asks every member at the same time and answers when all did, at the latest after reportTime. It needs no leader.
func (s *clusterService) ListNodes(ctx context.Context, r *v1.ListNodesRequest) (*v1.ListNodesResponse, error) {
	members := s.node.Status().Members
	out := &v1.ListNodesResponse{Nodes: make([]*v1.NodeReport, len(members))}
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	s.eachMember(members, func(i int, member cluster.Member) {
		report := &v1.NodeReport{Member: memberAnswer(member)}
		out.Nodes[i] = report
		if member.ID == s.node.ID() {
			report.Status, _ = s.Status(ctx, &v1.StatusRequest{}) // it cannot fail
			return
		}
		p, err := s.memberPeer(member)
		if err == nil {
			report.Status, err = p.cluster.Status(ctx, &v1.StatusRequest{})
		}
		if err == nil && report.Status.GetNodeId() != member.ID {
			report.Status, err = nil, errors.New("another node answers there: "+report.Status.GetNodeId())
		}
		if err != nil {
			report.Unreachable = whyUnreachable(ctx, err)
		}
	})
	return out, nil
}

// Verify logs a marker and compares what every member's state was at its index. It changes nothing.
func (s *clusterService) Verify(ctx context.Context, r *v1.VerifyRequest) (*v1.VerifyResponse, error) {
	if err := checkVerify(r); err != nil {
		return nil, err
	}
	wait := verifyWait
	if ms := r.GetWaitMs(); ms != 0 {
		wait = time.Duration(ms) * time.Millisecond
	}
	marker, err := s.Checkpoint(ctx, &v1.CheckpointRequest{})
	if err != nil {
		return nil, err
	}
	// After the marker: a node that joins meanwhile gets the state of some index before it, or is no member yet.
	members := s.node.Status().Members
	out := &v1.VerifyResponse{Index: marker.GetIndex(), Digests: make([]*v1.NodeDigest, len(members))}
	ctx, cancel := context.WithTimeout(ctx, wait+reportTime)
	defer cancel()
	request := &v1.DigestRequest{Index: marker.GetIndex(), WaitMs: wait.Milliseconds()}
	s.eachMember(members, func(i int, member cluster.Member) {
		out.Digests[i] = s.digestOf(ctx, member, request)
	})
	out.Equal = sameDigest(out.Digests)
	return out, nil
}

// sameDigest of all; a member without one, or no member at all, is no proof.
func sameDigest(lines []*v1.NodeDigest) bool {
	for _, line := range lines {
		if line.GetProblem() != "" || line.GetDigest() == "" || line.GetDigest() != lines[0].GetDigest() {
			return false
		}
	}
	return len(lines) > 0
}

// digestOf asks one member; a refusal becomes the problem of its line.
func (s *clusterService) digestOf(ctx context.Context, member cluster.Member, request *v1.DigestRequest) *v1.NodeDigest {
	line := &v1.NodeDigest{NodeId: member.ID}
	var answer *v1.DigestResponse
	var err error
	if member.ID == s.node.ID() {
		answer, err = s.Digest(ctx, request)
	} else {
		var p *peer
		if p, err = s.memberPeer(member); err == nil {
			answer, err = p.cluster.Digest(ctx, request)
		}
	}
	switch {
	case err != nil:
		line.Problem = whyUnreachable(ctx, err)
	case answer.GetNodeId() != member.ID:
		line.Problem = "another node answers there: " + answer.GetNodeId()
	default:
		line.Digest = answer.GetDigest()
	}
	return line
}

// eachMember calls ask for every member at the same time and returns when all have returned. There are few members.
func (s *clusterService) eachMember(members []cluster.Member, ask func(i int, member cluster.Member)) {
	var asking sync.WaitGroup
	for i, member := range members {
		asking.Go(func() { ask(i, member) })
	}
	asking.Wait()
}

// memberPeer is how a member is called by another one.
func (s *clusterService) memberPeer(member cluster.Member) (*peer, error) {
	if p := s.member(member); p != nil {
		return p, nil
	}
	return nil, errors.New("its address is not known yet")
}

// whyUnreachable is a sentence without the words of the protocol.
func whyUnreachable(ctx context.Context, err error) string {
	var answer *connect.Error
	if reason, _, ok := ReasonOf(err); ok && reason != TimedOut && errors.As(err, &answer) {
		return answer.Message()
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	if errors.As(err, &answer) {
		return answer.Message()
	}
	return err.Error()
}

func checkVerify(r *v1.VerifyRequest) error {
	var f fields
	f.between("wait_ms", r.GetWaitMs(), 0, maxWaitMs, "ms")
	return f.result()
}

func memberAnswer(m cluster.Member) *v1.Member {
	return &v1.Member{
		NodeId: m.ID, RaftAddress: m.RaftAddress, ApiAddress: m.APIAddress, Voter: m.Voter, Leader: m.Leader, Rules: m.Rules,
	}
}
