package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/cluster/archive"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

func (n *testNode) fetch(t *testing.T, method, path string, body io.Reader) (int, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, n.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", archive.ContentType)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, text
}

// TestSnapshotOverHTTP: a follower gives an archive of the state at a checkpoint, the leader alone takes one, and says what it made of it. A call
// that waited on the leader is answered.
func TestSnapshotOverHTTP(t *testing.T) {
	nodes := startThree(t)
	ctx := t.Context()
	waitUntil(t, ctx, "the cluster has an id", func() bool { return nodes[0].clusterID() != "" }) // archives of before are of none
	if _, err := nodes[1].jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k", Queue: "q"}}); err != nil {
		t.Fatal(err)
	}
	status, whole := nodes[2].fetch(t, http.MethodGet, "/v1/snapshot", nil)
	header, state, err := archive.Read(bytes.NewReader(whole))
	if status != http.StatusOK || err != nil || header.NodeID != nodes[2].ID() || len(state.Queues()) != 1 {
		t.Fatalf("%d, %v, %+v", status, err, header)
	}
	digest, err := nodes[0].Digest(ctx, header.Index)
	if err != nil || !strings.HasPrefix(header.StateDigest, hexByte(digest[0])+hexByte(digest[1])) {
		t.Errorf("the archive has %s, the leader %x, %v", header.StateDigest, digest, err)
	}
	status, text := nodes[1].fetch(t, http.MethodPost, "/v1/snapshot", bytes.NewReader(whole))
	if status != http.StatusServiceUnavailable || !strings.Contains(string(text), `"NOT_LEADER"`) || !strings.Contains(string(text), nodes[0].url) {
		t.Errorf("at a follower: %d %s", status, text)
	}
	for query, want := range map[string]string{"?force=1": "INVALID_ARGUMENT", "?from_cluster=x": "FOREIGN_ARCHIVE"} {
		if _, text := nodes[0].fetch(t, http.MethodPost, "/v1/snapshot"+query, bytes.NewReader(whole)); !strings.Contains(string(text), want) {
			t.Errorf("%s: %s", query, text)
		}
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"} { // what a page may send unasked
		response, err := http.Post(nodes[0].url+"/v1/snapshot", kind, bytes.NewReader(whole))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("an archive sent as %s: %s", kind, response.Status)
		}
	}
	if _, text := nodes[0].fetch(t, http.MethodPost, "/v1/snapshot", strings.NewReader("no archive")); !strings.Contains(string(text), "BAD_ARCHIVE") {
		t.Errorf("no archive: %s", text)
	}

	worker, err := nodes[1].workers().Register(ctx, &v1.RegisterRequest{Name: "w", Nonce: 2, Lanes: "other:1"})
	if err != nil {
		t.Fatal(err)
	}
	parked := make(chan error, 1)
	go func() {
		_, err := nodes[1].workers().Claim(ctx, &v1.ClaimRequest{Session: worker.Session, Number: 1, Lowest: 1, WaitMs: 30_000})
		parked <- err
	}()
	waitUntil(t, ctx, "the claim is parked", func() bool { return nodes[0].Status().Parked == 1 })
	var answer restoreAnswer
	status, text = nodes[0].fetch(t, http.MethodPost, "/v1/snapshot", bytes.NewReader(whole))
	if err := json.Unmarshal(text, &answer); status != http.StatusOK || err != nil {
		t.Fatalf("%d %s", status, text)
	}
	if !answer.Equal || len(answer.Nodes) != 3 || answer.Digest == "" || answer.Epoch <= header.Epoch || answer.Index <= header.Index {
		t.Errorf("%s", text)
	}
	select {
	case err := <-parked:
		if reason, _, _ := ReasonOf(err); reason != SessionEnded {
			t.Errorf("the parked claim: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the parked claim of a state that is gone is never answered")
	}
}

func (n *testNode) clusterID() string {
	id, _ := n.Cluster()
	return id
}

func hexByte(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

// TestBackupMetrics: they are there when the node writes archives, and say when it last did.
func TestBackupMetrics(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backups")
	node := startNode(t, func(c *cluster.Config, _ *Config) {
		c.Backup = cluster.BackupConfig{Dir: dir, Every: 20 * time.Millisecond}
	})
	waitUntil(t, t.Context(), "an archive", func() bool {
		list, err := os.ReadDir(dir)
		return err == nil && len(list) > 1
	})
	_, text := node.fetch(t, http.MethodGet, "/metrics", nil)
	for _, want := range []string{"fairlane_backup_last_success_timestamp_seconds 1.", "fairlane_backup_failures_total 0"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}
