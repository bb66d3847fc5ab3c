package cluster

import (
	"bytes"
	"crypto/tls"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/fairlane-scheduler/fairlane/cluster/certs"
)

// lines of a log, for many goroutines.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.text.String()), "\n")
}

// paper makes the files of one party of a cluster.
func paper(t testing.TB, a *certs.Authority, dir, cluster string, p certs.Party) certs.Files {
	t.Helper()
	if p.For == 0 {
		p.For = time.Hour
	}
	if err := a.Issue(dir, cluster, p); err != nil {
		t.Fatal(err)
	}
	return certs.Files{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, p.Name+".pem"), Key: filepath.Join(dir, p.Name+".key")}
}

func newAuthority(t testing.TB, cluster string) (*certs.Authority, string) {
	t.Helper()
	a, err := certs.NewAuthority(cluster, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := a.Write(dir); err != nil {
		t.Fatal(err)
	}
	return a, dir
}

// stranger shows a pair of files to a server that it does not check.
func stranger(t testing.TB, f certs.Files, most uint16) *tls.Config {
	t.Helper()
	settings := &tls.Config{InsecureSkipVerify: true, MaxVersion: most}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			t.Fatal(err)
		}
		// Shown even if the server says that it does not trust who signed it.
		settings.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return settings
}

// TestPortRefusesStrangers: who has no certificate of a node of this cluster is refused before a byte of his is read, and logged once; nodes are
// served meanwhile.
func TestPortRefusesStrangers(t *testing.T) {
	t.Parallel()
	a, dir := newAuthority(t, "prod")
	node := certs.Party{Name: "n1", Role: certs.RoleNode, Hosts: []string{"127.0.0.1"}}
	files := paper(t, a, dir, "prod", node)
	bundle, err := certs.Load(files, "prod")
	if err != nil {
		t.Fatal(err)
	}
	foreign, foreignDir := newAuthority(t, "prod")
	for name, c := range map[string]struct {
		settings *tls.Config // nil: no TLS
		says     string      // in the log
	}{
		"plaintext": {nil, "first record does not look like a TLS handshake"},
		"wrong CA":  {stranger(t, paper(t, foreign, foreignDir, "prod", node), 0), "unknown authority"},
		"expired": {stranger(t, paper(t, a, dir, "prod", certs.Party{
			Name: "old", Role: certs.RoleNode, Hosts: node.Hosts, From: time.Now().Add(-2 * time.Hour)}), 0), "has expired"},
		"worker":         {stranger(t, paper(t, a, dir, "prod", certs.Party{Name: "w", Role: certs.RoleWorker}), 0), "fairlane://prod/worker"},
		"other cluster":  {stranger(t, paper(t, a, dir, "test", certs.Party{Name: "t", Role: certs.RoleNode, Hosts: node.Hosts}), 0), "fairlane://test/node"},
		"no certificate": {stranger(t, certs.Files{}, 0), "certificate"},
		"TLS 1.2":        {stranger(t, files, tls.VersionTLS12), "unsupported versions"},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var log lines
			p := openPort(listener, bundle.ClusterServer(), hclog.New(&hclog.LoggerOptions{Output: &log}))
			defer p.hangUp()
			for range 3 {
				knock(t, listener.Addr().String(), c.settings)
			}
			welcome(t, p, bundle)
			if got := log.all(); len(got) != 1 || !strings.Contains(got[0], c.says) || !strings.Contains(got[0], "from=127.0.0.1") {
				t.Errorf("logged %q, want one line with %q", got, c.says)
			}
		})
	}
}

// knock sends a byte as raft does, and waits until the port has hung up.
func knock(t *testing.T, address string, settings *tls.Config) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if settings != nil {
		conn = tls.Client(conn, settings)
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = conn.Write([]byte{0, 0, 0, 0, 0, 0, 0, 0})
	var answer [64]byte
	n, err := conn.Read(answer[:])
	if settings == nil && err == nil {
		n, err = conn.Read(answer[n:]) // behind the alert
		n = 0
	}
	if e, ok := err.(net.Error); n > 0 || err == nil || ok && e.Timeout() {
		t.Errorf("the stranger read %x, %v", answer[:n], err)
	}
}

// welcome: the first connection that comes through is that of a node.
func welcome(t *testing.T, p *port, bundle *certs.Bundle) {
	t.Helper()
	dialled, err := (&stream{tls: bundle.ClusterClient()}).Dial(raft.ServerAddress(p.listener.Addr().String()), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer dialled.Close()
	if _, err := dialled.Write([]byte{7}); err != nil {
		t.Fatal(err)
	}
	accepted, err := p.raft.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	var first [1]byte
	if _, err := accepted.Read(first[:]); err != nil || first[0] != 7 {
		t.Errorf("read %v %v", first, err)
	}
}
