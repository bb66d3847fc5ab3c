package rpc

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/fairlane-scheduler/fairlane/cluster"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func (n *testNode) operators() fairlanev1connect.ClusterServiceClient {
	return fairlanev1connect.NewClusterServiceClient(http.DefaultClient, n.url)
}

// TestListNodesAndVerify: every node tells the same of all; of one that is gone, that it is gone, within the time that is promised.
func TestListNodesAndVerify(t *testing.T) {
	nodes := startThree(t)
	ctx := t.Context()
	if _, err := nodes[1].jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k"}}); err != nil {
		t.Fatal(err)
	}
	for _, asked := range nodes {
		list, err := asked.operators().ListNodes(ctx, &v1.ListNodesRequest{})
		if err != nil || len(list.GetNodes()) != 3 {
			t.Fatalf("%v: %v", list, err)
		}
		for _, report := range list.GetNodes() {
			status := report.GetStatus()
			if report.GetUnreachable() != "" || status.GetNodeId() != report.GetMember().GetNodeId() || !status.GetVoter() || status.GetStartedMs() == 0 {
				t.Errorf("%v", report)
			}
		}
		verified, err := asked.operators().Verify(ctx, &v1.VerifyRequest{})
		if err != nil || !verified.GetEqual() || len(verified.GetDigests()) != 3 || len(verified.GetDigests()[2].GetDigest()) != 64 {
			t.Errorf("%v: %v", verified, err)
		}
	}
	nodes[2].stop()
	gone := nodes[2].ID()
	began := time.Now()
	list, err := nodes[1].operators().ListNodes(ctx, &v1.ListNodesRequest{})
	if took := time.Since(began); err != nil || took > reportTime+time.Second {
		t.Fatalf("%v after %v", err, took)
	}
	verified, err := nodes[1].operators().Verify(ctx, &v1.VerifyRequest{WaitMs: 1000})
	if err != nil || verified.GetEqual() {
		t.Errorf("a node is gone, and it says equal: %v, %v", verified, err)
	}
	for i, report := range list.GetNodes() {
		if missing := report.GetMember().GetNodeId() == gone; missing != (report.GetUnreachable() != "") || missing != (report.GetStatus() == nil) {
			t.Errorf("%v", report)
		}
		if line := verified.GetDigests()[i]; (line.GetNodeId() == gone) != (line.GetProblem() != "") {
			t.Errorf("%v", line)
		}
	}
	if _, err := nodes[0].operators().Verify(ctx, &v1.VerifyRequest{WaitMs: -1}); err == nil {
		t.Error("a negative wait was taken")
	}
}

// TestSameDigest: equal is said only when every member has shown the same.
func TestSameDigest(t *testing.T) {
	line := func(digest, problem string) *v1.NodeDigest {
		return &v1.NodeDigest{NodeId: "n", Digest: digest, Problem: problem}
	}
	for name, c := range map[string]struct {
		lines []*v1.NodeDigest
		want  bool
	}{
		"equal":     {[]*v1.NodeDigest{line("a", ""), line("a", "")}, true},
		"other":     {[]*v1.NodeDigest{line("a", ""), line("a", ""), line("b", "")}, false},
		"away":      {[]*v1.NodeDigest{line("a", ""), line("", "no answer in time")}, false},
		"all away":  {[]*v1.NodeDigest{line("", "x"), line("", "x")}, false},
		"empty":     {[]*v1.NodeDigest{line("", ""), line("", "")}, false},
		"no member": {nil, false},
	} {
		if got := sameDigest(c.lines); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestSetLogLevel: it holds for every part of the process at once, and nonsense changes nothing.
func TestSetLogLevel(t *testing.T) {
	var log strings.Builder
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: &log})
	part := logger.Named("raft")
	node := startNode(t, func(_ *cluster.Config, c *Config) { c.Logger = logger })
	for _, bad := range []string{"", "loud", "off", strings.Repeat("x", 5000)} {
		if _, err := node.operators().SetLogLevel(t.Context(), &v1.SetLogLevelRequest{Level: bad}); err == nil {
			t.Errorf("%.10q was taken", bad)
		}
	}
	before, err := node.operators().SetLogLevel(t.Context(), &v1.SetLogLevelRequest{Level: "debug"})
	if err != nil || before.GetBefore() != "warn" {
		t.Fatalf("%v, %v", before, err)
	}
	if part.Debug("seen from now on"); !part.IsDebug() || !strings.Contains(log.String(), "seen from now on") {
		t.Errorf("the part logs as before: %s", log.String())
	}
	status, err := node.operators().Status(t.Context(), &v1.StatusRequest{})
	if err != nil || status.GetLogLevel() != "debug" {
		t.Errorf("%v, %v", status.GetLogLevel(), err)
	}
}
