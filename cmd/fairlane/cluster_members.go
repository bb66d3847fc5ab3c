package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// leastPrefix of a node's id that may stand for all of it.
const leastPrefix = 4

type clusterService = fairlanev1connect.ClusterServiceClient

// memberCall is a call that changes one member.
type memberCall func(context.Context, clusterService, string, uint64) (proto.Message, uint64, error)

func newClusterRemoveCmd(a *app) *cobra.Command {
	return newMemberCmd(a, "remove", "Take a node out of the cluster for good", `Take a node out of the cluster for good. The node ends with exit code 70 and does not start again on its data; to come back it starts with
--rejoin, as another node. Refused when afterwards no majority of the voters would answer. Removing the leader hands leadership over first.`,
		"removed", func(ctx context.Context, c clusterService, id string, index uint64) (proto.Message, uint64, error) {
			res, err := c.RemoveNode(ctx, &fairlanev1.RemoveNodeRequest{NodeId: id, ConfigurationIndex: index})
			return res, res.GetConfigurationIndex(), err
		})
}

func newClusterPromoteCmd(a *app) *cobra.Command {
	return newMemberCmd(a, "promote", "Make a node a voter now", `Make a node a voter now, instead of when it was healthy for --promote-after. It must answer and have caught up.`,
		"is a voter", func(ctx context.Context, c clusterService, id string, index uint64) (proto.Message, uint64, error) {
			res, err := c.PromoteNode(ctx, &fairlanev1.PromoteNodeRequest{NodeId: id, ConfigurationIndex: index})
			return res, res.GetConfigurationIndex(), err
		})
}

func newClusterDemoteCmd(a *app) *cobra.Command {
	return newMemberCmd(a, "demote", "Make a voter a node that only follows", `Make a voter a node that only follows: it keeps the state, and counts for no majority, until it is promoted by hand. Refused when afterwards
no majority of the voters would answer. Demoting the leader hands leadership over first.`,
		"is no voter", func(ctx context.Context, c clusterService, id string, index uint64) (proto.Message, uint64, error) {
			res, err := c.DemoteNode(ctx, &fairlanev1.DemoteNodeRequest{NodeId: id, ConfigurationIndex: index})
			return res, res.GetConfigurationIndex(), err
		})
}

func newMemberCmd(a *app, verb, short, long, done string, change memberCall) *cobra.Command {
	cmd := &cobra.Command{
		Use: verb + " NODE", Short: short, Long: long + "\n\nNODE is an id, or the beginning of one that no other member has.", Args: cobra.ExactArgs(1),
		Example: "  fairlane cluster " + verb + " 5f0c",
	}
	index := cmd.Flags().Uint64("configuration", 0, "do it only if this is still the `index` of the members' configuration, as cluster status shows it; 0: whatever it is")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := nodeNamed(cmd.Context(), a, args[0])
		if err != nil {
			return err
		}
		var res proto.Message
		var now uint64
		res, err = callOnce(cmd.Context(), a, func(ctx context.Context, c clusterService) (out proto.Message, err error) {
			out, now, err = change(ctx, c, id, *index)
			return out, err
		})
		if err != nil {
			return err
		}
		return a.print(res, func(w io.Writer) { row(w, "node "+id+" "+done, fmt.Sprintf("configuration %d", now)) })
	}
	return cmd
}

func newClusterTransferCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "transfer [NODE]", Short: "Hand leadership over", Args: cobra.MaximumNArgs(1),
		Long:    "Hand leadership over to a voter; without NODE to the one that has most of the log.\n\nNODE is an id, or the beginning of one that no other member has.",
		Example: "  fairlane cluster transfer\n  fairlane cluster transfer 5f0c",
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &fairlanev1.TransferLeadershipRequest{}
			if len(args) > 0 {
				var err error
				if req.NodeId, err = nodeNamed(cmd.Context(), a, args[0]); err != nil {
					return err
				}
			}
			res, err := callOnce(cmd.Context(), a, func(ctx context.Context, c clusterService) (*fairlanev1.TransferLeadershipResponse, error) {
				return c.TransferLeadership(ctx, req)
			})
			if err != nil {
				return err
			}
			return a.print(res, func(w io.Writer) { row(w, "node "+res.GetLeaderId()+" leads") })
		},
	}
}

func newClusterLeaveCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "leave", Short: "Take the node at --endpoints out of the cluster, and end it", Args: cobra.NoArgs,
		Long: `Take the node at --endpoints out of the cluster for good, and end its process (exit code 0). To end a process that is to come back, stop
it (SIGTERM): that changes no members.`,
		Example: "  fairlane cluster leave --endpoints 10.0.0.13:7171",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(a.endpoints) != 1 {
				return usagef("--endpoints names %d nodes: name the one that leaves", len(a.endpoints))
			}
			res, err := callOnce(cmd.Context(), a, func(ctx context.Context, c clusterService) (*fairlanev1.LeaveResponse, error) {
				return c.Leave(ctx, &fairlanev1.LeaveRequest{})
			})
			if err != nil {
				return err
			}
			return a.print(res, func(w io.Writer) { row(w, "the node at "+a.endpoints[0]+" left the cluster and ends") })
		},
	}
}

// callOnce makes a call that must not be made twice: at the first endpoint that is there at all.
func callOnce[Res any](ctx context.Context, a *app, do func(context.Context, clusterService) (Res, error)) (res Res, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	for _, endpoint := range a.endpoints {
		if res, err = do(ctx, clusterOf(a.httpClient, a.baseURL(endpoint))); err == nil || !isRefused(err) {
			return res, err
		}
	}
	return res, unreachable(a.endpoints, err)
}

// nodeNamed gives the id of the member that a text names: the whole id, or the beginning of exactly one.
func nodeNamed(ctx context.Context, a *app, text string) (string, error) {
	status, err := call(ctx, a, clusterOf, fairlanev1connect.ClusterServiceClient.Status, &fairlanev1.StatusRequest{})
	if err != nil {
		return "", err
	}
	var found []string
	for _, member := range status.GetMembers() {
		if member.GetNodeId() == text {
			return text, nil
		}
		if strings.HasPrefix(member.GetNodeId(), text) {
			found = append(found, member.GetNodeId())
		}
	}
	switch {
	case len(found) == 0:
		return text, nil // the leader may know it; it says so if not
	case len(found) > 1:
		return "", usagef("NODE %q may be any of %s: give more of it", text, strings.Join(found, ", "))
	case len(text) < leastPrefix:
		return "", usagef("NODE %q is too short: give at least %d characters of %s", text, leastPrefix, found[0])
	}
	return found[0], nil
}
