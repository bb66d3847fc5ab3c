package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newWorkerCmd(a *app) *cobra.Command {
	worker := &cobra.Command{Use: "worker", Short: "See and drain workers"}
	worker.AddCommand(newWorkerListCmd(a), newWorkerDrainCmd(a))
	return worker
}

func newWorkerListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "All workers, their lanes and what runs in them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := allWorkers(cmd.Context(), a)
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) { workerTable(w, all.GetWorkers()) })
		},
	}
}

// allWorkers, page after page.
func allWorkers(ctx context.Context, a *app) (*fairlanev1.ListWorkersResponse, error) {
	all := &fairlanev1.ListWorkersResponse{}
	for after := uint64(0); ; {
		res, err := call(ctx, a, workersOf, fairlanev1connect.WorkerServiceClient.ListWorkers, &fairlanev1.ListWorkersRequest{Limit: 1000, AfterSession: after})
		if err != nil {
			return nil, err
		}
		all.Workers = append(all.Workers, res.GetWorkers()...)
		all.Index = res.GetIndex()
		// The number of the next page only rises, so that a confused node cannot keep us here.
		if res.GetNextAfterSession() <= after {
			return all, nil
		}
		after = res.GetNextAfterSession()
	}
}

func newWorkerDrainCmd(a *app) *cobra.Command {
	drain := &cobra.Command{
		Use: "drain WORKER", Short: "Give a worker no new jobs; what it runs goes on", Args: cobra.ExactArgs(1),
	}
	undo := drain.Flags().Bool("undo", false, "let the worker claim again")
	drain.RunE = func(cmd *cobra.Command, args []string) error {
		res, err := call(cmd.Context(), a, workersOf, fairlanev1connect.WorkerServiceClient.Drain, &fairlanev1.DrainRequest{Name: args[0], Undo: *undo})
		if err != nil {
			return err
		}
		return a.print(res, func(w io.Writer) {
			if *undo {
				row(w, args[0]+" claims again")
				return
			}
			row(w, fmt.Sprintf("%s is draining: %d running", args[0], res.GetRunning()))
		})
	}
	return drain
}

func workerTable(w io.Writer, workers []*fairlanev1.Worker) {
	row(w, "WORKER", "SESSION", "STATE", "USER", "LANES (running/slots)")
	for _, k := range workers {
		state := "live"
		if k.GetDraining() {
			state = "draining"
		}
		var lanes []string
		for _, l := range k.GetLanes() {
			text := fmt.Sprintf("%s %d/%d", strings.Join(l.GetLane().GetChain(), ">"), l.GetRunning(), l.GetLane().GetSlots())
			if m := l.GetLane().GetMemoryBytes(); m > 0 {
				text += fmt.Sprintf(" (%s of %s)", memoryText(l.GetReservedBytes()), memoryText(m))
			}
			lanes = append(lanes, text)
		}
		row(w, k.GetName(), k.GetSession(), state, k.GetUser(), strings.Join(lanes, ", "))
	}
}
