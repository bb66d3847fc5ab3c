package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newJobWaitCmd(a *app) *cobra.Command {
	wait := &cobra.Command{
		Use: "wait ID", Short: "Wait until a job is final", Args: cobra.ExactArgs(1),
		Long: "Wait until a job is final. Exit codes: 0 succeeded, 4 failed, 5 cancelled, 6 timed out, 1 not final within --for.",
	}
	limit := wait.Flags().Duration("for", 0, "longest wait; 0: as long as it takes")
	wait.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := parseID(args[0])
		if err != nil {
			return err
		}
		return a.waitForJob(cmd, id, *limit)
	}
	return wait
}

// waitForJob waits, prints the job and turns its final state into the exit code.
func (a *app) waitForJob(cmd *cobra.Command, id uint64, limit time.Duration) error {
	const longestCall = time.Minute
	began := time.Now()
	for {
		wait := longestCall
		if limit > 0 {
			wait = max(0, min(wait, limit-time.Since(began)))
		}
		res, err := callFor(cmd.Context(), a, a.timeout+wait, jobsOf, fairlanev1connect.JobServiceClient.Wait,
			&fairlanev1.WaitRequest{Id: id, WaitMs: wait.Milliseconds()})
		if err != nil {
			return err
		}
		over := limit > 0 && time.Since(began) >= limit
		code, final := codeOfState(res.GetJob().GetState())
		if !final && !over {
			continue
		}
		if err := a.print(res, func(w io.Writer) { jobDetails(w, res.GetJob()) }); err != nil {
			return err
		}
		switch {
		case !final:
			return &exitError{exitFailed, fmt.Errorf("job %d is still %s after %v", id, stateName(res.GetJob().GetState()), limit)}
		case code != exitOK:
			return &exitError{code: code}
		}
		return nil
	}
}

// codeOfState is the exit code that a final state becomes.
func codeOfState(s fairlanev1.JobState) (code int, final bool) {
	switch s {
	case fairlanev1.JobState_JOB_STATE_SUCCEEDED:
		return exitOK, true
	case fairlanev1.JobState_JOB_STATE_FAILED:
		return exitJobFailed, true
	case fairlanev1.JobState_JOB_STATE_CANCELLED:
		return exitJobCancelled, true
	case fairlanev1.JobState_JOB_STATE_TIMED_OUT:
		return exitJobTimedOut, true
	}
	return exitFailed, false
}
