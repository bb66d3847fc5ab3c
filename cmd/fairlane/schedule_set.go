package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/client"
	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/schedulefile"
)

// setAttempts: how often a schedule is read that others change at the same time.
const setAttempts = 3

// scheduleSet changes some fields of a schedule.
type scheduleSet struct {
	name, group string
	reset       []string // keys of fields that get their default again
	dryRun      bool
}

func newScheduleSetCmd(a *app) *cobra.Command {
	var f scheduleSet
	set := &cobra.Command{Use: "set SCHEDULE (--spec SPEC | --misfire-grace DURATION | --reset FIELD | ...)", Short: "Change what is named of a schedule, and nothing else", Args: cobra.ExactArgs(1),
		Long: `Change of a schedule what is named, and nothing else; schedule put gives everything that is not named its default. --reset gives fields their
default again. --label replaces all labels. What would change is shown as by schedule put; nobody is asked. If somebody else changes the schedule
meanwhile, it is read again.`,
		Example: `  fairlane schedule set nightly --spec "30 2 * * *" --dry-run
  fairlane schedule set nightly --max-instances 2 --reset misfire-grace,coordinator`}
	flags := set.Flags()
	flags.BoolVar(&f.dryRun, "dry-run", false, "show what would change, with the next fire time, and change nothing")
	flags.StringVar(&f.group, "group", "", "group of the schedule; empty: none")
	flags.StringSliceVar(&f.reset, "reset", nil, "`fields` that get their default again, named as the flags are")
	everyFieldFlag(set)
	set.RunE = func(cmd *cobra.Command, args []string) error {
		f.name = args[0]
		return f.run(cmd, a)
	}
	return set
}

func (f *scheduleSet) run(cmd *cobra.Command, a *app) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	payload, err := a.payloadFlag(cmd)
	if err != nil {
		return err
	}
	client, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer client.Close()
	for attempt := 1; ; attempt++ {
		p := &plan{client: client, limit: a.timeout}
		err := p.within(cmd.Context(), func(ctx context.Context, c *fairlane.Client) error {
			info, err := c.Schedule(ctx, f.name)
			if err != nil {
				return err
			}
			p.expected = info.GetRevision()
			d, err := f.definition(cmd, info, payload)
			p.definitions = []*schedulefile.Definition{d}
			return err
		})
		if err == nil {
			err = p.run(cmd.Context(), a, f.dryRun)
		}
		if !errors.Is(err, fairlane.ErrStaleRevision) || attempt == setAttempts {
			return err
		}
		fmt.Fprintf(a.err, "somebody else changed %s meanwhile: it is read again\n", f.name)
	}
}

// run the plan without asking.
func (p *plan) run(ctx context.Context, a *app, dryRun bool) error {
	if err := p.look(ctx); err != nil {
		return err
	}
	if dryRun {
		if err := p.lookAhead(ctx); err != nil {
			return err
		}
	}
	if a.output != outputJSON {
		p.show(a.out)
		p.notes(a.err)
	}
	if !dryRun {
		if err := p.apply(ctx, a); err != nil {
			return err
		}
	}
	if a.output == outputJSON {
		return a.printJSON(p, nil)
	}
	return nil
}

// check what can be known before the schedule is read.
func (f *scheduleSet) check(cmd *cobra.Command) error {
	given := func(name string) bool { return cmd.Flags().Changed(name) }
	if !given("group") && !given("reset") && !slices.ContainsFunc(fieldFlags(), given) {
		return usagef("%s: say what to change", cmd.CommandPath())
	}
	for i, name := range f.reset {
		at := slices.IndexFunc(schedulefile.Fields, func(field schedulefile.Field) bool {
			return field.Kind != schedulefile.Exact && flagName(field.Key) == strings.ReplaceAll(name, "_", "-")
		})
		switch {
		case at < 0:
			return usagef("--reset %s: there is no field --%s", name, name)
		case given(flagName(schedulefile.Fields[at].Key)):
			return usagef("--reset %s: it is given as well", name)
		}
		f.reset[i] = schedulefile.Fields[at].Key
		if f.reset[i] == "spec" || f.reset[i] == "kind" {
			return usagef("--reset %s: it has no default", name)
		}
	}
	return setFromFlags(cmd, schedulefile.New(f.name))
}

// definition is the schedule as it is, with what the flags say.
func (f *scheduleSet) definition(cmd *cobra.Command, info *fairlane.ScheduleInfo, payload string) (*schedulefile.Definition, error) {
	said, err := schedulefile.Of(info.GetSchedule())
	if err != nil {
		return nil, err
	}
	d := schedulefile.New(f.name)
	d.Schedule.Group = info.GetSchedule().GetGroup()
	if cmd.Flags().Changed("group") {
		d.Schedule.Group = f.group
	}
	for _, one := range said {
		isPayload := strings.HasPrefix(one.Key, "payload")
		if slices.Contains(f.reset, one.Key) || isPayload && (payload != "" || slices.Contains(f.reset, "payload")) {
			continue
		}
		if err := d.Set(one.Key, one.Value); err != nil {
			return nil, fmt.Errorf("schedule %s: %s: %w", f.name, one.Key, err)
		}
	}
	if payload != "" {
		if err := d.Set("payload", payload); err != nil {
			return nil, err
		}
	}
	return d, setFromFlags(cmd, d)
}
