package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/client"
	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/schedulefile"
)

type schedulePut struct {
	file, group                  string
	prune, dryRun, exitCode, yes bool
}

func newSchedulePutCmd(a *app) *cobra.Command {
	var f schedulePut
	put := &cobra.Command{Use: "put (-f FILE | SCHEDULE --spec SPEC --kind KIND ...)", Short: "Make or change schedules: those of a file, or one", Args: cobra.MaximumNArgs(1),
		Long: `Make or change schedules: those of a TOML file, or one that flags describe. What is there already and the same is left alone, so it may be
repeated. A change keeps pause, running jobs, waiting ticks and history. What the flags or the file leave out gets its default; schedule set changes
only what its flags name.

With a file, first is shown what would be added (+), changed (~) and pruned (-). On a terminal you are asked; elsewhere --yes is needed.
What somebody else changes in between is not overwritten. --prune deletes the schedules of the file's group that the file does not have.
--dry-run --exit-code ends with code 7 when there would be changes, and 0 when there would be none.
The form of the file: docs/cli.md.`,
		Example: `  fairlane schedule put -f schedules.toml --prune --dry-run
  fairlane schedule put -f schedules.toml --prune --dry-run --exit-code   # does the cluster have what the file says?
  fairlane schedule put nightly --spec "0 2 * * *" --zone Europe/Berlin --kind report --json '{"region":"north"}'`}
	flags := put.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "TOML `file` with schedules, or - for the standard input")
	flags.BoolVar(&f.prune, "prune", false, "with -f: delete the schedules of the file's group that it does not have")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show what would change, with the next fire times, and change nothing")
	flags.BoolVar(&f.exitCode, "exit-code", false, "with --dry-run: end with code 7 when there would be changes")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	flags.StringVar(&f.group, "group", "", "group of the schedule")
	everyFieldFlag(put)
	put.RunE = func(cmd *cobra.Command, args []string) error { return runSchedulePut(cmd, a, f, args) }
	return put
}

func runSchedulePut(cmd *cobra.Command, a *app, f schedulePut, args []string) error {
	p, err := f.plan(cmd, a, args)
	if err != nil {
		return err
	}
	asks := f.file != "" && !f.yes && !f.dryRun
	if asks && !a.terminal {
		return usagef("%s: say --yes, or --dry-run to see what would change (nobody can be asked: the input is no terminal)", cmd.CommandPath())
	}
	client, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer client.Close()
	p.client, p.limit = client, a.timeout
	if err := p.look(cmd.Context()); err != nil {
		return err
	}
	if f.dryRun || asks {
		if err := p.lookAhead(cmd.Context()); err != nil {
			return err
		}
	}
	if a.output != outputJSON {
		p.show(a.out)
		p.notes(a.err)
	}
	switch {
	case f.dryRun || p.changes() == 0:
	case asks && !a.ask(fmt.Sprintf("apply %s?", changesText(p.changes()))):
		return &exitError{exitFailed, fmt.Errorf("nothing was changed")}
	default:
		if err := p.apply(cmd.Context(), a); err != nil {
			if a.output == outputJSON {
				_ = a.printJSON(p, nil) // how far it came; the error is what counts
			}
			return err
		}
	}
	if a.output == outputJSON {
		if err := a.printJSON(p, nil); err != nil {
			return err
		}
	}
	if f.exitCode && p.changes() > 0 {
		return &exitError{code: exitDiffers}
	}
	return nil
}

// plan of what the file or the flags say; nobody is asked yet.
func (f schedulePut) plan(cmd *cobra.Command, a *app, args []string) (*plan, error) {
	path := cmd.CommandPath()
	switch {
	case f.file == "" && len(args) == 0:
		return nil, usagef("%s: name a schedule, or a file with -f", path)
	case f.file != "" && len(args) > 0:
		return nil, usagef("%s: name a schedule, or a file with -f, not both", path)
	case f.exitCode && !f.dryRun:
		return nil, usagef("%s: --exit-code needs --dry-run", path)
	case f.file == "" && f.prune:
		return nil, usagef("%s: --prune needs a file (-f)", path)
	case f.file == "":
		return f.one(cmd, a, args[0])
	}
	for _, name := range append(fieldFlags(), "group") {
		if cmd.Flags().Changed(name) {
			return nil, usagef("%s: --%s is for one schedule; with -f say it in the file", path, name)
		}
	}
	file, err := f.read(a)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	if f.prune && file.Group == "" {
		return nil, usagef(`%s: --prune deletes schedules of the file's group only: begin the file with group = "..."`, f.file)
	}
	return &plan{Group: file.Group, prune: f.prune, definitions: file.Definitions}, nil
}

// read the file; - is the standard input.
func (f schedulePut) read(a *app) (*schedulefile.File, error) {
	if f.file != "-" {
		return schedulefile.Read(f.file)
	}
	text, err := io.ReadAll(a.in)
	if err != nil {
		return nil, err
	}
	return schedulefile.Parse("standard input", text)
}

// one schedule that flags describe.
func (f schedulePut) one(cmd *cobra.Command, a *app, name string) (*plan, error) {
	if name == "" {
		return nil, usagef("%s: name the schedule", cmd.CommandPath())
	}
	d := schedulefile.New(name)
	d.Schedule.Group = f.group
	if err := setFromFlags(cmd, d); err != nil {
		return nil, err
	}
	payload, err := a.payloadFlag(cmd)
	if err != nil {
		return nil, err
	}
	if payload != "" {
		if err := d.Set("payload", payload); err != nil {
			return nil, err
		}
	}
	if missing := d.Missing(); len(missing) > 0 {
		return nil, usagef("%s %s: --%s", cmd.CommandPath(), name, strings.Join(missing, "; --"))
	}
	return &plan{definitions: []*schedulefile.Definition{d}}, nil
}

// payloadFlag is the JSON text that --json gives; empty: it is not there.
func (a *app) payloadFlag(cmd *cobra.Command) (string, error) {
	if !cmd.Flags().Changed("json") {
		return "", nil
	}
	text, _ := cmd.Flags().GetString("json")
	payload, err := a.payload([]string{text})
	if err != nil {
		return "", err
	}
	raw, isJSON := payload.(json.RawMessage)
	if !isJSON {
		return "", usagef("--json %q: want JSON, @FILE, or - for the standard input", text)
	}
	return string(raw), nil
}

// flagName of a field: catch_up is --catch-up, labels --label as for a job, the payload --json.
func flagName(key string) string {
	switch key {
	case "labels":
		return "label"
	case "payload":
		return "json"
	}
	return strings.ReplaceAll(key, "_", "-")
}

func fieldFlags() (names []string) {
	for _, field := range schedulefile.Fields {
		if field.Kind != schedulefile.Exact {
			names = append(names, flagName(field.Key))
		}
	}
	return names
}

// everyFieldFlag adds the flags of all fields that have one.
func everyFieldFlag(cmd *cobra.Command) {
	for _, field := range schedulefile.Fields {
		if field.Kind != schedulefile.Exact {
			fieldFlag(cmd, field.Key)
		}
	}
}

// fieldFlag adds the flag of a field.
func fieldFlag(cmd *cobra.Command, key string) {
	i := slices.IndexFunc(schedulefile.Fields, func(f schedulefile.Field) bool { return f.Key == key })
	field, flags := schedulefile.Fields[i], cmd.Flags()
	switch name := flagName(key); field.Kind {
	case schedulefile.Number:
		flags.Int64(name, 0, field.Usage)
	case schedulefile.Truth:
		flags.Bool(name, false, field.Usage)
	case schedulefile.Labels:
		flags.StringToString(name, nil, field.Usage)
	case schedulefile.Payload:
		flags.String(name, "", "payload of the job: `JSON`, @FILE, or - for the standard input")
	case schedulefile.Duration:
		flags.String(name, "", "`duration`: "+field.Usage)
	default:
		flags.String(name, "", field.Usage)
	}
}

// setFromFlags says of a schedule what its flags say, except the payload.
func setFromFlags(cmd *cobra.Command, d *schedulefile.Definition) error {
	flags := cmd.Flags()
	for _, field := range schedulefile.Fields {
		name := flagName(field.Key)
		if field.Kind == schedulefile.Payload || field.Kind == schedulefile.Exact || !flags.Changed(name) {
			continue
		}
		text := flags.Lookup(name).Value.String()
		var value any = text
		switch field.Kind {
		case schedulefile.Number:
			value, _ = flags.GetInt64(name)
		case schedulefile.Truth:
			value, _ = flags.GetBool(name)
		case schedulefile.Labels:
			value, _ = flags.GetStringToString(name)
		}
		if err := d.Set(field.Key, value); err != nil {
			return usagef("--%s %s: %w", name, strconv.Quote(text), err)
		}
	}
	return nil
}

// within runs one call of the SDK for at most the time of --timeout.
func (p *plan) within(ctx context.Context, do func(context.Context, *fairlane.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	return do(ctx, p.client)
}
