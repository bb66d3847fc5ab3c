package rpc

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/cluster/certs"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	// formLook is how often a fresh node looks who else is there.
	formLook = 250 * time.Millisecond
	// settledLooks in a row must find the same set before its first node asks the others: what they confirm binds them.
	settledLooks = 4
	// confirmTime bounds the answer of another node of the set.
	confirmTime = 2 * time.Second
	// mostExpected nodes form a cluster.
	mostExpected = 15
)

// ConfirmBootstrap answers for this node alone.
func (s *clusterService) ConfirmBootstrap(_ context.Context, r *v1.ConfirmBootstrapRequest) (*v1.ConfirmBootstrapResponse, error) {
	if err := checkConfirmBootstrap(r); err != nil {
		return nil, err
	}
	why := s.node.ConfirmBootstrap(r.GetNodeIds(), r.GetClusterName())
	return &v1.ConfirmBootstrapResponse{Confirmed: why == "", Why: why}, nil
}

// FormCluster returns when this node belongs to a cluster: one that it forms with as many fresh nodes as it expects, once all of them see the same
// set, or one that exists already. Of the set the node with the lowest id begins. It returns an error when a cluster refuses this node for good.
func FormCluster(ctx context.Context, node *cluster.Node, bundle *certs.Bundle, expect int) error {
	f := former{node: node, expect: expect, secure: bundle != nil}
	var closeOutside func()
	f.outside, closeOutside = outsideClient(bundle, joinTime)
	defer closeOutside()
	inside := &http.Transport{DialContext: node.DialInside, DisableKeepAlives: true}
	defer inside.CloseIdleConnections()
	f.inside = &http.Client{Transport: inside, Timeout: confirmTime}
	look := time.NewTicker(formLook)
	defer look.Stop()
	if !node.Fresh() {
		return nil // it belongs to one since an earlier start
	}
	for {
		why, err := f.try(ctx)
		if err != nil {
			return err
		}
		if node.Fresh() {
			node.Forming(why)
		} else {
			node.Forming("")
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

type former struct {
	node            *cluster.Node
	expect          int
	secure          bool
	outside, inside *http.Client
	last            []string // the set of the last look, and how often it was seen in a row
	looks           int
}

// try once, and say what keeps the cluster from being formed. An error is final.
func (f *former) try(ctx context.Context) (why string, err error) {
	set := f.node.FreshSet()
	if len(set.Cluster) > 0 {
		var addresses []string
		for _, m := range set.Cluster {
			addresses = append(addresses, m.APIAddress)
		}
		err, final := joinOnce(ctx, f.outside, f.secure, f.node, addresses)
		switch {
		case final:
			return "", fmt.Errorf("join the cluster that exists: %w", err)
		case err != nil:
			return "a cluster exists, but this node was not added to it yet: " + err.Error(), nil
		}
		return "a cluster exists, and adds this node", nil
	}
	ids := strings.Join(set.IDs, ", ")
	if !slices.Equal(set.IDs, f.last) {
		f.last, f.looks = set.IDs, 0
	}
	f.looks++
	switch {
	case len(set.IDs) < f.expect:
		return fmt.Sprintf("%d of %d fresh nodes are seen (%s): start the others with the same --bootstrap-expect and --cluster-name, and let gossip reach them with --join",
			len(set.IDs), f.expect, ids), nil
	case len(set.IDs) > f.expect:
		return fmt.Sprintf("%d fresh nodes are seen where --bootstrap-expect says %d, so none begins (%s): end those that are too many, and start them again later",
			len(set.IDs), f.expect, ids), nil
	case set.IDs[0] != f.node.ID():
		return "all " + fmt.Sprint(f.expect) + " fresh nodes are seen: node " + set.IDs[0] + " begins the cluster", nil
	case f.looks < settledLooks:
		return "all " + fmt.Sprint(f.expect) + " fresh nodes are seen: this node begins the cluster", nil
	}
	if why := f.confirm(ctx, set); why != "" {
		return why, nil
	}
	return "", f.node.Form(ctx, set.Others)
}

// confirm asks every node of the set, this one too.
func (f *former) confirm(ctx context.Context, set cluster.FreshSet) (why string) {
	name := f.node.Introduction().ClusterName
	answers := make([]string, len(set.Others))
	var asked sync.WaitGroup
	for i, m := range set.Others {
		asked.Go(func() {
			answer, err := dial(f.inside, "http://"+m.RaftAddress).cluster.ConfirmBootstrap(ctx, &v1.ConfirmBootstrapRequest{NodeIds: set.IDs, ClusterName: name})
			switch {
			case err != nil:
				answers[i] = fmt.Sprintf("node %s was not asked: %v", m.ID, err)
			case !answer.GetConfirmed():
				answers[i] = fmt.Sprintf("node %s does not agree: %s", m.ID, answer.GetWhy())
			}
		})
	}
	asked.Wait()
	for _, answer := range answers {
		if answer != "" {
			return answer
		}
	}
	return f.node.ConfirmBootstrap(set.IDs, name) // last: a set that another refuses binds this node to nothing
}
