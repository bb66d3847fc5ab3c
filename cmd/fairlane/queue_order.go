package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newQueueOrderCmd(a *app) *cobra.Command {
	order := &cobra.Command{
		Use: "order QUEUE | --worker WORKER --lane N", Short: "The next jobs, exactly as they would be handed out", Args: cobra.MaximumNArgs(1),
		Long: `The next jobs, exactly as they would be handed out if each ended before the next one is claimed and nothing else happened: to a lane that
takes this queue alone, or to a lane of a worker.`,
	}
	n := order.Flags().Int32P("number", "n", 20, "how many, 1 to 1000")
	worker := order.Flags().String("worker", "", "for a lane of this worker")
	lane := order.Flags().Uint32("lane", 0, "the lane, by its position in the registration, from 0")
	order.RunE = func(cmd *cobra.Command, args []string) error {
		req := &fairlanev1.PreviewOrderRequest{Worker: *worker, Lane: *lane, Limit: *n}
		if len(args) > 0 {
			req.Queue = args[0]
		}
		switch {
		case *n < 1 || *n > pageSize:
			return usagef("-n %d: want 1 to %d", *n, pageSize)
		case (req.Queue == "") == (req.Worker == ""):
			return usagef("%s: name a queue, or a worker and one of its lanes", cmd.CommandPath())
		case req.Queue != "" && cmd.Flags().Changed("lane"):
			return usagef("%s: --lane needs --worker", cmd.CommandPath())
		}
		res, err := call(cmd.Context(), a, queuesOf, fairlanev1connect.QueueServiceClient.PreviewOrder, req)
		if err != nil {
			return err
		}
		return a.print(res, func(w io.Writer) {
			row(w, "NEXT", "ID", "KIND", "QUEUE", "USER", "PRIORITY", "LINE", "WAIT")
			for i, j := range res.GetJobs() {
				row(w, i+1, j.GetId(), j.GetKind(), j.GetQueue(), j.GetUser(), j.GetPriority(),
					fmt.Sprintf("%s (%d)", j.GetLine(), j.GetPosition()), waitText(j.GetWaitMs()))
			}
		})
	}
	return order
}

func newQueueUsersCmd(a *app) *cobra.Command {
	users := &cobra.Command{Use: "users QUEUE", Short: "The users of a queue, by name, with what waits and runs", Args: cobra.ExactArgs(1)}
	limit := users.Flags().Int("limit", 100, "most users to show, 1 to 100000")
	after := users.Flags().String("after", "", "only users whose name is greater: the next page")
	users.RunE = func(cmd *cobra.Command, args []string) error {
		if *limit < 1 || *limit > mostListed {
			return usagef("--limit %d: want 1 to %d", *limit, mostListed)
		}
		all := &fairlanev1.ListQueueUsersResponse{}
		for next := *after; ; {
			page, err := call(cmd.Context(), a, queuesOf, fairlanev1connect.QueueServiceClient.ListQueueUsers,
				&fairlanev1.ListQueueUsersRequest{Name: args[0], AfterUser: next, Limit: int32(min(pageSize, *limit-len(all.GetUsers())))})
			if err != nil {
				return err
			}
			all.Users = append(all.Users, page.GetUsers()...)
			all.NextAfterUser, all.Index = page.GetNextAfterUser(), page.GetIndex()
			// The name only rises, so that a confused node cannot keep us here.
			if page.GetNextAfterUser() <= next || len(all.GetUsers()) >= *limit {
				break
			}
			next = page.GetNextAfterUser()
		}
		return a.print(all, func(w io.Writer) { userTable(w, all) })
	}
	return users
}

func userTable(w io.Writer, all *fairlanev1.ListQueueUsersResponse) {
	row(w, "USER", "PENDING", "RUNNING", "OLDEST_WAIT", "AT_LIMIT", "LAST_TURN")
	for _, u := range all.GetUsers() {
		turn := "never"
		if u.GetLastTurn() != 0 {
			turn = fmt.Sprint(u.GetLastTurn())
		}
		row(w, u.GetUser(), u.GetPending(), u.GetRunning(), waitText(u.GetOldestWaitMs()), yesNo(u.GetAtLimit()), turn)
	}
	if next := all.GetNextAfterUser(); next != "" {
		row(w, "more: --after "+next)
	}
}

// waitText shows how long something has waited; -1: nothing waits.
func waitText(ms int64) string {
	if ms < 0 {
		return ""
	}
	return (time.Duration(ms) * time.Millisecond).Round(100 * time.Millisecond).String()
}
