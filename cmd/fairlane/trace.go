package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/trace"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

func newTraceCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "trace", Short: "Record what a cluster does, and check and read recordings"}
	cmd.AddCommand(newTraceRecordCmd(a), newTraceSaveCmd(a), newTraceVerifyCmd(a), newTraceEventsCmd(a))
	return cmd
}

// traceLimit is the longest recording that a node makes.
const traceLimit = time.Hour

func newTraceRecordCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "record FILE", Short: "Record a running node: its state, then every batch that it applies", Args: cobra.ExactArgs(1),
		Long: `Record the node at the first of the --endpoints that answers: its state now, then for the time of --for every batch that it
applies, then the digest of its state. Any node of the cluster will do; recording does not slow it down. The file holds
payloads and results: keep it as you keep those. See docs/simulate.md.`,
		Example: "  fairlane trace record friday.trace --for 10m",
	}
	span := cmd.Flags().Duration("for", time.Minute, "how long to record, at most 1h; 0: the state alone")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *span < 0 || *span > traceLimit {
			return usagef("--for %v: want 0 to %v", *span, traceLimit)
		}
		return recordTrace(cmd.Context(), a, args[0], *span)
	}
	return cmd
}

func recordTrace(ctx context.Context, a *app, path string, span time.Duration) error {
	w, err := trace.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = w.Discard() }()
	var last error
	for _, endpoint := range a.endpoints {
		end, err := receiveTrace(ctx, a, a.baseURL(endpoint), w, span)
		if isRefused(err) {
			last = err
			continue
		}
		if err != nil {
			return err
		}
		if err := w.Finish(end.GetIndex(), end.GetDigest()); err != nil {
			return err
		}
		fmt.Fprintf(a.err, "recorded up to index %d, digest %s\n", end.GetIndex(), hex.EncodeToString(end.GetDigest()))
		return nil
	}
	return unreachable(a.endpoints, last)
}

// receiveTrace writes what a node records. Only with the end that it gives it is whole.
func receiveTrace(ctx context.Context, a *app, url string, w *trace.Writer, span time.Duration) (*fairlanev1.TraceEnd, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := clusterOf(a.httpClient, url).RecordTrace(ctx, &fairlanev1.RecordTraceRequest{ForMs: span.Milliseconds()})
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	for stream.Receive() {
		switch part := stream.Msg().GetPart().(type) {
		case *fairlanev1.RecordTraceResponse_Snapshot:
			_, err = w.Write(part.Snapshot)
		case *fairlanev1.RecordTraceResponse_Entry:
			err = w.Entry(part.Entry.GetIndex(), part.Entry.GetBatch())
		case *fairlanev1.RecordTraceResponse_End:
			return part.End, nil
		}
		if err != nil {
			return nil, err
		}
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	return nil, errors.New("the node ended the recording without its end; nothing was written")
}

func newTraceSaveCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "save FILE", Short: "Make a trace from the disk of a node that is stopped", Args: cobra.ExactArgs(1),
		Long: `Make a trace of the newest snapshot and the log behind it in the data directory of a node that does not run. Nothing in
the directory is changed. The last entries of a log may never have been committed: the node does not know, only the
cluster does. --to leaves them out; a checkpoint or an index that another node has applied is a safe bound.`,
		Example: "  fairlane trace save monday.trace --data /var/lib/fairlane",
	}
	data := cmd.Flags().String("data", "", "the node's data `directory`; variable FAIRLANE_DATA")
	to := cmd.Flags().Uint64("to", 0, "last log `index` to take; 0: all there is")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if *data == "" {
			return usagef("--data is not set: name the data directory of a node that is stopped")
		}
		return saveTrace(a, *data, args[0], *to)
	}
	return cmd
}

func saveTrace(a *app, data, path string, to uint64) (err error) {
	disk, err := cluster.OpenOffline(data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	w, err := trace.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = w.Discard() }()
	snapshot, err := disk.OpenSnapshot()
	if err != nil {
		return err
	}
	index := uint64(0)
	if snapshot != nil {
		defer snapshot.Close()
		// What the state says of its index: that of the snapshot may count entries that are no batches.
		m, err := fsm.Restore(io.TeeReader(snapshot, w))
		if err != nil {
			return err
		}
		index = m.AppliedIndex()
	}
	bound := to
	if bound == 0 {
		bound = max(disk.Last, disk.Snapshot)
	}
	err = disk.Batches(bound, func(at uint64, batch []byte) error {
		index = at
		return w.Entry(at, batch)
	})
	if err != nil {
		return err
	}
	if err := w.Finish(index, nil); err != nil {
		return err
	}
	fmt.Fprintf(a.err, "saved the snapshot of index %d and the log (%s) up to index %d\n", disk.Snapshot, disk.LogStore, index)
	if to == 0 {
		fmt.Fprintln(a.err, "the last entries may never have been committed; --to leaves them out")
	}
	return nil
}

func newTraceVerifyCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "verify FILE", Short: "Replay a trace and compare the digest", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := trace.Replay(args[0], trace.Visitor{Batch: func(*fsm.Machine, *logv1.Batch, *fsm.Outcome) error { return cmd.Context().Err() }})
			if err != nil {
				return err
			}
			return a.printSummary(s)
		},
	}
}

// verified is what verify tells.
type verified struct {
	FromIndex   uint64 `json:"from_index"`
	ToIndex     uint64 `json:"to_index"`
	FromMs      int64  `json:"from_ms"`
	ToMs        int64  `json:"to_ms"`
	Batches     uint64 `json:"batches"`
	Commands    uint64 `json:"commands"`
	Digest      string `json:"digest"`
	DigestEqual *bool  `json:"digest_equal"` // null: the trace holds none
}

func (a *app) printSummary(s trace.Summary) error {
	v := verified{FromIndex: s.From, ToIndex: s.To, FromMs: s.FromMs, ToMs: s.ToMs, Batches: s.Batches, Commands: s.Commands,
		Digest: hex.EncodeToString(s.Digest)}
	equal := s.Recorded != nil
	if equal { // else the replay had ended with an error
		v.DigestEqual = &equal
	}
	return a.printJSON(v, func(w io.Writer) {
		row(w, "index", fmt.Sprintf("%d to %d", s.From, s.To))
		from := "the beginning of the cluster"
		if s.FromMs > 0 {
			from = instant(s.FromMs)
		}
		row(w, "time", from+" to "+instant(s.ToMs))
		row(w, "batches", s.Batches)
		row(w, "commands", s.Commands)
		row(w, "digest", v.Digest)
		row(w, "replay", digestText(s.Recorded != nil))
	})
}

func digestText(recorded bool) string {
	if recorded {
		return "digest equal"
	}
	return "no digest was recorded, so none was compared"
}

func newTraceEventsCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "events FILE", Short: "Every event of a replay, one JSON object a line, as watches show them", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := trace.Replay(args[0], trace.Visitor{Batch: func(_ *fsm.Machine, _ *logv1.Batch, out *fsm.Outcome) error {
				for i := range out.Events {
					if err := printLine(a.out, trace.PublicEvent(out, &out.Events[i])); err != nil {
						return err
					}
				}
				return cmd.Context().Err()
			}})
			return err
		},
	}
}
