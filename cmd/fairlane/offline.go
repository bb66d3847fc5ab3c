package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/rpc"
)

func newOfflineCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "offline", Short: "Look at data directories of nodes that do not run, and recover one after a majority was lost"}
	cmd.AddCommand(newOfflineInspectCmd(a), newOfflineRecoverCmd(a))
	return cmd
}

// surveyed is what inspect tells of a data directory.
type surveyed struct {
	Dir           string           `json:"dir"`
	NodeID        string           `json:"node_id"`
	LogStore      string           `json:"log_store"`
	Term          uint64           `json:"term"`
	LastTerm      uint64           `json:"last_term"`
	LastIndex     uint64           `json:"last_index"`
	FirstIndex    uint64           `json:"first_index"`
	SnapshotIndex uint64           `json:"snapshot_index"`
	StateIndex    uint64           `json:"state_index"`
	Epoch         uint32           `json:"epoch"`
	Rules         uint32           `json:"rules"`
	ClusterID     string           `json:"cluster_id"`
	ClusterName   string           `json:"cluster_name"`
	OpenJobs      int64            `json:"open_jobs"`
	Members       []surveyedMember `json:"members"`
}

type surveyedMember struct {
	NodeID      string `json:"node_id"`
	RaftAddress string `json:"raft_address"`
	APIAddress  string `json:"api_address"`
	Voter       bool   `json:"voter"`
}

func survey(dir string) (surveyed, error) {
	s, err := cluster.SurveyOffline(dir)
	if err != nil {
		return surveyed{}, fmt.Errorf("%s: %w", dir, err)
	}
	out := surveyed{Dir: dir, NodeID: s.NodeID, LogStore: s.LogStore, Term: s.Term, LastTerm: s.LastTerm, LastIndex: s.LastIndex,
		FirstIndex: s.FirstIndex, SnapshotIndex: s.SnapshotIndex, StateIndex: s.StateIndex, Epoch: s.Epoch, Rules: s.Rules,
		ClusterID: s.ClusterID, ClusterName: s.ClusterName, OpenJobs: s.Jobs, Members: []surveyedMember{}}
	for _, m := range s.Members {
		out.Members = append(out.Members, surveyedMember{m.ID, m.RaftAddress, m.APIAddress, m.Voter})
	}
	return out, nil
}

func (s surveyed) table(w io.Writer) {
	row(w, "data", s.Dir)
	row(w, "node", s.NodeID)
	row(w, "cluster", strings.TrimSpace(s.ClusterName+" "+s.ClusterID))
	row(w, "term", fmt.Sprintf("%d, of the last entry %d", s.Term, s.LastTerm))
	row(w, "last index", fmt.Sprintf("%d; how much of the log was committed only a running cluster knows", s.LastIndex))
	row(w, "log", fmt.Sprintf("%s, from index %d, behind a snapshot of index %d", s.LogStore, s.FirstIndex, s.SnapshotIndex))
	row(w, "state", fmt.Sprintf("index %d, epoch %d, rules %d, %d jobs wait or run", s.StateIndex, s.Epoch, s.Rules, s.OpenJobs))
	for _, m := range s.Members {
		votes := "only follows"
		if m.Voter {
			votes = "votes"
		}
		row(w, "member", fmt.Sprintf("%s at %s %s", m.NodeID, m.RaftAddress, votes))
	}
}

func newOfflineInspectCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "inspect DIR...", Short: "What lies in data directories of nodes that do not run", Args: cobra.MinimumNArgs(1),
		Long: `What lies in the data directories of nodes that do not run: whose they are, how far their logs go, which members they know.
Nothing is changed. With --log the last entries of the log follow, in words, without payloads.`,
		Example: "  fairlane offline inspect /var/lib/fairlane\n  fairlane offline inspect node1 node2 --log 20",
	}
	entries := cmd.Flags().Int("log", 0, "show so many of the last `entries` of the log too, at most 1000")
	cmd.RunE = func(_ *cobra.Command, dirs []string) error {
		if *entries < 0 || *entries > cluster.MostLogEntries {
			return usagef("--log %d: want 0 to %d", *entries, cluster.MostLogEntries)
		}
		all := make([]surveyed, len(dirs))
		for i, dir := range dirs {
			var err error
			if all[i], err = survey(dir); err != nil {
				return err
			}
		}
		err := a.printJSON(all, func(w io.Writer) {
			for i, s := range all {
				if i > 0 {
					fmt.Fprintln(w)
				}
				s.table(w)
			}
		})
		for _, dir := range dirs {
			if err == nil && *entries > 0 {
				err = a.printLog(dir, *entries)
			}
		}
		return err
	}
	return cmd
}

// printLog shows the last entries of a log.
func (a *app) printLog(dir string, entries int) (err error) {
	disk, err := cluster.OpenOffline(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	first := max(disk.First, disk.Last-min(disk.Last, uint64(entries))+1)
	for index := first; index > 0 && index <= disk.Last; index++ {
		record, err := disk.Entry(index)
		if err != nil {
			return err
		}
		if err := a.printEntry(rpc.LogEntryOf(record)); err != nil {
			return err
		}
	}
	return nil
}

func newOfflineRecoverCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "recover DIR", Short: "Make a cluster of one node out of what is left, after a majority was lost for good", Args: cobra.ExactArgs(1),
		Long: `Make a cluster of one node out of the data directory of a node that does not run. For when a majority of the voters is lost
for good, and only then: as long as a majority can be started again, start it.

The directory is copied first, beside itself. Then all of the node's log counts, also what may never have been committed;
all claims and sessions end, the jobs that ran wait again, and the epoch rises, so nothing that was handed out before
counts any longer. If several nodes are left, compare them and take the one that is furthest: --compare shows the others
and refuses when one of them is further.

Afterwards start the node as always. The other nodes must not come back with their data, which would be a second cluster:
empty their data directories, then let them join.`,
		Example: "  fairlane offline recover /var/lib/fairlane\n  fairlane offline recover node1 --compare node2 --yes 1b4e28ba-2fa1-41d2-883f-0016d3cca427",
	}
	yes := cmd.Flags().String("yes", "", "`id` of the node, instead of typing it")
	others := cmd.Flags().StringSlice("compare", nil, "data `directories` of other nodes that are left")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		s, err := survey(args[0])
		if err != nil {
			return err
		}
		s.show(a)
		for _, dir := range *others {
			other, err := survey(dir)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.err)
			other.show(a)
			if err := s.before(other); err != nil {
				return err
			}
		}
		switch {
		case *yes == "":
			fmt.Fprintf(a.err, "\nThis node becomes a cluster of its own. The node id is %s. ", s.NodeID)
			if err := a.askWord(s.NodeID); err != nil {
				return err
			}
		case *yes != s.NodeID:
			return usagef("--yes %s: the data in %s are of node %s. Nothing was done", *yes, args[0], s.NodeID)
		}
		return a.recover(args[0], s)
	}
	return cmd
}

// show on the error output: the standard output is for the result.
func (s surveyed) show(a *app) {
	w := tabwriter.NewWriter(a.err, 0, 0, 2, ' ', 0)
	s.table(w)
	_ = w.Flush()
}

// before refuses when another node that is left has more, or is of another cluster.
func (s surveyed) before(other surveyed) error {
	if s.ClusterID != other.ClusterID {
		return fmt.Errorf("%s is of cluster %q, %s of %q: they are no nodes of one cluster. Nothing was done", s.Dir, s.ClusterID, other.Dir, other.ClusterID)
	}
	if other.LastTerm > s.LastTerm || other.LastTerm == s.LastTerm && other.LastIndex > s.LastIndex {
		return fmt.Errorf("%s ends at term %d index %d, %s only at term %d index %d: recover %s. Nothing was done",
			other.Dir, other.LastTerm, other.LastIndex, s.Dir, s.LastTerm, s.LastIndex, other.Dir)
	}
	return nil
}

// recovered is what recover tells.
type recovered struct {
	NodeID string `json:"node_id"`
	Copy   string `json:"copy"`
	Index  uint64 `json:"index"`
	Epoch  uint32 `json:"epoch"`
}

func (a *app) recover(dir string, s surveyed) error {
	logger := hclog.New(&hclog.LoggerOptions{Name: "fairlane", Level: hclog.Warn, Output: a.err})
	out, err := cluster.RecoverOffline(dir, logger)
	if err != nil {
		return err
	}
	return a.printJSON(recovered{s.NodeID, out.Copy, out.Index, out.Epoch}, func(w io.Writer) {
		row(w, "recovered", "node "+s.NodeID+" alone")
		row(w, "state", fmt.Sprintf("index %d, epoch %d (before: %d)", out.Index, out.Epoch, s.Epoch))
		row(w, "copy", out.Copy)
		row(w, "next", "start this node; empty the data directories of the others, then let them join")
	})
}
