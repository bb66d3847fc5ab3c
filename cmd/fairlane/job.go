package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newJobCmd(a *app) *cobra.Command {
	job := &cobra.Command{Use: "job", Short: "See, explain, follow, cancel and retry jobs"}
	job.AddCommand(newJobListCmd(a), newJobGetCmd(a), newJobWhyCmd(a), newJobLogsCmd(a), newJobWaitCmd(a), newJobCancelCmd(a), newJobRetryCmd(a))
	return job
}

const (
	// pageSize is what the cluster gives at once at most.
	pageSize = 1000
	// mostListed bounds what one list keeps in memory.
	mostListed = 100_000
)

func newJobListCmd(a *app) *cobra.Command {
	list := &cobra.Command{Use: "list", Short: "Jobs, newest first", Args: cobra.NoArgs,
		Example: `  fairlane job list --state failed,timed_out --since 2h
  fairlane job list --queue manual --label team=voice --limit 5000`}
	filter := filterFlags(list)
	limit := list.Flags().Int("limit", 100, "most jobs to show, 1 to 100000")
	before := list.Flags().Uint64("before", 0, "only jobs with a lower id: the next page")
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		if *limit < 1 || *limit > mostListed {
			return usagef("--limit %d: want 1 to %d", *limit, mostListed)
		}
		req := &fairlanev1.ListRequest{BeforeId: *before}
		var err error
		if req.Filter, err = filter(); err != nil {
			return err
		}
		all := &fairlanev1.ListResponse{}
		for {
			req.Limit = int32(min(pageSize, *limit-len(all.GetJobs())))
			page, err := call(cmd.Context(), a, jobsOf, fairlanev1connect.JobServiceClient.List, req)
			if err != nil {
				return err
			}
			all.Jobs = append(all.Jobs, page.GetJobs()...)
			all.NextBeforeId, all.Index = page.GetNextBeforeId(), page.GetIndex()
			next := page.GetNextBeforeId()
			// The id only falls, so that a confused node cannot keep us here.
			if next == 0 || req.BeforeId != 0 && next >= req.BeforeId || len(all.GetJobs()) >= *limit {
				return a.print(all, func(w io.Writer) { jobTable(w, all) })
			}
			req.BeforeId = next
		}
	}
	return list
}

func jobTable(w io.Writer, all *fairlanev1.ListResponse) {
	row(w, "ID", "KIND", "QUEUE", "USER", "PRIORITY", "STATE", "ATTEMPT", "WORKER", "ENQUEUED")
	for _, j := range all.GetJobs() {
		row(w, j.GetId(), j.GetKind(), j.GetQueue(), j.GetUser(), j.GetPriority(), stateName(j.GetState()),
			fmt.Sprintf("%d/%d", j.GetAttempt(), j.GetMaxAttempts()), j.GetWorker(), instant(j.GetEnqueuedMs()))
	}
	if next := all.GetNextBeforeId(); next != 0 {
		row(w, fmt.Sprintf("more: --before %d", next))
	}
}

func newJobGetCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "One job with its payload, its progress and its result", Args: cobra.ExactArgs(1),
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
