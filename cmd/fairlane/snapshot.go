package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/cluster/archive"
)

// restoreTries of other nodes until one is the leader.
const restoreTries = 5

func newSnapshotCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "snapshot", Short: "Back the cluster up into a file, look at such a file, restore it",
		Long: `An archive holds the whole state of the cluster at one index of its log: jobs, queues, schedules, with payloads and
results. Keep it as you keep those. It is checked as a whole whenever it is read.`,
	}
	cmd.AddCommand(newSnapshotSaveCmd(a), newSnapshotInspectCmd(a), newSnapshotRestoreCmd(a))
	return cmd
}

func newSnapshotSaveCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "save FILE|-", Short: "Write an archive of the cluster's state of now", Args: cobra.ExactArgs(1),
		Long: `Write an archive of the cluster's state of now, from the first of the --endpoints that answers; any node will do, and the
cluster goes on meanwhile. The file is whole and checked, or it is not there. - writes to the standard output; the exit
code then says whether all of it is right.`,
		Example: "  fairlane snapshot save monday.archive\n  fairlane snapshot save - | ssh backup@vault 'cat > monday.archive'",
		RunE: func(cmd *cobra.Command, args []string) error {
			header, err := saveArchive(cmd.Context(), a, args[0])
			if err != nil {
				return err
			}
			if args[0] == "-" {
				fmt.Fprintf(a.err, "saved index %d, digest %s\n", header.Index, header.StateDigest)
				return nil
			}
			return a.printArchive(header)
		},
	}
}

func saveArchive(ctx context.Context, a *app, path string) (header archive.Header, err error) {
	body, err := openSnapshot(ctx, a)
	if err != nil {
		return header, err
	}
	defer body.Close()
	if path == "-" {
		header, _, err = archive.Read(io.TeeReader(body, a.out))
		return header, err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.new") // readable by its owner alone
	if err != nil {
		return header, err
	}
	defer os.Remove(file.Name()) // after the rename there is none
	out := bufio.NewWriterSize(file, 1<<20)
	header, _, err = archive.Read(io.TeeReader(body, out))
	if err = errors.Join(err, out.Flush(), file.Sync(), file.Close()); err != nil {
		return header, fmt.Errorf("nothing was saved: %w", err)
	}
	return header, os.Rename(file.Name(), path)
}

// openSnapshot asks the endpoints in turn for an archive, within --timeout for its first byte.
func openSnapshot(ctx context.Context, a *app) (io.ReadCloser, error) {
	end := time.Now().Add(a.timeout)
	for {
		refused := 0
		var last error
		for _, endpoint := range a.endpoints {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.baseURL(endpoint)+"/v1/snapshot", nil)
			if err != nil {
				return nil, usagef("--endpoints %s: %w", endpoint, err)
			}
			response, err := a.do(request)
			if err == nil {
				return response.Body, nil
			}
			if last = err; isRefused(err) {
				refused++
			} else if exitCode(err) != exitUnreachable {
				return nil, err
			}
		}
		if refused == len(a.endpoints) {
			return nil, unreachable(a.endpoints, last)
		}
		if time.Now().After(end) {
			return nil, last
		}
		if err := pauseFor(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func newSnapshotInspectCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "inspect FILE|-", Short: "Check an archive and show what it holds", Args: cobra.ExactArgs(1),
		Example: "  fairlane snapshot inspect monday.archive",
		RunE: func(_ *cobra.Command, args []string) error {
			header, err := a.readArchive(args[0])
			if err != nil {
				return err
			}
			return a.printArchive(header)
		},
	}
}

func (a *app) readArchive(path string) (archive.Header, error) {
	in := io.Reader(a.in)
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return archive.Header{}, err
		}
		defer file.Close()
		in = file
	}
	header, _, err := archive.Read(bufio.NewReaderSize(in, 1<<20))
	if err != nil {
		return header, fmt.Errorf("%s: %w", path, err)
	}
	return header, nil
}

func (a *app) printArchive(h archive.Header) error {
	return a.printJSON(h, func(w io.Writer) {
		name := h.ClusterName
		if h.ClusterID != "" {
			name += " (" + h.ClusterID + ")"
		}
		row(w, "cluster", name)
		row(w, "index", h.Index)
		row(w, "term", h.Term)
		row(w, "epoch", h.Epoch)
		row(w, "rules", h.Rules)
		row(w, "made", instant(h.MadeMs)+" by node "+h.NodeID+", fairlane "+h.Version)
		row(w, "state", fmt.Sprintf("%d bytes", h.StateBytes))
		row(w, "digest", h.StateDigest)
		row(w, "check", "whole and right")
	})
}

func newSnapshotRestoreCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Replace the cluster's state by that of an archive", Args: cobra.ExactArgs(1),
		Long: `Replace the cluster's state by that of an archive. What happened since the archive was made is gone. All claims and
sessions end: workers register again, and the jobs that ran wait again in their old place. Every voter must be reachable.
The leader checks all of the archive before anything changes, and compares the state of all nodes afterwards. An archive
of another cluster is refused unless that is named with --from-cluster; archives from before clusters had ids are of
cluster "unnamed". The members, and the name and id of the cluster, stay as they are.`,
		Example: "  fairlane snapshot restore monday.archive\n  fairlane snapshot restore monday.archive --from-cluster 1b4e28ba-2fa1-41d2-883f-0016d3cca427 --yes",
	}
	from := cmd.Flags().String("from-cluster", "", "`id` of the other cluster that the archive is of")
	yes := cmd.Flags().Bool("yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		header, err := a.readArchive(args[0])
		if err != nil {
			return err
		}
		if !*yes {
			if err := a.askRestore(header); err != nil {
				return err
			}
		}
		return restoreArchive(cmd.Context(), a, args[0], *from)
	}
	return cmd
}

func (a *app) askRestore(h archive.Header) error {
	fmt.Fprintf(a.err, "The state of the cluster at %s is replaced by that of %q at index %d, made %s.\nWhat happened since is gone, all claims and sessions end. ",
		strings.Join(a.endpoints, ", "), h.ClusterName, h.Index, instant(h.MadeMs))
	return a.askWord("restore")
}

// askWord has a word typed; a program that cannot be asked needs --yes.
func (a *app) askWord(word string) error {
	if !a.terminal {
		fmt.Fprintln(a.err)
		return usagef("nothing was done: nobody can be asked here. Give --yes if it is meant")
	}
	fmt.Fprintf(a.err, "Type %s to go on: ", word)
	line, err := bufio.NewReader(io.LimitReader(a.in, 1024)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(line) != word {
		return errors.New("nothing was done")
	}
	return nil
}

// restored is what the leader answers.
type restored struct {
	Archive archive.Header `json:"archive"`
	Epoch   uint32         `json:"epoch"`
	Index   uint64         `json:"index"`
	Digest  string         `json:"digest"`
	Equal   bool           `json:"equal"`
	Nodes   []struct {
		NodeID  string `json:"node_id"`
		Digest  string `json:"digest,omitempty"`
		Problem string `json:"problem,omitempty"`
	} `json:"nodes"`
}

func restoreArchive(ctx context.Context, a *app, path, from string) error {
	var out restored
	if err := sendArchive(ctx, a, path, from, &out); err != nil {
		return err
	}
	err := a.printJSON(out, func(w io.Writer) {
		row(w, "restored", fmt.Sprintf("index %d of cluster %s", out.Archive.Index, out.Archive.ClusterName))
		row(w, "epoch", out.Epoch)
		row(w, "compared at index", out.Index)
		for _, node := range out.Nodes {
			row(w, "node "+node.NodeID, node.Digest+node.Problem)
		}
	})
	if err == nil && !out.Equal {
		err = errors.New("the state was restored, but not every node showed the same: look at fairlane cluster verify")
	}
	return err
}

// sendArchive to the leader: the first endpoint that answers is it, or says where it is.
func sendArchive(ctx context.Context, a *app, path, from string, out *restored) error {
	targets := a.endpoints
	var last error
	for try := 0; try < restoreTries; try++ {
		if len(targets) == 0 {
			break
		}
		err := sendTo(ctx, a, targets[0], path, from, out)
		if err == nil {
			return nil
		}
		d := describe(err)
		switch {
		case d.Reason == "NOT_LEADER" && d.Metadata["leader_url"] != "":
			_, host, _ := strings.Cut(d.Metadata["leader_url"], "://")
			targets = []string{host}
		case d.Reason == "NOT_LEADER", isRefused(err):
			targets = targets[1:]
		default:
			return err
		}
		last = err
	}
	if isRefused(last) {
		return unreachable(a.endpoints, last)
	}
	return last
}
