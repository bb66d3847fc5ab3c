package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newLogLevelCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "level LEVEL", Short: "Change how much a running node logs: trace, debug, info, warn or error", Args: cobra.ExactArgs(1),
		Long: `Changes how much a node writes to its log, from now until it ends: the next start takes --log-level again. It is the node that answers at
--endpoints, or another member with --node.`,
		Example: "  fairlane log level debug\n  fairlane log level debug --node NODE_ID",
	}
	id := cmd.Flags().String("node", "", "`id` of the node, as cluster status shows it; default: the node that answers")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *id != "" {
			address, err := apiAddressOf(cmd.Context(), a, *id)
			if err != nil {
				return err
			}
			a.endpoints = []string{address}
		}
		res, err := call(cmd.Context(), a, clusterOf, fairlanev1connect.ClusterServiceClient.SetLogLevel, &fairlanev1.SetLogLevelRequest{Level: args[0]})
		if err != nil {
			return err
		}
		return a.print(res, func(w io.Writer) { row(w, "log level "+args[0]+", before "+res.GetBefore()) })
	}
	return cmd
}

// apiAddressOf a member.
func apiAddressOf(ctx context.Context, a *app, id string) (string, error) {
	s, err := call(ctx, a, clusterOf, fairlanev1connect.ClusterServiceClient.Status, &fairlanev1.StatusRequest{})
	if err != nil {
		return "", err
	}
	for _, m := range s.GetMembers() {
		if m.GetNodeId() != id {
			continue
		}
		if m.GetApiAddress() == "" {
			return "", fmt.Errorf("the address of node %s is not known yet", id)
		}
		return m.GetApiAddress(), nil
	}
	return "", fmt.Errorf("there is no node %s; fairlane cluster status shows their ids", id)
}
