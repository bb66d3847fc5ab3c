package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// mostUnknown is how often in a row a step is repeated whose outcome is not known.
const mostUnknown = 20

// bulk changes all jobs that a filter selects, in the steps that the cluster bounds. A step may be repeated: what was changed before does
// not match any longer.
type bulk struct {
	verb, done string // "cancel", "cancelled"
	step       func(ctx context.Context, a *app, filter *fairlanev1.JobFilter, dryRun bool, before uint64) (*fairlanev1.RetryManyResponse, error)

	filter           func() (*fairlanev1.JobFilter, error)
	all, dryRun, yes bool
}

// bulkFlags adds the flags of a change of many jobs.
func bulkFlags(cmd *cobra.Command, b bulk) *bulk {
	b.filter = filterFlags(cmd)
	cmd.Flags().BoolVar(&b.all, "all-matching", false, "all jobs that the filter selects; it must have at least one field")
	cmd.Flags().BoolVar(&b.dryRun, "dry-run", false, "with --all-matching: count them and change nothing")
	cmd.Flags().BoolVar(&b.yes, "yes", false, "with --all-matching: do not ask")
	return &b
}

// ids that the command line names; nil: it selects by filter.
func (b *bulk) ids(cmd *cobra.Command, args []string) ([]uint64, error) {
	switch {
	case b.all && len(args) > 0:
		return nil, usagef("%s: name jobs or say --all-matching, not both", cmd.CommandPath())
	case b.all && !anyFilter(cmd):
		return nil, usagef("%s --all-matching: select jobs with at least one of --%s", cmd.CommandPath(), strings.Join(filterNames, ", --"))
	case b.all:
		return nil, nil
	case anyFilter(cmd) || b.dryRun || b.yes:
		return nil, usagef("%s: say --all-matching to change all jobs that a filter selects", cmd.CommandPath())
	case len(args) == 0:
		return nil, usagef("%s: name at least one job, or say --all-matching", cmd.CommandPath())
	}
	return parseIDs(args)
}

func (b *bulk) run(cmd *cobra.Command, a *app) error {
	filter, err := b.filter()
	if err != nil {
		return err
	}
	if !b.yes && !b.dryRun && !a.terminal {
		return usagef("%s --all-matching: say --yes, or --dry-run to count the jobs (nobody can be asked: the input is no terminal)", cmd.CommandPath())
	}
	if b.dryRun || !b.yes {
		count, err := b.step(cmd.Context(), a, filter, true, 0)
		if err != nil {
			return err
		}
		if b.dryRun {
			return a.print(count, func(w io.Writer) { row(w, jobsText(count.GetMatched())+" would be "+b.done) })
		}
		fmt.Fprintf(a.err, "%s %s? [y/N] ", b.verb, jobsText(count.GetMatched()))
		if answer, _ := bufio.NewReader(a.in).ReadString('\n'); !strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y") {
			return &exitError{exitFailed, fmt.Errorf("nothing was %s", b.done)}
		}
	}
	total, atLeast, err := b.steps(cmd.Context(), a, filter)
	if err != nil {
		return fmt.Errorf("after %s%s: %w", atLeast, jobsText(total.GetChanged()), err)
	}
	if err := a.print(total, func(w io.Writer) { row(w, fmt.Sprintf("%s%s %s", atLeast, jobsText(total.GetChanged()), b.done)) }); err != nil {
		return err
	}
	if refused := total.GetRefused(); refused != nil {
		return &exitError{exitFailed, fmt.Errorf("not all were %s: %s (%s %s)", b.done, refused.GetMessage(), refused.GetReason(), refused.GetCode())}
	}
	return nil
}

// steps until nothing is left, or the cluster is full. atLeast is a word for the total when the outcome of some step was not known.
func (b *bulk) steps(ctx context.Context, a *app, filter *fairlanev1.JobFilter) (total *fairlanev1.RetryManyResponse, atLeast string, err error) {
	total = &fairlanev1.RetryManyResponse{}
	unknown := 0
	for {
		step, err := b.step(ctx, a, filter, false, total.GetNextBeforeId())
		if err != nil && describe(err).Reason == "UNKNOWN_OUTCOME" && unknown < mostUnknown {
			unknown++
			atLeast = "at least "
			if err := pause(ctx, pauseBeforeReconnect); err != nil {
				return total, atLeast, err
			}
			continue
		}
		if err != nil {
			return total, atLeast, err
		}
		unknown = 0
		total.Matched += step.GetMatched()
		total.Changed += step.GetChanged()
		total.Index, total.Position = step.GetIndex(), step.GetPosition()
		if total.Refused == nil {
			total.Refused = step.GetRefused()
		}
		former := total.GetNextBeforeId()
		total.NextBeforeId = step.GetNextBeforeId()
		// The id only falls, so that a confused node cannot keep us here.
		if next := total.GetNextBeforeId(); next == 0 || former != 0 && next >= former || step.GetRefused().GetReason() == "STATE_FULL" {
			return total, atLeast, nil
		}
	}
}

func jobsText(n uint64) string {
	if n == 1 {
		return "1 job"
	}
	return fmt.Sprintf("%d jobs", n)
}
