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
	request := &v1.JoinRequest{NodeId: node.ID(), RaftAddress: self.RaftAddress, ApiAddress: self.APIAddress}
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
