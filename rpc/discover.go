package rpc

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/cluster/certs"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	discoverTime     = 2 * time.Second
	discoverPause    = 250 * time.Millisecond
	discoverPauseMax = 15 * time.Second
	// hostsTried bounds the addresses of one name.
	hostsTried = 16
)

// Discover asks the nodes at the API addresses where their gossip is, and tells it to this node's, until ctx ends: often while nobody is known,
// else now and then. All addresses of a name are asked.
func Discover(ctx context.Context, node *cluster.Node, bundle *certs.Bundle, addresses []string) {
	client, close := outsideClient(bundle, discoverTime)
	defer close()
	pause := discoverPause
	for {
		var asked sync.WaitGroup
		for _, address := range addresses {
			asked.Go(func() { discoverAt(ctx, client, bundle != nil, node, address) })
		}
		asked.Wait()
		pause = min(2*pause, discoverPauseMax)
		if len(node.Gossiping()) > 0 {
			pause = discoverPauseMax
		}
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			again.Stop()
			return
		case <-again.C:
		}
	}
}

func discoverAt(ctx context.Context, client *http.Client, secure bool, node *cluster.Node, address string) {
	for _, at := range everyHost(ctx, address, secure) {
		answer, err := dial(client, baseURL(at, secure)).cluster.Introduce(ctx, &v1.IntroduceRequest{NodeId: node.ID(), Process: node.Process()})
		if err == nil && answer.GetProcess() != node.Process() {
			node.Discovered([]string{answer.GetGossipAddress()})
		}
	}
}

// everyHost gives host:port for each address of the host's name. With TLS the name itself is asked too: the certificate may have only that.
func everyHost(ctx context.Context, address string, secure bool) []string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || net.ParseIP(host) != nil {
		return []string{address}
	}
	ctx, cancel := context.WithTimeout(ctx, discoverTime)
	defer cancel()
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return []string{address} // the dial says why
	}
	var out []string
	if secure {
		out = append(out, address)
	}
	for _, ip := range found[:min(len(found), hostsTried)] {
		out = append(out, net.JoinHostPort(ip, port))
	}
	return out
}
