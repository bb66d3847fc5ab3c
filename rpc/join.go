package rpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	joinTime     = 10 * time.Second
	joinPause    = 500 * time.Millisecond
	joinPauseMax = 5 * time.Second
)

// Join asks the nodes at addresses, one after the other, to add this node, until one of them has done it or ctx ends. It
// is safe to call for a node that is already a member: then its addresses are brought up to date. The handler of
// this node must be served meanwhile.
func Join(ctx context.Context, node *cluster.Node, addresses []string) error {
	if len(addresses) == 0 {
		return errors.New("join: no address of a node to ask")
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: joinTime}
	self := node.Status()
	request := &v1.JoinRequest{NodeId: node.ID(), RaftAddress: self.RaftAddress, ApiAddress: self.APIAddress, Rules: self.Rules}
	pause := joinPause
	for {
		var errs []error
		for _, address := range addresses {
			_, err := dial(client, address).cluster.Join(ctx, request)
			if err == nil {
				return nil
			}
			errs = append(errs, fmt.Errorf("%s: %w", address, err))
			if reason, _, ok := ReasonOf(err); ok && reason == InvalidArgument {
				return fmt.Errorf("join: %w", errors.Join(errs...)) // asking again gets the same answer
			}
		}
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			again.Stop()
			return fmt.Errorf("join: %w; last answers: %w", ctx.Err(), errors.Join(errs...))
		case <-again.C:
		}
		pause = min(2*pause, joinPauseMax)
	}
}

// announceEvery is how often a node looks whether the cluster knows what it can apply.
const announceEvery = time.Second

// announce tells the leader what this node can apply, until the replicated state says so: a node that was upgraded in its place joins nobody, and
// a leader of a former version does not write it down.
func (s *server) announce(ctx context.Context) {
	look := time.NewTicker(announceEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		if s.node.Announced() {
			continue
		}
		self := s.node.Status()
		call, cancel := context.WithTimeout(ctx, joinTime)
		_, err := (&clusterService{s}).Join(call, &v1.JoinRequest{
			NodeId: self.ID, RaftAddress: self.RaftAddress, ApiAddress: self.APIAddress, Rules: self.Rules})
		cancel()
		if err != nil && ctx.Err() == nil {
			s.log.Debug("the leader was not told what this node can apply", "error", err)
		}
	}
}
