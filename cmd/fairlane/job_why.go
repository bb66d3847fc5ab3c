package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newJobWhyCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "why ID", Short: "Why a job waits, what would start it, and each step of its past", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			res, err := call(cmd.Context(), a, jobsOf, fairlanev1connect.JobServiceClient.Why, &fairlanev1.WhyRequest{Id: id})
			if err != nil {
				return err
			}
			return a.print(res, func(w io.Writer) { whyText(w, res) })
		},
	}
}

// whyText lays the answer out from the sentence that says it all down to the details.
func whyText(w io.Writer, r *fairlanev1.WhyResponse) {
	fmt.Fprintln(w, r.GetSummary())
	fmt.Fprintf(w, "%s, at log index %d, %s\n", stateName(r.GetState()), r.GetIndex(), instant(r.GetClockMs()))
	if len(r.GetLines()) > 0 {
		fmt.Fprint(w, "\nIn line:\n")
		for _, line := range r.GetLines() {
			fmt.Fprintf(w, "  %s\n", linePlaceText(line))
		}
	}
	if len(r.GetConstraints()) > 0 {
		fmt.Fprint(w, "\nWhat binds:\n")
		for _, c := range r.GetConstraints() {
			fmt.Fprintf(w, "  %s\n", c.GetText())
		}
	}
	if len(r.GetStart()) > 0 {
		fmt.Fprintf(w, "\nThe smallest change that starts it%s:\n", onLane(r.GetLane()))
		for _, c := range r.GetStart() {
			fmt.Fprintf(w, "  %s\n", c.GetText())
		}
	}
	if len(r.GetSteps()) > 0 {
		fmt.Fprint(w, "\nSteps:\n")
		row(w, "  INDEX", "TIME", "RULE", "TEXT")
		for i, s := range r.GetSteps() {
			row(w, fmt.Sprintf("  %d", s.GetIndex()), instant(s.GetAtMs()), s.GetRule(), s.GetText())
			if i == 0 && r.GetStepsDropped() > 0 {
				fmt.Fprintf(w, "  ...\t\t\t%d further steps are no longer kept\n", r.GetStepsDropped())
			}
		}
	}
}

func onLane(lane *fairlanev1.LaneRef) string {
	if lane == nil {
		return ""
	}
	return fmt.Sprintf(" on worker %s lane %d %s", lane.GetWorker(), lane.GetLane(), lane.GetText())
}

func linePlaceText(line *fairlanev1.LinePlace) string {
	text := fmt.Sprintf("%s (%s): %d of %d go first; number %d of the user's %d", line.GetLine(), line.GetMode(), line.GetAhead(), line.GetWaiting(),
		line.GetUserPosition(), line.GetUserWaiting())
	if len(line.GetUsers()) == 0 {
		return text
	}
	users := make([]string, len(line.GetUsers()))
	for i, u := range line.GetUsers() {
		name := u.GetUser()
		if name == "" {
			name = "-"
		}
		users[i] = fmt.Sprintf("%s %d", name, u.GetJobs())
	}
	if more := line.GetUsersAhead(); more > uint64(len(users)) {
		users = append(users, fmt.Sprintf("and %d more users", more-uint64(len(users))))
	}
	return text + "; ahead: " + strings.Join(users, ", ")
}
