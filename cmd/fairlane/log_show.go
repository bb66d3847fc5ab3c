package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

const (
	// mostTailed entries can be asked for.
	mostTailed = 1000
	// tailWait is how long one call of a followed log waits for the next entry.
	tailWait = 20 * time.Second
)

func newLogShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show INDEX", Short: "What one entry of a node's log says", Args: cobra.ExactArgs(1),
		Long: "What one entry of the log says, in words: one line for each command, without payloads, results and output. The log of the node that answers " +
			"is read; it keeps some ten thousand entries behind its newest snapshot.",
		RunE: func(cmd *cobra.Command, args []string) error {
			index, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil || index == 0 {
				return usagef("%q is not the index of a log entry: want a number from 1", args[0])
			}
			res, err := readLog(cmd.Context(), a, &fairlanev1.ReadLogRequest{From: index, Limit: 1})
			if err != nil {
				return err
			}
			if len(res.GetEntries()) == 0 {
				return fmt.Errorf("entry %d is not in the log yet, which ends at %d; fairlane log tail -f waits for more", index, res.GetLastIndex())
			}
			return a.print(res.GetEntries()[0], func(w io.Writer) { entryText(w, res.GetEntries()[0]) })
		},
	}
}

func newLogTailCmd(a *app) *cobra.Command {
	var n int32
	var follow bool
	tail := &cobra.Command{
		Use: "tail", Short: "What the newest entries of a node's log say", Args: cobra.NoArgs,
		Long: "What the newest entries of the log say, in words, oldest first; see fairlane log show. With -f it goes on with each entry that is committed, " +
			"until it is interrupted. With -o json it prints one object for each entry.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 1 || n > mostTailed {
				return usagef("-n %d: want 1 to %d", n, mostTailed)
			}
			return endless(cmd.Context(), tailLog(cmd.Context(), a, n, follow))
		},
	}
	tail.Flags().Int32VarP(&n, "entries", "n", 20, "how many `entries` to begin with")
	tail.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes")
	return tail
}

// tailLog prints the last n entries, in several answers if one has no room for all, and then those that come.
func tailLog(ctx context.Context, a *app, n int32, follow bool) error {
	res, err := readLog(ctx, a, &fairlanev1.ReadLogRequest{Limit: n})
	if err != nil {
		return err
	}
	next, last := max(res.GetFirstIndex(), res.GetLastIndex()-min(res.GetLastIndex(), uint64(n))+1), res.GetLastIndex()
	for {
		for _, entry := range res.GetEntries() {
			if follow && !entry.GetCommitted() { // another one may still take its place
				break
			}
			if err := a.printEntry(entry); err != nil {
				return err
			}
			next = entry.GetIndex() + 1
		}
		ask := &fairlanev1.ReadLogRequest{From: next, Limit: mostTailed}
		switch {
		case follow:
			ask.WaitMs = tailWait.Milliseconds()
		case next > last || len(res.GetEntries()) == 0:
			return nil
		}
		if res, err = readLog(ctx, a, ask); err != nil {
			return err
		}
	}
}

func readLog(ctx context.Context, a *app, r *fairlanev1.ReadLogRequest) (*fairlanev1.ReadLogResponse, error) {
	limit := a.timeout + time.Duration(r.GetWaitMs())*time.Millisecond
	return callFor(ctx, a, limit, clusterOf, fairlanev1connect.ClusterServiceClient.ReadLog, r)
}

// printEntry of a list that has no end: each is printed whole.
func (a *app) printEntry(e *fairlanev1.LogEntry) error {
	if a.output == outputJSON {
		return printMessage(a.out, e)
	}
	var text strings.Builder
	entryText(&text, e)
	_, err := io.WriteString(a.out, text.String())
	return err
}

func entryText(w io.Writer, e *fairlanev1.LogEntry) {
	head := fmt.Sprintf("%d term %d %s", e.GetIndex(), e.GetTerm(), e.GetType())
	if e.GetAtMs() != 0 {
		head = fmt.Sprintf("%d %s term %d %s", e.GetIndex(), instant(e.GetAtMs()), e.GetTerm(), e.GetType())
	}
	if e.GetRules() != 0 {
		head += fmt.Sprintf(", rules %d", e.GetRules())
	}
	if e.GetBytes() != 0 {
		head += fmt.Sprintf(", %d bytes", e.GetBytes())
	}
	if !e.GetCommitted() {
		head += ", not committed"
	}
	fmt.Fprintln(w, head)
	for _, line := range e.GetLines() {
		fmt.Fprintln(w, "  "+line)
	}
}
