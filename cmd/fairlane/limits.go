package main

import (
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// limitFlags adds the limits that a job and a queue share. The function given back collects those that were set; nil: none were.
// The cluster checks them: it knows the bounds.
func limitFlags(cmd *cobra.Command) func(*cobra.Command) (*fairlanev1.JobLimits, error) {
	f := cmd.Flags()
	millis := map[string]*time.Duration{
		"lease":            f.Duration("lease", 0, "how long a claim lives without a heartbeat; at least 3s"),
		"heartbeat":        f.Duration("heartbeat", 0, "time between heartbeats; at least 1s and at most a third of the lease"),
		"backoff":          f.Duration("backoff", 0, "wait before the second attempt; doubles with each further one"),
		"backoff-most":     f.Duration("backoff-most", 0, "longest wait between attempts"),
		"max-run":          f.Duration("max-run", 0, "longest run of one attempt; 0: no limit"),
		"exclusion-window": f.Duration("exclusion-window", 0, "how long a worker that failed a job is passed over for it; 0: never"),
	}
	attempts := f.Int32("max-attempts", 0, "attempts in all, the first included")
	onTimeout := f.String("on-timeout", "", "when a lease or --max-run ends: retry or fail")
	return func(cmd *cobra.Command) (*fairlanev1.JobLimits, error) {
		l, some := &fairlanev1.JobLimits{}, false
		for name, field := range map[string]**int64{
			"lease": &l.LeaseMs, "heartbeat": &l.HeartbeatMs, "backoff": &l.BackoffFirstMs, "backoff-most": &l.BackoffMostMs,
			"max-run": &l.MaxRunMs, "exclusion-window": &l.ExclusionWindowMs,
		} {
			if cmd.Flags().Changed(name) {
				*field, some = proto.Int64(millis[name].Milliseconds()), true
			}
		}
		if cmd.Flags().Changed("max-attempts") {
			l.MaxAttempts, some = attempts, true
		}
		switch *onTimeout {
		case "":
		case "retry":
			l.OnTimeout, some = fairlanev1.OnTimeout_ON_TIMEOUT_RETRY.Enum(), true
		case "fail":
			l.OnTimeout, some = fairlanev1.OnTimeout_ON_TIMEOUT_FAIL.Enum(), true
		default:
			return nil, usagef("--on-timeout %q: want retry or fail", *onTimeout)
		}
		if !some {
			return nil, nil
		}
		return l, nil
	}
}
