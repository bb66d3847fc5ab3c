package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// archiveHeader is what `snapshot save` and `inspect` say.
type archiveHeader struct {
	ClusterID   string `json:"cluster_id"`
	Index       uint64 `json:"index"`
	Epoch       uint32 `json:"epoch"`
	StateBytes  int64  `json:"state_bytes"`
	StateDigest string `json:"state_digest"`
}

// restoreResult is what `snapshot restore` says.
type restoreResult struct {
	Archive archiveHeader `json:"archive"`
	Epoch   uint32        `json:"epoch"`
	Index   uint64        `json:"index"`
	Digest  string        `json:"digest"`
	Equal   bool          `json:"equal"`
	Nodes   []struct {
		Digest string `json:"digest"`
	} `json:"nodes"`
}

// runBinary runs the binary; its exit code is 0 unless said otherwise.
func runBinary(ctx context.Context, t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	binary, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return out.String(), errs.String(), code
}

// told runs the binary with -o json and reads what it says.
func told(ctx context.Context, t *testing.T, into any, args ...string) {
	t.Helper()
	out, errs, code := runBinary(ctx, t, append(args, "-o", "json")...)
	if code != 0 {
		t.Fatalf("%v: exit code %d\n%s%s", args, code, out, errs)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// backupLoad enqueues jobs under keys of their own, so that it does not matter when a session ends.
type backupLoad struct {
	mu   sync.Mutex
	jobs []uint64 // acknowledged, in this order
}

func (l *backupLoad) start(ctx context.Context, t *testing.T, cluster *harness.Cluster) (stop func()) {
	life, end := context.WithCancel(ctx)
	var parties sync.WaitGroup
	for party := range 4 {
		parties.Go(func() {
			for i := 0; life.Err() == nil; i++ {
				var answer *fairlanev1.EnqueueResponse
				job := &fairlanev1.NewJob{Kind: "k", Queue: "bulk", User: fmt.Sprint("u", party), IdempotencyKey: fmt.Sprint(party, "-", i)}
				err := cluster.AnyFrom(ctx, party+i, 0, func(ctx context.Context, api harness.API) (err error) {
					answer, err = api.Jobs.Enqueue(ctx, &fairlanev1.EnqueueRequest{Job: job})
					return err
				})
				if err != nil {
					t.Errorf("enqueue: %v", err)
					return
				}
				l.mu.Lock()
				l.jobs = append(l.jobs, answer.GetId())
				l.mu.Unlock()
			}
		})
	}
	stop = func() { end(); parties.Wait() }
	t.Cleanup(stop)
	return stop
}

func (l *backupLoad) acknowledged() []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.jobs[:len(l.jobs):len(l.jobs)]
}

func (l *backupLoad) atLeast(ctx context.Context, t *testing.T, count int) {
	t.Helper()
	for len(l.acknowledged()) < count {
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			t.Fatalf("%d of %d jobs: %v", len(l.acknowledged()), count, err)
		}
	}
}

// waitNamed until the cluster has an id: archives are told apart by it.
func waitNamed(ctx context.Context, t *testing.T, node *harness.Node, file string) {
	t.Helper()
	for {
		var header archiveHeader
		told(ctx, t, &header, "snapshot", "save", file, "-e", node.API)
		if header.ClusterID != "" {
			return
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			t.Fatal("the cluster gets no id")
		}
	}
}

// TestBackupUnderLoad is C4: an archive that was saved under load has the digest of all nodes at its index; restored into a new cluster it brings
// every job that was acknowledged before, and no session or fence of before counts there. Then it is restored into its own cluster, under load.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	file := filepath.Join(t.TempDir(), "monday.archive")
	source := harness.Start(t, harness.Options{})
	waitNamed(ctx, t, source.Nodes[0], file)
	worker, fence := heldClaim(ctx, t, source)
	load := &backupLoad{}
	stop := load.start(ctx, t, source)
	load.atLeast(ctx, t, 300)
	before := load.acknowledged()
	var saved archiveHeader
	began := time.Now()
	told(ctx, t, &saved, "snapshot", "save", file, "-e", source.Nodes[2].API)
	took := time.Since(began)
	for _, node := range source.Nodes {
		digest, err := node.Dial().Cluster.Digest(ctx, &fairlanev1.DigestRequest{Index: saved.Index, WaitMs: 10_000})
		if err != nil || digest.GetDigest() != saved.StateDigest {
			t.Errorf("node %d has digest %s at index %d, the archive %s; %v", node.Number, digest.GetDigest(), saved.Index, saved.StateDigest, err)
		}
	}
	load.atLeast(ctx, t, len(before)+100)

	// A new cluster, on the other log store.
	target := harness.Start(t, harness.Options{LogStore: "raft-boltdb"})
	waitNamed(ctx, t, target.Nodes[0], file+".target")
	if _, errs, code := runBinary(ctx, t, "snapshot", "restore", file, "--yes", "-e", target.Nodes[1].API); code != 1 || !strings.Contains(errs, "FOREIGN_ARCHIVE") {
		t.Errorf("a foreign archive: exit code %d, %s", code, errs)
	}
	var result restoreResult
	began = time.Now()
	told(ctx, t, &result, "snapshot", "restore", file, "--yes", "--from-cluster", saved.ClusterID, "-e", target.Nodes[1].API)
	t.Logf("%d jobs, %d bytes of state: saved in %v under load, restored in %v", len(before), saved.StateBytes, took.Round(time.Millisecond),
		time.Since(began).Round(time.Millisecond))
	checkRestored(t, result, saved, 3)
	for _, id := range before {
		if job, err := target.Get(ctx, id); err != nil || job.GetState() != fairlanev1.JobState_JOB_STATE_PENDING {
			t.Fatalf("job %d in the new cluster: %v %v", id, job.GetState(), err)
		}
	}
	refusedClaim(ctx, t, target, worker, fence)
	target.CheckDigests(t)

	// Its own cluster, while it works: what was acknowledged before the archive is there, what came after is gone.
	told(ctx, t, &result, "snapshot", "restore", file, "--yes", "-e", source.Nodes[1].API)
	checkRestored(t, result, saved, 3)
	load.atLeast(ctx, t, len(load.acknowledged())+50)
	stop()
	for _, id := range before {
		if _, err := source.Get(ctx, id); err != nil {
			t.Fatalf("job %d after the restore: %v", id, err)
		}
	}
	refusedClaim(ctx, t, source, worker, fence)
	source.CheckDigests(t)
}

func checkRestored(t *testing.T, result restoreResult, saved archiveHeader, nodes int) {
	t.Helper()
	if !result.Equal || len(result.Nodes) != nodes || result.Epoch <= saved.Epoch || result.Archive.StateDigest != saved.StateDigest {
		t.Fatalf("restored %+v of %+v", result, saved)
	}
	for _, node := range result.Nodes {
		if node.Digest != result.Digest {
			t.Errorf("the nodes differ: %+v", result)
		}
	}
}

// heldClaim is one that a worker holds.
func heldClaim(ctx context.Context, t *testing.T, cluster *harness.Cluster) (*harness.Worker, uint64) {
	t.Helper()
	session, err := cluster.OpenSession(ctx, 5)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Enqueue(ctx, session, &fairlanev1.NewJob{Kind: "held", Queue: "held"}); err != nil {
		t.Fatal(err)
	}
	worker, err := cluster.Register(ctx, "holder", "held:1")
	if err != nil {
		t.Fatal(err)
	}
	claim, err := worker.Claim(ctx, 0, 5*time.Second)
	if err != nil || claim.GetClaim() == nil {
		t.Fatalf("claim: %v %v", claim, err)
	}
	return worker, claim.GetClaim().GetFence()
}

// refusedClaim: what the worker of former times holds counts no longer, and its job goes to another one under a higher number.
func refusedClaim(ctx context.Context, t *testing.T, cluster *harness.Cluster, old *harness.Worker, fence uint64) {
	t.Helper()
	fresh, err := cluster.Register(ctx, fmt.Sprintf("heir of %d", fence), "held:1")
	if err != nil {
		t.Fatal(err)
	}
	for who, session := range map[string]*harness.Session{"the old session": old.Session, "another session": fresh.Session} {
		number := session.Begin()
		err := cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
			answer, err := api.Workers.Finish(ctx, &fairlanev1.FinishRequest{
				Session: session.ID, Fence: fence, Number: number, Lowest: session.Lowest(), Outcome: harness.Succeeded("stale")})
			if err == nil && answer.GetError() != nil {
				err = errors.New(answer.GetError().GetReason())
			}
			if err != nil && harness.Reason(err) == "" && !strings.Contains(err.Error(), "LOST_CLAIM") {
				return err
			}
			if err == nil {
				t.Errorf("%s finished a claim of before the restore", who)
			}
			return nil
		})
		session.End(number)
		if err != nil {
			t.Error(err)
		}
	}
	err = cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
		_, err := api.Workers.Heartbeat(ctx, &fairlanev1.HeartbeatRequest{Session: old.ID, Fences: []uint64{fence}})
		return err
	})
	if reason := harness.Reason(err); reason != "SESSION_ENDED" {
		t.Errorf("a heartbeat of the old session: %q, %v", reason, err)
	}
	claim, err := fresh.Claim(ctx, 0, 5*time.Second)
	if err != nil || claim.GetClaim() == nil {
		t.Fatalf("the held job is not handed out again: %v %v", claim, err)
	}
	if got := claim.GetClaim().GetFence(); got <= fence || got>>40 <= fence>>40 {
		t.Errorf("fence %d of a later epoch follows %d", got, fence)
	}
	if job := claim.GetClaim().GetJob(); job.GetCharged() != 0 {
		t.Errorf("the restore charged %d attempts", job.GetCharged())
	}
}

// TestBadArchives is the other half of C4: what was damaged, cut, or is something else is refused, by the file and by the node, and nothing changes.
func TestBadArchives(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	dir := t.TempDir()
	file := filepath.Join(dir, "good.archive")
	cluster := harness.Start(t, harness.Options{})
	waitNamed(ctx, t, cluster.Nodes[0], file)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	leader, before, err := cluster.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)*2/3] ^= 16
	for name, data := range map[string][]byte{
		"flipped": flipped, "cut": good[:len(good)-40], "twice": append(bytes.Clone(good), good...), "empty": nil,
		"tar": tarWithPath(t, "../../../../etc/cron.d/fairlane"), "gzip": gzipBomb(t), "text": []byte("hello"),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, errs, code := runBinary(ctx, t, "snapshot", "inspect", path); code != 1 || !strings.Contains(errs, "no usable archive") {
			t.Errorf("inspect %s: exit code %d, %s", name, code, errs)
		}
		if _, errs, code := runBinary(ctx, t, "snapshot", "restore", path, "--yes", "-e", leader.API); code != 1 || !strings.Contains(errs, "no usable archive") {
			t.Errorf("restore %s: exit code %d, %s", name, code, errs)
		}
		if text := post(ctx, t, leader, data); !strings.Contains(text, `"BAD_ARCHIVE"`) {
			t.Errorf("POST %s: %s", name, text)
		}
	}
	_, after, err := cluster.Leader(ctx)
	if err != nil || after.GetAppliedIndex() != before.GetAppliedIndex() || after.GetEpoch() != before.GetEpoch() {
		t.Errorf("index %d and epoch %d became %d and %d, %v", before.GetAppliedIndex(), before.GetEpoch(), after.GetAppliedIndex(), after.GetEpoch(), err)
	}
	cluster.CheckDigests(t)
	if _, errs, code := runBinary(ctx, t, "snapshot", "restore", file, "-e", leader.API); code != 2 || !strings.Contains(errs, "--yes") {
		t.Errorf("without --yes and nobody to ask: exit code %d, %s", code, errs)
	}
}

// post an archive as it is.
func post(ctx context.Context, t *testing.T, node *harness.Node, data []byte) string {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+node.API+"/v1/snapshot", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/vnd.fairlane.archive")
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func tarWithPath(t *testing.T, path string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err := w.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: 4})
	_, e := w.Write([]byte("evil"))
	if err = errors.Join(err, e, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// gzipBomb is a small file of 64 MiB.
func gzipBomb(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(make([]byte, 64<<20))
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
