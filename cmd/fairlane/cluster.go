package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newClusterCmd(a *app) *cobra.Command {
	cluster := &cobra.Command{Use: "cluster", Short: "See the cluster"}
	cluster.AddCommand(newClusterStatusCmd(a))
	return cluster
}

func newClusterStatusCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "The nodes, who leads, and how much the cluster holds; exit code 3 without a leader", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			res, err := call(cmd.Context(), a, clusterOf, fairlanev1connect.ClusterServiceClient.Status, &fairlanev1.StatusRequest{})
			if err != nil {
				return err
			}
			if err := a.print(res, func(w io.Writer) { statusTable(w, res) }); err != nil {
				return err
			}
			if res.GetLeaderId() == "" {
				return &exitError{exitUnreachable, fmt.Errorf("the node knows of no leader")}
			}
			return nil
		},
	}
}

func statusTable(w io.Writer, s *fairlanev1.StatusResponse) {
	row(w, "NODE", "ROLE", "RAFT", "API", "VOTER", "RULES")
	for _, m := range s.GetMembers() {
		role := "follower"
		if m.GetLeader() {
			role = "leader"
		}
		row(w, m.GetNodeId(), role, m.GetRaftAddress(), m.GetApiAddress(), yesNo(m.GetVoter()), m.GetRules())
	}
	t := s.GetTotals()
	c := t.GetJobs()
	row(w)
	row(w, "answered by", s.GetNodeId()+" ("+s.GetRole()+")")
	row(w, "term", s.GetTerm())
	row(w, "log", fmt.Sprintf("last %d, committed %d, applied %d (%s)", s.GetLastIndex(), s.GetCommitIndex(), s.GetAppliedIndex(), s.GetLogStore()))
	row(w, "rules", fmt.Sprintf("%d in force, %d with this node's version", s.GetClusterRules(), s.GetRules()))
	row(w, "jobs", fmt.Sprintf("%d scheduled, %d pending, %d running, %d succeeded, %d failed, %d timed out, %d cancelled",
		c.GetScheduled(), c.GetPending(), c.GetRunning(), c.GetSucceeded(), c.GetFailed(), c.GetTimedOut(), c.GetCancelled()))
	row(w, "since the start", fmt.Sprintf("%d enqueued, %d claimed, %d finished", t.GetEnqueued(), t.GetClaimed(), t.GetFinished()))
	row(w, "held", fmt.Sprintf("%d claims, %d workers, %d sessions, %d users, %d bytes of state",
		t.GetClaims(), t.GetWorkers(), t.GetSessions(), t.GetUsers(), t.GetStateBytes()))
	if s.GetNotReady() != "" {
		row(w, "not ready", s.GetNotReady())
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
