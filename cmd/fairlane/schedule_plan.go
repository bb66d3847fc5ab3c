package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/fairlane-scheduler/fairlane/client"
	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/schedulefile"
)

// plan is what a put would do, and then what it did. With -o json it is the output.
type plan struct {
	Group     string      `json:"group"`
	Add       int         `json:"add"`
	Change    int         `json:"change"`
	Prune     int         `json:"prune"`
	Unchanged int         `json:"unchanged"`
	Applied   int         `json:"applied"`
	Schedules []*planStep `json:"schedules"`

	prune       bool
	expected    uint64 // revision of the one schedule that it changes; 0: any
	definitions []*schedulefile.Definition
	client      *fairlane.Client
	limit       time.Duration // of each call
	left        int           // schedules of the group that are not in the file, when they are not pruned
}

// planStep is about one schedule.
type planStep struct {
	Name   string     `json:"name"`
	Action planAction `json:"action"`
	// Revision on which it rests; 0: there was none. After it: the new one.
	Revision    uint64           `json:"revision"`
	Differences []planDifference `json:"differences,omitempty"`
	Warnings    []string         `json:"warnings,omitempty"`
	// Next fire time, and the one before: of a plan that is only shown, when it changes and the schedule is not paused.
	Next       string `json:"next,omitempty"`
	NextBefore string `json:"next_before,omitempty"`

	definition *schedulefile.Definition
	before     *fairlane.ScheduleInfo // nil: it is new
}

type planDifference struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

type planAction string

const (
	planAdd       planAction = "add"
	planChange    planAction = "change"
	planPrune     planAction = "prune"
	planUnchanged planAction = "unchanged"
)

// look at what is there. All definitions that the cluster refuses are told at once.
func (p *plan) look(ctx context.Context) error {
	var refused []*fairlane.Error
	for _, d := range p.definitions {
		err := p.within(ctx, func(ctx context.Context, c *fairlane.Client) error {
			res, err := c.PutSchedule(ctx, d.Schedule, d.Job(), fairlane.DryRun(), fairlane.ExpectRevision(p.expected))
			if err == nil {
				p.add(d, res)
			}
			return err
		})
		var e *fairlane.Error
		switch {
		case err == nil:
		case errors.As(err, &e) && isAboutDefinition(e):
			refused = append(refused, placed(d, e))
		default:
			return err
		}
	}
	if len(refused) > 0 {
		return together(refused)
	}
	return p.within(ctx, p.lookForOthers)
}

// add a step for a definition that would be put.
func (p *plan) add(d *schedulefile.Definition, res *fairlane.PutResult) {
	step := &planStep{Name: d.Schedule.Name, Action: planUnchanged, Revision: res.Info.GetRevision(), Warnings: res.Warnings, definition: d, before: res.Info}
	switch {
	case res.Created:
		step.Action = planAdd
		p.Add++
	case res.Updated:
		step.Action = planChange
		p.Change++
	default:
		p.Unchanged++
	}
	for _, f := range res.Differences {
		step.Differences = append(step.Differences, planDifference{schedulefile.FieldKey(f.GetField()), f.GetFrom(), f.GetTo()})
	}
	p.Schedules = append(p.Schedules, step)
}

// lookAhead to the next fire time of each schedule that is new or changes.
func (p *plan) lookAhead(ctx context.Context) error {
	for _, step := range p.Schedules {
		if step.Action != planAdd && step.Action != planChange || step.before.GetPaused() {
			continue
		}
		var preview *fairlane.Preview
		err := p.within(ctx, func(ctx context.Context, c *fairlane.Client) (err error) {
			preview, err = c.PreviewSchedule(ctx, step.definition.Schedule, 1)
			return err
		})
		if err != nil {
			return fmt.Errorf("schedule %s: %w", step.Name, err)
		}
		if len(preview.Fires) > 0 && preview.Fires[0].At.UnixMilli() != step.before.GetNextMs() {
			step.Next, step.NextBefore = preview.Fires[0].Local, step.before.GetNext()
		}
	}
	return nil
}

// lookForOthers of the group that the file does not have.
func (p *plan) lookForOthers(ctx context.Context, c *fairlane.Client) error {
	if p.Group == "" {
		return nil
	}
	for s, err := range c.Schedules(ctx, fairlane.ScheduleFilter{Group: p.Group}) {
		if err != nil {
			return err
		}
		name := s.GetSchedule().GetName()
		switch {
		case slices.ContainsFunc(p.definitions, func(d *schedulefile.Definition) bool { return d.Schedule.Name == name }):
		case !p.prune:
			p.left++
		default:
			p.Prune++
			p.Schedules = append(p.Schedules, &planStep{Name: name, Action: planPrune, Revision: s.GetRevision()})
		}
	}
	return nil
}

// isAboutDefinition: the refusal says what is wrong with one definition, and the next one may be wrong as well.
func isAboutDefinition(e *fairlane.Error) bool {
	switch e.Reason {
	case fairlane.ErrInvalidArgument, fairlane.ErrBadSpec, fairlane.ErrNeverFires, fairlane.ErrTooLarge:
		return true
	}
	return false
}

// placed is a refusal with the place in the file of what it is about.
func placed(d *schedulefile.Definition, e *fairlane.Error) *fairlane.Error {
	out := *e
	key := "spec"
	if field := e.Metadata["field"]; field != "" {
		key = schedulefile.FieldKey(field)
	}
	out.Message = d.Error(key, e.Message).Error()
	return &out
}

// together are several refusals as one, with the reason of the first.
func together(refused []*fairlane.Error) error {
	out := *refused[0]
	for _, e := range refused[1:] {
		out.Message += "\n" + e.Message
	}
	return &out
}

func (p *plan) changes() int { return p.Add + p.Change + p.Prune }

func changesText(n int) string {
	if n == 1 {
		return "1 change"
	}
	return fmt.Sprintf("%d changes", n)
}

// show what would change, in the order of the file, field by field.
func (p *plan) show(w io.Writer) {
	for _, step := range p.Schedules {
		switch step.Action {
		case planAdd:
			fmt.Fprintf(w, "+ %s\n", step.Name)
			for _, d := range step.Differences {
				fmt.Fprintf(w, "    %s: %s\n", d.Field, shownValue(d.To))
			}
			if step.Next != "" {
				fmt.Fprintf(w, "    next: %s\n", step.Next)
			}
		case planChange:
			fmt.Fprintf(w, "~ %s\n", step.Name)
			for _, d := range step.Differences {
				fmt.Fprintf(w, "    %s: %s -> %s\n", d.Field, shownValue(d.From), shownValue(d.To))
			}
			if step.Next != "" {
				fmt.Fprintf(w, "    next: %s -> %s\n", shownValue(step.NextBefore), step.Next)
			}
		case planPrune:
			fmt.Fprintf(w, "- %s\n", step.Name)
		}
	}
	fmt.Fprintf(w, "Plan: %d to add, %d to change, %d to prune, %d unchanged\n", p.Add, p.Change, p.Prune, p.Unchanged)
}

func shownValue(text string) string {
	if text == "" {
		return "(none)"
	}
	return printable([]byte(text))
}

// notes that are no part of the plan. What is said of many schedules is said once.
func (p *plan) notes(w io.Writer) {
	about := map[string][]string{}
	var order []string
	for _, step := range p.Schedules {
		for _, warning := range step.Warnings {
			if about[warning] == nil {
				order = append(order, warning)
			}
			about[warning] = append(about[warning], step.Name)
		}
	}
	for _, warning := range order {
		fmt.Fprintf(w, "warning: %s: %s\n", someNames(about[warning]), warning)
	}
	if len(p.definitions) == 0 {
		fmt.Fprintf(w, "the file has no [[schedule]]\n")
	}
	if p.left > 0 {
		fmt.Fprintf(w, "%d of group %s not in the file; --prune deletes them\n", p.left, p.Group)
	}
}

// someNames of a list that may be long.
func someNames(names []string) string {
	if len(names) <= 3 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:2], ", "), len(names)-2)
}

// apply the steps in their order. What was changed in between is refused, and nothing after it is done.
func (p *plan) apply(ctx context.Context, a *app) error {
	for _, step := range p.Schedules {
		if step.Action == planUnchanged {
			continue
		}
		var line string
		err := p.within(ctx, func(ctx context.Context, c *fairlane.Client) (err error) {
			line, err = step.apply(ctx, c)
			return err
		})
		if err != nil {
			return p.stopped(step, err)
		}
		p.Applied++
		if a.output != outputJSON {
			fmt.Fprintln(a.out, line)
		}
	}
	return nil
}

// apply one step and tell what it did.
func (s *planStep) apply(ctx context.Context, c *fairlane.Client) (string, error) {
	if s.Action == planPrune {
		err := c.DeleteSchedule(ctx, s.Name, fairlane.ExpectRevision(s.Revision))
		if errors.Is(err, fairlane.ErrUnknownSchedule) {
			return "somebody else pruned meanwhile: " + s.Name, nil
		}
		return "pruned " + s.Name, err
	}
	seen := fairlane.ExpectRevision(s.Revision)
	if s.Action == planAdd {
		seen = fairlane.CreateOnly()
	}
	res, err := c.PutSchedule(ctx, s.definition.Schedule, s.definition.Job(), seen)
	if err != nil {
		return "", err
	}
	s.Revision = res.Info.GetRevision()
	done := "changed "
	switch {
	case res.Created:
		done = "added "
	case !res.Updated:
		done = "somebody else did the same meanwhile: "
	}
	return done + s.Name + nextText(res.Info), nil
}

// stopped says how far it came.
func (p *plan) stopped(step *planStep, err error) error {
	return after(fmt.Sprintf("after %d of %s, at schedule %s: ", p.Applied, changesText(p.changes()), step.Name), err, false)
}

// after puts how far it came before an error. The reason of a refusal stays. alone: there is nothing to tell.
func after(before string, err error, alone bool) error {
	var e *fairlane.Error
	switch {
	case alone:
		return err
	case errors.As(err, &e):
		out := *e
		out.Message = before + strings.TrimPrefix(e.Message, "fairlane: ")
		return &out
	}
	return fmt.Errorf("%s%w", before, err)
}
