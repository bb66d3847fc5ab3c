package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// password before the host of an endpoint.
var password = regexp.MustCompile(`//[^/@\s]*@`)

// mostBundled of one answer, in bytes.
const mostBundled = 16 << 20

func newDebugCmd(a *app) *cobra.Command {
	group := &cobra.Command{Use: "debug", Short: "Collect what a report of a fault needs"}
	group.AddCommand(newDebugBundleCmd(a))
	return group
}

func newDebugBundleCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "bundle", Short: "A tar.gz of what the nodes say of themselves, without anything of the jobs", Args: cobra.NoArgs,
		Long: `Writes a tar.gz with the status of all nodes, their digests, the cluster's settings, queues and counts of workers, /readyz and /metrics of every
endpoint, versions, and with --operator the goroutines and the heap of the process that listens there. What cannot be had is named with the
reason in errors.txt, and the rest is still written.

It holds no payload, result or output, no name of a user, no label or idempotency key, no variable and no contents of a file. It holds
names of queues, and addresses and ids of nodes.`,
	}
	path := cmd.Flags().StringP("file", "f", "", "`file` to write, - for the standard output; default: fairlane-debug-TIME.tar.gz here")
	place := cmd.Flags().String("operator", "", "`address` or unix:PATH given to a node on this machine as --operator-listen")
	noVerify := cmd.Flags().Bool("no-verify", false, "leave the digests out: they need a leader, and put a marker into the log")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOperatorListen(*place); err != nil {
			return err
		}
		now := time.Now().UTC()
		b := &bundle{folder: "fairlane-debug-" + now.Format("20060102T150405Z"), at: now}
		b.collect(cmd.Context(), a, *place, !*noVerify)
		name := *path
		if name == "" {
			name = b.folder + ".tar.gz"
		}
		if name == "-" {
			return b.write(a.out)
		}
		return b.save(a, name)
	}
	return cmd
}

// bundle of parts in memory: each is bounded, and there are few.
type bundle struct {
	folder string
	at     time.Time
	parts  []part
	errors bytes.Buffer
}

type part struct {
	name string
	text []byte
}

func (b *bundle) add(name string, text []byte, err error) {
	if err != nil {
		fmt.Fprintf(&b.errors, "%s: %s\n", name, password.ReplaceAllString(describe(err).Message, "//"))
	}
	if len(text) > 0 {
		b.parts = append(b.parts, part{name, text})
	}
}

func (b *bundle) collect(ctx context.Context, a *app, place string, verify bool) {
	about, err := json.MarshalIndent(map[string]string{
		"version": version, "revision": revision(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
		"collected": b.at.Format(time.RFC3339),
	}, "", "  ")
	b.add("bundle.json", about, err)
	service := fairlanev1connect.ClusterServiceClient.Status
	status, err := call(ctx, a, clusterOf, service, &fairlanev1.StatusRequest{})
	b.message("status.json", status, err)
	if err == nil {
		b.fromCluster(ctx, a, verify)
	}
	for i, endpoint := range a.endpoints {
		for _, path := range []string{"/readyz", "/metrics"} {
			text, err := getPlain(ctx, a, endpoint, path)
			b.add(fmt.Sprintf("endpoint-%d%s.txt", i+1, path), text, err)
		}
	}
	if place == "" {
		return
	}
	for name, path := range map[string]string{"goroutines.txt": "/debug/pprof/goroutine?debug=1", "heap.pprof": "/debug/pprof/heap", "loglevel.txt": "/loglevel"} {
		limited, cancel := context.WithTimeout(ctx, a.timeout)
		text, err := operatorGet(limited, place, path, mostBundled)
		cancel()
		b.add("process/"+name, text, err)
	}
}

// fromCluster is what needs a node that answers.
func (b *bundle) fromCluster(ctx context.Context, a *app, verify bool) {
	nodes, err := call(ctx, a, clusterOf, fairlanev1connect.ClusterServiceClient.ListNodes, &fairlanev1.ListNodesRequest{})
	b.message("nodes.json", nodes, err)
	settings, err := call(ctx, a, clusterOf, fairlanev1connect.ClusterServiceClient.GetSettings, &fairlanev1.GetSettingsRequest{})
	b.message("settings.json", settings, err)
	queues, err := call(ctx, a, queuesOf, fairlanev1connect.QueueServiceClient.ListQueues, &fairlanev1.ListQueuesRequest{})
	b.message("queues.json", queues, err)
	workers, err := allWorkers(ctx, a)
	counts, wrong := json.MarshalIndent(countWorkers(workers.GetWorkers()), "", "  ")
	if err == nil {
		err = wrong
	}
	b.add("workers.json", counts, err)
	if verify {
		digests, err := call(ctx, a, clusterOf, fairlanev1connect.ClusterServiceClient.Verify, &fairlanev1.VerifyRequest{WaitMs: 5000})
		b.message("verify.json", digests, err)
	}
}

// workerCounts instead of the workers: their names and users are the callers'.
type workerCounts struct {
	Workers  int `json:"workers"`
	Draining int `json:"draining"`
	ForUser  int `json:"for_one_user"`
	Lanes    int `json:"lanes"`
	Slots    int `json:"slots"`
	Running  int `json:"running"`
}

func countWorkers(workers []*fairlanev1.Worker) workerCounts {
	c := workerCounts{Workers: len(workers)}
	for _, w := range workers {
		if w.GetDraining() {
			c.Draining++
		}
		if w.GetUser() != "" {
			c.ForUser++
		}
		for _, lane := range w.GetLanes() {
			c.Lanes++
			c.Slots += int(lane.GetLane().GetSlots())
			c.Running += int(lane.GetRunning())
		}
	}
	return c
}

func (b *bundle) message(name string, m proto.Message, err error) {
	if err != nil {
		b.add(name, nil, err)
		return
	}
	text, err := protojson.MarshalOptions{Multiline: true, EmitDefaultValues: true}.Marshal(m)
	b.add(name, text, err)
}

// getPlain asks an endpoint for a path. Errors do not repeat the endpoint: it may carry a password.
func getPlain(ctx context.Context, a *app, endpoint, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.baseURL(endpoint)+path, nil)
	if err != nil {
		return nil, fmt.Errorf("the endpoint is no address")
	}
	text, err := fetch(a.httpClient, request, mostBundled)
	if failed, ok := err.(*url.Error); ok {
		err = failed.Err
	}
	return text, err
}

// save writes the file whole or not at all, readable by its owner alone.
func (b *bundle) save(a *app, name string) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = b.write(file)
	if e := file.Close(); err == nil {
		err = e
	}
	if err != nil {
		_ = os.Remove(name) // the first error is the one to tell
		return err
	}
	missing := ""
	if b.errors.Len() > 0 {
		missing = "; what is missing: errors.txt in it"
	}
	_, err = fmt.Fprintf(a.out, "%s%s\n", name, missing)
	return err
}

func (b *bundle) write(out io.Writer) error {
	compressed := gzip.NewWriter(out)
	archive := tar.NewWriter(compressed)
	for _, p := range append(b.parts, part{"errors.txt", b.errors.Bytes()}) {
		head := &tar.Header{Name: b.folder + "/" + p.name, Mode: 0o600, Size: int64(len(p.text)), ModTime: b.at, Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(head); err != nil {
			return err
		}
		if _, err := archive.Write(p.text); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return compressed.Close()
}
