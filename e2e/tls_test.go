package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// certLife is how long the first certificates of TestTLS live. Files are looked at every 5 s.
const certLife = 12 * time.Second

// TestTLS: a cluster under TLS works while all its certificates are replaced and the former ones end, goes on with another leader after that, and
// strangers at the port between nodes change nothing.
func TestTLS(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := harness.Start(t, harness.Options{TLS: true})
	end := time.Now().Add(certLife)
	issueAll(t, c, end)
	for _, n := range c.Nodes {
		if err := n.HangUp(); err != nil {
			t.Fatal(err)
		}
	}
	waitCerts(t, ctx, c, end)

	load := startLoad(t, ctx, c)
	later := time.Now().Add(time.Hour)
	issueAll(t, c, later) // nobody is told: the nodes see it
	waitCerts(t, ctx, c, later)
	if time.Now().After(end) {
		t.Fatalf("the new certificates were taken only after the former ended")
	}
	select {
	case <-time.After(time.Until(end) + time.Second): // certificates end by the clock
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
	leader, _, err := c.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	leader.Kill() // every connection after this one is new
	if leader, _, err = c.Leader(ctx); err != nil {
		t.Fatal(err)
	}
	strangers(t, c, leader)
	for _, n := range c.Nodes {
		if !n.Running() {
			if err := c.Restart(ctx, n); err != nil {
				t.Fatal(err)
			}
		}
	}
	jobs := load()
	if len(jobs) < 20 {
		t.Errorf("only %d jobs were done", len(jobs))
	}
	for _, id := range jobs {
		job, err := c.Get(ctx, id)
		if err != nil || job.GetState() != fairlanev1.JobState_JOB_STATE_SUCCEEDED {
			t.Fatalf("job %d: %v %v", id, job.GetState(), err)
		}
	}
	c.CheckDigests(t)
	log, err := os.ReadFile(leader.LogPath())
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(log, []byte("connection to the port between nodes was refused")); n != 1 {
		t.Errorf("strangers were logged %d times, want once", n)
	}
}

// issueAll replaces the certificates of all nodes by ones that end then.
func issueAll(t *testing.T, c *harness.Cluster, end time.Time) {
	t.Helper()
	for i := range c.Nodes {
		if err := c.IssueUntil(fmt.Sprintf("node%d", i), "node", end); err != nil {
			t.Fatal(err)
		}
	}
}

// waitCerts until every node says that its certificate ends then.
func waitCerts(t *testing.T, ctx context.Context, c *harness.Cluster, end time.Time) {
	t.Helper()
	for _, n := range c.Nodes {
		for {
			status, err := n.Dial().Cluster.Status(ctx, &fairlanev1.StatusRequest{})
			if err == nil && status.GetCertificate().GetNotAfterMs()/1000 == end.Unix() {
				break
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("node %d has certificate %v: %v", n.Number, status.GetCertificate(), err)
			}
		}
	}
}

// startLoad adds jobs and does them, one after the other, until the function is called; that gives the ids of all.
func startLoad(t *testing.T, ctx context.Context, c *harness.Cluster) func() []uint64 {
	t.Helper()
	session, err := c.OpenSession(ctx, 77)
	if err != nil {
		t.Fatal(err)
	}
	worker, err := c.Register(ctx, "w", "*:1")
	if err != nil {
		t.Fatal(err)
	}
	var jobs []uint64
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			made, err := c.Enqueue(ctx, session, &fairlanev1.NewJob{Kind: "k"})
			if err != nil {
				t.Errorf("enqueue: %v", err)
				return
			}
			claim, err := worker.Claim(ctx, 0, 5*time.Second)
			if err != nil || claim.GetClaim() == nil {
				t.Errorf("claim for job %d: %v %v", made.GetId(), claim, err)
				return
			}
			if done, err := worker.Succeed(ctx, claim.GetClaim().GetFence(), "r"); err != nil || done.GetError() != nil {
				t.Errorf("finish of job %d: %v %v", made.GetId(), done, err)
				return
			}
			jobs = append(jobs, made.GetId())
		}
	})
	return func() []uint64 {
		close(stop)
		running.Wait()
		return jobs
	}
}

// strangers knock at a node's port for other nodes.
func strangers(t *testing.T, c *harness.Cluster, n *harness.Node) {
	t.Helper()
	if err := c.IssueUntil("old", "node", time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(c.Dir, "foreign")
	if err := harness.InitCerts(foreign, 1); err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]string{
		"plaintext": {}, "wrong CA": {foreign, "node0"}, "expired": {c.CertDir(), "old"},
		"worker": {c.CertDir(), "worker"}, "TLS 1.2": {c.CertDir(), "node0"},
	} {
		conn, err := net.Dial("tcp", n.Raft)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if pair[0] != "" {
			shown, err := tls.LoadX509KeyPair(filepath.Join(pair[0], pair[1]+".pem"), filepath.Join(pair[0], pair[1]+".key"))
			if err != nil {
				t.Fatal(err)
			}
			settings := &tls.Config{InsecureSkipVerify: true,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }}
			if name == "TLS 1.2" {
				settings.MaxVersion = tls.VersionTLS12
			}
			conn = tls.Client(conn, settings)
		}
		_, _ = conn.Write([]byte("POST /fairlane.v1.ClusterService/Status HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"))
		answer := make([]byte, 256)
		if got, err := conn.Read(answer); err == nil && bytes.Contains(answer[:got], []byte("HTTP/1.1 2")) {
			t.Errorf("%s was answered: %q", name, answer[:got])
		}
		conn.Close()
	}
}
