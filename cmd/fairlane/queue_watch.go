package main

import (
	"fmt"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newQueueWatchCmd(a *app) *cobra.Command {
	watch := &cobra.Command{
		Use: "watch QUEUE", Short: "The counts of a queue, and again when they changed", Args: cobra.ExactArgs(1),
		Long: "The counts of a queue, one line each time that they changed, until it is interrupted. With -o json one object a line.",
	}
	every := watch.Flags().Duration("every", 0, "least time between two lines; 0: as often as the node allows")
	watch.RunE = func(cmd *cobra.Command, args []string) error {
		if *every < 0 {
			return usagef("--every %v: want a duration from 0", *every)
		}
		if a.output != outputJSON {
			fmt.Fprintf(a.out, queueLine, "PENDING", "RUNNING", "USERS", "OLDEST_WAIT", "HAS_WORK", "SCHEDULED", "STATE")
		}
		req := &fairlanev1.WatchQueueRequest{Name: args[0], LeastMs: every.Milliseconds()}
		err := follow(cmd.Context(), a, stream[fairlanev1connect.QueueServiceClient, fairlanev1.WatchQueueRequest, fairlanev1.WatchQueueResponse]{
			service: queuesOf, open: fairlanev1connect.QueueServiceClient.WatchQueue,
			// Each message is the whole queue, so there is nothing to go on after.
			request: func() *fairlanev1.WatchQueueRequest { return req },
			receive: func(m *fairlanev1.WatchQueueResponse) (bool, error) {
				if a.output == outputJSON {
					return false, printLine(a.out, m)
				}
				q := m.GetQueue()
				state := "open"
				if q.GetPaused() {
					state = "paused"
				}
				wait := waitText(q.GetOldestWaitMs())
				if wait == "" {
					wait = "-"
				}
				_, err := fmt.Fprintf(a.out, queueLine, fmt.Sprint(q.GetCounts().GetPending()), fmt.Sprint(q.GetCounts().GetRunning()),
					fmt.Sprint(q.GetUsers()), wait, yesNo(m.GetHasWork()), fmt.Sprint(q.GetCounts().GetScheduled()), state)
				return false, err
			},
		})
		return endless(cmd.Context(), err)
	}
	return watch
}

// queueLine has fixed widths: what comes later is not known when a line is written.
const queueLine = "%-9s  %-9s  %-7s  %-11s  %-8s  %-9s  %s\n"
