package certs

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// authority of a cluster in a directory of its own.
func authority(t *testing.T, cluster string) (*Authority, string) {
	t.Helper()
	a, err := NewAuthority(cluster, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := a.Write(dir); err != nil {
		t.Fatal(err)
	}
	return a, dir
}

func issue(t *testing.T, a *Authority, dir, cluster string, p Party) Files {
	t.Helper()
	if p.For == 0 {
		p.For = time.Hour
	}
	if err := a.Issue(dir, cluster, p); err != nil {
		t.Fatal(err)
	}
	return Files{filepath.Join(dir, caFile), filepath.Join(dir, p.Name+".pem"), filepath.Join(dir, p.Name+".key")}
}

var here = []string{"127.0.0.1"}

func TestLoadTakesCertificatesOfNodesOfThisClusterOnly(t *testing.T) {
	a, dir := authority(t, "prod")
	node := issue(t, a, dir, "prod", Party{Name: "n1", Role: RoleNode, Hosts: here})
	b, err := Load(node, "prod")
	if err != nil {
		t.Fatal(err)
	}
	info := b.Info()
	if info.Subject != "n1" || len(info.Roles) != 1 || info.Roles[0] != RoleNode || time.Until(info.NotAfter) > time.Hour {
		t.Errorf("info %+v", info)
	}
	other := issue(t, a, dir, "test", Party{Name: "n2", Role: RoleNode, Hosts: here})
	worker := issue(t, a, dir, "prod", Party{Name: "w", Role: RoleWorker})
	old := issue(t, a, dir, "prod", Party{Name: "old", Role: RoleNode, Hosts: here, From: time.Now().Add(-2 * time.Hour)})
	_, foreign := authority(t, "prod")
	for name, files := range map[string]Files{
		"fairlane://test/node":                     other,
		"fairlane://prod/worker":                   worker,
		"has expired":                              old,
		"unknown authority":                        {filepath.Join(foreign, caFile), node.Cert, node.Key},
		"private key does not match":               {node.CA, node.Cert, worker.Key},
		"no such file":                             {node.CA, node.Cert + "x", node.Key},
		"no certificate (PEM) in it":               {node.Key, node.Cert, node.Key},
		"no such file or directory":                {node.CA + "x", node.Cert, node.Key},
		"failed to find any PEM data in key input": {node.CA, node.Cert, os.DevNull},
	} {
		if _, err := Load(files, "prod"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: got %v, want %q", files, err, name)
		}
	}
	if err := a.Issue(dir, "prod", Party{Name: "n1", Role: RoleNode, Hosts: here, For: time.Hour}); err == nil {
		t.Error("a key was replaced")
	}
}

// shake hands with TLS on both sides and give what the client saw of the server.
func shake(t *testing.T, server, client *tls.Config) (*tls.ConnectionState, error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	ended := make(chan error, 1)
	go func() { ended <- tls.Server(a, server).Handshake() }()
	_ = b.SetDeadline(time.Now().Add(10 * time.Second))
	conn := tls.Client(b, client)
	if err := conn.Handshake(); err != nil {
		return nil, err
	}
	state := conn.ConnectionState()
	b.Close() // a server that refuses the certificate now says so to nobody
	return &state, <-ended
}

// TestReloadChangesNewConnections: other files in the same place are taken up; what cannot be used leaves the former in use.
func TestReloadChangesNewConnections(t *testing.T) {
	a, dir := authority(t, "prod")
	files := issue(t, a, dir, "prod", Party{Name: "n1", Role: RoleNode, Hosts: here})
	next := issue(t, a, dir, "prod", Party{Name: "n1-next", Role: RoleNode, Hosts: here})
	b, err := Load(files, "prod")
	if err != nil {
		t.Fatal(err)
	}
	subject := func() string {
		state, err := shake(t, b.ClusterServer(), b.ClusterClient())
		if err != nil {
			t.Fatal(err)
		}
		return state.PeerCertificates[0].Subject.CommonName
	}
	told := make(chan error, 4)
	now := make(chan os.Signal, 1)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.Watch(ctx, now, func(_ Info, err error) { told <- err })
	}()
	replace := func(path, by string) {
		if err := os.Rename(by, path); err != nil {
			t.Fatal(err)
		}
	}
	replace(files.Cert, next.Cert) // its key is another one
	now <- syscall.SIGHUP
	if err := <-told; err == nil || subject() != "n1" {
		t.Errorf("half of a pair was taken: %v", err)
	}
	replace(files.Key, next.Key) // and now nobody says so: the files are looked at
	if err := <-told; err != nil || subject() != "n1-next" {
		t.Errorf("the change was not seen: %v", err)
	}
	stop()
	<-ended
}

// TestAPIServesCallersWithAndWithoutCertificates: who shows one must show a good one.
func TestAPIServesCallersWithAndWithoutCertificates(t *testing.T) {
	a, dir := authority(t, "prod")
	b, err := Load(issue(t, a, dir, "prod", Party{Name: "n1", Role: RoleNode, Hosts: here}), "prod")
	if err != nil {
		t.Fatal(err)
	}
	worker := issue(t, a, dir, "prod", Party{Name: "w", Role: RoleWorker})
	old := issue(t, a, dir, "prod", Party{Name: "old", Role: RoleWorker, From: time.Now().Add(-2 * time.Hour)})
	for name, c := range map[string]struct {
		files Files
		host  string
		good  bool
	}{
		"none":        {Files{CA: worker.CA}, here[0], true},
		"worker":      {worker, here[0], true},
		"expired":     {old, here[0], false},
		"other host":  {worker, "127.0.0.2", false},
		"wrong CA":    {Files{CA: filepath.Join(second(authority(t, "prod")), caFile)}, here[0], false},
		"node by API": {Files{}, "", true},
	} {
		settings := b.ClusterClient()
		if c.files != (Files{}) {
			if settings, err = Client(c.files); err != nil {
				t.Fatal(name, err)
			}
			settings.ServerName = c.host
		}
		if _, err := shake(t, b.APIServer(), settings); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[A, B any](_ A, b B) B { return b }
