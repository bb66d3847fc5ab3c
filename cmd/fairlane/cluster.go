package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newClusterCmd(a *app) *cobra.Command {
	cluster := &cobra.Command{Use: "cluster", Short: "See the cluster, verify it, change its members"}
	cluster.AddCommand(newClusterStatusCmd(a), newClusterVerifyCmd(a), newClusterRemoveCmd(a), newClusterPromoteCmd(a), newClusterDemoteCmd(a),
		newClusterTransferCmd(a), newClusterLeaveCmd(a), newClusterSetClockCmd(a))
	return cluster
}

func newClusterStatusCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "The nodes, who leads, and how much the cluster holds; exit code 3 without a leader", Args: cobra.NoArgs,
		Long: `What every node says of itself, asked now: a node that does not answer within 2 s is shown with the reason. The last column
says why a node does not serve, or what keeps it from leading. Exit code 3 when the node that answers knows of no leader.

With -o json: the answer of the node that was asked, and under "nodes" that of every node.`,
	}
	self := cmd.Flags().Bool("self", false, "only the node that answers, and what it knows of the others")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		res, nodes, err := clusterStatus(cmd, a, *self)
		if err != nil {
			return err
		}
		if a.output == outputJSON && !*self {
			err = printWhole(a.out, res, nodes)
		} else {
			err = a.print(res, func(w io.Writer) { statusTable(w, res, nodes, time.Now()) })
		}
		if err == nil && res.GetLeaderId() == "" {
			err = &exitError{exitUnreachable, errors.New("the node knows of no leader: a majority of the voters must run and reach each other")}
		}
		return err
	}
	return cmd
}

// clusterStatus asks one node for itself and then for all. A node of a former version cannot do the second.
func clusterStatus(cmd *cobra.Command, a *app, self bool) (*fairlanev1.StatusResponse, []*fairlanev1.NodeReport, error) {
	res, err := call(cmd.Context(), a, clusterOf, fairlanev1connect.ClusterServiceClient.Status, &fairlanev1.StatusRequest{})
	if err != nil || self {
		return res, nil, err
	}
	list, err := call(cmd.Context(), a, clusterOf, fairlanev1connect.ClusterServiceClient.ListNodes, &fairlanev1.ListNodesRequest{})
	if connect.CodeOf(err) == connect.CodeUnimplemented {
		return res, nil, nil
	}
	return res, list.GetNodes(), err
}

// printWhole is the status with the reports of all nodes inside, as one object.
func printWhole(out io.Writer, s *fairlanev1.StatusResponse, nodes []*fairlanev1.NodeReport) error {
	return printJoined(out, s, "nodes", &fairlanev1.ListNodesResponse{Nodes: nodes})
}

func statusTable(w io.Writer, s *fairlanev1.StatusResponse, nodes []*fairlanev1.NodeReport, now time.Time) {
	nodeTable(w, s, nodes, now)
	t := s.GetTotals()
	c := t.GetJobs()
	row(w)
	if s.GetClusterName() != "" {
		row(w, "cluster", strings.TrimSpace(s.GetClusterName()+" "+s.GetClusterId()))
	}
	row(w, "answered by", s.GetNodeId()+" ("+s.GetRole()+")")
	row(w, "term", s.GetTerm())
	row(w, "log", fmt.Sprintf("last %d, committed %d, applied %d (%s)", s.GetLastIndex(), s.GetCommitIndex(), s.GetAppliedIndex(), s.GetLogStore()))
	row(w, "members", fmt.Sprintf("%s, configuration %d", votersText(s.GetMembers()), s.GetConfigurationIndex()))
	row(w, "rules", fmt.Sprintf("%d in force, %d with this node's version", s.GetClusterRules(), s.GetRules()))
	row(w, "jobs", fmt.Sprintf("%d scheduled, %d pending, %d running, %d succeeded, %d failed, %d timed out, %d cancelled",
		c.GetScheduled(), c.GetPending(), c.GetRunning(), c.GetSucceeded(), c.GetFailed(), c.GetTimedOut(), c.GetCancelled()))
	row(w, "since the start", fmt.Sprintf("%d enqueued, %d claimed, %d finished", t.GetEnqueued(), t.GetClaimed(), t.GetFinished()))
	row(w, "held", fmt.Sprintf("%d claims, %d workers, %d sessions, %d users, %d bytes of state",
		t.GetClaims(), t.GetWorkers(), t.GetSessions(), t.GetUsers(), t.GetStateBytes()))
	if keys := s.GetGossipKeys(); len(keys) > 0 {
		row(w, "gossip keys", strings.Join(keys, ", "))
	}
	if s.GetNotReady() != "" {
		row(w, "not ready", s.GetNotReady())
	}
}

func votersText(members []*fairlanev1.Member) string {
	voters := 0
	for _, m := range members {
		if m.GetVoter() {
			voters++
		}
	}
	return fmt.Sprintf("%d, of which %d vote and %d must agree", len(members), voters, voters/2+1)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
