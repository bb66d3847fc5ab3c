package fairlane

import (
	"context"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// leaderHeader is on the answers of a node that passed the call on: the address of the leader's API.
const leaderHeader = "Fairlane-Leader"

const (
	// visitLimit of a visit to the leader before any call goes there.
	visitLimit = 2 * time.Second
	// visitPause before the next visit to an address that cannot be reached from here, or is another cluster's; visitSoon when it only
	// did not lead.
	visitPause = time.Minute
	visitSoon  = time.Second
)

// listener sends to one node and hears when the node says that another one leads.
type listener struct {
	connect.HTTPClient
	nodes *nodes
	of    *node
}

func (l *listener) Do(req *http.Request) (*http.Response, error) {
	res, err := l.HTTPClient.Do(req)
	if err == nil {
		if leader := res.Header[leaderHeader]; len(leader) > 0 {
			l.nodes.passedOn(l.of, leader[0])
		}
	}
	return res, err
}

// passedOn says that calls to a node go on to the leader, so that they had better be sent there at once. The leader is visited in the
// background: behind a load balancer or NAT its address may lead nowhere, or to a machine that is none of ours. Calls move when the visit went
// well; until then, and otherwise, nothing changes for them.
func (n *nodes) passedOn(from *node, leader string) {
	scheme, _, _ := strings.Cut(from.url, "://")
	base, err := baseURL(leader, scheme)
	if err != nil || base == from.url {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.visiting || n.list[n.current] != from || n.life.Err() != nil || time.Now().Before(n.barred[base]) {
		return
	}
	n.visiting = true
	go n.visit(from, base)
}

// visit the leader, and move there.
func (n *nodes) visit(from *node, base string) {
	ctx, cancel := context.WithTimeout(n.life, visitLimit)
	defer cancel()
	pause := n.mayLead(ctx, from, base)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.visiting = false
	if pause == 0 && n.list[n.current] == from {
		if i := n.add(base); i >= 0 {
			n.current = i
			return
		}
		pause = visitPause
	}
	if pause == 0 {
		return
	}
	if len(n.barred) >= maxNodes {
		clear(n.barred)
	}
	n.barred[base] = time.Now().Add(pause)
}

// leaderAt gives the node at the address that another one gave for the leader, once the leader of its cluster has answered there; nil: it has not, and
// for that long it is not to be asked again.
func (n *nodes) leaderAt(ctx context.Context, leader string, from *node) (*node, time.Duration) {
	scheme, _, _ := strings.Cut(from.url, "://")
	base, err := baseURL(leader, scheme)
	if err != nil || base == from.url {
		return nil, visitPause
	}
	if pause := n.mayLead(ctx, from, base); pause > 0 {
		return nil, pause
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if i := n.add(base); i >= 0 {
		return n.list[i], 0
	}
	return nil, visitPause
}

// mayLead asks whether the leader of the cluster of a node answers at an address; 0: it does, else how long not to ask again.
func (n *nodes) mayLead(ctx context.Context, from *node, base string) (pause time.Duration) {
	there, err := n.status(ctx, base)
	if err != nil {
		return visitPause
	}
	here, err := n.status(ctx, from.url)
	switch {
	case err != nil:
		return visitSoon
	case there.GetClusterId() != here.GetClusterId() || there.GetClusterId() == "":
		return visitPause
	case there.GetRole() != "leader":
		return visitSoon
	}
	return 0
}

func (n *nodes) status(ctx context.Context, base string) (*fairlanev1.StatusResponse, error) {
	cluster := fairlanev1connect.NewClusterServiceClient(n.client, base, connect.WithAcceptCompression("gzip", nil, nil))
	return cluster.Status(ctx, &fairlanev1.StatusRequest{})
}
