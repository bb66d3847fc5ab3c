package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newCoordinatorCmd(a *app) *cobra.Command {
	coordinator := &cobra.Command{Use: "coordinator", Short: "See coordinators, whose jobs run strictly one after the other"}
	get := newCoordinatorGetCmd(a)
	a.suggest("UNKNOWN_COORDINATOR", "coordinator", a.coordinatorNames, get)
	coordinator.AddCommand(newCoordinatorListCmd(a), get)
	return coordinator
}

func newCoordinatorListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "All coordinators, what runs under each and how many jobs wait", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := &fairlanev1.ListCoordinatorsResponse{}
			for after := ""; ; {
				page, err := call(cmd.Context(), a, schedulesOf, fairlanev1connect.ScheduleServiceClient.ListCoordinators,
					&fairlanev1.ListCoordinatorsRequest{AfterName: after, Limit: pageSize})
				if err != nil {
					return err
				}
				all.Coordinators = append(all.Coordinators, page.GetCoordinators()...)
				all.Index = page.GetIndex()
				// The name only rises, so that a confused node cannot keep us here.
				if page.GetNextAfterName() <= after || len(all.GetCoordinators()) >= mostListed {
					break
				}
				after = page.GetNextAfterName()
			}
			return a.print(all, func(w io.Writer) {
				row(w, "COORDINATOR", "RUNNING", "NEXT", "WAITING", "SCHEDULES")
				for _, c := range all.GetCoordinators() {
					row(w, c.GetName(), jobOrNone(c.GetBusyJob()), jobOrNone(c.GetHeadJob()), c.GetWaiting(), c.GetMemberCount())
				}
			})
		},
	}
}

func newCoordinatorGetCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "get COORDINATOR", Short: "What runs, what waits behind it in which order, and the schedules that are its members", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			res, err := call(cmd.Context(), a, schedulesOf, fairlanev1connect.ScheduleServiceClient.GetCoordinator, &fairlanev1.GetCoordinatorRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return a.print(res, func(w io.Writer) { coordinatorDetails(w, res.GetCoordinator()) })
		},
	}
}

func coordinatorDetails(w io.Writer, c *fairlanev1.Coordinator) {
	row(w, "coordinator", c.GetName())
	switch j := c.GetRunning(); {
	case j != nil:
		row(w, "running", fmt.Sprintf("job %d %s%s on %s since %s", j.GetId(), j.GetKind(), scheduleOf(j), j.GetWorker(), instant(j.GetStartedMs())))
	case c.GetBusyJob() != 0:
		row(w, "running", fmt.Sprintf("job %d", c.GetBusyJob()))
	default:
		row(w, "running", "none")
	}
	row(w, "waiting", c.GetWaiting())
	row(w, "schedules", c.GetMemberCount())
	if len(c.GetLine()) > 0 {
		row(w)
		row(w, "NEXT", "JOB", "KIND", "QUEUE", "USER", "SCHEDULE", "FIRE_TIME")
		for i, j := range c.GetLine() {
			row(w, i+1, j.GetId(), j.GetKind(), j.GetQueue(), j.GetUser(), j.GetSchedule(), instant(j.GetFireMs()))
		}
		if more := c.GetWaiting() - int64(len(c.GetLine())); more > 0 {
			row(w, fmt.Sprintf("and %d more", more))
		}
	}
	if len(c.GetMembers()) > 0 {
		row(w)
		scheduleRows(w, c.GetMembers())
		if more := c.GetMemberCount() - int64(len(c.GetMembers())); more > 0 {
			row(w, fmt.Sprintf("and %d more", more))
		}
	}
}

func scheduleOf(j *fairlanev1.Job) string {
	if j.GetSchedule() == "" {
		return ""
	}
	return " of schedule " + j.GetSchedule()
}

func jobOrNone(id uint64) string {
	if id == 0 {
		return ""
	}
	return fmt.Sprint(id)
}
