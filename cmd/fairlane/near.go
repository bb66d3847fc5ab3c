package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/config"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// hintedError is a refusal with a word about what was perhaps meant.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

// suggest makes verbs that name something look, when there is no such thing, for a name that is near.
// what is the name's place in the refusal.
func (a *app) suggest(reason, what string, names func(context.Context) ([]string, error), verbs ...*cobra.Command) {
	for _, verb := range verbs {
		run := verb.RunE
		verb.RunE = func(cmd *cobra.Command, args []string) error {
			err := run(cmd, args)
			d := describe(err)
			if err == nil || d.Reason != reason {
				return err
			}
			missing := cmp.Or(d.Metadata[what], slices.Concat(args, []string{""})[0])
			known, failed := names(cmd.Context())
			if near, ok := config.Nearest(missing, known); ok && failed == nil {
				return &hintedError{err, fmt.Sprintf(" Did you mean %s?", near)}
			}
			return err
		}
	}
}

// scheduleNames of the first page, which is enough for a guess.
func (a *app) scheduleNames(ctx context.Context) (names []string, err error) {
	page, err := call(ctx, a, schedulesOf, fairlanev1connect.ScheduleServiceClient.ListSchedules, &fairlanev1.ListSchedulesRequest{Limit: pageSize})
	for _, s := range page.GetSchedules() {
		names = append(names, s.GetSchedule().GetName())
	}
	return names, err
}

func (a *app) coordinatorNames(ctx context.Context) (names []string, err error) {
	page, err := call(ctx, a, schedulesOf, fairlanev1connect.ScheduleServiceClient.ListCoordinators, &fairlanev1.ListCoordinatorsRequest{Limit: pageSize})
	for _, c := range page.GetCoordinators() {
		names = append(names, c.GetName())
	}
	return names, err
}
