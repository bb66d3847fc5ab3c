package main

import (
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newQueueCmd(a *app) *cobra.Command {
	queue := &cobra.Command{Use: "queue", Short: "See, watch, set, pause and resume queues"}
	queue.AddCommand(newQueueListCmd(a), newQueueGetCmd(a), newQueueUsersCmd(a), newQueueOrderCmd(a), newQueueWatchCmd(a),
		newQueueSetCmd(a), newQueuePauseCmd(a), newQueueResumeCmd(a))
	return queue
}

func newQueueListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "All queues and how many jobs they hold", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			res, err := call(cmd.Context(), a, queuesOf, fairlanev1connect.QueueServiceClient.ListQueues, &fairlanev1.ListQueuesRequest{})
			if err != nil {
				return err
			}
			return a.print(res, func(w io.Writer) { queueTable(w, res.GetQueues()...) })
		},
	}
}

func newQueueGetCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "get QUEUE", Short: "One queue, its counts and its settings", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			res, err := call(cmd.Context(), a, queuesOf, fairlanev1connect.QueueServiceClient.GetQueue, &fairlanev1.GetQueueRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return a.print(res, func(w io.Writer) {
				queueTable(w, res.GetQueue())
				row(w)
				row(w, "live claims", res.GetQueue().GetLiveClaims())
				queueSettings(w, res.GetQueue().GetSettings())
			})
		},
	}
}

func newQueueSetCmd(a *app) *cobra.Command {
	set := &cobra.Command{
		Use: "set QUEUE", Short: "Change settings of a queue; makes the queue when there is none", Args: cobra.ExactArgs(1),
	}
	mode := set.Flags().String("mode", "", "round_robin, fifo, or default: the cluster's mode")
	limits := limitFlags(set)
	maxRunning := set.Flags().Int64("max-running", 0, "most jobs of the queue that run at once over all workers; 0: no limit")
	perUser := set.Flags().Int64("max-running-per-user", 0, "most jobs of one user in the queue that run at once; 0: no limit")
	retention := set.Flags().Duration("retention", 0, "how long final jobs are kept; 0: not at all")
	retentionJobs := set.Flags().Int64("retention-jobs", 0, "how many final jobs are kept; 0: none")
	set.RunE = func(cmd *cobra.Command, args []string) error {
		given := cmd.Flags().Changed
		own, err := limits(cmd)
		if err != nil {
			return err
		}
		settings := &fairlanev1.QueueSettings{Limits: own}
		if given("mode") {
			m, err := parseMode(*mode)
			if err != nil {
				return err
			}
			settings.Mode = &m
		}
		if given("max-running") {
			settings.MaxRunning = maxRunning
		}
		if given("max-running-per-user") {
			settings.MaxRunningPerUser = perUser
		}
		if given("retention") {
			settings.RetentionMs = proto.Int64(retention.Milliseconds())
		}
		if given("retention-jobs") {
			settings.RetentionJobs = retentionJobs
		}
		res, err := call(cmd.Context(), a, queuesOf, fairlanev1connect.QueueServiceClient.SetQueue, &fairlanev1.SetQueueRequest{Name: args[0], Settings: settings})
		if err != nil {
			return err
		}
		return a.print(res, func(w io.Writer) {
			row(w, "queue", res.GetQueue().GetName())
			row(w, "mode", modeName(res.GetQueue().GetSettings().GetMode()))
			queueSettings(w, res.GetQueue().GetSettings())
		})
	}
	return set
}

func newQueuePauseCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "pause QUEUE", Short: "Hand out nothing new of a queue; what runs goes on", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			res, err := call(cmd.Context(), a, queuesOf, fairlanev1connect.QueueServiceClient.PauseQueue, &fairlanev1.PauseQueueRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return a.print(res, func(w io.Writer) { row(w, "paused "+args[0]) })
		},
	}
}

func newQueueResumeCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "resume QUEUE", Short: "Hand out jobs of a paused queue again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			res, err := call(cmd.Context(), a, queuesOf, fairlanev1connect.QueueServiceClient.ResumeQueue, &fairlanev1.ResumeQueueRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return a.print(res, func(w io.Writer) { row(w, "resumed "+args[0]) })
		},
	}
}

func queueTable(w io.Writer, queues ...*fairlanev1.Queue) {
	row(w, "QUEUE", "MODE", "STATE", "SCHEDULED", "PENDING", "RUNNING", "USERS", "OLDEST_WAIT", "SUCCEEDED", "FAILED", "TIMED_OUT", "CANCELLED")
	for _, q := range queues {
		state, c := "open", q.GetCounts()
		if q.GetPaused() {
			state = "paused"
		}
		row(w, q.GetName(), modeName(q.GetSettings().GetMode()), state, c.GetScheduled(), c.GetPending(), c.GetRunning(),
			q.GetUsers(), waitText(q.GetOldestWaitMs()), c.GetSucceeded(), c.GetFailed(), c.GetTimedOut(), c.GetCancelled())
	}
}

// queueSettings shows those settings of a queue that are its own; the others are the cluster's.
func queueSettings(w io.Writer, s *fairlanev1.QueueSettings) {
	if s == nil {
		return
	}
	own := func(name string, v *int64, unit string) {
		if v != nil {
			row(w, name, *v, unit)
		}
	}
	own("max_running", s.MaxRunning, "jobs")
	own("max_running_per_user", s.MaxRunningPerUser, "jobs")
	own("retention", s.RetentionMs, "ms")
	own("retention", s.RetentionJobs, "jobs")
	l := s.GetLimits()
	if l == nil {
		return
	}
	own("lease", l.LeaseMs, "ms")
	own("heartbeat", l.HeartbeatMs, "ms")
	own("max_run", l.MaxRunMs, "ms")
	own("backoff_first", l.BackoffFirstMs, "ms")
	own("backoff_most", l.BackoffMostMs, "ms")
	own("exclusion_window", l.ExclusionWindowMs, "ms")
	if l.MaxAttempts != nil {
		row(w, "max_attempts", l.GetMaxAttempts())
	}
}
