package fairlane

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

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

	mu      sync.Mutex
	list    []*node
	current int // 0 <= current < len(list)
}

func newNodes(client connect.HTTPClient, endpoints []string) (*nodes, error) {
	n := &nodes{client: client}
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
	return n, nil
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

// add gives the position of the address, which is new or known; -1 when the list is full. n.mu is held or n not yet shared.
func (n *nodes) add(base string) int {
	for i, known := range n.list {
		if known.url == base {
			return i
		}
	}
	if len(n.list) == maxNodes {
		return -1
	}
	// The answers are small and near: compressing them costs more than it saves.
	plain := connect.WithAcceptCompression("gzip", nil, nil)
	n.list = append(n.list, &node{
		url:       base,
		jobs:      fairlanev1connect.NewJobServiceClient(n.client, base, plain),
		workers:   fairlanev1connect.NewWorkerServiceClient(n.client, base, plain),
		queues:    fairlanev1connect.NewQueueServiceClient(n.client, base, plain),
		events:    fairlanev1connect.NewEventServiceClient(n.client, base, plain),
		schedules: fairlanev1connect.NewScheduleServiceClient(n.client, base, plain),
		silent:    make(chan struct{}),
	})
	return len(n.list) - 1
}

// pick gives the node to ask and how many there are.
func (n *nodes) pick() (*node, int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list[n.current], len(n.list)
}

// after gives the node behind one in the list. Unlike leave it does not move the other calls.
func (n *nodes) after(one *node) *node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list[(slices.Index(n.list, one)+1)%len(n.list)]
}

// leave moves on from a node that did not serve, to the leader if the answer named one. Calls that failed at the same time
// move on once.
func (n *nodes) leave(failed *node, leader string) {
	n.mu.Lock()
	defer n.mu.Unlock()
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
