package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/client"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newJobCmd(a *app) *cobra.Command {
	job := &cobra.Command{Use: "job", Short: "See, follow, cancel and retry jobs"}
	job.AddCommand(newJobListCmd(a), newJobGetCmd(a), newJobWaitCmd(a), newJobCancelCmd(a), newJobRetryCmd(a))
	return job
}

func parseID(s string) (uint64, error) {
	id, err := strconv.ParseUint(s, 10, 64)
	if err != nil || id == 0 {
		return 0, usagef("%q is not the id of a job: want a number from 1", s)
	}
	return id, nil
}

func newJobListCmd(a *app) *cobra.Command {
	list := &cobra.Command{Use: "list", Short: "Jobs, newest first", Args: cobra.NoArgs}
	queue := list.Flags().String("queue", "", "only jobs of this queue")
	user := list.Flags().String("user", "", "only jobs of this user")
	kind := list.Flags().String("kind", "", "only jobs of this kind")
	states := list.Flags().StringSlice("state", nil, "only jobs in these `states`")
	limit := list.Flags().Int32("limit", 100, "most jobs to show, 1 to 1000")
	before := list.Flags().Uint64("before", 0, "only jobs with a lower id: the next page")
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		req := &fairlanev1.ListRequest{Filter: &fairlanev1.JobFilter{Queue: *queue, User: *user, Kind: *kind}, Limit: *limit, BeforeId: *before}
		if *limit < 1 || *limit > 1000 {
			return usagef("--limit %d: want 1 to 1000", *limit)
		}
		for _, name := range *states {
			s, err := parseState(name)
			if err != nil {
				return err
			}
			req.Filter.States = append(req.Filter.States, s)
		}
		res, err := call(cmd.Context(), a, jobsOf, fairlanev1connect.JobServiceClient.List, req)
		if err != nil {
			return err
		}
		return a.print(res, func(w io.Writer) {
			row(w, "ID", "KIND", "QUEUE", "USER", "PRIORITY", "STATE", "ATTEMPT", "WORKER", "ENQUEUED")
			for _, j := range res.GetJobs() {
				row(w, j.GetId(), j.GetKind(), j.GetQueue(), j.GetUser(), j.GetPriority(), stateName(j.GetState()),
					fmt.Sprintf("%d/%d", j.GetAttempt(), j.GetMaxAttempts()), j.GetWorker(), instant(j.GetEnqueuedMs()))
			}
			if next := res.GetNextBeforeId(); next != 0 {
				row(w, fmt.Sprintf("more: --before %d", next))
			}
		})
	}
	return list
}

func newJobGetCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "One job with its payload and its result", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			res, err := call(cmd.Context(), a, jobsOf, fairlanev1connect.JobServiceClient.Get, &fairlanev1.GetRequest{Id: id})
			if err != nil {
				return err
			}
			return a.print(res, func(w io.Writer) { jobDetails(w, res.GetJob()) })
		},
	}
}

func newJobCancelCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "cancel ID", Short: "Cancel a job that waits or runs", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			return a.change(cmd, func(ctx context.Context, c *fairlane.Client) error {
				did, err := c.Cancel(ctx, fairlane.JobID(id))
				if err != nil {
					return err
				}
				return a.print(&fairlanev1.CancelResponse{Cancelled: did, State: fairlane.StateCancelled}, func(w io.Writer) {
					if !did {
						row(w, fmt.Sprintf("job %d was cancelled before", id))
						return
					}
					row(w, fmt.Sprintf("cancelled job %d", id))
				})
			})
		},
	}
}

func newJobRetryCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "retry ID", Short: "Run a failed, timed out or cancelled job again, as a new job", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			return a.change(cmd, func(ctx context.Context, c *fairlane.Client) error {
				job, err := c.Retry(ctx, fairlane.JobID(id))
				if err != nil {
					return err
				}
				return a.print(&fairlanev1.RetryResponse{Id: uint64(job.ID)}, func(w io.Writer) { row(w, uint64(job.ID)) })
			})
		},
	}
}
