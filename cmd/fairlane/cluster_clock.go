package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newClusterSetClockCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "set-clock", Short: "Set the cluster's clock back to the leader's", Args: cobra.NoArgs,
		Long: `Set the cluster's clock back to the leader's. The cluster's clock never goes back by itself: after a leader whose clock was ahead it stands still
until time has caught up with it, and nothing falls due meanwhile. First set the clocks of the nodes right (fairlane cluster status shows how far each one
is off). What was computed from the wrong time stays as it is: ticks that fired, and times that were written down. When the cluster's clock is not ahead
it is an error, and nothing is done.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			res, err := call(cmd.Context(), a, clusterOf, fairlanev1connect.ClusterServiceClient.SetClock, &fairlanev1.SetClockRequest{})
			if err != nil {
				return err
			}
			return a.print(res, func(w io.Writer) {
				before, now := time.UnixMilli(res.GetBeforeMs()).UTC(), time.UnixMilli(res.GetNowMs()).UTC()
				fmt.Fprintf(w, "the cluster's clock was set back by %v, from %s to %s\n",
					before.Sub(now), before.Format(time.RFC3339Nano), now.Format(time.RFC3339Nano))
			})
		},
	}
}
