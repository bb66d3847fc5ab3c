package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newLogCmd(a *app) *cobra.Command {
	log := &cobra.Command{Use: "log", Short: "See what entries of the replicated log decided"}
	log.AddCommand(newLogExplainCmd(a), newLogShowCmd(a), newLogTailCmd(a), newLogLevelCmd(a))
	return log
}

func newLogExplainCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "explain INDEX", Short: "Why each claim of this log entry got its job", Args: cobra.ExactArgs(1),
		Long: "Why each claim that this log entry decided got its job. The indexes are in the steps of fairlane job why; the last 16,384 claims are kept.",
		RunE: func(cmd *cobra.Command, args []string) error {
			index, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil || index == 0 {
				return usagef("%q is not the index of a log entry: want a number from 1", args[0])
			}
			res, err := call(cmd.Context(), a, clusterOf, fairlanev1connect.ClusterServiceClient.ExplainIndex, &fairlanev1.ExplainIndexRequest{Index: index})
			if err != nil {
				return err
			}
			return a.print(res, func(w io.Writer) {
				for _, d := range res.GetDecisions() {
					fmt.Fprintf(w, "%s, claim %d, attempt %d\n  %s\n", instant(d.GetAtMs()), d.GetFence(), d.GetAttempt(), d.GetText())
				}
			})
		},
	}
}
