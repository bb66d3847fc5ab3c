package rpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/cluster/certs"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	joinTime     = 10 * time.Second
	joinPause    = 500 * time.Millisecond
	joinPauseMax = 5 * time.Second
)

// finalRefusals of a Join: asking again gets the same answer.
var finalRefusals = map[Reason]bool{InvalidArgument: true, WrongCluster: true, NodeIDInUse: true, NodeRemoved: true}

// Join asks the nodes at the API addresses, one after the other, to add this node, until one of them has done it, one refuses for good, or ctx
// ends. It is safe to call for a node that is already a member: then its addresses are brought up to date. The handler of this node must be served
// meanwhile. bundle is nil without TLS.
func Join(ctx context.Context, node *cluster.Node, bundle *certs.Bundle, addresses []string) error {
	if len(addresses) == 0 {
		return errors.New("join: no address of a node to ask")
	}
	client, close := outsideClient(bundle, joinTime)
	defer close()
	pause := joinPause
	for {
		err, final := joinOnce(ctx, client, bundle != nil, node, addresses)
		if err == nil {
			return nil
		}
		if final {
			return fmt.Errorf("join: %w", err)
		}
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			again.Stop()
			return fmt.Errorf("join: %w; last answers: %w", ctx.Err(), err)
		case <-again.C:
		}
		pause = min(2*pause, joinPauseMax)
	}
}

// joinOnce asks every address until one has added the node. final: asking again is of no use.
func joinOnce(ctx context.Context, client *http.Client, secure bool, node *cluster.Node, addresses []string) (err error, final bool) {
	var errs []error
	for _, address := range addresses {
		_, err := dial(client, baseURL(address, secure)).cluster.Join(ctx, joinRequest(node))
		if err == nil {
			return nil, false
		}
		errs = append(errs, fmt.Errorf("%s: %w", address, err))
		reason, _, ok := ReasonOf(err)
		if reason == NodeRemoved {
			node.Expelled("the cluster refused it when it joined at " + address)
		}
		if ok && finalRefusals[reason] {
			return errors.Join(errs...), true
		}
	}
	return errors.Join(errs...), false
}

func joinRequest(node *cluster.Node) *v1.JoinRequest {
	self := node.Introduction()
	return &v1.JoinRequest{
		NodeId: self.ID, RaftAddress: self.RaftAddress, ApiAddress: self.APIAddress, Rules: self.Rules,
		ClusterName: self.ClusterName, ClusterId: self.ClusterID, Process: self.Process,
	}
}

// outsideClient calls the API of other nodes; close gives its connections back.
func outsideClient(bundle *certs.Bundle, limit time.Duration) (client *http.Client, close func()) {
	transport := &http.Transport{DisableKeepAlives: true}
	if bundle != nil {
		transport.TLSClientConfig = bundle.ClusterClient()
	}
	return &http.Client{Transport: transport, Timeout: limit}, transport.CloseIdleConnections
}

// introduceTime bounds the look whether a node's id is in use elsewhere.
const introduceTime = time.Second

// admit checks who wants to join, at the leader: a node of this cluster, and not a copy of one that runs.
func (s *server) admit(ctx context.Context, r *v1.JoinRequest) error {
	self := s.node.Introduction()
	if name := r.GetClusterName(); name != "" && name != self.ClusterName {
		return problem(WrongCluster, "cluster", self.ClusterName, "expected", name)
	}
	if id := r.GetClusterId(); id != "" && self.ClusterID != "" && id != self.ClusterID {
		return problem(WrongCluster, "cluster", self.ClusterID, "expected", id)
	}
	if r.GetProcess() == 0 {
		return nil // of a former version
	}
	for _, member := range s.node.Status().Members {
		if member.ID != r.GetNodeId() || member.RaftAddress == r.GetRaftAddress() {
			continue
		}
		ask, cancel := context.WithTimeout(ctx, introduceTime)
		other, err := s.peers.inside(member.RaftAddress).cluster.Introduce(ask, &v1.IntroduceRequest{NodeId: self.ID, ClusterName: self.ClusterName})
		cancel()
		if err == nil && other.GetNodeId() == r.GetNodeId() && other.GetProcess() != r.GetProcess() {
			return problem(NodeIDInUse, "node_id", r.GetNodeId(), "address", member.RaftAddress)
		}
	}
	return nil
}

// announceEvery is how often a node looks whether the cluster knows what it can apply and where it is.
const announceEvery = time.Second

// announce tells the leader what this node can apply and where it is, until the replicated state says so: a node that was upgraded in its place, or
// that came back elsewhere, joins nobody, and a leader of a former version does not write down the rules.
func (s *server) announce(ctx context.Context) {
	look := time.NewTicker(announceEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		if s.node.Announced() && s.node.Located() {
			continue
		}
		call, cancel := context.WithTimeout(ctx, joinTime)
		_, err := (&clusterService{s}).Join(call, joinRequest(s.node))
		cancel()
		if reason, _, _ := ReasonOf(err); reason == NodeRemoved {
			s.node.Expelled("the leader says so")
			return
		}
		if err != nil && ctx.Err() == nil {
			s.log.Debug("the leader was not told what this node can apply, and where it is", "error", err)
		}
	}
}
