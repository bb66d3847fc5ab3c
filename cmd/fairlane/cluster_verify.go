package main

import (
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newClusterVerifyCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify", Short: "Compare the whole state of all nodes at one log index; exit code 1 when they differ", Args: cobra.NoArgs,
		Long: `Writes a marker into the log; every node computes the SHA-256 of its whole state right after it. All must be equal: the same log
gives the same state. It changes nothing and may be run at any time. Exit code 1 when two differ, or when a node did not answer.`,
	}
	wait := cmd.Flags().Duration("wait", 10*time.Second, "how long to wait for nodes that are behind, at most 1m")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *wait < time.Millisecond || *wait > time.Minute {
			return usagef("--wait %v: want 1ms to 1m", *wait)
		}
		request := &fairlanev1.VerifyRequest{WaitMs: wait.Milliseconds()}
		res, err := callFor(cmd.Context(), a, a.timeout+*wait, clusterOf, fairlanev1connect.ClusterServiceClient.Verify, request)
		if err != nil {
			return err
		}
		if err := a.print(res, func(w io.Writer) { verifyTable(w, res) }); err != nil {
			return err
		}
		return verdict(res)
	}
	return cmd
}

func verifyTable(w io.Writer, res *fairlanev1.VerifyResponse) {
	row(w, "NODE", "INDEX", "DIGEST", "PROBLEM")
	for _, d := range res.GetDigests() {
		row(w, d.GetNodeId(), res.GetIndex(), d.GetDigest(), d.GetProblem())
	}
}

// verdict tells a difference, which is grave, from a node that only did not answer.
func verdict(res *fairlanev1.VerifyResponse) error {
	if res.GetEqual() {
		return nil
	}
	found := make(map[string]bool)
	for _, d := range res.GetDigests() {
		if d.GetDigest() != "" {
			found[d.GetDigest()] = true
		}
	}
	if len(found) > 1 {
		return errors.New("the nodes' states differ at one index. Stop the nodes that the others outvote, keep their data directories, and see docs/operations.md, \"digests differ\"")
	}
	return errors.New("not every node showed its digest; those that did are equal")
}
