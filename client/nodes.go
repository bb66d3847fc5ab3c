package fairlane

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// maxNodes bounds the addresses that a client keeps, those learnt from answers included.
const maxNodes = 16

// node is one address of the cluster and the services behind it.
type node struct {
	url       string
	jobs      fairlanev1connect.JobServiceClient
	workers   fairlanev1connect.WorkerServiceClient
	queues    fairlanev1connect.QueueServiceClient
	events    fairlanev1connect.EventServiceClient
	schedules fairlanev1connect.ScheduleServiceClient
	// silent is closed and replaced when the node gave no sign of life in time; nodes.mu guards the field.
	silent chan struct{}
}

// nodes is the list of addresses and which of them is asked next. Safe for many goroutines.
type nodes struct {
	client connect.HTTPClient

	life context.Context // ends when the client is closed

	mu      sync.Mutex
	list    []*node // the given ones, then those learnt from answers
	given   int
	oldest  int // given <= oldest <= maxNodes: the learnt one that a new one replaces next when the list is full
	current int // 0 <= current < len(list)
	// near is where streams that only read begin. Calls move to the leader, which saves them a hop; readers stay, for any node serves them.
	near int // 0 <= near < len(list)
	// visiting: a leader is being looked at. barred addresses are not, until a moment; at most maxNodes.
	visiting bool
	barred   map[string]time.Time
}

func newNodes(client connect.HTTPClient, endpoints []string) (*nodes, error) {
	n := &nodes{client: client, life: context.Background(), barred: map[string]time.Time{}, given: maxNodes}
	for _, endpoint := range endpoints {
		base, err := baseURL(endpoint, "http")
		if err != nil {
			return nil, err
		}
		n.add(base)
	}
	if len(n.list) == 0 {
		return nil, fmt.Errorf("fairlane: no endpoint given: name at least one, for example http://127.0.0.1:7171")
	}
	n.given, n.oldest = len(n.list), len(n.list)
	return n, nil
}

// named addresses, those that were given.
func (n *nodes) named() (out []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, node := range n.list[:n.given] {
		out = append(out, node.url)
	}
	return out
}

// baseURL accepts host:port and http(s) URLs.
func baseURL(endpoint, scheme string) (string, error) {
	text := strings.TrimSpace(endpoint)
	if !strings.Contains(text, "://") {
		text = scheme + "://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("fairlane: endpoint %q: want host:port or http://host:port", endpoint)
	}
	return strings.TrimSuffix(text, "/"), nil
}

// add gives the position of the address, which is new or known; -1 when the list is full of addresses that stay. n.mu is held or n not yet shared.
func (n *nodes) add(base string) int {
	for i, known := range n.list {
		if known.url == base {
			return i
		}
	}
	i := n.room()
	if i >= 0 {
		n.list[i] = n.newNode(base)
	}
	return i
}

// room gives the position of a new address. In a full list that is the one of the address learnt longest ago that is not in use: nodes come and go, and
// one that went must not keep out the leader. -1: there is none. n.mu is held or n not yet shared.
func (n *nodes) room() int {
	if len(n.list) < maxNodes {
		n.list = append(n.list, nil)
		return len(n.list) - 1
	}
	for range maxNodes - n.given {
		if n.oldest == maxNodes {
			n.oldest = n.given
		}
		i := n.oldest
		n.oldest++
		if i != n.current && i != n.near {
			return i
		}
	}
	return -1
}

func (n *nodes) newNode(base string) *node {
	// The answers are small and near: compressing them costs more than it saves.
	plain := connect.WithAcceptCompression("gzip", nil, nil)
	one := &node{url: base, silent: make(chan struct{})}
	client := &listener{HTTPClient: n.client, nodes: n, of: one}
	one.jobs = fairlanev1connect.NewJobServiceClient(client, base, plain)
	one.workers = fairlanev1connect.NewWorkerServiceClient(client, base, plain)
	one.queues = fairlanev1connect.NewQueueServiceClient(client, base, plain)
	one.events = fairlanev1connect.NewEventServiceClient(client, base, plain)
	one.schedules = fairlanev1connect.NewScheduleServiceClient(client, base, plain)
	return one
}

// pick gives the node to ask and how many there are.
func (n *nodes) pick() (*node, int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list[n.current], len(n.list)
}

// reader gives the node at which a stream that only reads begins, and how many nodes there are.
func (n *nodes) reader() (*node, int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list[n.near], len(n.list)
}

// after gives the node behind one in the list, on which a stream goes on. Unlike leave it does not move the other calls.
func (n *nodes) after(one *node) *node {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.passReaders(one)
	return n.list[(slices.Index(n.list, one)+1)%len(n.list)]
}

// passReaders lets the next streams begin elsewhere than at a node that did not serve; n.mu is held.
func (n *nodes) passReaders(failed *node) {
	if n.list[n.near] == failed {
		n.near = (n.near + 1) % len(n.list)
	}
}

// leave moves on from a node that did not serve, to the leader if the answer named one. Calls that failed at the same time
// move on once.
func (n *nodes) leave(failed *node, leader string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.passReaders(failed)
	if n.list[n.current] != failed {
		return
	}
	n.current = (n.current + 1) % len(n.list)
	if leader == "" {
		return
	}
	scheme, _, _ := strings.Cut(failed.url, "://")
	base, err := baseURL(leader, scheme)
	if err != nil || base == failed.url {
		return
	}
	if i := n.add(base); i >= 0 {
		n.current = i
	}
}

// suspect says that a node gave no sign of life in time. Calls that wait there for long, claims above all, are then sent
// elsewhere: a machine that froze or lost its power does not even close its connections.
func (n *nodes) suspect(silent *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(silent.silent)
	silent.silent = make(chan struct{})
}

// silence gives the channel that closes when the node is next suspected.
func (n *nodes) silence(of *node) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return of.silent
}
