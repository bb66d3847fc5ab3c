package main

import (
	"fmt"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newEventsCmd(a *app) *cobra.Command {
	events := &cobra.Command{
		Use: "events", Short: "Everything that happens, while it happens", Args: cobra.NoArgs,
		Long: `Everything that happens, in the order of the log, until it is interrupted. When a node goes away it goes on at another one after the last
event, without a gap and without a repeat; where that is not possible, a line on the error output says that events are lost. With -o json
one object a line.`,
		Example: `  fairlane events --queue manual --state failed,timed_out
  fairlane events --after 1.500.3 -o json`,
	}
	f := events.Flags()
	req := &fairlanev1.WatchEventsRequest{}
	f.StringVar(&req.After, "after", "", "go on after this event `id`; 0: from the oldest that the node keeps; empty: from now on")
	job := f.String("job", "", "only events of this job")
	f.StringVar(&req.Queue, "queue", "", "only events of this queue")
	f.StringVar(&req.User, "user", "", "only events of this user")
	f.StringVar(&req.Schedule, "schedule", "", "only what became of this schedule's fire times, its changes and the events of its jobs")
	states := f.StringSlice("state", nil, "only events after which the job is in one of these `states`")
	events.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if *job != "" {
			if req.Job, err = parseID(*job); err != nil {
				return err
			}
		}
		if req.States, err = parseStates(*states); err != nil {
			return err
		}
		err = follow(cmd.Context(), a, stream[fairlanev1connect.EventServiceClient, fairlanev1.WatchEventsRequest, fairlanev1.WatchEventsResponse]{
			service: eventsOf, open: fairlanev1connect.EventServiceClient.WatchEvents,
			request: func() *fairlanev1.WatchEventsRequest { return req },
			receive: func(m *fairlanev1.WatchEventsResponse) (bool, error) {
				if m.GetReset_() {
					fmt.Fprintf(a.err, "-- events are lost before %s: %s --\n", m.GetEventId(), m.GetReason())
				}
				for _, e := range m.GetEvents() {
					if err := a.printEvent(e); err != nil {
						return true, err
					}
				}
				if m.GetEventId() != "" {
					req.After = m.GetEventId()
				}
				return false, nil
			},
		})
		return endless(cmd.Context(), err)
	}
	return events
}

func (a *app) printEvent(e *fairlanev1.Event) error {
	if a.output == outputJSON {
		return printLine(a.out, e)
	}
	text := fmt.Sprintf("%-14s  %s  %-16s", e.GetId(), instant(e.GetAtMs()), e.GetKind())
	if e.GetJob() != 0 {
		text += fmt.Sprintf("  job %d", e.GetJob())
		if e.GetState() != fairlanev1.JobState_JOB_STATE_UNSPECIFIED { // a fire tells of the schedule
			text += " " + stateName(e.GetState())
		}
	}
	for _, part := range []struct{ name, value string }{{"queue", e.GetQueue()}, {"user", e.GetUser()}, {"worker", e.GetWorker()},
		{"schedule", e.GetSchedule()}} {
		if part.value != "" {
			text += "  " + part.name + " " + part.value
		}
	}
	if e.GetTicks() != 0 {
		text += "  " + ticksText(e.GetFirstFireMs(), e.GetLastFireMs(), e.GetTicks(), false) + ": " + e.GetTickReason()
	}
	_, err := fmt.Fprintln(a.out, text)
	return err
}
