package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/client"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newJobCancelCmd(a *app) *cobra.Command {
	cancel := &cobra.Command{
		Use: "cancel ID... | --all-matching", Short: "Cancel jobs that wait or run", Args: cobra.ArbitraryArgs,
		Long: `Cancel jobs that wait or run: those that are named, or with --all-matching all that the filter selects. --dry-run counts them first.
On a terminal the count is shown and you are asked; elsewhere --yes is needed.`,
		Example: `  fairlane job cancel 12 13
  fairlane job cancel --all-matching --queue bulk --user ana --dry-run`,
	}
	all := bulkFlags(cancel, bulk{verb: "cancel", done: "cancelled", step: cancelStep})
	cancel.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := all.ids(cmd, args)
		if err != nil {
			return err
		}
		if ids == nil {
			return all.run(cmd, a)
		}
		return a.change(cmd, func(ctx context.Context, c *fairlane.Client) error {
			for _, id := range ids {
				did, err := c.Cancel(ctx, fairlane.JobID(id))
				if err != nil {
					return err
				}
				err = a.print(&fairlanev1.CancelResponse{Cancelled: did, State: fairlane.StateCancelled}, func(w io.Writer) {
					if !did {
						row(w, fmt.Sprintf("job %d was cancelled before", id))
						return
					}
					row(w, fmt.Sprintf("cancelled job %d", id))
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cancel
}

func newJobRetryCmd(a *app) *cobra.Command {
	retry := &cobra.Command{
		Use: "retry ID... | --all-matching", Short: "Run failed, timed out or cancelled jobs again, as new jobs", Args: cobra.ArbitraryArgs,
		Long: `Run failed, timed out or cancelled jobs again, as new jobs: those that are named, or with --all-matching all that the filter
selects and that were not run again before. --dry-run counts them first. On a terminal the count is shown and you are asked; elsewhere
--yes is needed. Printed are the ids of the new jobs, or how many there are.`,
		Example: `  fairlane job retry 12
  fairlane job retry --all-matching --state failed --since 2h --yes`,
	}
	all := bulkFlags(retry, bulk{verb: "run again", done: "run again", step: retryStep})
	retry.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := all.ids(cmd, args)
		if err != nil {
			return err
		}
		if ids == nil {
			return all.run(cmd, a)
		}
		return a.change(cmd, func(ctx context.Context, c *fairlane.Client) error {
			for _, id := range ids {
				job, err := c.Retry(ctx, fairlane.JobID(id))
				if err != nil {
					return err
				}
				if err := a.print(&fairlanev1.RetryResponse{Id: uint64(job.ID)}, func(w io.Writer) { row(w, uint64(job.ID)) }); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return retry
}

func cancelStep(ctx context.Context, a *app, filter *fairlanev1.JobFilter, dryRun bool, before uint64) (*fairlanev1.RetryManyResponse, error) {
	r, err := call(ctx, a, jobsOf, fairlanev1connect.JobServiceClient.CancelMany,
		&fairlanev1.CancelManyRequest{Filter: filter, DryRun: dryRun, BeforeId: before})
	return &fairlanev1.RetryManyResponse{
		Matched: r.GetMatched(), Changed: r.GetChanged(), NextBeforeId: r.GetNextBeforeId(), Index: r.GetIndex(), Position: r.GetPosition(),
	}, err
}

func retryStep(ctx context.Context, a *app, filter *fairlanev1.JobFilter, dryRun bool, before uint64) (*fairlanev1.RetryManyResponse, error) {
	return call(ctx, a, jobsOf, fairlanev1connect.JobServiceClient.RetryMany,
		&fairlanev1.RetryManyRequest{Filter: filter, DryRun: dryRun, BeforeId: before})
}
